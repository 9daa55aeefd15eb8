// CPU time of threads, in nanoseconds.
#pragma once
#include <pthread.h>

#include <cstdint>
#include <ctime>

namespace claviger::bench {

inline uint64_t readClock(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// The calling thread's own.
inline uint64_t threadCpuNs() { return readClock(CLOCK_THREAD_CPUTIME_ID); }
inline uint64_t monotonicNs() { return readClock(CLOCK_MONOTONIC); }

}  // namespace claviger::bench
