// Channels of plain RTP and of keys in SDP whose peer signalling names later: an offer of ours waits for its answer.
#include "hop_world.h"

using namespace claviger;
using namespace test;

namespace {

struct Unnamed {
  Harness h;
  Address peer, stranger;
  explicit Unnamed(uint32_t transport) {
    CHECK(parseAddress("192.0.2.7", 4000, peer) && parseAddress("192.0.2.66", 4000, stranger));
    CHECK(apply(CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_none).bytes));
    CHECK(apply(openWithPeer(1, Media::audio, transport, 0)));
  }
  bool apply(const Bytes& command) { return h.apply(command.data(), command.size(), 1); }
  Drop hear(const Bytes& packet, const Address& from) {
    return h.feed(*h.core().channel(1), packet.data(), packet.size(), NS_PER_S, &from);
  }
  bool name() { return apply(CommandWriter(OPCODE_provePeer).u32(1).address("192.0.2.7", 4000).bytes); }
  size_t heard() { return h.core().events().bytes().size(); }
};
const Bytes REPORT = {0x80, RTCP_RR, 0, 1, 0, 0, 1, 0};

}  // namespace

TEST("early", "control that overtakes the answer is heard when the answer comes, and not only when it is repeated") {
  Unnamed world(TRANSPORT_plain);
  CHECK(world.hear(REPORT, world.peer) == Drop::not_ready);
  CHECK(world.heard() == 0);
  CHECK(world.name());
  const size_t once = world.heard();
  CHECK(once > 0);
  CHECK(world.hear(REPORT, world.peer) == Drop::none);
  CHECK(world.heard() > once);
}

TEST("early", "a stranger's control is never heard, and it takes no more room than there is") {
  Unnamed world(TRANSPORT_plain);
  for (uint32_t i = 0; i < RELAY_EARLY_DATAGRAMS_PER_CHANNEL + 3; i++) CHECK(world.hear(REPORT, world.stranger) == Drop::not_ready);
  CHECK(world.h.core().channel(1)->early->count == RELAY_EARLY_DATAGRAMS_PER_CHANNEL);
  CHECK(world.name());
  CHECK(world.heard() == 0 && world.h.core().channel(1)->early == nullptr);
  CHECK(world.hear(REPORT, world.stranger) == Drop::unknown_source);
}

TEST("early", "media waits for the answer and is not kept; nothing is sent to nobody") {
  Unnamed world(TRANSPORT_plain);
  CHECK(world.hear(HopPeer::plain(0xaaaa0001, 1, pattern(1, 20), 0), world.peer) == Drop::not_ready);
  CHECK(world.h.core().channel(1)->early == nullptr);
  CHECK(!world.apply(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block(REPORT).bytes));
  CHECK(world.name());
  CHECK(world.apply(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block(REPORT).bytes));
}

TEST("early", "with keys in SDP nothing is sent before the answer says where to") {
  Unnamed world(TRANSPORT_sdes);
  CHECK(world.apply(hopKeysCommand(1, PROFILE_AES128_CM_SHA1_80)));
  CHECK(!world.apply(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block(REPORT).bytes));
  CHECK(world.apply(CommandWriter(OPCODE_awaitPeer).u32(1).u8(0).address("192.0.2.7", 4000).bytes));
  CHECK(world.apply(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block(REPORT).bytes));
}
