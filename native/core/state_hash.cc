// A digest of everything that a packet may change, counters and rate limits excepted: tests compare it before and after a
// packet that was refused. Not cryptographic, and it depends on no pointer.
#include "switch.h"

namespace claviger {
namespace {

class Digest {
 public:
  template <typename T>
  void add(const T& value) {
    uint64_t words[(sizeof(T) + 7) / 8] = {};
    std::memcpy(words, &value, sizeof(T));
    for (const uint64_t w : words) hash_ = (hash_ ^ w) * 0x9e3779b97f4a7c15u ^ (hash_ >> 29);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 1;
};

void addKey(Digest& d, const StreamKey& k) {
  d.add(k.used);
  if (!k.used) return;
  d.add(k.set);
  d.add(k.generation);
  d.add(k.epoch);
  d.add(k.roc);
  d.add(k.wrapped);
  d.add(k.start);
  d.add(k.keys);
}

void addStream(Digest& d, const Stream& s) {
  d.add(s.ssrc);
  d.add(s.position);
  d.add(s.known);
  d.add(s.roc);
  d.add(s.generation);
  d.add(s.rtp.highest());
  d.add(s.rtp.bits());
  d.add(s.rtcp.highest());
  d.add(s.rtcp.bits());
  addKey(d, s.current);
  addKey(d, s.next);
  addKey(d, s.previous);
  d.add(s.previousUntil);
  d.add(s.refreshed);
  d.add(s.refreshTimestamp);
}

void addChannel(Digest& d, const Channel& c) {
  d.add(c.id);
  d.add(c.proven);
  d.add(c.awaiting);
  d.add(c.peer.ip);
  d.add(c.peer.port);
  d.add(c.tip);
  d.add(c.trailingByte);
  d.add(c.ready);
  d.add(c.level);
  d.add(c.transmitMask);
  d.add(c.ackedSets);
  d.add(c.keys.sendIndex());
  d.add(c.consented);
  if (c.ice) d.add(c.ice->digest());
  if (const ReceivingKeys* keys = c.keys.currentOrNull()) {
    d.add(keys->windowCount());
    for (uint32_t i = 0; i < keys->windowCount(); i++) d.add(keys->windowDigest(i));
  }
  d.add(c.queued);
  for (const Activity& a : c.activity) {
    d.add(a.packets);
    d.add(a.energy);
  }
  d.add(c.streamCount);
  for (uint32_t i = 0; i < c.streamCount; i++) {
    addStream(d, *c.streams[i]);
    d.add(c.reception[i].received());
    d.add(c.kept[i] == nullptr ? 0 : c.kept[i]->head());
    if (c.hop) {
      d.add(c.received[i].highest());
      d.add(c.received[i].bits());
    }
  }
  d.add(c.latching);
  if (!c.own) return;
  for (const OwnStream& own : c.own->lanes) {
    d.add(own.packets);
    d.add(own.place.source());
    d.add(own.place.lastTimestamp());
  }
}

}  // namespace

uint64_t Switch::stateHash() const {
  uint64_t sum = 0;
  for (const auto& entry : channels_) {
    Digest d;
    addChannel(d, *entry.second);
    sum += d.value();
  }
  for (const auto& entry : conferences_) {
    Digest d;
    d.add(entry.first);
    d.add(entry.second->required);
    for (const RoutePlan& plan : entry.second->plans) {
      for (const Edge& e : plan.edges) {
        d.add(e.source->id);
        d.add(e.receiver->id);
        d.add(e.position);
        d.add(e.sink);
        d.add(e.active);
        d.add(e.sent.since);
      }
    }
    sum += d.value();
  }
  Digest all;
  all.add(sum);
  all.add(events_.bytes().size());
  return all.value();
}

}  // namespace claviger
