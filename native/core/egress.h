// What leaves: the variants of one drain and each receiver's queue of them. How the kernel is asked to send is decided in
// egress.cc and nowhere else, so that sendmmsg and UDP_SEGMENT can come in here.
#pragma once
#include <memory>

#include "channel.h"
#include "transport.h"

namespace claviger {

// One distinct byte sequence of a switched packet, shared by its receivers until the end of the drain.
struct Variant {
  uint16_t length;
  uint8_t bytes[MAX_DATAGRAM_BYTES];
};

class Egress {
 public:
  Egress(Transport& transport, Counters& counters);

  // True: a flush must come before the next `make`; it frees every variant that was made.
  bool full() const { return used_ == RELAY_VARIANT_ARENA_PACKETS; }
  Variant* make() { return &arena_[used_++]; }
  void queue(Channel& receiver, const Variant* variant);
  // The end of a drain: everything is sent, every variant is free again.
  void flush();
  // The channel closes: what waits for it is dropped.
  void forget(Channel& receiver);

 private:
  void send(Channel& receiver);

  Transport& transport_;
  Counters& counters_;
  std::unique_ptr<Variant[]> arena_;
  size_t used_ = 0;
  std::vector<Channel*> waiting_;
};

}  // namespace claviger
