// The home's side of a conference that has outgrown its thread: what leaves by other threads' sockets.
#include "egress.h"

namespace claviger {
namespace {

// Video may not take all of a ring: what is left is for audio and control, which are small and missed sooner.
constexpr uint32_t VIDEO_LEAVES = RELAY_HANDOVER_PACKETS / 4;

}  // namespace

Away& Egress::wayTo(size_t thread) {
  auto& way = ways_[thread];
  if (!way) {
    way = std::make_unique<Away>();
    way->thread = thread;
    way->ring = &exchange_->packets(self_, thread);
  }
  return *way;
}

bool Egress::control(Outlet& receiver, const uint8_t* bytes, size_t length) {
  if (receiver.away == nullptr) return transport_.send(receiver.carrier(), bytes, length);
  if (full()) flush();
  Variant* variant = make();
  variant->length = static_cast<uint16_t>(length);
  std::memcpy(variant->bytes, bytes, length);
  return handOver(receiver, variant, Outgoing::Kind::control);
}

bool Egress::connect(Outlet& receiver, const Address& peer) {
  if (receiver.away == nullptr) {
    if (!receiver.roams) transport_.connect(receiver, peer);
    return true;
  }
  return handOver(receiver, peer, nullptr, 0, Outgoing::Kind::peer);
}

void Egress::sendTo(Outlet& from, const Address& to, const uint8_t* bytes, size_t length) {
  if (from.away == nullptr) return transport_.sendTo(from, to, bytes, length);
  handOver(from, to, bytes, length, Outgoing::Kind::datagram);
}

bool Egress::handOver(Outlet& receiver, const Address& address, const uint8_t* bytes, size_t length, Outgoing::Kind kind) {
  if (sizeof address + length > MAX_DATAGRAM_BYTES) return false;
  if (full()) flush();
  Variant* variant = make();
  variant->length = static_cast<uint16_t>(sizeof address + length);
  std::memcpy(variant->bytes, &address, sizeof address);
  if (length > 0) std::memcpy(variant->bytes + sizeof address, bytes, length);
  return handOver(receiver, variant, kind);
}

bool Egress::handOver(Outlet& receiver, Variant* variant, Outgoing::Kind kind) {
  Away& way = *receiver.away;
  const bool last = kind == Outgoing::Kind::media && receiver.media == Media::video;
  if (!way.ring->room(1 + (last ? VIDEO_LEAVES : 0)) || !lend(way, variant)) {
    countDrop(counters_, receiver, Drop::queue_full);
    return false;
  }
  if (!way.waits) handing_.push_back(&way);
  way.waits = true;
  way.ring->next() = {variant, receiver.id, receiver.awaySlot, kind};
  counters_.count(THREAD_COUNTER_handedOver);
  return true;
}

// A variant goes to many receivers of a thread, mostly one after the other: it is held once for all of those.
bool Egress::lend(Away& way, Variant* variant) {
  const uint32_t until = way.ring->written() + 1;
  if (way.first != way.next && way.at(way.next - 1).variant == variant) {
    way.at(way.next - 1).until = until;
    return true;
  }
  if (lent_ == RELAY_LENT_VARIANTS) return false;
  pool_.hold(*variant);
  way.at(way.next++) = {variant, until};
  lent_++;
  return true;
}

void Egress::publish() {
  for (Away* way : handing_) {
    way->ring->publish();
    way->waits = false;
    exchange_->ring(way->thread);
  }
  handing_.clear();
}

void Egress::takeBack() {
  for (const auto& way : ways_) {
    if (!way) continue;
    for (; way->first != way->next && way->ring->passed(way->at(way->first).until); way->first++, lent_--) {
      pool_.release(*way->at(way->first).variant);
    }
  }
}

}  // namespace claviger
