#include "gcm.h"

namespace claviger {
namespace {

struct Block {
  uint64_t high = 0, low = 0;
};

uint64_t get64(const uint8_t* p) { return (uint64_t{get32(p)} << 32) | get32(p + 4); }
void put64(uint8_t* p, uint64_t v) {
  put32(p, static_cast<uint32_t>(v >> 32));
  put32(p + 4, static_cast<uint32_t>(v));
}

// SP 800-38D §6.3, with masks in place of branches.
Block multiply(Block x, Block y) {
  Block z;
  for (int i = 0; i < 128; i++) {
    const uint64_t bit = i < 64 ? x.high >> (63 - i) : x.low >> (127 - i);
    const uint64_t take = uint64_t{0} - (bit & 1);
    z.high ^= y.high & take;
    z.low ^= y.low & take;
    const uint64_t reduce = uint64_t{0} - (y.low & 1);
    y.low = (y.low >> 1) | (y.high << 63);
    y.high = (y.high >> 1) ^ (0xe100000000000000u & reduce);
  }
  return z;
}

class Ghash {
 public:
  explicit Ghash(const AES_KEY& key) {
    uint8_t h[16] = {};
    AES_encrypt(h, h, &key);
    h_ = {get64(h), get64(h + 8)};
  }
  ~Ghash() { wipe(this, sizeof *this); }

  void update(const uint8_t* data, size_t length) {
    for (size_t at = 0; at < length; at += 16) {
      uint8_t block[16] = {};
      std::memcpy(block, data + at, length - at < 16 ? length - at : 16);
      mix({get64(block), get64(block + 8)});
    }
  }

  Block finish(size_t aadLength, size_t length) {
    mix({uint64_t{aadLength} * 8, uint64_t{length} * 8});
    return y_;
  }

 private:
  void mix(Block b) { y_ = multiply({y_.high ^ b.high, y_.low ^ b.low}, h_); }
  Block h_, y_;
};

void computeTag(const AES_KEY& key, const uint8_t* iv, const uint8_t* aad, size_t aadLength, const uint8_t* data,
                size_t length, uint8_t tag[GCM_TAG_BYTES]) {
  Ghash ghash(key);
  ghash.update(aad, aadLength);
  ghash.update(data, length);
  const Block s = ghash.finish(aadLength, length);
  uint8_t first[16] = {};
  std::memcpy(first, iv, GCM_IV_BYTES);
  first[15] = 1;
  AES_encrypt(first, tag, &key);
  uint8_t hash[16];
  put64(hash, s.high);
  put64(hash + 8, s.low);
  for (size_t i = 0; i < 16; i++) tag[i] ^= hash[i];
}

void crypt(const AES_KEY& key, const uint8_t* iv, uint8_t* data, size_t length) {
  uint8_t counter[16];
  std::memcpy(counter, iv, GCM_IV_BYTES);
  for (size_t at = 0; at < length; at += 16) {
    put32(counter + 12, static_cast<uint32_t>(2 + at / 16));
    uint8_t stream[16];
    AES_encrypt(counter, stream, &key);
    for (size_t i = 0; i < 16 && at + i < length; i++) data[at + i] ^= stream[i];
  }
}

}  // namespace

void gcmSeal(const AES_KEY& key, const uint8_t* iv, const uint8_t* aad, size_t aadLength, uint8_t* data, size_t length,
             uint8_t tag[GCM_TAG_BYTES]) {
  crypt(key, iv, data, length);
  computeTag(key, iv, aad, aadLength, data, length, tag);
}

bool gcmVerify(const AES_KEY& key, const uint8_t* iv, const uint8_t* aad, size_t aadLength, const uint8_t* data,
               size_t length, const uint8_t tag[GCM_TAG_BYTES]) {
  uint8_t expected[GCM_TAG_BYTES];
  computeTag(key, iv, aad, aadLength, data, length, expected);
  return equalSecret(expected, tag, GCM_TAG_BYTES);
}

bool gcmOpen(const AES_KEY& key, const uint8_t* iv, const uint8_t* aad, size_t aadLength, uint8_t* data, size_t length,
             const uint8_t tag[GCM_TAG_BYTES]) {
  if (!gcmVerify(key, iv, aad, aadLength, data, length, tag)) return false;
  crypt(key, iv, data, length);
  return true;
}

}  // namespace claviger
