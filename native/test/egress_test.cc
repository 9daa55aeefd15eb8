// What leaves in which order, whatever the kernel says.
#include "sending.h"

using namespace test;

TEST("egress", "runs: equal lengths and one shorter at the end, 64 packets and 65,507 bytes at most") {
  Sending s;
  Channel& c = s.receiver(Media::video);
  uint16_t sequence = 0;
  const auto lengths = [&](const std::vector<size_t>& all) {
    for (const size_t length : all) s.queue(c, rtp(sequence++, 0, length));
    s.transport.runSizes.clear();
    s.egress.flush();
    return s.transport.runSizes;
  };
  using Sizes = std::vector<uint32_t>;
  CHECK(lengths({100}) == Sizes({1}));
  CHECK(lengths({100, 100, 100}) == Sizes({3}));
  CHECK(lengths({100, 100, 40, 40, 100}) == Sizes({3, 1, 1}));
  CHECK(lengths({100, 40, 30}) == Sizes({2, 1}));
  CHECK(lengths({40, 100, 100, 101}) == Sizes({1, 2, 1}));
  CHECK(lengths(std::vector<size_t>(64, 100)) == Sizes({64}));
  CHECK(lengths(std::vector<size_t>(64, 1200)) == Sizes({54, 10}));
  CHECK(s.whole(c));
  CHECK(s.words[THREAD_COUNTER_egress] == sequence && c.words[CHANNEL_COUNTER_packetsOut] == sequence);
  size_t bytes = 0;
  for (const Bytes& b : s.queued[&c]) bytes += b.size();
  CHECK(c.words[CHANNEL_COUNTER_bytesOut] == bytes);
}

TEST("egress", "no room in the middle of a list: the rest waits in order, and later packets behind it") {
  Sending s;
  Channel& c = s.receiver(Media::video);
  Channel& other = s.receiver(Media::video);
  for (uint16_t i = 0; i < 20; i++) s.queue(c, rtp(i, i / 4, i < 10 ? 300 : 200 + i));
  s.queue(other, rtp(1, 1, 300));
  s.transport.script = {{2, Sent::full}};
  s.egress.flush();
  CHECK(s.transport.got[&c].size() == 12 && s.transport.awaiting[&c] && c.backlog.count == 8);
  CHECK(s.whole(other) && !s.transport.awaiting[&other]);
  const int calls = s.transport.calls;
  // The variants of the first drain are overwritten; nobody asks a kernel that is known to have no room.
  for (uint16_t i = 20; i < 30; i++) s.queue(c, rtp(i, 50, 300));
  s.egress.flush();
  CHECK(s.transport.calls == calls && c.backlog.count == 18);
  s.transport.script = {{1, Sent::full}};
  s.egress.resume(c, Drop::none);
  CHECK(s.transport.awaiting[&c] && c.backlog.count < 18);
  s.egress.resume(c, Drop::none);
  CHECK(s.whole(c) && c.backlog.count == 0 && !s.transport.awaiting[&c]);
  s.queue(c, rtp(30, 51, 300));
  s.egress.flush();
  CHECK(s.whole(c));
  CHECK(s.words[THREAD_COUNTER_egress] == 32 && s.drops(Drop::queue_full) == 0);
}

TEST("egress", "a list cut short is taken up where it ended") {
  Sending s;
  Channel& c = s.receiver(Media::audio);
  for (uint16_t i = 0; i < 12; i++) s.queue(c, rtp(i, i, 100 + i));
  s.transport.script = {{5, Sent::some}, {1, Sent::some}};
  s.egress.flush();
  CHECK(s.transport.calls == 3 && s.whole(c));
}

TEST("egress", "runs that a path refuses go packet by packet, for that receiver alone, and are counted once") {
  Sending s;
  Channel& good = s.receiver(Media::video);
  Channel& bad = s.receiver(Media::video);
  const auto round = [&](uint16_t first) {
    for (Channel* c : {&good, &bad}) {
      s.queue(*c, rtp(first, 1, 90));
      for (uint16_t i = 1; i < 6; i++) s.queue(*c, rtp(static_cast<uint16_t>(first + i), 2, 300));
    }
  };
  round(0);
  s.transport.script = {{2, Sent::all}, {1, Sent::unsegmented}};
  s.egress.flush();
  CHECK(s.whole(good) && s.whole(bad) && s.words[THREAD_COUNTER_unsegmented] == 1);
  round(10);
  s.transport.runSizes.clear();
  s.egress.flush();
  CHECK(s.transport.runSizes == std::vector<uint32_t>({1, 5, 1, 1, 1, 1, 1, 1}));
  CHECK(s.whole(good) && s.whole(bad) && s.words[THREAD_COUNTER_unsegmented] == 1);
}

