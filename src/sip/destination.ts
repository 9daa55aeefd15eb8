/** Where on the peer's address a message goes: over UDP, the port need not be the one that the peer sends from. */
import { parseNameAddr } from '../wire/sip-headers.js';
import { headerValue } from '../wire/sip-message.js';
import type { SipVia } from '../wire/sip-types.js';
import { parseSipUri } from '../wire/sip-uri.js';
import type { RequestDraft } from './build.js';
import type { Connected, ConnectionNumber, Send } from './contract.js';

/** RFC 3261 §19.1.2: the port of UDP and TCP where none is given. */
const DEFAULT_PORT = 5_060;

export function sendOf(
  connection: ConnectionNumber,
  bytes: Uint8Array,
  port: number | undefined,
  stream?: Uint8Array,
): Send {
  const more = stream === undefined ? {} : { stream };
  return port === undefined
    ? { type: 'send', connection, bytes, ...more }
    : { type: 'send', connection, bytes, port, ...more };
}

/** A request that was written for UDP as it goes by TCP: the Via names the transport that is used (RFC 3261 §18.1.1). */
export function overTcp(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const at = indexOf(copy, '\r\nVia: SIP/2.0/UDP ');
  if (at >= 0) copy.set([0x54, 0x43, 0x50], at + '\r\nVia: SIP/2.0/'.length);
  return copy;
}

function indexOf(bytes: Uint8Array, text: string): number {
  const wanted = [...text].map((c) => c.charCodeAt(0));
  for (let i = 0; i + wanted.length <= bytes.length; i++) if (wanted.every((c, k) => bytes[i + k] === c)) return i;
  return -1;
}

/**
 * RFC 3261 §18.2.2, RFC 3581 §4: without `rport` a response over UDP goes to the port of sent-by, on the address that the
 * request came from. `maddr` is not followed: it would let anybody aim our responses at a third party.
 */
export function responsePort(info: Connected, via: SipVia): number | undefined {
  if (info.transport !== 'udp' || via.params.has('rport')) return undefined;
  const port = via.port ?? DEFAULT_PORT;
  return port === info.remote.port ? undefined : port;
}

/**
 * A request inside a dialog goes to the port of its next hop where that is on the peer's own address (RFC 3261 §12.2.1.1);
 * anywhere else, such as behind a NAT, and before there is a dialog, it goes back the way that the peer's messages came.
 */
export function requestPort(info: Connected, draft: RequestDraft): number | undefined {
  if (info.transport !== 'udp' || !(headerValue(draft, 'to') ?? '').includes(';tag=')) return undefined;
  const route = parseNameAddr(headerValue(draft, 'route') ?? '');
  // A strict router, without `lr`, has been given the Request-URI.
  const next = route?.uri?.params.has('lr') === true ? route.uri : parseSipUri(draft.uri);
  if (next === undefined || next.host !== info.remote.address) return undefined;
  const port = next.port ?? DEFAULT_PORT;
  return port === info.remote.port ? undefined : port;
}
