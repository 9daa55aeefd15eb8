// Channels whose payloads end at the switch: hop-by-hop SRTP coming in, and what the switch sends in its own name, in SRTP or
// in clear. Apart from the end-to-end path: a packet under a sender's key never comes here (Switch::admit).
#include <cstdio>

#include "switch.h"

namespace claviger {
namespace {

constexpr uint8_t CENTER = 1;
constexpr uint8_t OWN_SINK = 0;  // what is kept is no variant but what variants are made of
constexpr size_t RTP_BYTES = 12;
// Header, multiplex word, and the longest name of an m-line in the two-byte form.
constexpr size_t MAX_OWN_HEADER_BYTES = RTP_BYTES + 4 + 4 + (2 + MAX_MID_BYTES + 3) / 4 * 4;
constexpr size_t SR_BYTES = 28;

// Another number for another stream, and for a stream that began anew.
uint64_t sourceOf(const Channel& c, const Stream& s) {
  return (uint64_t{1} << 63) | (uint64_t{c.id} << 24) | (uint64_t{s.place} << 16) | (s.beginnings & 0xffff);
}
uint32_t channelOf(uint64_t source) { return static_cast<uint32_t>(source >> 24); }

// Whose m-line of its bundle it is (RFC 9143 §15.2), in the shorter form that has room for it (RFC 8285 §4.2, §4.3).
size_t writeMid(const Channel& to, uint8_t* out) {
  const bool brief = to.midId < 15 && to.midLength <= 16;
  const size_t before = brief ? 1 : 2;
  const size_t words = (before + to.midLength + 3) / 4;
  std::memset(out + 4, 0, words * 4);
  put16(out, brief ? 0xbede : 0x1000);
  put16(out + 2, static_cast<uint16_t>(words));
  out[4] = brief ? static_cast<uint8_t>(to.midId << 4 | (to.midLength - 1)) : to.midId;
  if (!brief) out[5] = to.midLength;
  std::memcpy(out + 4 + before, to.mid, to.midLength);
  return 4 + words * 4;
}
size_t placeIn(uint64_t source) { return (source >> 16) & 0xff; }

}  // namespace

// The header that leaves; gives its length. CSRCs and extensions are the source's business with the switch: none goes on but
// the multiplex word, to those who read it (WIRE.md 8). What arrives in a bundle says whose it is: browsers go by nothing else.
size_t Switch::writeHeader(const MediaHeader& from, const Channel& to, uint8_t sink, uint8_t payloadType, uint32_t ssrc,
                           const Placed& placed, uint8_t* out) {
  out[0] = static_cast<uint8_t>(0x80 | (from.padded ? 0x20 : 0) | (to.tip ? 1 : 0));
  out[1] = static_cast<uint8_t>((from.marked ? 0x80 : 0) | payloadType);
  put16(out + 2, static_cast<uint16_t>(placed.index));
  put32(out + 4, placed.timestamp);
  put32(out + 8, ssrc);
  size_t length = RTP_BYTES;
  if (to.tip) {
    put32(out + length, (from.multiplexWord & ~uint32_t{0xf}) | sink);
    length += 4;
  }
  if (to.midLength == 0) return length;
  out[0] |= 0x10;
  return length + writeMid(to, out + length);
}

Drop Switch::ingressHopRtp(Channel& c, Variant& datagram, const RtpView& rtp, const Address& from, uint64_t now) {
  if (c.tip && rtp.csrcCount == 0) return Drop::no_multiplex_word;
  if (!mediaReady(c)) return Drop::not_ready;
  Stream* stream = c.find(rtp.ssrc);
  // RFC 3711 §3.3.1; what is heard for the first time is in its first turn.
  uint64_t index = rtp.sequence;
  if (stream == nullptr && c.streamCount == MAX_STREAMS_PER_CHANNEL) return Drop::stream_limit;
  ReplayWindow& window = c.received[stream != nullptr ? stream->place : c.streamCount];
  if (stream == nullptr && !c.hop->recall(rtp.ssrc, window)) return Drop::stream_limit;
  if (!window.empty()) {
    const int64_t roc = estimateRoc(window.highest(), rtp.sequence);
    if (roc < 0 || roc > 0xffffffff) return Drop::too_old;
    index = indexOf(static_cast<uint32_t>(roc), rtp.sequence);
    if (const Drop drop = window.check(index); drop != Drop::none) return drop;
  }
  const size_t end = unprotectSrtp(c.hop->remote, rtp, datagram.bytes, datagram.length, index);
  if (end == 0) return Drop::auth_failed;
  uint8_t position = 0;
  if (const Drop drop = judgeBinding(c, stream, rtp.ssrc); drop != Drop::none) return drop;
  if (const Drop drop = judgePosition(c, stream, rtp, position); drop != Drop::none) return drop;

  findPeer(c.lead(), from, now);
  Stream& s = stream != nullptr ? *stream : bind(c, rtp.ssrc);
  window.accept(index);
  c.reception[s.place].packet(index, false, rtp.timestamp, now, c.clockHz(rtp.payloadType));
  fixPosition(c, s, position);
  counters_.count(THREAD_COUNTER_verified);
  MediaPacket packet{datagram, rtp, end, nullptr, nullptr, 0, {}, 0, position};
  packet.index = index;
  int trailing = -1;
  readPayload(c, s, packet, trailing);
  deliver(c, s, packet, trailing);
  return Drop::none;
}

// What a payload that is clear to the switch says itself, where no trailing byte does.
void Switch::readPayload(Channel& c, Stream& s, MediaPacket& packet, int& trailing) {
  const RtpView& rtp = packet.rtp;
  const uint8_t* bytes = packet.datagram.bytes;
  if (c.media == Media::audio) {
    if (trailing < 0 && c.audioLevelId != 0) trailing = audioEnergy(bytes, rtp, c.audioLevelId);
    return;
  }
  const VideoCodec codec = c.videoOf[rtp.payloadType];
  if (trailing >= 0 || codec == VideoCodec::other || packet.end < rtp.headerLength) return;
  const uint8_t* payload = bytes + rtp.headerLength;
  const size_t length = packet.end - rtp.headerLength;
  ParameterSets* sets = codec == VideoCodec::h264 ? c.parameterSets[s.place].get() : nullptr;
  const bool brought = sets != nullptr && sets->learn(payload, length);
  if (!startsKeyFrame(codec, payload, length)) return;
  trailing = 1;
  const bool first = !s.refreshed || s.refreshTimestamp != rtp.timestamp;
  if (first && !brought && sets != nullptr && sets->complete()) packet.parameterSets = sets;
}

void Switch::forwardOwn(Channel& c, const Stream& s, MediaPacket& packet, Edge& edge, uint8_t payloadType) {
  Channel& to = *edge.receiver;
  if (edge.lane == 0) return countDrop(to, Drop::stream_limit);
  OwnStream& own = to.own->lanes[edge.lane];
  if (!own.place.started()) {
    const uint32_t seed = to.own->seed ^ (edge.lane * 0x9e3779b1u);
    own.place.start(to.own->ssrcOf(edge.lane), static_cast<uint16_t>(seed >> 16), seed, to.clockHz(payloadType));
  }
  own.place.give(sourceOf(c, s), packet.index, packet.rtp.timestamp, now_);
  if (packet.parameterSets != nullptr) sendParameterSets(packet, edge, payloadType);
  Placed placed;
  Drop drop = own.place.place(packet.index, packet.rtp.timestamp, now_, placed);
  if (drop == Drop::none) {
    drop = sendOwn(packet.datagram.bytes + packet.rtp.headerLength, packet.end - packet.rtp.headerLength,
                   headerOf(packet), edge, payloadType, placed);
  }
  if (drop != Drop::none) return countDrop(to, drop);
  KeptStream* kept = c.kept[s.place].get();
  if (kept == nullptr || packet.kept) return;
  packet.kept = true;
  packet.datagram.length = static_cast<uint16_t>(packet.end);
  keepVariant(*kept, packet, c, OWN_SINK, packet.rtp.payloadType, packet.datagram);
}

Drop Switch::sendOwn(const uint8_t* payload, size_t length, const MediaHeader& header, const Edge& edge,
                     uint8_t payloadType, const Placed& placed) {
  Channel& to = *edge.receiver;
  OwnStream& own = to.own->lanes[edge.lane];
  const size_t overhead = to.hop ? to.hop->local.tagBytes : 0;
  if (MAX_OWN_HEADER_BYTES + length + overhead > MAX_DATAGRAM_BYTES) return Drop::malformed;
  Variant& out = *egress_.make();
  const uint32_t ssrc = own.place.ssrc();
  const size_t head = writeHeader(header, to, edge.sink, payloadType, ssrc, placed, out.bytes);
  if (to.plain) {
    std::memcpy(out.bytes + head, payload, length);
    out.length = static_cast<uint16_t>(head + length);
  } else {
    const size_t size = protectSrtp(to.hop->local, out.bytes, head, ssrc, payload, length, placed.index);
    out.length = static_cast<uint16_t>(size);
    counters_.count(THREAD_COUNTER_variants);
  }
  egress_.queue(to, &out);
  own.packets++;
  own.bytes += static_cast<uint32_t>(length);
  return Drop::none;
}

// A key frame without its parameter sets: a receiver that has just been turned to this source never saw them.
void Switch::sendParameterSets(const MediaPacket& packet, const Edge& edge, uint8_t payloadType) {
  Placed placed;
  if (edge.receiver->own->lanes[edge.lane].place.insert(packet.rtp.timestamp, placed) != Drop::none) return;
  uint8_t payload[ParameterSets::MAX_PAYLOAD_BYTES];
  const size_t length = packet.parameterSets->write(payload);
  MediaHeader header = headerOf(packet);
  header.marked = header.padded = false;
  sendOwn(payload, length, header, edge, payloadType, placed);
}

Switch::MediaHeader Switch::headerOf(const MediaPacket& packet) {
  return headerOf(packet.datagram.bytes, packet.rtp, packet.position);
}

Switch::MediaHeader Switch::headerOf(const uint8_t* bytes, const RtpView& rtp, uint8_t position) {
  const uint32_t own = (uint32_t{position} << 4) | CENTER;
  return {(bytes[1] & 0x80) != 0, (bytes[0] & 0x20) != 0, rtp.csrcCount > 0 ? get32(bytes + RTP_BYTES) : own};
}

// The same packet once more, byte for byte: its place, and so its header and key stream, are the ones that it had.
void Switch::retransmitOwn(Channel& c, uint8_t lane, uint16_t sequence, uint64_t now) {
  OwnStream& own = c.own->lanes[lane];
  uint64_t index = 0;
  const bool sent = own.place.sent(sequence, index);
  Channel* from = sent ? channel(channelOf(own.place.source())) : nullptr;
  const size_t place = placeIn(own.place.source());
  const KeptStream* kept = from == nullptr ? nullptr : from->kept[place].get();
  const KeptPacket* p = kept == nullptr ? nullptr : kept->find(static_cast<uint16_t>(index), now);
  while (p != nullptr && p->sink != OWN_SINK) p = kept->next(p);
  const Edge* edge = p == nullptr ? nullptr : ownEdge(*from, from->streams[place]->position, c, lane);
  RtpView rtp;
  if (edge == nullptr || !parseRtp(p->variant->bytes, p->variant->length, rtp)) {
    return counters_.count(THREAD_COUNTER_retransmitUnknown);
  }
  const int16_t codec = from->codecOf[p->payloadType];
  const int16_t payloadType = codec == NO_MAPPING ? NO_MAPPING : c.payloadTypeOf[codec];
  if (payloadType == NO_MAPPING) return countDrop(c, Drop::no_payload_type);
  const Placed placed = own.place.again(index, rtp.timestamp);
  if (placed.index < own.since) return counters_.count(THREAD_COUNTER_retransmitUnknown);
  if (const Drop drop = admit(c, NO_SET); drop != Drop::none) return countDrop(c, drop);
  if (!c.requests->mayRepeat(own.place.ssrc(), sequence, now)) return counters_.count(THREAD_COUNTER_retransmitLimited);
  if (egress_.full()) egress_.flush();
  const uint8_t* bytes = p->variant->bytes;
  const Drop drop = sendOwn(bytes + rtp.headerLength, p->variant->length - rtp.headerLength,
                            headerOf(bytes, rtp, from->streams[place]->position), *edge,
                            static_cast<uint8_t>(payloadType), placed);
  if (drop != Drop::none) return countDrop(c, drop);
  counters_.count(THREAD_COUNTER_retransmitted);
  bump(c.words + CHANNEL_COUNTER_retransmitted);
}

const Edge* Switch::ownEdge(const Channel& source, uint8_t position, const Channel& receiver, uint8_t lane) const {
  const RoutePlan& plan = source.conference->plans[static_cast<size_t>(source.media)];
  const EdgeRange range = source.edges[position];
  for (uint32_t i = range.begin; i < range.end; i++) {
    const Edge& edge = plan.edges[i];
    if (edge.receiver == &receiver && edge.active && edge.lane == lane) return &edge;
  }
  return nullptr;
}

// Sender reports of the switch's own streams, each with a name (RFC 3550 §6.4.1, §6.5).
void Switch::reportOwn(Channel& c, uint64_t now, uint64_t ntp) {
  if (!c.own || ntp == 0 || !mediaReady(c) || !c.carrier().consented) return;
  for (OwnStream& own : c.own->lanes) {
    if (own.packets == 0 || now < own.nextReport) continue;
    own.nextReport = now + RELAY_REPORT_INTERVAL_MS * NS_PER_MS;
    uint8_t packet[SR_BYTES + 32 + 64];
    const uint32_t ssrc = own.place.ssrc();
    const uint64_t elapsed = (now - own.place.lastAt()) / 1000 * own.place.clockHz() / 1'000'000;
    packet[0] = 0x80;
    packet[1] = RTCP_SR;
    put16(packet + 2, SR_BYTES / 4 - 1);
    put32(packet + 4, ssrc);
    put32(packet + 8, static_cast<uint32_t>(ntp >> 32));
    put32(packet + 12, static_cast<uint32_t>(ntp));
    put32(packet + 16, own.place.lastTimestamp() + static_cast<uint32_t>(elapsed));
    put32(packet + 20, own.packets);
    put32(packet + 24, own.bytes);
    // One chunk: SSRC, CNAME of 16 characters, one zero that ends the items, padding to a word.
    uint8_t* sdes = packet + SR_BYTES;
    char name[17];
    std::snprintf(name, sizeof name, "claviger%08x", c.own->seed);
    std::memset(sdes, 0, 28);
    sdes[0] = 0x81;
    sdes[1] = RTCP_SDES;
    put16(sdes + 2, 28 / 4 - 1);
    put32(sdes + 4, ssrc);
    sdes[8] = 1;
    sdes[9] = 16;
    std::memcpy(sdes + 10, name, 16);
    const size_t plain = SR_BYTES + 28;
    const size_t size = c.plain ? plain : c.lead().keys.protect(packet, plain, sizeof packet);
    if (size > 0) egress_.control(c.forRtcp(), packet, size);
  }
}

// `seed` 0: they do not end here (any longer). False: there are no keys for media.
bool Switch::endHere(Channel& c, uint32_t seed) {
  if (seed == 0) {
    c.ends = false;
    // Without keys there is no index that must not come again.
    if (c.plain) c.own.reset();
    return true;
  }
  if (!c.plain && (!c.hop || (!c.own && !c.hop->claim(seed)))) return false;
  c.ends = !c.plain;
  putOnAgenda(c);
  if (c.own) return true;
  c.own = std::make_unique<OwnStreams>();
  c.own->seed = seed;
  if (c.media == Media::video && !c.requests) c.requests = std::make_unique<RequestLimit>();
  assignLanes(c.conference->plans[static_cast<size_t>(c.media)], c.media);
  return true;
}

}  // namespace claviger
