/** Structured header values: parsers that give undefined for anything malformed, and writers. */
import { parseHostPort } from './sip-address.js';
import {
  isToken,
  isWord,
  parseDigits,
  parseHeaderParams,
  quote,
  readQuoted,
  skipSpace,
  trimSpace,
} from './sip-scan.js';
import type { SipNameAddr, SipParams, SipUri, SipVia } from './sip-types.js';
import { isAbsoluteUri, parseSipUri } from './sip-uri.js';

/** RFC 3261 §25.1 name-addr / addr-spec with header parameters. A comma, `?` or `;` in the URI needs angle brackets (§20). */
export function parseNameAddr(text: string): SipNameAddr | undefined {
  let display: string | undefined;
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) === 34) {
    const quoted = readQuoted(text, at);
    if (quoted === undefined) return undefined;
    display = quoted.value;
    at = skipSpace(text, quoted.end);
    if (text.charCodeAt(at) !== 60) return undefined;
  }
  const quoteAt = text.indexOf('"', at);
  let open = text.indexOf('<', at);
  if (quoteAt >= 0 && quoteAt < open) open = -1; // the bracket stands in a parameter's quoted value
  let uriText: string;
  let paramsAt: number;
  if (open >= 0) {
    const words = trimSpace(text.slice(at, open));
    if (words !== '') {
      if (!isToken(words) && !words.split(/[ \t]+/).every(isToken)) return undefined;
      display = words;
    }
    const close = text.indexOf('>', open);
    if (close < 0) return undefined;
    uriText = text.slice(open + 1, close);
    paramsAt = close + 1;
  } else {
    const semicolon = text.indexOf(';', at);
    paramsAt = semicolon < 0 ? text.length : semicolon;
    uriText = trimSpace(text.slice(at, paramsAt));
    if (uriText.includes(',') || uriText.includes('?')) return undefined;
  }
  const params = parseHeaderParams(text, paramsAt);
  if (params === undefined) return undefined;
  const tag = params.get('tag');
  if (tag !== undefined && !isToken(tag)) return undefined;
  const uri = parseSipUri(uriText);
  if (uri === undefined && (!isAbsoluteUri(uriText) || /^sips?:/i.test(uriText))) return undefined;
  const value: { display?: string; uriText: string; uri?: SipUri; params: SipParams } = { uriText, params };
  if (display !== undefined) value.display = display;
  if (uri !== undefined) value.uri = uri;
  return value;
}

/** RFC 3261 §20.42; white space around the slashes and the port's colon is legal. */
export function parseVia(text: string): SipVia | undefined {
  const first = text.indexOf('/');
  const second = text.indexOf('/', first + 1);
  if (first < 0 || second < 0) return undefined;
  if (!text.startsWith('SIP/2.0/')) {
    if (trimSpace(text.slice(0, first)).toUpperCase() !== 'SIP') return undefined;
    if (trimSpace(text.slice(first + 1, second)) !== '2.0') return undefined;
  }
  let at = skipSpace(text, second + 1);
  let end = at;
  while (end < text.length && text.charCodeAt(end) !== 32 && text.charCodeAt(end) !== 9) end++;
  const transport = text.slice(at, end);
  if (!isToken(transport)) return undefined;
  at = skipSpace(text, end);
  const semicolon = text.indexOf(';', at);
  end = semicolon < 0 ? text.length : semicolon;
  let sentBy = trimSpace(text.slice(at, end));
  const colon = sentBy.lastIndexOf(':');
  if (colon > sentBy.lastIndexOf(']')) {
    sentBy = `${trimSpace(sentBy.slice(0, colon))}:${trimSpace(sentBy.slice(colon + 1))}`;
  }
  const hostPort = parseHostPort(sentBy);
  const params = parseHeaderParams(text, end);
  if (hostPort === undefined || params === undefined) return undefined;
  const via: { transport: string; host: string; port?: number; params: SipParams } = {
    transport: transport.toUpperCase(),
    host: hostPort.host,
    params,
  };
  if (hostPort.port !== undefined) via.port = hostPort.port;
  return via;
}

