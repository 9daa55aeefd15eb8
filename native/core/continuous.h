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

  // Gives the stream to a source, any number other than 0 that is another one for another source, from its packet of this
  // index and timestamp on; nothing when it has it. `index`: the source's own ROC ‖ sequence number. `now`: nanoseconds.
  void give(uint64_t source, uint64_t index, uint32_t timestamp, uint64_t now);

  // A packet of the source that has the stream. Drop::none: `placed` is this packet's for good. Else the packet is not to be
  // sent: `too_old` comes from before its source's turn or too late to be told from one that was sent, `replayed` was sent,
  // `no_key` means that the keys' indices are used up.
  Drop place(uint64_t index, uint32_t timestamp, uint64_t now, Placed& placed);

  // One packet of the switch's own before the source's next one, with that one's timestamp: the source's later packets move
  // on by one.
  Drop insert(uint32_t timestamp, Placed& placed);

  // Whether a packet of this turn was sent with this sequence number, not long ago; `index` is then its source's own.
  bool sent(uint16_t sequence, uint64_t& index) const;
  // Its place, which is the one that it had.
  Placed again(uint64_t index, uint32_t timestamp) const;

  // The lowest index above all that were given.
  uint64_t next() const { return next_; }
  // Of the last packet placed; for sender reports and for what is inserted.
  uint32_t lastTimestamp() const { return lastTimestamp_; }
  uint64_t lastAt() const { return lastAt_; }
  uint32_t clockHz() const { return clockHz_; }
  uint64_t source() const { return source_; }

 private:
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
