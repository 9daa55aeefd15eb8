// Integers in network order, and the two things that secrets need: comparing without a branch on the content, and wiping.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace claviger {

inline uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>((p[0] << 8) | p[1]); }
inline uint32_t get32(const uint8_t* p) {
  return (uint32_t{p[0]} << 24) | (uint32_t{p[1]} << 16) | (uint32_t{p[2]} << 8) | p[3];
}
inline void put16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void put32(uint8_t* p, uint32_t v) {
  put16(p, static_cast<uint16_t>(v >> 16));
  put16(p + 2, static_cast<uint16_t>(v));
}

inline bool equalSecret(const uint8_t* a, const uint8_t* b, size_t n) {
  uint8_t diff = 0;
  for (size_t i = 0; i < n; i++) diff |= static_cast<uint8_t>(a[i] ^ b[i]);
  return diff == 0;
}

// The empty assembly keeps the compiler from dropping the store as dead.
inline void wipe(void* p, size_t n) {
  std::memset(p, 0, n);
  __asm__ __volatile__("" : : "r"(p) : "memory");
}

// Wipes a local object on every way out of its scope.
template <typename T>
struct WipeOnExit {
  T value{};
  ~WipeOnExit() { wipe(&value, sizeof value); }
};

}  // namespace claviger
