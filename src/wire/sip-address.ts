/** Host names and literal addresses (RFC 3261 §25.1, RFC 4291 §2.2), checked without a resolver. */
import { isAlphanumeric, parseDigits } from './sip-scan.js';

export function isIpv4(text: string): boolean {
  let parts = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i === text.length ? 46 : text.charCodeAt(i);
    if (c === 46 /* . */) {
      if (digits === 0 || value > 255 || (digits > 1 && text.charCodeAt(i - digits) === 48)) return false;
      parts++;
      digits = 0;
      value = 0;
    } else {
      if (c < 48 || c > 57 || digits === 3) return false;
      digits++;
      value = value * 10 + (c - 48);
    }
  }
  return parts === 4;
}

/** Without brackets and zone. */
export function isIpv6(text: string): boolean {
  if (text.length < 2 || text.length > 45) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [h, half] of halves.entries()) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [i, part] of parts.entries()) {
      const last = h === halves.length - 1 && i === parts.length - 1;
      if (last && part.includes('.')) {
        if (!isIpv4(part)) return false;
        groups += 2;
      } else {
        if (!isHexGroup(part)) return false;
        groups += 1;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

function isHexGroup(text: string): boolean {
  if (text.length === 0 || text.length > 4) return false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (!((c >= 48 && c <= 57) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102))) return false;
  }
  return true;
}

/** 4, 6, or undefined when the text is not a literal address. */
export function addressFamily(text: string): 4 | 6 | undefined {
  if (isIpv4(text)) return 4;
  return isIpv6(text) ? 6 : undefined;
}

export function isHostName(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false;
  const length = text.endsWith('.') ? text.length - 1 : text.length;
  let start = 0;
  for (let i = 0; i <= length; i++) {
    const c = i === length ? 46 : text.charCodeAt(i);
    if (c === 46 /* . */) {
      const label = i - start;
      if (label === 0 || label > 63 || text.charCodeAt(start) === 45 || text.charCodeAt(i - 1) === 45) return false;
      if (i === length) break;
      start = i + 1;
    } else if (c !== 45 && !isAlphanumeric(c)) return false;
  }
  const top = text.charCodeAt(start);
  return top < 48 || top > 57; // toplabel begins with a letter; only digits and dots is a (bad) IPv4 address
}

export interface HostPort {
  /** Lower case, no brackets. */
  readonly host: string;
  readonly port?: number;
}

/** `host [":" port]` with an IPv6 literal in brackets and no white space. Undefined when it is anything else. */
export function parseHostPort(text: string): HostPort | undefined {
  let host: string;
  let rest: string;
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return undefined;
    host = text.slice(1, close);
    if (!isIpv6(host)) return undefined;
    rest = text.slice(close + 1);
  } else {
    const colon = text.indexOf(':');
    host = colon < 0 ? text : text.slice(0, colon);
    rest = colon < 0 ? '' : text.slice(colon);
    if (!isIpv4(host) && !isHostName(host)) return undefined;
  }
  host = host.toLowerCase();
  if (rest === '') return { host };
  const port = rest.startsWith(':') ? parseDigits(rest.slice(1), 5) : undefined;
  if (port === undefined || port === 0 || port > 65_535) return undefined;
  return { host, port };
}

/** `host[:port]` with brackets where the host is an IPv6 literal. */
export function writeHostPort(host: string, port?: number): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === undefined ? name : `${name}:${port}`;
}
