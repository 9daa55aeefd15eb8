// What associations share: one SSL_CTX, and identities for as long as an association holds them.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>

#include "library.h"
#include "wire.h"

namespace claviger::dtls {

template <typename T, void (*release)(T*)>
struct Release {
  void operator()(T* p) const { release(p); }
};
template <typename T, void (*release)(T*)>
using Held = std::unique_ptr<T, Release<T, release>>;

// Our certificate and its key.
struct Identity {
  Held<X509, X509_free> certificate;
  Held<EVP_PKEY, EVP_PKEY_free> key;
};

// What the callbacks of an SSL ask its association.
class Hooks {
 public:
  virtual ~Hooks() = default;
  virtual bool acceptsCertificate(X509* leaf) = 0;
  // The SRTP profiles that a ClientHello offers, as the extension's bytes; null: none.
  virtual bool acceptsHello(const uint8_t* useSrtp, size_t length) = 0;
  virtual unsigned retransmitMs(unsigned previousMs) = 0;
};

// One a thread: nothing in it is locked.
class Context {
 public:
  // Null when OpenSSL refuses something that this engine cannot do without.
  static std::shared_ptr<Context> create();

  // The same pair is loaded once while anybody holds it (reading a key costs as much as a signature); the last holder's end
  // frees it. Null when it does not load, does not fit together, or is of a kind that we do not use.
  std::shared_ptr<Identity> identity(const std::string& certificatePem, Span privateKeyPem);

  // An SSL that calls `hooks`, which must outlive it. Null when OpenSSL refuses.
  SSL* newSsl(Hooks* hooks) const;

  // Null: the process's own.
  OSSL_LIB_CTX* library() const { return library_.get(); }

 private:
  Held<EVP_PKEY, EVP_PKEY_free> moved(EVP_PKEY* key) const;

  Library library_;  // outlives what was made in it
  Held<SSL_CTX, SSL_CTX_free> ctx_;
  std::map<Bytes, std::weak_ptr<Identity>> identities_;
};

// ECDSA on P-256 or P-384, RSA of 2048 bits or more.
bool isUsableKey(EVP_PKEY* key);

}  // namespace claviger::dtls
