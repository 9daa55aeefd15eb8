#include "srtp_kdf.h"

namespace claviger {

void aesCounter(const AES_KEY& key, const uint8_t counter[16], uint8_t* data, size_t length) {
  uint8_t block[16];
  uint8_t stream[16];
  std::memcpy(block, counter, 16);
  for (size_t at = 0; at < length; at += 16) {
    AES_encrypt(block, stream, &key);
    const size_t n = length - at < 16 ? length - at : 16;
    for (size_t i = 0; i < n; i++) data[at + i] ^= stream[i];
    put16(block + 14, static_cast<uint16_t>(get16(block + 14) + 1));
  }
  wipe(stream, sizeof stream);
}

void deriveKey(const AES_KEY& master, const uint8_t salt[MASTER_SALT_BYTES], Label label, uint8_t* out, size_t length) {
  uint8_t x[16] = {};
  std::memcpy(x, salt, MASTER_SALT_BYTES);
  x[7] ^= static_cast<uint8_t>(label);
  std::memset(out, 0, length);
  aesCounter(master, x, out, length);
}

}  // namespace claviger
