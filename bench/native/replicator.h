// One thread that receives on one socket and sends to N sinks, in one of six ways. The first three are the least that any
// relay must do: they send the bytes as they came and know no keys, no routes and no counters that another thread reads
// while they run. The others encrypt a copy for each receiver (copier.h, libsrtp.h).
#pragma once
#include <sys/uio.h>

#include <atomic>
#include <thread>
#include <vector>

#include "copier.h"
#include "ground.h"
#include "libsrtp.h"

namespace claviger::bench {

enum class Manner : uint8_t {
  send,      // `send` for each packet and receiver
  sendmmsg,  // for each receiver one sendmmsg of all packets that were waiting
  segment,   // for each receiver one sendmsg with UDP_SEGMENT of all packets that were waiting, gathered where they lie
  copies,     // verify and decrypt once; for each packet and receiver encrypt, tag, `sendto`
  libsrtpCm,  // RTP in clear comes in; for each receiver all that was waiting is protected by libsrtp, then one sendmsg with
              // UDP_SEGMENT: AES_CM_128_HMAC_SHA1_80
  libsrtpGcm, // the same with AEAD_AES_128_GCM
};
constexpr uint32_t MANNERS = 6;

class Replicator {
 public:
  Replicator() = default;
  ~Replicator();
  Replicator(const Replicator&) = delete;
  Replicator& operator=(const Replicator&) = delete;

  // False: the system refused (errno; ENOENT: there is no libsrtp, or it does not know the profile).
  bool start(Ground& ground, Manner manner);
  uint16_t port() const { return port_; }
  uint64_t received() const { return received_.load(std::memory_order_relaxed); }
  uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }
  // System calls that sent something.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  // CPU time of the thread since its start.
  uint64_t cpuNs();
  // Manner `copies` only: its keys, for the source's packets and for a test of the copies. Not while it runs a load.
  Copier* copier() { return copier_.get(); }

 private:
  struct Batch;
  void run();
  void forward(Batch& batch, size_t count);
  void sendEach(const Batch& batch, size_t count);
  void sendMany(Batch& batch, size_t count);
  void sendSegments(const iovec* packets, size_t count, const int* outputs, size_t outputCount);
  void sendProtected(Batch& batch, size_t count);
  void sendCopies(Batch& batch, size_t count);
  void counted(uint64_t datagrams);

  int socket_ = -1;
  uint16_t port_ = 0;
  Manner manner_ = Manner::send;
  std::vector<int> outputs_;  // the ground's
  std::vector<uint16_t> sinks_;
  std::unique_ptr<Copier> copier_;
  std::vector<LibSrtpSender> protectors_;  // one a receiver
  std::atomic<uint64_t> received_{0}, sent_{0}, calls_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace claviger::bench
