// How the core reaches sockets. The relay threads give it real ones, tests and the harness a list.
#pragma once
#include "address.h"

namespace claviger {

struct Channel;

class Transport {
 public:
  virtual ~Transport() = default;
  // To the channel's peer; false when the kernel had no room.
  virtual bool send(Channel& to, const uint8_t* bytes, size_t length) = 0;
  // To any address, before the peer is proven.
  virtual void sendTo(Channel& from, const Address& to, const uint8_t* bytes, size_t length) = 0;
  virtual bool opened(Channel& channel) = 0;
  virtual void connect(Channel& channel, const Address& peer) = 0;
  virtual void close(Channel& channel) = 0;
  // A descriptor that a refused command brought.
  virtual void discard(int socket) = 0;
};

}  // namespace claviger
