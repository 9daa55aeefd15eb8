#include "stun.h"

namespace claviger {
namespace {

constexpr uint32_t COOKIE = 0x2112a442, FINGERPRINT_MASK = 0x5354554e;
constexpr size_t HEAD = 4;  // of an attribute
constexpr uint16_t USERNAME = 0x0006, MESSAGE_INTEGRITY = 0x0008, ERROR_CODE = 0x0009, UNKNOWN_ATTRIBUTES = 0x000a,
                   REALM = 0x0014, NONCE = 0x0015, MESSAGE_INTEGRITY_SHA256 = 0x001c, XOR_MAPPED_ADDRESS = 0x0020,
                   PRIORITY = 0x0024, USE_CANDIDATE = 0x0025, FINGERPRINT = 0x8028, ICE_CONTROLLED = 0x8029;
constexpr uint16_t COMPREHENSION_OPTIONAL = 0x8000;

constexpr size_t padded(size_t length) { return (length + 3) & ~size_t{3}; }

bool isKnown(uint16_t type) {
  switch (type) {
    case USERNAME:
    case MESSAGE_INTEGRITY:
    case REALM:
    case NONCE:
    case MESSAGE_INTEGRITY_SHA256:
    case PRIORITY:
    case USE_CANDIDATE: return true;
    default: return type >= COMPREHENSION_OPTIONAL;
  }
}

// ITU V.42, as RFC 8489 §14.7 has it.
struct Crc32 {
  uint32_t table[256];
  constexpr Crc32() : table() {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; bit++) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      table[i] = c;
    }
  }
  uint32_t of(const uint8_t* bytes, size_t length) const {
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < length; i++) c = table[(c ^ bytes[i]) & 0xff] ^ (c >> 8);
    return c ^ 0xffffffffu;
  }
};
constexpr Crc32 CRC;

// RFC 8489 §14.5: over everything before the attribute, with a header that counts up to its end.
void integrity(const uint8_t* bytes, size_t at, const HmacSha1Key& key, uint8_t (&out)[SHA1_BYTES]) {
  uint8_t head[HEAD];
  std::memcpy(head, bytes, sizeof head);
  put16(head + 2, static_cast<uint16_t>(at + HEAD + SHA1_BYTES - STUN_HEADER_BYTES));
  HmacSha1 mac(key);
  mac.update(head, sizeof head);
  mac.update(bytes + sizeof head, at - sizeof head);
  mac.finish(out);
}

void readAttribute(StunMessage& m, uint16_t type, const uint8_t* bytes, size_t at, size_t length) {
  if (!isKnown(type)) {
    if (m.unknownCount < STUN_MAX_UNKNOWN_ATTRIBUTES) m.unknown[m.unknownCount++] = type;
    return;
  }
  switch (type) {
    case USERNAME:
      if (m.username != nullptr) return;  // the first one counts (§14)
      m.username = bytes + at + HEAD;
      m.usernameLength = length;
      break;
    case USE_CANDIDATE: m.useCandidate = true; break;
    case ICE_CONTROLLED: m.controlled = true; break;
    default: break;
  }
}

struct Writer {
  uint8_t* out;
  size_t at = STUN_HEADER_BYTES;

  Writer(uint8_t* o, const StunMessage& request, StunClass kind) : out(o) {
    const auto c = static_cast<uint16_t>(kind);
    put16(out, static_cast<uint16_t>(STUN_BINDING | (c & 1) << 4 | (c & 2) << 7));
    put32(out + 4, COOKIE);
    std::memcpy(out + 8, request.transaction, STUN_TRANSACTION_BYTES);
  }
  uint8_t* attribute(uint16_t type, size_t length) {
    uint8_t* p = out + at;
    put16(p, type);
    put16(p + 2, static_cast<uint16_t>(length));
    std::memset(p + HEAD, 0, padded(length));
    at += HEAD + padded(length);
    return p + HEAD;
  }
  size_t finish(const HmacSha1Key* key) {
    if (key != nullptr) {
      uint8_t mac[SHA1_BYTES];
      integrity(out, at, *key, mac);
      std::memcpy(attribute(MESSAGE_INTEGRITY, SHA1_BYTES), mac, SHA1_BYTES);
    }
    put16(out + 2, static_cast<uint16_t>(at + HEAD + 4 - STUN_HEADER_BYTES));
    const uint32_t crc = CRC.of(out, at) ^ FINGERPRINT_MASK;
    put32(attribute(FINGERPRINT, 4), crc);
    return at;
  }
};

