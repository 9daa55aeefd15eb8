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

// `in` holds an RTP packet of `length` bytes that parsed as `rtp`, with the header that is to leave; `out`, which may be
// `in`, has room for tagBytes more. `index`: ROC ‖ sequence number, of which the header holds the lower 16 bits. Gives the
// protected length.
size_t protectSrtp(const SrtpKeys& keys, const RtpView& rtp, const uint8_t* in, uint8_t* out, size_t length,
                   uint64_t index);

// Verifies, then decrypts in place under the index that the caller takes it to have. Gives the plain length, or 0 and an
// untouched packet.
size_t unprotectSrtp(const SrtpKeys& keys, const RtpView& rtp, uint8_t* packet, size_t length, uint64_t index);

}  // namespace claviger
