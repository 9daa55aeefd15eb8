// Commands from the main thread to one relay thread. Bounded; its memory is wiped, because commands may hold keys.
#pragma once
#include <atomic>
#include <mutex>
#include <vector>

#include "bytes.h"
#include "limits.h"

namespace claviger {

class CommandQueue {
 public:
  ~CommandQueue() { wipeAll(bytes_), wipeAll(taken_); }

  // False when the queue is full.
  bool push(const uint8_t* command, size_t length) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t needed = bytes_.size() + 4 + length;
    if (needed > RELAY_COMMAND_QUEUE_BYTES) return false;
    if (needed > bytes_.capacity()) grow(needed);
    uint8_t head[4];
    put32(head, static_cast<uint32_t>(length));
    bytes_.insert(bytes_.end(), head, head + 4);
    bytes_.insert(bytes_.end(), command, command + length);
    any_.store(true, std::memory_order_release);
    return true;
  }

  // Without the lock, so that a thread may ask in every turn.
  bool any() const { return any_.load(std::memory_order_acquire); }

  // Calls f(bytes, length) for every command that is there. One consumer.
  template <typename F>
  void drain(F f) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      bytes_.swap(taken_);
      any_.store(false, std::memory_order_relaxed);
    }
    for (size_t at = 0; at < taken_.size();) {
      const size_t length = get32(taken_.data() + at);
      f(taken_.data() + at + 4, length);
      at += 4 + length;
    }
    wipeAll(taken_);
  }

 private:
  static void wipeAll(std::vector<uint8_t>& v) {
    if (!v.empty()) wipe(v.data(), v.size());
    v.clear();
  }
  // A vector that grows by itself would leave a copy of the keys behind.
  void grow(size_t needed) {
    std::vector<uint8_t> larger;
    larger.reserve(needed * 2);
    larger.assign(bytes_.begin(), bytes_.end());
    wipeAll(bytes_);
    bytes_.swap(larger);
  }

  std::mutex mutex_;
  std::atomic<bool> any_{false};
  std::vector<uint8_t> bytes_;
  std::vector<uint8_t> taken_;
};

}  // namespace claviger
