// Video packets as they went out, kept for RELAY_RETRANSMIT_AGE_MS so that a receiver that lost one can have the very same
// bytes again (generic NACK, RFC 4585 §6.2.1), and what one receiver may ask for. All memory is taken when the thread starts,
// a stream is bound or a channel is opened.
#pragma once
#include <memory>
#include <vector>

#include "rate.h"
#include "variant.h"

namespace claviger {

// Since which packet everything of a source went to one edge's receiver without a break, under one payload type. Whatever
// is older may have been sent or not; it is not sent again.
struct SentRun {
  uint64_t since = 0;  // the packet's number on this thread; 0: nothing was sent
  uint8_t payloadType = 0;
  void sent(uint64_t number, uint8_t as) {
    if (since != 0 && payloadType == as) return;
    since = number;
    payloadType = as;
  }
  void broken() { since = 0; }
};

// One variant as it went out.
struct KeptPacket {
  uint64_t number;  // of the packet on this thread; equal for its variants
  uint64_t at;      // ns
  Variant* variant;
  uint32_t generation;  // of the set that the packet is under
  uint16_t sequence;
  uint8_t set;  // that set's place
  uint8_t sink;
  uint8_t payloadType;
};

// What all streams of a thread keep together.
class KeptVariants {
 public:
  explicit KeptVariants(VariantPool& pool) : pool_(pool) {}
  bool full() const { return count_ == RELAY_RETRANSMIT_PACKETS_PER_THREAD; }
  void hold(Variant& v) {
    pool_.hold(v);
    count_++;
  }
  void release(Variant& v) {
    pool_.release(v);
    count_--;
  }
  uint32_t count() const { return count_; }

 private:
  VariantPool& pool_;
  uint32_t count_ = 0;
};

// What is kept of one stream, the oldest first.
class KeptStream {
 public:
  // Makes room by forgetting the stream's own oldest packet. Not kept when the thread keeps all that it may.
  void keep(KeptVariants& all, const KeptPacket& packet);
  // The first variant kept of the packet of this sequence number; null: none.
  const KeptPacket* find(uint16_t sequence, uint64_t now) const;
  // The next variant of the same packet.
  const KeptPacket* next(const KeptPacket* variant) const;
  void expire(KeptVariants& all, uint64_t now);
  void clear(KeptVariants& all);
  uint32_t count() const { return head_ - tail_; }
  uint32_t head() const { return head_; }

 private:
  static constexpr uint32_t SIZE = RELAY_RETRANSMIT_PACKETS_PER_STREAM;
  static_assert((SIZE & (SIZE - 1)) == 0, "places are found by masking");
  KeptPacket& place(uint32_t i) { return ring_[i & (SIZE - 1)]; }
  const KeptPacket& place(uint32_t i) const { return ring_[i & (SIZE - 1)]; }
  void drop(KeptVariants& all) { all.release(*place(tail_++).variant); }

  uint32_t head_ = 0;  // the next one to be written; the ring runs round, the counts run on
  uint32_t tail_ = 0;
  uint32_t firstOf_[SIZE] = {};  // by sequence number: where its first variant is
  KeptPacket ring_[SIZE];
};

// What one receiver may ask for. Every request counts, whether it can be answered or not: looking is work too.
class RequestLimit {
 public:
  bool take(uint64_t now);
  // False: this packet went to this receiver less than RELAY_RETRANSMIT_MIN_INTERVAL_MS ago, or one that shares its place
  // here did. Remembers it otherwise.
  bool mayRepeat(uint32_t ssrc, uint16_t sequence, uint64_t now);

 private:
  struct Recent {
    uint32_t ssrc = 0;
    uint16_t sequence = 0;
    bool used = false;
    uint64_t at = 0;
  };
  static constexpr uint32_t PLACES = 256;
  static_assert(PLACES > RELAY_RETRANSMIT_REQUEST_BURST, "neighbouring packets of a burst have places of their own");
  static constexpr uint64_t NS_PER_REQUEST = NS_PER_S / RELAY_RETRANSMIT_REQUESTS_PER_SECOND;

  Rate rate_;
  Recent recent_[PLACES];
};

}  // namespace claviger
