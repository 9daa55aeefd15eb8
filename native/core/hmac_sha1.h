// HMAC-SHA1 (RFC 2104) with the state after the inner and the outer key block computed once a key: two compressions less
// a packet, and no key bytes kept.
#pragma once
#include <openssl/sha.h>

#include "bytes.h"

namespace claviger {

struct HmacSha1Key {
  SHA_LONG inner[5];
  SHA_LONG outer[5];
};

constexpr size_t SHA1_BYTES = 20;

// `length` at most 64.
void prepareHmac(HmacSha1Key& key, const uint8_t* secret, size_t length);

class HmacSha1 {
 public:
  explicit HmacSha1(const HmacSha1Key& key);
  HmacSha1(const HmacSha1&) = delete;
  HmacSha1& operator=(const HmacSha1&) = delete;
  void update(const uint8_t* data, size_t length) { SHA1_Update(&sha_, data, length); }
  void finish(uint8_t out[SHA1_BYTES]);

 private:
  const HmacSha1Key& key_;
  SHA_CTX sha_;
};

}  // namespace claviger
