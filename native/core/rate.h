// How fast something may come, with a burst allowed: a token bucket, kept as the time at which it would be full again.
#pragma once
#include "limits.h"

namespace claviger {

// What one channel may send in the long run; 0: no limit.
struct IngressLimits {
  uint32_t audioPacketsPerSecond = RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND;
  uint32_t videoPacketsPerSecond = RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND;
};

class Rate {
 public:
  // `interval`: nanoseconds for one, 0: no limit. `burst`: what may come at once after a pause, in nanoseconds' worth.
  bool allows(uint64_t now, uint64_t interval, uint64_t burst) const {
    return interval == 0 || fullAt_ + interval <= now + burst;
  }
  void take(uint64_t now, uint64_t interval) { fullAt_ = (fullAt_ > now ? fullAt_ : now) + interval; }

 private:
  uint64_t fullAt_ = 0;
};

}  // namespace claviger
