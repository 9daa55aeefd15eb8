// How packets of a bundle leave: over one socket, line by line, also when that has no room or is on another thread.
#include "bundle_world.h"
#include "sending.h"
#include "spread.h"

using namespace test;

namespace {

// Member 1's audio (1, the leader) and video (2), and member 3's (3, 4), over a transport that does as a script says.
struct ScriptedBundle {
  Scripted transport;
  std::vector<uint64_t> words = std::vector<uint64_t>(THREAD_REGION_WORDS);
  Switch core{transport, words.data(), IngressLimits{0, 0}};
  const HopPeer audio{3, 0xcccc0001, 1}, video{4, 0xdddd0001, 1};
  uint64_t frames = 0;

  ScriptedBundle() {
    apply(levelCommand(LEVEL_hop_by_hop));
    apply(openMemberCommand(1, Media::audio, 1));
    apply(openBundledCommand(2, Media::video, 1, 1));
    apply(openMemberCommand(3, Media::audio, 3));
    apply(openMemberCommand(4, Media::video, 3));
    for (const uint32_t id : {1u, 3u, 4u}) {
      apply(proveCommand(id, static_cast<uint16_t>(4000 + id)));
      apply(hopKeysCommand(id, 1));
    }
    for (const uint32_t id : {1u, 3u}) apply(bundledParametersCommand(id, AUDIO_TYPE, ""));
    for (const uint32_t id : {2u, 4u}) apply(bundledParametersCommand(id, VIDEO_TYPE, ""));
    apply(routesCommand(Media::audio, {{3, 1, 1}}));
    apply(routesCommand(Media::video, {{4, 2, 1}}));
  }
  void apply(const Bytes& command) { CHECK(core.apply(command.data(), command.size(), 1)); }
  void feed(uint32_t id, const Bytes& packet) {
    Channel& from = *core.channel(id);
    CHECK(core.receive(from, packet.data(), packet.size(), from.peer, MS) == Drop::none);
  }
  // An audio packet and a frame of video.
  void drain(uint16_t sequence, uint16_t frame) {
    feed(3, audio.rtp(sequence, pattern(1, 80), sequence * 960u, AUDIO_TYPE));
    for (uint16_t i = 0; i < frame; i++) {
      feed(4, video.rtp(++frames, pattern(i, 1000), sequence * 3000u, VIDEO_TYPE));
    }
    core.flush();
  }
  const std::vector<Bytes>& got() { return transport.got[core.channel(1)]; }
};

}  // namespace

TEST("bundle-egress", "a line's packets of one length leave as one run (UDP_SEGMENT), by the leader's socket") {
  ScriptedBundle b;
  b.drain(1, 9);
  CHECK(b.transport.runSizes == std::vector<uint32_t>({1, 9}));
  CHECK(b.got().size() == 10 && b.transport.got.size() == 1);
}

TEST("bundle-egress", "a path that refuses runs refuses them for every line of the bundle, and costs one refusal") {
  ScriptedBundle b;
  b.transport.script = {{1, Sent::all}, {0, Sent::unsegmented}};  // audio first
  b.drain(1, 9);
  CHECK(b.words[THREAD_COUNTER_unsegmented] == 1 && b.core.channel(1)->unsegmented && !b.core.channel(2)->unsegmented);
  CHECK(b.got().size() == 10);
  b.transport.runSizes.clear();
  b.drain(2, 9);
  CHECK(b.transport.runSizes == std::vector<uint32_t>(10, 1));
}

TEST("bundle-egress", "no room in the socket: each line waits in order, and room is awaited until both have left") {
  ScriptedBundle b;
  Channel& lead = *b.core.channel(1);
  Channel& follower = *b.core.channel(2);
  b.transport.script = {{0, Sent::full}, {0, Sent::full}};
  b.drain(1, 9);
  CHECK(b.got().empty() && b.transport.awaiting[&lead] && lead.backlog.count == 1 && follower.backlog.count == 9);
  b.drain(2, 5);  // behind what waits
  CHECK(b.got().empty() && lead.backlog.count == 2 && follower.backlog.count == 14);
  // Room for the audio, not for all of the video: it is still awaited.
  b.transport.script = {{2, Sent::all}, {0, Sent::full}};
  b.core.writable(lead);
  CHECK(b.got().size() == 2 && b.transport.awaiting[&lead] && follower.backlog.count == 14);
  b.core.writable(lead);
  CHECK(b.got().size() == 16 && !b.transport.awaiting[&lead] && follower.backlog.count == 0);
  for (size_t i = 2; i + 1 < 16; i++) {
    RtpView one, next;
    CHECK(parseRtp(b.got()[i].data(), b.got()[i].size(), one) && parseRtp(b.got()[i + 1].data(), b.got()[i + 1].size(), next));
    CHECK(next.sequence == static_cast<uint16_t>(one.sequence + 1));
  }
}

TEST("bundle-egress", "a line that waits for room and closes takes what waits along; the others still leave") {
  for (const uint32_t closing : {1u, 2u}) {
    ScriptedBundle b;
    Channel& lead = *b.core.channel(1);
    b.transport.script = {{0, Sent::full}, {0, Sent::full}};
    b.drain(1, 9);
    b.apply(closeChannelCommand(closing));
    if (closing == 1) continue;  // the follower has gone with it
    b.core.writable(lead);
    CHECK(b.got().size() == 1 && !b.transport.awaiting[&lead]);
  }
}

