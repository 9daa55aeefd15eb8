#include "hmac_sha256.h"

namespace claviger {
namespace {

constexpr size_t BLOCK = 64;

// A context that has taken exactly one block: 512 bits counted, nothing buffered.
void resume(SHA256_CTX& c, const SHA_LONG h[8]) {
  std::memcpy(c.h, h, sizeof c.h);
  c.Nl = BLOCK * 8;
  c.Nh = 0;
  c.num = 0;
  c.md_len = SHA256_BYTES;
}

void absorb(SHA_LONG out[8], const uint8_t block[BLOCK]) {
  SHA256_CTX c;
  SHA256_Init(&c);
  SHA256_Transform(&c, block);
  std::memcpy(out, c.h, sizeof c.h);
  wipe(&c, sizeof c);
}

}  // namespace

void prepareHmac(HmacSha256Key& key, const uint8_t* secret, size_t length) {
  uint8_t block[BLOCK] = {};
  std::memcpy(block, secret, length);
  for (uint8_t& b : block) b ^= 0x36;
  absorb(key.inner, block);
  for (uint8_t& b : block) b ^= 0x36 ^ 0x5c;
  absorb(key.outer, block);
  wipe(block, sizeof block);
}

HmacSha256::HmacSha256(const HmacSha256Key& key) : key_(key) { resume(sha_, key.inner); }

void HmacSha256::finish(uint8_t out[SHA256_BYTES]) {
  uint8_t inner[SHA256_BYTES];
  SHA256_Final(inner, &sha_);
  resume(sha_, key_.outer);
  SHA256_Update(&sha_, inner, sizeof inner);
  SHA256_Final(out, &sha_);
}

}  // namespace claviger
