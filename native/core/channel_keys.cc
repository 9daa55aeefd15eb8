#include "channel_keys.h"

#include "gcm.h"
#include "packet.h"

namespace claviger {
namespace {

constexpr size_t INDEX_BYTES = 4;
constexpr size_t SHA1_80_TAG_BYTES = 10;

// RFC 3711 §4.1.1: (salt · 2^16) XOR (SSRC · 2^64) XOR (index · 2^16).
void counterOf(const SrtcpKeys& keys, uint32_t ssrc, uint32_t index, uint8_t out[16]) {
  std::memcpy(out, keys.salt, MASTER_SALT_BYTES);
  out[14] = out[15] = 0;
  put32(out + 4, get32(out + 4) ^ ssrc);
  put32(out + 10, get32(out + 10) ^ index);
}

// RFC 7714 §9.1: 00 00 ‖ SSRC ‖ 00 00 ‖ 0, index, XORed with the salt.
void ivOf(const SrtcpKeys& keys, uint32_t ssrc, uint32_t index, uint8_t out[GCM_IV_BYTES]) {
  std::memcpy(out, keys.salt, GCM_IV_BYTES);
  put32(out + 2, get32(out + 2) ^ ssrc);
  put32(out + 8, get32(out + 8) ^ index);
}

// RFC 7714 §9.2: the first eight bytes, then E and the index.
void aadOf(const uint8_t* packet, uint32_t word, uint8_t out[12]) {
  std::memcpy(out, packet, RTCP_HEADER_BYTES);
  put32(out + 8, word);
}

void authTag(const SrtcpKeys& keys, const uint8_t* packet, size_t length, uint8_t out[SHA1_BYTES]) {
  HmacSha1 mac(keys.auth);
  mac.update(packet, length);
  mac.finish(out);
}

}  // namespace

size_t channelKeyBytes(uint16_t profile) {
  switch (profile) {
    case PROFILE_AES128_CM_SHA1_80:
    case PROFILE_AES128_CM_SHA1_32: return 16 + 14;
    case PROFILE_AES256_CM_SHA1_80:
    case PROFILE_AES256_CM_SHA1_32: return 32 + 14;
    case PROFILE_AES128_GCM: return 16 + 12;
    case PROFILE_AES256_GCM: return 32 + 12;
    default: return 0;
  }
}

size_t masterKeyBytes(uint16_t profile) {
  const bool is256 = profile == PROFILE_AES256_GCM || profile == PROFILE_AES256_CM_SHA1_80 ||
                     profile == PROFILE_AES256_CM_SHA1_32;
  return is256 ? 32 : 16;
}

void deriveSrtcpKeys(uint16_t profile, const uint8_t* keyAndSalt, SrtcpKeys& out) {
  constexpr SessionLabels labels{Label::rtcpEncryption, Label::rtcpAuthentication, Label::rtcpSalt};
  deriveSession(profile, keyAndSalt, labels, out, [&](const uint8_t* key, size_t bytes) {
    AES_set_encrypt_key(key, static_cast<int>(bytes * 8), &out.cipher);
  });
}

size_t srtcpOverhead(const SrtcpKeys& keys) { return INDEX_BYTES + (keys.gcm ? GCM_TAG_BYTES : SHA1_80_TAG_BYTES); }

size_t protectSrtcp(const SrtcpKeys& keys, uint8_t* packet, size_t length, uint32_t index) {
  const uint32_t ssrc = rtcpSsrc(packet);
  const uint32_t word = SRTCP_ENCRYPTED | index;
  uint8_t* body = packet + RTCP_HEADER_BYTES;
  const size_t bodyLength = length - RTCP_HEADER_BYTES;
  if (keys.gcm) {
    uint8_t iv[GCM_IV_BYTES], aad[12];
    ivOf(keys, ssrc, index, iv);
    aadOf(packet, word, aad);
    gcmSeal(keys.cipher, iv, aad, sizeof aad, body, bodyLength, packet + length);
    put32(packet + length + GCM_TAG_BYTES, word);
  } else {
    uint8_t counter[16], tag[SHA1_BYTES];
    counterOf(keys, ssrc, index, counter);
    aesCounter(keys.cipher, counter, body, bodyLength);
    put32(packet + length, word);
    authTag(keys, packet, length + INDEX_BYTES, tag);
    std::memcpy(packet + length + INDEX_BYTES, tag, SHA1_80_TAG_BYTES);
  }
  return length + srtcpOverhead(keys);
}

bool readSrtcpIndex(const SrtcpKeys& keys, const uint8_t* packet, size_t length, bool& encrypted, uint32_t& index) {
  if (length < RTCP_HEADER_BYTES + srtcpOverhead(keys)) return false;
  const uint32_t word = get32(packet + length - INDEX_BYTES - (keys.gcm ? 0 : SHA1_80_TAG_BYTES));
  encrypted = (word & SRTCP_ENCRYPTED) != 0;
  index = word & SRTCP_MAX_INDEX;
  return true;
}

size_t unprotectSrtcp(const SrtcpKeys& keys, uint8_t* packet, size_t length) {
  bool encrypted = false;
  uint32_t index = 0;
  if (!readSrtcpIndex(keys, packet, length, encrypted, index) || !encrypted) return 0;
  const uint32_t ssrc = rtcpSsrc(packet);
  const size_t plain = length - srtcpOverhead(keys);
  uint8_t* body = packet + RTCP_HEADER_BYTES;
  if (keys.gcm) {
    uint8_t iv[GCM_IV_BYTES], aad[12];
    ivOf(keys, ssrc, index, iv);
    aadOf(packet, SRTCP_ENCRYPTED | index, aad);
    if (!gcmOpen(keys.cipher, iv, aad, sizeof aad, body, plain - RTCP_HEADER_BYTES, packet + plain)) return 0;
  } else {
    uint8_t counter[16], tag[SHA1_BYTES];
    authTag(keys, packet, plain + INDEX_BYTES, tag);
    if (!equalSecret(tag, packet + plain + INDEX_BYTES, SHA1_80_TAG_BYTES)) return 0;
    counterOf(keys, ssrc, index, counter);
    aesCounter(keys.cipher, counter, body, plain - RTCP_HEADER_BYTES);
  }
  return plain;
}

bool verifyGcmSrtcp(const uint8_t* key, size_t keyBytes, const uint8_t* salt, const uint8_t* packet, size_t length) {
  WipeOnExit<SrtcpKeys> keys;
  keys.value.gcm = true;
  bool encrypted = false;
  uint32_t index = 0;
  if (!readSrtcpIndex(keys.value, packet, length, encrypted, index) || !encrypted) return false;
  std::memcpy(keys.value.salt, salt, GCM_IV_BYTES);
  AES_set_encrypt_key(key, static_cast<int>(keyBytes * 8), &keys.value.cipher);
  uint8_t iv[GCM_IV_BYTES], aad[12];
  ivOf(keys.value, rtcpSsrc(packet), index, iv);
  aadOf(packet, SRTCP_ENCRYPTED | index, aad);
  const size_t plain = length - srtcpOverhead(keys.value);
  return gcmVerify(keys.value.cipher, iv, aad, sizeof aad, packet + RTCP_HEADER_BYTES, plain - RTCP_HEADER_BYTES,
                   packet + plain);
}

void ReceivingKeys::set(uint16_t profile, const uint8_t* remote) {
  deriveSrtcpKeys(profile, remote, remote_);
  windowCount_ = 0;
}

bool ChannelKeys::set(uint16_t profile, const uint8_t* local, size_t localLength, const uint8_t* remote,
                      size_t remoteLength, uint64_t now) {
  const size_t size = channelKeyBytes(profile);
  if (size == 0 || localLength != size || remoteLength != size) return false;
  deriveSrtcpKeys(profile, local, local_);
  auto next = std::make_unique<ReceivingKeys>();
  next->set(profile, remote);
  if (current_ != nullptr && sameMaster(current_->remote(), next->remote())) return true;
  previous_ = std::move(current_);
  previousUntil_ = now + PREVIOUS_CHANNEL_KEYS_LIFETIME_MS * NS_PER_MS;
  current_ = std::move(next);
  return true;
}

void ChannelKeys::expire(uint64_t now) {
  if (previous_ != nullptr && now >= previousUntil_) previous_.reset();
}

size_t ChannelKeys::protect(uint8_t* packet, size_t length, size_t room) {
  if (!ready() || length < RTCP_HEADER_BYTES || length + srtcpOverhead(local_) > room) return 0;
  // RFC 3711 §9.2: an index is never used twice under one key.
  if (sendIndex_ == SRTCP_MAX_INDEX) return 0;
  return protectSrtcp(local_, packet, length, ++sendIndex_);
}

Drop ReceivingKeys::checkReplay(uint32_t ssrc, uint32_t index) const {
  for (uint32_t i = 0; i < windowCount_; i++) {
    if (windows_[i].ssrc == ssrc) return windows_[i].window.check(index);
  }
  return windowCount_ < MAX_CONTROL_SSRCS_PER_CHANNEL ? Drop::none : Drop::stream_limit;
}

void ReceivingKeys::accept(uint32_t ssrc, uint32_t index) {
  uint32_t i = 0;
  while (i < windowCount_ && windows_[i].ssrc != ssrc) i++;
  if (i == windowCount_) {
    windows_[i].ssrc = ssrc;
    windows_[i].window.clear();
    windowCount_++;
  }
  windows_[i].window.accept(index);
}

uint64_t ReceivingKeys::windowDigest(uint32_t i) const {
  uint64_t sum = windows_[i].window.highest() * 31 + windows_[i].ssrc;
  for (const uint64_t word : windows_[i].window.bits().words) sum = sum * 0x9e3779b97f4a7c15u + word;
  return sum;
}

}  // namespace claviger
