// A live conference for tests and fuzzers: commands as JavaScript would write them, and a sender whose packets verify. The
// switch never looks into a payload, so none is encrypted here.
#pragma once
#include "harness.h"
#include "schema.h"
#include "test.h"

namespace test {

using namespace claviger;

struct CommandWriter {
  Bytes bytes;
  explicit CommandWriter(uint32_t opcode) { u8(opcode); }
  CommandWriter& u8(uint32_t v) {
    bytes.push_back(static_cast<uint8_t>(v));
    return *this;
  }
  CommandWriter& u16(uint32_t v) { return u8(v >> 8).u8(v); }
  CommandWriter& u32(uint32_t v) { return u16(v >> 16).u16(v); }
  CommandWriter& block(const Bytes& b) {
    bytes.insert(bytes.end(), b.begin(), b.end());
    return *this;
  }
  CommandWriter& address(const std::string& literal, uint16_t port) {
    u8(static_cast<uint32_t>(literal.size()));
    bytes.insert(bytes.end(), literal.begin(), literal.end());
    return u16(port);
  }
};

constexpr uint32_t CONFERENCE = 7;
inline Bytes pattern(uint32_t seed, size_t length) {
  Bytes out(length);
  for (size_t i = 0; i < length; i++) out[i] = static_cast<uint8_t>(seed * 37 + i * 11);
  return out;
}

inline Bytes openCommand(uint32_t id, Media media, int socket = -1, uint32_t conference = CONFERENCE) {
  return CommandWriter(OPCODE_openChannel).u32(id).u32(conference).u32(id).u8(static_cast<uint32_t>(media)).u8(0).u32(id)
      .u32(static_cast<uint32_t>(socket)).u8(0).u16(0).bytes;
}
inline Bytes proveCommand(uint32_t id, uint16_t port) {
  return CommandWriter(OPCODE_provePeer).u32(id).address("127.0.0.1", port).bytes;
}
inline Bytes keysCommand(uint32_t id, uint16_t profile) {
  const Bytes key = pattern(id + 100, channelKeyBytes(profile)), other = pattern(id + 200, channelKeyBytes(profile));
  const auto size = static_cast<uint32_t>(key.size());
  return CommandWriter(OPCODE_setChannelKeys).u32(id).u16(profile).u8(size).block(key).u8(size).block(other).bytes;
}
inline Bytes parametersCommand(uint32_t id, uint8_t payloadType = 96) {
  return CommandWriter(OPCODE_setParameters).u32(id).u8(7).u8(LEVEL_end_to_end).u16(0x0e).u8(1).u8(payloadType).u8(1).bytes;
}
inline Bytes setCommand(uint16_t spiWord, uint32_t conference = CONFERENCE) {
  return CommandWriter(OPCODE_installSet).u32(conference).u16(spiWord).u8(1).u8(1).u8(16).block(pattern(spiWord, 16)).u8(14)
      .block(pattern(spiWord + 1u, 14)).bytes;
}
inline Bytes ackCommand(uint32_t id, uint16_t spiWord) {
  return CommandWriter(OPCODE_setAcked).u32(id).u16(spiWord).bytes;
}
// Of suite 17.
inline Bytes fieldSetCommand(uint16_t spiWord) {
  return CommandWriter(OPCODE_installSet).u32(CONFERENCE).u16(spiWord).u8(17).u8(3).u8(16).block(pattern(spiWord, 16)).u8(14)
      .block(pattern(spiWord + 1u, 14)).bytes;
}
struct TestEdge {
  uint32_t source, receiver;
  uint8_t sink;
};
inline Bytes routesCommand(Media media, const std::vector<TestEdge>& edges, uint32_t conference = CONFERENCE) {
  CommandWriter w(OPCODE_setRoutes);
  w.u32(conference).u8(static_cast<uint32_t>(media)).u32(static_cast<uint32_t>(edges.size()));
  for (const TestEdge& e : edges) w.u32(e.source).u8(1).u32(e.receiver).u8(e.sink);
  return w.bytes;
}

// Everything that channels 1 to `count` need; in order.
inline std::vector<Bytes> worldCommands(uint32_t count, Media media, bool fields = false) {
  std::vector<Bytes> out = {CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_end_to_end).bytes};
  for (uint32_t id = 1; id <= count; id++) {
    out.push_back(openCommand(id, media));
    out.push_back(proveCommand(id, static_cast<uint16_t>(4000 + id)));
    out.push_back(keysCommand(id, id == 2 ? PROFILE_AES128_GCM : PROFILE_AES128_CM_SHA1_80));
    out.push_back(parametersCommand(id));
  }
  out.push_back(fields ? fieldSetCommand(0x1235) : setCommand(0x1235));
  std::vector<TestEdge> edges;
  for (uint32_t id = 1; id <= count; id++) {
    out.push_back(ackCommand(id, 0x1235));
    for (uint32_t to = 1; to <= count; to++) {
      if (to != id) edges.push_back({id, to, 1});
    }
  }
  out.push_back(routesCommand(media, edges));
  return out;
}

