// What leaves: the variants of one drain and each receiver's queue of them. What the kernel is asked for, and what happens
// when it refuses, is decided here; how it is asked is the transport's business.
#pragma once
#include <memory>

#include "backlog.h"
#include "outlet.h"
#include "transport.h"

namespace claviger {

class Egress {
 public:
  Egress(Transport& transport, Counters& counters, VariantPool& pool);

  // True: a flush must come before the next `make` or `share`; it lets go of every variant of the drain.
  bool full() const { return used_ == RELAY_VARIANT_ARENA_PACKETS; }
  bool nearlyFull() const { return used_ + 2 > RELAY_VARIANT_ARENA_PACKETS; }
  // A new variant of this drain.
  Variant* make() { return drain_[used_++] = pool_.take(); }
  // One that exists already becomes a variant of this drain too.
  void share(Variant& v) {
    pool_.hold(v);
    drain_[used_++] = &v;
  }
  void queue(Outlet& receiver, const Variant* variant);
  // The end of a drain: everything is sent or copied, no variant is needed here any longer.
  void flush();
  // There is room in the kernel: what waited leaves. `reason` other than none: it no longer may, and is dropped.
  void resume(Outlet& receiver, Drop reason);
  // The channel closes: what waits for it is dropped.
  void forget(Outlet& receiver);

 private:
  void send(Outlet& receiver);
  // The first `count` of packets_, in order. `taken`: how many of them left. Sent::all, full or gone.
  Sent transmit(Outlet& receiver, size_t count, size_t& taken);
  size_t formRuns(const iovec* packets, size_t count, bool segmented);
  void countSent(Outlet& receiver, const Run& run);
  void refuseSegments(Outlet& receiver);

  Transport& transport_;
  Counters& counters_;
  Backlog backlog_;
  VariantPool& pool_;
  Variant* drain_[RELAY_VARIANT_ARENA_PACKETS];
  size_t used_ = 0;
  std::vector<Outlet*> waiting_;
  // One receiver's packets and how they leave; made anew for each.
  iovec packets_[RELAY_RECEIVER_QUEUE_PACKETS];
  Run runs_[RELAY_RECEIVER_QUEUE_PACKETS];
  bool segments_ = true;         // runs are worth trying on this thread
  bool segmentsTaken_ = false;   // one was taken
  uint32_t segmentRefusals_ = 0;
};

}  // namespace claviger
