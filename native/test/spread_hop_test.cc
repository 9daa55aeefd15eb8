// Channels whose payloads end at the switch, with their sockets on another thread.
#include "hop_world.h"
#include "spread.h"

using namespace test;

namespace {

// Knows where its sockets are connected to.
struct Connecting final : Transport {
  std::map<uint32_t, Address> to;
  bool send(Outlet&, const uint8_t*, size_t) override { return true; }
  void sendTo(Outlet&, const Address&, const uint8_t*, size_t) override {}
  bool opened(Outlet&) override { return true; }
  void connect(Outlet& outlet, const Address& peer) override { to[outlet.id] = peer; }
  void close(Outlet&) override {}
  void discard(int) override {}
};

}  // namespace

TEST("spread", "latching: the socket's thread connects to where the first packet that verifies came from, and to nowhere else") {
  Exchange exchange(2);
  std::vector<uint64_t> words[2] = {std::vector<uint64_t>(THREAD_REGION_WORDS), std::vector<uint64_t>(THREAD_REGION_WORDS)};
  Connecting transports[2];
  Switch home(transports[0], words[0].data(), IngressLimits{0, 0}, &exchange, 0);
  Switch branch(transports[1], words[1].data(), IngressLimits{0, 0}, &exchange, 1);
  const auto apply = [](Switch& core, const Bytes& c) { CHECK(core.apply(c.data(), c.size(), 1)); };
  apply(branch, CommandWriter(OPCODE_openBranch).u32(1).u32(CONFERENCE).u8(MEDIA_audio).u8(TRANSPORT_sdes).u32(1)
                    .u32(0xffffffff).u16(0).u32(1).address("192.0.2.1", 5001).bytes);
  apply(home, levelCommand(LEVEL_hop_by_hop));
  CommandWriter away(0);
  away.bytes = openWithPeer(1, Media::audio, TRANSPORT_sdes, 5001);
  apply(home, away.u16(1).u32(1).bytes);
  apply(home, hopKeysCommand(1, 1));
  apply(home, hopParametersCommand(1));
  const HopPeer one(1, 0xaaaa0001, 1);
  Address nat, stranger;
  CHECK(parseAddress("192.0.2.7", 7777, nat) && parseAddress("192.0.2.66", 6666, stranger));
  const auto arrive = [&](const Bytes& bytes, const Address& from) {
    Variant& datagram = *branch.variants().take();
    datagram.length = static_cast<uint16_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), datagram.bytes);
    branch.arrived(*branch.outlet(1), datagram, from, 1'000'000);
    branch.variants().release(datagram);
    branch.allArrived(*branch.outlet(1));
    for (Switch* core : {&home, &branch}) {
      core->markNeighbours();
      core->hearNeighbours(1'000'000);
      core->flush();
    }
  };
  Bytes forged = one.rtp(1, pattern(1, 20), 0);
  forged.back() ^= 1;
  arrive(forged, stranger);
  CHECK(transports[1].to.empty() && transports[0].to.empty());
  arrive(one.rtp(1, pattern(1, 20), 0), nat);
  CHECK(transports[1].to.size() == 1 && transports[1].to[1] == nat && branch.outlet(1)->peer == nat);
  CHECK(home.outlet(1)->peer == nat && !home.outlet(1)->latching && transports[0].to.empty());
  arrive(one.rtp(2, pattern(1, 20), 0), stranger);
  CHECK(words[0][THREAD_COUNTER_drops + static_cast<uint32_t>(Drop::unknown_source)] == 1);
}
