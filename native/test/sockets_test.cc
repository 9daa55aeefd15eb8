// The system calls themselves, on sockets of the loopback.
#include <poll.h>

#include <cerrno>

#include "peers.h"

using namespace test;

namespace {

struct Packets {
  std::vector<Bytes> bytes;
  std::vector<iovec> vectors;
  explicit Packets(const std::vector<size_t>& lengths) {
    for (const size_t length : lengths) bytes.push_back(pattern(static_cast<uint32_t>(bytes.size()), length));
    for (Bytes& b : bytes) vectors.push_back({b.data(), b.size()});
  }
  Run run(size_t first, uint32_t count) const { return {&vectors[first], count}; }
};

// A datagram that must be there by now or come soon.
Bytes take(int fd) {
  pollfd p{fd, POLLIN, 0};
  CHECK(poll(&p, 1, 5000) == 1);
  Bytes out(70000);
  const ssize_t n = recv(fd, out.data(), out.size(), MSG_DONTWAIT);
  out.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return out;
}

sockaddr_storage nameOf(uint16_t port, socklen_t& length) {
  sockaddr_storage name;
  toSockaddr(loopback(port), AF_INET, name, length);
  return name;
}

struct Pair {
  Peer from, to;
  explicit Pair(bool connected) {
    name = nameOf(to.port, length);
    if (!connected) return;
    CHECK(connect(from.fd, reinterpret_cast<sockaddr*>(&name), length) == 0);
    length = 0;
  }
  sockaddr_storage name;
  socklen_t length = 0;
};

}  // namespace

TEST("sockets", "runs and single packets arrive as the packets that they are, in order; connected or not") {
  for (const bool connected : {true, false}) {
    const Pair pair(connected);
    RunSender sender;
    const Packets p({900, 1200, 1200, 1200, 300, 40, 1000, 1000});
    const Run runs[] = {p.run(0, 1), p.run(1, 4), p.run(5, 1), p.run(6, 2)};
    size_t taken = 0;
    for (const size_t count : {4, 1, 2}) {
      CHECK(sender.send(pair.from.fd, runs, count, pair.name, pair.length, taken) == Sent::all && taken == count);
      const size_t packets = count == 4 ? 8 : count == 1 ? 1 : 5;
      for (size_t i = 0; i < packets; i++) CHECK(take(pair.to.fd) == p.bytes[i]);
    }
    CHECK(sender.send(pair.from.fd, &runs[1], 1, pair.name, pair.length, taken) == Sent::all && taken == 1);
    for (size_t i = 1; i < 5; i++) CHECK(take(pair.to.fd) == p.bytes[i]);
  }
}

TEST("sockets", "the longest runs that are formed are taken") {
  const Pair pair(true);
  RunSender sender;
  size_t taken = 0;
  for (const auto& [count, length] : {std::pair<size_t, size_t>{64, 1000}, {54, 1200}, {43, 1500}}) {
    const Packets p(std::vector<size_t>(count, length));
    const Run run = p.run(0, static_cast<uint32_t>(count));
    CHECK(sender.send(pair.from.fd, &run, 1, pair.name, 0, taken) == Sent::all && taken == 1);
    for (size_t i = 0; i < count; i++) CHECK(take(pair.to.fd) == p.bytes[i]);
  }
}

TEST("sockets", "a refused run is told from a refused packet") {
  const Pair pair(true);
  // The kernel segments nothing that it may not put a checksum on.
  const int on = 1;
  CHECK(setsockopt(pair.from.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0);
  RunSender sender;
  const Packets p({100, 200, 200});
  const Run runs[] = {p.run(0, 1), p.run(1, 2)};
  size_t taken = 0;
  CHECK(sender.send(pair.from.fd, runs, 2, pair.name, 0, taken) == Sent::some && taken == 1);
  CHECK(sender.send(pair.from.fd, runs + 1, 1, pair.name, 0, taken) == Sent::unsegmented && taken == 0);
  const Run single = p.run(1, 1);
  CHECK(sender.send(pair.from.fd, &single, 1, pair.name, 0, taken) == Sent::all && taken == 1);
  CHECK(take(pair.to.fd) == p.bytes[0] && take(pair.to.fd) == p.bytes[1]);
}

TEST("sockets", "a kernel that does not know runs is never given one, and no room is told from nobody there") {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0);
  RunSender sender;
  const Packets p({100, 200, 200});
  const sockaddr_storage none{};
  size_t taken = 0;
  const Run whole = p.run(1, 2);
  CHECK(sender.send(fds[0], &whole, 1, none, 0, taken) == Sent::unsegmented);
  const Run singles[] = {p.run(0, 1), p.run(1, 1), p.run(2, 1)};
  size_t all = 0;
  Sent sent = Sent::all;
  while (sent == Sent::all || sent == Sent::some) {
    sent = sender.send(fds[0], singles, 3, none, 0, taken);
    all += taken;
  }
  CHECK(sent == Sent::full && taken == 0 && all > 0);
  CHECK(sender.send(fds[0], singles, 1, none, 0, taken) == Sent::full);
  while (all-- > 0) CHECK(take(fds[1]).size() >= 100);
  CHECK(sender.send(fds[0], singles, 1, none, 0, taken) == Sent::all);
  close(fds[1]);
  CHECK(sender.send(fds[0], singles, 3, none, 0, taken) == Sent::gone && taken == 0);
  close(fds[0]);
}

TEST("sockets", "what a closed port answered to an earlier packet does not cost a later one") {
  Pair pair(true);
  const uint16_t port = pair.to.port;
  close(pair.to.fd);
  RunSender sender;
  const Packets p({100, 200, 200});
  const Run runs[] = {p.run(0, 1), p.run(1, 2)};
  size_t taken = 0;
  CHECK(sender.send(pair.from.fd, runs, 1, pair.name, 0, taken) == Sent::all);
  // Somebody listens again; the first packet's error still waits on the socket.
  pair.to.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  socklen_t length = 0;
  const sockaddr_storage name = nameOf(port, length);
  CHECK(bind(pair.to.fd, reinterpret_cast<const sockaddr*>(&name), length) == 0);
  CHECK(sender.send(pair.from.fd, runs, 2, pair.name, 0, taken) == Sent::all && taken == 2);
  for (const Bytes& expected : p.bytes) CHECK(take(pair.to.fd) == expected);
}

// No route leads there from a socket that is tied to the loopback.
TEST("sockets", "a network that cannot be reached (ENETUNREACH): nothing is taken, and what it is told is gone") {
  const int fd = unreachableFrom();
  if (fd < 0) {
    std::printf("skipped: needs IPv6 sockets\n");
    return;
  }
  Address nowhere;
  CHECK(parseAddress(NOWHERE, 9, nowhere));
  sockaddr_storage name{};
  socklen_t length = 0;
  CHECK(toSockaddr(nowhere, AF_INET6, name, length));
  CHECK(connect(fd, reinterpret_cast<sockaddr*>(&name), length) != 0 && errno == ENETUNREACH);
  RunSender sender;
  const Packets p({100, 200, 200});
  const Run runs[] = {p.run(0, 1), p.run(1, 2)};
  size_t taken = 7;
  for (const size_t count : {1, 2}) {
    CHECK(sender.send(fd, runs, count, name, length, taken) == Sent::gone && taken == 0);
    CHECK(errno == ENETUNREACH);
  }
  CHECK(sender.send(fd, runs + 1, 1, name, length, taken) == Sent::gone && taken == 0);
  CHECK(!sendOne(fd, p.bytes[0].data(), p.bytes[0].size(), name, length));
  close(fd);
}
