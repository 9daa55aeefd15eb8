// A library context of OpenSSL with what this engine needs and no more. Reading a key, which each certificate of a peer asks
// for, looks at every kind of key and every decoder of its context (OpenSSL 3.0 keeps no index of them): with all that the
// default provider has it costs more than a signature and its verification together.
#pragma once

#include <openssl/types.h>

#include <memory>

namespace claviger::dtls {

struct ReleaseLibrary {
  void operator()(OSSL_LIB_CTX* library) const;
};
using Library = std::unique_ptr<OSSL_LIB_CTX, ReleaseLibrary>;

// Null when Node runs without OpenSSL's default provider (FIPS): then the process's own context is the one to use.
Library createLibrary();

}  // namespace claviger::dtls
