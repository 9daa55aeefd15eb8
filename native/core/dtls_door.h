// Who may speak DTLS to a channel whose peer has not proven itself yet. A ClientHello is answered with a cookie here, on the
// relay's thread, without anything remembered (RFC 6347 §4.2.1): a forged source address never costs an association, nor a
// place that the endpoint itself would need. Whoever brings its cookie back has a place; the address that signalling named
// has one of its own and a rate of its own, and among the others the latest is the first to be refused.
#pragma once
#include "address.h"
#include "hmac_sha256.h"
#include "limits.h"
#include "rate.h"

namespace claviger {

constexpr size_t COOKIE_BYTES = 20;

// Cookies of one relay thread: HMAC-SHA-256 over the sender's address and its hello's version, random and session id,
// under a secret that is replaced after DTLS_COOKIE_LIFETIME_MS; those of the secret before are still good.
class CookieJar {
 public:
  CookieJar();
  ~CookieJar();
  CookieJar(const CookieJar&) = delete;
  CookieJar& operator=(const CookieJar&) = delete;

  void make(const Address& from, const uint8_t* hello, size_t length, uint64_t now, uint8_t (&cookie)[COOKIE_BYTES]);
  bool verify(const Address& from, const uint8_t* hello, size_t length, uint64_t now, const uint8_t* cookie);

 private:
  void rotate(uint64_t now);
  void compute(uint8_t generation, const Address& from, const uint8_t* hello, size_t length,
               uint8_t (&cookie)[COOKIE_BYTES]) const;

  uint8_t generation_ = 0;
  bool hasPrevious_ = false;
  uint64_t until_ = 0;
  HmacSha256Key secrets_[2];  // by the lowest bit of the generation
};

struct DtlsGuest {
  bool used = false;
  Address address;
  Rate rate;
  uint64_t since = 0;
};

// One channel's.
struct DtlsDoor {
  bool signalled = false;  // guests[0] is kept for `signalledAddress`
  Address signalledAddress;
  Rate signalledHellos, hellos;
  Rate proven;
  DtlsGuest guests[1 + DTLS_MAX_PARALLEL_ADDRESSES];
};

enum class Admission : uint8_t {
  pass,      // for the association
  verify,    // `answer` is a HelloVerifyRequest for the sender
  stranger,  // no place, and no hello
  full,      // a good cookie, but every place is taken
  limited,   // above a rate
};

constexpr size_t HELLO_VERIFY_BYTES = 13 + 12 + 3 + COOKIE_BYTES;

Admission admitDtls(DtlsDoor& door, CookieJar& jar, const Address& from, const uint8_t* bytes, size_t length, uint64_t now,
                uint8_t (&answer)[HELLO_VERIFY_BYTES]);
// With ICE: of an address that has checked, and so a place and a rate of its own. Its hellos are asked for a cookie all the
// same, for that is how the engines begin; but the peer may bring it back from another of its addresses, whichever the better
// one turns out to be, so it is bound to the channel instead.
Admission admitChecked(Rate& rate, CookieJar& jar, uint32_t channel, const uint8_t* bytes, size_t length, uint64_t now,
                       uint8_t (&answer)[HELLO_VERIFY_BYTES]);
// The first piece of a ClientHello.
bool isHello(const uint8_t* bytes, size_t length);
// Everybody who had a place has lost it. `signalled` null: signalling names nobody. `calls`: it is we who send the hello.
void expectPeer(DtlsDoor& door, const Address* signalled, bool calls, uint64_t now);
// Of the peer that has proven itself.
bool admitProven(DtlsDoor& door, uint64_t now);

}  // namespace claviger
