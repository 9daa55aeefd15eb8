#include "ground.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "clock.h"

namespace claviger::bench {
namespace {

constexpr timespec POLL_PAUSE = {0, 20'000};
constexpr int SOCKET_BUFFER_BYTES = 1 << 20;

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

void growBuffers(int socket) {
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &SOCKET_BUFFER_BYTES, sizeof SOCKET_BUFFER_BYTES);
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &SOCKET_BUFFER_BYTES, sizeof SOCKET_BUFFER_BYTES);
}

Ground::~Ground() {
  for (const int source : sources_) close(source);
  for (const int sink : sinks_) close(sink);
  for (const int output : outputs_) close(output);
}

bool Ground::open(size_t sources, size_t receivers, bool timed) {
  timed_ = timed;
  for (size_t i = 0; i < sources + receivers; i++) {
    const bool isSource = i < sources;
    uint16_t port = 0;
    const int fd = bindLoopback(port);
    if (fd < 0) return false;
    (isSource ? sources_ : sinks_).push_back(fd);
    (isSource ? sourcePorts_ : sinkPorts_).push_back(port);
    const bool reads = timed && i + 1 == sources + receivers;
    if (!isSource && !reads && !refuseEverything(fd)) return false;
    if (!reads) continue;
    growBuffers(fd);
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) return false;
  }
  return true;
}

const std::vector<int>& Ground::outputs() {
  if (!outputs_.empty()) return outputs_;
  for (const uint16_t sink : sinkPorts_) {
    uint16_t port = 0;
    const int output = bindLoopback(port);
    if (output >= 0) outputs_.push_back(output);
    if (output < 0 || !connectLoopback(output, sink)) {
      for (const int opened : outputs_) close(opened);
      outputs_.clear();
      break;
    }
    growBuffers(output);
  }
  return outputs_;
}

uint32_t Ground::arrivals() const {
  uint32_t sum = 0;
  for (size_t i = 0; i < sinks_.size(); i++) sum += arrivalsAt(i);
  return sum;
}

uint32_t Ground::arrivalsAt(size_t sink) const {
  return dropsOf(sinks_[sink]) + (timed_ && sink + 1 == sinks_.size() ? read_ : 0);
}

bool Ground::aim(const Course& course) {
  if (course.ports.empty() || course.ports.size() > sources_.size()) return false;
  for (size_t i = 0; i < course.ports.size(); i++) {
    if (!connectLoopback(sources_[i], course.ports[i])) return false;
  }
  return true;
}

bool Ground::sendOne(const Course& course, uint32_t k) {
  const Course::Packet packet = course.at(k);
  return put(course, packet.lane, packet.bytes);
}

bool Ground::sendOn(const Course& course, size_t lane, uint32_t n) { return put(course, lane, course.of(lane, n)); }

// An error that a port without a listener left behind is not this packet's.
bool Ground::put(const Course& course, size_t lane, const uint8_t* packet) {
  const auto length = static_cast<ssize_t>(course.load->bytes);
  for (int attempt = 0; attempt < 2; attempt++) {
    if (::send(sources_[lane], packet, course.load->bytes, MSG_NOSIGNAL) == length) return true;
    if (errno != ECONNREFUSED) return false;
  }
  return false;
}

Sent Ground::send(const Course& course, uint32_t timeoutMs) {
  Sent out;
  const uint32_t allBefore = arrivals();
  const uint32_t lastBefore = lastArrivals();
  bool arriving = aim(course);
  while (arriving && out.sent < course.count) {
    for (size_t i = 0; arriving && i < course.burst && out.sent < course.count; i++) {
      arriving = sendOne(course, out.sent);
      if (arriving) out.sent++;
    }
    arriving = arriving && waitForLast(lastBefore, out.sent, timeoutMs);
  }
  out.arrived = arrivals() - allBefore;
  out.complete = arriving;
  return out;
}

bool Ground::readOne(uint8_t (&head)[HEAD_BYTES], Arrival& arrival) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  iovec vector = {head, sizeof head};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t length = recvmsg(sinks_.back(), &message, MSG_DONTWAIT);
  if (length < 0) return false;
  read_++;
  arrival = {static_cast<size_t>(length), 0};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t{};
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    arrival.ns = static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  }
  return true;
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
