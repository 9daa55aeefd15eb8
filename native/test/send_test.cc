// The relay threads' way out on real sockets; also run under ThreadSanitizer.
#include <sched.h>

#include <cstdlib>

#include "counting_new.h"
#include "peers.h"

using namespace test;

namespace {

std::atomic<uint64_t> allocations{0};

// Of the whole test program.
void countAllocation() { allocations.fetch_add(1, std::memory_order_relaxed); }

void postAll(Relay& relay, const std::vector<Bytes>& commands) {
  for (const Bytes& c : commands) CHECK(relay.thread(0).post(c.data(), c.size()));
}

// Until the socket has given `count` datagrams or nothing for long. Their sequence numbers, in order of arrival.
std::vector<uint16_t> arrivals(const Peer& peer, size_t count) {
  std::vector<uint16_t> out;
  uint8_t packet[MAX_DATAGRAM_BYTES];
  while (out.size() < count) {
    if (!eventually([&] { return peer.receive(packet, sizeof packet) > 0; })) break;
    out.push_back(get16(packet + 2));
  }
  return out;
}

std::vector<uint16_t> upTo(uint16_t last) {
  std::vector<uint16_t> out;
  for (uint16_t i = 1; i <= last; i++) out.push_back(i);
  return out;
}

// A network namespace of this thread's own, whose loopback is slow and lets a socket's packets wait; false: not allowed
// here, or a tool is missing.
bool slowLoopback() {
  return unshare(CLONE_NEWNET) == 0 && std::system("ip link set lo up 2>/dev/null && "
         "tc qdisc add dev lo root tbf rate 40mbit burst 5k limit 50m 2>/dev/null") == 0;
}

void relayOverSlowLoopback() {
  Relay relay(1, loopback(0), [] {});
  const Peer source, sink;
  postSet(relay);
  const uint16_t in = post(relay, 1, source, Media::video);
  uint16_t port = 0;
  const int fd = relay.bindTo(FIRST_PORT, LAST_PORT, port);
  const int bytes = 4096;
  CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
  postAll(relay, {openCommand(2, Media::video, fd), proveCommand(2, sink.port), parametersCommand(2),
                  ackCommand(2, 0x1235), routesCommand(Media::video, {{1, 2, 1}})});
  // Much more than the socket holds, less than may wait.
  constexpr uint16_t PACKETS = 120;
  const TestSender sender(0xa1, 1, 0x1235);
  for (uint16_t i = 1; i <= PACKETS; i++) source.send(in, sender.rtp(0, i, true, i % 3 == 0 ? 400 : 1000, i == 1 ? 1 : 0));
  CHECK(relay.start());
  const std::vector<uint16_t> got = arrivals(sink, PACKETS);
  relay.stop();
  CHECK(got == upTo(PACKETS));
  CHECK(counter(relay, THREAD_COUNTER_egress) == PACKETS && drops(relay, Drop::queue_full) == 0);
}

}  // namespace

TEST("threads", "a receiver's socket without room: what waits leaves when there is room, in order, and nothing is lost") {
  bool run = false;
  std::thread elsewhere([&run] {
    run = slowLoopback();
    if (run) relayOverSlowLoopback();
  });
  elsewhere.join();
  if (!run) std::printf("skipped: a slow loopback needs the right to make a network namespace, ip and tc\n");
}

TEST("threads", "no packet costs an allocation") {
  for (const Media media : {Media::audio, Media::video}) {
    Relay relay(1, loopback(0), [] {}, IngressLimits{0, 0});
    const Peer peers[4];
    postSet(relay);
    uint16_t in = 0;
    for (uint32_t i = 0; i < 4; i++) {
      const uint16_t port = post(relay, i + 1, peers[i], media);
      if (i == 0) in = port;
    }
    postAll(relay, {routesCommand(media, {{1, 2, 1}, {1, 3, 1}, {1, 4, 2}})});
    constexpr uint16_t PACKETS = 3000, WARM_UP = 50, BURST = 10;
    std::vector<Bytes> packets;
    const TestSender sender(0xa1, 1, 0x1235);
    for (uint16_t i = 1; i <= PACKETS; i++) packets.push_back(sender.rtp(0, i, i % 3 == 1, 200 + i % 2, 1));
    EventBuffer events;
    CHECK(relay.start());
    uint64_t before = 0;
    for (uint16_t i = 0; i < PACKETS; i++) {
      if (i == WARM_UP) before = allocations;
      peers[0].send(in, packets[i]);
      if (i % BURST == BURST - 1) awaitIngress(relay, i + 1u);
      if (i % 500 == 499) relay.thread(0).collect(events), events.clear();
    }
    CHECK(eventually([&] { return counter(relay, THREAD_COUNTER_egress) == 3 * PACKETS; }));
    CHECK(allocations == before);
    CHECK(counter(relay, THREAD_COUNTER_variants) == 2 * PACKETS && before > 0);
    relay.stop();
  }
}

TEST("threads", "a source at many times its rate is limited, and another conference does not lose a packet by it") {
  constexpr uint32_t OTHER = CONFERENCE + 1;
  Relay relay(1, loopback(0), [] {});
  const Peer flood, victim, speaker, listener;
  postSet(relay);
  postSet(relay, OTHER);
  const uint16_t floodIn = post(relay, 1, flood);
  post(relay, 2, victim);
  const uint16_t speakerIn = post(relay, 3, speaker, Media::audio, OTHER);
  post(relay, 4, listener, Media::audio, OTHER);
  postAll(relay, {routesCommand(Media::audio, {{1, 2, 1}}), routesCommand(Media::audio, {{3, 4, 1}}, OTHER)});
  CHECK(relay.start());
  std::atomic<bool> done{false};
  const auto began = std::chrono::steady_clock::now();
  std::thread flooding([&] {
    const TestSender sender(0xa1, 1, 0x1235);
    for (uint32_t i = 1; !done; i++) flood.send(floodIn, sender.rtp(i >> 16, static_cast<uint16_t>(i), true, 100, 0));
  });
  // Speech begins when the flood is at its limit.
  CHECK(eventually([&] { return drops(relay, Drop::rate_limited) > 0; }));
  const TestSender sender(0xb1, 2, 0x1235);
  constexpr uint16_t PACKETS = 100;
  for (uint16_t i = 1; i <= PACKETS; i++) {
    speaker.send(speakerIn, sender.rtp(0, i, true, 100, 0));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(arrivals(listener, PACKETS) == upTo(PACKETS));
  done = true;
  flooding.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  relay.stop();
  const double allowed = RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND * (seconds.count() + RELAY_INGRESS_BURST_MS / 1000.0);
  const uint64_t toVictim = counter(relay, THREAD_COUNTER_egress) - PACKETS;
  CHECK(toVictim >= RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND * RELAY_INGRESS_BURST_MS / 1000);
  CHECK(static_cast<double>(toVictim) <= allowed + 1);
}
