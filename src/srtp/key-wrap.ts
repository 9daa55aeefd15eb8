import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

type Key = Uint8Array | KeyObject;

/** RFC 3394 §2.2.3.1 and RFC 5649 §3: the initial values that the unwrapping checks. */
const RFC3394_IV = Uint8Array.of(0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6);
const RFC5649_IV = Uint8Array.of(0xa6, 0x59, 0x59, 0xa6);

function bits(kek: Key): number {
  return 8 * (kek instanceof Uint8Array ? kek.length : (kek.symmetricKeySize ?? 0));
}

/** One AES block in ECB: the wrapping of EKT cipher 1. `key` and `block` have 16 bytes. */
export function aesBlockEncrypt(key: Key, block: Uint8Array): Uint8Array {
  return createCipheriv('aes-128-ecb', key, null).setAutoPadding(false).update(block);
}

export function aesBlockDecrypt(key: Key, block: Uint8Array): Uint8Array {
  return createDecipheriv('aes-128-ecb', key, null).setAutoPadding(false).update(block);
}

/** RFC 3394. `data` in whole 8-byte blocks, at least two. */
export function wrapKey(kek: Key, data: Uint8Array): Uint8Array {
  return createCipheriv(`id-aes${bits(kek)}-wrap`, kek, RFC3394_IV).update(data);
}

/** RFC 3394; undefined when the integrity check fails or the length is none of its lengths. */
export function unwrapKey(kek: Key, wrapped: Uint8Array): Uint8Array | undefined {
  if (wrapped.length < 24 || wrapped.length % 8 !== 0) return undefined;
  return attempt(() => createDecipheriv(`id-aes${bits(kek)}-wrap`, kek, RFC3394_IV).update(wrapped));
}

/** RFC 5649: `data` of any length from 1. */
export function wrapKeyPadded(kek: Key, data: Uint8Array): Uint8Array {
  return createCipheriv(`id-aes${bits(kek)}-wrap-pad`, kek, RFC5649_IV).update(data);
}

/** RFC 5649; undefined when the integrity check fails or the length is none of its lengths. */
export function unwrapKeyPadded(kek: Key, wrapped: Uint8Array): Uint8Array | undefined {
  if (wrapped.length < 16 || wrapped.length % 8 !== 0) return undefined;
  return attempt(() => createDecipheriv(`id-aes${bits(kek)}-wrap-pad`, kek, RFC5649_IV).update(wrapped));
}

/** OpenSSL reports a failed integrity check of an unwrapping as an error; here it is a verdict. */
function attempt(unwrap: () => Uint8Array): Uint8Array | undefined {
  try {
    return unwrap();
  } catch {
    return undefined;
  }
}
