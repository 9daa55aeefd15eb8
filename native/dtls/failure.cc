#include "failure.h"

#include <openssl/err.h>

namespace claviger::dtls {

namespace {

const char* reasonFor(int reason, OSSL_HANDSHAKE_STATE at) {
  switch (reason) {
    case SSL_R_DIGEST_CHECK_FAILED:
    case SSL_R_BAD_DIGEST_LENGTH:
      return "finished-invalid";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no-certificate";
    case SSL_R_BAD_SRTP_PROTECTION_PROFILE_LIST:
    case SSL_R_NO_SRTP_PROFILES:
      return "no-common-profile";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
      return "no-common-parameters";
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_WRONG_SIGNATURE_SIZE:
    case SSL_R_UNKNOWN_DIGEST:
      if (at == TLS_ST_CR_KEY_EXCH) return "key-exchange-signature-invalid";
      return at == TLS_ST_SR_CERT_VRFY ? "certificate-verify-invalid" : "protocol-error";
    default:
      return "protocol-error";
  }
}

}  // namespace

Finding explainError(OSSL_HANDSHAKE_STATE at) {
  // The first error is the cause; those behind it tell who gave up because of it.
  unsigned long first = 0;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    if (first == 0 || (ERR_GET_LIB(first) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL)) first = code;
  }
  const char* text = ERR_reason_error_string(first);
  const int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;
  if (reason > SSL_AD_REASON_OFFSET) {
    return {"alert-received", "the peer ended the association", reason - SSL_AD_REASON_OFFSET, -1};
  }
  return {reasonFor(reason, at), text == nullptr ? "OpenSSL does not say why" : text, -1, -1};
}

}  // namespace claviger::dtls
