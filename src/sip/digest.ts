/**
 * Digest authentication (RFC 7616, in SIP RFC 3261 §22 and RFC 8760), the sums that both sides do. Credentials are kept as
 * H(user:realm:password) only: that is enough to check and to give an answer, and no password is ever stored.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../base/secret.js';

export type DigestAlgorithm = 'SHA-256' | 'MD5';

const HASH: Readonly<Record<DigestAlgorithm, 'sha256' | 'md5'>> = { 'SHA-256': 'sha256', MD5: 'md5' };

/** Hash lengths in hexadecimal digits. */
export const DIGEST_HEX_CHARS: Readonly<Record<DigestAlgorithm, number>> = { 'SHA-256': 64, MD5: 32 };

/** H(user:realm:password) for each algorithm that may be used, as ASCII hexadecimal digits in lower case. */
export type HashedCredentials = Readonly<Partial<Record<DigestAlgorithm, Secret>>>;

/** The name of RFC 7616 §3.3 in any case; undefined: not one of ours (`-sess` and SHA-512-256 are not). */
export function digestAlgorithm(name: string | undefined): DigestAlgorithm | undefined {
  const upper = (name ?? 'MD5').toUpperCase(); // §3.3: MD5 when there is none
  return upper === 'SHA-256' || upper === 'MD5' ? upper : undefined;
}

function hexHash(algorithm: DigestAlgorithm, ...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash(HASH[algorithm]);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** What is stored instead of a password (RFC 7616 §3.4.2, A1). @returns hexadecimal digits in lower case. */
export function hashCredentials(algorithm: DigestAlgorithm, user: string, realm: string, password: string): string {
  return hexHash(algorithm, `${user}:${realm}:${password}`);
}

export interface DigestSum {
  readonly algorithm: DigestAlgorithm;
  readonly method: string;
  readonly uri: string;
  readonly nonce: string;
  /** Eight hexadecimal digits as they stand in the header. */
  readonly nc: string;
  readonly cnonce: string;
  readonly qop: 'auth' | 'auth-int';
  /** Of the request, for `auth-int`. */
  readonly body?: string | Uint8Array;
}

/** RFC 7616 §3.4.1. @returns hexadecimal digits in lower case. */
export function digestResponse(ha1: Secret, sum: DigestSum): string {
  const { algorithm, method, uri, nonce, nc, cnonce, qop } = sum;
  const body = qop === 'auth-int' ? `:${hexHash(algorithm, sum.body ?? '')}` : '';
  const ha2 = hexHash(algorithm, `${method}:${uri}${body}`);
  return ha1.use((a1) => hexHash(algorithm, a1, `:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`));
}

/** Equal without telling by its time where the first difference is. */
export function sameDigest(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a.toLowerCase()), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
