#include "replicator.h"

#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

namespace claviger::bench {
namespace {

// As the relay asks for its own sockets.
constexpr int SOCKET_BUFFER_BYTES = 1 << 20;
constexpr size_t RECEIVE_BYTES = 2048;

void growBuffers(int socket) {
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &SOCKET_BUFFER_BYTES, sizeof SOCKET_BUFFER_BYTES);
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &SOCKET_BUFFER_BYTES, sizeof SOCKET_BUFFER_BYTES);
}

}  // namespace

Replicator::~Replicator() {
  stopping_.store(true);
  // Wakes a blocked `recv`; a connected UDP socket can be shut down.
  if (socket_ >= 0) shutdown(socket_, SHUT_RD);
  if (thread_.joinable()) thread_.join();
  if (socket_ >= 0) close(socket_);
  for (const int output : outputs_) close(output);
}

bool Replicator::start(const Ground& ground) {
  socket_ = bindLoopback(port_);
  if (socket_ < 0) return false;
  growBuffers(socket_);
  if (!connectLoopback(socket_, ground.sourcePort())) return false;
  for (const uint16_t sink : ground.sinkPorts()) {
    uint16_t port = 0;
    const int output = bindLoopback(port);
    if (output < 0) return false;
    outputs_.push_back(output);
    growBuffers(output);
    if (!connectLoopback(output, sink)) return false;
  }
  thread_ = std::thread([this] { run(); });
  return true;
}

uint64_t Replicator::cpuNs() {
  clockid_t clock;
  if (!thread_.joinable() || pthread_getcpuclockid(thread_.native_handle(), &clock) != 0) return 0;
  return readClock(clock);
}

void Replicator::run() {
  uint8_t bytes[RECEIVE_BYTES];
  uint64_t received = 0, sent = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    const ssize_t length = recv(socket_, bytes, sizeof bytes, 0);
    if (length <= 0) continue;
    for (const int output : outputs_) sent += send(output, bytes, static_cast<size_t>(length), MSG_NOSIGNAL) == length;
    received_.store(++received, std::memory_order_relaxed);
    sent_.store(sent, std::memory_order_relaxed);
  }
}

}  // namespace claviger::bench
