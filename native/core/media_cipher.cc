#include "media_cipher.h"

#include "srtp_kdf.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define CLAVIGER_FAST_AES 1
#define WITH_AES __attribute__((target("aes,pclmul,ssse3,sse4.1")))
#else
#define CLAVIGER_FAST_AES 0
#endif

namespace claviger {

bool hasFastAes() {
#if CLAVIGER_FAST_AES
  static const bool has = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
                          __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
  return has;
#else
  return false;
#endif
}

#if CLAVIGER_FAST_AES
namespace {

constexpr size_t LANES = 8;  // blocks in flight: enough to hide the latency of one AES round

inline __m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline void store(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

// FIPS 197 §5.2. Word arithmetic with the processor's S-box: AESKEYGENASSIST of a register full of one word.
WITH_AES uint32_t subWord(uint32_t w) {
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(_mm_set1_epi32(static_cast<int>(w)), 0)));
}

WITH_AES void expandKey(MediaCipher& c, const uint8_t* key, size_t keyBytes) {
  uint32_t words[60];
  const size_t n = keyBytes / 4;
  const size_t total = 4 * (static_cast<size_t>(c.rounds) + 1);
  std::memcpy(words, key, keyBytes);  // words as the processor stores them: the first byte lowest
  uint32_t round = 1;
  for (size_t i = n; i < total; i++) {
    uint32_t t = words[i - 1];
    if (i % n == 0) {
      t = subWord(t);
      t = ((t >> 8) | (t << 24)) ^ round;
      round = (round << 1) ^ ((round & 0x80) != 0 ? 0x11b : 0);
    } else if (n > 6 && i % n == 4) {
      t = subWord(t);
    }
    words[i] = words[i - n] ^ t;
  }
  std::memcpy(c.roundKeys, words, total * 4);
  wipe(words, sizeof words);
}

// `n` blocks side by side.
template <size_t n>
WITH_AES inline __attribute__((always_inline)) void encrypt(const MediaCipher& c, __m128i b[n]) {
  const __m128i first = load(c.roundKeys[0]);
  for (size_t i = 0; i < n; i++) b[i] = _mm_xor_si128(b[i], first);
  for (int r = 1; r < c.rounds; r++) {
    const __m128i k = load(c.roundKeys[r]);
    for (size_t i = 0; i < n; i++) b[i] = _mm_aesenc_si128(b[i], k);
  }
  const __m128i last = load(c.roundKeys[c.rounds]);
  for (size_t i = 0; i < n; i++) b[i] = _mm_aesenclast_si128(b[i], last);
}

// The counter block `index` blocks on: a 32-bit big-endian count at the end, which for SRTP's counter mode, where it is one
// of 16 bits that starts at 0, never carries (a packet has fewer than 65,536 blocks).
WITH_AES inline __attribute__((always_inline)) __m128i counterAt(__m128i base, uint32_t first, uint32_t index) {
  return _mm_insert_epi32(base, static_cast<int>(__builtin_bswap32(first + index)), 3);
}

WITH_AES void fastCounter(const MediaCipher& c, const uint8_t counter[16], const uint8_t* in, uint8_t* out, size_t length) {
  const __m128i base = load(counter);
  const uint32_t first = get32(counter + 12);
  uint32_t block = 0;
  size_t at = 0;
  for (; length - at >= LANES * 16; at += LANES * 16, block += LANES) {
    __m128i b[LANES];
    for (uint32_t i = 0; i < LANES; i++) b[i] = counterAt(base, first, block + i);
    encrypt<LANES>(c, b);
    for (size_t i = 0; i < LANES; i++) store(out + at + 16 * i, _mm_xor_si128(b[i], load(in + at + 16 * i)));
  }
  if (at == length) return;
  // The rest in one go as well: up to LANES blocks, the last one in part.
  alignas(16) uint8_t stream[LANES * 16];
  __m128i b[LANES];
  for (uint32_t i = 0; i < LANES; i++) b[i] = counterAt(base, first, block + i);
  if (length - at > LANES * 8) {
    encrypt<LANES>(c, b);
  } else {
    encrypt<LANES / 2>(c, b);
  }
  for (size_t i = 0; i < LANES; i++) store(stream + 16 * i, b[i]);
  for (size_t i = 0; at < length; i++, at++) out[at] = in[at] ^ stream[i];
  wipe(stream, sizeof stream);
}

WITH_AES inline __attribute__((always_inline)) __m128i swapBytes(__m128i v) {
  return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

// A product before reduction: 256 bits.
struct Product {
  __m128i low, high;
};

WITH_AES inline __attribute__((always_inline)) void accumulate(Product& p, __m128i a, __m128i b) {
  const __m128i low = _mm_clmulepi64_si128(a, b, 0x00);
  const __m128i high = _mm_clmulepi64_si128(a, b, 0x11);
  const __m128i middle = _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x10), _mm_clmulepi64_si128(a, b, 0x01));
  p.low = _mm_xor_si128(p.low, _mm_xor_si128(low, _mm_slli_si128(middle, 8)));
  p.high = _mm_xor_si128(p.high, _mm_xor_si128(high, _mm_srli_si128(middle, 8)));
}

