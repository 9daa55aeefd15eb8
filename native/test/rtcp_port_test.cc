// Channels whose peer has a port for RTCP alone.
#include "hop_world.h"
#include "peers.h"

using namespace test;

namespace {

constexpr uint32_t LISTENER = 1, SENDER = 2;
constexpr uint16_t RTP_PORT = 4001, PEERS_RTCP_PORT = 4101;

Bytes rtcpPortCommand(uint32_t id, int socket, uint16_t port) {
  CommandWriter w(OPCODE_setRtcpPort);
  w.u32(id).u32(static_cast<uint32_t>(socket));
  return port == 0 ? w.u8(0).u16(0).bytes : w.address("127.0.0.1", port).bytes;
}

Bytes receiverReport(uint32_t ssrc) { return CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(ssrc).bytes; }

// Two plain channels or two with keys of signalling; the first one has RTCP apart.
struct World {
  Harness h;
  uint64_t now = NS_PER_S;
  explicit World(uint32_t transport) {
    const bool plain = transport == TRANSPORT_plain;
    CHECK(does(levelCommand(plain ? LEVEL_none : LEVEL_hop_by_hop)));
    for (const uint32_t id : {LISTENER, SENDER}) {
      CHECK(does(openWithPeer(id, Media::audio, transport, static_cast<uint16_t>(4000 + id))));
      if (!plain) CHECK(does(hopKeysCommand(id, PROFILE_AES128_CM_SHA1_80)));
      HopParameters p;
      p.level = plain ? LEVEL_none : LEVEL_hop_by_hop;
      CHECK(does(hopParametersCommand(id, p)));
    }
    CHECK(does(routesCommand(Media::audio, {{SENDER, LISTENER, 1}, {LISTENER, SENDER, 1}})));
    CHECK(does(rtcpPortCommand(LISTENER, 5, PEERS_RTCP_PORT)));
  }
  bool does(const Bytes& command) { return h.apply(command.data(), command.size(), now); }
  Channel& channel(uint32_t id) { return *h.core().channel(id); }
  // By the port for RTCP, or else by the channel's own.
  Drop feed(const Bytes& bytes, bool apart, uint16_t from) {
    const Address a = loopback(from);
    Channel& c = channel(LISTENER);
    if (!apart) return h.feed(c, bytes.data(), bytes.size(), now, &a);
    const std::vector<uint64_t> before = drops();
    Variant& v = *h.core().variants().take();
    v.length = static_cast<uint16_t>(bytes.size());
    std::memcpy(v.bytes, bytes.data(), bytes.size());
    h.core().arrived(*c.rtcpPort, v, a, now);
    h.core().flush();
    h.core().variants().release(v);
    const std::vector<uint64_t> after = drops();
    for (uint32_t i = 0; i < DROP_COUNT; i++) {
      if (after[i] != before[i]) return static_cast<Drop>(i);
    }
    return Drop::none;
  }
  std::vector<uint64_t> drops() {
    const uint64_t* words = channel(LISTENER).words + CHANNEL_COUNTER_drops;
    return {words, words + DROP_COUNT};
  }
};

}  // namespace

TEST("rtcp port", "RTCP leaves by its own port and RTP by its own, in clear and with keys") {
  for (const uint32_t transport : {TRANSPORT_plain, TRANSPORT_sdes}) {
    World w(transport);
    const HopPeer sender(SENDER, 0x77000001, PROFILE_AES128_CM_SHA1_80);
    for (uint16_t i = 1; i <= 3; i++) {
      const Bytes packet = transport == TRANSPORT_plain ? HopPeer::plain(sender.ssrc, i, pattern(i, 40), i * 160u)
                                                        : sender.rtp(i, pattern(i, 40), i * 160u);
      CHECK(w.h.feed(w.channel(SENDER), packet.data(), packet.size(), w.now) == Drop::none);
    }
    for (int second = 0; second < 12; second++) {
      w.now += NS_PER_S;
      w.h.core().tick(w.now, uint64_t{1} << 60);
    }
    const Bytes report = receiverReport(0xabcdef00);
    CHECK(w.does(CommandWriter(OPCODE_sendControl).u32(LISTENER).u16(static_cast<uint32_t>(report.size())).block(report).bytes));
    size_t media = 0, senderReports = 0, receiverReports = 0;
    for (const Sent1& sent : takeSent(w.h)) {
      const bool rtcp = protocolOf(sent.bytes.data(), sent.bytes.size()) == Protocol::rtcp;
      if ((sent.receiver & ~Harness::RTCP_PORT) != LISTENER) continue;
      CHECK(rtcp == ((sent.receiver & Harness::RTCP_PORT) != 0));
      media += rtcp ? 0 : 1;
      senderReports += rtcp && sent.bytes[1] == RTCP_SR ? 1 : 0;
      receiverReports += rtcp && sent.bytes[1] == RTCP_RR ? 1 : 0;
    }
    CHECK(media == 3);
    CHECK(senderReports >= 1);
    CHECK(receiverReports == 1);
  }
}

