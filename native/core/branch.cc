// The branch's side of a conference that has outgrown its thread: sockets of channels that are judged and routed elsewhere.
#include "branch.h"

#include <algorithm>
#include <utility>

#include "commands.h"
#include "switch.h"

namespace claviger {

bool Switch::openBranch(CommandReader& r) {
  const uint32_t id = r.u32();
  const uint32_t conferenceId = r.u32();
  const uint8_t media = r.u8();
  const uint8_t transport = r.u8();
  const uint32_t slot = r.u32();
  const auto socket = static_cast<int32_t>(r.u32());
  const uint16_t home = r.u16();
  const uint32_t homeSlot = r.u32();
  Address peer;
  const bool hasPeer = r.address(peer);
  Outlet* leader = transport == TRANSPORT_bundled ? outlet(r.u32()) : nullptr;
  const bool valid = r.whole() && isOther(home) && homeSlot < MAX_CHANNELS &&
                     mayOpen(id, media, transport, slot, hasPeer) &&
                     (transport != TRANSPORT_bundled || (mayFollow(leader, conferenceId) && leader->branch));
  Conference* conference = valid ? makeConference(conferenceId) : nullptr;
  if (conference == nullptr) {
    if (r.whole()) transport_.discard(socket);
    return false;
  }
  auto owned = std::make_unique<Branch>();
  Branch& b = *owned;
  b.branch = true;
  furnish(b, id, *conference, media, transport, slot, socket, peer);
  b.home = home;
  b.homeSlot = static_cast<uint16_t>(homeSlot);
  b.datagrams = &exchange_->datagrams(self_, home);
  b.last = b.datagrams->written();
  if (transport == TRANSPORT_bundled) {
    joinBundle(b, *leader);
  } else if (!transport_.opened(b)) {
    transport_.discard(socket);
    return false;
  }
  if (b.plain) transport_.connect(b, peer);
  takeSlot(b);
  conference->branches.push_back(&b);
  branches_.emplace(id, std::move(owned));
  return true;
}

bool Switch::setBranch(CommandReader& r) {
  Outlet* o = outlet(r.u32());
  const uint8_t level = r.u8();
  const uint8_t ready = r.u8();
  if (!r.whole() || o == nullptr || !o->branch || level > LEVEL_end_to_end) return false;
  o->level = static_cast<Level>(level);
  o->ready = ready != 0;
  return true;
}

void Switch::closeBranch(Branch& b) {
  while (!b.followers.empty()) closeBranch(static_cast<Branch&>(*b.followers.back()));
  egress_.forget(b);
  auto& siblings = b.conference->branches;
  siblings.erase(std::find(siblings.begin(), siblings.end(), &b));
  if (b.leader != nullptr) {
    leaveBundle(b);
  } else {
    transport_.close(b);
  }
  bySlot_[b.slot] = nullptr;
  branches_.erase(b.id);
}

// Strangers and forgers are the home's to tell; here nobody takes more of the ring than its share.
void Switch::handIn(Branch& b, const uint8_t* bytes, size_t length, const Address& from) {
  Ring<Incoming>& ring = *b.datagrams;
  if (b.underWay > 0 && ring.passed(b.last)) b.underWay = 0;
  if (b.underWay == RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL || !ring.room(1)) {
    counters_.count(THREAD_COUNTER_ingress);
    bump(b.words + CHANNEL_COUNTER_packetsIn);
    bump(b.words + CHANNEL_COUNTER_bytesIn, length);
    return countDrop(b, Drop::queue_full);
  }
  Incoming& in = ring.next();
  in.channel = b.id;
  in.slot = b.homeSlot;
  in.length = static_cast<uint16_t>(length);
  in.port = from.port;
  std::memcpy(in.ip, from.ip, sizeof in.ip);
  std::memcpy(in.bytes, bytes, length);
  b.underWay++;
  b.last = ring.written();
}

void Switch::arrived(Outlet& o, Variant& datagram, const Address& from, uint64_t now) {
  if (o.branch) return handIn(static_cast<Branch&>(o), datagram.bytes, datagram.length, from);
  if (o.rtcpOf != nullptr) return receiveRtcp(o, datagram, from, now);
  receive(static_cast<Channel&>(o), datagram, from, now);
}

void Switch::allArrived(Outlet& o) {
  if (!o.branch) return;
  auto& b = static_cast<Branch&>(o);
  b.datagrams->publish();
  exchange_->ring(b.home);
}

bool Switch::neighboursWait() const {
  if (exchange_ == nullptr || exchange_->reaching(self_) == 0) return false;
  for (size_t t = 0; t < exchange_->threads(); t++) {
    const Ring<Outgoing>* packets = exchange_->packetsIf(t, self_);
    const Ring<Incoming>* datagrams = exchange_->datagramsIf(t, self_);
    if (packets != nullptr && packets->waiting() > 0) return true;
    if (datagrams != nullptr && datagrams->waiting() > 0) return true;
  }
  return false;
}

void Switch::markNeighbours() {
  if (exchange_ == nullptr || exchange_->reaching(self_) == 0) return;
  for (size_t t = 0; t < exchange_->threads(); t++) {
    const Ring<Outgoing>* packets = exchange_->packetsIf(t, self_);
    const Ring<Incoming>* datagrams = exchange_->datagramsIf(t, self_);
    marks_[t] = {packets == nullptr ? 0 : packets->waiting(), datagrams == nullptr ? 0 : datagrams->waiting()};
  }
}

void Switch::hearNeighbours(uint64_t now) {
  if (exchange_ == nullptr || exchange_->reaching(self_) == 0) return;
  for (size_t t = 0; t < exchange_->threads(); t++) {
    const Mark mark = std::exchange(marks_[t], Mark());
    if (mark.datagrams > 0) takeDatagrams(*exchange_->datagramsIf(t, self_), mark.datagrams, now);
    if (mark.packets > 0) takePackets(*exchange_->packetsIf(t, self_), mark.packets);
  }
}

void Switch::takeDatagrams(Ring<Incoming>& ring, uint32_t count, uint64_t now) {
  for (; count > 0; count--) {
    Incoming& in = ring.take();
    Outlet* o = bySlot_[in.slot];
    // Closed meanwhile, as a socket takes along what waits in it.
    if (o == nullptr || o->id != in.channel || o->branch) continue;
    receive(static_cast<Channel&>(*o), in.bytes, in.length, in.from(), now);
  }
  ring.release();
}

void Switch::carryOut(Outlet& o, const Outgoing& out) {
  const uint8_t* bytes = out.variant->bytes;
  if (out.kind == Outgoing::Kind::control) {
    transport_.send(o, bytes, out.variant->length);
    return;
  }
  Address address;
  std::memcpy(static_cast<void*>(&address), bytes, sizeof address);
  if (out.kind == Outgoing::Kind::datagram) {
    transport_.sendTo(o, address, bytes + sizeof address, out.variant->length - sizeof address);
    return;
  }
  o.peer = address;
  if (!o.roams) transport_.connect(o, address);
}

void Switch::takePackets(Ring<Outgoing>& ring, uint32_t count) {
  if (count > RELAY_HANDOVER_PACKETS_PER_TURN) count = RELAY_HANDOVER_PACKETS_PER_TURN;
  heard_.push_back(&ring);
  for (; count > 0; count--) {
    const Outgoing& out = ring.take();
    Outlet* o = bySlot_[out.slot];
    // Closed meanwhile.
    if (o == nullptr || o->id != out.channel || !o->branch) continue;
    if (out.kind != Outgoing::Kind::media) {
      carryOut(*o, out);
    } else if (const Drop drop = mayLeave(*o); drop != Drop::none) {
      countDrop(*o, drop);
    } else {
      egress_.queue(*o, out.variant);
    }
  }
}

}  // namespace claviger
