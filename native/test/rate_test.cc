// What one source may send.
#include "sending.h"

using namespace test;

namespace {

constexpr uint64_t BEGIN = 10 * NS_PER_S;

uint64_t limitOf(Media media) {
  return media == Media::audio ? RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND : RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND;
}

// Everything that the channel may send at once.
void useUp(Room& room, Media media) {
  const uint64_t burst = limitOf(media) * RELAY_INGRESS_BURST_MS / 1000;
  for (uint64_t i = 0; i < burst; i++) CHECK(room.feed(room.next(), BEGIN) == Drop::none);
}

}  // namespace

TEST("rate", "a source at 100 times its rate is let through at its limit; what is refused changes nothing") {
  for (const Media media : {Media::audio, Media::video}) {
    Room room(2, media);
    useUp(room, media);
    const uint64_t state = room.core.stateHash();
    Bytes packet = room.next();
    CHECK(room.feed(packet, BEGIN) == Drop::rate_limited);
    CHECK(room.core.stateHash() == state && room.drops(1, Drop::rate_limited) == 1);
    const uint64_t limit = limitOf(media);
    uint64_t accepted = 0;
    for (uint64_t i = 1; i <= 50 * limit; i++) {
      const Drop drop = room.feed(packet, BEGIN + i * NS_PER_S / (100 * limit));
      if (drop == Drop::none) {
        accepted++;
        packet = room.next();
      } else if (drop != Drop::rate_limited) {
        CHECK(drop == Drop::rate_limited);
      }
    }
    CHECK(accepted == limit / 2);
    // Another channel of the conference has its own.
    Bytes other = TestSender(0xb1, 2, 0x1235).rtp(0, 1, true, 10, 0);
    CHECK(room.core.receive(*room.core.channel(2), other.data(), other.size(), room.core.channel(2)->peer, BEGIN) ==
          Drop::none);
  }
}

TEST("rate", "a forger who floods a channel from its peer's address takes nothing of what the peer may send") {
  Room room(2);
  Bytes forged = room.sender.rtp(0, 1, true, 10, 0);
  forged[20] ^= 1;
  for (uint32_t i = 0; i < 5 * RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND; i++) {
    CHECK(room.feed(forged, BEGIN) == Drop::auth_failed);
  }
  const Bytes replayed = room.next();
  CHECK(room.feed(replayed, BEGIN) == Drop::none);
  for (uint32_t i = 0; i < 5 * RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND; i++) {
    CHECK(room.feed(replayed, BEGIN) == Drop::replayed);
  }
  CHECK(room.feed(room.next(), BEGIN) == Drop::none);
}

TEST("rate", "DTLS is not held up by media, and a limit of 0 is none") {
  Room room(2);
  useUp(room, Media::audio);
  CHECK(room.feed(room.next(), BEGIN) == Drop::rate_limited);
  CHECK(room.feed(Bytes{22, 254, 253}, BEGIN) == Drop::none);
  Harness h;
  for (const Bytes& c : worldCommands(2, Media::audio)) CHECK(h.apply(c.data(), c.size(), 0));
  for (uint16_t i = 1; i < 5000; i++) {
    const Bytes packet = room.sender.rtp(0, i, true, 10, 0);
    CHECK(h.feed(*h.core().channel(1), packet.data(), packet.size(), 0) == Drop::none);
  }
}
