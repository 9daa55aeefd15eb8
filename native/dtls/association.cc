#include "association.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/srtp.h>
#include <sys/time.h>

#include <algorithm>

#include "failure.h"
#include "dtls_limits.h"

namespace claviger::dtls {

namespace {

// Plaintext record numbers above this are nobody's: ours could run out if we continued from one (RFC 6347 §4.2.1).
constexpr uint64_t MAX_PLAINTEXT_SEQUENCE = uint64_t{1} << 40;
constexpr char EXPORTER_LABEL[] = "EXTRACTOR-dtls_srtp";
constexpr int ALERT_INTERNAL_ERROR = 80;

struct Profile {
  uint16_t id;
  const char* name;
  size_t keyBytes, saltBytes;
};
constexpr Profile PROFILES[] = {{1, "SRTP_AES128_CM_SHA1_80", 16, 14},
                                {7, "SRTP_AEAD_AES_128_GCM", 16, 12},
                                {8, "SRTP_AEAD_AES_256_GCM", 32, 12}};

const Profile* profileOf(unsigned long id) {
  for (const Profile& p : PROFILES) {
    if (p.id == id) return &p;
  }
  return nullptr;
}

Bytes derOf(X509* certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509(certificate, &der);
  Bytes out;
  if (length > 0) out.assign(der, der + length);
  OPENSSL_free(der);
  return out;
}

}  // namespace

Association::Association(std::shared_ptr<Context> context, Options options)
    : context_(std::move(context)), options_(std::move(options)), guard_(options_.cookieVerified), gate_(options_.client, options_.peerFingerprints) {
  options_.mtuBytes = std::clamp<size_t>(options_.mtuBytes, DTLS_MIN_MTU_BYTES, DTLS_MAX_MTU_BYTES);
  queues_.out = [this](Bytes datagram) { emit(std::move(datagram)); };
  queues_.timer = [this](timeval* next) { timer(next); };
}

Association::~Association() {
  end(State::closed);
  for (Output& output : outputs_) {
    OPENSSL_cleanse(output.bytes.data(), output.bytes.size());
    OPENSSL_cleanse(output.remote.data(), output.remote.size());
  }
}

void Association::start(Span privateKeyPem, double now) {
  if (state_ != State::fresh) return;
  state_ = State::handshaking;
  expiresAt_ = now + DTLS_HANDSHAKE_TIMEOUT_MS;
  ERR_clear_error();
  identity_ = context_->identity(options_.certificatePem, privateKeyPem);
  if (identity_ == nullptr) return fail({"no-certificate", "our own certificate and key do not load", -1, -1});
  if (!options_.client) return;  // until a hello has shown our cookie
  if (!open({})) return fail({"protocol-error", "OpenSSL does not take our options", -1, -1});
  handshake();
  lookAtTimer(now);
}

// Makes OpenSSL's side. A server's begins with a hello whose cookie is good, as one record.
bool Association::open(Span hello) {
  ssl_.reset(context_->newSsl(this));
  BIO* bio = newDatagramBio(&queues_);
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free_all(bio);
    return false;
  }
  SSL* ssl = ssl_.get();
  SSL_set_bio(ssl, bio, bio);
  std::string profiles;
  for (const uint16_t id : options_.profiles) {
    const Profile* profile = profileOf(id);
    if (profile != nullptr) profiles += (profiles.empty() ? "" : ":") + std::string(profile->name);
  }
  if (!options_.extendedMasterSecret) SSL_set_options(ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
  // The function that sets SRTP profiles says 0 for success.
  if (SSL_use_certificate(ssl, identity_->certificate.get()) != 1 || SSL_use_PrivateKey(ssl, identity_->key.get()) != 1 ||
      SSL_set1_groups_list(ssl, options_.groups.c_str()) != 1 || SSL_set_tlsext_use_srtp(ssl, profiles.c_str()) != 0 ||
      SSL_set_mtu(ssl, static_cast<long>(options_.mtuBytes)) != static_cast<long>(options_.mtuBytes)) {
    return false;
  }
  if (options_.client) {
    SSL_set_connect_state(ssl);
    return true;
  }
  SSL_set_accept_state(ssl);
  queues_.in.emplace_back(hello.data, hello.data + hello.length);
  Held<BIO_ADDR, BIO_ADDR_free> nobody(BIO_ADDR_new());
  return nobody != nullptr && DTLSv1_listen(ssl, nobody.get()) == 1;
}

void Association::receive(Span datagram, double now) {
  const bool live = state_ == State::handshaking || state_ == State::established;
  if (live && datagram.length <= MAX_DATAGRAM_BYTES) {
    ERR_clear_error();
    Gate::Outcome outcome;
    Record record;
    while (nextRecord(datagram, record)) {
      if (record.epoch == 1 && ssl_ != nullptr && record.payload.length >= leastProtectedBytes()) {
        if (state_ == State::handshaking) gate_.protectedRecord(record, outcome);
        else outcome.records.emplace_back(record.whole.data, record.whole.data + record.whole.length);
      }
      // An established association has no business with plaintext: neither hello nor alert can end it.
      if (record.epoch != 0 || state_ != State::handshaking || record.sequence > MAX_PLAINTEXT_SEQUENCE) continue;
      if (record.type == ALERT && record.payload.length == 2 && record.payload.data[0] == 2) {
        doubt({"alert-received", "the peer refused the handshake", record.payload.data[1], -1}, now);
      } else if (record.type == HANDSHAKE && ssl_ == nullptr) {
        hello(record);
      } else if (record.type == HANDSHAKE) {
        gate_.handshakeRecord(record, outcome);
      }
    }
    pass(outcome, now);
  }
  tick(now);
}

// What the cipher adds to a record. OpenSSL 3.0 ends the association over a shorter one (internal_error, before anything is
// authenticated), which anybody could send.
size_t Association::leastProtectedBytes() const {
  constexpr size_t GCM_BYTES = 8 + 16, CHACHA_BYTES = 16;
  const SSL_CIPHER* cipher = SSL_get_pending_cipher(ssl_.get());
  if (cipher == nullptr) cipher = SSL_get_current_cipher(ssl_.get());
  const bool chacha = cipher != nullptr && SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305;
  return chacha ? CHACHA_BYTES : GCM_BYTES;  // not known yet: a Finished is longer than either
}

// A server that has not seen its cookie.
void Association::hello(const Record& record) {
  Bytes bytes;
  switch (guard_.hear(record, bytes)) {
    case HelloGuard::Verdict::nothing:
      return;
    case HelloGuard::Verdict::verify:
      emit(std::move(bytes));
      return;
    case HelloGuard::Verdict::accept:
      guard_.forget();
      gate_.beginAfterHello(record.sequence);
      // RFC 6347 §4.2.1: the first record of ours takes the number of the hello; an alert may be the first.
      nextPlaintext_ = record.sequence;
      doubt_.reset();
      if (open({bytes.data(), bytes.size()})) return handshake();
      fail({"protocol-error", "OpenSSL does not take the hello", -1, ALERT_INTERNAL_ERROR});
  }
}

void Association::pass(Gate::Outcome& outcome, double now) {
  if (outcome.moved) doubt_.reset();
  if (outcome.doubt.has_value()) doubt(*outcome.doubt, now);
  for (Bytes& record : outcome.records) queues_.in.push_back(std::move(record));
  if (state_ == State::handshaking && !queues_.in.empty()) handshake();
  if (state_ == State::established && !queues_.in.empty()) read();
  queues_.in.clear();
}

void Association::handshake() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) finish();
  else failOfOpenSsl(result);
}