TEST("egress", "a machine that refuses every run is not asked for ever, one that took a run is") {
  for (const bool tookOne : {false, true}) {
    Sending s;
    const auto two = [&](Channel& c) {
      for (uint16_t i = 0; i < 2; i++) s.queue(c, rtp(i, 1, 300));
    };
    if (tookOne) {
      two(s.receiver(Media::video));
      s.egress.flush();
    }
    for (int i = 0; i < 8; i++) {
      two(s.receiver(Media::video));
      s.transport.runSizes.clear();
      s.transport.script = {{0, Sent::unsegmented}};
      if (!tookOne && i >= 4) s.transport.script.clear();
      s.egress.flush();
      const bool asked = s.transport.runSizes.front() == 2;
      CHECK(asked == (tookOne || i < 4));
    }
    for (auto& c : s.receivers) CHECK(s.whole(*c));
    CHECK(s.words[THREAD_COUNTER_unsegmented] == (tookOne ? 8 : 4));
  }
}

TEST("egress", "a receiver that nobody listens at costs a counter and a bounded number of calls") {
  Sending s;
  Channel& c = s.receiver(Media::audio);
  Channel& other = s.receiver(Media::audio);
  for (uint16_t i = 0; i < 40; i++) {
    s.queue(c, rtp(i, i, 100 + i));
    s.queue(other, rtp(i, i, 100 + i));
  }
  // As a closed port answers: every datagram taken leaves an error that ends the list after the next.
  s.transport.script = {{1, Sent::some}, {1, Sent::some}, {1, Sent::some}};
  s.egress.flush();
  CHECK(s.transport.calls == 4 && s.whole(other));
  CHECK(s.drops(c, Drop::unreachable) == 37 && s.drops(Drop::unreachable) == 37 && c.backlog.count == 0);
  s.queue(c, rtp(40, 40, 100));
  s.transport.script = {{0, Sent::gone}};
  s.egress.flush();
  CHECK(s.drops(c, Drop::unreachable) == 38 && !s.transport.awaiting[&c]);
  // It goes away while packets wait.
  s.queue(c, rtp(41, 41, 100));
  s.queue(c, rtp(42, 42, 101));
  s.transport.script = {{0, Sent::full}, {1, Sent::gone}};
  s.egress.flush();
  s.egress.resume(c, Drop::none);
  CHECK(s.drops(c, Drop::unreachable) == 39 && c.backlog.count == 0 && !s.transport.awaiting[&c]);
  CHECK(s.partOf(c));
}

TEST("egress", "whatever the kernel does, each receiver gets its packets in order, and what is missing is counted") {
  Random random;
  for (int world = 0; world < 60; world++) {
    Sending s;
    std::vector<Channel*> all;
    for (int i = 0; i < 3; i++) all.push_back(&s.receiver(i == 0 ? Media::audio : Media::video));
    uint16_t sequence = 0;
    for (int drain = 0; drain < 60; drain++) {
      const size_t length = 60 + random.below(4) * 100;
      for (uint64_t n = random.below(80); n > 0; n--) {
        const Bytes packet = rtp(sequence, sequence / 8u, random.below(4) == 0 ? 20 + random.below(900) : length);
        sequence++;
        Variant* v = s.variant(packet);
        for (Channel* c : all) {
          if (random.below(4) == 0) continue;
          s.queued[c].push_back(packet);
          s.egress.queue(*c, v);
        }
      }
      for (uint64_t n = random.below(6); n > 0; n--) {
        const Sent outcomes[] = {Sent::full, Sent::some, Sent::unsegmented, Sent::full, Sent::gone};
        s.transport.script.push_back({random.below(8), outcomes[random.below(world % 2 == 0 ? 3 : 5)]});
      }
      s.egress.flush();
      for (Channel* c : all) {
        CHECK((c->backlog.count == 0) || s.transport.awaiting[c]);
        if (s.transport.awaiting[c] && random.below(3) == 0) s.egress.resume(*c, Drop::none);
      }
    }
    s.transport.script.clear();
    for (Channel* c : all) {
      s.egress.resume(*c, Drop::none);
      CHECK(c->backlog.count == 0 && s.partOf(*c));
      const uint64_t lost = s.drops(*c, Drop::queue_full) + s.drops(*c, Drop::unreachable);
      CHECK(s.transport.got[c].size() + lost == s.queued[c].size());
      CHECK(s.transport.got[c].size() == c->words[CHANNEL_COUNTER_packetsOut]);
    }
  }
}
