// Suites 17 and 18 (WIRE.md 6, RFC 8870 §4.1): the EKT field, the route tag before it, and the keys that the switch needs of a
// sender's. The AEAD tag is the sender's and the receivers': nothing here can compute or check one of an SRTP packet.
#pragma once
#include "hmac_sha256.h"
#include "srtp_kdf.h"
#include "tag_view.h"

namespace claviger {

constexpr size_t AEAD_TAG_BYTES = 16;
constexpr size_t MAX_FIELD_KEY_BYTES = 32;
constexpr size_t ROUTE_KEY_BYTES = 32;
constexpr size_t RTCP_SALT_BYTES = 12;

// 47 for keys of 16 bytes, 63 for 32.
constexpr size_t wrappedFieldBytes(size_t keyBytes) { return (1 + keyBytes + 4 + 4 + 7) / 8 * 8 + 8; }
constexpr size_t fullFieldBytes(size_t keyBytes) { return wrappedFieldBytes(keyBytes) + 7; }
static_assert(wrappedFieldBytes(MAX_FIELD_KEY_BYTES) == MAX_WRAPPED_BYTES, "a wrapped field fits into a key slot");

// False when route tag and field, with `before` bytes ahead of them, do not fit, or a Full field has another length than its
// suite's. The last byte tells the type; one that is unknown is skipped by its length.
bool parseField(const uint8_t* packet, size_t length, size_t before, size_t keyBytes, TagView& out);

// Plain data: it is copied, compared and wiped as bytes.
struct FieldKeys {
  HmacSha256Key route;
  uint8_t rtcpKey[MAX_FIELD_KEY_BYTES];  // media RTCP is verified a few times a second: no schedule is kept
  uint8_t rtcpSalt[RTCP_SALT_BYTES];
};

void deriveFieldKeys(const uint8_t* key, size_t keyBytes, const uint8_t salt[MASTER_SALT_BYTES], FieldKeys& out);

struct FieldPlaintext {
  const uint8_t* key;
  uint32_t ssrc;
  uint32_t roc;
};
// Views into `plain`; false when its lengths are not those of the suite.
bool readFieldPlaintext(const uint8_t* plain, size_t length, size_t keyBytes, FieldPlaintext& out);

// Over header ‖ `behind` (AEAD tag and trailing byte) ‖ ROC ‖ field: independent of the payload, in cost too.
void routeTag(const HmacSha256Key& key, const uint8_t* header, size_t headerLength, const uint8_t* behind,
              size_t behindLength, uint32_t roc, const uint8_t* field, size_t fieldLength, uint8_t out[TAG_BYTES]);

}  // namespace claviger
