/** Scanning of header text by hand: every function is one pass over its input, so hostile text costs no more than its length. */
import type { SipParams } from './sip-types.js';

const TOKEN = 1;
const USER = 2;
const URI_PARAM = 4;
const URI_HEADER = 8;
const WORD = 16;
const GEN_VALUE = 32;
const ALNUM = 64;

const ALNUM_TEXT = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const UNRESERVED = `${ALNUM_TEXT}-_.!~*'()`;

/** RFC 3261 §25.1, one bit a set; `%` is not in any URI set: escapes are checked where they stand. */
const CLASS = new Uint8Array(128);
const sets: readonly (readonly [number, string])[] = [
  [ALNUM, ALNUM_TEXT],
  [TOKEN, `${ALNUM_TEXT}-.!%*_+\`'~`],
  [WORD, `${ALNUM_TEXT}-.!%*_+\`'~()<>:\\"/[]?{}`],
  [GEN_VALUE, `${ALNUM_TEXT}-.!%*_+\`'~[]:`],
  [USER, `${UNRESERVED}&=+$,;?/`],
  [URI_PARAM, `${UNRESERVED}[]/:&+$`],
  [URI_HEADER, `${UNRESERVED}[]/?:+$=&`],
];
for (const [bit, characters] of sets) {
  for (let i = 0; i < characters.length; i++) CLASS[characters.charCodeAt(i)]! |= bit;
}

function allOf(text: string, bit: number): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 127 || (CLASS[c]! & bit) === 0) return false;
  }
  return true;
}

function isHexDigit(c: number): boolean {
  return (c >= 48 && c <= 57) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102);
}

function allOrEscaped(text: string, bit: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 37 /* % */) {
      if (!isHexDigit(text.charCodeAt(i + 1)) || !isHexDigit(text.charCodeAt(i + 2))) return false;
      i += 2;
    } else if (c > 127 || (CLASS[c]! & bit) === 0) {
      return false;
    }
  }
  return text.length > 0;
}

export const isToken = (text: string): boolean => allOf(text, TOKEN);
export const isWord = (text: string): boolean => allOf(text, WORD);
export const isAlphanumeric = (c: number): boolean => c < 128 && (CLASS[c]! & ALNUM) !== 0;
export const isUriUser = (text: string): boolean => allOrEscaped(text, USER);
export const isUriParam = (text: string): boolean => allOrEscaped(text, URI_PARAM);
export const isUriHeaders = (text: string): boolean => allOrEscaped(text, URI_HEADER);

/** 1 to `maxDigits` decimal digits as a number; undefined for anything else. */
export function parseDigits(text: string, maxDigits: number): number | undefined {
  if (text.length === 0 || text.length > maxDigits) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 48 || c > 57) return undefined;
    value = value * 10 + (c - 48);
  }
  return value;
}

export function isSpace(c: number): boolean {
  return c === 32 || c === 9;
}

/** Index of the first character at or after `at` that is neither space nor tab. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  while (i < text.length && isSpace(text.charCodeAt(i))) i++;
  return i;
}

export function trimSpace(text: string): string {
  const start = skipSpace(text, 0);
  let end = text.length;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * Reads the quoted-string that begins at `at` (a double quote).
 * @returns its text without quotes and backslashes and the index after the closing quote; undefined when it is not closed.
 */
export function readQuoted(text: string, at: number): { readonly value: string; readonly end: number } | undefined {
  const close = closingQuote(text, at);
  if (close < 0) return undefined;
  const raw = text.slice(at + 1, close);
  if (!raw.includes('\\')) return { value: raw, end: close + 1 };
  let value = '';
  for (let i = 0; i < raw.length; i++) {
    if (raw.charCodeAt(i) === 92) i++;
    value += raw.charAt(i);
  }
  return { value, end: close + 1 };
}

/** A control character may stand in a quoted-string after a backslash only (RFC 3261 §25.1, quoted-pair). */
function closingQuote(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 92 /* \ */) i++;
    else if (c === 34) return i;
    else if ((c < 32 && c !== 9) || c === 127) return -1;
  }
  return -1;
}

/** A quoted-string (RFC 3261 §25.1); control characters become spaces, so no text can end the line it stands in. */
export function quote(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 34 || c === 92) out += '\\';
    out += c < 32 || c === 127 ? ' ' : text.charAt(i);
  }
  return `${out}"`;
}

/** Splits at commas outside quotes and angle brackets. Undefined when either is not closed or an element is empty. */
export function splitList(value: string): string[] | undefined {
  const out: string[] = [];
  let start = 0;
  let inAngle = false;
  for (let i = 0; i <= value.length; i++) {
    const c = i === value.length ? 44 : value.charCodeAt(i);
    if (i < value.length && inAngle) {
      if (c === 62 /* > */) inAngle = false;
    } else if (c === 34) {
      const close = closingQuote(value, i);
      if (close < 0) return undefined;
      i = close;
    } else if (c === 60 /* < */) {
      inAngle = true;
    } else if (c === 44 /* , */) {
      const element = trimSpace(value.slice(start, i));
      if (element === '') return undefined;
      out.push(element);
      start = i + 1;
    }
  }
  return inAngle ? undefined : out;
}

/**
 * Header parameters `*( SEMI name [ EQUAL value ] )` from `at` to the end of the text. Values are tokens, hosts or quoted
 * strings (given without quotes). Undefined for anything else, and for a name that appears twice.
 */
export function parseHeaderParams(text: string, at: number): SipParams | undefined {
  const params = new Map<string, string>();
  let i = skipSpace(text, at);
  while (i < text.length) {
    if (text.charCodeAt(i) !== 59 /* ; */) return undefined;
    i = skipSpace(text, i + 1);
    let end = i;
    while (end < text.length && !isParamEnd(text.charCodeAt(end))) end++;
    const name = text.slice(i, end).toLowerCase();
    if (!isToken(name) || params.has(name)) return undefined;
    i = skipSpace(text, end);
    let value = '';
    if (text.charCodeAt(i) === 61 /* = */) {
      i = skipSpace(text, i + 1);
      if (text.charCodeAt(i) === 34) {
        const quoted = readQuoted(text, i);
        if (quoted === undefined) return undefined;
        value = quoted.value;
        i = quoted.end;
      } else {
        end = i;
        while (end < text.length && !isParamEnd(text.charCodeAt(end))) end++;
        value = text.slice(i, end);
        if (!allOf(value, GEN_VALUE)) return undefined;
        i = end;
      }
      i = skipSpace(text, i);
    }
    params.set(name, value);
  }
  return params;
}

function isParamEnd(c: number): boolean {
  return c === 59 || c === 61 || isSpace(c);
}
