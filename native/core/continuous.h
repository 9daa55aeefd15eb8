// One stream of the switch's own on a hop-by-hop channel: one SSRC, whatever sources take turns in it. Sequence numbers,
// ROC and timestamps go on without a break across a change of source (RFC 3550 §5.1), and under one key no index is ever
// given to two packets (RFC 3711 §9.1: two payloads under one key stream give each other away).
#pragma once
#include "hop_keys.h"
#include "replay.h"

namespace claviger {

// Where a source's packet stands in the continuous stream.
struct Placed {
  uint64_t index;  // ROC ‖ sequence number
  uint32_t timestamp;
};

class ContinuousStream {
 public:
  // `firstSequence`: any; its highest bit is cleared, so that the first packets' losses cannot hide a turn of the ROC
  // (RFC 3711 §3.3.1).
  void start(uint32_t ssrc, uint16_t firstSequence, uint32_t firstTimestamp, uint32_t clockHz);
  bool started() const { return clockHz_ != 0; }
  uint32_t ssrc() const { return ssrc_; }

  // `source`: any number that is another one for another source or a source that began anew; 0 is none. `index`: the
  // source's own ROC ‖ sequence number. `now`: nanoseconds. Drop::none: `placed` is this packet's for good. Else the packet is
  // not to be sent: `too_old` comes from before its source's turn or too late to be told from one that was sent, `replayed`
  // was sent (`placed` then says where), `no_key` means that the keys' indices are used up.
  Drop place(uint64_t source, uint64_t index, uint32_t timestamp, uint64_t now, Placed& placed);

  // One packet of the switch's own, before what comes next: the source's later packets move on by one.
  Drop insert(uint32_t timestamp, Placed& placed);
  // Of the last packet placed; for sender reports and for what is inserted.
  uint32_t lastTimestamp() const { return lastTimestamp_; }
  uint64_t highest() const { return sent_.highest(); }

 private:
  void turn(uint64_t source, uint64_t index, uint32_t timestamp, uint64_t now);

  uint32_t ssrc_ = 0;
  uint32_t clockHz_ = 0;
  uint64_t next_ = 0;    // the lowest index above all that were given
  uint64_t source_ = 0;  // whose turn it is
  uint64_t begin_ = 0;   // its index at which the turn began
  uint64_t base_ = 0;    // the index that the turn began with here
  uint32_t timestampOffset_ = 0;
  uint32_t lastTimestamp_ = 0;
  uint64_t lastAt_ = 0;
  ReplayWindow sent_;
};

}  // namespace claviger
