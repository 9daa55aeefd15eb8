// What the main thread changes while packets flow; also run under ThreadSanitizer.
#include "peers.h"

using namespace test;

TEST("threads", "routes, sets and channel keys change under load, and no packet of a lasting key is refused") {
  constexpr uint16_t LASTING = 0x1235, PACKETS = 60'000, CHANGES = 240;
  Relay relay(1, loopback(0), [] {});
  CHECK(relay.start());
  const Peer peers[3];
  uint16_t ports[3];
  const auto command = [&](const Bytes& c) { CHECK(relay.thread(0).post(c.data(), c.size())); };
  postSet(relay);
  for (uint32_t i = 0; i < 3; i++) ports[i] = post(relay, i + 1, peers[i], Media::video);
  const Bytes routes = routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}, {2, 1, 1}, {2, 3, 2}});
  const Bytes fewer = routesCommand(Media::video, {{1, 3, 1}, {2, 1, 1}});
  command(routes);
  // The set that channel 2 sends under now; each is installed, used and dropped in its turn.
  std::atomic<uint16_t> newest{LASTING};
  std::atomic<bool> changed{false};
  std::thread media([&] {
    const TestSender lasting(0xa1, 1, LASTING);
    for (uint16_t s = 1; s <= PACKETS && !changed; s++) {
      const uint16_t spi = newest;
      peers[0].send(ports[0], lasting.rtp(0, s, s % 8 == 1, 100, s % 8 == 1 ? 1 : 0));
      peers[1].send(ports[1], TestSender(0xb1, spi, spi).rtp(0, s, true, 100, 1));
      if (s % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // below the limit of rate
    }
  });
  for (uint16_t i = 1; i <= CHANGES; i++) {
    const auto spi = static_cast<uint16_t>(LASTING + 2 * i);
    command(setCommand(spi));
    for (uint32_t id = 1; id <= 3; id++) command(ackCommand(id, spi));
    newest = spi;
    command(i % 2 == 0 ? routes : fewer);
    command(keysCommand(1 + i % 3, i % 2 == 0 ? PROFILE_AES128_GCM : PROFILE_AES128_CM_SHA1_80));
    if (i > 1) command(CommandWriter(OPCODE_dropSet).u32(CONFERENCE).u16(static_cast<uint16_t>(spi - 2)).bytes);
    const uint64_t before = counter(relay, THREAD_COUNTER_verified);
    CHECK(eventually([&] { return counter(relay, THREAD_COUNTER_verified) > before + 2; }));
  }
  changed = true;
  media.join();
  relay.stop();
  const auto ofChannel = [&](uint32_t word) {
    return counter(relay, static_cast<uint32_t>(THREAD_WORDS + 1 * CHANNEL_WORDS) + word);  // slot 1: channel 1
  };
  uint64_t refusedLasting = 0;
  for (const Drop d : {Drop::unknown_spi, Drop::no_key, Drop::auth_failed, Drop::too_old, Drop::replayed, Drop::malformed}) {
    refusedLasting += ofChannel(CHANNEL_COUNTER_drops + static_cast<uint32_t>(d));
  }
  CHECK(ofChannel(CHANNEL_COUNTER_packetsIn) > 0 && refusedLasting == 0);
  CHECK(counter(relay, THREAD_COUNTER_verified) > CHANGES);
  CHECK(counter(relay, THREAD_COUNTER_egress) > 0);
}
