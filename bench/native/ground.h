// The loopback around a relay under test: sockets that send what sources send, and N sinks that nobody reads. A sink's
// socket filter refuses every datagram, so the kernel drops it on arrival and counts it (sk_drops).
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "load.h"

namespace claviger::bench {

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

  // Everything on 127.0.0.1. `timed`: the last sink lets datagrams in, with the kernel's time of arrival. False: the
  // system refused (errno).
  bool open(size_t sources, size_t receivers, bool timed);
  const std::vector<uint16_t>& sourcePorts() const { return sourcePorts_; }
  const std::vector<uint16_t>& sinkPorts() const { return sinkPorts_; }
  // Sockets connected to the sinks in their order, for whoever replicates; made at the first call. Empty: errno.
  const std::vector<int>& outputs();

  // Datagrams that have arrived at all sinks, or at one of them, modulo 2^32.
  uint32_t arrivals() const;
  uint32_t arrivalsAt(size_t sink) const;
  uint32_t lastArrivals() const { return arrivalsAt(sinks_.size() - 1); }

  // Connects the sources to their lanes' ports.
  bool aim(const Course& course);
  // The k-th packet of the course, or the n-th of one lane. False: the kernel did not take it.
  bool sendOne(const Course& course, uint32_t k);
  bool sendOn(const Course& course, size_t lane, uint32_t n);
  // Sends burst by burst; the next one waits until the last sink has all of this one, `timeoutMs` at most. Blocks. One at
  // a time; so with the functions of pacer.h.
  Sent send(const Course& course, uint32_t timeoutMs);
  // For good: no load is sent to its end any more.
  void abort() { aborted_.store(true); }
  bool aborted() const { return aborted_.load(); }

  bool timed() const { return timed_; }
  // `timed`: takes what waits at the last sink; `visit(bytes, length, arrivedNs)` for each, CLOCK_REALTIME.
  template <typename Visit>
  void readLast(Visit visit);

 private:
  struct Arrival {
    size_t length;
    uint64_t ns;
  };
  static constexpr size_t HEAD_BYTES = 64;
  bool put(const Course& course, size_t lane, const uint8_t* packet);
  bool readOne(uint8_t (&head)[HEAD_BYTES], Arrival& arrival);
  bool waitForLast(uint32_t base, uint32_t expected, uint32_t timeoutMs) const;

  bool timed_ = false;
  std::vector<int> sources_;
  std::vector<uint16_t> sourcePorts_;
  std::vector<int> sinks_;
  std::vector<uint16_t> sinkPorts_;
  std::vector<int> outputs_;
  uint32_t read_ = 0;  // at the last sink, by the thread that sends
  std::atomic<bool> aborted_{false};
};

template <typename Visit>
void Ground::readLast(Visit visit) {
  uint8_t head[HEAD_BYTES];
  Arrival arrival;
  while (timed_ && readOne(head, arrival)) visit(head, arrival.length, arrival.ns);
}

// A UDP socket on 127.0.0.1, port chosen by the system; -1: refused (errno).
int bindLoopback(uint16_t& port);
bool connectLoopback(int socket, uint16_t port);
// As much buffer as the relay asks for its own sockets.
void growBuffers(int socket);

}  // namespace claviger::bench
