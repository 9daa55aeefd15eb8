#include "egress.h"

namespace claviger {
namespace {

// What one UDP datagram may carry over IPv4, and so what may be segmented into one run.
constexpr size_t MAX_RUN_BYTES = 65'507;
// The kernel's UDP_MAX_SEGMENTS was 64 before it became 128.
constexpr size_t MAX_RUN_PACKETS = 64;
// Receivers that refuse runs before any accepts one: it is not their paths, it is this machine.
constexpr uint32_t SEGMENT_REFUSALS_OF_A_MACHINE = 4;
// Lists of runs cut short for one receiver in a row, before the rest is given up: a closed port answers every datagram with
// an error that ends the list, and must not cost a system call a packet.
constexpr int MAX_CUTS = 2;

}  // namespace

Egress::Egress(Transport& transport, Counters& counters, VariantPool& pool, Exchange* exchange, size_t self)
    : transport_(transport),
      counters_(counters),
      backlog_(counters),
      pool_(pool),
      exchange_(exchange),
      self_(self),
      ways_(exchange == nullptr ? 0 : exchange->threads()) {
  waiting_.reserve(MAX_CHANNELS);
  handing_.reserve(ways_.size());
}

void Egress::queue(Outlet& receiver, Variant* variant) {
  if (receiver.away != nullptr) {
    handOver(receiver, variant, Outgoing::Kind::media);
    return;
  }
  if (receiver.queued == RELAY_RECEIVER_QUEUE_PACKETS) {
    send(receiver);  // it stays in `waiting_`
  } else if (receiver.queued == 0) {
    waiting_.push_back(&receiver);
  }
  receiver.queue[receiver.queued++] = variant;
}

void Egress::flush() {
  // The others first: they send at the same time as this thread.
  if (!handing_.empty()) publish();
  for (Outlet* receiver : waiting_) send(*receiver);
  waiting_.clear();
  for (size_t i = 0; i < used_; i++) pool_.release(*drain_[i]);
  used_ = 0;
  if (lent_ > 0) takeBack();
}

void Egress::resume(Outlet& receiver, Drop reason) {
  while (receiver.backlog.count > 0) {
    const size_t count = backlog_.peek(receiver, packets_, RELAY_RECEIVER_QUEUE_PACKETS);
    size_t taken = 0;
    const Sent sent = reason == Drop::none ? transmit(receiver, count, taken) : Sent::gone;
    backlog_.remove(receiver, taken);
    if (sent == Sent::full) return;
    if (sent != Sent::gone) continue;
    countDrop(counters_, receiver, reason == Drop::none ? Drop::unreachable : reason, receiver.backlog.count);
    backlog_.clear(receiver);
  }
  Outlet& carrier = receiver.carrier();
  bool waits = carrier.backlog.count > 0;
  for (const Outlet* follower : carrier.followers) waits = waits || follower->backlog.count > 0;
  if (!waits) transport_.awaitRoom(carrier, false);
}

void Egress::forget(Outlet& receiver) {
  for (size_t i = 0; i < waiting_.size(); i++) {
    if (waiting_[i] != &receiver) continue;
    waiting_[i] = waiting_.back();
    waiting_.pop_back();
    break;
  }
  receiver.queued = 0;
  backlog_.clear(receiver);
}

void Egress::send(Outlet& receiver) {
  const size_t count = receiver.queued;
  receiver.queued = 0;
  for (size_t i = 0; i < count; i++) {
    packets_[i] = {const_cast<uint8_t*>(receiver.queue[i]->bytes), receiver.queue[i]->length};
  }
  size_t taken = 0;
  const bool waits = receiver.backlog.count > 0;
  const Sent sent = waits ? Sent::full : transmit(receiver, count, taken);
  if (sent == Sent::gone) return countDrop(counters_, receiver, Drop::unreachable, count - taken);
  for (size_t i = taken; i < count; i++) backlog_.append(receiver, packets_[i]);
  if (sent == Sent::full && !waits) transport_.awaitRoom(receiver.carrier(), true);
}

Sent Egress::transmit(Outlet& receiver, size_t count, size_t& taken) {
  taken = 0;
  for (int cuts = 0; taken < count;) {
    const bool segmented = segments_ && !receiver.carrier().unsegmented;
    const size_t runs = formRuns(packets_ + taken, count - taken, segmented);
    size_t whole = 0;
    const Sent sent = transport_.sendRuns(receiver.carrier(), runs_, runs, whole);
    for (size_t i = 0; i < whole; i++) {
      taken += runs_[i].count;
      countSent(receiver, runs_[i]);
    }
    if (sent == Sent::full || sent == Sent::gone) return sent;
    if (sent == Sent::unsegmented) {
      if (!segmented) return Sent::gone;
      refuseSegments(receiver);
    } else if (whole < runs && ++cuts > MAX_CUTS) {
      return Sent::gone;
    }
  }
  return Sent::all;
}

// A run: packets of one length, and a shorter one may end it (as UDP_SEGMENT has it).
size_t Egress::formRuns(const iovec* packets, size_t count, bool segmented) {
  size_t runs = 0;
  for (size_t i = 0; i < count; runs++) {
    const size_t first = i;
    const size_t segment = packets[first].iov_len;
    size_t bytes = segment;
    for (i++; segmented && i < count && i - first < MAX_RUN_PACKETS; i++) {
      const size_t length = packets[i].iov_len;
      if (packets[i - 1].iov_len != segment || length > segment || bytes + length > MAX_RUN_BYTES) break;
      bytes += length;
    }
    runs_[runs] = {packets + first, static_cast<uint32_t>(i - first)};
  }
  return runs;
}

void Egress::countSent(Outlet& receiver, const Run& run) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < run.count; i++) bytes += run.packets[i].iov_len;
  counters_.count(THREAD_COUNTER_egress, run.count);
  bump(receiver.words + CHANNEL_COUNTER_packetsOut, run.count);
  bump(receiver.words + CHANNEL_COUNTER_bytesOut, bytes);
  if (run.count > 1) segmentsTaken_ = true;
}

// A path may refuse them for its MTU or its device; one such receiver must not cost the others theirs.
void Egress::refuseSegments(Outlet& receiver) {
  receiver.carrier().unsegmented = true;
  counters_.count(THREAD_COUNTER_unsegmented);
  if (!segmentsTaken_ && ++segmentRefusals_ == SEGMENT_REFUSALS_OF_A_MACHINE) segments_ = false;
}

}  // namespace claviger