struct TestSender {
  uint32_t ssrc;
  uint16_t spiWord;
  SenderKeys keys;
  uint8_t wrapped[16];

  TestSender(uint32_t s, uint32_t seed, uint16_t spi) : ssrc(s), spiWord(spi) {
    const Bytes key = pattern(seed, 16);
    AES_KEY kek;
    AES_set_encrypt_key(pattern(spi, 16).data(), 128, &kek);
    AES_encrypt(key.data(), wrapped, &kek);
    deriveSenderKeys(key.data(), pattern(spi + 1u, 14).data(), keys);
  }

  Bytes block(uint32_t roc, uint16_t isn) const {
    CommandWriter w(0);
    w.bytes.assign(wrapped, wrapped + 16);
    return w.u32(roc).u16(isn).u16(spiWord).bytes;
  }
  Bytes rtp(uint32_t roc, uint16_t sequence, bool full, size_t payload, uint8_t trailing, uint16_t isn = 0) const {
    CommandWriter w(0x81);
    w.u8(96).u16(sequence).u32(sequence * 90u).u32(ssrc).u32(0xabcde011).block(pattern(sequence, payload)).u8(trailing);
    uint8_t base[BASE_TAG_BYTES];
    const Bytes tail = full ? block(roc, isn) : Bytes{0};
    srtpBaseTag(keys.srtp, w.bytes.data(), w.bytes.size(), full ? tail.data() : nullptr, roc, base);
    return w.block(Bytes(base, base + sizeof base)).block(tail).bytes;
  }
  Bytes rtcp(uint32_t index, bool full, uint32_t roc) const {
    CommandWriter w(0x80);
    w.u8(RTCP_SR).u16(6).u32(ssrc).block(pattern(index, 20)).u32(SRTCP_ENCRYPTED | index);
    uint8_t base[BASE_TAG_BYTES];
    const Bytes tail = full ? block(roc, 0) : Bytes{0};
    srtcpBaseTag(keys.srtcp, w.bytes.data(), w.bytes.size(), full ? tail.data() : nullptr, base);
    return w.block(Bytes(base, base + sizeof base)).block(tail).bytes;
  }
};

// RFC 3394 §2.2.1 with RFC 5649's initial value: what a sender does and the switch does not.
inline Bytes wrapPadded(const AES_KEY& kek, const Bytes& plain) {
  const size_t n = (plain.size() + 7) / 8;
  Bytes out(8 + 8 * n);
  put32(&out[0], 0xa65959a6u);
  put32(&out[4], static_cast<uint32_t>(plain.size()));
  std::copy(plain.begin(), plain.end(), out.begin() + 8);
  for (size_t t = 1; t <= 6 * n; t++) {
    uint8_t block[16];
    uint8_t* r = &out[8 + (t - 1) % n * 8];
    std::memcpy(block, &out[0], 8);
    std::memcpy(block + 8, r, 8);
    AES_encrypt(block, block, &kek);
    put32(block + 4, get32(block + 4) ^ static_cast<uint32_t>(t));
    std::memcpy(&out[0], block, 8);
    std::memcpy(r, block + 8, 8);
  }
  return out;
}

