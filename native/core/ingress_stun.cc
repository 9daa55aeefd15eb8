// STUN on a channel's socket while ICE is in force for it, and what it means for where media goes and whether it may.
//
// Such a socket is never connected: a connected one is given by the kernel nothing but its peer's datagrams, and the peer
// checks from all of its addresses for as long as the call lasts. A second socket on the port, for checks alone, would get a
// share of them by chance. Sending by name costs the kernel a route lookup a run; strangers are told by `hears` instead.
#include "commands.h"
#include "switch.h"

namespace claviger {

Drop Switch::stun(Channel& c, const uint8_t* bytes, size_t length, const Address& from, uint64_t now) {
  uint8_t answer[STUN_MAX_ANSWER_BYTES];
  const IceOutcome outcome = c.ice->receive(bytes, length, from, c.peer, now, answer);
  if (outcome.answerLength > 0) egress_.sendTo(c, from, answer, outcome.answerLength);
  if (outcome.nominates) {
    // Nothing but signalling has named this peer, if that, and no packet of it can be verified yet, or ever: RFC 8445 §7.3.2.
    if (c.plain || c.latching) {
      c.proven = true;
      if (from != c.peer) movePeer(c, from, now);
    }
    if (outcome.first && !events_.ice(c.id, ICE_NEWS_nominated, from)) countDrop(c, Drop::queue_full);
  }
  if (outcome.fresh && from == c.peer) judgeConsent(c, now);
  switch (outcome.verdict) {
    case IceVerdict::ignored:
    case IceVerdict::answered: return Drop::none;
    case IceVerdict::unexpected: return Drop::unknown_protocol;
    case IceVerdict::malformed: return Drop::malformed;
    case IceVerdict::replayed: return Drop::replayed;
    case IceVerdict::limited: return Drop::rate_limited;
    case IceVerdict::refused: return Drop::check_refused;
  }
  return Drop::malformed;
}

bool Switch::movePeer(Channel& c, const Address& to, uint64_t now) {
  if (!egress_.connect(c, to)) return false;
  c.peer = to;
  if (c.ice) judgeConsent(c, now);
  return true;
}

// RFC 7675 §5.1, as a lite agent can have it, which asks for nothing: its peer's own checks say that it is there and wants
// what comes. Told once in either direction.
void Switch::judgeConsent(Channel& c, uint64_t now) {
  const bool had = c.consented;
  c.consented = c.proven && c.ice->consents(c.peer, now);
  if (c.consented == !c.ice->lossTold) return;
  if (!c.consented && !had && now < c.ice->firstBy()) return;
  if (events_.ice(c.id, c.consented ? ICE_NEWS_consent_back : ICE_NEWS_consent_lost, c.peer)) c.ice->lossTold = !c.consented;
}

bool Switch::setIce(CommandReader& r, uint64_t now) {
  Outlet* o = outlet(r.u32());
  const uint8_t mode = r.u8();
  const bool inForce = mode != ICE_MODE_off;
  const size_t ufragLength = r.u8();
  const uint8_t* ufrag = r.bytes(ufragLength);
  const size_t pwdLength = r.u8();
  const uint8_t* pwd = r.bytes(pwdLength);
  const size_t peerLength = r.u16();
  const uint8_t* peer = r.bytes(peerLength);
  // A bundle's is its leader's.
  if (!r.whole() || o == nullptr || o->leader != nullptr || mode > ICE_MODE_lenient) return false;
  if (o->branch) {
    setRoaming(*o, inForce);
    return true;
  }
  auto& c = static_cast<Channel&>(*o);
  if (!inForce) {
    c.ice.reset();
    c.consented = true;
    setRoaming(c, false);
    return true;
  }
  auto fresh = c.ice ? nullptr : std::make_unique<IceAgent>(now);
  if (!(c.ice ? *c.ice : *fresh).set(ufrag, ufragLength, pwd, pwdLength, peer, peerLength)) return false;
  if (fresh) {
    c.ice = std::move(fresh);
    c.consented = false;
    setRoaming(c, true);
  }
  c.ice->lenient = mode == ICE_MODE_lenient;
  putOnAgenda(c);
  return true;
}

void Switch::setRoaming(Outlet& o, bool roams) {
  o.roams = roams;
  if (o.away != nullptr) return;
  if (roams) transport_.disconnect(o);
  // A branch does not know whether the peer is proven; its socket stays as it is.
  if (!roams && !o.branch && o.proven && !o.latching && !o.awaiting) transport_.connect(o, o.peer);
}

}  // namespace claviger
