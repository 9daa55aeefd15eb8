/** Digest challenges and answers as header text (RFC 7616 §3.3, §3.4; RFC 3261 §25.1): shapes only, nothing is computed. */
import { isToken, quote, readQuoted, skipSpace, trimSpace } from './sip-scan.js';

/** Parameters of a `Digest` value: names lower case, values without quotes. */
export type DigestParams = ReadonlyMap<string, string>;

/** Written without quotes by RFC 7616; everything else is a quoted string. */
const BARE: ReadonlySet<string> = new Set(['algorithm', 'stale', 'nc']);

/**
 * The parameters of one WWW-Authenticate, Proxy-Authenticate, Authorization or Proxy-Authorization line of scheme Digest.
 * Undefined for another scheme, for anything malformed and for a name that stands there twice.
 */
export function parseDigest(text: string): DigestParams | undefined {
  const space = text.search(/[ \t]/);
  if (space < 0 || text.slice(0, space).toLowerCase() !== 'digest') return undefined;
  const params = new Map<string, string>();
  let at = skipSpace(text, space);
  while (at < text.length) {
    const equals = text.indexOf('=', at);
    if (equals < 0) return undefined;
    const name = trimSpace(text.slice(at, equals)).toLowerCase();
    if (!isToken(name) || params.has(name)) return undefined;
    at = skipSpace(text, equals + 1);
    if (text.charCodeAt(at) === 34) {
      const quoted = readQuoted(text, at);
      if (quoted === undefined) return undefined;
      params.set(name, quoted.value);
      at = skipSpace(text, quoted.end);
    } else {
      let end = at;
      while (end < text.length && text.charCodeAt(end) !== 44) end++;
      const value = trimSpace(text.slice(at, end));
      if (!isToken(value)) return undefined;
      params.set(name, value);
      at = end;
    }
    if (at === text.length) return params;
    if (text.charCodeAt(at) !== 44) return undefined;
    at = skipSpace(text, at + 1);
    if (at === text.length) return undefined;
  }
  return undefined;
}

/** `Digest name="value", ...` in the order given; `qop` is quoted in a challenge (a list) and bare in an answer. */
export function writeDigest(kind: 'challenge' | 'answer', params: Iterable<readonly [string, string]>): string {
  const parts = [...params].map(([name, value]) => {
    const bare = BARE.has(name) || (name === 'qop' && kind === 'answer');
    return `${name}=${bare ? value : quote(value)}`;
  });
  return `Digest ${parts.join(', ')}`;
}
