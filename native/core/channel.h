// One m-line of one endpoint, and the conference that it belongs to: everything that is looked up for a packet.
#pragma once
#include <memory>
#include <vector>

#include "address.h"
#include "backlog.h"
#include "channel_keys.h"
#include "counters.h"
#include "ekt_mode.h"
#include "rate.h"
#include "report.h"
#include "retransmit.h"

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

constexpr size_t POSITIONS = 16;
constexpr int16_t NO_MAPPING = -1;

struct Conference;

struct Activity {
  uint32_t packets = 0;
  int8_t energy = -1;
};

// Refusals since the last summary.
struct Refusals {
  uint32_t count = 0;
  uint32_t ssrc = 0;
};
constexpr Drop SUMMARISED[] = {Drop::auth_failed, Drop::ssrc_owned, Drop::bad_position};
constexpr size_t SUMMARISED_COUNT = sizeof SUMMARISED / sizeof SUMMARISED[0];

// Edges of the route plan that start at one position: a range of the plan's table.
struct EdgeRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct Channel {
  uint32_t id = 0;
  uint32_t member = 0;
  uint32_t slot = 0;
  Conference* conference = nullptr;
  Media media = Media::audio;
  bool plain = false;
  int socket = -1;
  uint64_t* words = nullptr;  // its counters

  bool proven = false;
  bool connected = false;  // the socket is, to `peer`
  Address peer;

  bool tip = false;
  bool trailingByte = false;
  bool ready = false;
  Level level = Level::unknown;
  uint16_t transmitMask = 0;
  int16_t codecOf[128];
  int16_t payloadTypeOf[256];
  uint32_t clockOf[128] = {};  // Hz by payload type; 0: the media kind's

  ChannelKeys keys;
  uint8_t ackedSets = 0;
  ProvisionalKey provisional;
  // The SSRCs side by side: a packet's stream is found in one cache line.
  uint32_t ssrcs[MAX_STREAMS_PER_CHANNEL] = {};
  uint32_t streamCount = 0;
  std::unique_ptr<Stream[]> streams;
  // By stream as well. `kept` on secured video channels only, where a receiver can prove that it is the one that asks.
  Reception reception[MAX_STREAMS_PER_CHANNEL];
  std::unique_ptr<KeptStream> kept[MAX_STREAMS_PER_CHANNEL];
  std::unique_ptr<RequestLimit> requests;
  uint64_t nextReport = 0;

  EdgeRange edges[POSITIONS];
  Activity activity[POSITIONS];
  Refusals refusals[SUMMARISED_COUNT];
  uint64_t refusalsReported = 0;
  uint64_t dtlsSecond = 0;
  uint32_t dtlsInSecond = 0;
  Rate ingress;

  const Variant* queue[RELAY_RECEIVER_QUEUE_PACKETS];
  uint32_t queued = 0;
  BacklogList backlog;
  bool unsegmented = false;  // its path refuses runs of packets

  Channel();
  ~Channel();  // wipes the streams; ChannelKeys wipes itself
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Stream* find(uint32_t ssrc) const;
  size_t placeOf(const Stream& s) const { return static_cast<size_t>(&s - streams.get()); }
  uint32_t clockHz(uint8_t payloadType) const;
};

inline void countDrop(Counters& counters, Channel& channel, Drop drop, uint64_t by = 1) {
  counters.count(drop, by);
  bump(channel.words + CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop), by);
}

struct Edge {
  Channel* source;
  Channel* receiver;
  uint8_t position;
  uint8_t sink;
  bool active;      // what the sink shows now
  bool planned;     // false: kept only until its successor's refresh point
  uint32_t retires;  // the edge that it takes the sink over from; NO_EDGE: none
  SentRun sent{};
};
constexpr uint32_t NO_EDGE = 0xffffffff;

struct RoutePlan {
  std::vector<Edge> edges;  // by source and position
};

// Which channel of the conference an SSRC is bound to. Open addressing; it grows when channels are opened, never on a packet.
class SsrcOwners {
 public:
  void reserve(size_t channels);
  Channel* owner(uint32_t ssrc) const;
  void bind(uint32_t ssrc, Channel* channel);
  void release(Channel* channel);

 private:
  struct Entry {
    uint32_t ssrc = 0;
    Channel* channel = nullptr;
  };
  size_t home(uint32_t ssrc) const { return (ssrc * 0x9e3779b1u) & (entries_.size() - 1); }
  void rebuild(size_t size, const Channel* without);
  std::vector<Entry> entries_;
};

struct Conference {
  uint32_t id = 0;
  // Until the caller says otherwise nothing below end-to-end is let through.
  Level required = Level::endToEnd;
  GroupSets sets;
  std::vector<Channel*> channels;
  SsrcOwners owners;
  RoutePlan plans[2];  // by media
};

}  // namespace claviger
