/**
 * SIP messages (RFC 3261 §7): a strict parser and a writer. In two steps, head and body, because a stream must know the
 * head's Content-Length before it has the body (§18.3).
 *
 * Peers of RFC 2543 are understood: From without a tag, a topmost Via without a branch or without the magic cookie. A cookie with
 * nothing behind it is refused, as RFC 4475 §3.2.1 lets us, and Max-Forwards may be missing (§16.3).
 */
import { SIP_MAX_HEADER_BYTES, SIP_MAX_HEADERS, SIP_MAX_MESSAGE_BYTES } from '../base/limits.js';
import { canonicalName, SINGLE_VALUED, wireName } from './sip-header-names.js';
import { isCallId, isSipDate, parseCseq, parseMediaType, parseNameAddr, parseVia } from './sip-headers.js';
import { isSpace, isToken, parseDigits, skipSpace, splitList, trimSpace } from './sip-scan.js';
import { parseStartLine, type StartLine } from './sip-start-line.js';
import type {
  SipAnswerable,
  SipDraft,
  SipHeader,
  SipNameAddr,
  SipParseResult,
  SipRefusalReason,
  SipRequest,
  SipResponse,
  SipVia,
} from './sip-types.js';

export const BRANCH_COOKIE = 'z9hG4bK';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The head of a message: everything up to and with the empty line. */
export interface SipHead {
  readonly start: StartLine | undefined;
  readonly headers: readonly SipHeader[];
  /** Body length in bytes; undefined when there is no such header, or no unambiguous one. */
  readonly contentLength: number | undefined;
  readonly failure: { readonly reason: SipRefusalReason; readonly detail?: string } | undefined;
}

/** @returns index just after the first CRLFCRLF at or after `from`, or -1. */
export function findHeadEnd(bytes: Uint8Array, from = 0): number {
  for (let i = bytes.indexOf(13, from); i >= 0 && i + 3 < bytes.length; i = bytes.indexOf(13, i + 1)) {
    if (bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i + 4;
  }
  return -1;
}

/** A control character after a backslash may be a quoted-pair; whether it stands in quotes, the header's own parser finds out. */
function badByte(bytes: Uint8Array): SipRefusalReason | undefined {
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i]!;
    if (b >= 32 && b !== 127) continue;
    if (b === 13 ? bytes[i + 1] !== 10 : b === 10 && bytes[i - 1] !== 13) return 'bare-cr-or-lf';
    if (b !== 9 && b !== 10 && b !== 13 && bytes[i - 1] !== 92) return 'control-character';
  }
  return undefined;
}

/** @param bytes a whole head, the empty line included. Never throws; what is wrong stands in `failure`. */
export function parseHead(bytes: Uint8Array): SipHead {
  let failure: SipHead['failure'];
  const fail = (reason: SipRefusalReason, detail?: string): void => {
    failure ??= detail === undefined ? { reason } : { reason, detail };
  };
  if (bytes.length > SIP_MAX_HEADER_BYTES) fail('too-large');
  const bad = badByte(bytes);
  if (bad !== undefined) fail(bad);
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    return { start: undefined, headers: [], contentLength: undefined, failure: { reason: 'not-utf8' } };
  }
  const startEnd = text.indexOf('\r\n');
  const start = parseStartLine(text.slice(0, startEnd));
  if (start.failure !== undefined) fail(start.failure, start.detail);
  const headers: { name: string; value: string }[] = [];
  const seen = new Set<string>();
  let contentLength: number | undefined;
  for (let at = startEnd + 2; at < text.length && text.charCodeAt(at) !== 13; ) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    let line = text.slice(at, end);
    at = end + 2;
    // RFC 3261 §7.3.1: a line that begins with white space continues the one before.
    while (isSpace(text.charCodeAt(at))) {
      end = text.indexOf('\r\n', at);
      if (end < 0) end = text.length;
      line += ` ${trimSpace(text.slice(at, end))}`;
      at = end + 2;
    }
    if (headers.length >= SIP_MAX_HEADERS) {
      fail('too-many-headers');
      break;
    }
    const colon = line.indexOf(':');
    let nameEnd = Math.max(colon, 0);
    while (nameEnd > 0 && isSpace(line.charCodeAt(nameEnd - 1))) nameEnd--;
    const rawName = line.slice(0, nameEnd);
    if (!isToken(rawName)) {
      fail('header-syntax');
      continue;
    }
    const name = canonicalName(rawName);
    const value = trimSpace(line.slice(colon + 1));
    if (SINGLE_VALUED.has(name)) {
      const twice = seen.has(name);
      if (twice) fail('duplicate-header', wireName(name));
      seen.add(name);
      if (name === 'content-length') {
        contentLength = twice ? undefined : parseDigits(value, 9);
        if (contentLength === undefined) fail('content-length');
      }
    }
    headers.push({ name, value });
  }
  return { start, headers, contentLength, failure };
}

