// AES key wrap with padding (RFC 5649): EKT ciphers 3 and 4 (WIRE.md 4.3). The switch only unwraps.
#pragma once
#include <openssl/aes.h>

#include "bytes.h"

namespace claviger {

constexpr size_t MAX_WRAPPED_BYTES = 56;

// `kek` is a decryption key schedule; `length` a multiple of 8 from 24 to MAX_WRAPPED_BYTES. Writes up to `length` - 8 bytes
// and gives how many of them are plaintext; 0, and nothing to be read, when the integrity check fails.
size_t unwrapPadded(const AES_KEY& kek, const uint8_t* wrapped, size_t length, uint8_t* out);

}  // namespace claviger
