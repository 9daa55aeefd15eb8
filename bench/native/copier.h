// What a relay does that has keys of its own with every receiver: SRTP (RFC 3711, AES128_CM_HMAC_SHA1_80) verified and
// decrypted once, then encrypted and tagged for each receiver. OpenSSL's functions; one cipher context a receiver, key
// schedule done; HMAC states computed beforehand; the payload is encrypted from where it lies into the copy. There is no
// replay window and no RTCP: it does rather less than a real one.
#pragma once
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace claviger::bench {

constexpr size_t COPY_TAG_BYTES = 10;
constexpr size_t COPY_SALT_BYTES = 14;
constexpr size_t COPY_KEY_BYTES = 16;
constexpr size_t COPY_MAX_BYTES = 2048;

// Session keys, made at random: how they are derived costs nothing a packet.
struct CopyKeys {
  uint8_t key[COPY_KEY_BYTES], salt[COPY_SALT_BYTES], auth[SHA_DIGEST_LENGTH];
};

class SrtpContext {
 public:
  explicit SrtpContext(const CopyKeys& keys);
  // Counter mode over `length` bytes (RFC 3711 §4.1.1).
  void crypt(uint8_t* out, const uint8_t* in, size_t length, uint32_t ssrc, uint32_t roc, uint16_t sequence);
  // The tag over a packet without its tag, and the ROC (RFC 3711 §4.2).
  void tag(const uint8_t* packet, size_t length, uint32_t roc, uint8_t (&out)[COPY_TAG_BYTES]) const;

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> cipher_;
  uint8_t salt_[COPY_SALT_BYTES];
  SHA_CTX inner_, outer_;
};

class Copier {
 public:
  explicit Copier(size_t receivers);
  // Makes of a datagram of the same length what a source of the copying relay sends: all between header and the last
  // ten bytes is payload. False: no RTP packet.
  bool protect(uint8_t* packet, size_t length);
  // Verified and decrypted in place; false: not of the source.
  bool open(uint8_t* packet, size_t length);
  // Of the packet opened last.
  void copyFor(size_t receiver, const uint8_t* packet, size_t length, uint8_t* out);
  size_t receivers() const { return keys_.size() - 1; }
  const CopyKeys& keysOf(size_t receiver) const { return keys_[receiver + 1]; }

 private:
  static size_t headerBytes(const uint8_t* packet, size_t length);

  std::vector<CopyKeys> keys_;  // the source's first
  std::vector<SrtpContext> contexts_;
};

}  // namespace claviger::bench
