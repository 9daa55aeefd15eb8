/** AES-GCM for SRTP and SRTCP (RFC 7714): session keys, IVs, sealing and opening. */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { concat, writeU16, writeU32 } from '../base/bytes.js';
import { toKeyObject } from './aes-cm.js';
import { deriveKey, LABEL } from './kdf.js';

export const GCM_TAG_BYTES = 16;
const GCM_SALT_BYTES = 12;

export interface GcmSession {
  readonly cipher: KeyObject;
  /** 12 bytes. */
  readonly salt: Uint8Array;
}

/** RFC 7714 §11. @param masterKey 16 or 32 bytes @param masterSalt 12 bytes */
export function deriveGcmSession(masterKey: Uint8Array, masterSalt: Uint8Array, kind: 'rtp' | 'rtcp'): GcmSession {
  const [cipher, salt] = kind === 'rtp' ? [LABEL.rtpCipher, LABEL.rtpSalt] : [LABEL.rtcpCipher, LABEL.rtcpSalt];
  return {
    cipher: toKeyObject(deriveKey(masterKey, masterSalt, cipher, masterKey.length)),
    salt: deriveKey(masterKey, masterSalt, salt, GCM_SALT_BYTES),
  };
}

/** RFC 7714 §8.1: 00 00 ‖ SSRC ‖ ROC ‖ sequence number, XOR salt. */
export function gcmRtpIv(salt: Uint8Array, ssrc: number, roc: number, sequence: number): Uint8Array {
  const iv = new Uint8Array(GCM_SALT_BYTES);
  writeU32(iv, 2, ssrc);
  writeU32(iv, 6, roc);
  writeU16(iv, 10, sequence);
  return xor(iv, salt);
}

/** RFC 7714 §9.1: 00 00 ‖ SSRC ‖ 00 00 ‖ 0 ‖ SRTCP index, XOR salt. */
export function gcmRtcpIv(salt: Uint8Array, ssrc: number, index: number): Uint8Array {
  const iv = new Uint8Array(GCM_SALT_BYTES);
  writeU32(iv, 2, ssrc);
  writeU32(iv, 8, index);
  return xor(iv, salt);
}

function xor(iv: Uint8Array, salt: Uint8Array): Uint8Array {
  for (let i = 0; i < GCM_SALT_BYTES; i++) iv[i]! ^= salt[i]!;
  return iv;
}

function algorithm(key: KeyObject): 'aes-128-gcm' | 'aes-256-gcm' {
  return key.symmetricKeySize === 32 ? 'aes-256-gcm' : 'aes-128-gcm';
}

/** Ciphertext ‖ tag. */
export function gcmSeal(session: GcmSession, iv: Uint8Array, aad: Uint8Array, plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv(algorithm(session.cipher), session.cipher, iv, { authTagLength: GCM_TAG_BYTES });
  cipher.setAAD(aad);
  const sealed = cipher.update(plain);
  cipher.final();
  return concat(sealed, cipher.getAuthTag());
}

/** `sealed` is ciphertext ‖ tag, at least a tag long; undefined when the tag does not verify. */
export function gcmOpen(
  session: GcmSession,
  iv: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const end = sealed.length - GCM_TAG_BYTES;
  const decipher = createDecipheriv(algorithm(session.cipher), session.cipher, iv, { authTagLength: GCM_TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return plain;
  } catch {
    // OpenSSL reports a wrong tag as an error; here it is a verdict, and the plaintext is not given out.
    return undefined;
  }
}
