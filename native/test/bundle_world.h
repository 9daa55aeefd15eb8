// Bundles for tests (RFC 9143): commands, and an endpoint whose m-lines share one socket and one pair of keys.
#pragma once
#include "hop_world.h"

namespace test {

constexpr uint8_t AUDIO_TYPE = 111, VIDEO_TYPE = 96, MID_ID = 4;

inline Bytes openMemberCommand(uint32_t id, Media media, uint32_t member) {
  Bytes command = openCommand(id, media);
  put32(&command[9], member);
  return command;
}
inline Bytes openBundledCommand(uint32_t id, Media media, uint32_t leader, uint32_t member) {
  return CommandWriter(OPCODE_openChannel).u32(id).u32(CONFERENCE).u32(member).u8(static_cast<uint32_t>(media))
      .u8(TRANSPORT_bundled).u32(id).u32(0xffffffff).u8(0).u16(0).u32(leader).bytes;
}
// With the name that the m-line has in the bundle; empty: none was agreed on.
inline Bytes bundledParametersCommand(uint32_t id, uint8_t payloadType, const std::string& mid, uint8_t video = VIDEO_CODEC_other) {
  HopParameters p;
  p.payloadType = payloadType;
  p.video = video;
  CommandWriter w(0);
  w.bytes = hopParametersCommand(id, p);
  if (mid.empty()) return w.bytes;
  return w.u8(MID_ID).u8(static_cast<uint32_t>(mid.size())).block(Bytes(mid.begin(), mid.end())).bytes;
}
inline Bytes closeChannelCommand(uint32_t id) { return CommandWriter(OPCODE_closeChannel).u32(id).bytes; }

// The endpoint's packets: any SSRC, payload type and header extension.
struct BundlePeer : HopPeer {
  BundlePeer(uint32_t leader, uint16_t profile) : HopPeer(leader, 0, profile) {}

  static Bytes oneByte(const std::string& mid) {
    CommandWriter w(0xbe);
    w.u8(0xde).u16(static_cast<uint32_t>((mid.size() + 1 + 3) / 4));
    w.u8(static_cast<uint32_t>(MID_ID << 4 | (mid.size() - 1))).block(Bytes(mid.begin(), mid.end()));
    while (w.bytes.size() % 4 != 0) w.u8(0);
    return w.bytes;
  }
  static Bytes twoBytes(const std::string& mid) {
    CommandWriter w(0x10);
    w.u8(0).u16(static_cast<uint32_t>((mid.size() + 2 + 3) / 4)).u8(MID_ID).u8(static_cast<uint32_t>(mid.size()));
    w.block(Bytes(mid.begin(), mid.end()));
    while (w.bytes.size() % 4 != 0) w.u8(0);
    return w.bytes;
  }
  Bytes packet(uint32_t from, uint8_t type, uint64_t index, const Bytes& payload, const Bytes& extension = {}) const {
    CommandWriter w(extension.empty() ? 0x80 : 0x90);
    w.u8(type).u16(static_cast<uint32_t>(index & 0xffff)).u32(static_cast<uint32_t>(index * 3000)).u32(from).block(extension);
    const size_t head = w.bytes.size();
    Bytes out = w.bytes;
    out.resize(head + payload.size() + 16);
    out.resize(protectSrtp(sending, out.data(), head, from, payload.data(), payload.size(), index));
    return out;
  }
};

// Member 1: audio on channel 1, the leader, and video on channel 2, bundled. Member 3: the same on channels of their own, 3
// and 4. Everybody is routed to everybody of its media kind.
struct BundleRoom {
  Harness h;
  const uint16_t profile;

  explicit BundleRoom(uint16_t p = PROFILE_AES128_CM_SHA1_80, bool named = true) : profile(p) {
    CHECK(apply(levelCommand(LEVEL_hop_by_hop)));
    CHECK(apply(openMemberCommand(1, Media::audio, 1)));
    CHECK(apply(openBundledCommand(2, Media::video, 1, 1)));
    CHECK(apply(openMemberCommand(3, Media::audio, 3)));
    CHECK(apply(openMemberCommand(4, Media::video, 3)));
    for (const uint32_t id : {1u, 3u, 4u}) {
      CHECK(apply(proveCommand(id, static_cast<uint16_t>(4000 + id))));
      CHECK(apply(hopKeysCommand(id, profile)));
    }
    CHECK(apply(bundledParametersCommand(1, AUDIO_TYPE, named ? "0" : "")));
    CHECK(apply(bundledParametersCommand(2, VIDEO_TYPE, named ? "video" : "")));
    CHECK(apply(bundledParametersCommand(3, AUDIO_TYPE, "")));
    CHECK(apply(bundledParametersCommand(4, VIDEO_TYPE, "")));
    route();
    h.core().events().clear();
  }
  void route() {
    CHECK(apply(routesCommand(Media::audio, {{1, 3, 1}, {3, 1, 1}})));
    CHECK(apply(routesCommand(Media::video, {{2, 4, 1}, {4, 2, 1}})));
  }
  bool apply(const Bytes& command) { return h.apply(command.data(), command.size(), 1); }
  Channel& channel(uint32_t id) { return *h.core().channel(id); }
  Drop feed(uint32_t id, const Bytes& packet, uint64_t now = MS, const Address* from = nullptr) {
    return h.feed(channel(id), packet.data(), packet.size(), now, from);
  }
  uint32_t seedOf(uint32_t id) const { return HOP_SEED + (id << 16); }
};

}  // namespace test
