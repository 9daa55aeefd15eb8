/** Request-Line and Status-Line (RFC 3261 §7.1, §7.2). */
import { isToken, parseDigits } from './sip-scan.js';
import type { SipRefusalReason, SipUri } from './sip-types.js';
import { isAbsoluteUri, parseSipUri } from './sip-uri.js';

interface Failure {
  readonly failure?: SipRefusalReason;
  readonly detail?: string;
}

export type StartLine =
  | ({ readonly kind: 'request'; readonly method: string; readonly uriText: string; readonly uri?: SipUri } & Failure)
  | ({ readonly kind: 'response'; readonly status: number; readonly phrase: string } & Failure);

/** Exactly one space between the parts. A failing line that is still recognisably a request keeps its method, for a 400. */
export function parseStartLine(line: string): StartLine {
  if (/^SIP\//i.test(line)) return parseStatusLine(line);
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  const method = line.slice(0, Math.max(first, 0));
  if (!isToken(method) || last === first) {
    return { kind: 'response', status: 0, phrase: '', failure: 'start-line' };
  }
  const uriText = line.slice(first + 1, last);
  const version = line.slice(last + 1).toUpperCase();
  if (version !== 'SIP/2.0') {
    const failure = /^SIP\/[0-9]+\.[0-9]+$/.test(version) ? 'sip-version' : 'start-line';
    return { kind: 'request', method, uriText, failure };
  }
  const uri = parseSipUri(uriText);
  if (uri === undefined && (!isAbsoluteUri(uriText) || /^sips?:/i.test(uriText))) {
    return { kind: 'request', method, uriText, failure: 'start-line', detail: 'Request-URI' };
  }
  // RFC 3261 §19.1.1: a Request-URI has no headers component.
  if (uri?.headers !== undefined) {
    return { kind: 'request', method, uriText, failure: 'start-line', detail: 'Request-URI' };
  }
  return { kind: 'request', method, uriText, ...(uri === undefined ? {} : { uri }) };
}

function parseStatusLine(line: string): StartLine {
  const version = line.slice(0, 8).toUpperCase();
  const statusText = line.slice(8, 11);
  const status = parseDigits(statusText, 3) ?? 0;
  const phrase = line.slice(12);
  if (version !== 'SIP/2.0 ') return { kind: 'response', status, phrase, failure: 'sip-version' };
  if (statusText.length !== 3 || status < 100 || status > 699 || line.charAt(11) !== ' ') {
    return { kind: 'response', status, phrase, failure: 'start-line' };
  }
  return { kind: 'response', status, phrase };
}
