// A channel's socket and what is about to leave on it: all that sending needs to know of a channel.
#pragma once
#include <vector>

#include "address.h"
#include "backlog.h"
#include "counters.h"

namespace claviger {

enum class Media : uint8_t { audio = MEDIA_audio, video = MEDIA_video };
enum class Level : uint8_t {
  unknown = LEVEL_unknown,
  none = LEVEL_none,
  hopByHop = LEVEL_hop_by_hop,
  endToEnd = LEVEL_end_to_end,
};
// An unknown level meets nothing (src/security/levels.ts).
inline bool meets(Level level, Level required) { return level != Level::unknown && level >= required; }

struct Away;
struct Conference;

struct Outlet {
  uint32_t id = 0;    // the channel's
  Conference* conference = nullptr;
  uint32_t slot = 0;  // of its counters
  Media media = Media::audio;
  bool plain = false;
  bool proven = false;
  bool awaiting = false;     // another DTLS peer may prove itself, from any address
  bool latching = false;     // the peer's address is not proven yet: the first packet that verifies says it
  bool roams = false;        // ICE: its peer may speak from several addresses, so the socket is never connected
  bool consented = true;     // its peer wants to be sent to
  bool connected = false;    // the socket is, to `peer`
  bool unsegmented = false;  // its path refuses runs of packets
  bool ready = false;
  Level level = Level::unknown;
  bool branch = false;  // a Branch, not a Channel
  uint64_t latchUntil = 0;  // latch.cc: until then a peer of plain RTP may turn out to be elsewhere; 0: not any more
  Outlet* rtcpOf = nullptr;  // the channel whose RTCP has this port to itself (rtcp_port.cc)
  uint16_t awaySlot = 0;
  Away* away = nullptr;  // a channel whose socket is on another thread: the way there
  int socket = -1;
  // A bundle (RFC 9143): several m-lines over the socket, the proven peer and the keys of one of them, their leader.
  Outlet* leader = nullptr;
  std::vector<Outlet*> followers;
  uint64_t* words = nullptr;  // its counters
  Address peer;

  uint32_t queued = 0;
  BacklogList backlog;
  const Variant* queue[RELAY_RECEIVER_QUEUE_PACKETS];

  // Whose socket and peer these are.
  Outlet& carrier() { return leader == nullptr ? *this : *leader; }
  const Outlet& carrier() const { return leader == nullptr ? *this : *leader; }
};

inline void countDrop(Counters& counters, Outlet& outlet, Drop drop, uint64_t by = 1) {
  counters.count(drop, by);
  bump(outlet.words + CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop), by);
}

}  // namespace claviger
