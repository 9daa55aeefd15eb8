#include "ekt_field.h"

namespace claviger {
namespace {

constexpr uint8_t SHORT_FIELD = 0x00, FULL_FIELD = 0x02;
// RFC 8870 §4.1: content of at least one byte, a length (2), the type.
constexpr size_t MIN_OTHER_BYTES = 4;

}  // namespace

bool parseField(const uint8_t* packet, size_t length, size_t before, size_t keyBytes, TagView& out) {
  out = TagView();
  if (length < 3) return false;
  const uint8_t type = packet[length - 1];
  const size_t field = type == SHORT_FIELD ? 1 : get16(packet + length - 3);
  if (type == FULL_FIELD && field != fullFieldBytes(keyBytes)) return false;
  if (type != SHORT_FIELD && field < MIN_OTHER_BYTES) return false;
  if (length < before + TAG_BYTES + field) return false;
  out.full = type == FULL_FIELD;
  out.length = TAG_BYTES + field;
  out.authenticated = length - out.length;
  out.rest = packet + length - field;
  out.restLength = field;
  if (!out.full) return true;
  out.wrapped = out.rest;
  out.wrappedLength = wrappedFieldBytes(keyBytes);
  out.spiWord = get16(out.rest + out.wrappedLength);
  out.epoch = get16(out.rest + out.wrappedLength + 2);
  return true;
}

void deriveFieldKeys(const uint8_t* key, size_t keyBytes, const uint8_t salt[MASTER_SALT_BYTES], FieldKeys& out) {
  WipeOnExit<AES_KEY> master;
  uint8_t route[ROUTE_KEY_BYTES];
  // RFC 7714 §11: 12 bytes of salt, followed by zeros.
  uint8_t own[MASTER_SALT_BYTES] = {};
  std::memcpy(own, salt, RTCP_SALT_BYTES);
  AES_set_encrypt_key(key, static_cast<int>(keyBytes * 8), &master.value);
  deriveKey(master.value, own, Label::rtpAuthentication, route, sizeof route);
  prepareHmac(out.route, route, sizeof route);
  std::memset(out.rtcpKey, 0, sizeof out.rtcpKey);
  deriveKey(master.value, own, Label::rtcpEncryption, out.rtcpKey, keyBytes);
  deriveKey(master.value, own, Label::rtcpSalt, out.rtcpSalt, sizeof out.rtcpSalt);
  wipe(route, sizeof route);
  wipe(own, sizeof own);
}

bool readFieldPlaintext(const uint8_t* plain, size_t length, size_t keyBytes, FieldPlaintext& out) {
  if (length != 1 + keyBytes + 8 || plain[0] != keyBytes) return false;
  out = {plain + 1, get32(plain + 1 + keyBytes), get32(plain + 5 + keyBytes)};
  return true;
}

void routeTag(const HmacSha256Key& key, const uint8_t* header, size_t headerLength, const uint8_t* behind,
              size_t behindLength, uint32_t roc, const uint8_t* field, size_t fieldLength, uint8_t out[TAG_BYTES]) {
  uint8_t digest[SHA256_BYTES];
  uint8_t rocBytes[4];
  put32(rocBytes, roc);
  HmacSha256 mac(key);
  mac.update(header, headerLength);
  mac.update(behind, behindLength);
  mac.update(rocBytes, sizeof rocBytes);
  mac.update(field, fieldLength);
  mac.finish(digest);
  std::memcpy(out, digest, TAG_BYTES);
}

}  // namespace claviger
