// SHA-1 and SHA-256 (FIPS 180-4) and AES (FIPS 197) under the names that Node's binary exports, so that the core runs without Node.
// For tests only: slow, and its tables leak through the cache. Checked on published vectors in crypto_test.cc.
#include <openssl/aes.h>
#include <openssl/sha.h>

#include <cstdint>
#include <cstring>

namespace {

uint32_t load(const uint8_t* p) {
  return (uint32_t{p[0]} << 24) | (uint32_t{p[1]} << 16) | (uint32_t{p[2]} << 8) | p[3];
}
void store(uint8_t* p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = static_cast<uint8_t>(v >> (24 - 8 * i));
}
uint32_t rotate(uint32_t v, int n) { return (v << n) | (v >> (32 - n)); }

uint8_t doubled(uint8_t v) { return static_cast<uint8_t>((v << 1) ^ ((v & 0x80) != 0 ? 0x1b : 0)); }
uint8_t product(uint8_t a, uint8_t b) {
  uint8_t r = 0;
  for (; b != 0; b >>= 1, a = doubled(a)) r ^= (b & 1) != 0 ? a : 0;
  return r;
}

// FIPS 197 §5.1.1: the inverse in GF(2^8), then the affine map.
struct Tables {
  uint8_t box[256], inverse[256];
  uint8_t times[16][256];
  Tables() {
    for (int i = 0; i < 256; i++) {
      uint8_t inv = 0;
      for (int j = 1; j < 256 && i != 0; j++) {
        if (product(static_cast<uint8_t>(i), static_cast<uint8_t>(j)) == 1) inv = static_cast<uint8_t>(j);
      }
      uint8_t s = 0x63;
      for (int k = 0; k < 5; k++) s ^= static_cast<uint8_t>((inv << k) | (inv >> (8 - k)));
      box[i] = s;
      inverse[s] = static_cast<uint8_t>(i);
      for (int f = 0; f < 16; f++) times[f][i] = product(static_cast<uint8_t>(i), static_cast<uint8_t>(f));
    }
  }
};
const Tables& tables() {
  static const Tables t;
  return t;
}

// FIPS 180-4 §4.2.2, §5.3.3: the first 32 bits of the fractions of the cube roots and square roots of the first primes,
// found here by whole numbers: floor(root(p) · 2^32).
struct Sha256Constants {
  uint32_t round[64], initial[8];
  Sha256Constants() {
    int found = 0;
    for (uint32_t p = 2; found < 64; p++) {
      bool prime = true;
      for (uint32_t d = 2; d * d <= p; d++) prime = prime && p % d != 0;
      if (!prime) continue;
      if (found < 8) initial[found] = fraction(p, 2);
      round[found++] = fraction(p, 3);
    }
  }
  static uint32_t fraction(uint32_t p, int degree) {
    __extension__ using Wide = unsigned __int128;
    uint64_t root = 0;
    for (int bit = 36; bit >= 0; bit--) {
      const uint64_t tried = root | (uint64_t{1} << bit);
      // tried^degree <= p · 2^(32 · degree); for the cube tried^2 <= floor(p · 2^96 / tried), or it would not fit 128 bits.
      const Wide square = Wide{tried} * tried;
      const bool fits = degree == 2 ? square <= (Wide{p} << 64) : square <= (Wide{p} << 96) / tried;
      if (fits) root = tried;
    }
    return static_cast<uint32_t>(root);
  }
};
const Sha256Constants& sha256Constants() {
  static const Sha256Constants c;
  return c;
}

void addRoundKey(uint8_t s[16], const AES_KEY* key, int round) {
  for (int c = 0; c < 4; c++) {
    uint8_t word[4];
    store(word, static_cast<uint32_t>(key->rd_key[4 * round + c]));
    for (int r = 0; r < 4; r++) s[4 * c + r] ^= word[r];
  }
}

void mixColumns(uint8_t s[16], const uint8_t factors[4]) {
  const Tables& t = tables();
  for (int c = 0; c < 4; c++) {
    uint8_t column[4];
    std::memcpy(column, s + 4 * c, 4);
    for (int r = 0; r < 4; r++) {
      s[4 * c + r] = 0;
      for (int k = 0; k < 4; k++) s[4 * c + r] ^= t.times[factors[(k - r + 4) % 4]][column[k]];
    }
  }
}

void substituteAndShift(uint8_t s[16], const uint8_t box[256], int direction) {
  uint8_t from[16];
  std::memcpy(from, s, 16);
  for (int r = 0; r < 4; r++) {
    for (int c = 0; c < 4; c++) s[4 * c + r] = box[from[4 * ((c + direction * r + 4) % 4) + r]];
  }
}

}  // namespace

