// A conference on several running threads and real sockets; also run under ThreadSanitizer.
#include <algorithm>

#include "peers.h"
#include "spread.h"

using namespace test;

namespace {

uint64_t counterOf(const Relay& relay, size_t thread, uint32_t word) {
  return __atomic_load_n(relay.counters()->data() + thread * THREAD_REGION_WORDS + word, __ATOMIC_RELAXED);
}
uint64_t sum(const Relay& relay, uint32_t word) {
  uint64_t all = 0;
  for (size_t t = 0; t < relay.counters()->size() / THREAD_REGION_WORDS; t++) all += counterOf(relay, t, word);
  return all;
}
uint64_t dropped(const Relay& relay, Drop drop) { return sum(relay, THREAD_COUNTER_drops + static_cast<uint32_t>(drop)); }

void command(Relay& relay, size_t thread, const Bytes& bytes) {
  CHECK(relay.thread(thread).post(bytes.data(), bytes.size()));
}

// As JavaScript opens a channel: home is thread 0, the branch is told first.
uint16_t openOn(Relay& relay, uint32_t id, size_t thread, const Peer& peer, Media media) {
  if (thread == 0) return post(relay, id, peer, media);
  uint16_t port = 0;
  const int fd = relay.bindTo(FIRST_PORT, LAST_PORT, port);
  CHECK(fd >= 0);
  for (const Bytes& c : {openBranchCommand(id, media, fd), proveCommand(id, peer.port), setBranchCommand(id, true)}) {
    command(relay, thread, c);
  }
  for (const Bytes& c : {openAwayCommand(id, media, thread), proveCommand(id, peer.port), keysCommand(id, 1),
                         parametersCommand(id), ackCommand(id, 0x1235)}) {
    command(relay, 0, c);
  }
  return port;
}
void closeOn(Relay& relay, uint32_t id, size_t thread) {
  if (thread != 0) command(relay, thread, closeCommand(id));
  command(relay, 0, closeCommand(id));
}

// Sequence numbers of what waits at a peer, of one stream.
std::vector<uint16_t> received(const Peer& peer, uint32_t ssrc, size_t count) {
  std::vector<uint16_t> out;
  uint8_t bytes[2048];
  eventually([&] {
    for (size_t n = peer.receive(bytes, sizeof bytes); n > 0; n = peer.receive(bytes, sizeof bytes)) {
      if (n > 12 && get32(bytes + 8) == ssrc) out.push_back(get16(bytes + 2));
    }
    return out.size() >= count;
  });
  return out;
}

// Until nothing comes out of the relay any more and nothing waits at the peers, whose buffers are full of what nobody read.
template <size_t N>
void drain(const Relay& relay, const Peer (&peers)[N]) {
  uint8_t bytes[2048];
  CHECK(eventually([&] {
    const uint64_t before = sum(relay, THREAD_COUNTER_egress) + sum(relay, THREAD_COUNTER_ingress);
    bool any = false;
    for (const Peer& peer : peers) {
      while (peer.receive(bytes, sizeof bytes) > 0) any = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return !any && sum(relay, THREAD_COUNTER_egress) + sum(relay, THREAD_COUNTER_ingress) == before;
  }));
}

std::vector<TestEdge> everybody(const std::vector<uint32_t>& ids) {
  std::vector<TestEdge> edges;
  for (const uint32_t from : ids) {
    for (const uint32_t to : ids) {
      // A sink of its own for each source: a display shows one.
      if (from != to) edges.push_back({from, to, static_cast<uint8_t>(1 + from % 14)});
    }
  }
  return edges;
}

}  // namespace

TEST("threads", "a conference on three threads: every receiver gets every packet in order, one tag made for all") {
  Relay relay(3, loopback(0), [] {});
  const Peer peers[6];
  const size_t where[6] = {1, 0, 1, 2, 0, 2};
  postSet(relay);
  CHECK(relay.start());
  std::vector<uint32_t> ids;
  uint16_t in = 0;
  for (uint32_t i = 0; i < 6; i++) {
    const uint16_t port = openOn(relay, i + 1, where[i], peers[i], Media::audio);
    if (i == 0) in = port;
    ids.push_back(i + 1);
  }
  command(relay, 0, routesCommand(Media::audio, everybody(ids)));
  const TestSender sender(0xa1, 1, 0x1235);
  constexpr uint16_t PACKETS = 400;
  std::vector<uint16_t> expected;
  for (uint16_t i = 1; i <= PACKETS; i++) {
    peers[0].send(in, sender.rtp(0, i, i % 3 == 1, 80, 7));
    expected.push_back(i);
    // No faster than what the sockets' buffers hold.
    if (i % 50 == 0) CHECK(eventually([&] { return sum(relay, THREAD_COUNTER_egress) == 5u * i; }));
  }
  for (uint32_t i = 1; i < 6; i++) CHECK(received(peers[i], 0xa1, PACKETS) == expected);
  CHECK(counterOf(relay, 0, THREAD_COUNTER_variants) == PACKETS && sum(relay, THREAD_COUNTER_variants) == PACKETS);
  CHECK(counterOf(relay, 0, THREAD_COUNTER_handedOver) == 3 * PACKETS);
  relay.stop();
}

TEST("threads", "what is posted before a packet is sent is in force for it, also when it comes by another thread") {
  Relay relay(2, loopback(0), [] {});
  const Peer source, receiver;
  postSet(relay);
  CHECK(relay.start());
  const uint16_t in = openOn(relay, 1, 1, source, Media::audio);
  openOn(relay, 2, 1, receiver, Media::audio);
  const TestSender sender(0xa1, 1, 0x1235);
  for (uint16_t i = 1; i <= 300; i++) {
    command(relay, 0, routesCommand(Media::audio, i % 2 == 1 ? std::vector<TestEdge>{{1, 2, 1}} : std::vector<TestEdge>{}));
    source.send(in, sender.rtp(0, i, true, 80, 7));
    CHECK(eventually([&] { return counterOf(relay, 0, THREAD_COUNTER_verified) == i; }));
  }
  const std::vector<uint16_t> got = received(receiver, 0xa1, 150);
  CHECK(got.size() == 150);
  for (size_t i = 0; i < got.size(); i++) CHECK(got[i] == 2 * i + 1);
  relay.stop();
}

TEST("threads", "routes, keys, joins and leaves of a conference on three threads, all at once and under load") {
  for (const Media media : {Media::audio, Media::video}) {
    Relay relay(3, loopback(0), [] {}, IngressLimits{0, 0});
    CHECK(relay.start());
    constexpr uint32_t STAYING = 6, COMING = 3;
    const Peer peers[STAYING], guests[COMING];
    postSet(relay);
    std::vector<uint32_t> ids;
    uint16_t ports[STAYING];
    for (uint32_t i = 0; i < STAYING; i++) {
      ports[i] = openOn(relay, i + 1, i % 3, peers[i], media);
      ids.push_back(i + 1);
    }
    const Bytes routes = routesCommand(media, everybody(ids)), none = routesCommand(media, {});
    command(relay, 0, routes);
    std::atomic<bool> done{false};
    uint32_t nack = 0;
    std::thread traffic([&] {
      const TestSender senders[] = {{0xa1, 1, 0x1235}, {0xb1, 2, 0x1235}, {0xc1, 3, 0x1235}};
      for (uint32_t n = 1; !done; n++) {
        const auto sequence = static_cast<uint16_t>(n);
        for (size_t i = 0; i < 3; i++) peers[i].send(ports[i], senders[i].rtp(n >> 16, sequence, n % 3 == 1, 300, n % 10 == 1 ? 1 : 0));
        if (n % 8 == 0) {
          const auto lost = static_cast<uint16_t>(sequence - 4);
          peers[4].send(ports[4], protectedControl(5, 1, nackCompound(0xa1, {{lost, 0b11}}), ++nack));
        }
        if (n % 16 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    uint32_t next = 100;
    EventBuffer events;
    for (uint32_t round = 0; round < 120; round++) {
      const uint32_t guest = next++;
      const size_t thread = round % 3;
      const uint16_t port = openOn(relay, guest, thread, guests[round % COMING], media);
      std::vector<uint32_t> all = ids;
      all.push_back(guest);
      command(relay, 0, round % 5 == 0 ? none : routesCommand(media, everybody(all)));
      const TestSender visiting(0x10000u + guest * 256 + 1, guest, 0x1235);
      for (uint16_t i = 1; i <= 5; i++) guests[round % COMING].send(port, visiting.rtp(0, i, true, 100, 1));
      if (round % 4 == 1) {
        const auto spi = static_cast<uint16_t>(0x1237 + 2 * round);
        command(relay, 0, setCommand(spi));
        for (const uint32_t id : ids) command(relay, 0, ackCommand(id, spi));
        command(relay, 0, CommandWriter(OPCODE_dropSet).u32(CONFERENCE).u16(spi).bytes);
      }
      if (round % 6 == 2) command(relay, 2, setBranchCommand(3, false)), command(relay, 2, setBranchCommand(3, true));
      closeOn(relay, guest, thread);
      for (size_t t = 0; t < 3; t++) {
        relay.thread(t).collect(events);
        events.clear();
        relay.thread(t).cpuNs();
      }
      counterOf(relay, round % 3, THREAD_COUNTER_loadPermille);
      const uint64_t verified = sum(relay, THREAD_COUNTER_verified);
      CHECK(eventually([&] { return sum(relay, THREAD_COUNTER_verified) > verified; }));
    }
    done = true;
    traffic.join();
    // Nothing was broken by it: what is sent now reaches everybody.
    drain(relay, peers);
    command(relay, 0, routesCommand(media, {{4, 1, 1}, {4, 2, 1}, {4, 3, 1}, {4, 5, 1}, {4, 6, 1}}));
    const TestSender last(0xd1, 9, 0x1235);
    for (uint16_t i = 1; i <= 20; i++) peers[3].send(ports[3], last.rtp(0, i, i == 1, 100, i == 1 ? 1 : 0));
    for (const uint32_t i : {0u, 1u, 2u, 4u, 5u}) {
      const std::vector<uint16_t> got = received(peers[i], 0xd1, 20);
      CHECK(got.size() == 20 && std::is_sorted(got.begin(), got.end()));
    }
    CHECK(dropped(relay, Drop::auth_failed) == 0 && dropped(relay, Drop::replayed) == 0);
    if (media == Media::video) {
      peers[4].send(ports[4], protectedControl(5, 1, nackCompound(0xd1, {{10, 0}}), ++nack));
      CHECK(received(peers[4], 0xd1, 1) == std::vector<uint16_t>{10});
    }
    relay.stop();
  }
}

TEST("threads", "threads that stop while others still hand them packets, and conferences that close meanwhile") {
  for (int round = 0; round < 6; round++) {
    Relay relay(3, loopback(0), [] {}, IngressLimits{0, 0});
    CHECK(relay.start());
    const Peer peers[6];
    postSet(relay);
    std::vector<uint32_t> ids;
    uint16_t ports[6];
    for (uint32_t i = 0; i < 6; i++) {
      ports[i] = openOn(relay, i + 1, i % 3, peers[i], Media::audio);
      ids.push_back(i + 1);
    }
    command(relay, 0, routesCommand(Media::audio, everybody(ids)));
    std::atomic<bool> done{false};
    std::thread traffic([&] {
      const TestSender one(0xa1, 1, 0x1235), two(0xb1, 2, 0x1235);
      for (uint32_t n = 1; !done; n++) {
        peers[0].send(ports[0], one.rtp(n >> 16, static_cast<uint16_t>(n), n % 3 == 1, 200, 1));
        peers[1].send(ports[1], two.rtp(n >> 16, static_cast<uint16_t>(n), n % 3 == 1, 200, 1));
      }
    });
    CHECK(eventually([&] { return counterOf(relay, 1, THREAD_COUNTER_egress) > 100; }));
    const Bytes close = CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes;
    if (round % 2 == 1) {
      for (const size_t thread : {2, 0, 1}) command(relay, thread, close);
    }
    // One by one, in another order each time.
    for (size_t t = 0; t < 3; t++) relay.thread((t + static_cast<size_t>(round)) % 3).stop();
    done = true;
    traffic.join();
  }
}
