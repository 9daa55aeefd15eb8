// The latch window of plain RTP, and that nothing else latches without a proof.
#include "hop_world.h"
#include "peers.h"

using namespace test;

namespace {

constexpr uint32_t CALLER = 1;
constexpr uint16_t SIGNALLED_PORT = 4001, NAT_PORT = 4777, THIRD_PORT = 4888;
constexpr uint64_t WINDOW_MS = 3000;

Address at(const char* ip, uint16_t port) {
  Address a;
  parseAddress(ip, port, a);
  return a;
}

Bytes latchCommand(uint32_t id, const char* from) {
  CommandWriter w(OPCODE_setLatch);
  w.u32(id).u32(WINDOW_MS);
  return from == nullptr ? w.u8(0).u16(0).bytes : w.address(from, 1).bytes;
}

struct World {
  Harness h;
  uint64_t now = NS_PER_S;
  uint16_t sequence = 0;
  explicit World(uint32_t transport = TRANSPORT_plain) {
    const bool plain = transport == TRANSPORT_plain;
    CHECK(does(levelCommand(plain ? LEVEL_none : LEVEL_hop_by_hop)));
    CHECK(does(openWithPeer(CALLER, Media::audio, transport, SIGNALLED_PORT)));
    if (!plain) CHECK(does(hopKeysCommand(CALLER, PROFILE_AES128_CM_SHA1_80)));
    HopParameters p;
    p.level = plain ? LEVEL_none : LEVEL_hop_by_hop;
    CHECK(does(hopParametersCommand(CALLER, p)));
  }
  bool does(const Bytes& command) { return h.apply(command.data(), command.size(), now); }
  Channel& channel() { return *h.core().channel(CALLER); }
  Drop from(const Address& a, const Bytes& bytes) { return h.feed(channel(), bytes.data(), bytes.size(), now, &a); }
  Drop rtp(const Address& a, uint8_t payloadType = 96) {
    sequence++;
    return from(a, HopPeer::plain(0x1234, sequence, pattern(sequence, 40), sequence * 160u, payloadType));
  }
  uint16_t peer() { return channel().peer.port; }
};

const Bytes REPORT = CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(0x1234).bytes;

}  // namespace

TEST("latch", "the first source within the window is the peer, from then on the only one") {
  World w;
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::unknown_source);  // off: nothing but the SDP counts
  CHECK(w.does(latchCommand(CALLER, "127.0.0.1")));
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::none);
  CHECK(w.peer() == NAT_PORT);
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::none);
}

TEST("latch", "attack: a second source within the window moves nothing, nor does the SDP's own address then") {
  World w;
  CHECK(w.does(latchCommand(CALLER, nullptr)));
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::none);
  CHECK(w.rtp(loopback(THIRD_PORT)) == Drop::unknown_source);
  CHECK(w.rtp(at("192.0.2.9", NAT_PORT)) == Drop::unknown_source);
  CHECK(w.rtp(loopback(SIGNALLED_PORT)) == Drop::unknown_source);
  CHECK(w.peer() == NAT_PORT);
}

TEST("latch", "attack: where the SDP was right its first packet ends the window") {
  World w;
  CHECK(w.does(latchCommand(CALLER, nullptr)));
  CHECK(w.rtp(loopback(SIGNALLED_PORT)) == Drop::none);
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::unknown_source);
  CHECK(w.peer() == SIGNALLED_PORT);
}

TEST("latch", "attack: a late packet after the window moves nothing, and the SDP's address is heard still") {
  World w;
  CHECK(w.does(latchCommand(CALLER, nullptr)));
  w.now += WINDOW_MS * NS_PER_MS;
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::unknown_source);
  CHECK(w.peer() == SIGNALLED_PORT);
  CHECK(w.rtp(loopback(SIGNALLED_PORT)) == Drop::none);
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::unknown_source);
}

TEST("latch", "attack: another host than signalling's, RTCP, junk and what was not agreed on move nothing") {
  World w;
  CHECK(w.does(latchCommand(CALLER, "192.0.2.1")));
  const uint64_t before = w.h.core().stateHash();
  CHECK(w.rtp(at("198.51.100.1", NAT_PORT)) == Drop::unknown_source);
  CHECK(w.from(loopback(NAT_PORT), REPORT) == Drop::unknown_source);
  CHECK(w.from(loopback(NAT_PORT), Bytes{0x80, 96}) != Drop::none);
  CHECK(w.rtp(loopback(NAT_PORT), 97) == Drop::unknown_source);
  CHECK(w.h.core().stateHash() == before);
  CHECK(w.peer() == SIGNALLED_PORT);
  CHECK(w.rtp(at("192.0.2.1", NAT_PORT)) == Drop::none);  // where the signalling came from
  CHECK(w.channel().peer == at("192.0.2.1", NAT_PORT));
}

TEST("latch", "RTCP of a port of its own follows to the host that RTP has shown, not before, and once") {
  World w;
  CHECK(w.does(CommandWriter(OPCODE_setRtcpPort).u32(CALLER).u32(5).address("127.0.0.1", 4002).bytes));
  CHECK(w.does(latchCommand(CALLER, "192.0.2.1")));
  const auto report = [&](const Address& from) {
    Variant& v = *w.h.core().variants().take();
    v.length = static_cast<uint16_t>(REPORT.size());
    std::memcpy(v.bytes, REPORT.data(), REPORT.size());
    w.h.core().arrived(*w.channel().rtcpPort, v, from, w.now);
    w.h.core().variants().release(v);
    return w.channel().rtcpPort->peer;
  };
  CHECK(report(at("192.0.2.1", 5001)) == loopback(4002));
  CHECK(w.rtp(at("192.0.2.1", 5000)) == Drop::none);
  CHECK(report(at("192.0.2.2", 5001)) == loopback(4002));
  CHECK(report(at("192.0.2.1", 5001)) == at("192.0.2.1", 5001));
  CHECK(report(at("192.0.2.1", 5003)) == at("192.0.2.1", 5001));
}

TEST("latch", "attack: with keys nothing latches but what verifies, and there is no window") {
  World w(TRANSPORT_sdes);
  CHECK(!w.does(latchCommand(CALLER, nullptr)));
  const HopPeer peer(CALLER, 0x1234, PROFILE_AES128_CM_SHA1_80);
  Bytes forged = peer.rtp(1, pattern(1, 40), 160);
  forged.back() ^= 1;
  CHECK(w.from(loopback(NAT_PORT), forged) == Drop::auth_failed);
  CHECK(w.rtp(loopback(NAT_PORT)) == Drop::auth_failed);
  CHECK(w.peer() == SIGNALLED_PORT);
  CHECK(w.from(loopback(NAT_PORT), peer.rtp(2, pattern(2, 40), 320)) == Drop::none);
  CHECK(w.peer() == NAT_PORT);
  CHECK(w.from(loopback(THIRD_PORT), peer.rtp(3, pattern(3, 40), 480)) == Drop::unknown_source);
}