// After the handshake: alerts, and data that nobody here wants. OpenSSL answers a repeated Finished by itself.
void Association::read() {
  uint8_t unwanted[2048];
  int result = 1;
  while (result > 0) result = SSL_read(ssl_.get(), unwanted, sizeof unwanted);
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_ZERO_RETURN) return failOfOpenSsl(result);
  SSL_shutdown(ssl_.get());  // RFC 5246 §7.2.1: close_notify is answered
  end(State::closed);
  outputs_.emplace_back();
}

void Association::finish() {
  SSL* ssl = ssl_.get();
  const SRTP_PROTECTION_PROFILE* selected = SSL_get_selected_srtp_profile(ssl);
  const Profile* profile = selected == nullptr ? nullptr : profileOf(selected->id);
  if (profile == nullptr) {
    SSL_shutdown(ssl);
    return fail({"no-common-profile", "the server chose no SRTP profile of ours", -1, -1});
  }
  Held<X509, X509_free> peer(SSL_get1_peer_certificate(ssl));
  // Both were seen to by the verification; without them no key leaves whatever happened before.
  if (peer == nullptr || peerFingerprint_.empty()) {
    return fail({"no-certificate", "the handshake ended without the peer's certificate", -1, -1});
  }
  // client key ‖ server key ‖ client salt ‖ server salt (RFC 5764 §4.2)
  const size_t key = profile->keyBytes, salt = profile->saltBytes;
  uint8_t material[2 * (32 + 14)];
  if (SSL_export_keying_material(ssl, material, 2 * (key + salt), EXPORTER_LABEL, sizeof EXPORTER_LABEL - 1, nullptr, 0,
                                 0) != 1) {
    return fail({"protocol-error", "OpenSSL does not export keys", -1, -1});
  }
  const auto part = [&](bool client) {
    const uint8_t* keyAt = material + (client ? 0 : key);
    const uint8_t* saltAt = material + 2 * key + (client ? 0 : salt);
    Bytes out(keyAt, keyAt + key);
    out.reserve(key + salt);  // a vector that grew later would leave a copy of the key behind
    out.insert(out.end(), saltAt, saltAt + salt);
    return out;
  };
  Output output;
  output.type = Output::Type::keys;
  output.bytes = part(options_.client);
  output.remote = part(!options_.client);
  output.profile = profile->id;
  output.peerFingerprint = peerFingerprint_;
  outputs_.push_back(std::move(output));
  OPENSSL_cleanse(material, sizeof material);
  suite_ = SSL_get_cipher_name(ssl);
  extendedMasterSecret_ = SSL_get_extms_support(ssl) == 1;
  state_ = State::established;
  doubt_.reset();
  gate_.forget();
}

