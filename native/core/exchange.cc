#include "exchange.h"

#include <unistd.h>

namespace claviger {

Exchange::Exchange(size_t threads) : bells_(threads), packets_(threads * threads), datagrams_(threads * threads) {
  for (auto& ring : packets_) ring.store(nullptr);
  for (auto& ring : datagrams_) ring.store(nullptr);
}

Exchange::~Exchange() {
  for (auto& ring : packets_) delete ring.load();
  for (auto& ring : datagrams_) delete ring.load();
}

Ring<Outgoing>& Exchange::packets(size_t from, size_t to) {
  if (Ring<Outgoing>* known = packetsIf(from, to)) return *known;
  auto* made = new Ring<Outgoing>(RELAY_HANDOVER_PACKETS);
  packets_[at(from, to)].store(made, std::memory_order_release);
  bells_[to].reaching.fetch_add(1, std::memory_order_seq_cst);
  return *made;
}

Ring<Incoming>& Exchange::datagrams(size_t from, size_t to) {
  if (Ring<Incoming>* known = datagramsIf(from, to)) return *known;
  auto* made = new Ring<Incoming>(RELAY_HANDOVER_DATAGRAMS);
  datagrams_[at(from, to)].store(made, std::memory_order_release);
  bells_[to].reaching.fetch_add(1, std::memory_order_seq_cst);
  return *made;
}

void Exchange::ring(size_t thread) {
  Bell& bell = bells_[thread];
  if (!bell.asleep.load(std::memory_order_seq_cst) || !bell.asleep.exchange(false)) return;
  const uint64_t one = 1;
  (void)!write(bell.wake, &one, sizeof one);
}

}  // namespace claviger