// GCM numbers bits from the left, the multiplication from the right: the product is one bit short, so it is shifted left by
// one, then taken modulo x^128 + x^7 + x^2 + x + 1.
WITH_AES inline __attribute__((always_inline)) __m128i reduce(Product p) {
  const __m128i lowCarry = _mm_srli_epi64(p.low, 63);
  const __m128i highCarry = _mm_srli_epi64(p.high, 63);
  const __m128i across = _mm_srli_si128(lowCarry, 8);
  __m128i low = _mm_or_si128(_mm_slli_epi64(p.low, 1), _mm_slli_si128(lowCarry, 8));
  __m128i high = _mm_or_si128(_mm_slli_epi64(p.high, 1), _mm_or_si128(_mm_slli_si128(highCarry, 8), across));
  // Fold the low half in: multiplied by x^-128, in two steps of 64 bits.
  __m128i t = _mm_xor_si128(_mm_slli_epi64(low, 63), _mm_xor_si128(_mm_slli_epi64(low, 62), _mm_slli_epi64(low, 57)));
  low = _mm_xor_si128(low, _mm_slli_si128(t, 8));
  __m128i u = _mm_xor_si128(_mm_srli_epi64(low, 1), _mm_xor_si128(_mm_srli_epi64(low, 2), _mm_srli_epi64(low, 7)));
  u = _mm_xor_si128(u, _mm_srli_si128(t, 8));
  return _mm_xor_si128(high, _mm_xor_si128(low, u));
}

WITH_AES inline __attribute__((always_inline)) __m128i multiplied(__m128i a, __m128i b) {
  Product p{_mm_setzero_si128(), _mm_setzero_si128()};
  accumulate(p, a, b);
  return reduce(p);
}

WITH_AES void prepareHash(MediaCipher& c) {
  __m128i h[1] = {_mm_setzero_si128()};
  encrypt<1>(c, h);
  const __m128i first = swapBytes(h[0]);
  __m128i power = first;
  for (size_t i = 0; i < LANES; i++) {
    store(c.hashKeys[i], power);
    power = multiplied(power, first);
  }
}

WITH_AES __m128i hash(const MediaCipher& c, __m128i y, const uint8_t* data, size_t length) {
  while (length > 0) {
    // As many blocks as there are, up to LANES, with one reduction.
    const size_t blocks = length >= LANES * 16 ? LANES : (length + 15) / 16;
    Product p{_mm_setzero_si128(), _mm_setzero_si128()};
    for (size_t i = 0; i < blocks; i++) {
      __m128i block;
      if (length >= 16) {
        block = load(data);
        data += 16, length -= 16;
      } else {
        alignas(16) uint8_t last[16] = {};
        std::memcpy(last, data, length);
        block = load(last);
        length = 0;
      }
      block = swapBytes(block);
      if (i == 0) block = _mm_xor_si128(block, y);
      accumulate(p, block, load(c.hashKeys[blocks - 1 - i]));
    }
    y = reduce(p);
  }
  return y;
}

