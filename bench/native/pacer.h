// Sends without waiting for what arrives: at a given rate, or as fast as a few bursts under way allow.
#pragma once
#include <vector>

#include "ground.h"

namespace claviger::bench {

struct Paced {
  uint32_t sent = 0;       // packets that the kernel took
  uint64_t arrived = 0;    // datagrams at all sinks
  uint64_t sendingNs = 0;  // from the first packet's turn to the end of the last one's
  uint64_t drainedNs = 0;  // from the first packet's turn to the last arrival at the last sink
  // Of a timed ground: from before the packet's `send` to the kernel's time of arrival at the last sink.
  std::vector<double> latenciesUs;
};

// `packetsPerSecond` evenly spaced, a burst together. A burst that is late goes at once, the ones after it keep their turns.
// When nothing has come for `silenceMs` after the last was sent, nothing more will.
Paced pace(Ground& ground, const Course& course, double packetsPerSecond, uint32_t silenceMs);

struct Saturated {
  uint64_t sent = 0;
  uint64_t arrived = 0;  // within the time
  uint64_t ns = 0;
  uint64_t arrivedAfter = 0;  // when all was through, or nothing more came
};

// Each lane has its own share of the sinks, in order, up to `window` packets on their way to the slowest of some of them, and
// `course.count` packets in all: the time ends early when a lane has none left.
Saturated saturate(Ground& ground, const Course& course, uint32_t window, uint32_t durationMs);

}  // namespace claviger::bench
