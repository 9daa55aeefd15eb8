#include "libsrtp.h"

#include <dlfcn.h>

namespace claviger::bench {
namespace {

struct CryptoPolicy {
  uint32_t cipherType;
  int cipherKeyBytes;
  uint32_t authType;
  int authKeyBytes;
  int authTagBytes;
  int services;
};

struct Policy {
  int ssrcType;
  unsigned ssrc;
  CryptoPolicy rtp;
  CryptoPolicy rtcp;
  const uint8_t* key;
  void** keys;
  unsigned long keyCount;
  void* ekt;
  unsigned long windowSize;
  int allowRepeats;
  int* encryptedExtensions;
  int encryptedExtensionCount;
  Policy* next;
};
constexpr int ANY_OUTBOUND = 3;

struct Library {
  int (*init)() = nullptr;
  int (*create)(void**, const Policy*) = nullptr;
  int (*dealloc)(void*) = nullptr;
  int (*protect)(void*, void*, int*) = nullptr;
  int (*policyForRtp)(CryptoPolicy*, int) = nullptr;
  int (*policyForRtcp)(CryptoPolicy*, int) = nullptr;
  bool there = false;

  // Bound to its own libcrypto, not to the one that is in Node's binary: as in anybody else's process. It stays open.
  Library() {
    void* opened = dlopen("libsrtp2.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (opened == nullptr) return;
    const auto find = [opened](auto& function, const char* name) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(opened, name));
      return function != nullptr;
    };
    there = find(init, "srtp_init") && find(create, "srtp_create") && find(dealloc, "srtp_dealloc") &&
            find(protect, "srtp_protect") && find(policyForRtp, "srtp_crypto_policy_set_from_profile_for_rtp") &&
            find(policyForRtcp, "srtp_crypto_policy_set_from_profile_for_rtcp") && init() == 0;
  }
};

const Library& library() {
  static const Library loaded;
  return loaded;
}

}  // namespace

bool hasLibSrtp() { return library().there; }

void LibSrtpSender::Close::operator()(void* session) const { library().dealloc(session); }

LibSrtpSender::LibSrtpSender(uint16_t profile, const uint8_t* keyAndSalt) {
  if (!hasLibSrtp()) return;
  Policy policy{};
  policy.ssrcType = ANY_OUTBOUND;
  policy.key = keyAndSalt;
  policy.windowSize = 128;
  void* session = nullptr;
  if (library().policyForRtp(&policy.rtp, profile) != 0 || library().policyForRtcp(&policy.rtcp, profile) != 0 ||
      library().create(&session, &policy) != 0) {
    return;
  }
  session_.reset(session);
}

size_t LibSrtpSender::protect(uint8_t* packet, size_t length) {
  int size = static_cast<int>(length);
  return library().protect(session_.get(), packet, &size) == 0 ? static_cast<size_t>(size) : 0;
}

}  // namespace claviger::bench
