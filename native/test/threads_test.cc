// The relay threads on real sockets; also run under ThreadSanitizer.
#include <arpa/inet.h>
#include <unistd.h>

#include "relay.h"
#include "world.h"

using namespace test;

namespace {

constexpr uint16_t FIRST_PORT = 33000, LAST_PORT = 39999;

Address loopback(uint16_t port) {
  Address a;
  parseAddress("127.0.0.1", port, a);
  return a;
}

// A peer's socket.
struct Peer {
  uint16_t port = 0;  // before fd: it is set while fd is made
  int fd;
  Peer() : fd(bindSocket(loopback(0), AF_INET, FIRST_PORT, LAST_PORT, port)) {}
  ~Peer() { close(fd); }
  void send(uint16_t to, const Bytes& bytes) const {
    sockaddr_storage name;
    socklen_t length = 0;
    toSockaddr(loopback(to), AF_INET, name, length);
    CHECK(sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&name), length) ==
          static_cast<ssize_t>(bytes.size()));
  }
  size_t receive(uint8_t* out, size_t room) const {
    const ssize_t n = recv(fd, out, room, MSG_DONTWAIT);
    return n < 0 ? 0 : static_cast<size_t>(n);
  }
};

uint64_t counter(const Relay& relay, uint32_t word) {
  return __atomic_load_n(relay.counters()->data() + word, __ATOMIC_RELAXED);
}
// Until the datagrams have been read; a relay that never reads them fails the test instead of hanging it.
void awaitIngress(const Relay& relay, uint64_t count) {
  for (int ms = 0; counter(relay, THREAD_COUNTER_ingress) < count && ms < 5000; ms++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(counter(relay, THREAD_COUNTER_ingress) == count);
}
uint64_t drops(const Relay& relay, Drop drop) {
  return counter(relay, THREAD_COUNTER_drops + static_cast<uint32_t>(drop));
}

// The channel's socket, opened and ready for media from `peer` under set 0x1235, posted but perhaps not carried out yet.
uint16_t post(Relay& relay, uint32_t id, const Peer& peer) {
  uint16_t port = 0;
  const int fd = relay.bindTo(FIRST_PORT, LAST_PORT, port);
  CHECK(fd >= 0);
  for (const Bytes& c : {openCommand(id, Media::audio, fd), proveCommand(id, peer.port), keysCommand(id, 1),
                         parametersCommand(id), ackCommand(id, 0x1235)}) {
    CHECK(relay.thread(0).post(c.data(), c.size()));
  }
  return port;
}

void postSet(Relay& relay) {
  const Bytes conference = CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_end_to_end).bytes;
  const Bytes set = setCommand(0x1235);
  relay.thread(0).post(conference.data(), conference.size());
  relay.thread(0).post(set.data(), set.size());
}

}  // namespace

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
