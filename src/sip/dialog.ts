/** Dialogs (RFC 3261 §12): what both sides remember, and the requests inside. */
import { ownText } from '../base/bytes.js';
import { parseNameAddr } from '../wire/sip-headers.js';
import { headerValue, headerValues, isRfc3261 } from '../wire/sip-message.js';
import type { SipHeader, SipMessage, SipRequest, SipResponse } from '../wire/sip-types.js';
import { MAX_FORWARDS, type RequestDraft } from './build.js';

export interface Dialog {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
  /** Header values with tags: From of what we send and To of it. */
  readonly local: string;
  readonly remote: string;
  /** Name-addr values, next hop first. */
  readonly routeSet: readonly string[];
  /** Request-URI of what we send; moves with target refreshes (§12.2). */
  remoteTarget: string;
  localSequence: number;
  /** Undefined until the peer sent a request in this dialog. */
  remoteSequence: number | undefined;
}

/** Key of the dialog a request belongs to, seen from its receiver. */
export function dialogKey(callId: string, localTag: string, remoteTag: string): string {
  return `${callId}\n${localTag}\n${remoteTag}`;
}

/**
 * The one sip: or sips: Contact that INVITE and its 2xx must have (RFC 3261 §8.1.1.8); undefined otherwise. In RFC 2543 it could
 * be left out, and From stood for it.
 */
export function contactUri(message: SipMessage): string | undefined {
  if (message.kind === 'request' && message.contact.length === 0 && !isRfc3261(message.via[0]!)) {
    return message.from.uri === undefined ? undefined : message.from.uriText;
  }
  if (message.contact === '*' || message.contact.length !== 1) return undefined;
  const contact = message.contact[0]!;
  // §19.1.1, table 1: a dialog's Contact has no headers component; it becomes a Request-URI.
  return contact.uri === undefined || contact.uri.headers !== undefined ? undefined : contact.uriText;
}

/** Names the media negotiation that an endpoint speaks, as a parameter of its Contact (RFC 3261 §20.10). */
export const TIP_CONTACT_PARAMETER = 'x-cisco-tip';

export function saysTip(message: SipMessage): boolean {
  return message.contact !== '*' && message.contact.some(({ params }) => params.has(TIP_CONTACT_PARAMETER));
}

/** RFC 3261 §12.1.1. The request has been checked: one usable Contact. */
export function dialogOfServer(invite: SipRequest, localTag: string): Dialog {
  return {
    callId: ownText(invite.callId),
    localTag,
    remoteTag: ownText(invite.from.params.get('tag') ?? ''),
    local: ownText(`${headerValue(invite, 'to')!};tag=${localTag}`),
    remote: ownText(headerValue(invite, 'from')!),
    routeSet: invite.recordRoute.length === 0 ? [] : headerValues(invite, 'record-route').map(ownText),
    remoteTarget: ownText(contactUri(invite)!),
    localSequence: 0,
    remoteSequence: invite.cseq.number,
  };
}

/** RFC 3261 §12.1.2. @returns undefined when the 2xx has no To tag or no usable Contact: no dialog can be made of it. */
export function dialogOfClient(invite: RequestDraft, localTag: string, response: SipResponse): Dialog | undefined {
  const remoteTag = response.to.params.get('tag');
  const remoteTarget = contactUri(response);
  if (remoteTag === undefined || remoteTarget === undefined) return undefined;
  return {
    callId: response.callId,
    localTag,
    remoteTag,
    local: headerValue(invite, 'from')!,
    remote: headerValue(response, 'to')!,
    routeSet: [...headerValues(response, 'record-route')].reverse(),
    remoteTarget,
    localSequence: response.cseq.number,
    remoteSequence: undefined,
  };
}

/**
 * A request inside the dialog (RFC 3261 §12.2.1.1). ACK takes the number of its INVITE, everything else the next one.
 * @param ackOf CSeq number of the INVITE that an ACK is for.
 */
export function dialogRequest(
  dialog: Dialog,
  method: string,
  headers: readonly SipHeader[],
  body?: string,
  ackOf?: number,
): RequestDraft {
  if (ackOf === undefined) dialog.localSequence++;
  const [first, ...rest] = dialog.routeSet;
  const firstHop = first === undefined ? undefined : parseNameAddr(first);
  // A first hop without `lr` is a strict router: it gets the Request-URI, and the target goes last.
  const strict = firstHop !== undefined && firstHop.uri?.params.has('lr') !== true;
  const uri = strict ? firstHop.uriText : dialog.remoteTarget;
  const routes = strict ? [...rest, `<${dialog.remoteTarget}>`] : dialog.routeSet;
  return {
    method,
    uri,
    headers: [
      ...routes.map((value) => ({ name: 'route', value })),
      { name: 'max-forwards', value: MAX_FORWARDS },
      { name: 'from', value: dialog.local },
      { name: 'to', value: dialog.remote },
      { name: 'call-id', value: dialog.callId },
      { name: 'cseq', value: `${ackOf ?? dialog.localSequence} ${method}` },
      ...headers,
    ],
    ...(body === undefined ? {} : { body }),
  };
}
