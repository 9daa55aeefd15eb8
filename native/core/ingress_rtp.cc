// RTP on its way in, step by step as in WIRE.md 9. Everything up to a commit is const on the stream.
#include "switch.h"

namespace claviger {
namespace {

// Without TIP there is no multiplex word to be trusted: the whole channel is the center.
constexpr uint8_t CENTER = 1;
constexpr int MAX_ENERGY = 100;
constexpr int MAX_MISORDER = 100;  // RFC 3550 A.1

// A plain stream's sequence numbers counted on, for who is given them in a stream of the switch's own. Further back than
// packets arrive late: the sender has begun anew.
uint64_t plainIndex(Stream& s, uint16_t sequence) {
  const auto ahead = static_cast<int16_t>(sequence - static_cast<uint16_t>(s.clearIndex));
  if (s.beginnings == 0 || ahead < -MAX_MISORDER) {
    s.beginnings++;
    s.clearIndex = 0x10000u + sequence;
    return s.clearIndex;
  }
  const uint64_t index = s.clearIndex + static_cast<uint64_t>(int64_t{ahead});
  if (ahead > 0) s.clearIndex = index;
  return index;
}

}  // namespace

Drop Switch::ingressRtp(Channel& c, Variant& datagram, const Address& from, uint64_t now) {
  RtpView rtp;
  if (!parseRtp(datagram.bytes, datagram.length, rtp)) return Drop::malformed;
  if (c.plain) return ingressPlainRtp(c, datagram, rtp, from, now);
  return c.ends ? ingressHopRtp(c, datagram, rtp, from, now) : ingressSrtp(c, datagram, rtp, now);
}

Drop Switch::ingressSrtp(Channel& c, Variant& datagram, const RtpView& rtp, uint64_t now) {
  const uint8_t* bytes = datagram.bytes;
  // 2
  if (isControlSsrc(rtp.ssrc)) return Drop::malformed;
  TagView tag;
  const EktMode& mode = modeOf(c.conference->sets);
  if (!mode.parseSrtp(bytes, datagram.length, rtp.headerLength, c.trailingByte, tag)) return Drop::malformed;
  if (c.tip && rtp.csrcCount == 0) return Drop::no_multiplex_word;
  // 3
  if (!mediaReady(c)) return Drop::not_ready;
  // 4, 5, 6
  Stream* stream = c.find(rtp.ssrc);
  Judgement judged;
  if (const Drop drop = mode.judgeSrtp(c.conference->sets, c.ackedSets, stream, c.provisional, bytes, rtp, tag,
                                       c.trailingByte, now, judged);
      drop != Drop::none) {
    return drop;
  }
  // 7
  uint8_t position = 0;
  if (const Drop drop = judgeBinding(c, stream, rtp.ssrc); drop != Drop::none) {
    claim(c, rtp.ssrc, now);
    return drop;
  }
  if (const Drop drop = judgePosition(c, stream, rtp, position); drop != Drop::none) return drop;
  if (stream == nullptr && c.streamCount == MAX_STREAMS_PER_CHANNEL) return Drop::stream_limit;
  // 8
  const auto roc = static_cast<uint32_t>(judged.index >> 16);
  // The key is copied: committing may move it to another slot.
  MediaPacket packet{datagram, rtp, tag.authenticated, &mode, &tag, roc, *judged.keys, judged.set, position};
  Stream& s = stream != nullptr ? *stream : bind(c, rtp.ssrc);
  mode.commitSrtp(s, judged, tag, now);
  c.reception[s.place].packet(judged.index, judged.restart, rtp.timestamp, now, c.clockHz(rtp.payloadType));
  fixPosition(c, s, position);
  counters_.count(THREAD_COUNTER_verified);
  // 9
  int trailing = -1;
  if (c.trailingByte) trailing = bytes[--packet.end];
  deliver(c, s, packet, trailing);
  wipe(&packet.key, sizeof packet.key);
  return Drop::none;
}

// Nothing is authenticated here: the datagram came from the address that the signalling named, and that is all.
Drop Switch::ingressPlainRtp(Channel& c, Variant& datagram, const RtpView& rtp, const Address& from, uint64_t now) {
  if (c.trailingByte && datagram.length == rtp.headerLength) return Drop::malformed;
  if (c.tip && rtp.csrcCount == 0) return Drop::no_multiplex_word;
  if (!mediaReady(c)) return Drop::not_ready;
  Stream* stream = c.find(rtp.ssrc);
  uint8_t position = 0;
  if (const Drop drop = judgeBinding(c, stream, rtp.ssrc); drop != Drop::none) return drop;
  if (const Drop drop = judgePosition(c, stream, rtp, position); drop != Drop::none) return drop;
  if (stream == nullptr && c.streamCount == MAX_STREAMS_PER_CHANNEL) return Drop::stream_limit;
  if (c.latchUntil != 0 && !latch(c, rtp, from, now)) return Drop::unknown_source;
  Stream& s = stream != nullptr ? *stream : bind(c, rtp.ssrc);
  c.reception[s.place].packet(rtp.sequence, rtp.timestamp, now_, c.clockHz(rtp.payloadType));
  fixPosition(c, s, position);
  counters_.count(THREAD_COUNTER_verified);
  MediaPacket packet{datagram, rtp, datagram.length, nullptr, nullptr, 0, {}, 0, position};
  packet.index = plainIndex(s, rtp.sequence);
  int trailing = -1;
  if (c.trailingByte) trailing = datagram.bytes[--packet.end];
  readPayload(c, s, packet, trailing);
  deliver(c, s, packet, trailing);
  return Drop::none;
}

Drop Switch::judgeBinding(const Channel& c, const Stream* stream, uint32_t ssrc) const {
  if (stream != nullptr) return Drop::none;  // bound here, so to no other
  return c.conference->owners.owner(ssrc) == nullptr ? Drop::none : Drop::ssrc_owned;
}

Drop Switch::judgePosition(const Channel& c, const Stream* stream, const RtpView& rtp, uint8_t& position) const {
  position = c.tip ? rtp.source : CENTER;
  if (position == 0) return Drop::bad_position;
  if (c.tip && (c.transmitMask & (1u << position)) == 0) return Drop::bad_position;
  const bool moved = stream != nullptr && stream->position != 0 && stream->position != position;
  return moved ? Drop::bad_position : Drop::none;
}

// The main thread knows whose certificates these are: a binding moves to the same endpoint's new channel only (WIRE.md 10).
void Switch::claim(Channel& c, uint32_t ssrc, uint64_t now) {
  if (now < c.nextClaim) return;
  c.nextClaim = now + RELAY_CLAIM_INTERVAL_MS * NS_PER_MS;
  if (!events_.claimed(c.id, ssrc, c.conference->owners.owner(ssrc)->id)) countDrop(c, Drop::queue_full);
}

// With what it allocates the only exception to "a packet costs no allocation": once a stream, and its address stays.
Stream& Switch::bind(Channel& c, uint32_t ssrc) {
  c.streams[c.streamCount] = std::make_unique<Stream>();
  Stream& s = *c.streams[c.streamCount];
  s.ssrc = ssrc;
  s.place = static_cast<uint8_t>(c.streamCount);
  if (c.media == Media::video && (!c.plain || c.own)) c.kept[c.streamCount] = std::make_unique<KeptStream>();
  if (c.media == Media::video && c.clearInside()) c.parameterSets[c.streamCount] = std::make_unique<ParameterSets>();
  c.ssrcs[c.streamCount++] = ssrc;
  c.conference->owners.bind(ssrc, &c);
  return s;
}

void Switch::fixPosition(Channel& c, Stream& s, uint8_t position) {
  if (s.position != 0) return;
  s.position = position;
  if (!events_.bound(c.id, s.ssrc, position)) countDrop(c, Drop::queue_full);
}

void Switch::deliver(Channel& c, Stream& s, MediaPacket& packet, int trailing) {
  // Verified, so the stream has moved on; but nobody agreed on what this payload is.
  if (c.codecOf[packet.rtp.payloadType] == NO_MAPPING) return countDrop(c, Drop::no_payload_type);
  Activity& activity = c.activity[packet.position];
  activity.packets++;
  if (c.media == Media::audio && trailing >= 0) {
    const auto energy = static_cast<int8_t>(trailing > MAX_ENERGY ? MAX_ENERGY : trailing);
    if (energy > activity.energy) activity.energy = energy;
  }
  if (c.media == Media::video && (trailing == 1 || trailing == 2)) {
    if (!s.refreshed || s.refreshTimestamp != packet.rtp.timestamp) {
      s.refreshed = true;
      s.refreshTimestamp = packet.rtp.timestamp;
      if (!events_.refresh(c.id, packet.position)) countDrop(c, Drop::queue_full);
    }
    refreshPoint(c, packet.position, packet.mode == nullptr ? NO_SET : packet.set);
  }
  forward(c, s, packet);
}

}  // namespace claviger
