/** AES counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1), and its session keys. */
import { createCipheriv, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { writeU16, writeU32 } from '../base/bytes.js';
import { deriveKey, LABEL } from './kdf.js';

const AUTH_KEY_BYTES = 20;
const SESSION_SALT_BYTES = 14;

/** Keys of one direction and kind (RTP or RTCP), held as OpenSSL objects so that a packet costs no key set-up of ours. */
export interface CmSession {
  readonly cipher: KeyObject;
  readonly salt: Uint8Array;
  readonly auth: KeyObject;
}

/** @param masterKey 16 or 32 bytes @param masterSalt 14 bytes */
export function deriveCmSession(masterKey: Uint8Array, masterSalt: Uint8Array, kind: 'rtp' | 'rtcp'): CmSession {
  const [cipher, auth, salt] =
    kind === 'rtp'
      ? [LABEL.rtpCipher, LABEL.rtpAuth, LABEL.rtpSalt]
      : [LABEL.rtcpCipher, LABEL.rtcpAuth, LABEL.rtcpSalt];
  return {
    cipher: toKeyObject(deriveKey(masterKey, masterSalt, cipher, masterKey.length)),
    salt: deriveKey(masterKey, masterSalt, salt, SESSION_SALT_BYTES),
    auth: toKeyObject(deriveKey(masterKey, masterSalt, auth, AUTH_KEY_BYTES)),
  };
}

/** Takes the bytes over: they are wiped. */
export function toKeyObject(bytes: Uint8Array): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

/** RFC 3711 §4.1.1: (salt · 2^16) XOR (SSRC · 2^64) XOR (index · 2^16). `index` has at most 48 bits. */
export function cmCounter(salt: Uint8Array, ssrc: number, index: number): Uint8Array {
  const counter = new Uint8Array(16);
  writeU32(counter, 4, ssrc);
  writeU16(counter, 8, Math.floor(index / 0x100000000));
  writeU32(counter, 10, index >>> 0);
  for (let i = 0; i < SESSION_SALT_BYTES; i++) counter[i]! ^= salt[i]!;
  return counter;
}

/** Encrypts or decrypts (the same). */
export function aesCm(session: CmSession, ssrc: number, index: number, data: Uint8Array): Uint8Array {
  if (data.length === 0) return data;
  const name = session.cipher.symmetricKeySize === 32 ? 'aes-256-ctr' : 'aes-128-ctr';
  const out = createCipheriv(name, session.cipher, cmCounter(session.salt, ssrc, index)).update(data);
  // A plain array: a Buffer's slice() would share memory where callers expect a copy.
  return new Uint8Array(out.buffer, out.byteOffset, out.length);
}

/** HMAC-SHA1 over the concatenation, all 20 bytes; users take the first 10. */
export function hmacSha1(key: KeyObject, first: Uint8Array, second: Uint8Array): Uint8Array {
  return createHmac('sha1', key).update(first).update(second).digest();
}
