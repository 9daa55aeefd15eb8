// The ICE-lite agent of one channel (RFC 8445 §2.5): it sends no checks, it answers those of its peer, which controls. What a
// verified check changes, and for how long it is the peer's consent to be sent to (RFC 7675), is decided here; without
// sockets, `now` in nanoseconds.
//
// MESSAGE-INTEGRITY does not cover where a check comes from: whoever can read one on its way can send it again from an address
// of its own. A transaction is therefore taken from one address only, the first; and where packets are authenticated, the
// peer's address moves only once one that verifies has come from there as well (`follow`).
#pragma once
#include "limits.h"
#include "rate.h"
#include "stun.h"

namespace claviger {

constexpr size_t MAX_UFRAG_BYTES = 256;  // RFC 8839 §5.4

// What an offer and an answer have agreed on.
struct IceCredentials {
  IceCredentials() = default;
  IceCredentials(const IceCredentials&) = delete;
  IceCredentials& operator=(const IceCredentials&) = default;
  ~IceCredentials() { wipe(&key, sizeof key); }

  uint8_t username[2 * MAX_UFRAG_BYTES + 1];  // of checks that come to us: our ufrag ‖ ':' ‖ the peer's
  size_t usernameLength = 0;                  // 0: there are none
  HmacSha1Key key{};                          // our pwd
};

// An address from which checks have verified.
struct CheckedAddress {
  bool used = false;
  Address address;
  uint64_t until = 0;       // its latest check is good so long
  uint64_t nomination = 0;  // number of its latest nominating check; 0: none
  Rate checks;
  Rate dtls;
};

enum class IceVerdict : uint8_t {
  ignored,     // nothing for us: an indication, which is a keepalive
  unexpected,  // a response; we never ask
  malformed,
  replayed,    // of a transaction that came from another address
  limited,
  refused,     // `answer` says why
  answered,
};

struct IceOutcome {
  IceVerdict verdict;
  size_t answerLength = 0;
  bool fresh = false;      // a check that was not seen before
  bool nominates = false;  // it has USE-CANDIDATE
  bool first = false;      // the first such one of its address
};

class IceAgent {
 public:
  explicit IceAgent(uint64_t now) : firstBy_(now + RELAY_ICE_CONSENT_LIFETIME_MS * NS_PER_MS) {}

  // New credentials; those before are good until a check under the new ones nominates (RFC 8445 §9). False: too long or short.
  bool set(const uint8_t* ufrag, size_t ufragLength, const uint8_t* pwd, size_t pwdLength, const uint8_t* peer,
           size_t peerLength);
  // `peer`: whose place is never given away.
  IceOutcome receive(const uint8_t* bytes, size_t length, const Address& from, const Address& peer, uint64_t now,
                     uint8_t (&answer)[STUN_MAX_ANSWER_BYTES]);

  // Null: no check of this address has verified, or too long ago.
  CheckedAddress* find(const Address& address, uint64_t now);
  bool consents(const Address& address, uint64_t now) { return find(address, now) != nullptr; }
  // What is not STUN may come from there: consent is about what we send, so the peer's own address is heard for longer.
  bool hears(const Address& from, const Address& peer, uint64_t now) {
    return from == peer ? placeOf(from) != nullptr : find(from, now) != nullptr;
  }
  // What can only be this peer's came from it. RFC 5245 keeps a NAT awake with indications, which nobody can verify, and
  // checks no more once it is connected: from such a peer that is consent as well, and of others it is none.
  void heard(const Address& peer, uint64_t now) {
    CheckedAddress* place = lenient ? placeOf(peer) : nullptr;
    if (place != nullptr) place->until = now + RELAY_ICE_CONSENT_LIFETIME_MS * NS_PER_MS;
  }
  // Until when there may be no consent yet.
  uint64_t firstBy() const { return firstBy_; }
  // What came from `to` is verified otherwise: the peer's address moves there if it was nominated later than where it is.
  bool follow(const Address& peer, const Address& to, uint64_t now);

  // Of everything that a check may change, for tests.
  uint64_t digest() const;

  bool lenient = false;   // the peer is of the time before RFC 7675
  bool lossTold = false;  // the control plane knows that there is no consent

 private:
  struct Transaction {
    uint64_t id = 0;
    uint32_t from = 0;
  };
  CheckedAddress* placeOf(const Address& address);
  CheckedAddress& makePlace(const Address& address, const Address& peer);
  const IceCredentials* credentialsOf(const StunMessage& m) const;
  IceOutcome verified(const StunMessage& m, const IceCredentials& by, const Address& from, const Address& peer, uint64_t now,
                      uint8_t (&answer)[STUN_MAX_ANSWER_BYTES]);

  IceCredentials current_;
  IceCredentials previous_;
  CheckedAddress places_[RELAY_ICE_CHECKED_ADDRESSES];
  Transaction transactions_[RELAY_ICE_REMEMBERED_CHECKS];  // runs round
  uint32_t transactionCount_ = 0;
  uint64_t nominations_ = 0;
  const uint64_t firstBy_;
  Rate strangers_;
  Rate errors_;
};

}  // namespace claviger
