// What waits for room in the kernel, and who loses what when there is none for longer.
#include "sending.h"

using namespace test;

namespace {

constexpr uint32_t LIMIT = RELAY_BACKLOG_PACKETS_PER_RECEIVER;

// From now on `c` waits.
void block(Sending& s, Channel& c, const Bytes& first) {
  s.queue(c, first);
  s.transport.script = {{0, Sent::full}};
  s.egress.flush();
}

// Queued and flushed one at a time, as a receiver that waits gets them.
void append(Sending& s, Channel& c, const Bytes& packet) {
  s.queue(c, packet);
  s.egress.flush();
}

std::vector<uint16_t> sequences(const std::vector<Bytes>& packets) {
  std::vector<uint16_t> out;
  for (const Bytes& b : packets) out.push_back(get16(&b[2]));
  return out;
}

}  // namespace

TEST("backlog", "at a receiver's limit the oldest video frame goes, all of it, and no report") {
  Sending s;
  Channel& c = s.receiver(Media::video);
  block(s, c, report(0xa1));
  // Two streams with the same timestamps, frames of five packets each, until one more does not fit.
  uint16_t sequence = 0;
  for (uint32_t frame = 0; c.backlog.count < LIMIT; frame++) {
    for (uint32_t ssrc : {0xa1u, 0xb1u}) {
      for (int i = 0; i < 5 && c.backlog.count < LIMIT; i++) append(s, c, rtp(sequence++, frame, 100, ssrc));
    }
  }
  CHECK(s.drops(Drop::queue_full) == 0);
  append(s, c, rtp(sequence++, 900, 100));
  CHECK(s.drops(c, Drop::queue_full) == 5 && s.drops(Drop::queue_full) == 5 && c.backlog.count == LIMIT - 4);
  for (int i = 0; i < 5; i++) append(s, c, rtp(sequence++, 901, 100));
  CHECK(s.drops(c, Drop::queue_full) == 10);
  s.egress.resume(c, Drop::none);
  CHECK(s.partOf(c) && s.transport.got[&c][0] == report(0xa1) && s.transport.got[&c].size() == LIMIT + 6 - 10);
  // The first frame of 0xa1 and then that of 0xb1, which is as old.
  CHECK(get16(&s.transport.got[&c][1][2]) == 10);
}

TEST("backlog", "a frame that alone is longer than the limit, and reports that are") {
  Sending s;
  Channel& c = s.receiver(Media::video);
  block(s, c, rtp(0, 7, 100));
  for (uint16_t i = 1; i < LIMIT + 1; i++) append(s, c, rtp(i, 7, 100));
  CHECK(s.drops(c, Drop::queue_full) == LIMIT && c.backlog.count == 1);
  for (uint32_t i = 0; i < LIMIT; i++) append(s, c, report(0xa1 + i));
  CHECK(s.drops(c, Drop::queue_full) == LIMIT + 1);
  append(s, c, report(0xffff));
  CHECK(s.drops(c, Drop::queue_full) == LIMIT + 2 && c.backlog.count == LIMIT);
  s.egress.resume(c, Drop::none);
  CHECK(s.transport.got[&c].front() == report(0xa2) && s.transport.got[&c].back() == report(0xffff));
}

TEST("backlog", "of audio only the oldest packet goes") {
  Sending s;
  Channel& c = s.receiver(Media::audio);
  block(s, c, rtp(0, 7, 100));
  for (uint16_t i = 1; i < LIMIT + 10; i++) append(s, c, rtp(i, 7, 100));
  CHECK(s.drops(c, Drop::queue_full) == 10 && c.backlog.count == LIMIT);
  s.egress.resume(c, Drop::none);
  const std::vector<uint16_t> got = sequences(s.transport.got[&c]);
  CHECK(got.size() == LIMIT && got.front() == 10 && got.back() == LIMIT + 9);
}