TEST("bundle-egress", "a level that is too low for one line holds that line's packets back, not the other's") {
  ScriptedBundle b;
  Channel& lead = *b.core.channel(1);
  b.transport.script = {{0, Sent::full}, {0, Sent::full}};
  b.drain(1, 9);
  b.core.channel(2)->level = Level::none;
  b.core.writable(lead);
  CHECK(b.got().size() == 1);
  CHECK(b.core.channel(2)->words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(Drop::below_level)] == 9);
}

TEST("bundle-egress", "on another thread: leader and follower are there together, and what comes and goes is the home's to judge") {
  Exchange exchange(2);
  std::vector<uint64_t> words[2] = {std::vector<uint64_t>(THREAD_REGION_WORDS), std::vector<uint64_t>(THREAD_REGION_WORDS)};
  Collecting transports[2];
  Switch home(transports[0], words[0].data(), IngressLimits{0, 0}, &exchange, 0);
  Switch branch(transports[1], words[1].data(), IngressLimits{0, 0}, &exchange, 1);
  const auto apply = [](Switch& core, const Bytes& c, bool accepted = true) {
    CHECK(core.apply(c.data(), c.size(), 1) == accepted);
  };
  const auto branched = [](uint32_t id, Media media, uint32_t leader) {
    CommandWriter w(OPCODE_openBranch);
    w.u32(id).u32(CONFERENCE).u8(static_cast<uint32_t>(media)).u8(leader == 0 ? TRANSPORT_dtls : TRANSPORT_bundled).u32(id);
    w.u32(0xffffffff).u16(0).u32(id).u8(0).u16(0);
    return leader == 0 ? w.bytes : w.u32(leader).bytes;
  };
  const auto away = [](Bytes open, uint32_t id) {
    CommandWriter w(0);
    w.bytes = std::move(open);
    return w.u16(1).u32(id).bytes;
  };
  apply(branch, levelCommand(LEVEL_hop_by_hop));
  apply(home, levelCommand(LEVEL_hop_by_hop));
  apply(branch, branched(2, Media::video, 1), false);  // before its leader
  apply(branch, branched(1, Media::audio, 0));
  apply(branch, branched(2, Media::video, 1));
  apply(home, away(openMemberCommand(1, Media::audio, 1), 1));
  apply(home, openBundledCommand(2, Media::video, 1, 1), false);  // not where its leader is
  apply(home, away(openBundledCommand(2, Media::video, 1, 1), 2));
  apply(home, openMemberCommand(3, Media::audio, 3));
  apply(home, openMemberCommand(4, Media::video, 3));
  for (const uint32_t id : {1u, 3u, 4u}) {
    if (id == 1) apply(branch, proveCommand(id, 4001));
    apply(home, proveCommand(id, static_cast<uint16_t>(4000 + id)));
    apply(home, hopKeysCommand(id, 1));
  }
  for (const uint32_t id : {1u, 2u}) apply(branch, setBranchCommand(id, true, LEVEL_hop_by_hop));
  for (const uint32_t id : {1u, 3u}) apply(home, bundledParametersCommand(id, AUDIO_TYPE, ""));
  for (const uint32_t id : {2u, 4u}) apply(home, bundledParametersCommand(id, VIDEO_TYPE, ""));
  apply(home, routesCommand(Media::audio, {{1, 3, 1}, {3, 1, 1}}));
  apply(home, routesCommand(Media::video, {{2, 4, 1}, {4, 2, 1}}));
  const auto turn = [&] {
    for (Switch* core : {&home, &branch, &home}) {
      core->markNeighbours();
      core->hearNeighbours(MS);
      core->flush();
    }
  };
  const BundlePeer peer(1, 1);
  const auto arrive = [&](const Bytes& bytes) {
    Variant& datagram = *branch.variants().take();
    datagram.length = static_cast<uint16_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), datagram.bytes);
    branch.arrived(*branch.outlet(1), datagram, branch.outlet(1)->peer, MS);
    branch.variants().release(datagram);
    branch.allArrived(*branch.outlet(1));
    turn();
  };
  arrive(peer.packet(0xaaaa0001, AUDIO_TYPE, 1, pattern(1, 40)));
  arrive(peer.packet(0xbbbb0001, VIDEO_TYPE, 1, pattern(1, 40)));
  CHECK(transports[0].got[3].size() == 1 && transports[0].got[4].size() == 1);
  const HopPeer audio(3, 0xcccc0001, 1), video(4, 0xdddd0001, 1);
  const auto feed = [&](uint32_t id, const Bytes& packet) {
    CHECK(home.receive(*home.channel(id), packet.data(), packet.size(), home.channel(id)->peer, MS) == Drop::none);
    home.flush();
    turn();
  };
  feed(3, audio.rtp(5, pattern(1, 60), 0, AUDIO_TYPE));
  feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE));
  CHECK(transports[1].got[1].size() == 2 && transports[1].got.size() == 1);  // by the leader's socket there
  CHECK(words[1][THREAD_WORDS + 2 * CHANNEL_WORDS + CHANNEL_COUNTER_packetsOut] == 1);
  // The follower alone is held back on the socket's thread.
  apply(branch, setBranchCommand(2, false, LEVEL_hop_by_hop));
  feed(4, video.rtp(10, pattern(1, 60), 0, VIDEO_TYPE));
  feed(3, audio.rtp(6, pattern(1, 60), 0, AUDIO_TYPE));
  CHECK(transports[1].got[1].size() == 3);
  apply(branch, closeChannelCommand(1));
  CHECK(branch.outlet(2) == nullptr);
  apply(home, closeChannelCommand(1));
  CHECK(home.outlet(2) == nullptr);
  feed(4, video.rtp(11, pattern(1, 60), 0, VIDEO_TYPE));
}