WITH_AES void fastTag(const MediaCipher& c, const uint8_t* iv, const uint8_t* aad, size_t aadLength, const uint8_t* data,
                      size_t length, uint8_t tag[GCM_TAG_BYTES]) {
  __m128i y = hash(c, hash(c, _mm_setzero_si128(), aad, aadLength), data, length);
  const __m128i lengths = _mm_set_epi64x(static_cast<long long>(aadLength * 8), static_cast<long long>(length * 8));
  y = multiplied(_mm_xor_si128(y, lengths), load(c.hashKeys[0]));
  uint8_t first[16] = {};
  std::memcpy(first, iv, GCM_IV_BYTES);
  first[15] = 1;
  __m128i mask[1] = {load(first)};
  encrypt<1>(c, mask);
  store(tag, _mm_xor_si128(swapBytes(y), mask[0]));
}

void gcmCounter(const uint8_t* iv, uint8_t counter[16]) {
  std::memcpy(counter, iv, GCM_IV_BYTES);
  put32(counter + 12, 2);
}

}  // namespace
#endif

void prepareCipher(MediaCipher& cipher, const uint8_t* key, size_t keyBytes, bool fast) {
  cipher = MediaCipher{};
  AES_set_encrypt_key(key, static_cast<int>(keyBytes * 8), &cipher.portable);
#if CLAVIGER_FAST_AES
  if (!fast) return;
  cipher.rounds = keyBytes == 32 ? 14 : 10;
  expandKey(cipher, key, keyBytes);
  prepareHash(cipher);
#else
  (void)fast;
#endif
}

void mediaCounterMode(const MediaCipher& cipher, const uint8_t counter[16], const uint8_t* in, uint8_t* out,
                      size_t length) {
#if CLAVIGER_FAST_AES
  if (cipher.rounds != 0) return fastCounter(cipher, counter, in, out, length);
#endif
  if (out != in) std::memcpy(out, in, length);
  aesCounter(cipher.portable, counter, out, length);
}

void mediaGcmSeal(const MediaCipher& cipher, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength,
                  const uint8_t* in, uint8_t* out, size_t length, uint8_t tag[GCM_TAG_BYTES]) {
#if CLAVIGER_FAST_AES
  if (cipher.rounds != 0) {
    uint8_t counter[16];
    gcmCounter(iv, counter);
    fastCounter(cipher, counter, in, out, length);
    return fastTag(cipher, iv, aad, aadLength, out, length, tag);
  }
#endif
  if (out != in) std::memcpy(out, in, length);
  gcmSeal(cipher.portable, iv, aad, aadLength, out, length, tag);
}

bool mediaGcmOpen(const MediaCipher& cipher, const uint8_t iv[GCM_IV_BYTES], const uint8_t* aad, size_t aadLength,
                  uint8_t* data, size_t length, const uint8_t tag[GCM_TAG_BYTES]) {
#if CLAVIGER_FAST_AES
  if (cipher.rounds != 0) {
    uint8_t expected[GCM_TAG_BYTES], counter[16];
    fastTag(cipher, iv, aad, aadLength, data, length, expected);
    if (!equalSecret(expected, tag, GCM_TAG_BYTES)) return false;
    gcmCounter(iv, counter);
    fastCounter(cipher, counter, data, data, length);
    return true;
  }
#endif
  return gcmOpen(cipher.portable, iv, aad, aadLength, data, length, tag);
}

}  // namespace claviger
