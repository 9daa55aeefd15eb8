// Where a peer is whose keys came with signalling, and what is sent there before it has shown itself.
#include "hop_world.h"

using namespace claviger;
using namespace test;

namespace {

// Channel 1 speaks; channel 2 is named by SDP at `named`.
struct Named {
  HopRoom room{Media::audio};
  HopPeer speaker{1, 0xaaaa0001, PROFILE_AES128_CM_SHA1_80}, peer{4, 0xbbbb0001, PROFILE_AES128_CM_SHA1_80};
  Address named, nat;
  uint64_t index = 100, now = NS_PER_S;
  Named() {
    CHECK(parseAddress("127.0.0.1", 5004, named) && parseAddress("192.0.2.7", 7777, nat));
    CHECK(room.apply(openWithPeer(4, Media::audio, TRANSPORT_sdes, 5004)));
    CHECK(room.apply(hopKeysCommand(4, PROFILE_AES128_CM_SHA1_80)));
    CHECK(room.apply(hopParametersCommand(4)));
    CHECK(room.apply(routesCommand(Media::audio, {{1, 4, 1}})));
  }
  Channel& channel() { return *room.h.core().channel(4); }
  Drop hear(const Bytes& packet, const Address& from) {
    return room.h.feed(channel(), packet.data(), packet.size(), now, &from);
  }
  // How many of as many packets, one a millisecond, are sent to it.
  size_t speak(int packets) {
    takeSent(room.h);
    for (int i = 0; i < packets; i++, index++, now += NS_PER_MS) {
      CHECK(room.feed(1, speaker.rtp(index, pattern(1, 40), static_cast<uint32_t>(index)), now) == Drop::none);
    }
    return takeSent(room.h).size();
  }
};

}  // namespace

TEST("hop-latch", "reflection: somebody whom SDP names without having asked gets a little for a while, and then nothing") {
  Named world;
  const size_t first = world.speak(1000);
  CHECK(first > 0 && first <= RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND + 5);
  // What does not verify changes nothing, wherever it says that it comes from.
  Bytes forged = world.peer.rtp(1, pattern(1, 20), 0);
  forged.back() ^= 1;
  CHECK(world.hear(forged, world.named) == Drop::auth_failed);
  CHECK(world.speak(1000) <= RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND + 5);
  world.now += RELAY_UNPROVEN_PEER_MS * NS_PER_MS;
  CHECK(world.speak(1000) == 0);
  // Late, but it is there.
  CHECK(world.hear(world.peer.rtp(1, pattern(1, 20), 0), world.nat) == Drop::none);
  CHECK(world.speak(200) == 200 && world.channel().peer == world.nat);
}

TEST("hop-latch", "who only listens is sent all once its report verifies, and its RTP may still come from another port") {
  Named world;
  world.speak(10);
  const Bytes report = controlPacket(4, PROFILE_AES128_CM_SHA1_80, 0xbbbb0001, 1);
  CHECK(world.hear(report, world.nat) == Drop::none);
  CHECK(world.channel().peer == world.nat && !world.channel().latching);
  CHECK(world.speak(200) == 200);
}

TEST("hop-latch", "a report on a port of its own lifts the limit if it comes from the named host, and leaves RTP's port open") {
  for (const bool there : {true, false}) {
    Named world;
    CHECK(world.room.apply(CommandWriter(OPCODE_setRtcpPort).u32(4).u32(77).address("127.0.0.1", 5005).bytes));
    world.speak(200);
    Address from;
    CHECK(parseAddress(there ? "127.0.0.1" : "192.0.2.9", 6001, from));
    Variant& datagram = *world.room.h.core().variants().take();
    const Bytes report = controlPacket(4, PROFILE_AES128_CM_SHA1_80, 0xbbbb0001, 1);
    std::copy(report.begin(), report.end(), datagram.bytes);
    datagram.length = static_cast<uint16_t>(report.size());
    world.room.h.core().arrived(*world.channel().rtcpPort, datagram, from, world.now);
    world.room.h.core().variants().release(datagram);
    CHECK(world.channel().latching && world.channel().heard == there);
    CHECK((world.speak(200) == 200) == there);
    CHECK(world.hear(world.peer.rtp(1, pattern(1, 20), 0), world.nat) == Drop::none);
    CHECK(world.channel().peer == world.nat && world.speak(200) == 200);
  }
}

TEST("hop-latch", "a peer that signalling has moved is found again, and is not proven there before it has shown itself") {
  Named world;
  CHECK(world.hear(world.peer.rtp(1, pattern(1, 20), 0), world.nat) == Drop::none);
  CHECK(world.speak(100) == 100);
  const auto await = [&](uint16_t port) {
    return world.room.apply(CommandWriter(OPCODE_awaitPeer).u32(4).u8(0).address("198.51.100.4", port).bytes);
  };
  CHECK(await(4000));
  CHECK(world.speak(1000) <= RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND + 5);
  Address moved;
  CHECK(parseAddress("198.51.100.4", 4000, moved));
  CHECK(world.hear(world.peer.rtp(2, pattern(1, 20), 0), moved) == Drop::none);
  CHECK(world.speak(100) == 100 && world.channel().peer == moved);
  CHECK(await(4000) && !world.channel().latching);  // named again where it is
}
