/** Host names and literal addresses (RFC 3261 §25.1, RFC 4291 §2.2), checked without a resolver. */
import { isAlphanumeric, parseDigits } from './sip-scan.js';

export function isIpv4(text: string): boolean {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return false;
  return parts.every((p) => {
    const n = parseDigits(p, 3);
    return n !== undefined && n <= 255 && (p.length === 1 || p.charAt(0) !== '0');
  });
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
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.');
  for (const label of labels) {
    if (label.length === 0 || label.length > 63 || label.startsWith('-') || label.endsWith('-')) return false;
    if (!isAlphanumeric(label.replaceAll('-', 'a'))) return false;
  }
  const top = labels[labels.length - 1]!.charCodeAt(0);
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
