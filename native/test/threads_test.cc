// The relay threads on real sockets; also run under ThreadSanitizer.
#include "peers.h"

using namespace test;

TEST("threads", "what strangers sent before the proof is still in the socket's buffer, and is refused") {
  Relay relay(1, loopback(0), [] {});
  const Peer peer, stranger;
  postSet(relay);
  const uint16_t port = post(relay, 1, peer);
  const TestSender sender(0xa1, 1, 0x1235);
  // The threads do not run yet: all of this waits in the buffer while the socket is opened and connected.
  stranger.send(port, sender.rtp(0, 1, true, 20, 0));
  stranger.send(port, Bytes{22, 254, 253});
  peer.send(port, sender.rtp(0, 2, true, 20, 0));
  CHECK(relay.start());
  awaitIngress(relay, 3);
  relay.stop();
  CHECK(drops(relay, Drop::unknown_source) == 2);
  CHECK(counter(relay, THREAD_COUNTER_verified) == 1);
  EventBuffer events;
  relay.thread(0).collect(events);
  CHECK(events.bytes().size() == 10 && events.bytes()[0] == EVENT_bound);
}

TEST("threads", "a datagram longer than is allowed is malformed, not cut") {
  Relay relay(1, loopback(0), [] {});
  const Peer peer;
  postSet(relay);
  const uint16_t port = post(relay, 1, peer);
  Bytes longest(MAX_DATAGRAM_BYTES + 400, 0x80);
  peer.send(port, longest);
  CHECK(relay.start());
  awaitIngress(relay, 1);
  relay.stop();
  CHECK(drops(relay, Drop::malformed) == 1);
}

TEST("threads", "media, commands, events and counters at once") {
  std::atomic<int> notified{0};
  Relay relay(2, loopback(0), [&notified] { notified++; });
  CHECK(relay.start());
  const Peer peers[3];
  uint16_t ports[3];
  postSet(relay);
  for (uint32_t i = 0; i < 3; i++) ports[i] = post(relay, i + 1, peers[i]);
  const Bytes routes = routesCommand(Media::audio, {{1, 2, 1}, {1, 3, 1}, {2, 1, 1}});
  const Bytes none = routesCommand(Media::audio, {});
  relay.thread(0).post(routes.data(), routes.size());
  constexpr uint16_t PACKETS = 400;
  std::thread media([&] {
    const TestSender one(0xa1, 1, 0x1235), two(0xb1, 2, 0x1235);
    for (uint16_t s = 1; s <= PACKETS; s++) {
      peers[0].send(ports[0], one.rtp(0, s, s % 3 == 1, 100, 7));
      peers[1].send(ports[1], two.rtp(0, s, s % 3 == 1, 100, 7));
    }
  });
  EventBuffer events;
  size_t eventBytes = 0;
  for (uint32_t i = 0; i < 200; i++) {
    const Bytes& c = i % 2 == 0 ? none : routes;
    CHECK(relay.thread(0).post(c.data(), c.size()));
    if (i % 20 == 10) {
      const Bytes close = CommandWriter(OPCODE_closeChannel).u32(3).bytes;
      CHECK(relay.thread(0).post(close.data(), close.size()));
      ports[2] = post(relay, 3, peers[2]);
    }
    relay.thread(0).collect(events);
    eventBytes += events.bytes().size();
    events.clear();
    relay.thread(0).cpuNs();
    counter(relay, THREAD_COUNTER_egress);
    std::this_thread::yield();
  }
  media.join();
  // The kernel may drop on the way in; what came in was judged and nothing was refused.
  const auto arrived = [&] { return counter(relay, THREAD_COUNTER_ingress); };
  for (uint64_t before = arrived(); arrived() < 2u * PACKETS; before = arrived()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (arrived() == before) break;
  }
  relay.stop();
  relay.thread(0).collect(events);
  CHECK(eventBytes + events.bytes().size() > 0 && notified > 0);
  CHECK(counter(relay, THREAD_COUNTER_verified) == arrived() && arrived() > 0);
  CHECK(relay.thread(0).cpuNs() > 0);
}

TEST("threads", "a receiver whose network is gone (ENETUNREACH) costs a counter, and the others get their packets") {
  const int gone = unreachableFrom();
  if (gone < 0) {
    std::printf("skipped: needs IPv6 sockets\n");
    return;
  }
  Address any;
  parseAddress("::", 0, any);
  Relay relay(1, any, [] {});
  const Peer source, listener;
  postSet(relay);
  const uint16_t in = post(relay, 1, source);
  for (const Bytes& c : {openCommand(2, Media::audio, gone), CommandWriter(OPCODE_provePeer).u32(2).address(NOWHERE, 9).bytes,
                         keysCommand(2, 1), parametersCommand(2), ackCommand(2, 0x1235)}) {
    CHECK(relay.thread(0).post(c.data(), c.size()));
  }
  post(relay, 3, listener);
  const Bytes routes = routesCommand(Media::audio, {{1, 2, 1}, {1, 3, 1}});
  CHECK(relay.thread(0).post(routes.data(), routes.size()) && relay.start());
  const TestSender sender(0xa1, 1, 0x1235);
  constexpr uint16_t PACKETS = 40;
  uint8_t packet[MAX_DATAGRAM_BYTES];
  for (uint16_t i = 1; i <= PACKETS; i++) {
    source.send(in, sender.rtp(0, i, true, 100, 0));
    CHECK(eventually([&] { return listener.receive(packet, sizeof packet) > 0; }) && get16(packet + 2) == i);
  }
  CHECK(eventually([&] { return drops(relay, Drop::unreachable) == PACKETS; }));
  relay.stop();
  CHECK(counter(relay, THREAD_COUNTER_egress) == PACKETS && drops(relay, Drop::unreachable) == PACKETS);
  const uint64_t* lost = relay.counters()->data() + THREAD_WORDS + 2 * CHANNEL_WORDS + CHANNEL_COUNTER_drops;
  CHECK(lost[static_cast<uint32_t>(Drop::unreachable)] == PACKETS);
}
