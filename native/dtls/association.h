// One DTLS 1.2 association for SRTP keys on OpenSSL (RFC 5764), without sockets: datagrams in, datagrams and keys out.
// Times are milliseconds of the caller's clock, OpenSSL's retransmission timer too: a wall clock that is set makes no
// difference (with OpenSSL 3.2 and later its own timer, which goes by the wall clock, must have run out as well).
#pragma once

#include <deque>
#include <optional>

#include "context.h"
#include "datagram_bio.h"
#include "dtls_limits.h"
#include "fingerprint.h"
#include "gate.h"
#include "hello_guard.h"

namespace claviger::dtls {

struct Options {
  bool client = false;
  std::string certificatePem;
  // The caller's bytes, read at `start` only.
  std::vector<Fingerprint> peerFingerprints;
  // In order of preference: 1, 7, 8 (RFC 5764 §4.1.2, RFC 7714 §14.2).
  std::vector<uint16_t> profiles;
  size_t mtuBytes = DTLS_MAX_MTU_BYTES;
  // OpenSSL's list of groups, best first.
  std::string groups;
  // Whoever hands on the datagrams has seen the cookie.
  bool cookieVerified = false;
  unsigned retransmitMs = 1000;
  bool extendedMasterSecret = true;
};

enum class State { fresh, handshaking, established, failed, closed };

struct Output {
  enum class Type { datagram, keys, failed, closed } type = Type::closed;
  // Datagram; for keys: our master key ‖ master salt.
  Bytes bytes;
  Bytes remote;
  uint16_t profile = 0;
  std::string peerFingerprint;
  Finding finding;
};

class Association final : private Hooks {
 public:
  Association(std::shared_ptr<Context> context, Options options);
  ~Association() override;
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  void start(Span privateKeyPem, double now);
  void receive(Span datagram, double now);
  void tick(double now);
  void close(double now);
  bool poll(Output& out);
  std::optional<double> deadline() const;
  State state() const { return state_; }
  // Bytes of unfinished handshake messages held here.
  size_t heldBytes() const { return guard_.heldBytes() + gate_.heldBytes(); }
  // What was agreed, for tests and logs: cipher suite and, with 1, the extended master secret (RFC 7627).
  std::string suite() const { return suite_; }
  bool hasExtendedMasterSecret() const { return extendedMasterSecret_; }

 private:
  bool acceptsCertificate(X509* leaf) override;
  bool acceptsHello(const uint8_t* useSrtp, size_t length) override;
  unsigned retransmitMs(unsigned previousMs) override;

  bool open(Span privateKeyPem);
  size_t leastProtectedBytes() const;
  void hello(const Record& record);
  void pass(Gate::Outcome& outcome, double now);
  void handshake();
  void read();
  void finish();
  void checkTime(double now);
  void timer(timeval* next);
  void retransmit(double now);
  void lookAtTimer(double now);
  void doubt(const Finding& finding, double now);
  void sendAlert(int description);
  void fail(Finding finding);
  void failOfOpenSsl(int result);
  void end(State state);
  void emit(Bytes datagram);

  std::shared_ptr<Context> context_;
  std::shared_ptr<Identity> identity_;
  Options options_;
  DatagramQueues queues_;
  HelloGuard guard_;
  Gate gate_;
  Held<SSL, SSL_free> ssl_;
  State state_ = State::fresh;
  std::deque<Output> outputs_;
  double expiresAt_ = 0;
  // OpenSSL's timer: when it runs out by the caller's clock; how long it was set to; its own, by the wall clock.
  bool timerSet_ = false;
  unsigned waitMs_ = 0;
  timeval* openSslsTimer_ = nullptr;
  std::optional<double> retransmitAt_;
  std::optional<Finding> doubt_;
  double doubtAt_ = 0;
  // What a callback refused, of which OpenSSL only says that one did.
  std::optional<Finding> refusal_;
  // The number for the next plaintext record that OpenSSL does not write.
  uint64_t nextPlaintext_ = 0;
  std::string peerFingerprint_;
  std::string suite_;
  bool extendedMasterSecret_ = false;
};

}  // namespace claviger::dtls
