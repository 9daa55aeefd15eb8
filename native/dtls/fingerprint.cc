#include "fingerprint.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace claviger::dtls {

namespace {

const EVP_MD* hashOf(const std::string& algorithm) {
  if (algorithm == "sha-256") return EVP_sha256();
  if (algorithm == "sha-384") return EVP_sha384();
  if (algorithm == "sha-512") return EVP_sha512();
  return nullptr;
}

}  // namespace

bool matchesAny(Span der, const std::vector<Fingerprint>& promised) {
  for (const Fingerprint& one : promised) {
    const EVP_MD* hash = hashOf(one.algorithm);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (hash == nullptr || EVP_Digest(der.data, der.length, digest, &length, hash, nullptr) != 1) continue;
    if (length == one.value.size() && CRYPTO_memcmp(digest, one.value.data(), length) == 0) return true;
  }
  return false;
}

std::string sha256Hex(Span der) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(der.data, der.length, digest, &length, EVP_sha256(), nullptr) != 1) return {};
  constexpr char DIGITS[] = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < length; i++) {
    out.push_back(DIGITS[digest[i] >> 4]);
    out.push_back(DIGITS[digest[i] & 15]);
  }
  return out;
}

}  // namespace claviger::dtls
