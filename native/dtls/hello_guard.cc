#include "hello_guard.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>

namespace claviger::dtls {

HelloGuard::HelloGuard(bool verified) : verified_(verified) {
  if (RAND_bytes(secret_, sizeof secret_) != 1) std::abort();  // without randomness there is no security to offer
}

HelloGuard::~HelloGuard() { OPENSSL_cleanse(secret_, sizeof secret_); }

HelloGuard::Verdict HelloGuard::hear(const Record& record, Bytes& out) {
  Span rest = record.payload;
  Fragment fragment;
  while (nextFragment(rest, fragment)) {
    // The first hello has number 0, the one with a cookie 1.
    if (fragment.type != CLIENT_HELLO || fragment.sequence > 1) continue;
    reassembler_.add(fragment);
    Reassembler::Whole hello;
    if (!reassembler_.take(fragment.sequence, hello)) continue;
    const Verdict verdict = answer(hello, fragment.sequence, record.sequence, out);
    if (verdict != Verdict::nothing) return verdict;
  }
  return Verdict::nothing;
}

HelloGuard::Verdict HelloGuard::answer(const Reassembler::Whole& hello, uint16_t sequence, uint64_t recordSequence,
                                       Bytes& out) {
  ClientHello read;
  uint8_t cookie[COOKIE_BYTES];
  const Span body = {hello.body.data(), hello.body.size()};
  if (!readClientHello(body, read) || !cookieFor(read.random, cookie)) return Verdict::nothing;
  const bool good = read.cookie.length == COOKIE_BYTES && CRYPTO_memcmp(read.cookie.data, cookie, COOKIE_BYTES) == 0;
  if (sequence == 1 && (verified_ || good)) {
    out = frameMessage(VERSION_1_2, recordSequence, CLIENT_HELLO, sequence, body);
    return Verdict::accept;
  }
  if (verified_) return Verdict::nothing;
  Bytes request = {VERSION_1_0 >> 8, VERSION_1_0 & 0xff, COOKIE_BYTES};
  request.insert(request.end(), cookie, cookie + COOKIE_BYTES);
  // With the record number of the hello that it answers, so that no state is needed.
  out = frameMessage(VERSION_1_0, recordSequence, HELLO_VERIFY_REQUEST, 0, {request.data(), request.size()});
  return Verdict::verify;
}

bool HelloGuard::cookieFor(Span random, uint8_t (&cookie)[COOKIE_BYTES]) const {
  unsigned length = 0;
  return HMAC(EVP_sha256(), secret_, sizeof secret_, random.data, random.length, cookie, &length) != nullptr &&
         length == COOKIE_BYTES;
}

}  // namespace claviger::dtls
