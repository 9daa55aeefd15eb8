// What a channel takes when it is opened, when a stream is bound to it, and at a tick.
#include <new>

#include "world.h"

using namespace test;

namespace {

struct Room {
  Harness h;
  TestSender sender{0xa1, 1, 0x1235};
  explicit Room(uint32_t members, Media media = Media::audio) {
    for (const Bytes& c : worldCommands(members, media)) CHECK(apply(c));
  }
  bool apply(const Bytes& command, uint64_t now = 0) { return h.apply(command.data(), command.size(), now); }
  Channel& channel(uint32_t id) { return *h.core().channel(id); }
  Drop feed(uint32_t id, const Bytes& packet, uint64_t now) {
    return h.feed(channel(id), packet.data(), packet.size(), now);
  }
  // Events since the last time.
  size_t tick(uint64_t now) {
    h.core().events().clear();
    h.core().tick(now);
    return h.core().events().bytes().size();
  }
};

constexpr uint64_t MS = NS_PER_MS;

}  // namespace

TEST("channel", "a stream is made when it is bound and stays where it is; who only listens has none") {
  Room room(2);
  Channel& c = room.channel(1);
  CHECK(c.streams[0] == nullptr);
  Stream* made[MAX_STREAMS_PER_CHANNEL];
  for (uint32_t i = 0; i < MAX_STREAMS_PER_CHANNEL; i++) {
    const TestSender sender(0xa1 + i, i + 1, 0x1235);
    CHECK(room.feed(1, sender.rtp(0, 1, true, 20, 0), 0) == Drop::none);
    made[i] = c.find(0xa1 + i);
    CHECK(made[i] != nullptr && made[i]->place == i && made[i]->ssrc == 0xa1 + i);
  }
  for (uint32_t i = 0; i < MAX_STREAMS_PER_CHANNEL; i++) CHECK(c.find(0xa1 + i) == made[i]);
  CHECK(room.channel(2).streams[0] == nullptr);
  const TestSender tooMany(0xff, 99, 0x1235);
  CHECK(room.feed(1, tooMany.rtp(0, 1, true, 20, 0), 0) == Drop::stream_limit);
}

TEST("channel", "a stream that goes leaves no key behind") {
  alignas(Stream) unsigned char memory[sizeof(Stream)];
  auto* stream = new (memory) Stream();
  std::memset(static_cast<void*>(&stream->current.keys), 0x5a, sizeof stream->current.keys);
  std::memset(stream->previous.wrapped, 0x5a, sizeof stream->previous.wrapped);
  stream->~Stream();
  const volatile unsigned char* left = memory;
  size_t found = 0;
  for (size_t i = 0; i < sizeof memory; i++) found += left[i] != 0;
  CHECK(found == 0);
}

TEST("channel", "a tick looks at those channels only that have something to tell, until it is told") {
  Room room(100);
  room.tick(100 * MS);
  CHECK(room.h.core().onAgenda() == 0);
  CHECK(room.feed(1, room.sender.rtp(0, 1, true, 20, 9), 100 * MS) == Drop::none);
  CHECK(room.h.core().onAgenda() == 1);
  CHECK(room.tick(200 * MS) > 0);  // activity; the receiver report's turn comes later
  CHECK(room.h.core().onAgenda() == 1);
  CHECK(room.tick((300 + RELAY_REPORT_INTERVAL_MS) * MS) > 0);
  CHECK(room.h.core().onAgenda() == 0);
  CHECK(room.tick(9000 * MS) == 0);
  // It speaks again.
  CHECK(room.feed(1, room.sender.rtp(0, 2, true, 20, 9), 9000 * MS) == Drop::none);
  CHECK(room.h.core().onAgenda() == 1 && room.tick(9100 * MS) > 0);
  // Refused packets are summed up, of several channels.
  Bytes forged = room.sender.rtp(0, 3, true, 20, 9);
  forged[20] ^= 1;
  CHECK(room.feed(1, forged, 9200 * MS) == Drop::auth_failed && room.feed(2, forged, 9200 * MS) != Drop::none);
  CHECK(room.tick(9300 * MS) > 0);
  CHECK(room.tick(20000 * MS) == 0 && room.h.core().onAgenda() == 0);
}

TEST("channel", "keys that were replaced are wiped when their time is over, though nobody sends anything") {
  Room room(3);
  CHECK(room.apply(keysCommand(2, PROFILE_AES128_CM_SHA1_80), 1000 * MS));
  CHECK(room.channel(2).keys.replaced());
  room.tick(1100 * MS);
  CHECK(room.channel(2).keys.replaced() && room.h.core().onAgenda() == 1);
  room.tick((1100 + PREVIOUS_CHANNEL_KEYS_LIFETIME_MS) * MS);
  CHECK(!room.channel(2).keys.replaced() && room.h.core().onAgenda() == 0);
}

TEST("channel", "what is kept for retransmission expires although its sender has fallen silent") {
  Room room(3, Media::video);
  CHECK(room.feed(1, room.sender.rtp(0, 1, true, 20, 1), 100 * MS) == Drop::none);
  CHECK(room.channel(1).kept[0] != nullptr && room.channel(1).kept[0]->count() > 0);
  room.tick(200 * MS);
  // Nothing but the kept packet is left once the receiver report has told of it.
  constexpr uint64_t REPORT = 200 + RELAY_REPORT_INTERVAL_MS;
  CHECK(room.feed(1, room.sender.rtp(0, 2, true, 20, 1), (REPORT - 10) * MS) == Drop::none);
  room.tick(REPORT * MS);
  CHECK(!room.channel(1).reception[0].heard() && room.channel(1).kept[0]->count() > 0);
  room.tick((REPORT + RELAY_RETRANSMIT_AGE_MS) * MS);
  CHECK(room.channel(1).kept[0]->count() == 0);
}

TEST("channel", "a channel that is closed before the tick has nothing more to tell") {
  Room room(5);
  for (uint32_t id = 1; id <= 3; id++) {
    const TestSender sender(0xa1 + id, id, 0x1235);
    CHECK(room.feed(id, sender.rtp(0, 1, true, 20, 9), 0) == Drop::none);
  }
  CHECK(room.h.core().onAgenda() == 3);
  CHECK(room.apply(CommandWriter(OPCODE_closeChannel).u32(1).bytes));
  CHECK(room.h.core().onAgenda() == 2);
  CHECK(room.tick(100 * MS) > 0);
  CHECK(room.apply(CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes));
  CHECK(room.h.core().onAgenda() == 0 && room.tick(200 * MS) == 0);
}
