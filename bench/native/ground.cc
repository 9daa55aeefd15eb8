#include "ground.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

namespace claviger::bench {
namespace {

constexpr timespec POLL_PAUSE = {0, 20'000};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  return a;
}

bool refuseEverything(int socket) {
  sock_filter accept_none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program = {1, accept_none};
  return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

uint32_t dropsOf(int socket) {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof info;
  getsockopt(socket, SOL_SOCKET, SO_MEMINFO, info, &length);
  return info[SK_MEMINFO_DROPS];
}

}  // namespace

int bindLoopback(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_in a = loopback(0);
  socklen_t length = sizeof a;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&a), &length) == 0) {
    port = ntohs(a.sin_port);
    return fd;
  }
  close(fd);
  return -1;
}

bool connectLoopback(int socket, uint16_t port) {
  const sockaddr_in a = loopback(port);
  return connect(socket, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
}

Ground::~Ground() {
  if (source_ >= 0) close(source_);
  for (const int sink : sinks_) close(sink);
}

bool Ground::open(size_t receivers) {
  source_ = bindLoopback(sourcePort_);
  if (source_ < 0) return false;
  for (size_t i = 0; i < receivers; i++) {
    uint16_t port = 0;
    const int sink = bindLoopback(port);
    if (sink < 0) return false;
    sinks_.push_back(sink);
    sinkPorts_.push_back(port);
    if (!refuseEverything(sink)) return false;
  }
  return true;
}

uint32_t Ground::arrivals() const {
  uint32_t sum = 0;
  for (const int sink : sinks_) sum += dropsOf(sink);
  return sum;
}

uint32_t Ground::lastArrivals() const { return dropsOf(sinks_.back()); }

Sent Ground::send(const Load& load) {
  Sent out;
  const uint32_t allBefore = arrivals();
  const uint32_t lastBefore = lastArrivals();
  const auto count = static_cast<uint32_t>(load.packets.size() / load.bytes);
  bool arriving = connectLoopback(source_, load.port);
  while (arriving && out.sent < count) {
    for (size_t i = 0; arriving && i < load.burst && out.sent < count; i++) {
      const uint8_t* packet = load.packets.data() + out.sent * load.bytes;
      arriving = ::send(source_, packet, load.bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(load.bytes);
      if (arriving) out.sent++;
    }
    arriving = arriving && waitForLast(lastBefore, out.sent, load.timeoutMs);
  }
  out.arrived = arrivals() - allBefore;
  out.complete = arriving;
  return out;
}

// Whoever sends to the sinks serves the last one last; so one counter tells that all copies are through.
bool Ground::waitForLast(uint32_t base, uint32_t expected, uint32_t timeoutMs) const {
  const uint64_t deadline = monotonicNs() + uint64_t{timeoutMs} * 1'000'000;
  while (lastArrivals() - base < expected) {
    if (aborted_.load() || monotonicNs() > deadline) return false;
    nanosleep(&POLL_PAUSE, nullptr);
  }
  return true;
}

}  // namespace claviger::bench