struct Reason {
  StunError error;
  const char* text;
};
constexpr Reason REASONS[] = {{StunError::badRequest, "Bad Request"},
                              {StunError::unauthenticated, "Unauthenticated"},
                              {StunError::unknownAttribute, "Unknown Attribute"},
                              {StunError::roleConflict, "Role Conflict"}};

}  // namespace

bool parseStun(const uint8_t* bytes, size_t length, StunMessage& out) {
  if (length < STUN_HEADER_BYTES + HEAD + 4 || (bytes[0] & 0xc0) != 0 || get32(bytes + 4) != COOKIE) return false;
  if (length % 4 != 0 || get16(bytes + 2) != length - STUN_HEADER_BYTES) return false;
  const size_t fingerprintAt = length - HEAD - 4;
  const uint8_t* fingerprint = bytes + fingerprintAt;
  if (get16(fingerprint) != FINGERPRINT || get16(fingerprint + 2) != 4) return false;
  if (get32(fingerprint + HEAD) != (CRC.of(bytes, fingerprintAt) ^ FINGERPRINT_MASK)) return false;
  const uint16_t type = get16(bytes);
  out = StunMessage();
  out.kind = static_cast<StunClass>((type >> 4 & 1) | (type >> 7 & 2));
  out.method = static_cast<uint16_t>((type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80));
  out.transaction = bytes + 8;
  for (size_t at = STUN_HEADER_BYTES; at < fingerprintAt;) {
    const uint16_t attribute = get16(bytes + at);
    const size_t size = get16(bytes + at + 2);
    const size_t next = at + HEAD + padded(size);
    if (next > fingerprintAt) return false;
    // §9: what follows MESSAGE-INTEGRITY is nobody's.
    if (out.integrityAt == 0) {
      if (attribute == MESSAGE_INTEGRITY && size != SHA1_BYTES) return false;
      if (attribute == MESSAGE_INTEGRITY) out.integrityAt = at;
      readAttribute(out, attribute, bytes, at, size);
    }
    at = next;
  }
  return true;
}

bool verifyStun(const uint8_t* bytes, const StunMessage& message, const HmacSha1Key& key) {
  uint8_t expected[SHA1_BYTES];
  integrity(bytes, message.integrityAt, key, expected);
  return equalSecret(expected, bytes + message.integrityAt + HEAD, SHA1_BYTES);
}

size_t writeBindingSuccess(const StunMessage& request, const Address& mapped, const HmacSha1Key& key,
                           uint8_t (&out)[STUN_MAX_ANSWER_BYTES]) {
  Writer w(out, request, StunClass::success);
  const bool v4 = mapped.isIpv4();
  const size_t ipBytes = v4 ? 4 : 16;
  uint8_t* value = w.attribute(XOR_MAPPED_ADDRESS, 4 + ipBytes);
  value[1] = v4 ? 1 : 2;
  put16(value + 2, static_cast<uint16_t>(mapped.port ^ (COOKIE >> 16)));
  // §14.2: cookie and transaction lie one behind the other in the header.
  for (size_t i = 0; i < ipBytes; i++) value[4 + i] = static_cast<uint8_t>(mapped.ip[16 - ipBytes + i] ^ out[4 + i]);
  return w.finish(&key);
}

size_t writeBindingError(const StunMessage& request, StunError error, const HmacSha1Key* key,
                         uint8_t (&out)[STUN_MAX_ANSWER_BYTES]) {
  Writer w(out, request, StunClass::error);
  const char* text = "";
  for (const Reason& r : REASONS) {
    if (r.error == error) text = r.text;
  }
  const auto number = static_cast<uint16_t>(error);
  const size_t length = std::strlen(text);
  uint8_t* value = w.attribute(ERROR_CODE, 4 + length);
  value[2] = static_cast<uint8_t>(number / 100);
  value[3] = static_cast<uint8_t>(number % 100);
  std::memcpy(value + 4, text, length);
  if (error == StunError::unknownAttribute) {
    uint8_t* list = w.attribute(UNKNOWN_ATTRIBUTES, 2 * request.unknownCount);
    for (size_t i = 0; i < request.unknownCount; i++) put16(list + 2 * i, request.unknown[i]);
  }
  return w.finish(key);
}

}  // namespace claviger
