/** One spelling an address: the same address can be written in several ways (RFC 5952 §2), and a peer may own many. */
import { isIpv4, isIpv6 } from './sip-address.js';

/** IPv4 as dotted decimal, also where it is mapped into IPv6 (RFC 4291 §2.5.5.2); IPv6 as 32 hex digits; other text in lower case. */
export function addressKey(address: string): string {
  if (isIpv4(address) || !isIpv6(address)) return address.toLowerCase();
  const halves = address.split('::').map(groupsOf);
  const [head, tail = []] = halves;
  const groups = [...head!, ...Array<string>(8 - head!.length - tail.length).fill('0000'), ...tail];
  if (!/^0{20}ffff/.test(groups.join(''))) return groups.join('');
  const bytes = (group: string): string =>
    `${Number.parseInt(group.slice(0, 2), 16)}.${Number.parseInt(group.slice(2), 16)}`;
  return `${bytes(groups[6]!)}.${bytes(groups[7]!)}`;
}

/** In `c=` the old way to say that nothing is to be sent (RFC 3264 §8.4), or with ICE that nothing is known yet (RFC 8840 §4.1.1). */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** The part of an address that costs money: one IPv4 address, or a /64 of IPv6, which is what one customer gets (RFC 6177). */
export function addressOwner(address: string): string {
  const key = addressKey(address);
  return isIpv4(key) || key.length !== 32 ? key : `${key.slice(0, 16)}/64`;
}

function groupsOf(half: string): string[] {
  if (half === '') return [];
  return half.split(':').flatMap((part) => {
    if (!part.includes('.')) return [part.toLowerCase().padStart(4, '0')];
    const [a, b, c, d] = part.split('.').map((n) => Number(n).toString(16).padStart(2, '0'));
    return [`${a}${b}`, `${c}${d}`];
  });
}
