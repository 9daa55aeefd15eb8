#include "library.h"

#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <cstring>
#include <map>
#include <vector>

namespace claviger::dtls {

namespace {

constexpr char NAME[] = "claviger";
// By the first of their names. Every algorithm that a context holds makes the search for a key's kind longer.
struct Kept {
  int operation;
  std::vector<const char*> names;
};
const std::vector<Kept>& wanted() {
  static const std::vector<Kept> all = {
      {OSSL_OP_DIGEST, {"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}},
      {OSSL_OP_CIPHER, {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-256-CTR"}},
      {OSSL_OP_MAC, {"HMAC"}},
      {OSSL_OP_KDF, {"TLS1-PRF"}},
      {OSSL_OP_RAND, {"CTR-DRBG", "SEED-SRC"}},
      {OSSL_OP_KEYMGMT, {"EC", "RSA", "X25519"}},
      {OSSL_OP_KEYEXCH, {"ECDH", "X25519"}},
      {OSSL_OP_SIGNATURE, {"ECDSA", "RSA"}},
      // "DER" is the step that finds out the kind.
      {OSSL_OP_DECODER, {"EC", "RSA", "DER"}},
  };
  return all;
}

// The process's default provider, whose algorithms ours hands on. Never unloaded: contexts of threads that end late use it.
OSSL_PROVIDER* defaultProvider() {
  static OSSL_PROVIDER* const loaded = OSSL_PROVIDER_try_load(nullptr, "default", 1);
  return loaded;
}

bool isFirstOf(const char* names, const char* name) {
  const size_t length = std::strlen(name);
  return std::strncmp(names, name, length) == 0 && (names[length] == ':' || names[length] == '\0');
}

// Of the forms of a key the one that certificates have.
bool isNeeded(int operation, const OSSL_ALGORITHM& algorithm) {
  return operation != OSSL_OP_DECODER || std::strstr(algorithm.property_definition, "SubjectPublicKeyInfo") != nullptr;
}

// Lists as a provider gives them, by operation.
std::map<int, std::vector<OSSL_ALGORITHM>> lists() {
  std::map<int, std::vector<OSSL_ALGORITHM>> out;
  for (const Kept& kept : wanted()) {
    std::vector<OSSL_ALGORITHM>& list = out[kept.operation];
    int noCache = 0;
    const OSSL_ALGORITHM* at = OSSL_PROVIDER_query_operation(defaultProvider(), kept.operation, &noCache);
    for (; at != nullptr && at->algorithm_names != nullptr; at++) {
      for (const char* name : kept.names) {
        if (isFirstOf(at->algorithm_names, name) && isNeeded(kept.operation, *at)) list.push_back(*at);
      }
    }
    list.push_back({nullptr, nullptr, nullptr, nullptr});
  }
  return out;
}

const OSSL_ALGORITHM* query(void*, int operation, int* noCache) {
  static const auto known = lists();
  *noCache = 0;
  const auto found = known.find(operation);
  return found == known.end() ? nullptr : found->second.data();
}

int capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return OSSL_PROVIDER_get_capabilities(defaultProvider(), capability, callback, argument);
}

using Function = void (*)(void);
const OSSL_DISPATCH DISPATCH[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<Function>(query)},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<Function>(capabilities)},
    {0, nullptr},
};

// The algorithms are the default provider's, so they get its context.
int initialise(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out, void** context) {
  *out = DISPATCH;
  *context = OSSL_PROVIDER_get0_provider_ctx(defaultProvider());
  return 1;
}

}  // namespace

void ReleaseLibrary::operator()(OSSL_LIB_CTX* library) const { OSSL_LIB_CTX_free(library); }

Library createLibrary() {
  if (OSSL_PROVIDER_available(nullptr, "default") != 1 || defaultProvider() == nullptr) return nullptr;
  Library made(OSSL_LIB_CTX_new());
  if (made == nullptr || OSSL_PROVIDER_add_builtin(made.get(), NAME, initialise) != 1 ||
      OSSL_PROVIDER_load(made.get(), NAME) == nullptr) {
    ERR_clear_error();
    return nullptr;
  }
  return made;
}

}  // namespace claviger::dtls