void Association::tick(double now) {
  ERR_clear_error();
  if (state_ == State::handshaking && ssl_ != nullptr) retransmit(now);
  checkTime(now);
  lookAtTimer(now);
}

void Association::close(double) {
  if (state_ == State::failed || state_ == State::closed) return;
  ERR_clear_error();
  if (state_ == State::established) SSL_shutdown(ssl_.get());
  end(State::closed);
  outputs_.emplace_back();
}

bool Association::poll(Output& out) {
  if (outputs_.empty()) return false;
  out = std::move(outputs_.front());
  outputs_.pop_front();
  return true;
}

std::optional<double> Association::deadline() const {
  if (state_ != State::handshaking) return std::nullopt;
  double at = expiresAt_;
  if (doubt_.has_value()) at = std::min(at, doubtAt_);
  if (retransmitAt_.has_value()) at = std::min(at, *retransmitAt_);
  return at;
}

void Association::checkTime(double now) {
  if (state_ != State::handshaking) return;
  if (now >= expiresAt_) {
    fail({"timeout", "no handshake within " + std::to_string(DTLS_HANDSHAKE_TIMEOUT_MS) + " ms", -1, -1});
  } else if (doubt_.has_value() && now >= doubtAt_) {
    fail(*doubt_);
  }
}

// OpenSSL sets its timer or stops it. Until 3.2 it shows the time itself, which is then put off for ever: OpenSSL looks at it
// whenever it reads, by the wall clock.
void Association::timer(timeval* next) {
  constexpr time_t NEVER = time_t{1} << 40;
  retransmitAt_.reset();
  timerSet_ = next->tv_sec != 0 || next->tv_usec != 0;
  openSslsTimer_ = timerSet_ && OpenSSL_version_num() < 0x30200000 ? next : nullptr;
  if (openSslsTimer_ != nullptr) *next = {NEVER, 0};
}

void Association::retransmit(double now) {
  lookAtTimer(now);
  if (!retransmitAt_.has_value() || now < *retransmitAt_) return;
  retransmitAt_.reset();
  if (openSslsTimer_ != nullptr) *openSslsTimer_ = {1, 0};
  if (DTLSv1_handle_timeout(ssl_.get()) < 0) failOfOpenSsl(-1);
}