extern "C" {

int SHA1_Init(SHA_CTX* c) {
  std::memset(c, 0, sizeof *c);
  c->h0 = 0x67452301;
  c->h1 = 0xefcdab89;
  c->h2 = 0x98badcfe;
  c->h3 = 0x10325476;
  c->h4 = 0xc3d2e1f0;
  return 1;
}

void SHA1_Transform(SHA_CTX* c, const unsigned char* block) {
  uint32_t w[80];
  for (int i = 0; i < 16; i++) w[i] = load(block + 4 * i);
  for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  uint32_t a = c->h0, b = c->h1, d = c->h3, e = c->h4, m = c->h2;
  for (int i = 0; i < 80; i++) {
    const uint32_t f = i < 20 ? (b & m) | (~b & d) : i < 40 || i >= 60 ? b ^ m ^ d : (b & m) | (b & d) | (m & d);
    const uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
    const uint32_t next = rotate(a, 5) + f + e + k + w[i];
    e = d;
    d = m;
    m = rotate(b, 30);
    b = a;
    a = next;
  }
  c->h0 += a;
  c->h1 += b;
  c->h2 += m;
  c->h3 += d;
  c->h4 += e;
}

int SHA1_Update(SHA_CTX* c, const void* data, size_t length) {
  const auto* p = static_cast<const uint8_t*>(data);
  const uint64_t bits = ((uint64_t{c->Nh} << 32) | c->Nl) + uint64_t{length} * 8;
  c->Nl = static_cast<SHA_LONG>(bits);
  c->Nh = static_cast<SHA_LONG>(bits >> 32);
  auto* buffer = reinterpret_cast<uint8_t*>(c->data);
  while (length > 0) {
    const size_t n = length < 64 - c->num ? length : 64 - c->num;
    std::memcpy(buffer + c->num, p, n);
    p += n;
    length -= n;
    c->num += static_cast<unsigned int>(n);
    if (c->num == 64) {
      SHA1_Transform(c, buffer);
      c->num = 0;
    }
  }
  return 1;
}

int SHA1_Final(unsigned char* out, SHA_CTX* c) {
  uint8_t tail[72] = {0x80};
  const size_t padding = (c->num < 56 ? 56 : 120) - c->num;
  const uint32_t high = c->Nh, low = c->Nl;
  store(tail + padding, high);
  store(tail + padding + 4, low);
  SHA1_Update(c, tail, padding + 8);
  const uint32_t h[5] = {c->h0, c->h1, c->h2, c->h3, c->h4};
  for (int i = 0; i < 5; i++) store(out + 4 * i, h[i]);
  return 1;
}

int SHA256_Init(SHA256_CTX* c) {
  std::memset(c, 0, sizeof *c);
  std::memcpy(c->h, sha256Constants().initial, sizeof c->h);
  c->md_len = 32;
  return 1;
}

void SHA256_Transform(SHA256_CTX* c, const unsigned char* block) {
  const Sha256Constants& k = sha256Constants();
  uint32_t w[64];
  for (int i = 0; i < 16; i++) w[i] = load(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 25) ^ rotate(a, 14) ^ (a >> 3)) + w[i - 7] + (rotate(b, 15) ^ rotate(b, 13) ^ (b >> 10));
  }
  uint32_t v[8];
  std::memcpy(v, c->h, sizeof v);
  for (int i = 0; i < 64; i++) {
    const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]), majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    const uint32_t one = v[7] + (rotate(v[4], 26) ^ rotate(v[4], 21) ^ rotate(v[4], 7)) + choice + k.round[i] + w[i];
    const uint32_t two = (rotate(v[0], 30) ^ rotate(v[0], 19) ^ rotate(v[0], 10)) + majority;
    for (int j = 7; j > 0; j--) v[j] = v[j - 1];
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) c->h[i] += v[i];
}

