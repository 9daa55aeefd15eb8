#include "replicator.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <openssl/rand.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "clock.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace claviger::bench {
namespace {

// As many as the relay takes at once; of 1,200 bytes each they fit into one datagram's worth of segments.
constexpr size_t BATCH_DATAGRAMS = 32;
constexpr size_t MAX_UDP_PAYLOAD_BYTES = 65'507;
// DTLS-SRTP's numbers of the two profiles.
constexpr uint16_t PROFILE_CM = 1, PROFILE_GCM = 7;
constexpr size_t MASTER_KEY_AND_SALT_BYTES = 30;  // 28 of them with GCM

}  // namespace

struct Replicator::Batch {
  mmsghdr headers[BATCH_DATAGRAMS];
  iovec vectors[BATCH_DATAGRAMS];
  mmsghdr sending[BATCH_DATAGRAMS];
  iovec lengths[BATCH_DATAGRAMS];  // what was received: start and length of each
  uint8_t bytes[BATCH_DATAGRAMS][COPY_MAX_BYTES];
  uint8_t copies[BATCH_DATAGRAMS][COPY_MAX_BYTES];

  Batch() {
    for (size_t i = 0; i < BATCH_DATAGRAMS; i++) {
      vectors[i] = {bytes[i], sizeof bytes[i]};
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      sending[i] = {};
      sending[i].msg_hdr.msg_iov = &lengths[i];
      sending[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

Replicator::~Replicator() {
  stopping_.store(true);
  if (thread_.joinable()) {
    uint16_t port = 0;
    const int waker = bindLoopback(port);  // a datagram of its own ends a `recvmmsg` that waits
    if (waker >= 0 && connectLoopback(waker, port_)) (void)!::send(waker, "", 0, MSG_NOSIGNAL);
    thread_.join();
    if (waker >= 0) close(waker);
  }
  if (socket_ >= 0) close(socket_);
}

bool Replicator::start(Ground& ground, Manner manner) {
  manner_ = manner;
  socket_ = bindLoopback(port_);
  if (socket_ < 0) return false;
  growBuffers(socket_);
  outputs_ = ground.outputs();
  sinks_ = ground.sinkPorts();
  if (outputs_.empty()) return false;
  if (manner == Manner::copies) copier_ = std::make_unique<Copier>(outputs_.size());
  for (size_t i = 0; manner >= Manner::libsrtpCm && i < outputs_.size(); i++) {
    uint8_t key[MASTER_KEY_AND_SALT_BYTES];
    RAND_bytes(key, sizeof key);
    protectors_.emplace_back(manner == Manner::libsrtpCm ? PROFILE_CM : PROFILE_GCM, key);
    if (protectors_.back().usable()) continue;
    errno = ENOENT;
    return false;
  }
  thread_ = std::thread([this] { run(); });
  return true;
}

uint64_t Replicator::cpuNs() {
  clockid_t clock;
  if (!thread_.joinable() || pthread_getcpuclockid(thread_.native_handle(), &clock) != 0) return 0;
  return readClock(clock);
}

void Replicator::run() {
  const auto batch = std::make_unique<Batch>();
  while (!stopping_.load(std::memory_order_relaxed)) {
    // Waits for the first datagram, then takes what else is there.
    const int n = recvmmsg(socket_, batch->headers, BATCH_DATAGRAMS, MSG_WAITFORONE, nullptr);
    if (n <= 0 || stopping_.load(std::memory_order_relaxed)) continue;
    for (int i = 0; i < n; i++) batch->lengths[i] = {batch->bytes[i], batch->headers[i].msg_len};
    forward(*batch, static_cast<size_t>(n));
    received_.store(received() + static_cast<uint64_t>(n), std::memory_order_relaxed);
  }
}

void Replicator::forward(Batch& batch, size_t count) {
  switch (manner_) {
    case Manner::send: return sendEach(batch, count);
    case Manner::sendmmsg: return sendMany(batch, count);
    case Manner::segment: return sendSegments(batch.lengths, count, outputs_.data(), outputs_.size());
    case Manner::copies: return sendCopies(batch, count);
    case Manner::libsrtpCm:
    case Manner::libsrtpGcm: return sendProtected(batch, count);
  }
}

void Replicator::counted(uint64_t datagrams) {
  sent_.store(sent() + datagrams, std::memory_order_relaxed);
  calls_.store(calls() + 1, std::memory_order_relaxed);
}

void Replicator::sendEach(const Batch& batch, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const iovec& packet = batch.lengths[i];
    for (const int output : outputs_) {
      if (::send(output, packet.iov_base, packet.iov_len, MSG_NOSIGNAL) >= 0) counted(1);
    }
  }
}

void Replicator::sendMany(Batch& batch, size_t count) {
  for (const int output : outputs_) {
    const int n = ::sendmmsg(output, batch.sending, static_cast<unsigned>(count), MSG_NOSIGNAL);
    if (n > 0) counted(static_cast<uint64_t>(n));
  }
}

// Runs of equal length, all but the last of a call: in the benches that is everything that was received.
void Replicator::sendSegments(const iovec* packets, size_t count, const int* outputs, size_t outputCount) {
  for (size_t first = 0; first < count;) {
    const size_t size = packets[first].iov_len;
    size_t end = first + 1;
    while (end < count && packets[end].iov_len == size && (end + 1 - first) * size <= MAX_UDP_PAYLOAD_BYTES) end++;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(&packets[first]);
    message.msg_iovlen = end - first;
    if (end - first > 1) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = IPPROTO_UDP;
      c->cmsg_type = UDP_SEGMENT;
      c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto segment = static_cast<uint16_t>(size);
      std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
    }
    for (size_t i = 0; i < outputCount; i++) {
      if (sendmsg(outputs[i], &message, MSG_NOSIGNAL) >= 0) counted(end - first);
    }
    first = end;
  }
}

void Replicator::sendProtected(Batch& batch, size_t count) {
  iovec copies[BATCH_DATAGRAMS];
  for (size_t r = 0; r < outputs_.size(); r++) {
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
      uint8_t* copy = batch.copies[made];
      std::memcpy(copy, batch.bytes[i], batch.lengths[i].iov_len);
      const size_t length = protectors_[r].protect(copy, batch.lengths[i].iov_len);
      if (length > 0) copies[made++] = {copy, length};
    }
    sendSegments(copies, made, &outputs_[r], 1);
  }
}

void Replicator::sendCopies(Batch& batch, size_t count) {
  uint8_t copy[COPY_MAX_BYTES];
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (size_t i = 0; i < count; i++) {
    const size_t length = batch.lengths[i].iov_len;
    if (!copier_->open(batch.bytes[i], length)) continue;
    for (size_t r = 0; r < outputs_.size(); r++) {
      copier_->copyFor(r, batch.bytes[i], length, copy);
      to.sin_port = htons(sinks_[r]);
      const auto* address = reinterpret_cast<const sockaddr*>(&to);
      if (sendto(outputs_[r], copy, length, MSG_NOSIGNAL, address, sizeof to) >= 0) counted(1);
    }
  }
}

}  // namespace claviger::bench
