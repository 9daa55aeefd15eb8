// What relay threads hand to one another. A conference lives on one thread, its home; of a large one some channels have
// their sockets on others, their branches. A branch hands in what its socket brings, as it came: streams' contexts and keys
// are on the home thread only, so none is ever shared, and all of a conference's packets are judged in one order. The home
// hands over what is to leave: variants by reference, the tag made once. Receivers and channels are named by counter slot
// and id, never by a pointer, and ids are not used twice: either side may close a channel while the other still names it.
#pragma once
#include <vector>

#include "address.h"
#include "ring.h"
#include "variant.h"

namespace claviger {

// From home to branch. The variant stays the home's, which holds it until the branch has released the ring's place: when the
// packet has left.
struct Outgoing {
  // peer: the variant's bytes are an Address to connect to; datagram: one to send to, and behind it what.
  enum class Kind : uint16_t { media, control, peer, datagram };
  Variant* variant;
  uint32_t channel;
  uint16_t slot;  // on the branch's thread
  Kind kind;
};
static_assert(MAX_CHANNELS <= 0x10000, "a slot fits");

// From branch to home: a datagram of a channel's socket. Without initialisers: see Ring.
struct Incoming {
  uint32_t channel;
  uint16_t slot;  // on the home thread
  uint16_t length;
  uint16_t port;
  uint8_t ip[sizeof Address::ip];
  // One byte more than is allowed: a longer datagram shows by its length.
  uint8_t bytes[MAX_DATAGRAM_BYTES + 1];

  Address from() const {
    Address a;
    std::memcpy(a.ip, ip, sizeof ip);
    a.port = port;
    return a;
  }
};

class Exchange {
 public:
  explicit Exchange(size_t threads);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  size_t threads() const { return bells_.size(); }
  // The ring from one thread to another. Made at the first call, by the thread that will write to it; lives as long as this.
  Ring<Outgoing>& packets(size_t from, size_t to);
  Ring<Incoming>& datagrams(size_t from, size_t to);
  // For the reader; null: there is none yet.
  Ring<Outgoing>* packetsIf(size_t from, size_t to) const { return packets_[at(from, to)].load(std::memory_order_acquire); }
  Ring<Incoming>* datagramsIf(size_t from, size_t to) const {
    return datagrams_[at(from, to)].load(std::memory_order_acquire);
  }
  // Rings that end at this thread.
  uint32_t reaching(size_t to) const { return bells_[to].reaching.load(std::memory_order_seq_cst); }

  // A thread's eventfd, before any thread runs.
  void hang(size_t thread, int wake) { bells_[thread].wake = wake; }
  // Between these two the thread wants to be woken. After the first it looks once more whether something waits.
  void sleeps(size_t thread) { bells_[thread].asleep.store(true, std::memory_order_seq_cst); }
  void wakes(size_t thread) { bells_[thread].asleep.store(false, std::memory_order_relaxed); }
  // Something was published for it: a system call only if it sleeps.
  void ring(size_t thread);

 private:
  struct alignas(64) Bell {
    std::atomic<bool> asleep{false};
    std::atomic<uint32_t> reaching{0};
    int wake = -1;
  };
  size_t at(size_t from, size_t to) const { return from * bells_.size() + to; }

  std::vector<Bell> bells_;
  std::vector<std::atomic<Ring<Outgoing>*>> packets_;
  std::vector<std::atomic<Ring<Incoming>*>> datagrams_;
};

}  // namespace claviger
