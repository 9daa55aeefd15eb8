// What the switch sends in its own name to one channel (security level hop-by-hop, and RTP for receivers that cannot follow
// positions or several sources): streams with SSRCs of the switch's, each with the source whose turn it is. And the keys of
// a channel whose payloads end here.
#pragma once
#include <vector>

#include "continuous.h"

namespace claviger {

// A lane is one stream of the switch's on one channel. Lane 0 is none.
constexpr size_t LANES = 16;

struct OwnStream {
  ContinuousStream place;
  uint64_t since = 0;  // packets before this index are not sent again
  uint32_t packets = 0;  // for sender reports (RFC 3550 §6.4.1)
  uint32_t bytes = 0;
  uint64_t nextReport = 0;
};

struct OwnStreams {
  // SSRCs, first sequence numbers and first timestamps are made of it: 32 random bits for each (channel, keys).
  uint32_t seed = 0;
  OwnStream lanes[LANES];

  // Headers will differ from here on: what was sent is not sent again, for two headers under one index would give the key of
  // RFC 7714 away (§9.1 of RFC 3711 for payloads).
  void forgetSent() {
    for (OwnStream& lane : lanes) lane.since = lane.place.next();
  }

  uint32_t ssrcOf(uint8_t lane) const { return (seed & 0xffffff00u) | lane; }
  // 0: none of ours.
  uint8_t laneOf(uint32_t ssrc) const {
    const auto lane = static_cast<uint8_t>(ssrc);
    return lane > 0 && lane < LANES && ssrcOf(lane) == ssrc ? lane : 0;
  }
};

// SRTP both ways under the keys of a channel, or of all channels of a bundle.
struct HopKeys {
  SrtpKeys local, remote;
  ~HopKeys() {
    wipe(&local, sizeof local);
    wipe(&remote, sizeof remote);
  }

  // Those of `before` in part or both ways: what is the same goes on. Only other keys begin anew, for an index comes once under
  // one key, sent or received (RFC 3711 §9.1, RFC 4568 §7.1.4).
  void goOn(const HopKeys& before);
  // False: streams of another channel have these SSRCs already, or had them: under one key no SSRC serves twice.
  bool claim(uint32_t seed);
  // A channel of a bundle closes, and the keys serve on: what was received on it stays replayed.
  void retire(uint32_t ssrc, const ReplayWindow& window);
  // What is known of a stream that is new to its channel. False: it cannot be told from one that was retired.
  bool recall(uint32_t ssrc, ReplayWindow& window) const;

 private:
  struct Retired {
    uint32_t ssrc;
    ReplayWindow window;
  };
  std::vector<uint32_t> claimed_;
  std::vector<Retired> retired_;
  bool overflown_ = false;
};

}  // namespace claviger