// Suite 17 (WIRE.md 6). The AEAD tag is a pattern: the switch does not look at it.
struct TestFieldSender {
  uint32_t ssrc;
  uint16_t spiWord;
  uint16_t epoch;
  Bytes key;
  AES_KEY kek;
  FieldKeys keys;

  TestFieldSender(uint32_t s, uint32_t seed, uint16_t spi, uint16_t e) : ssrc(s), spiWord(spi), epoch(e), key(pattern(seed, 16)) {
    AES_set_encrypt_key(pattern(spi, 16).data(), 128, &kek);
    deriveFieldKeys(key.data(), key.size(), pattern(spi + 1u, 14).data(), keys);
  }
  Bytes field(uint32_t roc) const {
    const Bytes plain = CommandWriter(16).block(key).u32(ssrc).u32(roc).bytes;
    CommandWriter w(0);
    w.bytes = wrapPadded(kek, plain);
    return w.u16(spiWord).u16(epoch).u16(47).u8(2).bytes;
  }
  Bytes rtp(uint32_t roc, uint16_t sequence, const Bytes& end, size_t payload, uint8_t trailing) const {
    CommandWriter w(0x81);
    w.u8(96).u16(sequence).u32(sequence * 90u).u32(ssrc).u32(0xabcde011).block(pattern(sequence, payload));
    w.block(pattern(sequence + roc + 9, AEAD_TAG_BYTES)).u8(trailing);
    uint8_t tag[TAG_BYTES];
    routeTag(keys.route, w.bytes.data(), 16, w.bytes.data() + w.bytes.size() - AEAD_TAG_BYTES - 1, AEAD_TAG_BYTES + 1, roc,
             end.data(), end.size(), tag);
    return w.block(Bytes(tag, tag + sizeof tag)).block(end).bytes;
  }
  Bytes rtcp(uint32_t index) const {
    WipeOnExit<SrtcpKeys> own;
    own.value.gcm = true;
    std::memcpy(own.value.salt, keys.rtcpSalt, sizeof keys.rtcpSalt);
    AES_set_encrypt_key(keys.rtcpKey, 128, &own.value.cipher);
    Bytes packet = CommandWriter(0x80).u8(RTCP_SR).u16(6).u32(ssrc).block(pattern(index, 20)).bytes;
    const size_t plain = packet.size();
    packet.resize(plain + srtcpOverhead(own.value));
    protectSrtcp(own.value, packet.data(), plain, index);
    return packet;
  }
};

// A compound under the keys that the peer of channel `id` would use.
inline Bytes protectedControl(uint32_t id, uint16_t profile, Bytes packet, uint32_t index) {
  SrtcpKeys keys{};
  deriveSrtcpKeys(profile, pattern(id + 200, channelKeyBytes(profile)).data(), keys);
  const size_t plain = packet.size();
  packet.resize(plain + srtcpOverhead(keys));
  protectSrtcp(keys, packet.data(), plain, index);
  return packet;
}
// RR and PLI.
inline Bytes controlPacket(uint32_t id, uint16_t profile, uint32_t ssrc, uint32_t index) {
  return protectedControl(
      id, profile,
      CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(ssrc).block({0x81, RTCP_PSFB, 0, 2}).u32(ssrc).u32(5).bytes, index);
}
struct NackEntry {
  uint16_t pid, blp;
};
// RR and generic NACK, in clear.
inline Bytes nackCompound(uint32_t media, const std::vector<NackEntry>& entries) {
  CommandWriter w(0x80);
  w.u8(RTCP_RR).u16(1).u32(0x100).u8(0x81).u8(RTCP_RTPFB).u16(static_cast<uint32_t>(2 + entries.size()));
  w.u32(0x100).u32(media);
  for (const NackEntry& e : entries) w.u16(e.pid).u16(e.blp);
  return w.bytes;
}

}  // namespace test
