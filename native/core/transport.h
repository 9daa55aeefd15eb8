// How the core reaches sockets. The relay threads give it real ones, tests and the harness a list.
#pragma once
#include <sys/uio.h>

#include "address.h"

namespace claviger {

struct Outlet;

// Datagrams that leave in one go: all of one length, only the last one may be shorter.
struct Run {
  const iovec* packets;
  uint32_t count;
};

// What became of a list of runs.
enum class Sent : uint8_t {
  all,
  some,         // the rest was not tried, or its error is lost: to be asked for again
  full,         // the kernel has no room for the first one left; it will have (Transport::awaitRoom)
  unsegmented,  // the first one left is refused as a run, and may be sent packet by packet
  gone,         // nobody takes the first one left
};

class Transport {
 public:
  virtual ~Transport() = default;
  // To the channel's peer; false when it was not taken.
  virtual bool send(Outlet& to, const uint8_t* bytes, size_t length) = 0;
  // To the channel's peer, in order. `taken`: runs that went out whole; a run goes out whole or not at all. Here for
  // transports that know no runs.
  virtual Sent sendRuns(Outlet& to, const Run* runs, size_t count, size_t& taken) {
    for (taken = 0; taken < count; taken++) {
      for (uint32_t i = 0; i < runs[taken].count; i++) {
        const iovec& p = runs[taken].packets[i];
        if (!send(to, static_cast<const uint8_t*>(p.iov_base), p.iov_len)) return Sent::gone;
      }
    }
    return Sent::all;
  }
  // From now on whoever drives the switch calls Switch::writable when the channel's socket has room; or no longer.
  virtual void awaitRoom(Outlet&, bool) {}
  // To any address, before the peer is proven and while another is awaited.
  virtual void sendTo(Outlet& from, const Address& to, const uint8_t* bytes, size_t length) = 0;
  virtual bool opened(Outlet& channel) = 0;
  virtual void connect(Outlet& channel, const Address& peer) = 0;
  // Datagrams are taken from any address again.
  virtual void disconnect(Outlet&) {}
  virtual void close(Outlet& channel) = 0;
  // A descriptor that a refused command brought.
  virtual void discard(int socket) = 0;
};

}  // namespace claviger
