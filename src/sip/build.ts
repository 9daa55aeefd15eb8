/** Writes the requests and responses of transactions and dialogs (RFC 3261 §8.1.1, §8.2.6, §17.1.1.3, §9.1). */
import type { Address } from '../base/ids.js';
import { writeReason, writeWarning } from '../wire/sip-headers.js';
import { headerValue, writeSipMessage } from '../wire/sip-message.js';
import { splitList } from '../wire/sip-scan.js';
import type { SipHeader, SipResponse, SipVia } from '../wire/sip-types.js';

export const ALLOW = 'INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK';
/** Option tags (RFC 4028, RFC 3262) that a request may require of us. */
export const SUPPORTED: readonly string[] = ['timer', '100rel'];
export const MAX_FORWARDS = '70';

/** A request before its transaction gives it a Via. `headers` without Via and Content-Length. */
export interface RequestDraft {
  readonly method: string;
  readonly uri: string;
  readonly headers: readonly SipHeader[];
  readonly body?: string;
}

export interface ResponseDraft {
  readonly status: number;
  readonly phrase?: string;
  /** Added to To where the request's has none; not to be set on a 100. */
  readonly toTag?: string;
  readonly headers?: readonly SipHeader[];
  readonly body?: string;
}

/** A pseudonym (RFC 3261 §20.43), where no host is at hand. */
const WARN_AGENT = 'claviger';
/** The caller's own CANCEL or BYE is its cause: no refusal. */
const REQUEST_TERMINATED = 487;

const PHRASES: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  183: 'Session Progress',
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  415: 'Unsupported Media Type',
  416: 'Unsupported URI Scheme',
  420: 'Bad Extension',
  422: 'Session Interval Too Small',
  423: 'Interval Too Brief',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  483: 'Too Many Hops',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  500: 'Server Internal Error',
  503: 'Service Unavailable',
  504: 'Server Time-out',
  505: 'Version Not Supported',
  603: 'Decline',
  606: 'Not Acceptable',
};

const NONE: readonly SipHeader[] = [];

export function phraseOf(status: number): string {
  return PHRASES[status] ?? 'Other';
}

export function writeRequest(draft: RequestDraft, via: string): Uint8Array {
  return writeSipMessage({
    startLine: `${draft.method} ${draft.uri} SIP/2.0`,
    headers: [{ name: 'via', value: via }, ...draft.headers],
    ...(draft.body === undefined ? {} : { body: draft.body }),
  });
}

/**
 * A response to the request with these headers (RFC 3261 §8.2.6): all Via, From, To, Call-ID and CSeq are copied, and
 * Record-Route where the response makes a dialog (§12.1.1).
 * @param source where the request came from: `received` and `rport` of the topmost Via (§18.2.1, RFC 3581 §4).
 */
export function writeResponse(
  request: { readonly headers: readonly SipHeader[]; readonly via?: readonly SipVia[] },
  draft: ResponseDraft,
  source: Address,
): Uint8Array {
  const { status } = draft;
  const headers: SipHeader[] = [];
  const recordRoutes: SipHeader[] = [];
  let top = true;
  for (const header of request.headers) {
    const { name, value } = header;
    switch (name) {
      case 'via':
        headers.push(top ? { name, value: markSource(value, request.via?.[0], source) } : header);
        top = false;
        break;
      case 'to':
        headers.push(draft.toTag === undefined ? header : { name, value: `${value};tag=${draft.toTag}` });
        break;
      case 'from':
      case 'call-id':
      case 'cseq':
        headers.push(header);
        break;
      case 'record-route':
        if (status > 100 && status < 300) recordRoutes.push(header);
    }
  }
  const phrase = draft.phrase ?? phraseOf(status);
  const own = draft.headers ?? NONE;
  headers.push(...recordRoutes, ...own);
  if (status >= 400 && status !== REQUEST_TERMINATED) headers.push(...reasonsOf(status, phrase, own));
  return writeSipMessage({
    startLine: `SIP/2.0 ${status} ${phrase}`,
    headers,
    ...(draft.body === undefined ? {} : { body: draft.body }),
  });
}

/** Every refusal says why, in Warning and Reason, also where nobody has said it in better words. */
function reasonsOf(status: number, phrase: string, own: readonly SipHeader[]): SipHeader[] {
  const has = (name: string): boolean => own.some((h) => h.name === name);
  return [
    ...(has('warning') ? [] : [{ name: 'warning', value: writeWarning(399, WARN_AGENT, phrase) }]),
    ...(has('reason') ? [] : [{ name: 'reason', value: writeReason(status, phrase) }]),
  ];
}

function markSource(value: string, via: SipVia | undefined, source: Address): string {
  if (via === undefined) return value;
  const [first, ...rest] = value.includes(',') ? (splitList(value) ?? [value]) : [value];
  let top = first!;
  const wantsPort = via.params.get('rport') === '';
  if (wantsPort) top = top.replace(/;[ \t]*rport(?![^; \t])/i, `;rport=${source.port}`);
  if ((wantsPort || via.host !== source.address) && !via.params.has('received')) top += `;received=${source.address}`;
  return [top, ...rest].join(', ');
}

/** The ACK to a response of 300 and more: same branch, Request-URI, Route, the response's To (RFC 3261 §17.1.1.3). */
export function writeAckToFailure(invite: RequestDraft, via: string, response: SipResponse): Uint8Array {
  const kept = invite.headers.filter((h) => ['from', 'call-id', 'route', 'max-forwards'].includes(h.name));
  return writeRequest(
    {
      method: 'ACK',
      uri: invite.uri,
      headers: [
        ...kept,
        { name: 'to', value: headerValue(response, 'to')! },
        { name: 'cseq', value: `${response.cseq.number} ACK` },
      ],
    },
    via,
  );
}

/** The CANCEL of an INVITE: all that identifies it is the INVITE's own (RFC 3261 §9.1). */
export function cancelDraft(invite: RequestDraft, reason: string | undefined): RequestDraft {
  const kept = invite.headers.filter((h) => ['from', 'to', 'call-id', 'route', 'max-forwards'].includes(h.name));
  const number = headerValue(invite, 'cseq')!.split(' ')[0]!;
  const headers: SipHeader[] = [...kept, { name: 'cseq', value: `${number} CANCEL` }];
  if (reason !== undefined) headers.push({ name: 'reason', value: reason });
  return { method: 'CANCEL', uri: invite.uri, headers };
}

export function sdpBody(sdp: string): { readonly headers: readonly SipHeader[]; readonly body: string } {
  return {
    headers: [{ name: 'content-type', value: 'application/sdp' }],
    body: sdp,
  };
}
