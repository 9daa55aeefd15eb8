// SRTP key derivation and AES counter mode (RFC 3711 §4.1.1, §4.3; AES-256: RFC 6188 §3).
#pragma once
#include <openssl/aes.h>

#include "bytes.h"

namespace claviger {

constexpr size_t MASTER_SALT_BYTES = 14;

enum class Label : uint8_t {
  rtpEncryption = 0,
  rtpAuthentication = 1,
  rtpSalt = 2,
  rtcpEncryption = 3,
  rtcpAuthentication = 4,
  rtcpSalt = 5,
};

// Key derivation rate 0. `salt` is 14 bytes; a 12-byte salt (RFC 7714 §11) is followed by two zero bytes.
void deriveKey(const AES_KEY& master, const uint8_t salt[MASTER_SALT_BYTES], Label label, uint8_t* out, size_t length);

// XORs the key stream of `counter` onto data; the counter's last two bytes count blocks.
void aesCounter(const AES_KEY& key, const uint8_t counter[16], uint8_t* data, size_t length);

}  // namespace claviger
