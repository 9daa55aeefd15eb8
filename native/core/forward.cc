// One verified packet to the receivers of its route: one variant, and one tag, for each (sink, payload type) (WIRE.md 8, 9).
#include "switch.h"

namespace claviger {
namespace {

// Variants of the packet at hand. When there are more, the first ones are made a second time for later receivers.
constexpr size_t MAX_REMEMBERED_VARIANTS = 32;

// In a large conference the receivers do not stay in the nearest cache from one packet to the next.
constexpr uint32_t PREFETCHED_EDGES = 4;
void prefetch(const Channel& to, int16_t codec) {
  __builtin_prefetch(&to, 1);
  __builtin_prefetch(&to.queued, 1);
  __builtin_prefetch(&to.ackedSets);
  __builtin_prefetch(&to.payloadTypeOf[codec]);
}

struct Made {
  uint8_t sink;
  uint8_t payloadType;
  Variant* variant;
};

// To where it stands once the trailing byte is off; the tag is written before it.
void moveRest(TagView& tag, uint8_t* to) {
  std::memmove(to, tag.rest, tag.restLength);
  if (tag.wrapped != nullptr) tag.wrapped = to + (tag.wrapped - tag.rest);
  tag.rest = to;
}

}  // namespace

void Switch::forward(Channel& c, const Stream& s, MediaPacket& packet) {
  const EdgeRange range = c.edges[packet.position];
  RoutePlan& plan = c.conference->plans[static_cast<size_t>(c.media)];
  const int16_t codec = c.codecOf[packet.rtp.payloadType];
  Made made[MAX_REMEMBERED_VARIANTS];
  size_t count = 0;
  KeptStream* kept = c.kept[s.place].get();
  if (kept != nullptr) packetNumber_++;
  const uint8_t set = packet.mode == nullptr ? NO_SET : packet.set;
  for (uint32_t i = range.begin; i < range.end; i++) {
    if (i + PREFETCHED_EDGES < range.end) prefetch(*plan.edges[i + PREFETCHED_EDGES].receiver, codec);
    Edge& edge = plan.edges[i];
    if (!edge.active) continue;
    Channel& to = *edge.receiver;
    Drop drop = admit(to, set);
    const int16_t payloadType = to.payloadTypeOf[codec];
    if (drop == Drop::none && payloadType == NO_MAPPING) drop = Drop::no_payload_type;
    if (drop == Drop::none && !mayProbe(to.lead())) drop = Drop::rate_limited;
    if (drop != Drop::none) {
      countDrop(to, drop);
      edge.sent.broken();
      continue;
    }
    if (to.sendsOwn(packet.rtp.csrcCount > 0)) {
      // Two packets at most: what is made for others in this drain is let go of with it.
      if (egress_.nearlyFull()) {
        egress_.flush();
        count = 0;
      }
      forwardOwn(c, s, packet, edge, static_cast<uint8_t>(payloadType));
      continue;
    }
    size_t at = count;
    while (at > 0 && (made[at - 1].sink != edge.sink || made[at - 1].payloadType != payloadType)) at--;
    if (at == 0) {
      if (egress_.full()) {
        egress_.flush();
        count = 0;
      }
      if (count == MAX_REMEMBERED_VARIANTS) count = 0;
      Variant& variant = makeVariant(packet, edge.sink, static_cast<uint8_t>(payloadType));
      if (kept != nullptr) keepVariant(*kept, packet, c, edge.sink, static_cast<uint8_t>(payloadType), variant);
      made[count++] = {edge.sink, static_cast<uint8_t>(payloadType), &variant};
      at = count;
    }
    egress_.queue(to, made[at - 1].variant);
    if (kept != nullptr) edge.sent.sent(packetNumber_, static_cast<uint8_t>(payloadType));
  }
}

// Level first: it holds whatever else is true of the receiver.
Drop Switch::admit(const Channel& to, uint8_t set) const {
  if (!meets(to.level, to.conference->required)) return Drop::below_level;
  if (!to.carrier().proven || !to.ready) return Drop::not_ready;
  if (!to.carrier().consented) return Drop::no_consent;
  // What is under a sender's key goes to those only who hold its set, and to nobody whose payloads end here: the switch has no
  // business with that key. What is clear inside goes to those only to whom the switch speaks itself, or in clear.
  if ((set == NO_SET) != to.clearInside()) return Drop::set_not_installed;
  if (set != NO_SET && (to.ackedSets & (1u << set)) == 0) return Drop::set_not_installed;
  return Drop::none;
}

// The first one is the datagram itself, rewritten where it lies; the next ones are copies of it, so nothing that is done here
// depends on the packet's length but the tag of suite 1.
Variant& Switch::makeVariant(MediaPacket& packet, uint8_t sink, uint8_t payloadType) {
  Variant& out = packet.rewritten ? *egress_.make() : packet.datagram;
  uint8_t* p = out.bytes;
  if (packet.rewritten) {
    std::memcpy(p, packet.datagram.bytes, packet.end);
  } else {
    egress_.share(out);
    packet.rewritten = true;
    if (packet.tag != nullptr) moveRest(*packet.tag, p + packet.end + TAG_BYTES);
  }
  p[1] = static_cast<uint8_t>((p[1] & 0x80) | payloadType);
  if (packet.rtp.csrcCount > 0) p[MULTIPLEX_POSITIONS_AT] = static_cast<uint8_t>((p[MULTIPLEX_POSITIONS_AT] & 0xf0) | sink);
  out.length = static_cast<uint16_t>(packet.end);
  if (packet.tag == nullptr) return out;
  const TagView& tag = *packet.tag;
  packet.mode->writeTag(packet.key, p, packet.rtp.headerLength, packet.end, tag, packet.roc, p + packet.end);
  uint8_t* rest = p + packet.end + TAG_BYTES;
  if (rest != tag.rest) std::memcpy(rest, tag.rest, tag.restLength);
  out.length = static_cast<uint16_t>(packet.end + tag.length);
  counters_.count(THREAD_COUNTER_variants);
  return out;
}

}  // namespace claviger
