#include "hmac_sha1.h"

namespace claviger {
namespace {

constexpr size_t BLOCK = 64;

void save(SHA_LONG out[5], const SHA_CTX& c) {
  const SHA_LONG h[5] = {c.h0, c.h1, c.h2, c.h3, c.h4};
  std::memcpy(out, h, sizeof h);
}

// A context that has taken exactly one block: 512 bits counted, nothing buffered.
void resume(SHA_CTX& c, const SHA_LONG h[5]) {
  c.h0 = h[0];
  c.h1 = h[1];
  c.h2 = h[2];
  c.h3 = h[3];
  c.h4 = h[4];
  c.Nl = BLOCK * 8;
  c.Nh = 0;
  c.num = 0;
}

}  // namespace

void prepareHmac(HmacSha1Key& key, const uint8_t* secret, size_t length) {
  uint8_t block[BLOCK] = {};
  SHA_CTX c;
  std::memcpy(block, secret, length);
  for (uint8_t& b : block) b ^= 0x36;
  SHA1_Init(&c);
  SHA1_Transform(&c, block);
  save(key.inner, c);
  for (uint8_t& b : block) b ^= 0x36 ^ 0x5c;
  SHA1_Init(&c);
  SHA1_Transform(&c, block);
  save(key.outer, c);
  wipe(block, sizeof block);
  wipe(&c, sizeof c);
}

HmacSha1::HmacSha1(const HmacSha1Key& key) : key_(key) { resume(sha_, key.inner); }

void HmacSha1::finish(uint8_t out[SHA1_BYTES]) {
  uint8_t inner[SHA1_BYTES];
  SHA1_Final(inner, &sha_);
  resume(sha_, key_.outer);
  SHA1_Update(&sha_, inner, sizeof inner);
  SHA1_Final(out, &sha_);
}

}  // namespace claviger
