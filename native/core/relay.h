// The relay threads together, their counters' memory and the way to the main thread.
#pragma once
#include "relay_thread.h"

namespace claviger {

class Relay {
 public:
  // `notify` is called from relay threads: at least one of them has events to collect.
  Relay(size_t threads, const Address& bindAddress, const std::function<void()>& notify,
        const IngressLimits& limits = IngressLimits())
      : address_(bindAddress),
        family_(bindAddress.isIpv4() ? AF_INET : AF_INET6),
        counters_(new std::vector<uint64_t>(threads * THREAD_REGION_WORDS)),
        exchange_(threads) {
    for (size_t i = 0; i < threads; i++) {
      threads_.push_back(std::make_unique<RelayThread>(family_, counters_->data() + i * THREAD_REGION_WORDS, limits, notify,
                                                       exchange_, i));
    }
  }
  // No thread may go while another one still runs and hands it something.
  ~Relay() { stop(); }
  bool start() {
    for (auto& t : threads_) {
      if (!t->prepare()) return false;
    }
    for (auto& t : threads_) t->start();
    return true;
  }
  // Joins the threads; sockets and keys go with the object.
  void stop() {
    for (auto& t : threads_) t->stop();
  }
  size_t size() const { return threads_.size(); }
  RelayThread& thread(size_t i) { return *threads_[i]; }
  // The memory may outlive the relay: the main thread reads it whenever it likes.
  const std::shared_ptr<std::vector<uint64_t>>& counters() const { return counters_; }
  int bindTo(uint16_t first, uint16_t last, uint16_t& port) const {
    return bindSocket(address_, family_, first, last, port);
  }
  int bindPairTo(uint16_t first, uint16_t last, uint16_t& port, int& above) const {
    return bindPair(address_, family_, first, last, port, above);
  }

 private:
  const Address address_;
  const int family_;
  std::shared_ptr<std::vector<uint64_t>> counters_;
  Exchange exchange_;  // outlives the threads
  std::vector<std::unique_ptr<RelayThread>> threads_;
};

}  // namespace claviger
