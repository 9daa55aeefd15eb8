// HMAC-SHA-256 (RFC 2104, FIPS 180-4) with the state after the inner and the outer key block computed once a key, as in
// hmac_sha1.h.
#pragma once
#include <openssl/sha.h>

#include "bytes.h"

namespace claviger {

struct HmacSha256Key {
  SHA_LONG inner[8];
  SHA_LONG outer[8];
};

constexpr size_t SHA256_BYTES = 32;

// `length` at most 64.
void prepareHmac(HmacSha256Key& key, const uint8_t* secret, size_t length);

class HmacSha256 {
 public:
  explicit HmacSha256(const HmacSha256Key& key);
  HmacSha256(const HmacSha256&) = delete;
  HmacSha256& operator=(const HmacSha256&) = delete;
  void update(const uint8_t* data, size_t length) { SHA256_Update(&sha_, data, length); }
  void finish(uint8_t out[SHA256_BYTES]);

 private:
  const HmacSha256Key& key_;
  SHA256_CTX sha_;
};

}  // namespace claviger