/** RFC 3261 §20.16: sequence number below 2^31 and method. */
export function parseCseq(text: string): { readonly number: number; readonly method: string } | undefined {
  let end = 0;
  while (end < text.length && text.charCodeAt(end) !== 32 && text.charCodeAt(end) !== 9) end++;
  const number = parseDigits(text.slice(0, end), 10);
  const method = text.slice(skipSpace(text, end));
  if (number === undefined || number >= 2 ** 31 || !isToken(method)) return undefined;
  return { number, method };
}

/** RFC 3261 §25.1: word [ "@" word ]. */
export function isCallId(text: string): boolean {
  const at = text.indexOf('@');
  return at < 0 ? isWord(text) : isWord(text.slice(0, at)) && isWord(text.slice(at + 1));
}

const SIP_DATE =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT$/;

/** RFC 3261 §20.17: RFC 1123's date in GMT and in no other zone. */
export function isSipDate(text: string): boolean {
  return SIP_DATE.test(text);
}

/** `type/subtype *( ; parameter )` in lower case without parameters. */
export function parseMediaType(text: string): string | undefined {
  const semicolon = text.indexOf(';');
  const end = semicolon < 0 ? text.length : semicolon;
  const slash = text.indexOf('/');
  if (slash < 0 || slash > end || parseHeaderParams(text, end) === undefined) return undefined;
  const type = trimSpace(text.slice(0, slash));
  const subtype = trimSpace(text.slice(slash + 1, end));
  return isToken(type) && isToken(subtype) ? `${type}/${subtype}`.toLowerCase() : undefined;
}

export interface SipReason {
  /** SIP, Q.850, ... */
  readonly protocol: string;
  readonly cause?: number;
  readonly text?: string;
}

/** One value of Reason (RFC 3326 §2). */
export function parseReason(text: string): SipReason | undefined {
  const semicolon = text.indexOf(';');
  const end = semicolon < 0 ? text.length : semicolon;
  const protocol = trimSpace(text.slice(0, end));
  const params: SipParams | undefined = parseHeaderParams(text, end);
  if (!isToken(protocol) || params === undefined) return undefined;
  const causeText = params.get('cause');
  const cause = causeText === undefined ? undefined : parseDigits(causeText, 4);
  if (causeText !== undefined && cause === undefined) return undefined;
  const reasonText = params.get('text');
  return {
    protocol,
    ...(cause === undefined ? {} : { cause }),
    ...(reasonText === undefined ? {} : { text: reasonText }),
  };
}

/** `SIP;cause=488;text="..."` (RFC 3326). */
export function writeReason(cause: number, text?: string): string {
  return text === undefined ? `SIP;cause=${cause}` : `SIP;cause=${cause};text=${quote(text)}`;
}

export interface SipWarning {
  readonly code: number;
  readonly agent: string;
  readonly text: string;
}

/** One value of Warning (RFC 3261 §20.43): three digits, agent, quoted text. */
export function parseWarning(text: string): SipWarning | undefined {
  const code = parseDigits(text.slice(0, 3), 3);
  const agentEnd = text.indexOf(' ', 4);
  if (code === undefined || code < 100 || text.charCodeAt(3) !== 32 || agentEnd < 0) return undefined;
  const agent = text.slice(4, agentEnd);
  if (parseHostPort(agent) === undefined && !isToken(agent)) return undefined;
  const quoted = text.charCodeAt(agentEnd + 1) === 34 ? readQuoted(text, agentEnd + 1) : undefined;
  if (quoted === undefined || quoted.end !== text.length) return undefined;
  return { code, agent, text: quoted.value };
}

/** @param agent host, host:port or a pseudonym token. */
export function writeWarning(code: number, agent: string, text: string): string {
  return `${code} ${agent} ${quote(text)}`;
}

/** Seconds of Retry-After (RFC 3261 §20.33); a comment and parameters may follow. */
export function parseRetryAfter(text: string): number | undefined {
  let end = 0;
  while (end < text.length && text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 57) end++;
  const rest = text.charCodeAt(skipSpace(text, end));
  if (end < text.length && rest !== 40 && rest !== 59) return undefined;
  return parseDigits(text.slice(0, end), 9);
}
