#include "ice.h"

namespace claviger {
namespace {

constexpr uint64_t PER_CHECK = NS_PER_S / RELAY_ICE_CHECKS_PER_ADDRESS_SECOND;
constexpr uint64_t PER_STRANGERS_CHECK = NS_PER_S / RELAY_ICE_STRANGERS_CHECKS_PER_SECOND;
constexpr uint64_t PER_ERROR = NS_PER_S / RELAY_ICE_ERRORS_PER_SECOND;
constexpr uint64_t LIFETIME = RELAY_ICE_CONSENT_LIFETIME_MS * NS_PER_MS;
constexpr size_t MIN_UFRAG_BYTES = 4, MIN_PWD_BYTES = 22, MAX_OWN_PWD_BYTES = 64;

bool take(Rate& rate, uint64_t now, uint64_t interval) {
  if (!rate.allows(now, interval, NS_PER_S)) return false;
  rate.take(now, interval);
  return true;
}

// 96 bits of chance in 64: none of those kept will be met by accident.
uint64_t idOf(const StunMessage& m) {
  return (uint64_t{get32(m.transaction)} << 32 | get32(m.transaction + 4)) ^ uint64_t{get32(m.transaction + 8)} << 16;
}

uint32_t digestOf(const Address& a) {
  uint32_t h = 0x811c9dc5u;
  for (const uint8_t b : a.ip) h = (h ^ b) * 0x01000193u;
  return ((h ^ (a.port >> 8)) * 0x01000193u ^ (a.port & 0xff)) * 0x01000193u;
}

}  // namespace

bool IceAgent::set(const uint8_t* ufrag, size_t ufragLength, const uint8_t* pwd, size_t pwdLength, const uint8_t* peer,
                   size_t peerLength) {
  if (ufragLength < MIN_UFRAG_BYTES || ufragLength > MAX_UFRAG_BYTES || peerLength < MIN_UFRAG_BYTES ||
      peerLength > MAX_UFRAG_BYTES || pwdLength < MIN_PWD_BYTES || pwdLength > MAX_OWN_PWD_BYTES) {
    return false;
  }
  IceCredentials next;
  std::memcpy(next.username, ufrag, ufragLength);
  next.username[ufragLength] = ':';
  std::memcpy(next.username + ufragLength + 1, peer, peerLength);
  next.usernameLength = ufragLength + 1 + peerLength;
  prepareHmac(next.key, pwd, pwdLength);
  previous_ = current_;
  current_ = next;
  return true;
}

CheckedAddress* IceAgent::placeOf(const Address& address) {
  for (CheckedAddress& place : places_) {
    if (place.used && place.address == address) return &place;
  }
  return nullptr;
}

CheckedAddress* IceAgent::find(const Address& address, uint64_t now) {
  CheckedAddress* place = placeOf(address);
  return place != nullptr && now < place->until ? place : nullptr;
}

// A free one, or that of whoever was silent the longest.
CheckedAddress& IceAgent::makePlace(const Address& address, const Address& peer) {
  CheckedAddress* taken = nullptr;
  for (CheckedAddress& place : places_) {
    if (!place.used) {
      taken = &place;
      break;
    }
    if (place.address != peer && (taken == nullptr || place.until < taken->until)) taken = &place;
  }
  *taken = CheckedAddress();
  taken->used = true;
  taken->address = address;
  return *taken;
}

const IceCredentials* IceAgent::credentialsOf(const StunMessage& m) const {
  for (const IceCredentials* c : {&current_, &previous_}) {
    if (c->usernameLength != 0 && c->usernameLength == m.usernameLength &&
        equalSecret(c->username, m.username, m.usernameLength)) {
      return c;
    }
  }
  return nullptr;
}

IceOutcome IceAgent::receive(const uint8_t* bytes, size_t length, const Address& from, const Address& peer, uint64_t now,
                             uint8_t (&answer)[STUN_MAX_ANSWER_BYTES]) {
  StunMessage m;
  if (!parseStun(bytes, length, m) || m.method != STUN_BINDING) return {IceVerdict::malformed};
  if (m.kind == StunClass::indication) return {IceVerdict::ignored};
  if (m.kind != StunClass::request) return {IceVerdict::unexpected};
  const auto refuse = [&](StunError error, const HmacSha1Key* key) -> IceOutcome {
    if (!take(errors_, now, PER_ERROR)) return {IceVerdict::limited};
    return {IceVerdict::refused, writeBindingError(m, error, key, answer)};
  };
  // RFC 8489 §9.1.3. Who does not know the names that signalling carried costs no HMAC, and uses up nobody's share.
  if (m.integrityAt == 0 || m.username == nullptr) return refuse(StunError::badRequest, nullptr);
  const IceCredentials* by = credentialsOf(m);
  if (by == nullptr) return refuse(StunError::unauthenticated, nullptr);
  CheckedAddress* known = find(from, now);
  if (!take(known == nullptr ? strangers_ : known->checks, now, known == nullptr ? PER_STRANGERS_CHECK : PER_CHECK)) {
    return {IceVerdict::limited};
  }
  if (!verifyStun(bytes, m, by->key)) return refuse(StunError::unauthenticated, nullptr);
  if (m.unknownCount > 0) return refuse(StunError::unknownAttribute, &by->key);
  // RFC 8445 §6.1.1, §7.3.1.1: a lite agent is controlled, and stays so whatever the tie-breaker is.
  if (m.controlled) return refuse(StunError::roleConflict, &by->key);
  return verified(m, *by, from, peer, now, answer);
}

IceOutcome IceAgent::verified(const StunMessage& m, const IceCredentials& by, const Address& from, const Address& peer,
                              uint64_t now, uint8_t (&answer)[STUN_MAX_ANSWER_BYTES]) {
  const uint64_t id = idOf(m);
  const uint32_t origin = digestOf(from);
  const uint32_t kept =
      transactionCount_ < RELAY_ICE_REMEMBERED_CHECKS ? transactionCount_ : RELAY_ICE_REMEMBERED_CHECKS;
  for (uint32_t i = 0; i < kept; i++) {
    if (transactions_[i].id != id) continue;
    if (transactions_[i].from != origin) return {IceVerdict::replayed};
    // Sent again because our answer was lost (RFC 8489 §6.2.1), or by somebody else: it says nothing new.
    return {IceVerdict::answered, writeBindingSuccess(m, from, by.key, answer)};
  }
  transactions_[transactionCount_++ % RELAY_ICE_REMEMBERED_CHECKS] = {id, origin};
  CheckedAddress* place = placeOf(from);
  if (place == nullptr) place = &makePlace(from, peer);
  place->until = now + LIFETIME;
  const size_t length = writeBindingSuccess(m, from, by.key, answer);
  const bool first = m.useCandidate && place->nomination == 0;
  if (m.useCandidate) {
    place->nomination = ++nominations_;
    if (&by == &current_ && previous_.usernameLength != 0) {
      wipe(&previous_.key, sizeof previous_.key);
      previous_.usernameLength = 0;
    }
  }
  return {IceVerdict::answered, length, true, m.useCandidate, first};
}

uint64_t IceAgent::digest() const {
  uint64_t sum = nominations_ * 31 + transactionCount_ * 17 + current_.usernameLength + previous_.usernameLength * 7;
  for (const CheckedAddress& place : places_) {
    if (place.used) sum = sum * 1099511628211u + (place.until ^ digestOf(place.address) ^ place.nomination << 40);
  }
  return sum;
}

bool IceAgent::follow(const Address& peer, const Address& to, uint64_t now) {
  const CheckedAddress* there = find(to, now);
  const CheckedAddress* here = placeOf(peer);
  return there != nullptr && there->nomination > (here == nullptr ? 0 : here->nomination);
}

}  // namespace claviger
