// The core without threads and sockets: what it would send is written down. For tests and for the comparison with src/srtp.
#pragma once
#include "switch.h"

namespace claviger {

class Harness final : public Transport {
 public:
  // Without limits of rate: whoever feeds packets also tells the time.
  Harness()
      : counters_(new std::vector<uint64_t>(THREAD_REGION_WORDS)),
        switch_(*this, counters_->data(), IngressLimits{0, 0}) {}

  bool apply(const uint8_t* command, size_t length, uint64_t now) {
    const bool done = switch_.apply(command, length, now);
    switch_.flush();
    return done;
  }

  // `from` null: from the channel's peer.
  Drop feed(Channel& channel, const uint8_t* bytes, size_t length, uint64_t now, const Address* from = nullptr) {
    const Drop drop = switch_.receive(channel, bytes, length, from == nullptr ? channel.peer : *from, now);
    switch_.flush();
    return drop;
  }

  Switch& core() { return switch_; }
  const std::shared_ptr<std::vector<uint64_t>>& counters() const { return counters_; }
  // Of a receiver in `outputs`: what left by the port that its RTCP has to itself.
  static constexpr uint32_t RTCP_PORT = 0x80000000;
  // {receiver u32, length u16, bytes} for each datagram since the last clear.
  const std::vector<uint8_t>& outputs() const { return outputs_; }
  void clearOutputs() { outputs_.clear(); }
  std::vector<uint8_t> takeOutputs() {
    std::vector<uint8_t> taken;
    taken.swap(outputs_);
    return taken;
  }

  bool send(Outlet& to, const uint8_t* bytes, size_t length) override {
    uint8_t head[6];
    put32(head, to.rtcpOf != nullptr ? to.id | RTCP_PORT : to.id);
    put16(head + 4, static_cast<uint16_t>(length));
    outputs_.insert(outputs_.end(), head, head + sizeof head);
    outputs_.insert(outputs_.end(), bytes, bytes + length);
    return true;
  }
  void sendTo(Outlet& from, const Address&, const uint8_t* bytes, size_t length) override { send(from, bytes, length); }
  bool opened(Outlet&) override { return true; }
  void connect(Outlet&, const Address&) override {}
  void close(Outlet&) override {}
  void discard(int) override {}

 private:
  std::shared_ptr<std::vector<uint64_t>> counters_;
  std::vector<uint8_t> outputs_;
  Switch switch_;
};

}  // namespace claviger
