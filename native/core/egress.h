// What leaves: the variants of one drain and each receiver's queue of them. What the kernel is asked for, and what happens
// when it refuses, is decided here; how it is asked is the transport's business.
#pragma once
#include <memory>
#include <vector>

#include "backlog.h"
#include "exchange.h"
#include "outlet.h"
#include "transport.h"

namespace claviger {

// The way to the receivers whose sockets are on one other thread, and the variants that it still has to send, in the order
// in which they were handed over: each is held until the ring is read up to the place named.
struct Away {
  struct Lent {
    Variant* variant;
    uint32_t until;
  };
  size_t thread;
  Ring<Outgoing>* ring;
  bool waits = false;  // something was written and not published
  uint32_t first = 0;  // of `lent`, which runs round; the counts run on
  uint32_t next = 0;
  std::unique_ptr<Lent[]> lent{new Lent[RELAY_LENT_VARIANTS]};
  static_assert((RELAY_LENT_VARIANTS & (RELAY_LENT_VARIANTS - 1)) == 0, "places are found by masking");
  Lent& at(uint32_t i) { return lent[i & (RELAY_LENT_VARIANTS - 1)]; }
};

class Egress {
 public:
  // `exchange` null: there is no other thread; else `self` is this one.
  Egress(Transport& transport, Counters& counters, VariantPool& pool, Exchange* exchange = nullptr, size_t self = 0);

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
  void queue(Outlet& receiver, Variant* variant);
  // The end of a drain: everything is sent, copied or handed over, no variant of it is needed on this thread any longer.
  void flush();
  // Control RTCP: it does not wait behind media. False: it was not taken.
  bool control(Outlet& receiver, const uint8_t* bytes, size_t length);
  // The address from which the receiver's peer has proven itself; a socket that roams is not connected to it. False: its socket's thread cannot be told yet.
  bool connect(Outlet& receiver, const Address& peer);
  // To any address, before the peer has proven itself.
  void sendTo(Outlet& from, const Address& to, const uint8_t* bytes, size_t length);
  // The way to another thread, for a channel that is opened.
  Away& wayTo(size_t thread);
  // There is room in the kernel: what waited leaves. `reason` other than none: it no longer may, and is dropped.
  void resume(Outlet& receiver, Drop reason);
  // The channel closes: what waits for it is dropped.
  void forget(Outlet& receiver);

 private:
  void send(Outlet& receiver);
  // handover.cc
  bool handOver(Outlet& receiver, Variant* variant, Outgoing::Kind kind);
  bool handOver(Outlet& receiver, const Address& address, const uint8_t* bytes, size_t length, Outgoing::Kind kind);
  bool lend(Away& way, Variant* variant);
  void publish();
  void takeBack();
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
  Exchange* const exchange_;
  const size_t self_;
  std::vector<std::unique_ptr<Away>> ways_;  // by thread
  std::vector<Away*> handing_;               // where something was written
  uint32_t lent_ = 0;                        // variants on all ways
  std::vector<Outlet*> waiting_;
  // One receiver's packets and how they leave; made anew for each.
  iovec packets_[RELAY_RECEIVER_QUEUE_PACKETS];
  Run runs_[RELAY_RECEIVER_QUEUE_PACKETS];
  bool segments_ = true;         // runs are worth trying on this thread
  bool segmentsTaken_ = false;   // one was taken
  uint32_t segmentRefusals_ = 0;
};

}  // namespace claviger
