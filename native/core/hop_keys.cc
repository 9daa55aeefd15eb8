#include "hop_keys.h"

namespace claviger {
namespace {

// RFC 3711 §4.1.1: (salt · 2^16) XOR (SSRC · 2^64) XOR (index · 2^16).
void counterOf(const SrtpKeys& keys, uint32_t ssrc, uint64_t index, uint8_t out[16]) {
  std::memcpy(out, keys.salt, MASTER_SALT_BYTES);
  out[14] = out[15] = 0;
  put32(out + 4, get32(out + 4) ^ ssrc);
  put32(out + 8, get32(out + 8) ^ static_cast<uint32_t>(index >> 16));
  put16(out + 12, get16(out + 12) ^ static_cast<uint16_t>(index));
}

// RFC 7714 §8.1: 00 00 ‖ SSRC ‖ ROC ‖ sequence number, XORed with the salt.
void ivOf(const SrtpKeys& keys, uint32_t ssrc, uint64_t index, uint8_t out[GCM_IV_BYTES]) {
  std::memcpy(out, keys.salt, GCM_IV_BYTES);
  put32(out + 2, get32(out + 2) ^ ssrc);
  put32(out + 6, get32(out + 6) ^ static_cast<uint32_t>(index >> 16));
  put16(out + 10, get16(out + 10) ^ static_cast<uint16_t>(index));
}

// RFC 3711 §4.2: over the packet and the ROC.
void authTag(const SrtpKeys& keys, const uint8_t* packet, size_t length, uint64_t index, uint8_t tag[SHA1_BYTES]) {
  uint8_t roc[4];
  put32(roc, static_cast<uint32_t>(index >> 16));
  HmacSha1 mac(keys.auth);
  mac.update(packet, length);
  mac.update(roc, sizeof roc);
  mac.finish(tag);
}

}  // namespace

void deriveSrtpKeys(uint16_t profile, const uint8_t* keyAndSalt, SrtpKeys& out) {
  constexpr SessionLabels labels{Label::rtpEncryption, Label::rtpAuthentication, Label::rtpSalt};
  deriveSession(profile, keyAndSalt, labels, out,
                [&](const uint8_t* key, size_t bytes) { prepareCipher(out.cipher, key, bytes); });
  out.tagBytes = out.gcm ? GCM_TAG_BYTES : hasShortTag(profile) ? 4 : 10;
}

size_t protectSrtp(const SrtpKeys& keys, uint8_t* out, size_t head, uint32_t ssrc, const uint8_t* payload, size_t length,
                   uint64_t index) {
  const size_t end = head + length;
  if (keys.gcm) {
    uint8_t iv[GCM_IV_BYTES];
    ivOf(keys, ssrc, index, iv);
    mediaGcmSeal(keys.cipher, iv, out, head, payload, out + head, length, out + end);
  } else {
    uint8_t counter[16], tag[SHA1_BYTES];
    counterOf(keys, ssrc, index, counter);
    mediaCounterMode(keys.cipher, counter, payload, out + head, length);
    authTag(keys, out, end, index, tag);
    std::memcpy(out + end, tag, keys.tagBytes);
  }
  return end + keys.tagBytes;
}

size_t unprotectSrtp(const SrtpKeys& keys, const RtpView& rtp, uint8_t* packet, size_t length, uint64_t index) {
  const size_t head = rtp.headerLength;
  if (length < head + keys.tagBytes) return 0;
  const size_t plain = length - keys.tagBytes;
  if (keys.gcm) {
    uint8_t iv[GCM_IV_BYTES];
    ivOf(keys, rtp.ssrc, index, iv);
    return mediaGcmOpen(keys.cipher, iv, packet, head, packet + head, plain - head, packet + plain) ? plain : 0;
  }
  uint8_t counter[16], tag[SHA1_BYTES];
  authTag(keys, packet, plain, index, tag);
  if (!equalSecret(tag, packet + plain, keys.tagBytes)) return 0;
  counterOf(keys, rtp.ssrc, index, counter);
  mediaCounterMode(keys.cipher, counter, packet + head, packet + head, plain - head);
  return plain;
}

}  // namespace claviger