void Association::lookAtTimer(double now) {
  if (state_ == State::handshaking && timerSet_ && !retransmitAt_.has_value()) retransmitAt_ = now + waitMs_;
}

// The first finding stays, but what we found ourselves says more than an alert.
void Association::doubt(const Finding& finding, double now) {
  if (!doubt_.has_value()) doubtAt_ = now + DTLS_PLAINTEXT_FAILURE_GRACE_MS;
  if (!doubt_.has_value() || doubt_->received >= 0) doubt_ = finding;
}

bool Association::acceptsCertificate(X509* leaf) {
  const Bytes der = derOf(leaf);
  const Span span = {der.data(), der.size()};
  if (!matchesAny(span, options_.peerFingerprints)) {
    refusal_ = Finding{"fingerprint-mismatch", "the certificate is not the one that SDP promised", -1, -1};
    return false;
  }
  if (!isUsableKey(X509_get0_pubkey(leaf))) {
    refusal_ = Finding{"no-common-parameters", "the certificate's key is of no kind that we take", -1, -1};
    return false;
  }
  peerFingerprint_ = sha256Hex(span);
  return true;
}

// RFC 5764 §4.1.1: a list of profiles behind its length in bytes, then the MKI.
bool Association::acceptsHello(const uint8_t* useSrtp, size_t length) {
  const size_t listed = useSrtp == nullptr || length < 2 ? 0 : static_cast<size_t>(useSrtp[0] << 8 | useSrtp[1]);
  for (size_t at = 2; at + 2 <= std::min(length, 2 + listed); at += 2) {
    const auto offered = static_cast<uint16_t>(useSrtp[at] << 8 | useSrtp[at + 1]);
    if (std::find(options_.profiles.begin(), options_.profiles.end(), offered) != options_.profiles.end()) return true;
  }
  refusal_ = Finding{"no-common-profile", "no common SRTP profile", -1, -1};
  return false;
}

// Each attempt doubles the wait (RFC 6347 §4.2.4.1).
unsigned Association::retransmitMs(unsigned previousMs) {
  waitMs_ = previousMs == 0 ? options_.retransmitMs : std::min<unsigned>(2 * previousMs, DTLS_RETRANSMIT_MAX_MS);
  return waitMs_;
}

void Association::sendAlert(int description) {
  const uint8_t alert[] = {2, static_cast<uint8_t>(description)};
  emit(frameRecord(ALERT, VERSION_1_2, nextPlaintext_, {alert, sizeof alert}));
}

void Association::fail(Finding finding) {
  if (finding.alert >= 0) sendAlert(finding.alert);
  end(State::failed);
  Output output;
  output.type = Output::Type::failed;
  output.finding = std::move(finding);
  outputs_.push_back(std::move(output));
}

void Association::failOfOpenSsl(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    ERR_clear_error();
    return;
  }
  Finding finding = explainError(SSL_get_state(ssl_.get()));
  if (error == SSL_ERROR_ZERO_RETURN) finding = {"alert-received", "the peer closed during the handshake", 0, -1};
  // OpenSSL has sent its own alert.
  fail(refusal_.value_or(finding));
}

// Keys that were given out are the taker's; everything else is freed, and OpenSSL wipes what it frees.
void Association::end(State state) {
  state_ = state;
  retransmitAt_.reset();
  timerSet_ = false;
  openSslsTimer_ = nullptr;
  doubt_.reset();
  queues_.in.clear();
  guard_.forget();
  gate_.forget();
  ssl_.reset();
  identity_.reset();
}

// From OpenSSL or from us: a plaintext record's number is not used again.
void Association::emit(Bytes datagram) {
  Span rest = {datagram.data(), datagram.size()};
  Record record;
  while (nextRecord(rest, record)) {
    if (record.epoch == 0 && ssl_ != nullptr) nextPlaintext_ = record.sequence + 1;
  }
  Output output;
  output.type = Output::Type::datagram;
  output.bytes = std::move(datagram);
  outputs_.push_back(std::move(output));
}

}  // namespace claviger::dtls
