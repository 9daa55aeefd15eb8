// Channels whose payloads end at the switch, fed by whoever reaches their sockets and by members who write what they like
// into what they encrypt: SRTP and SRTCP, payloads of every codec, and the streams of the switch's own that come of them.
#include <map>
#include <memory>

#include "fuzz.h"
#include "hop_world.h"

using namespace test;

namespace fuzz {
namespace {

constexpr uint32_t MEMBERS = 3;
constexpr uint16_t PROFILES[] = {PROFILE_AES128_CM_SHA1_80, PROFILE_AES256_CM_SHA1_80, PROFILE_AES128_GCM, PROFILE_AES256_GCM};
constexpr uint8_t CODECS[] = {VIDEO_CODEC_other, VIDEO_CODEC_h264, VIDEO_CODEC_h265, VIDEO_CODEC_vp8, VIDEO_CODEC_vp9, VIDEO_CODEC_av1};

// A payload of each codec that begins a key frame.
const std::vector<Bytes>& keyFrames() {
  static const std::vector<Bytes> all = {
      {0x78, 0, 4, 0x67, 0x42, 0, 1, 0, 2, 0x68, 0xce}, {0x7c, 0x85, 0},        {0x65, 0x88, 0x84},
      {0x60, 1, 0, 2, 0x40, 1, 0, 2, 0x26, 1},          {0x62, 1, 0x93},        {0x90, 0x80, 5, 0},
      {0x90, 0xe0, 0x80, 5, 1, 2, 0},                   {0x88, 0x81, 1, 2, 3},  {0xba, 1, 2, 3, 4, 5, 6, 7, 8, 9},
      {0x18, 0x0a, 0x0b, 0, 0, 0},                      {0x28, 2, 0x0a, 1, 5, 0x32, 0},
  };
  return all;
}

Bytes payload(Random& random) {
  Bytes out = keyFrames()[random.below(keyFrames().size())];
  const Bytes tail = random.bytes(random.below(random.below(20) == 0 ? 1100 : 60));
  out.insert(out.end(), tail.begin(), tail.end());
  if (random.below(3) == 0) mutate(random, out, keyFrames()[random.below(keyFrames().size())]);
  return out;
}

// What each member has been sent, under the index that it takes each packet to have.
struct Received {
  std::map<uint32_t, uint64_t> highest;
  std::map<std::pair<uint32_t, uint64_t>, Bytes> packets;
};

struct Room {
  Harness h;
  uint16_t profile;
  std::vector<HopPeer> peers;
  uint64_t index[MEMBERS + 1], rtcpIndex = 0, hash = 0, now = NS_PER_S;
  Received received[MEMBERS + 1];

  Room(Random& random, Media media) : profile(PROFILES[random.below(4)]) {
    apply(levelCommand(LEVEL_hop_by_hop));
    HopParameters p;
    p.video = media == Media::video ? CODECS[random.below(6)] : static_cast<uint8_t>(VIDEO_CODEC_other);
    p.audioLevelId = media == Media::audio ? 1 : 0;
    std::vector<TestEdge> edges;
    for (uint32_t id = 1; id <= MEMBERS; id++) {
      apply(openCommand(id, media));
      apply(proveCommand(id, static_cast<uint16_t>(4000 + id)));
      apply(hopKeysCommand(id, profile));
      apply(hopParametersCommand(id, p));
      peers.emplace_back(id, 0xaaaa0001u + id * 0x100, profile);
      index[id] = 0xff00 + random.below(0x100);
    }
    for (uint32_t id = 1; id <= MEMBERS; id++) edges.push_back({id, id % MEMBERS + 1, 1});
    apply(routesCommand(media, edges));
    settle();
  }
  void apply(const Bytes& command) {
    if (!h.apply(command.data(), command.size(), now)) broken("a valid command was refused", command);
  }
  void settle() {
    h.core().events().clear();
    h.clearOutputs();
    hash = h.core().stateHash();
  }
  Drop feed(uint32_t id, const Bytes& packet) {
    // In memory of its exact size, so that a byte read behind it is noticed.
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[packet.size()]);
    std::copy(packet.begin(), packet.end(), exact.get());
    return h.feed(*h.core().channel(id), exact.get(), packet.size(), now);
  }
  void refused(uint32_t id, const Bytes& packet) {
    if (feed(id, packet) == Drop::none) broken("a changed packet was accepted", packet);
    if (h.core().stateHash() != hash) broken("a refused packet changed the state", packet);
  }

