// Counts what the C++ code of this library (the switching core of its benches among it) takes from the heap.
#pragma once
#include <cstdint>

namespace claviger::bench {

// Calls of operator new by the calling thread so far.
uint64_t allocationsOfThread();

}  // namespace claviger::bench
