// EKT in the authentication tag for AES128_CM_HMAC_SHA1_80 with AES-128 ECB (WIRE.md 5; suite 1, cipher 1). This file and
// its .cc are all that knows the tag's bytes; ekt_field.h is the other way for keys to travel.
#pragma once
#include "hmac_sha1.h"
#include "srtp_kdf.h"
#include "tag_view.h"

namespace claviger {

constexpr size_t BASE_TAG_BYTES = TAG_BYTES;
constexpr size_t WRAPPED_KEY_BYTES = 16;
constexpr size_t FULL_TAG_BYTES = BASE_TAG_BYTES + WRAPPED_KEY_BYTES + 4 + 2 + 2;
constexpr size_t SHORT_TAG_BYTES = BASE_TAG_BYTES + 1;
constexpr size_t SENDER_KEY_BYTES = 16;
constexpr size_t SRTP_AUTH_KEY_BYTES = 20;

// False when the tag, with `before` bytes ahead of it, does not fit. The last bit of the packet tells the form.
bool parseTag(const uint8_t* packet, size_t length, size_t before, TagView& out);

// The SPI is the upper 15 bits of the word (WIRE.md D2).
inline uint16_t spiOf(uint16_t spiWord) { return spiWord & 0xfffe; }

struct SenderKeys {
  HmacSha1Key srtp;
  HmacSha1Key srtcp;
};

// Authentication keys of a sender key: the switch derives no encryption key, it has no use for one.
void deriveSenderKeys(const uint8_t key[SENDER_KEY_BYTES], const uint8_t salt[MASTER_SALT_BYTES], SenderKeys& out);

// The base tag of an SRTP packet whose first `tag.authenticated` bytes are at `packet`. A Short tag's input has `roc`, a
// Full tag's its own block, which follows the base tag in `block` (WIRE.md 5).
void srtpBaseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* fullBlock,
                 uint32_t roc, uint8_t out[BASE_TAG_BYTES]);
void srtcpBaseTag(const HmacSha1Key& key, const uint8_t* packet, size_t authenticated, const uint8_t* fullBlock,
                  uint8_t out[BASE_TAG_BYTES]);

constexpr size_t FULL_BLOCK_BYTES = FULL_TAG_BYTES - BASE_TAG_BYTES;

}  // namespace claviger
