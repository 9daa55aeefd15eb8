#include "backlog.h"

#include "outlet.h"
#include "packet.h"

namespace claviger {
namespace {

bool isRtp(const Variant& v) { return protocolOf(v.bytes, v.length) == Protocol::rtp; }

// Of two RTP packets on one channel: a stream's packets of one timestamp are one frame (RFC 6184 §5.1).
bool sameFrame(const Variant& a, const Variant& b) {
  constexpr size_t TIMESTAMP_AT = 4, TIMESTAMP_AND_SSRC_BYTES = 8;
  return std::memcmp(a.bytes + TIMESTAMP_AT, b.bytes + TIMESTAMP_AT, TIMESTAMP_AND_SSRC_BYTES) == 0;
}

}  // namespace

// Not value-initialised: the system gives the pages when they are first written.
Backlog::Backlog(Counters& counters)
    : counters_(counters), packets_(new Variant[RELAY_BACKLOG_PACKETS]), next_(new uint32_t[RELAY_BACKLOG_PACKETS]) {
  receivers_.reserve(RELAY_BACKLOG_PACKETS);
}

void Backlog::append(Outlet& receiver, const iovec& packet) {
  BacklogList& list = receiver.backlog;
  if (list.count == RELAY_BACKLOG_PACKETS_PER_RECEIVER) dropOldest(receiver);
  if (full() && !makeRoom(receiver)) return countDrop(counters_, receiver, Drop::queue_full);
  uint32_t place = free_;
  if (place != NO_PLACE) {
    free_ = next_[place];
  } else {
    place = fresh_++;
  }
  packets_[place].length = static_cast<uint16_t>(packet.iov_len);
  std::memcpy(packets_[place].bytes, packet.iov_base, packet.iov_len);
  next_[place] = NO_PLACE;
  if (list.count++ == 0) {
    list.first = place;
    receivers_.push_back(&receiver);
  } else {
    next_[list.last] = place;
  }
  list.last = place;
}

size_t Backlog::peek(const Outlet& receiver, iovec* out, size_t most) const {
  const size_t count = receiver.backlog.count < most ? receiver.backlog.count : most;
  uint32_t place = receiver.backlog.first;
  for (size_t i = 0; i < count; i++, place = next_[place]) out[i] = {packets_[place].bytes, packets_[place].length};
  return count;
}

void Backlog::remove(Outlet& receiver, size_t count) {
  for (; count > 0 && receiver.backlog.count > 0; count--) unlink(receiver, NO_PLACE);
}

bool Backlog::makeRoom(Outlet& receiver) {
  if (receiver.media == Media::audio) {
    for (Outlet* other : receivers_) {
      if (other->media != Media::video) continue;
      dropOldest(*other);
      return true;
    }
  }
  if (receiver.backlog.count == 0) return false;
  dropOldest(receiver);
  return true;
}

// A frame that lacks a packet is of no use: the rest of it goes too. A channel carries one media kind, so audio and RTCP are
// dropped here only where there is no video packet.
void Backlog::dropOldest(Outlet& receiver) {
  BacklogList& list = receiver.backlog;
  uint32_t oldest = list.first, previous = NO_PLACE;
  if (receiver.media == Media::video) {
    while (oldest != NO_PLACE && !isRtp(packets_[oldest])) {
      previous = oldest;
      oldest = next_[oldest];
    }
  }
  if (receiver.media != Media::video || oldest == NO_PLACE) {
    countDrop(counters_, receiver, Drop::queue_full);
    return unlink(receiver, NO_PLACE);
  }
  Variant frame;
  frame.length = packets_[oldest].length;
  std::memcpy(frame.bytes, packets_[oldest].bytes, frame.length);
  for (uint32_t place = oldest; place != NO_PLACE;) {
    const uint32_t after = next_[place];
    if (isRtp(packets_[place]) && sameFrame(packets_[place], frame)) {
      countDrop(counters_, receiver, Drop::queue_full);
      unlink(receiver, previous);
    } else {
      previous = place;
    }
    place = after;
  }
}

void Backlog::unlink(Outlet& receiver, uint32_t previous) {
  BacklogList& list = receiver.backlog;
  uint32_t& link = previous == NO_PLACE ? list.first : next_[previous];
  const uint32_t place = link;
  link = next_[place];
  if (list.last == place) list.last = previous;
  next_[place] = free_;
  free_ = place;
  if (--list.count > 0) return;
  for (size_t i = 0; i < receivers_.size(); i++) {
    if (receivers_[i] == &receiver) receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace claviger
