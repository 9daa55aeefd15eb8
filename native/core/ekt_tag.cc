#include "ekt_tag.h"

namespace claviger {
namespace {

void baseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* tail, size_t tailLength,
             uint8_t out[BASE_TAG_BYTES]) {
  uint8_t digest[SHA1_BYTES];
  HmacSha1 mac(key);
  mac.update(packet, authenticated);
  mac.update(tail, tailLength);
  mac.finish(digest);
  std::memcpy(out, digest, BASE_TAG_BYTES);
}

void fullBaseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* fullBlock,
                 uint8_t out[BASE_TAG_BYTES]) {
  uint8_t tail[FULL_TAG_BYTES] = {};
  std::memcpy(tail + BASE_TAG_BYTES, fullBlock, FULL_BLOCK_BYTES);
  baseTag(key, packet, authenticated, tail, sizeof tail, out);
}

}  // namespace

bool parseTag(const uint8_t* packet, size_t length, size_t before, TagView& out) {
  // What the switch sends ends a Short tag in 00, whatever the other bits were (WIRE.md 5).
  static constexpr uint8_t SHORT_END[1] = {0};
  out = TagView();
  if (length == 0) return false;
  out.full = (packet[length - 1] & 1) != 0;
  out.length = out.full ? FULL_TAG_BYTES : SHORT_TAG_BYTES;
  if (length < before + out.length) return false;
  out.authenticated = length - out.length;
  out.rest = out.full ? packet + out.authenticated + BASE_TAG_BYTES : SHORT_END;
  out.restLength = out.length - BASE_TAG_BYTES;
  if (out.full) {
    out.wrapped = out.rest;
    out.wrappedLength = WRAPPED_KEY_BYTES;
    out.roc = get32(out.wrapped + WRAPPED_KEY_BYTES);
    out.isn = get16(out.wrapped + WRAPPED_KEY_BYTES + 4);
    out.spiWord = get16(out.wrapped + WRAPPED_KEY_BYTES + 6);
  }
  return true;
}

void deriveSenderKeys(const uint8_t key[SENDER_KEY_BYTES], const uint8_t salt[MASTER_SALT_BYTES], SenderKeys& out) {
  WipeOnExit<AES_KEY> master;
  uint8_t auth[SRTP_AUTH_KEY_BYTES];
  AES_set_encrypt_key(key, 128, &master.value);
  deriveKey(master.value, salt, Label::rtpAuthentication, auth, sizeof auth);
  prepareHmac(out.srtp, auth, sizeof auth);
  deriveKey(master.value, salt, Label::rtcpAuthentication, auth, sizeof auth);
  prepareHmac(out.srtcp, auth, sizeof auth);
  wipe(auth, sizeof auth);
}

void srtpBaseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* fullBlock,
                 uint32_t roc, uint8_t out[BASE_TAG_BYTES]) {
  if (fullBlock != nullptr) return fullBaseTag(key, packet, authenticated, fullBlock, out);
  uint8_t tail[SHORT_TAG_BYTES] = {};
  put32(tail, roc);
  baseTag(key, packet, authenticated, tail, sizeof tail, out);
}

void srtcpBaseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* fullBlock,
                  uint8_t out[BASE_TAG_BYTES]) {
  if (fullBlock != nullptr) return fullBaseTag(key, packet, authenticated, fullBlock, out);
  const uint8_t tail[SHORT_TAG_BYTES] = {};
  baseTag(key, packet, authenticated, tail, sizeof tail, out);
}

}  // namespace claviger
