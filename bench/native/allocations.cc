#include "allocations.h"

// Of this library alone: it is linked so that its own calls come here (-Bsymbolic-functions).
#include "../../native/test/counting_new.h"

namespace {

thread_local uint64_t allocations = 0;

void countAllocation() { allocations++; }

}  // namespace

namespace claviger::bench {

uint64_t allocationsOfThread() { return allocations; }

}  // namespace claviger::bench
