// The DTLS limits of src/base/limits.ts that this engine needs; a test compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

#define CLAVIGER_DTLS_LIMITS(X)               \
  X(MAX_DATAGRAM_BYTES, 1500)                 \
  X(DTLS_HANDSHAKE_TIMEOUT_MS, 15000)         \
  X(DTLS_MAX_MTU_BYTES, 1200)                 \
  X(DTLS_MIN_MTU_BYTES, 256)                  \
  X(DTLS_MAX_HANDSHAKE_MESSAGE_BYTES, 16384)  \
  X(DTLS_MAX_MESSAGES_AHEAD, 8)               \
  X(DTLS_RETRANSMIT_MAX_MS, 60000)            \
  X(DTLS_PLAINTEXT_FAILURE_GRACE_MS, 2000)

namespace claviger::dtls {

#define CLAVIGER_LIMIT(name, value) constexpr uint32_t name = value;
CLAVIGER_DTLS_LIMITS(CLAVIGER_LIMIT)
#undef CLAVIGER_LIMIT

}  // namespace claviger::dtls