  // All that left is for its receiver: it verifies, RTCP is well formed, and no index has two payloads.
  void judgeOutputs() {
    for (const Sent1& sent : takeSent(h)) {
      const HopPeer& to = peers[sent.receiver - 1];
      if (protocolOf(sent.bytes.data(), sent.bytes.size()) == Protocol::rtcp) {
        Bytes plain = sent.bytes;
        const size_t length = unprotectSrtcp(to.receivingRtcp, plain.data(), plain.size());
        uint32_t types = 0;
        if (length == 0 || !checkCompound(plain.data(), length, types)) broken("our own RTCP is none", sent.bytes);
        continue;
      }
      RtpView rtp;
      if (!parseRtp(sent.bytes.data(), sent.bytes.size(), rtp)) broken("what left is no RTP", sent.bytes);
      Received& known = received[sent.receiver];
      const auto first = known.highest.find(rtp.ssrc);
      const int64_t roc = first == known.highest.end() ? 0 : estimateRoc(first->second, rtp.sequence);
      const uint64_t at = indexOf(static_cast<uint32_t>(roc), rtp.sequence);
      if (roc < 0 || (to.open(sent.bytes, at, rtp).empty() && rtp.headerLength + to.receiving.tagBytes < sent.bytes.size()))
        broken("what left does not verify for its receiver", sent.bytes);
      const auto kept = known.packets.emplace(std::make_pair(rtp.ssrc, at), sent.bytes);
      if (!kept.second && kept.first->second != sent.bytes) broken("two packets under one index", sent.bytes);
      known.highest[rtp.ssrc] = first == known.highest.end() ? at : std::max(first->second, at);
    }
    settle();
  }
};

Bytes compound(Random& random, const Room& room, uint32_t id) {
  const HopPeer& own = room.peers[id - 1];
  const auto& sent = room.received[id].highest;
  const uint32_t ours = sent.empty() || random.below(4) == 0 ? static_cast<uint32_t>(random.next()) : sent.begin()->first;
  const uint16_t last = sent.empty() ? uint16_t{0} : static_cast<uint16_t>(sent.begin()->second);
  switch (random.below(4)) {
    case 0: return nackCompound(ours, {{static_cast<uint16_t>(last - random.below(40)), static_cast<uint16_t>(random.next())}});
    case 1:
      return CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(own.ssrc).block({0x81, RTCP_PSFB, 0, 2}).u32(own.ssrc).u32(ours).bytes;
    case 2:
      return CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(own.ssrc).block({0x84, RTCP_PSFB, 0, 4}).u32(own.ssrc).u32(0).u32(ours)
          .u32(static_cast<uint32_t>(random.next())).bytes;
    default:
      return CommandWriter(0x80).u8(RTCP_SR).u16(6).u32(own.ssrc).block(random.bytes(20)).block({0x81, RTCP_SDES, 0, 3}).u32(own.ssrc)
          .block({1, 2, 'a', 'b', 0, 0, 0, 0}).bytes;
  }
}

// Strangers change what is on its way; members encrypt what they like.
void roomTarget(Random& random, uint64_t until, Counts& counts) {
  while (counts.mutated < until) {
    Room room(random, random.below(4) == 0 ? Media::audio : Media::video);
    Bytes other = random.bytes(60);
    for (int round = 0; round < 200; round++) {
      const auto id = static_cast<uint32_t>(1 + random.below(MEMBERS));
      room.now += NS_PER_MS * (1 + random.below(30));
      Bytes valid;
      if (random.below(3) == 0) {
        Bytes said = compound(random, room, id);
        if (random.below(2) == 0) mutate(random, said, other);
        if (protocolOf(said.data(), said.size()) != Protocol::rtcp || said.size() < RTCP_HEADER_BYTES) continue;
        valid = protectedControl(id, room.profile, said, static_cast<uint32_t>(++room.rtcpIndex));
        counts.mutated++;
      } else {
        uint64_t& index = room.index[id];
        index += random.below(20) == 0 ? 3 : 1;
        valid = room.peers[id - 1].rtp(index, payload(random), static_cast<uint32_t>(index * 3000));
      }
      for (int i = 0; i < 6; i++, counts.mutated++) {
        Bytes bad = valid;
        mutate(random, bad, other);
        if (bad != valid && bad != other && protocolOf(bad.data(), bad.size()) != Protocol::dtls) room.refused(id, bad);
      }
      if (room.feed(id, valid) == Drop::none) counts.accepted++;
      room.judgeOutputs();
      if (room.feed(id, valid) == Drop::none) broken("a packet was accepted twice", valid);
      room.h.core().tick(room.now, room.now);
      room.judgeOutputs();
      other = valid;
    }
  }
}

// Whatever a payload says of its own lengths.
void payloadTarget(Random& random, uint64_t until, Counts& counts) {
  ParameterSets sets;
  for (; counts.mutated < until; counts.mutated++) {
    Bytes bad = random.below(8) == 0 ? random.bytes(random.below(64)) : payload(random);
    mutate(random, bad, keyFrames()[random.below(keyFrames().size())]);
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[bad.size()]);
    std::copy(bad.begin(), bad.end(), exact.get());
    for (const uint8_t codec : CODECS) counts.accepted += startsKeyFrame(static_cast<VideoCodec>(codec), exact.get(), bad.size());
    sets.learn(exact.get(), bad.size());
    uint8_t out[ParameterSets::MAX_PAYLOAD_BYTES];
    if (sets.complete() && sets.write(out) > sizeof out) broken("parameter sets are longer than they may be", bad);
    // An extension of that many words in front of it (RFC 8285).
    Bytes packet = {0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, static_cast<uint8_t>(random.below(4))};
    packet.insert(packet.end(), bad.begin(), bad.end());
    RtpView rtp;
    if (!parseRtp(packet.data(), packet.size(), rtp)) continue;
    const int energy = audioEnergy(packet.data(), rtp, static_cast<uint8_t>(1 + random.below(14)));
    if (energy < -1 || energy > 100) broken("an energy out of its range", packet);
  }
}

