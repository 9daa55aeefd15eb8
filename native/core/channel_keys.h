// SRTCP under the keys that DTLS-SRTP or SDES gave a channel: control RTCP only, both ways (WIRE.md 3). RFC 3711 §3.4 with a
// tag of 80 bits under every profile of counter mode (RFC 5764 §4.1.2, RFC 4568 §6.2), and RFC 7714 §9.
#pragma once
#include <openssl/aes.h>

#include <memory>

#include "hmac_sha1.h"
#include "limits.h"
#include "replay.h"
#include "srtp_kdf.h"

namespace claviger {

// DTLS-SRTP's protection profile numbers (RFC 5764 §4.1.2, RFC 7714 §14.2), and for what SDES alone can name (RFC 6188)
// numbers of our own.
constexpr uint16_t PROFILE_AES128_CM_SHA1_80 = 1, PROFILE_AES128_CM_SHA1_32 = 2, PROFILE_AES128_GCM = 7,
                   PROFILE_AES256_GCM = 8, PROFILE_AES256_CM_SHA1_80 = 0x1001, PROFILE_AES256_CM_SHA1_32 = 0x1002;
constexpr bool isGcm(uint16_t profile) { return profile == PROFILE_AES128_GCM || profile == PROFILE_AES256_GCM; }
constexpr bool hasShortTag(uint16_t profile) {
  return profile == PROFILE_AES128_CM_SHA1_32 || profile == PROFILE_AES256_CM_SHA1_32;
}
constexpr uint32_t SRTCP_ENCRYPTED = 0x80000000u;
constexpr uint32_t SRTCP_MAX_INDEX = 0x7fffffffu;

// One direction's SRTCP session keys.
struct SrtcpKeys {
  AES_KEY cipher;
  HmacSha1Key auth;                 // profile 0x0001 only
  uint8_t salt[MASTER_SALT_BYTES];  // 12 bytes used with GCM
  bool gcm;
};

// Bytes of master key ‖ salt; 0: unknown profile.
size_t channelKeyBytes(uint16_t profile);
// Of a known profile: 16 or 32.
size_t masterKeyBytes(uint16_t profile);

struct SessionLabels {
  Label encryption, authentication, salt;
};
// SRTP's or SRTCP's session keys of one direction (RFC 3711 §4.3). `setCipher(key, bytes)` makes the cipher ready.
template <typename Keys, typename SetCipher>
void deriveSession(uint16_t profile, const uint8_t* keyAndSalt, const SessionLabels& labels, Keys& out,
                   SetCipher setCipher) {
  const size_t keyBytes = masterKeyBytes(profile);
  const size_t saltBytes = channelKeyBytes(profile) - keyBytes;
  WipeOnExit<AES_KEY> master;
  uint8_t salt[MASTER_SALT_BYTES] = {};
  uint8_t session[32];
  std::memcpy(salt, keyAndSalt + keyBytes, saltBytes);
  AES_set_encrypt_key(keyAndSalt, static_cast<int>(keyBytes * 8), &master.value);
  out.gcm = isGcm(profile);
  deriveKey(master.value, salt, labels.encryption, session, keyBytes);
  setCipher(session, keyBytes);
  std::memset(out.salt, 0, sizeof out.salt);
  deriveKey(master.value, salt, labels.salt, out.salt, saltBytes);
  if (!out.gcm) {
    deriveKey(master.value, salt, labels.authentication, session, SHA1_BYTES);
    prepareHmac(out.auth, session, SHA1_BYTES);
  }
  wipe(session, sizeof session);
  wipe(salt, sizeof salt);
}
// Whether both come from one master key, and so share a key stream whatever their tags are like: the session salts are 96 or
// 112 bits of it.
template <typename Keys>
bool sameMaster(const Keys& a, const Keys& b) {
  return a.gcm == b.gcm && equalSecret(a.salt, b.salt, MASTER_SALT_BYTES);
}

void deriveSrtcpKeys(uint16_t profile, const uint8_t* keyAndSalt, SrtcpKeys& out);

// Bytes that protection adds.
size_t srtcpOverhead(const SrtcpKeys& keys);
// `packet` holds `length` plain bytes and has room for the overhead; gives the protected length.
size_t protectSrtcp(const SrtcpKeys& keys, uint8_t* packet, size_t length, uint32_t index);
// What the protected packet claims, not verified yet. False when it is too short.
bool readSrtcpIndex(const SrtcpKeys& keys, const uint8_t* packet, size_t length, bool& encrypted, uint32_t& index);
// Verifies and decrypts in place; gives the plain length, or 0 and an untouched packet.
size_t unprotectSrtcp(const SrtcpKeys& keys, uint8_t* packet, size_t length);

// Whether a packet of RFC 7714 verifies under a session key of 16 or 32 bytes and a salt of 12; it stays as it is.
bool verifyGcmSrtcp(const uint8_t* key, size_t keyBytes, const uint8_t* salt, const uint8_t* packet, size_t length);

// What the peer protects: its keys, and one replay window for each SSRC that it signs with.
class ReceivingKeys {
 public:
  ~ReceivingKeys() { wipe(&remote_, sizeof remote_); }
  // The windows start afresh with the new keys.
  void set(uint16_t profile, const uint8_t* remote);
  const SrtcpKeys& remote() const { return remote_; }
  Drop checkReplay(uint32_t ssrc, uint32_t index) const;
  void accept(uint32_t ssrc, uint32_t index);
  uint32_t windowCount() const { return windowCount_; }
  uint64_t windowDigest(uint32_t i) const;

 private:
  struct Window {
    uint32_t ssrc;
    ReplayWindow window;
  };
  SrtcpKeys remote_{};
  uint32_t windowCount_ = 0;
  Window windows_[MAX_CONTROL_SSRCS_PER_CHANNEL];
};

// Both directions of a channel. Keys that a new association replaced open what was sent under them for
// PREVIOUS_CHANNEL_KEYS_LIFETIME_MS more; we send under the new ones at once.
class ChannelKeys {
 public:
  ~ChannelKeys() { wipe(&local_, sizeof local_); }
  bool ready() const { return current_ != nullptr; }
  // The send index runs on when keys are replaced. A peer that repeats its keys goes on: what was heard under them is not
  // heard again.
  bool set(uint16_t profile, const uint8_t* local, size_t localLength, const uint8_t* remote, size_t remoteLength,
           uint64_t now);
  void expire(uint64_t now);
  // Keys that were replaced are still there, for `expire` to wipe.
  bool replaced() const { return previous_ != nullptr; }

  // Only while ready.
  ReceivingKeys& current() { return *current_; }
  const ReceivingKeys* currentOrNull() const { return current_.get(); }
  ReceivingKeys* previous(uint64_t now) { return now < previousUntil_ ? previous_.get() : nullptr; }
  // Protects in place; 0 when there are no keys, no room or no index left.
  size_t protect(uint8_t* packet, size_t length, size_t room);

  uint32_t sendIndex() const { return sendIndex_; }

 private:
  SrtcpKeys local_{};
  uint32_t sendIndex_ = 0;
  std::unique_ptr<ReceivingKeys> current_;
  std::unique_ptr<ReceivingKeys> previous_;
  uint64_t previousUntil_ = 0;
};

}  // namespace claviger
