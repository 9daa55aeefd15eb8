import { createCipheriv } from 'node:crypto';

/** RFC 3711 §4.3.1: what each derived key is for. */
export const LABEL = { rtpCipher: 0, rtpAuth: 1, rtpSalt: 2, rtcpCipher: 3, rtcpAuth: 4, rtcpSalt: 5 } as const;
export type Label = (typeof LABEL)[keyof typeof LABEL];

/**
 * RFC 3711 §4.3 and RFC 6188 §3: AES counter mode keyed with the master key, key derivation rate 0.
 * @param masterKey 16 or 32 bytes
 * @param masterSalt 14 bytes, or 12 (RFC 7714 §11), which are followed by two zero bytes
 * @param bytes how many to derive
 */
export function deriveKey(masterKey: Uint8Array, masterSalt: Uint8Array, label: Label, bytes: number): Uint8Array {
  const counter = new Uint8Array(16);
  counter.set(masterSalt);
  // key_id is label ‖ 48-bit index (0), aligned with the end of the 14-byte salt.
  counter[7]! ^= label;
  const name = masterKey.length === 32 ? 'aes-256-ctr' : 'aes-128-ctr';
  return createCipheriv(name, masterKey, counter).update(new Uint8Array(bytes));
}
