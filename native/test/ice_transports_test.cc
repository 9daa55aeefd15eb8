// ICE where a channel's transport is not its own alone: a bundle's, or a socket on another thread.
#include "bundle_world.h"
#include "spread.h"
#include "stun_peer.h"

using namespace test;

namespace {

const Address PLACE = at("198.51.100.7", 5555), NEXT = at("198.51.100.8", 5556), STRANGER = at("203.0.113.9", 6666);

// Knows where its sockets are connected to, and where to it sends.
struct Noting final : Transport {
  uint32_t connects = 0;
  std::vector<Address> told;
  std::vector<Address> sentTo;
  bool send(Outlet& to, const uint8_t*, size_t) override {
    sentTo.push_back(to.peer);
    return true;
  }
  void sendTo(Outlet&, const Address& to, const uint8_t*, size_t) override { told.push_back(to); }
  bool opened(Outlet&) override { return true; }
  void connect(Outlet&, const Address&) override { connects++; }
  void close(Outlet&) override {}
  void discard(int) override {}
};

}  // namespace

TEST("ice", "a socket on another thread: checks are answered there, it is never connected, and media follows the peer") {
  Exchange exchange(2);
  std::vector<uint64_t> words[2] = {std::vector<uint64_t>(THREAD_REGION_WORDS), std::vector<uint64_t>(THREAD_REGION_WORDS)};
  Noting transports[2];
  Switch home(transports[0], words[0].data(), IngressLimits{0, 0}, &exchange, 0);
  Switch branch(transports[1], words[1].data(), IngressLimits{0, 0}, &exchange, 1);
  const auto apply = [](Switch& core, const Bytes& c, bool accepted = true) {
    CHECK(core.apply(c.data(), c.size(), 1) == accepted);
  };
  apply(home, CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_end_to_end).bytes);
  apply(branch, openBranchCommand(1, Media::audio));
  apply(branch, setBranchCommand(1, true));
  apply(home, openAwayCommand(1, Media::audio, 1));
  apply(home, openCommand(2, Media::audio));
  apply(branch, CommandWriter(OPCODE_setIce).u32(1).u8(1).u8(0).u8(0).u16(0).bytes);
  apply(home, iceCommand(1));
  CHECK(branch.outlet(1)->roams);
  const auto turn = [&] {
    for (Switch* core : {&home, &branch}) {
      core->markNeighbours();
      core->hearNeighbours(1);
      core->flush();
    }
  };
  const auto arrive = [&](const Bytes& bytes, const Address& from) {
    Variant& datagram = *branch.variants().take();
    datagram.length = static_cast<uint16_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), datagram.bytes);
    branch.arrived(*branch.outlet(1), datagram, from, 1);
    branch.variants().release(datagram);
    branch.allArrived(*branch.outlet(1));
    turn();
  };
  arrive(check(1), PLACE);
  CHECK(transports[1].told == std::vector<Address>{PLACE} && transports[0].told.empty());
  for (Switch* core : {&branch, &home}) apply(*core, CommandWriter(OPCODE_provePeer).u32(1).address("198.51.100.7", 5555).bytes);
  for (uint32_t id = 1; id <= 2; id++) {
    apply(home, keysCommand(id, PROFILE_AES128_CM_SHA1_80));
    apply(home, parametersCommand(id));
  }
  apply(home, proveCommand(2, 4002));
  apply(home, setCommand(0x1235));
  for (uint32_t id = 1; id <= 2; id++) apply(home, ackCommand(id, 0x1235));
  apply(home, routesCommand(Media::audio, {{1, 2, 1}, {2, 1, 1}}));
  const TestSender one(0xa1, 1, 0x1235), two(0xb1, 2, 0x1235);
  const auto say = [&](uint16_t sequence) {
    const Bytes packet = two.rtp(0, sequence, true, 20, 5);
    CHECK(home.receive(static_cast<Channel&>(*home.outlet(2)), packet.data(), packet.size(), home.outlet(2)->peer, 1) == Drop::none);
    home.flush();
    turn();
  };
  say(1);
  CHECK(transports[1].sentTo == std::vector<Address>{PLACE});
  arrive(one.rtp(0, 1, true, 20, 5), PLACE);
  arrive(check(2), NEXT);
  arrive(one.rtp(0, 2, true, 20, 5), STRANGER);
  say(2);
  CHECK(transports[1].sentTo.back() == PLACE);
  arrive(one.rtp(0, 3, true, 20, 5), NEXT);
  say(3);
  CHECK(transports[1].sentTo.back() == NEXT && branch.outlet(1)->peer == NEXT && home.outlet(1)->peer == NEXT);
  CHECK(transports[1].connects == 0);
}

TEST("ice", "a bundle: its leader's checks are good for every line, and a packet of any line moves the peer of all") {
  BundleRoom room;
  Channel& lead = room.channel(1);
  CHECK(!room.apply(iceCommand(2)));
  CHECK(room.apply(iceCommand(1)));
  const BundlePeer peer(1, room.profile);
  const HopPeer other(4, 0xb4, room.profile);
  uint64_t index = 0, otherIndex = 0;
  const auto video = [&](const Address& from, uint64_t now) {
    return room.feed(1, peer.packet(0xa2, VIDEO_TYPE, ++index, pattern(1, 30), BundlePeer::oneByte("video")), now, &from);
  };
  const auto isSentVideo = [&](uint64_t now) {
    room.h.clearOutputs();
    CHECK(room.feed(4, other.rtp(++otherIndex, pattern(1, 30), 0), now) == Drop::none);
    for (const Sent1& sent : takeSent(room.h)) {
      if (sent.receiver == 1) return true;
    }
    return false;
  };
  CHECK(!isSentVideo(MS));
  const Address home = lead.peer;
  CHECK(room.feed(1, check(1), MS, &home) == Drop::none && isSentVideo(MS));
  CHECK(room.feed(1, check(2), 2 * MS, &NEXT) == Drop::none && lead.peer == home);
  CHECK(video(STRANGER, 2 * MS) == Drop::unknown_source && lead.peer == home);
  CHECK(video(NEXT, 3 * MS) == Drop::none && lead.peer == NEXT && isSentVideo(4 * MS));
  const uint64_t over = 2 * MS + RELAY_ICE_CONSENT_LIFETIME_MS * NS_PER_MS;
  CHECK(isSentVideo(over - 1));
  room.h.core().tick(over);
  CHECK(!isSentVideo(over));
}
