#include "continuous.h"

namespace claviger {

void ContinuousStream::start(uint32_t ssrc, uint16_t firstSequence, uint32_t firstTimestamp, uint32_t clockHz) {
  *this = ContinuousStream();
  ssrc_ = ssrc;
  clockHz_ = clockHz;
  next_ = firstSequence & 0x7fff;
  lastTimestamp_ = firstTimestamp;
}

void ContinuousStream::give(uint64_t source, uint64_t index, uint32_t timestamp, uint64_t now) {
  if (source == source_) return;
  // A new source's clock has nothing to do with the last one's: what the stream's own clock would show now goes on. Never
  // the same timestamp again: it would be a packet of the last frame.
  uint32_t at = lastTimestamp_;
  if (source_ != 0) {
    const uint64_t elapsed = (now - lastAt_) / 1000 * clockHz_ / 1'000'000;
    at += elapsed == 0 ? 1 : static_cast<uint32_t>(elapsed);
  }
  source_ = source;
  begin_ = index;
  base_ = next_;
  timestampOffset_ = at - timestamp;
}

Drop ContinuousStream::place(uint64_t index, uint32_t timestamp, uint64_t now, Placed& placed) {
  // What is late from before the turn would take an index that the last source may have used.
  if (index < begin_) return Drop::too_old;
  const uint64_t ahead = index - begin_;
  if (base_ > SRTP_MAX_INDEX || ahead > SRTP_MAX_INDEX - base_) return Drop::no_key;
  placed = {base_ + ahead, timestamp + timestampOffset_};
  const Drop known = sent_.check(placed.index);
  if (known != Drop::none) return known;
  sent_.accept(placed.index);
  if (placed.index >= next_) {
    next_ = placed.index + 1;
    lastTimestamp_ = placed.timestamp;
    lastAt_ = now;
  }
  return Drop::none;
}

Drop ContinuousStream::insert(uint32_t timestamp, Placed& placed) {
  if (next_ > SRTP_MAX_INDEX) return Drop::no_key;
  placed = {next_++, timestamp + timestampOffset_};
  sent_.accept(placed.index);
  // The turn goes on one later; its packets from before the one inserted are not told apart any longer.
  begin_ += placed.index - base_;
  base_ = next_;
  return Drop::none;
}

bool ContinuousStream::sent(uint16_t sequence, uint64_t& index) const {
  if (next_ == 0) return false;
  // The last index given that ends so.
  const uint64_t last = next_ - 1;
  const uint16_t back = static_cast<uint16_t>(static_cast<uint16_t>(last) - sequence);
  if (back > last || last - back < base_ || sent_.check(last - back) != Drop::replayed) return false;
  index = begin_ + (last - back - base_);
  return true;
}

Placed ContinuousStream::again(uint64_t index, uint32_t timestamp) const {
  return {base_ + (index - begin_), timestamp + timestampOffset_};
}

}  // namespace claviger
