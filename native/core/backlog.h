// Packets that the kernel had no room for, in the order in which they were to leave. They are copies: variants end with
// their drain. One memory for all receivers of a thread, taken once, and touched only where it is used.
#pragma once
#include <sys/uio.h>

#include <memory>
#include <vector>

#include "counters.h"
#include "variant.h"

namespace claviger {

struct Outlet;

// A receiver's part of the memory: a list of places.
struct BacklogList {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t count = 0;
};

class Backlog {
 public:
  explicit Backlog(Counters& counters);

  // Behind what waits already. Where there is no room the oldest video frame goes: the receiver's own or, for audio when
  // the memory is used up, another one's; then the receiver's oldest packet, then this one. Whatever is lost is counted
  // for its receiver.
  void append(Outlet& receiver, const iovec& packet);
  // The first packets, at most `most`; they stay where they are. Gives their number.
  size_t peek(const Outlet& receiver, iovec* out, size_t most) const;
  // The first `count` have left.
  void remove(Outlet& receiver, size_t count);
  void clear(Outlet& receiver) { remove(receiver, ~size_t{0}); }

 private:
  static constexpr uint32_t NO_PLACE = 0xffffffff;

  bool makeRoom(Outlet& receiver);
  void dropOldest(Outlet& receiver);
  // Unlinks the place after `previous`; NO_PLACE: the first one.
  void unlink(Outlet& receiver, uint32_t previous);
  bool full() const { return free_ == NO_PLACE && fresh_ == RELAY_BACKLOG_PACKETS; }

  Counters& counters_;
  std::unique_ptr<Variant[]> packets_;
  std::unique_ptr<uint32_t[]> next_;
  uint32_t free_ = NO_PLACE;  // places that were used before, linked
  uint32_t fresh_ = 0;        // the first place that never was
  std::vector<Outlet*> receivers_;  // of whom something waits, the first to have begun first
};

}  // namespace claviger
