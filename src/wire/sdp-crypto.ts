/**
 * Security descriptions, `a=crypto` (RFC 4568 §4, §9.1): SRTP keys inside SDP, for signalling over TLS only. What would take
 * protection away (UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP, UNAUTHENTICATED_SRTP) is never accepted.
 */
import { type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';
import type { SdpMedia } from './sdp-types.js';
import { parseDigits } from './sip-scan.js';

/**
 * RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.1: bytes of master key and master salt. `profile`: DTLS-SRTP's number of the same
 * transforms, and for what SDES alone can name the relay's own.
 */
export const SDES_SUITES = {
  AEAD_AES_256_GCM: { keyBytes: 32, saltBytes: 12, profile: 0x0008 },
  AEAD_AES_128_GCM: { keyBytes: 16, saltBytes: 12, profile: 0x0007 },
  AES_256_CM_HMAC_SHA1_80: { keyBytes: 32, saltBytes: 14, profile: 0x1001 },
  AES_256_CM_HMAC_SHA1_32: { keyBytes: 32, saltBytes: 14, profile: 0x1002 },
  AES_CM_128_HMAC_SHA1_80: { keyBytes: 16, saltBytes: 14, profile: 0x0001 },
  AES_CM_128_HMAC_SHA1_32: { keyBytes: 16, saltBytes: 14, profile: 0x0002 },
} as const;
export type SdesSuite = keyof typeof SDES_SUITES;
export const SDES_SUITE_NAMES = Object.keys(SDES_SUITES) as readonly SdesSuite[];

export interface SdesCrypto {
  /** Names the line in the answer (RFC 4568 §4.1). */
  readonly tag: number;
  readonly suite: SdesSuite;
  /** Master key ‖ master salt of what the sender of this SDP sends. */
  readonly keyAndSalt: Secret;
}

export type SdesRefusal =
  | 'syntax'
  | 'unknown-suite'
  | 'unknown-key-method'
  | 'several-keys'
  | 'key-length'
  | 'master-key-identifier'
  | 'session-parameter';

/** Parameters that change nothing of what we send or accept. */
const HARMLESS_PARAMETER = /^(-.*|KDR=0|WSH=\d{1,5})$/;

/** @param value what follows `a=crypto:`. A line that is refused is one that the offerer may not be answered with. */
export function parseCrypto(value: string): Result<SdesCrypto, SdesRefusal> {
  const [tagText, suiteText, keyText, ...parameters] = value.split(' ').filter((word) => word !== '');
  const tag = parseDigits(tagText ?? '', 9);
  if (tag === undefined || keyText === undefined) return refuse('syntax');
  if (!Object.hasOwn(SDES_SUITES, suiteText ?? '')) return refuse('unknown-suite');
  const suite = suiteText as SdesSuite;
  if (keyText.includes(';')) return refuse('several-keys');
  if (!keyText.startsWith('inline:')) return refuse('unknown-key-method');
  const [key, ...rest] = keyText.slice('inline:'.length).split('|');
  // lifetime without, master key identifier with a colon: `|2^20|1:4`
  if (rest.some((piece) => piece.includes(':'))) return refuse('master-key-identifier');
  if (rest.length > 1 || !rest.every((piece) => /^(2\^\d{1,2}|\d{1,15})$/.test(piece))) return refuse('syntax');
  if (!parameters.every((p) => HARMLESS_PARAMETER.test(p))) return refuse('session-parameter');
  const keyAndSalt = decodeKey(key!, SDES_SUITES[suite].keyBytes + SDES_SUITES[suite].saltBytes);
  return keyAndSalt === undefined ? refuse('key-length') : { ok: true, value: { tag, suite, keyAndSalt } };
}

/** Base64, with or without its padding, of exactly this many bytes. */
function decodeKey(text: string, byteCount: number): Secret | undefined {
  const body = text.replace(/=+$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(body) || body.length !== Math.ceil((byteCount * 4) / 3)) return undefined;
  const decoded = Buffer.from(body, 'base64');
  const secret = Secret.copyOf(decoded);
  decoded.fill(0); // it lies in memory that others are given next
  return secret;
}

/**
 * The m-line's acceptable lines, in its order of preference. Others are passed over (RFC 4568 §5.1.2), and of two with one tag
 * neither counts (§5.1.1).
 */
export function cryptos(media: SdpMedia): readonly SdesCrypto[] {
  const parsed: SdesCrypto[] = [];
  for (const { name, value = '' } of media.attributes) {
    const result = name === 'crypto' ? parseCrypto(value) : undefined;
    if (result?.ok === true) parsed.push(result.value);
  }
  return parsed.filter((one) => parsed.every((other) => other === one || other.tag !== one.tag));
}

/** What follows `a=crypto:`. The text holds the key: it belongs into an SDP over TLS, and nowhere else. */
export function writeCrypto(crypto: SdesCrypto): string {
  const key = crypto.keyAndSalt.use((bytes) => Buffer.from(bytes).toString('base64'));
  return `${crypto.tag} ${crypto.suite} inline:${key}`;
}

/**
 * The line of an offer that an answer took.
 * @param answer the m-line of the answer, and what {@link cryptos} gave of it
 * @returns `not-offered` for a tag, or a suite under this tag, that the offer did not hold: somebody else's keys (RFC 4568
 *   §5.1.3), and for a key that is the offer's own: it would take back as the peer's what we send ourselves. Undefined when
 *   the answer has no acceptable line, or more than one.
 */
export function takenCrypto(
  offered: readonly SdesCrypto[],
  answer: SdpMedia,
  [theirs]: readonly SdesCrypto[],
): SdesCrypto | 'not-offered' | undefined {
  const lines = answer.attributes.filter((a) => a.name === 'crypto');
  if (lines.length !== 1 || theirs === undefined) return undefined;
  const ours = offered.find((one) => one.tag === theirs.tag);
  return ours?.suite === theirs.suite && !ours.keyAndSalt.equals(theirs.keyAndSalt) ? ours : 'not-offered';
}
