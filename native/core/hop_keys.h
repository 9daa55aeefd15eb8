// SRTP that the switch itself ends (security level hop-by-hop): packets of RFC 3711, 6188 and 7714 under the keys of one
// channel. The end-to-end path never comes here: its payload keys are the endpoints' own.
#pragma once
#include "channel_keys.h"
#include "media_cipher.h"
#include "packet.h"

namespace claviger {

constexpr uint64_t SRTP_MAX_INDEX = (uint64_t{1} << 48) - 1;

// One direction's SRTP session keys.
struct SrtpKeys {
  MediaCipher cipher;
  HmacSha1Key auth;  // counter mode only
  uint8_t salt[MASTER_SALT_BYTES];
  uint8_t tagBytes;  // 4, 10 or 16
  bool gcm;
};

// `keyAndSalt`: channelKeyBytes(profile) bytes.
void deriveSrtpKeys(uint16_t profile, const uint8_t* keyAndSalt, SrtpKeys& out);

// `out` holds a header of `head` bytes with this SSRC, and has room for payload and tag, which come behind it. `index`: ROC ‖
// sequence number, of which the header holds the lower 16 bits. Gives the length of the whole packet.
size_t protectSrtp(const SrtpKeys& keys, uint8_t* out, size_t head, uint32_t ssrc, const uint8_t* payload, size_t length,
                   uint64_t index);

// Verifies, then decrypts in place under the index that the caller takes it to have. Gives the plain length, or 0 and an
// untouched packet.
size_t unprotectSrtp(const SrtpKeys& keys, const RtpView& rtp, uint8_t* packet, size_t length, uint64_t index);

}  // namespace claviger
