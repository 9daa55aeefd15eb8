// Relay threads on real sockets, and who they talk to.
#pragma once
#include <arpa/inet.h>
#include <unistd.h>

#include "relay.h"
#include "world.h"

namespace test {

constexpr uint16_t FIRST_PORT = 33000, LAST_PORT = 39999;

inline Address loopback(uint16_t port) {
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

// A documentation address (RFC 3849), and a socket that has no route to it whatever the machine's routes are: it is tied to
// the loopback. -1: there is no IPv6 here.
constexpr const char* NOWHERE = "2001:db8::1";
inline int unreachableFrom() {
  Address any;
  uint16_t port = 0;
  parseAddress("::", 0, any);
  const int fd = bindSocket(any, AF_INET6, FIRST_PORT, LAST_PORT, port);
  if (fd >= 0) CHECK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
  return fd;
}

inline uint64_t counter(const Relay& relay, uint32_t word) {
  return __atomic_load_n(relay.counters()->data() + word, __ATOMIC_RELAXED);
}
// Until the datagrams have been read; a relay that never reads them fails the test instead of hanging it.
inline void awaitIngress(const Relay& relay, uint64_t count) {
  for (int ms = 0; counter(relay, THREAD_COUNTER_ingress) < count && ms < 5000; ms++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(counter(relay, THREAD_COUNTER_ingress) == count);
}
// True once it is so; false when it is not for too long.
template <typename F>
bool eventually(F isSo) {
  for (int ms = 0; ms < 10000; ms++) {
    if (isSo()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}
inline uint64_t drops(const Relay& relay, Drop drop) {
  return counter(relay, THREAD_COUNTER_drops + static_cast<uint32_t>(drop));
}

// The channel's socket, opened and ready for media from `peer` under set 0x1235, posted but perhaps not carried out yet.
inline uint16_t post(Relay& relay, uint32_t id, const Peer& peer, Media media = Media::audio,
                     uint32_t conference = CONFERENCE) {
  uint16_t port = 0;
  const int fd = relay.bindTo(FIRST_PORT, LAST_PORT, port);
  CHECK(fd >= 0);
  for (const Bytes& c : {openCommand(id, media, fd, conference), proveCommand(id, peer.port), keysCommand(id, 1),
                         parametersCommand(id), ackCommand(id, 0x1235)}) {
    CHECK(relay.thread(0).post(c.data(), c.size()));
  }
  return port;
}

inline void postSet(Relay& relay, uint32_t id = CONFERENCE) {
  const Bytes conference = CommandWriter(OPCODE_setConference).u32(id).u8(LEVEL_end_to_end).bytes;
  const Bytes set = setCommand(0x1235, id);
  relay.thread(0).post(conference.data(), conference.size());
  relay.thread(0).post(set.data(), set.size());
}

}  // namespace test
