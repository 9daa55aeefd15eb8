#include "dtls_door.h"

#include <sys/random.h>

#include <cstdlib>

namespace claviger {

namespace {

constexpr uint64_t PER_ADDRESS = NS_PER_S / RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND;
constexpr uint64_t PER_SIGNALLED_HELLO = NS_PER_S / RELAY_DTLS_SIGNALLED_HELLOS_PER_SECOND;
constexpr uint64_t PER_HELLO = NS_PER_S / RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND;
constexpr uint64_t PATIENCE = DTLS_STRANGER_PATIENCE_MS * NS_PER_MS;
constexpr size_t SECRET_BYTES = 32;

constexpr uint8_t HANDSHAKE = 22, CLIENT_HELLO = 1, HELLO_VERIFY_REQUEST = 3;
constexpr size_t RECORD_BYTES = 13, HEAD_BYTES = 12, RANDOM_END = 2 + 32;
constexpr uint16_t DTLS_1_0 = 0xfeff, DTLS_1_2 = 0xfefd;

struct Hello {
  const uint8_t* recordSequence;  // 6 bytes
  const uint8_t* bound;           // version, random, session id
  size_t boundLength;
  uint16_t sequence;
  const uint8_t* cookie;
  size_t cookieLength;
};

// The first piece of a ClientHello in the first record of a datagram, as far as its cookie.
bool readHello(const uint8_t* b, size_t length, Hello& out) {
  if (length < RECORD_BYTES + HEAD_BYTES + RANDOM_END + 2 || b[0] != HANDSHAKE) return false;
  const uint16_t version = get16(b + 1);
  if ((version != DTLS_1_0 && version != DTLS_1_2) || get16(b + 3) != 0) return false;
  const size_t recordEnd = RECORD_BYTES + get16(b + 11);
  const uint8_t* head = b + RECORD_BYTES;
  const size_t offset = get32(head + 5) & 0xffffff, fragment = get32(head + 8) & 0xffffff;
  if (recordEnd > length || head[0] != CLIENT_HELLO || offset != 0) return false;
  if (RECORD_BYTES + HEAD_BYTES + fragment > recordEnd || fragment < RANDOM_END + 2) return false;
  const uint8_t* body = head + HEAD_BYTES;
  const size_t session = body[RANDOM_END], cookieAt = RANDOM_END + 1 + session;
  if (session > 32 || cookieAt >= fragment || cookieAt + 1 + body[cookieAt] > fragment) return false;
  out = {b + 5, body, cookieAt, get16(head + 4), body + cookieAt + 1, body[cookieAt]};
  return true;
}

// With the record number of the hello that it answers, so that no state is needed.
void writeVerify(const Hello& hello, const uint8_t (&cookie)[COOKIE_BYTES], uint8_t (&out)[HELLO_VERIFY_BYTES]) {
  constexpr size_t BODY = 3 + COOKIE_BYTES;
  std::memset(out, 0, sizeof out);
  out[0] = HANDSHAKE;
  put16(out + 1, DTLS_1_0);
  std::memcpy(out + 5, hello.recordSequence, 6);
  put16(out + 11, HEAD_BYTES + BODY);
  uint8_t* head = out + RECORD_BYTES;
  head[0] = HELLO_VERIFY_REQUEST;
  head[3] = BODY;
  head[11] = BODY;
  put16(head + 12, DTLS_1_0);
  head[14] = COOKIE_BYTES;
  std::memcpy(head + 15, cookie, COOKIE_BYTES);
}

DtlsGuest* guestAt(DtlsDoor& door, const Address& from) {
  for (DtlsGuest& guest : door.guests) {
    if (guest.used && guest.address == from) return &guest;
  }
  return nullptr;
}

// The signalled address has its own; a stranger gets a free one, or that of the oldest, if that had time enough.
DtlsGuest* placeFor(DtlsDoor& door, bool isSignalled, uint64_t now) {
  if (isSignalled) return &door.guests[0];
  DtlsGuest* oldest = nullptr;
  for (size_t i = 1; i <= DTLS_MAX_PARALLEL_ADDRESSES; i++) {
    DtlsGuest& guest = door.guests[i];
    if (!guest.used) return &guest;
    if (oldest == nullptr || guest.since < oldest->since) oldest = &guest;
  }
  return now >= oldest->since + PATIENCE ? oldest : nullptr;
}

// RFC 6347 §4.2.1: a wrong cookie counts as none. The hello that brings one back is the second message. False: `answer` is
// for the sender.
bool bringsCookie(CookieJar& jar, const Address& from, const Hello& hello, uint64_t now, uint8_t (&answer)[HELLO_VERIFY_BYTES]) {
  if (hello.sequence == 1 && hello.cookieLength == COOKIE_BYTES &&
      jar.verify(from, hello.bound, hello.boundLength, now, hello.cookie)) {
    return true;
  }
  uint8_t cookie[COOKIE_BYTES];
  jar.make(from, hello.bound, hello.boundLength, now, cookie);
  writeVerify(hello, cookie, answer);
  return false;
}

bool take(Rate& rate, uint64_t now, uint64_t interval) {
  if (!rate.allows(now, interval, NS_PER_S)) return false;
  rate.take(now, interval);
  return true;
}

}  // namespace

CookieJar::CookieJar() = default;
CookieJar::~CookieJar() { wipe(secrets_, sizeof secrets_); }

void CookieJar::rotate(uint64_t now) {
  if (until_ != 0 && now < until_) return;
  const uint64_t lifetime = DTLS_COOKIE_LIFETIME_MS * NS_PER_MS;
  // After a pause the secret before is too old as well.
  hasPrevious_ = until_ != 0 && now < until_ + lifetime;
  until_ = now + lifetime;
  generation_++;
  WipeOnExit<uint8_t[SECRET_BYTES]> secret;
  if (getrandom(secret.value, SECRET_BYTES, 0) != static_cast<ssize_t>(SECRET_BYTES)) std::abort();
  prepareHmac(secrets_[generation_ & 1], secret.value, SECRET_BYTES);
}

void CookieJar::compute(uint8_t generation, const Address& from, const uint8_t* hello, size_t length,
                        uint8_t (&cookie)[COOKIE_BYTES]) const {
  uint8_t port[2], whole[SHA256_BYTES];
  put16(port, from.port);
  HmacSha256 mac(secrets_[generation & 1]);
  mac.update(from.ip, sizeof from.ip);
  mac.update(port, sizeof port);
  mac.update(hello, length);
  mac.finish(whole);
  std::memcpy(cookie, whole, COOKIE_BYTES);
  cookie[0] = static_cast<uint8_t>((cookie[0] & 0xfe) | (generation & 1));
}

void CookieJar::make(const Address& from, const uint8_t* hello, size_t length, uint64_t now,
                     uint8_t (&cookie)[COOKIE_BYTES]) {
  rotate(now);
  compute(generation_, from, hello, length, cookie);
}

bool CookieJar::verify(const Address& from, const uint8_t* hello, size_t length, uint64_t now, const uint8_t* cookie) {
  rotate(now);
  const bool current = (cookie[0] & 1) == (generation_ & 1);
  if (!current && !hasPrevious_) return false;
  uint8_t expected[COOKIE_BYTES];
  compute(static_cast<uint8_t>(generation_ - (current ? 0 : 1)), from, hello, length, expected);
  return equalSecret(expected, cookie, COOKIE_BYTES);
}

Admission admitDtls(DtlsDoor& door, CookieJar& jar, const Address& from, const uint8_t* bytes, size_t length, uint64_t now,
                uint8_t (&answer)[HELLO_VERIFY_BYTES]) {
  DtlsGuest* guest = guestAt(door, from);
  Hello hello;
  const bool begins = readHello(bytes, length, hello);
  // A hello without a cookie is the start of another attempt: it asks for one again.
  if (guest != nullptr && !(begins && hello.sequence == 0)) {
    return take(guest->rate, now, PER_ADDRESS) ? Admission::pass : Admission::limited;
  }
  if (!begins) return Admission::stranger;
  const bool isSignalled = door.signalled && from == door.signalledAddress;
  if (!take(isSignalled ? door.signalledHellos : door.hellos, now, isSignalled ? PER_SIGNALLED_HELLO : PER_HELLO)) {
    return Admission::limited;
  }
  if (!bringsCookie(jar, from, hello, now, answer)) return Admission::verify;
  DtlsGuest* place = placeFor(door, isSignalled, now);
  if (place == nullptr) return Admission::full;
  *place = DtlsGuest();
  place->used = true;
  place->address = from;
  place->since = now;
  place->rate.take(now, PER_ADDRESS);
  return Admission::pass;
}

Admission admitChecked(Rate& rate, CookieJar& jar, uint32_t channel, const uint8_t* bytes, size_t length, uint64_t now,
                       uint8_t (&answer)[HELLO_VERIFY_BYTES]) {
  if (!take(rate, now, PER_ADDRESS)) return Admission::limited;
  Hello hello;
  if (!readHello(bytes, length, hello)) return Admission::pass;
  Address whose;  // nobody's: no datagram has it as its source
  put32(whose.ip, channel);
  return bringsCookie(jar, whose, hello, now, answer) ? Admission::pass : Admission::verify;
}

bool isHello(const uint8_t* bytes, size_t length) {
  Hello hello;
  return readHello(bytes, length, hello);
}

void expectPeer(DtlsDoor& door, const Address* signalled, bool calls, uint64_t now) {
  for (DtlsGuest& guest : door.guests) guest.used = false;
  door.signalled = signalled != nullptr;
  if (signalled == nullptr) return;
  door.signalledAddress = *signalled;
  if (!calls) return;
  door.guests[0] = DtlsGuest();
  door.guests[0].used = true;
  door.guests[0].address = *signalled;
  door.guests[0].since = now;
}

bool admitProven(DtlsDoor& door, uint64_t now) { return take(door.proven, now, PER_ADDRESS); }

}  // namespace claviger