/** Joins a head and its body (exactly the announced bytes) to a message, or says why not. */
export function finishMessage(head: SipHead, body: Uint8Array): SipParseResult {
  if (head.failure !== undefined) return refusal(head, head.failure.reason, head.failure.detail);
  const start = head.start!;
  const one = firstValues(head.headers);
  for (const name of REQUIRED) {
    if (one[name] === undefined) return refusal(head, 'missing-header', wireName(name));
  }
  const via = list(head, 'via', parseVia);
  if (via === undefined || !isBranch(via[0]?.params.get('branch'))) return refusal(head, 'via');
  const from = parseNameAddr(one.from!);
  if (from === undefined || !mayHaveTag(from, via[0]!)) return refusal(head, 'from');
  const to = parseNameAddr(one.to!);
  if (to === undefined) return refusal(head, 'to');
  const callId = one['call-id']!;
  if (!isCallId(callId)) return refusal(head, 'call-id');
  const cseq = parseCseq(one.cseq!);
  if (cseq === undefined) return refusal(head, 'cseq');
  if (start.kind === 'request' && cseq.method !== start.method) return refusal(head, 'cseq-method');
  const contact =
    one.contact === '*' ? ('*' as const) : one.contact === undefined ? [] : list(head, 'contact', parseNameAddr);
  if (contact === undefined) return refusal(head, 'contact');
  const route = one.route === undefined ? [] : list(head, 'route', parseNameAddr);
  const recordRoute = one['record-route'] === undefined ? [] : list(head, 'record-route', parseNameAddr);
  if (route === undefined || recordRoute === undefined) return refusal(head, 'route');
  const maxForwardsText = one['max-forwards'];
  const maxForwards = parseDigits(maxForwardsText ?? '', 10);
  if (maxForwardsText !== undefined && (maxForwards === undefined || maxForwards > 255)) {
    return refusal(head, 'max-forwards');
  }
  const typeText = one['content-type'];
  const contentType = typeText === undefined ? undefined : parseMediaType(typeText);
  if (typeText !== undefined && contentType === undefined) return refusal(head, 'content-type');
  if (body.length > 0 && contentType === undefined) return refusal(head, 'missing-header', 'Content-Type');
  const require = one.require === undefined ? [] : list(head, 'require', optionTag);
  if (require === undefined) return refusal(head, 'require');
  if (one.date !== undefined && !isSipDate(one.date)) return refusal(head, 'date');

  const { headers } = head;
  const fields = { headers, via, from, to, callId, cseq, contact, route, recordRoute, require, body };
  const value:
    | { -readonly [K in keyof SipRequest]: SipRequest[K] }
    | { -readonly [K in keyof SipResponse]: SipResponse[K] } =
    start.kind === 'request'
      ? { kind: 'request', method: start.method, uriText: start.uriText, ...fields }
      : { kind: 'response', status: start.status, phrase: start.phrase, ...fields };
  if (value.kind === 'request' && start.kind === 'request' && start.uri !== undefined) value.uri = start.uri;
  if (maxForwards !== undefined) value.maxForwards = maxForwards;
  if (contentType !== undefined) value.contentType = contentType;
  return { ok: true, value };
}

const REQUIRED = ['via', 'from', 'to', 'call-id', 'cseq'] as const;
type Read =
  | (typeof REQUIRED)[number]
  | 'contact'
  | 'route'
  | 'record-route'
  | 'max-forwards'
  | 'content-type'
  | 'require'
  | 'date';

/** The first value of each header that the parser reads, found in one pass. */
function firstValues(headers: readonly SipHeader[]): Partial<Record<Read, string>> {
  const found: Partial<Record<Read, string>> = {};
  for (const { name, value } of headers) {
    switch (name) {
      case 'via':
      case 'from':
      case 'to':
      case 'call-id':
      case 'cseq':
      case 'contact':
      case 'route':
      case 'record-route':
      case 'max-forwards':
      case 'content-type':
      case 'require':
      case 'date':
        found[name] ??= value;
    }
  }
  return found;
}

function optionTag(tag: string): string | undefined {
  return isToken(tag) ? tag.toLowerCase() : undefined;
}

