// Counts what a program takes from the heap: for one source file of it, which says what `countAllocation` does. Whoever frees,
// it is malloc's. (What is aligned beyond malloc's own alignment keeps the library's functions.)
#pragma once
#include <cstdlib>
#include <new>

namespace {

void countAllocation();

void* countedMalloc(size_t size) {
  countAllocation();
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) std::abort();
  return p;
}

}  // namespace

void* operator new(size_t size) { return countedMalloc(size); }
void* operator new[](size_t size) { return countedMalloc(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
