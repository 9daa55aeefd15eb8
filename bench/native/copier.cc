#include "copier.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstring>

namespace claviger::bench {
namespace {

// The streams of a bench are shorter than a turn of the sequence number, so the ROC of each stays 0.
constexpr uint32_t ROC = 0;
constexpr size_t FIXED_HEADER_BYTES = 12;

uint16_t sequenceOf(const uint8_t* packet) { return static_cast<uint16_t>(packet[2] << 8 | packet[3]); }
uint32_t ssrcOf(const uint8_t* packet) {
  return uint32_t{packet[8]} << 24 | uint32_t{packet[9]} << 16 | uint32_t{packet[10]} << 8 | packet[11];
}

SHA_CTX padState(const uint8_t (&key)[SHA_DIGEST_LENGTH], uint8_t with) {
  uint8_t block[SHA_CBLOCK];
  std::memset(block, with, sizeof block);
  for (size_t i = 0; i < sizeof key; i++) block[i] ^= key[i];
  SHA_CTX c;
  SHA1_Init(&c);
  SHA1_Update(&c, block, sizeof block);
  return c;
}

}  // namespace

SrtpContext::SrtpContext(const CopyKeys& keys)
    : cipher_(EVP_CIPHER_CTX_new()), inner_(padState(keys.auth, 0x36)), outer_(padState(keys.auth, 0x5c)) {
  std::memcpy(salt_, keys.salt, sizeof salt_);
  EVP_EncryptInit_ex(cipher_.get(), EVP_aes_128_ctr(), nullptr, keys.key, nullptr);
}

void SrtpContext::crypt(uint8_t* out, const uint8_t* in, size_t length, uint32_t ssrc, uint32_t roc, uint16_t sequence) {
  uint8_t iv[16] = {};
  std::memcpy(iv, salt_, sizeof salt_);
  for (size_t i = 0; i < 4; i++) {
    iv[4 + i] ^= static_cast<uint8_t>(ssrc >> (24 - 8 * i));
    iv[8 + i] ^= static_cast<uint8_t>(roc >> (24 - 8 * i));
  }
  iv[12] ^= static_cast<uint8_t>(sequence >> 8);
  iv[13] ^= static_cast<uint8_t>(sequence);
  int done = 0;
  EVP_EncryptInit_ex(cipher_.get(), nullptr, nullptr, nullptr, iv);
  EVP_EncryptUpdate(cipher_.get(), out, &done, in, static_cast<int>(length));
}

void SrtpContext::tag(const uint8_t* packet, size_t length, uint32_t roc, uint8_t (&out)[COPY_TAG_BYTES]) const {
  const uint8_t rocBytes[4] = {static_cast<uint8_t>(roc >> 24), static_cast<uint8_t>(roc >> 16),
                               static_cast<uint8_t>(roc >> 8), static_cast<uint8_t>(roc)};
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA_CTX c = inner_;
  SHA1_Update(&c, packet, length);
  SHA1_Update(&c, rocBytes, sizeof rocBytes);
  SHA1_Final(digest, &c);
  c = outer_;
  SHA1_Update(&c, digest, sizeof digest);
  SHA1_Final(digest, &c);
  std::memcpy(out, digest, sizeof out);
}

Copier::Copier(size_t receivers) : keys_(receivers + 1) {
  RAND_bytes(reinterpret_cast<uint8_t*>(keys_.data()), static_cast<int>(keys_.size() * sizeof(CopyKeys)));
  contexts_.reserve(keys_.size());
  for (const CopyKeys& keys : keys_) contexts_.emplace_back(keys);
}

// 0: not an RTP packet that has room for a tag. The packets of the benches have no header extension.
size_t Copier::headerBytes(const uint8_t* packet, size_t length) {
  if (length < FIXED_HEADER_BYTES || packet[0] >> 6 != 2) return 0;
  const size_t header = FIXED_HEADER_BYTES + size_t{4} * (packet[0] & 0x0f);
  return header + COPY_TAG_BYTES <= length ? header : 0;
}

bool Copier::protect(uint8_t* packet, size_t length) {
  const size_t header = headerBytes(packet, length);
  if (header == 0) return false;
  const size_t body = length - COPY_TAG_BYTES;
  contexts_[0].crypt(packet + header, packet + header, body - header, ssrcOf(packet), ROC, sequenceOf(packet));
  uint8_t tag[COPY_TAG_BYTES];
  contexts_[0].tag(packet, body, ROC, tag);
  std::memcpy(packet + body, tag, sizeof tag);
  return true;
}

bool Copier::open(uint8_t* packet, size_t length) {
  const size_t header = headerBytes(packet, length);
  if (header == 0) return false;
  const size_t body = length - COPY_TAG_BYTES;
  uint8_t tag[COPY_TAG_BYTES];
  contexts_[0].tag(packet, body, ROC, tag);
  if (CRYPTO_memcmp(tag, packet + body, sizeof tag) != 0) return false;
  contexts_[0].crypt(packet + header, packet + header, body - header, ssrcOf(packet), ROC, sequenceOf(packet));
  return true;
}

void Copier::copyFor(size_t receiver, const uint8_t* packet, size_t length, uint8_t* out) {
  const size_t header = headerBytes(packet, length);
  const size_t body = length - COPY_TAG_BYTES;
  SrtpContext& context = contexts_[receiver + 1];
  std::memcpy(out, packet, header);
  context.crypt(out + header, packet + header, body - header, ssrcOf(packet), ROC, sequenceOf(packet));
  uint8_t tag[COPY_TAG_BYTES];
  context.tag(out, body, ROC, tag);
  std::memcpy(out + body, tag, sizeof tag);
}

}  // namespace claviger::bench