TEST("backlog", "when the thread's memory is used up audio takes the place of the oldest video, video only its own") {
  Sending s;
  constexpr uint32_t FULL = RELAY_BACKLOG_PACKETS / LIMIT;
  std::vector<Channel*> videos;
  for (uint32_t r = 0; r < FULL; r++) {
    videos.push_back(&s.receiver(Media::video));
    block(s, *videos[r], rtp(0, 0, 100));
    for (uint16_t i = 1; i < LIMIT; i++) append(s, *videos[r], rtp(i, i / 4u, 100));
  }
  CHECK(s.drops(Drop::queue_full) == 0);
  // A receiver of video that has nothing waiting loses what it would wait for; it takes nobody's place.
  Channel& late = s.receiver(Media::video);
  block(s, late, rtp(0, 0, 100));
  CHECK(s.drops(late, Drop::queue_full) == 1 && late.backlog.count == 0 && s.drops(Drop::queue_full) == 1);
  Channel& audio = s.receiver(Media::audio);
  block(s, audio, rtp(0, 0, 100));
  for (uint16_t i = 1; i < 8; i++) append(s, audio, rtp(i, i, 100));
  CHECK(audio.backlog.count == 8 && s.drops(audio, Drop::queue_full) == 0);
  CHECK(s.drops(*videos[0], Drop::queue_full) == 8 && s.drops(Drop::queue_full) == 9);
  // Without video in the memory audio loses its own oldest packet.
  for (Channel* v : videos) s.egress.forget(*v);
  for (uint32_t r = 0; r < FULL; r++) {
    Channel& c = r == 0 ? audio : s.receiver(Media::audio);
    if (r > 0) block(s, c, rtp(0, 0, 100));
    while (c.backlog.count < LIMIT) append(s, c, rtp(9, 0, 100));
  }
  Channel& last = s.receiver(Media::audio);
  block(s, last, rtp(0, 0, 100));
  CHECK(s.drops(last, Drop::queue_full) == 1 && last.backlog.count == 0);
  for (auto& c : s.receivers) s.egress.resume(*c, Drop::none);
  for (auto& c : s.receivers) CHECK(c->backlog.count == 0 && (s.partOf(*c) || c.get() == videos[0]));
}

TEST("backlog", "a receiver that closes gives its places back, again and again") {
  Sending s;
  for (uint32_t round = 0; round < 3 * RELAY_BACKLOG_PACKETS / LIMIT; round++) {
    Channel& c = s.receiver(Media::audio);
    block(s, c, rtp(0, 0, 100));
    for (uint16_t i = 1; i < LIMIT; i++) append(s, c, rtp(i, i, 100));
    CHECK(c.backlog.count == LIMIT);
    s.egress.forget(c);
    CHECK(c.backlog.count == 0);
  }
  CHECK(s.drops(Drop::queue_full) == 0);
}

TEST("backlog", "what waits does not leave to a receiver that meanwhile is below the conference's level, or not ready") {
  for (const bool level : {true, false}) {
    Room room(3);
    Channel& two = *room.core.channel(2);
    room.transport.script = {{0, Sent::full}, {0, Sent::full}};
    CHECK(room.feed(room.next()) == Drop::none && two.backlog.count == 1);
    const Bytes lower = CommandWriter(OPCODE_setParameters).u32(2).u8(level ? 7 : 3)
                            .u8(level ? LEVEL_none : LEVEL_end_to_end).u16(0x0e).u8(1).u8(96).u8(1).bytes;
    CHECK(room.core.apply(lower.data(), lower.size(), 0));
    room.core.writable(two);
    CHECK(two.backlog.count == 0 && room.transport.got[&two].empty() && !room.transport.awaiting[&two]);
    CHECK(room.drops(2, level ? Drop::below_level : Drop::not_ready) == 1);
    room.core.writable(*room.core.channel(3));
    CHECK(room.transport.got[room.core.channel(3)].size() == 1);
    const Bytes close = CommandWriter(OPCODE_closeChannel).u32(2).bytes;
    CHECK(room.core.apply(close.data(), close.size(), 0));
  }
}
