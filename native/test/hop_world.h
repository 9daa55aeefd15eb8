// Channels whose payloads end at the switch, for tests: commands, peers that protect and unprotect.
#pragma once
#include "test.h"
#include "world.h"

namespace test {

constexpr uint32_t HOP_SEED = 0x5eed0000;

inline Bytes hopKeysCommand(uint32_t id, uint16_t profile) {
  Bytes command = keysCommand(id, profile);
  command.push_back(1);
  return command;
}

struct HopParameters {
  uint8_t level = LEVEL_hop_by_hop;
  uint8_t flags = PARAMETER_ready;
  uint8_t payloadType = 96;
  uint8_t video = VIDEO_CODEC_other;
  uint8_t audioLevelId = 0;
  uint32_t seed = HOP_SEED;
};
inline Bytes hopParametersCommand(uint32_t id, const HopParameters& p = HopParameters()) {
  return CommandWriter(OPCODE_setParameters).u32(id).u8(p.flags).u8(p.level).u16(0x0e).u8(1).u8(p.payloadType).u8(1).u32(8000)
      .u8(p.video).u8(p.audioLevelId).u32(p.seed == 0 ? 0 : p.seed + (id << 16)).bytes;
}
inline Bytes openWithPeer(uint32_t id, Media media, uint32_t transport, uint16_t port) {
  return CommandWriter(OPCODE_openChannel).u32(id).u32(CONFERENCE).u32(id).u8(static_cast<uint32_t>(media)).u8(transport)
      .u32(id).u32(0xffffffff).address("127.0.0.1", port).bytes;
}
inline Bytes levelCommand(uint32_t level) {
  return CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(level).bytes;
}

// The other end of a hop-by-hop channel.
struct HopPeer {
  uint32_t id;
  uint32_t ssrc;
  SrtpKeys sending, receiving;
  SrtcpKeys receivingRtcp;
  HopPeer(uint32_t i, uint32_t s, uint16_t profile) : id(i), ssrc(s) {
    deriveSrtpKeys(profile, pattern(i + 200, channelKeyBytes(profile)).data(), sending);
    deriveSrtpKeys(profile, pattern(i + 100, channelKeyBytes(profile)).data(), receiving);
    deriveSrtcpKeys(profile, pattern(i + 100, channelKeyBytes(profile)).data(), receivingRtcp);
  }
  static Bytes plain(uint32_t from, uint16_t sequence, const Bytes& payload, uint32_t timestamp, uint8_t payloadType = 96) {
    return CommandWriter(0x80).u8(payloadType).u16(sequence).u32(timestamp).u32(from).block(payload).bytes;
  }
  Bytes rtp(uint64_t index, const Bytes& payload, uint32_t timestamp, uint8_t payloadType = 96) const {
    Bytes packet = plain(ssrc, static_cast<uint16_t>(index), payload, timestamp, payloadType);
    packet.resize(12 + payload.size() + 16);
    packet.resize(protectSrtp(sending, packet.data(), 12, ssrc, payload.data(), payload.size(), index));
    return packet;
  }
  // The payload; empty when it does not verify.
  Bytes open(Bytes packet, uint64_t index, RtpView& rtp) const {
    if (!parseRtp(packet.data(), packet.size(), rtp)) return {};
    const size_t end = unprotectSrtp(receiving, rtp, packet.data(), packet.size(), index);
    return end == 0 ? Bytes() : Bytes(packet.begin() + static_cast<std::ptrdiff_t>(rtp.headerLength), packet.begin() + static_cast<std::ptrdiff_t>(end));
  }
};

struct Sent1 {
  uint32_t receiver;
  Bytes bytes;
};
inline std::vector<Sent1> takeSent(Harness& h) {
  std::vector<Sent1> out;
  const Bytes all = h.takeOutputs();
  for (size_t at = 0; at < all.size();) {
    const size_t length = get16(&all[at + 4]);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at + 6);
    out.push_back({get32(&all[at]), Bytes(begin, begin + static_cast<std::ptrdiff_t>(length))});
    at += 6 + length;
  }
  return out;
}

constexpr uint64_t MS = 1'000'000;

// Channels 1 to 3, all hop-by-hop, everybody routed to everybody.
struct HopRoom {
  Harness h;
  Media media;
  explicit HopRoom(Media m, const HopParameters& p = HopParameters(), uint16_t profile = PROFILE_AES128_CM_SHA1_80) : media(m) {
    CHECK(apply(levelCommand(LEVEL_hop_by_hop)));
    for (uint32_t id = 1; id <= 3; id++) {
      CHECK(apply(openCommand(id, m)));
      CHECK(apply(proveCommand(id, static_cast<uint16_t>(4000 + id))));
      CHECK(apply(hopKeysCommand(id, profile)));
      CHECK(apply(hopParametersCommand(id, p)));
    }
  }
  bool apply(const Bytes& command) { return h.apply(command.data(), command.size(), 1); }
  Drop feed(uint32_t id, const Bytes& packet, uint64_t now = MS) {
    return h.feed(*h.core().channel(id), packet.data(), packet.size(), now);
  }
};

}  // namespace test
