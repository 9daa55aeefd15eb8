// STUN messages (RFC 8489) as ICE uses them (RFC 8445 §7): Binding, short-term credentials, with FINGERPRINT always.
#pragma once
#include "address.h"
#include "hmac_sha1.h"

namespace claviger {

constexpr uint16_t STUN_BINDING = 0x001;
constexpr size_t STUN_HEADER_BYTES = 20, STUN_TRANSACTION_BYTES = 12, STUN_MAX_UNKNOWN_ATTRIBUTES = 8;

enum class StunClass : uint8_t { request = 0, indication = 1, success = 2, error = 3 };

// Views into the datagram. Nothing of it is verified but FINGERPRINT.
struct StunMessage {
  StunClass kind;
  uint16_t method;
  const uint8_t* transaction;
  const uint8_t* username = nullptr;  // null: there is none
  size_t usernameLength = 0;
  size_t integrityAt = 0;  // of MESSAGE-INTEGRITY's head; 0: there is none
  bool useCandidate = false;
  bool controlled = false;  // the sender says that it is
  uint16_t unknown[STUN_MAX_UNKNOWN_ATTRIBUTES];  // that would have to be understood (RFC 8489 §6.3.1)
  size_t unknownCount = 0;
};

// False: not STUN by its header, lengths or FINGERPRINT, which must be there and last (RFC 8489 §14.7, RFC 8445 §7.1).
bool parseStun(const uint8_t* bytes, size_t length, StunMessage& out);
// RFC 8489 §14.5, in constant time. Only where `integrityAt` is not 0.
bool verifyStun(const uint8_t* bytes, const StunMessage& message, const HmacSha1Key& key);

enum class StunError : uint16_t { badRequest = 400, unauthenticated = 401, unknownAttribute = 420, roleConflict = 487 };

constexpr size_t STUN_MAX_ANSWER_BYTES = 128;
// Both give the length. `key` null: without MESSAGE-INTEGRITY, where the request had none that verified (§9.1.4).
size_t writeBindingSuccess(const StunMessage& request, const Address& mapped, const HmacSha1Key& key,
                           uint8_t (&out)[STUN_MAX_ANSWER_BYTES]);
size_t writeBindingError(const StunMessage& request, StunError error, const HmacSha1Key* key,
                         uint8_t (&out)[STUN_MAX_ANSWER_BYTES]);

}  // namespace claviger
