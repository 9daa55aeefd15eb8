#include "retransmit.h"

#include "switch.h"

namespace claviger {
namespace {

constexpr uint8_t FMT_GENERIC_NACK = 1;
constexpr size_t FEEDBACK_BYTES = 12;

bool isGone(const KeptPacket& p, uint64_t now) { return now >= p.at + RELAY_RETRANSMIT_AGE_MS * NS_PER_MS; }

uint32_t requestsOf(const uint8_t* entry) {
  return 1 + static_cast<uint32_t>(__builtin_popcount(get16(entry + 2)));
}

}  // namespace

void KeptStream::keep(KeptVariants& all, const KeptPacket& packet) {
  expire(all, packet.at);
  if (count() == SIZE) drop(all);
  if (all.full()) {
    if (count() == 0) return;
    drop(all);
  }
  all.hold(*packet.variant);
  uint32_t& first = firstOf_[packet.sequence & (SIZE - 1)];
  const bool another = count() > 0 && place(head_ - 1).number == packet.number;
  if (!another) first = head_;
  place(head_++) = packet;
}

const KeptPacket* KeptStream::find(uint16_t sequence, uint64_t now) const {
  const uint32_t i = firstOf_[sequence & (SIZE - 1)];
  // `head_` is not reached yet; what is behind `tail_` has been forgotten.
  if (head_ - i > count() || i == head_) return nullptr;
  const KeptPacket& p = place(i);
  return p.sequence == sequence && !isGone(p, now) ? &p : nullptr;
}

const KeptPacket* KeptStream::next(const KeptPacket* variant) const {
  const auto at = static_cast<uint32_t>(variant - ring_);
  const KeptPacket& following = ring_[(at + 1) & (SIZE - 1)];
  const bool last = at == ((head_ - 1) & (SIZE - 1));
  return last || following.number != variant->number ? nullptr : &following;
}

void KeptStream::expire(KeptVariants& all, uint64_t now) {
  while (count() > 0 && isGone(place(tail_), now)) drop(all);
}

void KeptStream::clear(KeptVariants& all) {
  while (count() > 0) drop(all);
}

bool RequestLimit::take(uint64_t now) {
  constexpr uint64_t BURST_NS = RELAY_RETRANSMIT_REQUEST_BURST * NS_PER_REQUEST;
  if (!rate_.allows(now, NS_PER_REQUEST, BURST_NS)) return false;
  rate_.take(now, NS_PER_REQUEST);
  return true;
}

bool RequestLimit::mayRepeat(uint32_t ssrc, uint16_t sequence, uint64_t now) {
  Recent& r = recent_[(sequence + ssrc * 31) % PLACES];
  if (r.used && now < r.at + RELAY_RETRANSMIT_MIN_INTERVAL_MS * NS_PER_MS) return false;
  r = {ssrc, sequence, true, now};
  return true;
}

// Keeps the variant for those of its receivers that will not get it.
void Switch::keepVariant(KeptStream& kept, const MediaPacket& packet, const Channel& from, uint8_t sink,
                         uint8_t payloadType, Variant& variant) {
  const uint32_t generation = packet.mode == nullptr ? 0 : from.conference->sets.at(packet.set).generation;
  kept.keep(kept_, {packetNumber_, now_, &variant, generation, packet.rtp.sequence,
                    packet.mode == nullptr ? NO_SET : packet.set, sink, payloadType});
}

void Switch::expireKept(Channel& c, uint64_t now) {
  for (uint32_t i = 0; i < c.streamCount; i++) {
    if (c.kept[i]) c.kept[i]->expire(kept_, now);
  }
}

void Switch::forgetKept(Channel& c) {
  for (auto& kept : c.kept) {
    if (kept) kept->clear(kept_);
  }
}

// Every generic NACK of a verified compound (RFC 4585 §6.2.1). The compound's lengths and padding have been checked.
void Switch::answerNacks(Channel& c, const uint8_t* compound, size_t length, uint64_t now) {
  for (size_t at = 0; at < length;) {
    const uint8_t* p = compound + at;
    size_t size = size_t{4} * (get16(p + 2) + 1);
    at += size;
    if (p[1] != RTCP_RTPFB || (p[0] & 0x1f) != FMT_GENERIC_NACK) continue;
    if ((p[0] & 0x20) != 0) size -= p[size - 1];
    if (size > FEEDBACK_BYTES) answerNack(c, get32(p + 8), p + FEEDBACK_BYTES, (size - FEEDBACK_BYTES) / 4, now);
  }
}

void Switch::answerNack(Channel& c, uint32_t ssrc, const uint8_t* entries, size_t count, uint64_t now) {
  if (!c.requests) return;  // nothing is kept for this channel
  const uint8_t ownLane = c.own && c.clearInside() ? c.own->laneOf(ssrc) : 0;
  bool looked = false;
  const Edge* edge = nullptr;
  const KeptStream* kept = nullptr;
  for (size_t i = 0; i < count; i++) {
    const uint8_t* entry = entries + 4 * i;
    const uint16_t first = get16(entry);
    const uint16_t following = get16(entry + 2);
    uint32_t left = requestsOf(entry);
    for (uint32_t offset = 0; offset <= 16; offset++) {
      if (offset > 0 && (following & (1u << (offset - 1))) == 0) continue;
      if (!c.requests->take(now)) {
        counters_.count(THREAD_COUNTER_retransmitLimited, left);
        break;
      }
      left--;
      // Paid for first: finding the edge takes time in a large conference.
      if (ownLane != 0) {
        retransmitOwn(c, ownLane, static_cast<uint16_t>(first + offset), now);
        continue;
      }
      if (!looked) edge = edgeTo(c, ssrc, kept);
      looked = true;
      retransmit(c, edge, kept, ssrc, static_cast<uint16_t>(first + offset), now);
    }
  }
}

// The edge on which `receiver` is given the stream now, and what is kept of that stream; null when it is given nothing.
const Edge* Switch::edgeTo(const Channel& receiver, uint32_t ssrc, const KeptStream*& kept) const {
  const Channel* source = receiver.conference->owners.owner(ssrc);
  const Stream* stream = source == nullptr ? nullptr : source->find(ssrc);
  if (stream == nullptr) return nullptr;
  kept = source->kept[stream->place].get();
  const RoutePlan& plan = receiver.conference->plans[static_cast<size_t>(source->media)];
  const EdgeRange range = source->edges[stream->position];
  for (uint32_t i = range.begin; kept != nullptr && i < range.end; i++) {
    const Edge& edge = plan.edges[i];
    if (edge.receiver == &receiver && edge.active && edge.sent.since != 0) return &edge;
  }
  return nullptr;
}

void Switch::retransmit(Channel& c, const Edge* edge, const KeptStream* kept, uint32_t ssrc, uint16_t sequence,
                        uint64_t now) {
  const KeptPacket* p = edge == nullptr ? nullptr : kept->find(sequence, now);
  if (p != nullptr && p->number < edge->sent.since) p = nullptr;
  while (p != nullptr && (p->sink != edge->sink || p->payloadType != edge->sent.payloadType)) p = kept->next(p);
  // A set that was dropped since takes its packets along, even when a newer one has its place.
  if (p != nullptr && p->set != NO_SET && c.conference->sets.at(p->set).generation != p->generation) p = nullptr;
  if (p == nullptr) return counters_.count(THREAD_COUNTER_retransmitUnknown);
  if (const Drop drop = admit(c, p->set); drop != Drop::none) return countDrop(c, drop);
  if (!c.requests->mayRepeat(ssrc, sequence, now)) return counters_.count(THREAD_COUNTER_retransmitLimited);
  if (egress_.full()) egress_.flush();
  egress_.share(*p->variant);
  egress_.queue(c, p->variant);
  counters_.count(THREAD_COUNTER_retransmitted);
  bump(c.words + CHANNEL_COUNTER_retransmitted);
}

}  // namespace claviger
