// AES-GCM (NIST SP 800-38D) for RTCP only: a few packets a second, so small and without tables that depend on secrets
// rather than fast. Media never passes here.
#pragma once
#include <openssl/aes.h>

#include "bytes.h"

namespace claviger {

constexpr size_t GCM_TAG_BYTES = 16;
constexpr size_t GCM_IV_BYTES = 12;

// Encrypts `data` in place and writes the tag.
void gcmSeal(const AES_KEY& key, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength, uint8_t* data,
             size_t length, uint8_t tag[GCM_TAG_BYTES]);

// False, and `data` untouched, when the tag does not verify.
bool gcmOpen(const AES_KEY& key, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength, uint8_t* data,
             size_t length, const uint8_t tag[GCM_TAG_BYTES]);

// Whether the tag verifies; nothing is decrypted.
bool gcmVerify(const AES_KEY& key, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength,
               const uint8_t* data, size_t length, const uint8_t tag[GCM_TAG_BYTES]);

}  // namespace claviger
