// What the switch sends in its own name to one channel (security level hop-by-hop, and RTP for receivers that cannot follow
// positions or several sources): streams with SSRCs of the switch's, each with the source whose turn it is. And the keys of
// a channel whose payloads end here.
#pragma once
#include "continuous.h"

namespace claviger {

// A lane is one stream of the switch's on one channel. Lane 0 is none.
constexpr size_t LANES = 16;

struct OwnStream {
  ContinuousStream place;
  uint32_t packets = 0;  // for sender reports (RFC 3550 §6.4.1)
  uint32_t bytes = 0;
  uint64_t nextReport = 0;
};

struct OwnStreams {
  // SSRCs, first sequence numbers and first timestamps are made of it: 32 random bits for each (channel, keys).
  uint32_t seed = 0;
  OwnStream lanes[LANES];

  uint32_t ssrcOf(uint8_t lane) const { return (seed & 0xffffff00u) | lane; }
  // 0: none of ours.
  uint8_t laneOf(uint32_t ssrc) const {
    const auto lane = static_cast<uint8_t>(ssrc);
    return lane > 0 && lane < LANES && ssrcOf(lane) == ssrc ? lane : 0;
  }
};

// SRTP both ways under the keys of the channel.
struct HopKeys {
  SrtpKeys local, remote;
  // By stream; of these keys, and no others' (RFC 3711 §3.2.3): what the stream had under a sender's key says nothing here.
  ReplayWindow received[MAX_STREAMS_PER_CHANNEL];
  ~HopKeys() { wipe(this, sizeof *this); }
};

}  // namespace claviger
