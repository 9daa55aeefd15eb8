#include "switch.h"

#include <algorithm>

#include "poison.h"

namespace claviger {
namespace {

// The SSRC that a datagram names, verified or not; for summaries only.
uint32_t claimedSsrc(const uint8_t* bytes, size_t length) {
  const size_t at = protocolOf(bytes, length) == Protocol::rtcp ? 4 : 8;
  return length >= at + 4 ? get32(bytes + at) : 0;
}

constexpr uint64_t INGRESS_BURST_NS = RELAY_INGRESS_BURST_MS * NS_PER_MS;

uint64_t intervalOf(uint32_t perSecond) { return perSecond == 0 ? 0 : NS_PER_S / perSecond; }

}  // namespace

Switch::Switch(Transport& transport, uint64_t* region, const IngressLimits& limits, Exchange* exchange, size_t self)
    : transport_(transport),
      counters_(region),
      exchange_(exchange),
      self_(self),
      egress_(transport, counters_, variants_, exchange, self),
      bySlot_(MAX_CHANNELS),
      marks_(exchange == nullptr ? 0 : exchange->threads()),
      ingressInterval_{intervalOf(limits.audioPacketsPerSecond), intervalOf(limits.videoPacketsPerSecond)} {
  heard_.reserve(marks_.size());
  agenda_.reserve(MAX_CHANNELS);
}

Switch::~Switch() {
  for (auto& entry : channels_) {
    if (entry.second->rtcpPort) transport_.close(*entry.second->rtcpPort);
    if (entry.second->away == nullptr && entry.second->leader == nullptr) transport_.close(*entry.second);
  }
  for (auto& entry : branches_) {
    if (entry.second->leader == nullptr) transport_.close(*entry.second);
  }
}

Channel* Switch::channel(uint32_t id) {
  const auto found = channels_.find(id);
  return found == channels_.end() ? nullptr : found->second.get();
}

Outlet* Switch::outlet(uint32_t id) {
  if (Channel* c = channel(id)) return c;
  const auto found = branches_.find(id);
  return found == branches_.end() ? nullptr : found->second.get();
}

Drop Switch::receive(Channel& c, const uint8_t* bytes, size_t length, const Address& from, uint64_t now) {
  Variant& copy = *variants_.take();
  copy.length = static_cast<uint16_t>(length < sizeof copy.bytes ? length : sizeof copy.bytes);
  std::memcpy(copy.bytes, bytes, copy.length);
  poison(copy.bytes + copy.length, sizeof copy.bytes - copy.length);
  const Drop drop = receive(c, copy, from, now);
  variants_.release(copy);
  return drop;
}

Drop Switch::receive(Channel& socket, const Outlet& port, Variant& datagram, const Address& from, uint64_t now) {
  const size_t length = datagram.length;
  bool hasLine = true;
  Channel& c = !socket.shared ? socket : *lineOf(socket, datagram, hasLine);
  now_ = now;
  putOnAgenda(c);
  counters_.count(THREAD_COUNTER_ingress);
  bump(c.words + CHANNEL_COUNTER_packetsIn);
  bump(c.words + CHANNEL_COUNTER_bytesIn, length);
  const uint32_t ssrc = claimedSsrc(datagram.bytes, length);
  const Drop drop = judge(c, hasLine, port, datagram, from, now);
  if (drop == Drop::none) return drop;
  countDrop(c, drop);
  for (size_t i = 0; i < SUMMARISED_COUNT; i++) {
    if (drop != SUMMARISED[i]) continue;
    c.refusals[i].count++;
    c.refusals[i].ssrc = ssrc;
  }
  return drop;
}

Drop Switch::judge(Channel& c, bool hasLine, const Outlet& port, Variant& datagram, const Address& from, uint64_t now) {
  const Outlet& socket = port.rtcpOf != nullptr ? port : c.carrier();
  const uint8_t* bytes = datagram.bytes;
  const size_t length = datagram.length;
  // A socket that was connected just now still holds what others sent before, and connecting does not take it out: the
  // address of every datagram is compared, then and later.
  const Protocol protocol = protocolOf(bytes, length);
  IceAgent* ice = c.lead().ice.get();
  if (ice != nullptr && protocol == Protocol::stun) return stun(c.lead(), bytes, length, from, now);
  const bool stranger =
      ice != nullptr ? !ice->hears(from, socket.peer, now) : socket.proven && from != socket.peer && !socket.latching;
  const bool mayBePeer =
      ice == nullptr && ((socket.awaiting && protocol == Protocol::dtls) || mayLatch(c, socket, protocol, from, now));
  if (stranger && !mayBePeer) return Drop::unknown_source;
  if (protocol == Protocol::unknown || protocol == Protocol::stun) return Drop::unknown_protocol;
  if (c.plain && !c.lead().proven && ice == nullptr) return keepEarly(c, protocol, bytes, length, from);
  // Either kind on its own port only.
  if (c.rtcpPort && (protocol == Protocol::rtcp) != (port.rtcpOf != nullptr)) return Drop::unknown_protocol;
  if (protocol == Protocol::dtls) return dtls(c, bytes, length, from, now);
  if (!hasLine) return Drop::no_payload_type;
  return length > MAX_DATAGRAM_BYTES ? Drop::malformed : media(c, datagram, protocol, from, now);
}

// What costs the others is the fan-out, so what is refused uses nothing up: a forger cannot silence a channel.
Drop Switch::media(Channel& c, Variant& datagram, Protocol protocol, const Address& from, uint64_t now) {
  const uint64_t interval = ingressInterval_[static_cast<size_t>(c.media)];
  if (!c.ingress.allows(now, interval, INGRESS_BURST_NS)) return Drop::rate_limited;
  const Drop drop = protocol == Protocol::rtp ? ingressRtp(c, datagram, from, now)
                                              : ingressRtcp(c, datagram.bytes, datagram.length, now);
  if (drop != Drop::none) return drop;
  c.ingress.take(now, interval);
  if (protocol == Protocol::rtcp) hearReport(c.lead(), from, now);
  Channel& lead = c.lead();
  // Under a sender's key (EKT) any member could have made it (RFC 7675 §3).
  if (lead.ice && from == lead.peer && (c.plain || c.ends)) lead.ice->heard(from, now);
  if (lead.ice && !lead.plain && lead.ice->follow(lead.peer, from, now)) movePeer(lead, from, now);
  return drop;
}

void Switch::flush() {
  egress_.flush();
  // Their variants have left, or are copied.
  for (Ring<Outgoing>* ring : heard_) ring->release();
  heard_.clear();
}

void Switch::writable(Outlet& o) {
  egress_.resume(o, mayLeave(o.rtcpOf != nullptr ? *o.rtcpOf : o));
  for (Outlet* follower : o.followers) egress_.resume(*follower, mayLeave(*follower));
}

// Of media that was routed to it and has waited since, for room or on its way from another thread.
Drop Switch::mayLeave(const Outlet& o) const {
  if (!meets(o.level, o.conference->required)) return Drop::below_level;
  if (!o.carrier().consented) return Drop::no_consent;
  return o.ready ? Drop::none : Drop::not_ready;
}

Drop Switch::dtls(Channel& c, const uint8_t* bytes, size_t length, const Address& from, uint64_t now) {
  if (c.plain || c.sdes) return Drop::unknown_protocol;
  if (length > MAX_DATAGRAM_BYTES) return Drop::malformed;
  if (c.proven && from == c.peer && !(c.awaiting && isHello(bytes, length))) {
    if (!admitProven(c.door, now)) return Drop::rate_limited;
    return events_.dtls(c.id, from, bytes, length) ? Drop::none : Drop::queue_full;
  }
  uint8_t answer[HELLO_VERIFY_BYTES];
  CheckedAddress* checked = c.ice ? c.ice->find(from, now) : nullptr;
  if (c.ice && checked == nullptr) return Drop::unknown_source;
  switch (checked != nullptr ? admitChecked(checked->dtls, cookies_, c.id, bytes, length, now, answer)
                             : admitDtls(c.door, cookies_, from, bytes, length, now, answer)) {
    case Admission::pass:
      break;
    case Admission::verify:
      egress_.sendTo(c, from, answer, sizeof answer);
      return Drop::none;
    case Admission::stranger:
      return Drop::unknown_source;
    case Admission::full:
      return Drop::queue_full;
    case Admission::limited:
      return Drop::rate_limited;
  }
  return events_.dtls(c.id, from, bytes, length) ? Drop::none : Drop::queue_full;
}

void Switch::countDrop(Outlet& o, Drop drop) { claviger::countDrop(counters_, o, drop); }

// WIRE.md 9 step 3: keys, and an endpoint proven at the conference's level.
bool Switch::mediaReady(const Channel& c) const {
  const Channel& lead = c.lead();
  return lead.proven && (c.plain || lead.keys.ready()) && c.ready && meets(c.level, c.conference->required);
}

void Switch::tick(uint64_t now, uint64_t ntp) {
  for (size_t i = 0; i < agenda_.size();) {
    Channel& c = *agenda_[i];
    report(c, now, ntp);
    if (hasBusiness(c)) {
      i++;
    } else {
      takeOffAgenda(i);
    }
  }
}

void Switch::putOnAgenda(Channel& c) {
  if (c.onAgenda) return;
  c.onAgenda = true;
  agenda_.push_back(&c);
}

void Switch::takeOffAgenda(size_t at) {
  agenda_[at]->onAgenda = false;
  agenda_[at] = agenda_.back();
  agenda_.pop_back();
}

void Switch::forgetAgenda(const Channel& closing) {
  if (!closing.onAgenda) return;
  takeOffAgenda(static_cast<size_t>(std::find(agenda_.begin(), agenda_.end(), &closing) - agenda_.begin()));
}

// Whatever `report` will have to do later, without another datagram or command.
bool Switch::hasBusiness(const Channel& c) const {
  if (c.ice || c.keys.replaced() || (c.own && (c.ends || c.plain))) return true;
  for (const Refusals& r : c.refusals) {
    if (r.count > 0) return true;
  }
  for (uint32_t i = 0; i < c.streamCount; i++) {
    if (c.streams[i]->previous.used || c.reception[i].heard() || (c.kept[i] && c.kept[i]->count() > 0)) return true;
  }
  return false;
}

void Switch::report(Channel& c, uint64_t now, uint64_t ntp) {
  for (uint32_t i = 0; i < c.streamCount; i++) expirePrevious(*c.streams[i], now);
  c.keys.expire(now);
  if (c.ice) judgeConsent(c, now);
  expireKept(c, now);
  reportReception(c, now);
  if (c.ends || c.plain) reportOwn(c, now, ntp);
  for (size_t position = 0; position < POSITIONS; position++) {
    Activity& a = c.activity[position];
    if (a.packets == 0) continue;
    if (!events_.activity(c.id, static_cast<uint8_t>(position), a.energy, a.packets)) countDrop(c, Drop::queue_full);
    a = Activity();
  }
  if (now < c.refusalsReported + RELAY_REFUSAL_SUMMARY_INTERVAL_MS * NS_PER_MS) return;
  for (size_t i = 0; i < SUMMARISED_COUNT; i++) {
    Refusals& r = c.refusals[i];
    if (r.count == 0) continue;
    c.refusalsReported = now;
    events_.refusals(c.id, SUMMARISED[i], r.count, r.ssrc);
    r = Refusals();
  }
}

}  // namespace claviger
