// The replay list of RFC 3711 §3.3.2 over 48-bit SRTP or 31-bit SRTCP indices. Asking and remembering are two steps: only
// a verified packet is remembered.
#pragma once
#include "limits.h"
#include "schema.h"

namespace claviger {

class ReplayWindow {
 public:
  bool empty() const { return empty_; }
  uint64_t highest() const { return highest_; }

  Drop check(uint64_t index) const {
    if (empty_ || index > highest_) return Drop::none;
    if (highest_ - index >= REPLAY_WINDOW_PACKETS) return Drop::too_old;
    return seen(index) ? Drop::replayed : Drop::none;
  }

  void accept(uint64_t index) {
    if (empty_ || (index > highest_ && index - highest_ >= REPLAY_WINDOW_PACKETS)) {
      bits_ = Bits();
      highest_ = index;
      empty_ = false;
    }
    while (highest_ < index) {
      highest_++;
      bits_.words[word(highest_)] &= ~mask(highest_);
    }
    bits_.words[word(index)] |= mask(index);
  }

  void clear() { *this = ReplayWindow(); }

  struct Bits {
    uint64_t words[REPLAY_WINDOW_PACKETS / 64];
  };
  const Bits& bits() const { return bits_; }

 private:
  static size_t word(uint64_t i) { return (i % REPLAY_WINDOW_PACKETS) / 64; }
  static uint64_t mask(uint64_t i) { return uint64_t{1} << (i % 64); }
  bool seen(uint64_t i) const { return (bits_.words[word(i)] & mask(i)) != 0; }

  Bits bits_{};
  uint64_t highest_ = 0;
  bool empty_ = true;
};

}  // namespace claviger
