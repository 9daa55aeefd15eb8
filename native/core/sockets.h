// The system calls of a relay thread's UDP sockets; what is decided from their outcome is decided elsewhere.
#pragma once
#include <sys/socket.h>

#include "limits.h"
#include "transport.h"

namespace claviger {

// A UDP socket bound to the first free port of [first, last] at a literal address, non-blocking; -1: none is free, -2: the
// system refused for another reason.
int bindSocket(const Address& address, int family, uint16_t first, uint16_t last, uint16_t& port);
// Two of them at an even port and the one above it (RFC 3550 §11): the result and `above`.
int bindPair(const Address& address, int family, uint16_t first, uint16_t last, uint16_t& port, int& above);

// One datagram; `nameLength` 0: to the peer that the socket is connected to.
bool sendOne(int socket, const uint8_t* bytes, size_t length, const sockaddr_storage& name, socklen_t nameLength);

// Lists of runs to one peer, a system call a list, with UDP_SEGMENT for every run of more than one packet. See Transport.
class RunSender {
 public:
  RunSender();
  Sent send(int socket, const Run* runs, size_t count, const sockaddr_storage& name, socklen_t nameLength, size_t& taken);

 private:
  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  };
  void prepare(size_t at, const Run& run, const sockaddr_storage& name, socklen_t nameLength);
  // Asks once: a kernel that does not know the option would ignore it and send all as one datagram.
  bool segments(int socket);

  enum class Support : uint8_t { unknown, none, there } support_ = Support::unknown;
  mmsghdr headers_[RELAY_RECEIVER_QUEUE_PACKETS];
  Control controls_[RELAY_RECEIVER_QUEUE_PACKETS];
};

}  // namespace claviger