// Sources take turns in any order, late, doubled and far ahead: an index is given once.
void continuousTarget(Random& random, uint64_t until, Counts& counts) {
  while (counts.mutated < until) {
    ContinuousStream stream;
    stream.start(1, static_cast<uint16_t>(random.next()), static_cast<uint32_t>(random.next()), 90'000);
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> given;
    uint64_t next[4] = {random.below(1000), random.next() & SRTP_MAX_INDEX, 0xffff, SRTP_MAX_INDEX - random.below(300)};
    uint64_t now = 0;
    for (int i = 0; i < 600; i++, counts.mutated++) {
      const size_t source = random.below(4);
      uint64_t& at = next[source];
      at = random.below(6) == 0 ? at - random.below(at < 70 ? at + 1 : 70) : at + random.below(random.below(40) == 0 ? 70000 : 3);
      at = at > SRTP_MAX_INDEX ? SRTP_MAX_INDEX : at;
      now += random.below(NS_PER_S);
      const Bytes context = {static_cast<uint8_t>(source), static_cast<uint8_t>(i)};
      if (random.below(3) == 0 || !given.size()) stream.give(source + 1, at, static_cast<uint32_t>(random.next()), now);
      Placed placed{};
      const bool inserted = random.below(15) == 0;
      const Drop drop = inserted ? stream.insert(static_cast<uint32_t>(at), placed)
                                 : stream.place(at, static_cast<uint32_t>(random.next()), now, placed);
      if (drop != Drop::none) continue;
      counts.accepted++;
      if (placed.index > SRTP_MAX_INDEX) broken("an index beyond the last", context);
      if (!given.emplace(placed.index, std::make_pair(source, at)).second) broken("an index was given twice", context);
      uint64_t back = 0;
      if (!inserted && stream.sent(static_cast<uint16_t>(placed.index), back) && stream.again(back, 0).index != placed.index)
        broken("a packet's second place is not its first", context);
    }
  }
}

}  // namespace

void hopTargets(Random& random, uint64_t runs, Counts& counts) {
  const uint64_t from = counts.mutated;
  roomTarget(random, from + runs * 5 / 10, counts);
  payloadTarget(random, from + runs * 8 / 10, counts);
  continuousTarget(random, from + runs, counts);
}

}  // namespace fuzz
