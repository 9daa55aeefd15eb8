// OpenSSL's errors in the words of AssociationFailure.
#pragma once

#include <openssl/ssl.h>

#include "gate.h"

namespace claviger::dtls {

// Reads and empties this thread's error queue. `at` is where the handshake stands: the same words from OpenSSL mean a
// signature of ServerKeyExchange or of CertificateVerify.
Finding explainError(OSSL_HANDSHAKE_STATE at);

}  // namespace claviger::dtls