/**
 * Parses one whole message, such as a datagram. Bytes after the body that Content-Length announces are dropped, as RFC 3261
 * §18.3 wants; a body shorter than announced is refused.
 * @returns the message, or the first thing found wrong with it and whether it can be answered.
 */
export function parseSipMessage(bytes: Uint8Array): SipParseResult {
  if (bytes.length > SIP_MAX_MESSAGE_BYTES) return { ok: false, reason: 'too-large' };
  const end = findHeadEnd(bytes);
  if (end < 0) return { ok: false, reason: 'no-end-of-headers' };
  const head = parseHead(bytes.subarray(0, end));
  const length = head.contentLength ?? bytes.length - end;
  if (end + length > bytes.length) return refusal(head, head.failure?.reason ?? 'content-length');
  return finishMessage(head, bytes.slice(end, end + length));
}

/** A refusal of this head, answerable where it is a request other than ACK whose response would find its way back. */
export function refusal(head: SipHead, reason: SipRefusalReason, detail?: string): SipParseResult & { ok: false } {
  const answerable = answerableOf(head);
  return {
    ok: false,
    reason,
    ...(detail === undefined ? {} : { detail }),
    ...(answerable === undefined ? {} : { answerable }),
  };
}

function answerableOf(head: SipHead): SipAnswerable | undefined {
  if (head.start?.kind !== 'request' || head.start.method === 'ACK') return undefined;
  if (!head.headers.some((h) => h.name === 'via')) return undefined;
  return { method: head.start.method, headers: head.headers };
}

/** Undefined and those of RFC 2543 may be anything that is a parameter's value. */
function isBranch(branch: string | undefined): boolean {
  if (branch === undefined || !branch.startsWith(BRANCH_COOKIE)) return true;
  return branch.length > BRANCH_COOKIE.length && isToken(branch);
}

/** RFC 3261 §8.1.1.3: From has a tag; before it, in RFC 2543, it needed none. */
function mayHaveTag(from: SipNameAddr, via: SipVia): boolean {
  return from.params.has('tag') || !isRfc3261(via);
}

/** Whether who wrote this Via says that it knows RFC 3261 (§8.1.1.7). */
export function isRfc3261(via: SipVia): boolean {
  return via.params.get('branch')?.startsWith(BRANCH_COOKIE) === true;
}

/** All values of a list header over all its lines; undefined when one is malformed. */
function list<T>(head: SipHead, name: string, parse: (text: string) => T | undefined): readonly T[] | undefined {
  const out: T[] = [];
  for (const h of head.headers) {
    if (h.name !== name) continue;
    const values = valuesOf(h);
    if (values === undefined) return undefined;
    for (const text of values) {
      const value = parse(text);
      if (value === undefined) return undefined;
      out.push(value);
    }
  }
  return out;
}

/** First value line of a header. `name` in lower case. */
export function headerValue(message: { readonly headers: readonly SipHeader[] }, name: string): string | undefined {
  return message.headers.find((h) => h.name === name)?.value;
}

/** All comma-separated values of a header; malformed lines are left out. `name` in lower case. */
export function headerValues(message: { readonly headers: readonly SipHeader[] }, name: string): readonly string[] {
  const out: string[] = [];
  for (const h of message.headers) if (h.name === name) out.push(...(valuesOf(h) ?? []));
  return out;
}

/** Most lines have one value: no need to look for the commas that are not there. */
function valuesOf({ value }: SipHeader): readonly string[] | undefined {
  return value.includes(',') || value === '' ? splitList(value) : [value];
}

/** Writes a message and its Content-Length. Control characters in values become spaces: no text can add a line. */
export function writeSipMessage(draft: SipDraft): Uint8Array {
  let text = `${oneLine(draft.startLine)}\r\n`;
  for (const { name, value } of draft.headers) text += `${wireName(name)}: ${oneLine(value)}\r\n`;
  const { body = '' } = draft;
  text += `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const out = typeof body === 'string' ? Buffer.from(text + body) : Buffer.concat([Buffer.from(text), body]);
  return new Uint8Array(out.buffer, out.byteOffset, out.length); // a Buffer's slice is no copy
}

const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

function oneLine(value: string): string {
  if (!CONTROL.test(value) && !isSpace(value.charCodeAt(0))) return value;
  let out = '';
  let from = skipSpace(value, 0);
  for (let i = from; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if ((c >= 32 && c !== 127) || c === 9) continue;
    out += `${value.slice(from, i)} `;
    from = i + 1;
  }
  return out + value.slice(from);
}
