#include "key_wrap.h"

namespace claviger {
namespace {

constexpr size_t HALF = 8;

}  // namespace

size_t unwrapPadded(const AES_KEY& kek, const uint8_t* wrapped, size_t length, uint8_t* out) {
  const size_t n = length / HALF - 1;
  // RFC 3394 §2.2.2: A in the first half of the block, R[i] in `out`.
  uint8_t block[2 * HALF];
  std::memcpy(block, wrapped, HALF);
  std::memcpy(out, wrapped + HALF, n * HALF);
  for (size_t t = 6 * n; t > 0; t--) {
    uint8_t* r = out + (t - 1) % n * HALF;
    put32(block + 4, get32(block + 4) ^ static_cast<uint32_t>(t));
    std::memcpy(block + HALF, r, HALF);
    AES_decrypt(block, block, &kek);
    std::memcpy(r, block + HALF, HALF);
  }
  // RFC 5649 §3: A is A65959A6 and the plaintext's length; what it leaves of the last half is zero.
  const size_t plain = get32(block + 4);
  bool good = get32(block) == 0xa65959a6u && plain > (n - 1) * HALF && plain <= n * HALF;
  for (size_t i = good ? plain : n * HALF; i < n * HALF; i++) good = good && out[i] == 0;
  wipe(block, sizeof block);
  if (!good) wipe(out, n * HALF);
  return good ? plain : 0;
}

}  // namespace claviger
