#include "egress.h"

namespace claviger {

Egress::Egress(Transport& transport, Counters& counters)
    : transport_(transport), counters_(counters), arena_(new Variant[RELAY_VARIANT_ARENA_PACKETS]) {
  waiting_.reserve(MAX_CHANNELS);
}

void Egress::queue(Channel& receiver, const Variant* variant) {
  if (receiver.queued == RELAY_RECEIVER_QUEUE_PACKETS) {
    send(receiver);  // it stays in `waiting_`
  } else if (receiver.queued == 0) {
    waiting_.push_back(&receiver);
  }
  receiver.queue[receiver.queued++] = variant;
}

void Egress::flush() {
  for (Channel* receiver : waiting_) send(*receiver);
  waiting_.clear();
  used_ = 0;
}

void Egress::forget(Channel& receiver) {
  for (size_t i = 0; i < waiting_.size(); i++) {
    if (waiting_[i] != &receiver) continue;
    waiting_[i] = waiting_.back();
    waiting_.pop_back();
    break;
  }
  receiver.queued = 0;
}

void Egress::send(Channel& receiver) {
  for (uint32_t i = 0; i < receiver.queued; i++) {
    const Variant& v = *receiver.queue[i];
    if (!transport_.send(receiver, v.bytes, v.length)) {
      counters_.count(Drop::queue_full);
      bump(receiver.words + CHANNEL_COUNTER_drops + static_cast<uint32_t>(Drop::queue_full));
      continue;
    }
    counters_.count(THREAD_COUNTER_egress);
    bump(receiver.words + CHANNEL_COUNTER_packetsOut);
    bump(receiver.words + CHANNEL_COUNTER_bytesOut, v.length);
  }
  receiver.queued = 0;
}

}  // namespace claviger
