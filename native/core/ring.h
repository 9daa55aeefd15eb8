// A queue between two threads, one of which writes and one reads: no lock, nothing allocated after the start. Each side
// keeps its own count and a copy of the other's, so that the shared words are touched once a batch.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

namespace claviger {

template <typename T>
class Ring {
 public:
  // `size` is a power of two. The places are not initialised: their pages come with their first use.
  explicit Ring(uint32_t size) : size_(size), places_(new T[size]) {}
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // --- the writer's ---
  // True: the next `places` may be written.
  bool room(uint32_t places) {
    if (size_ - (written_ - readSeen_) >= places) return true;
    readSeen_ = read_.load(std::memory_order_acquire);
    return size_ - (written_ - readSeen_) >= places;
  }
  // The next place, after `room`; the reader does not see it before `publish`.
  T& next() { return places_[written_++ & (size_ - 1)]; }
  // Sequentially consistent, as `waiting` is: whoever publishes looks then whether the reader sleeps, and whoever is about to
  // sleep looks whether something was published (exchange.h).
  void publish() { published_.store(written_, std::memory_order_seq_cst); }
  uint32_t written() const { return written_; }
  // True: all that was written before `written()` gave `count` has been read.
  bool passed(uint32_t count) const {
    return static_cast<int32_t>(read_.load(std::memory_order_acquire) - count) >= 0;
  }

  // --- the reader's ---
  uint32_t waiting() const { return published_.load(std::memory_order_seq_cst) - taken_; }
  // The oldest, after `waiting`; it stays the reader's until `release`.
  T& take() { return places_[taken_++ & (size_ - 1)]; }
  // The writer may use again whatever was taken.
  void release() { read_.store(taken_, std::memory_order_release); }

 private:
  static constexpr size_t LINE_BYTES = 64;
  const uint32_t size_;
  const std::unique_ptr<T[]> places_;
  alignas(LINE_BYTES) uint32_t written_ = 0;
  uint32_t readSeen_ = 0;
  alignas(LINE_BYTES) std::atomic<uint32_t> published_{0};
  alignas(LINE_BYTES) uint32_t taken_ = 0;
  alignas(LINE_BYTES) std::atomic<uint32_t> read_{0};
};

}  // namespace claviger
