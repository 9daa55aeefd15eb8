// Datagrams of one relay thread, as they came in or as they leave, in cells that are counted: a packet is received into a
// cell, rewritten in it, sent from it and kept in it for retransmission, and is copied only for a second variant.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "limits.h"

namespace claviger {

// One distinct byte sequence, shared by its receivers until the end of the drain. Cells begin on cache lines of their own.
struct alignas(64) Variant {
  uint32_t references;
  uint16_t length;
  // One byte more than a datagram may have: a longer one shows by its length.
  uint8_t bytes[MAX_DATAGRAM_BYTES + 1];
};

// All memory is taken at the start. Not thread-safe: the relay thread's own.
class VariantPool {
 public:
  VariantPool();
  // With one reference, and whatever it held before. Never without a cell: the users' own limits add up to CELLS.
  Variant* take();
  void hold(Variant& v) { v.references++; }
  void release(Variant& v) {
    if (--v.references == 0) free_.push_back(&v);
  }
  size_t inUse() const { return used_ - free_.size(); }

  // What a drain sends, what is kept, what others have to send, what is being received, and one to receive into without a
  // socket.
  static constexpr uint32_t CELLS = RELAY_VARIANT_ARENA_PACKETS + RELAY_RETRANSMIT_PACKETS_PER_THREAD + RELAY_LENT_VARIANTS +
                                    RELAY_RECEIVE_BATCH_DATAGRAMS + 1;
  static_assert(RELAY_VARIANTS_READY <= CELLS, "the pages of the first cells");

 private:
  std::unique_ptr<Variant[]> cells_;  // not initialised: the pages of later cells come with their first use
  std::vector<Variant*> free_;        // used again last in, first out: few pages and cache lines are touched
  uint32_t used_ = 0;                 // cells before this one were in use once
};

}  // namespace claviger
