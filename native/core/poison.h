// Under AddressSanitizer a cell is readable as far as its datagram goes: a parser that reads on is caught as it would be at the
// end of an allocation.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace claviger {

inline void poison([[maybe_unused]] const void* p, [[maybe_unused]] size_t n) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(p, n);
#endif
}
inline void unpoison([[maybe_unused]] const void* p, [[maybe_unused]] size_t n) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(p, n);
#endif
}

}  // namespace claviger
