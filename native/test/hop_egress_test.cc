// How copies for receivers under keys of their own leave: as runs, like all others.
#include "hop_world.h"
#include "sending.h"

using namespace test;

TEST("hop-egress", "packets of one length for one receiver leave as one run (UDP_SEGMENT), each under its receiver's keys") {
  for (const uint16_t profile : {PROFILE_AES128_CM_SHA1_80, PROFILE_AES128_GCM}) {
    Scripted transport;
    std::vector<uint64_t> words(THREAD_REGION_WORDS);
    Switch core(transport, words.data(), IngressLimits{0, 0});
    const auto apply = [&core](const Bytes& command) { CHECK(core.apply(command.data(), command.size(), 1)); };
    apply(levelCommand(LEVEL_hop_by_hop));
    for (uint32_t id = 1; id <= 3; id++) {
      apply(openCommand(id, Media::video));
      apply(proveCommand(id, static_cast<uint16_t>(4000 + id)));
      apply(hopKeysCommand(id, profile));
      apply(hopParametersCommand(id));
    }
    apply(routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}}));
    const HopPeer source(1, 0xaaaa0001, profile);
    constexpr uint16_t FRAME = 10, FIRST = 100;
    std::vector<Bytes> payloads;
    for (uint16_t i = 0; i <= FRAME; i++) {
      payloads.push_back(pattern(i, i == FRAME ? 300 : 1100));  // the last of a frame is shorter
      const Bytes packet = source.rtp(FIRST + i, payloads.back(), 9000);
      Channel& from = *core.channel(1);
      CHECK(core.receive(from, packet.data(), packet.size(), from.peer, NS_PER_MS) == Drop::none);
    }
    CHECK(transport.calls == 0);
    core.flush();
    CHECK(transport.calls == 2 && transport.runSizes == std::vector<uint32_t>({FRAME + 1, FRAME + 1}));
    for (uint32_t id = 2; id <= 3; id++) {
      const HopPeer receiver(id, 0, profile);
      const std::vector<Bytes>& got = transport.got[core.channel(id)];
      CHECK(got.size() == payloads.size());
      for (size_t i = 0; i < got.size(); i++) {
        RtpView rtp;
        CHECK(parseRtp(got[i].data(), got[i].size(), rtp));
        CHECK(receiver.open(got[i], rtp.sequence, rtp) == payloads[i]);
      }
    }
  }
}