TEST("rtcp port", "a source's sender report goes on by it, where receivers are given the sources' own streams") {
  World w(TRANSPORT_plain);
  for (const uint32_t id : {LISTENER, SENDER}) {
    HopParameters p;
    p.level = LEVEL_none;
    p.seed = 0;
    CHECK(w.does(hopParametersCommand(id, p)));
  }
  const uint32_t ssrc = 0x77000001;
  const Bytes packet = HopPeer::plain(ssrc, 1, pattern(1, 40), 160);
  CHECK(w.h.feed(w.channel(SENDER), packet.data(), packet.size(), w.now) == Drop::none);
  const Bytes report = CommandWriter(0x80).u8(RTCP_SR).u16(6).u32(ssrc).block(pattern(2, 20)).bytes;
  CHECK(w.h.feed(w.channel(SENDER), report.data(), report.size(), w.now) == Drop::none);
  const std::vector<Sent1> sent = takeSent(w.h);
  CHECK(sent.size() == 2);
  CHECK(sent[0].receiver == LISTENER && sent[1].receiver == (LISTENER | Harness::RTCP_PORT));
  CHECK(sent[1].bytes == report);
}

TEST("rtcp port", "attack: RTCP from elsewhere, on the port of RTP, and RTP on that of RTCP are not taken") {
  World w(TRANSPORT_plain);
  const Bytes rr = receiverReport(0x1234), rtp = HopPeer::plain(0x1234, 1, pattern(1, 40), 160);
  CHECK(w.feed(rr, true, PEERS_RTCP_PORT) == Drop::none);
  CHECK(w.feed(rr, true, RTP_PORT) == Drop::unknown_source);
  CHECK(w.feed(rr, true, 4999) == Drop::unknown_source);
  CHECK(w.feed(rr, false, RTP_PORT) == Drop::unknown_protocol);
  CHECK(w.feed(rtp, true, PEERS_RTCP_PORT) == Drop::unknown_protocol);
  CHECK(w.feed(rtp, false, PEERS_RTCP_PORT) == Drop::unknown_source);
  CHECK(w.feed(rtp, false, RTP_PORT) == Drop::none);
}

TEST("rtcp port", "with keys, the first report that verifies says where the peer is, and one that does not says nothing") {
  World w(TRANSPORT_sdes);
  const auto sealed = [](uint32_t index) {
    SrtcpKeys keys;
    deriveSrtcpKeys(PROFILE_AES128_CM_SHA1_80, pattern(LISTENER + 200, 30).data(), keys);
    Bytes packet = receiverReport(0x1234);
    const size_t plain = packet.size();
    packet.resize(plain + 64);
    packet.resize(protectSrtcp(keys, packet.data(), plain, index));
    return packet;
  };
  Bytes forged = sealed(1);
  forged.back() ^= 1;
  CHECK(w.feed(forged, true, 4999) == Drop::auth_failed);
  CHECK(w.channel(LISTENER).rtcpPort->peer.port == PEERS_RTCP_PORT);
  CHECK(w.feed(sealed(2), true, 4888) == Drop::none);
  CHECK(w.channel(LISTENER).rtcpPort->peer.port == 4888);
  CHECK(w.feed(sealed(3), true, PEERS_RTCP_PORT) == Drop::unknown_source);
  CHECK(w.feed(sealed(3), true, 4888) == Drop::none);
  CHECK(w.channel(LISTENER).peer.port == RTP_PORT);
}

TEST("rtcp port", "it moves, closes, and is refused where it makes no sense") {
  World w(TRANSPORT_plain);
  CHECK(!w.does(rtcpPortCommand(LISTENER, 6, PEERS_RTCP_PORT)));  // it has one
  CHECK(w.does(rtcpPortCommand(LISTENER, -1, 4200)));
  CHECK(w.feed(receiverReport(0x1234), true, PEERS_RTCP_PORT) == Drop::unknown_source);
  CHECK(w.feed(receiverReport(0x1234), true, 4200) == Drop::none);
  CHECK(w.does(rtcpPortCommand(LISTENER, -1, 0)));
  CHECK(w.feed(receiverReport(0x1234), false, RTP_PORT) == Drop::none);
  CHECK(!w.does(rtcpPortCommand(LISTENER, -1, 4200)));  // none is there
  CHECK(!w.does(rtcpPortCommand(SENDER, 6, 0)));
  CHECK(!w.does(rtcpPortCommand(99, 6, 4200)));
  CHECK(w.does(openCommand(3, Media::audio)));
  CHECK(!w.does(rtcpPortCommand(3, 6, 4200)));  // RFC 5763 §5: DTLS has it on the port of RTP
  CHECK(w.does(CommandWriter(OPCODE_closeChannel).u32(LISTENER).bytes));
}

TEST("rtcp port", "a pair begins at an even port, and skips one whose neighbour is taken") {
  const Address at = loopback(0);
  uint16_t port = 0, taken = 0;
  int above = -1;
  const int first = bindPair(at, AF_INET, 20001, 21999, port, above);
  CHECK(first >= 0 && above >= 0 && port % 2 == 0);
  ::close(first);
  const int second = bindPair(at, AF_INET, port, static_cast<uint16_t>(port + 1), taken, above);
  CHECK(second == -1);  // its neighbour is ours still
  ::close(above);
}