int SHA256_Update(SHA256_CTX* c, const void* data, size_t length) {
  const auto* p = static_cast<const uint8_t*>(data);
  const uint64_t bits = ((uint64_t{c->Nh} << 32) | c->Nl) + uint64_t{length} * 8;
  c->Nl = static_cast<SHA_LONG>(bits);
  c->Nh = static_cast<SHA_LONG>(bits >> 32);
  auto* buffer = reinterpret_cast<uint8_t*>(c->data);
  while (length > 0) {
    const size_t n = length < 64 - c->num ? length : 64 - c->num;
    std::memcpy(buffer + c->num, p, n);
    p += n;
    length -= n;
    c->num += static_cast<unsigned int>(n);
    if (c->num == 64) {
      SHA256_Transform(c, buffer);
      c->num = 0;
    }
  }
  return 1;
}

int SHA256_Final(unsigned char* out, SHA256_CTX* c) {
  uint8_t tail[72] = {0x80};
  const size_t padding = (c->num < 56 ? 56 : 120) - c->num;
  const uint32_t high = c->Nh, low = c->Nl;
  store(tail + padding, high);
  store(tail + padding + 4, low);
  SHA256_Update(c, tail, padding + 8);
  for (int i = 0; i < 8; i++) store(out + 4 * i, c->h[i]);
  return 1;
}

int AES_set_encrypt_key(const unsigned char* key, int bits, AES_KEY* out) {
  const Tables& t = tables();
  const int nk = bits / 32;
  out->rounds = nk + 6;
  uint8_t rcon = 1;
  for (int i = 0; i < nk; i++) out->rd_key[i] = load(key + 4 * i);
  for (int i = nk; i < 4 * (out->rounds + 1); i++) {
    auto word = static_cast<uint32_t>(out->rd_key[i - 1]);
    if (i % nk == 0) word = rotate(word, 8);
    if (i % nk == 0 || (nk > 6 && i % nk == 4)) {
      uint8_t b[4];
      store(b, word);
      for (uint8_t& x : b) x = t.box[x];
      word = load(b);
    }
    if (i % nk == 0) {
      word ^= uint32_t{rcon} << 24;
      rcon = doubled(rcon);
    }
    out->rd_key[i] = out->rd_key[i - nk] ^ word;
  }
  return 0;
}

int AES_set_decrypt_key(const unsigned char* key, int bits, AES_KEY* out) { return AES_set_encrypt_key(key, bits, out); }

void AES_encrypt(const unsigned char* in, unsigned char* out, const AES_KEY* key) {
  constexpr uint8_t FACTORS[4] = {2, 3, 1, 1};
  uint8_t s[16];
  std::memcpy(s, in, 16);
  addRoundKey(s, key, 0);
  for (int round = 1; round <= key->rounds; round++) {
    substituteAndShift(s, tables().box, 1);
    if (round < key->rounds) mixColumns(s, FACTORS);
    addRoundKey(s, key, round);
  }
  std::memcpy(out, s, 16);
}

void AES_decrypt(const unsigned char* in, unsigned char* out, const AES_KEY* key) {
  constexpr uint8_t FACTORS[4] = {14, 11, 13, 9};
  uint8_t s[16];
  std::memcpy(s, in, 16);
  for (int round = key->rounds; round >= 1; round--) {
    addRoundKey(s, key, round);
    if (round < key->rounds) mixColumns(s, FACTORS);
    substituteAndShift(s, tables().inverse, -1);
  }
  addRoundKey(s, key, 0);
  std::memcpy(out, s, 16);
}

}  // extern "C"
