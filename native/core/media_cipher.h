// AES over media for channels whose payloads the switch does decrypt (hop-by-hop): counter mode (RFC 3711 §4.1.1, RFC 6188)
// and GCM (NIST SP 800-38D, RFC 7714), on the processor's AES and carry-less multiplication where it has them. The
// end-to-end path has no use for this file and does not include it.
#pragma once
#include <openssl/aes.h>

#include "gcm.h"

namespace claviger {

// One key's round keys and powers of the hash key, made once.
struct alignas(16) MediaCipher {
  uint8_t roundKeys[15][16];
  uint8_t hashKeys[8][16];  // H^1 to H^8, in the order of bits that the multiplication takes
  AES_KEY portable;
  int rounds;  // 10 or 14; 0: the processor has no AES, `portable` is used
};

// Whether the processor's own instructions are used.
bool hasFastAes();

// `keyBytes` 16 or 32. `fast` false: as on a processor without AES, for comparison.
void prepareCipher(MediaCipher& cipher, const uint8_t* key, size_t keyBytes, bool fast = hasFastAes());

// XORs the key stream of `counter`, whose last two bytes count blocks, onto `in`; `out` may be `in`.
void mediaCounterMode(const MediaCipher& cipher, const uint8_t counter[16], const uint8_t* in, uint8_t* out, size_t length);

// Encrypts and writes the tag; `out` may be `in`.
void mediaGcmSeal(const MediaCipher& cipher, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength,
                  const uint8_t* in, uint8_t* out, size_t length, uint8_t tag[GCM_TAG_BYTES]);

// Verifies, then decrypts in place. False: the tag is wrong, and `data` is as it was.
bool mediaGcmOpen(const MediaCipher& cipher, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength,
                  uint8_t* data, size_t length, const uint8_t tag[GCM_TAG_BYTES]);

}  // namespace claviger
