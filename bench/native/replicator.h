// The least that any relay must do: one thread that receives on one socket and sends the same bytes with `send` on N
// connected sockets. It knows no keys, no routes and no counters that another thread reads while it runs.
#pragma once
#include <atomic>
#include <thread>
#include <vector>

#include "ground.h"

namespace claviger::bench {

class Replicator {
 public:
  Replicator() = default;
  ~Replicator();
  Replicator(const Replicator&) = delete;
  Replicator& operator=(const Replicator&) = delete;

  // Takes datagrams from the ground's source only. False: the system refused (errno).
  bool start(const Ground& ground);
  uint16_t port() const { return port_; }
  uint64_t received() const { return received_.load(std::memory_order_relaxed); }
  uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }
  // CPU time of the thread since its start.
  uint64_t cpuNs();

 private:
  void run();

  int socket_ = -1;
  uint16_t port_ = 0;
  std::vector<int> outputs_;
  std::atomic<uint64_t> received_{0}, sent_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace claviger::bench
