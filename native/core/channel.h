// One m-line of one endpoint, and the conference that it belongs to: everything that is looked up for a packet.
#pragma once
#include <memory>
#include <vector>

#include "channel_keys.h"
#include "dtls_door.h"
#include "early.h"
#include "ekt_mode.h"
#include "ice.h"
#include "outlet.h"
#include "own_streams.h"
#include "payload.h"
#include "rate.h"
#include "report.h"
#include "retransmit.h"

namespace claviger {

constexpr size_t POSITIONS = 16;
constexpr int16_t NO_MAPPING = -1;

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

struct Channel : Outlet {
  uint32_t member = 0;

  bool tip = false;
  bool trailingByte = false;
  uint16_t transmitMask = 0;
  int16_t codecOf[128];
  int16_t payloadTypeOf[256];
  uint32_t clockOf[128] = {};  // Hz by payload type; 0: the media kind's

  // Where payloads end at the switch. `own`: what leaves are streams of its own; with it, `ends` says whether that is so now.
  // Both live as long as the channel's keys do: an index is never given twice under one key.
  std::shared_ptr<HopKeys> hop;
  std::unique_ptr<OwnStreams> own;
  // By stream; of the keys of `hop`, and no others' (RFC 3711 §3.2.3): what the stream had under a sender's key says nothing.
  std::unique_ptr<ReplayWindow[]> received;
  bool ends = false;
  bool sdes = false;          // its keys are signalling's: no DTLS
  // While latching: whoever has the keys was heard from the peer's address, if from another port; and else what is sent there.
  bool heard = false;
  Rate probes;
  uint64_t probedUntil = 0;  // 0: nothing was sent yet
  std::unique_ptr<EarlyControl> early;  // plain, and nobody is named yet
  VideoCodec videoOf[128] = {};  // by payload type
  uint8_t audioLevelId = 0;   // of the header extension (RFC 6464); 0: not agreed on
  bool showsKeyFrames = false;   // some payload type is of a codec whose key frames can be told
  std::unique_ptr<ParameterSets> parameterSets[MAX_STREAMS_PER_CHANNEL];  // by stream, of H.264

  // Of a bundle, what tells that a packet is for this m-line: its name, in the header extension `midId` (0: not agreed on).
  uint8_t midId = 0;
  uint8_t midLength = 0;
  uint8_t mid[MAX_MID_BYTES];
  bool shared = false;  // others follow, or did: what comes in is told apart

  ChannelKeys keys;  // of a bundle, the leader's are everybody's
  uint8_t ackedSets = 0;
  ProvisionalKey provisional;
  // The SSRCs side by side: a packet's stream is found in one cache line.
  uint32_t ssrcs[MAX_STREAMS_PER_CHANNEL] = {};
  uint32_t streamCount = 0;
  std::unique_ptr<Stream> streams[MAX_STREAMS_PER_CHANNEL];  // made at their binding; most channels have none or one
  // By stream as well. `kept` on secured video channels only, where a receiver can prove that it is the one that asks.
  Reception reception[MAX_STREAMS_PER_CHANNEL];
  std::unique_ptr<KeptStream> kept[MAX_STREAMS_PER_CHANNEL];
  std::unique_ptr<RequestLimit> requests;
  uint64_t nextReport = 0;

  EdgeRange edges[POSITIONS];
  Activity activity[POSITIONS];
  Refusals refusals[SUMMARISED_COUNT];
  uint64_t refusalsReported = 0;
  uint64_t nextClaim = 0;
  bool onAgenda = false;  // Switch::tick has something to do for it
  DtlsDoor door;
  std::unique_ptr<IceAgent> ice;  // in force: an offer had it
  Rate ingress;
  bool latchAnywhere = false;  // else at the IP address of `peer` or of `latchFrom`
  Address latchFrom;
  std::unique_ptr<Outlet> rtcpPort;  // null: RTCP goes with RTP (RFC 5761)

  Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Stream* find(uint32_t ssrc) const;
  uint32_t clockHz(uint8_t payloadType) const;
  Channel& lead() { return static_cast<Channel&>(carrier()); }
  const Channel& lead() const { return static_cast<const Channel&>(carrier()); }
  bool bundled() const { return leader != nullptr || !followers.empty(); }
  Outlet& forRtcp() { return rtcpPort ? *rtcpPort : *this; }
  // Payloads of this channel are readable inside of the switch, coming in and going out.
  bool clearInside() const { return plain || ends; }
  // What is sent here are the switch's own streams. A TIP receiver in clear can tell sources and positions apart, and is
  // given the source's stream where that has a position.
  bool sendsOwn(bool hasPosition) const { return own && clearInside() && !(plain && tip && hasPosition); }
  // A refresh point of a video source here will be seen.
  bool marksRefresh() const { return trailingByte || (clearInside() && showsKeyFrames); }
};

struct Edge {
  Channel* source;
  Channel* receiver;
  uint8_t position;
  uint8_t sink;
  bool active;      // what the sink shows now
  bool planned;     // false: kept only until its successor's refresh point
  uint32_t retires;  // the edge that it takes the sink over from; NO_EDGE: none
  SentRun sent{};
  uint8_t lane = 0;  // of the receiver's own streams
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

struct Branch;

// On its home thread everything of a conference; on a thread that has branches of it what they must know.
struct Conference {
  uint32_t id = 0;
  // Until the caller says otherwise nothing below end-to-end is let through.
  Level required = Level::endToEnd;
  GroupSets sets;
  std::vector<Channel*> channels;
  std::vector<Branch*> branches;
  SsrcOwners owners;
  RoutePlan plans[2];  // by media
};

}  // namespace claviger
