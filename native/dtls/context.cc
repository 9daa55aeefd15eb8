#include "context.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstring>

namespace claviger::dtls {

namespace {

constexpr char CIPHERS[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr char SIGNATURES[] = "ECDSA+SHA256:ECDSA+SHA384:RSA+SHA256:RSA+SHA384:RSA+SHA512";
constexpr unsigned EXTENSION_USE_SRTP = 14;
constexpr int MIN_RSA_BITS = 2048;

Hooks* hooksOf(const SSL* ssl) { return static_cast<Hooks*>(SSL_get_app_data(ssl)); }

// Any chain, expired or not: what counts is the fingerprint of the leaf (RFC 5763 §5, RFC 8122 §6.2).
int verifyCertificate(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  const bool accepted = leaf != nullptr && hooksOf(ssl)->acceptsCertificate(leaf);
  X509_STORE_CTX_set_error(store, accepted ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
  return accepted ? 1 : 0;
}

int readHello(SSL* ssl, int* alert, void*) {
  const unsigned char* data = nullptr;
  size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, EXTENSION_USE_SRTP, &data, &length) != 1) data = nullptr;
  if (hooksOf(ssl)->acceptsHello(data, length)) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_HANDSHAKE_FAILURE;
  return SSL_CLIENT_HELLO_ERROR;
}

// The guard has verified the cookie before OpenSSL hears of the hello; DTLSv1_listen only sets its numbers.
int verifyCookie(SSL*, const unsigned char*, unsigned) { return 1; }
int makeCookie(SSL*, unsigned char*, unsigned*) { return 0; }

// A PEM with a password is not asked for one on the terminal.
int noPassword(char*, int, int, void*) { return -1; }

bool configure(SSL_CTX* c) {
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_security_level(c, 2);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(c, verifyCertificate, nullptr);
  SSL_CTX_set_client_hello_cb(c, readHello, nullptr);
  SSL_CTX_set_cookie_generate_cb(c, makeCookie);
  SSL_CTX_set_cookie_verify_cb(c, verifyCookie);
  return SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(c, DTLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(c, CIPHERS) == 1 &&
         SSL_CTX_set1_sigalgs_list(c, SIGNATURES) == 1 && SSL_CTX_set1_client_sigalgs_list(c, SIGNATURES) == 1;
}

}  // namespace

bool isUsableKey(EVP_PKEY* key) {
  if (key == nullptr) return false;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return EVP_PKEY_get_bits(key) >= MIN_RSA_BITS;
  char group[32];
  size_t length = 0;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof group, &length) != 1) {
    return false;
  }
  return std::strcmp(group, "prime256v1") == 0 || std::strcmp(group, "secp384r1") == 0;
}

std::shared_ptr<Context> Context::create() {
  auto made = std::make_shared<Context>();
  made->library_ = createLibrary();
  made->ctx_.reset(SSL_CTX_new_ex(made->library(), nullptr, DTLS_method()));
  if (made->ctx_ == nullptr || !configure(made->ctx_.get())) made = nullptr;
  ERR_clear_error();
  return made;
}

std::shared_ptr<Identity> Context::identity(const std::string& certificatePem, Span privateKeyPem) {
  // The name of the pair is a hash, so that no key stays behind in it.
  Bytes name(EVP_MAX_MD_SIZE);
  unsigned length = 0;
  Held<EVP_MD_CTX, EVP_MD_CTX_free> hash(EVP_MD_CTX_new());
  if (hash == nullptr || EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) != 1 ||
      EVP_DigestUpdate(hash.get(), certificatePem.data(), certificatePem.size() + 1) != 1 ||
      EVP_DigestUpdate(hash.get(), privateKeyPem.data, privateKeyPem.length) != 1 ||
      EVP_DigestFinal_ex(hash.get(), name.data(), &length) != 1) {
    return nullptr;
  }
  name.resize(length);
  for (auto at = identities_.begin(); at != identities_.end();) {
    at = at->second.expired() ? identities_.erase(at) : std::next(at);
  }
  if (const auto known = identities_.find(name); known != identities_.end()) return known->second.lock();

  Held<BIO, BIO_free_all> certificate(BIO_new_mem_buf(certificatePem.data(), static_cast<int>(certificatePem.size())));
  Held<BIO, BIO_free_all> key(BIO_new_mem_buf(privateKeyPem.data, static_cast<int>(privateKeyPem.length)));
  auto made = std::make_shared<Identity>();
  if (certificate != nullptr && key != nullptr) {
    X509* x509 = X509_new_ex(library(), nullptr);
    if (x509 != nullptr && PEM_read_bio_X509(certificate.get(), &x509, noPassword, nullptr) == nullptr) {
      X509_free(x509);
      x509 = nullptr;
    }
    made->certificate.reset(x509);
    Held<EVP_PKEY, EVP_PKEY_free> read(PEM_read_bio_PrivateKey(key.get(), nullptr, noPassword, nullptr));
    made->key = moved(read.get());
  }
  const bool loaded = made->certificate != nullptr && isUsableKey(made->key.get()) &&
                      X509_check_private_key(made->certificate.get(), made->key.get()) == 1;
  ERR_clear_error();
  if (!loaded) return nullptr;
  identities_.emplace(std::move(name), made);
  return made;
}

// A context of our own reads no private keys: the process's does, and hands over the numbers.
Held<EVP_PKEY, EVP_PKEY_free> Context::moved(EVP_PKEY* key) const {
  Held<EVP_PKEY, EVP_PKEY_free> out;
  Held<OSSL_PARAM, OSSL_PARAM_free> numbers;
  OSSL_PARAM* read = nullptr;
  EVP_PKEY* made = nullptr;
  if (!isUsableKey(key) || EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &read) != 1) return out;
  numbers.reset(read);
  Held<EVP_PKEY_CTX, EVP_PKEY_CTX_free> maker(
      EVP_PKEY_CTX_new_from_name(library(), EVP_PKEY_get0_type_name(key), nullptr));
  if (maker != nullptr && EVP_PKEY_fromdata_init(maker.get()) == 1 &&
      EVP_PKEY_fromdata(maker.get(), &made, EVP_PKEY_KEYPAIR, read) == 1) {
    out.reset(made);
  }
  return out;
}

SSL* Context::newSsl(Hooks* hooks) const {
  SSL* ssl = SSL_new(ctx_.get());
  if (ssl != nullptr) SSL_set_app_data(ssl, hooks);
  if (ssl != nullptr) {
    DTLS_set_timer_cb(ssl, [](SSL* s, unsigned previousUs) { return hooksOf(s)->retransmitMs(previousUs / 1000) * 1000; });
  }
  return ssl;
}

}  // namespace claviger::dtls
