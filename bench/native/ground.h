// The loopback around a relay under test: one socket that sends what a source sends, and N sinks that nobody reads. A
// sink's socket filter refuses every datagram, so the kernel drops it on arrival and counts it (sk_drops).
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace claviger::bench {

struct Load {
  std::vector<uint8_t> packets;  // one after the other
  size_t bytes = 0;              // of each
  size_t burst = 1;              // packets sent back to back; the next burst waits until the last sink has all of this one
  uint16_t port = 0;             // of the relay under test
  uint32_t timeoutMs = 0;        // for one burst
};

struct Sent {
  uint32_t sent = 0;      // packets that the kernel took
  uint64_t arrived = 0;   // datagrams at all sinks during the load
  bool complete = false;  // all packets were sent and every burst arrived in time
};

class Ground {
 public:
  Ground() = default;
  ~Ground();
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  // Everything on 127.0.0.1. False: the system refused (errno).
  bool open(size_t receivers);
  uint16_t sourcePort() const { return sourcePort_; }
  const std::vector<uint16_t>& sinkPorts() const { return sinkPorts_; }

  // Datagrams that have arrived at all sinks, or at the last one, modulo 2^32.
  uint32_t arrivals() const;
  uint32_t lastArrivals() const;

  // Sends the load and paces itself by the last sink; blocks. One at a time.
  Sent send(const Load& load);
  // For good: no load is sent to its end any more.
  void abort() { aborted_.store(true); }

 private:
  bool waitForLast(uint32_t base, uint32_t expected, uint32_t timeoutMs) const;

  int source_ = -1;
  uint16_t sourcePort_ = 0;
  std::vector<int> sinks_;
  std::vector<uint16_t> sinkPorts_;
  std::atomic<bool> aborted_{false};
};

// A UDP socket on 127.0.0.1, port chosen by the system; -1: refused (errno).
int bindLoopback(uint16_t& port);
bool connectLoopback(int socket, uint16_t port);

}  // namespace claviger::bench
