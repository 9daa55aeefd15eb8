// The stateless cookie of a server (RFC 6347 §4.2.1): before a ClientHello shows one that we made, OpenSSL hears nothing,
// no key is made and nothing is remembered but the pieces of one small hello.
#pragma once

#include "reassembly.h"

namespace claviger::dtls {

constexpr size_t COOKIE_BYTES = 32;

// Bound to the client's random by an HMAC. An association serves one address, so its own secret stands for the address;
// a listener for many would put the address into the HMAC and rotate the secret, and could share everything else.
class HelloGuard {
 public:
  // `verified`: the cookie was seen to before; a hello that brings one is accepted.
  explicit HelloGuard(bool verified);
  ~HelloGuard();
  HelloGuard(const HelloGuard&) = delete;
  HelloGuard& operator=(const HelloGuard&) = delete;

  enum class Verdict { nothing, verify, accept };
  // `verify`: `out` is the datagram with HelloVerifyRequest. `accept`: `out` is the hello as one record for OpenSSL.
  Verdict hear(const Record& record, Bytes& out);
  size_t heldBytes() const { return reassembler_.heldBytes(); }
  void forget() { reassembler_.clear(); }

 private:
  bool cookieFor(Span random, uint8_t (&cookie)[COOKIE_BYTES]) const;
  Verdict answer(const Reassembler::Whole& hello, uint16_t sequence, uint64_t recordSequence, Bytes& out);

  const bool verified_;
  uint8_t secret_[COOKIE_BYTES];
  Reassembler reassembler_{4096};
};

}  // namespace claviger::dtls
