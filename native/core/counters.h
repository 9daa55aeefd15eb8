// Counters are plain 64-bit words in memory that the main thread reads (src/relay/schema.ts). One thread writes a word, so
// no locked instruction is needed.
#pragma once
#include <cstdint>

#include "limits.h"
#include "schema.h"

namespace claviger {

constexpr size_t THREAD_REGION_WORDS = THREAD_WORDS + size_t{MAX_CHANNELS} * CHANNEL_WORDS;

inline void bump(uint64_t* word, uint64_t by = 1) {
  __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

// One thread's part of the memory.
class Counters {
 public:
  explicit Counters(uint64_t* region) : region_(region) {}
  void count(uint32_t counter, uint64_t by = 1) { bump(region_ + counter, by); }
  void count(Drop drop, uint64_t by = 1) { bump(region_ + THREAD_COUNTER_drops + static_cast<uint32_t>(drop), by); }
  uint64_t* slot(uint32_t slot) { return region_ + THREAD_WORDS + size_t{slot} * CHANNEL_WORDS; }

 private:
  uint64_t* region_;
};

}  // namespace claviger
