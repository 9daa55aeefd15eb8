/** What a request must be before anything is made of it (RFC 3261 §8.2.1 to §8.2.3, in that order). */
import { SIP_MIN_SESSION_EXPIRES_S } from '../base/limits.js';
import { writeHostPort } from '../wire/sip-address.js';
import { parseMediaType } from '../wire/sip-headers.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import type { SipRequest } from '../wire/sip-types.js';
import { ALLOW, type ResponseDraft, SUPPORTED } from './build.js';
import { bodyText } from './call.js';
import type { TransferRules } from './contract.js';
import { contactUri } from './dialog.js';
import { isTooShort, readSessionExpires } from './session-timer.js';

const METHODS: ReadonlySet<string> = new Set(ALLOW.split(', '));

/** @param host warn-agent of our Warning headers. @returns the refusal; undefined: none */
export function refusalOf(
  request: SipRequest,
  { secure, rules, host }: { readonly secure: boolean; readonly rules: TransferRules; readonly host: string },
): ResponseDraft | undefined {
  const bad = (text: string): ResponseDraft => {
    return { status: 400, headers: [{ name: 'warning', value: `399 ${writeHostPort(host)} "${text}"` }] };
  };
  const { acceptRefer = false } = rules;
  if (!METHODS.has(request.method) && !(acceptRefer && request.method === 'REFER')) {
    return { status: 405, headers: [{ name: 'allow', value: acceptRefer ? `${ALLOW}, REFER` : ALLOW }] };
  }
  if (request.uri === undefined) return { status: 416 };
  if (request.uri.scheme === 'sips' && !secure) return bad('sips: over an insecure hop');
  const known = rules.acceptReplaces === true ? [...SUPPORTED, 'replaces'] : SUPPORTED;
  const unknown = request.require.filter((tag) => !known.includes(tag));
  if (unknown.length > 0) return { status: 420, headers: [{ name: 'unsupported', value: unknown.join(', ') }] };
  const encoding = headerValue(request, 'content-encoding')?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity') return { status: 415, headers: [{ name: 'accept-encoding', value: 'identity' }] };
  if (request.method !== 'INVITE' && request.method !== 'UPDATE') return undefined;
  if (readSessionExpires(request) === 'malformed') return bad('Session-Expires');
  if (isTooShort(request)) {
    return { status: 422, headers: [{ name: 'min-se', value: String(SIP_MIN_SESSION_EXPIRES_S) }] };
  }
  if (request.body.length > 0 && request.contentType !== 'application/sdp') {
    return { status: 415, headers: [{ name: 'accept', value: 'application/sdp' }] };
  }
  if (!takesSdp(request)) return { status: 406 };
  if (request.body.length > 0 && bodyText(request) === undefined) return bad('SDP is not UTF-8');
  const contact = contactUri(request);
  if (contact === undefined) return bad(`${request.method} needs one sip: or sips: Contact`);
  // RFC 3261 §8.1.1.8: a sips: Request-URI wants a sips: Contact.
  if (request.uri.scheme === 'sips' && !/^sips:/i.test(contact)) return bad('Contact must be sips:');
  return undefined;
}

/** RFC 3261 §20.1: without Accept a caller takes SDP; with it, what it lists. */
function takesSdp(request: SipRequest): boolean {
  if (headerValue(request, 'accept') === undefined) return true;
  const ranges = headerValues(request, 'accept').map(parseMediaType);
  return ['application/sdp', 'application/*', '*/*'].some((range) => ranges.includes(range));
}
