// The switching core of one relay thread: channels, conferences, what happens to a packet (WIRE.md 9). No thread, socket
// or clock in here; `now` is nanoseconds of a clock that never goes back. Not thread-safe: one thread owns it.
#pragma once
#include <memory>
#include <unordered_map>

#include "branch.h"
#include "channel.h"
#include "egress.h"
#include "event_buffer.h"
#include "transport.h"

namespace claviger {

class CommandReader;
constexpr uint8_t NO_SET = 0xff;

class Switch {
 public:
  // `region`: THREAD_REGION_WORDS of counters, zero. `exchange` null: there is no other thread; else `self` is this one.
  Switch(Transport& transport, uint64_t* region, const IngressLimits& limits = IngressLimits(),
         Exchange* exchange = nullptr, size_t self = 0);
  ~Switch();

  // One command of src/relay/schema.ts. False: it does not parse, names nothing that is open, or is not allowed; then it
  // has changed nothing.
  bool apply(const uint8_t* command, size_t length, uint64_t now);

  // One datagram, in a cell of `variants` whose holder waits for nothing more from it: it may be decrypted or rewritten where
  // it lies, and sent or kept from there (more than one reference, then). A datagram that gives anything but Drop::none
  // changed nothing but counters and rate limits. What it makes leave waits for `flush`.
  // `port`: where it came in, one of the channel's.
  Drop receive(Channel& channel, const Outlet& port, Variant& datagram, const Address& from, uint64_t now);
  Drop receive(Channel& channel, Variant& datagram, const Address& from, uint64_t now) {
    return receive(channel, channel, datagram, from, now);
  }
  // The same for bytes that lie elsewhere and stay as they are.
  Drop receive(Channel& channel, const uint8_t* bytes, size_t length, const Address& from, uint64_t now);
  VariantPool& variants() { return variants_; }
  void flush();
  // The socket has room (Transport::awaitRoom): what waited leaves, if it still may.
  void writable(Outlet& outlet);

  // branch.cc
  // One datagram that a socket brought: to `receive`, or to the home of its channel. `allArrived` ends what came in one go.
  void arrived(Outlet& outlet, Variant& datagram, const Address& from, uint64_t now);
  void allArrived(Outlet& outlet);
  // What other threads have handed to this one. Commands are carried out between these two: whatever was asked for before
  // something was handed over is in force for it.
  void markNeighbours();
  void hearNeighbours(uint64_t now);
  bool neighboursWait() const;

  // To be called every ACTIVITY_INTERVAL_MS. `ntp`: the same moment as a 64-bit NTP timestamp, for sender reports.
  void tick(uint64_t now, uint64_t ntp = 0);

  EventBuffer& events() { return events_; }
  Channel* channel(uint32_t id);
  Outlet* outlet(uint32_t id);
  uint64_t stateHash() const;
  // Channels that the next tick looks at.
  size_t onAgenda() const { return agenda_.size(); }

 private:
  struct MediaPacket {
    Variant& datagram;
    RtpView rtp;
    size_t end;          // header and payload (with its AEAD tag), without trailing byte and tag
    const EktMode* mode;  // these two null on a plain channel
    TagView* tag;
    uint32_t roc;
    MediaKeys key;
    uint8_t set;  // place of the set of the key that verified it
    uint8_t position;
    bool rewritten = false;  // the datagram is its first variant
    uint64_t index = 0;      // ROC ‖ sequence number of a packet that is clear inside
    const ParameterSets* parameterSets = nullptr;  // to be sent before it
    bool kept = false;       // the datagram is, for what is made of it
  };

  // switch.cc
  Drop judge(Channel& c, bool hasLine, const Outlet& port, Variant& datagram, const Address& from, uint64_t now);
  Drop media(Channel& c, Variant& datagram, Protocol protocol, const Address& from, uint64_t now);
  Drop dtls(Channel& c, const uint8_t* bytes, size_t length, const Address& from, uint64_t now);
  void countDrop(Outlet& o, Drop drop);
  void report(Channel& c, uint64_t now, uint64_t ntp);
  void putOnAgenda(Channel& c);
  void takeOffAgenda(size_t at);
  void forgetAgenda(const Channel& closing);
  bool hasBusiness(const Channel& c) const;
  bool mediaReady(const Channel& c) const;

  // early.cc
  Drop keepEarly(Channel& c, Protocol protocol, const uint8_t* bytes, size_t length, const Address& from);
  void hearEarly(Channel& c, uint64_t now);

  // unproven.cc
  void findPeer(Channel& c, const Address& from, uint64_t now);
  void hearReport(Channel& c, const Address& from, uint64_t now);
  void namePeer(Channel& c, const Address& named);
  bool mayProbe(Channel& c);

  Drop mayLeave(const Outlet& o) const;

  // bundle.cc
  Channel* lineOf(Channel& socket, const Variant& datagram, bool& hasLine);
  bool mayFollow(const Outlet* leader, uint32_t conferenceId) const;
  bool mayFollow(const Outlet* leader, uint32_t conferenceId, uint32_t member, const uint16_t* awayThread) const;
  void joinBundle(Outlet& o, Outlet& leader);
  void leaveBundle(Outlet& o);
  void useHopKeys(Channel& c, const std::shared_ptr<HopKeys>& keys);
  Drop bundleRtcp(Channel& lead, const uint8_t* bytes, size_t length, uint64_t now);

  // ingress_stun.cc
  Drop stun(Channel& c, const uint8_t* bytes, size_t length, const Address& from, uint64_t now);
  bool movePeer(Channel& c, const Address& to, uint64_t now);
  void judgeConsent(Channel& c, uint64_t now);
  bool setIce(CommandReader& r, uint64_t now);
  void setRoaming(Outlet& o, bool roams);

  // ingress_rtp.cc
  Drop ingressRtp(Channel& c, Variant& datagram, const Address& from, uint64_t now);
  Drop ingressSrtp(Channel& c, Variant& datagram, const RtpView& rtp, uint64_t now);
  Drop ingressPlainRtp(Channel& c, Variant& datagram, const RtpView& rtp, const Address& from, uint64_t now);
  Drop ingressHopRtp(Channel& c, Variant& datagram, const RtpView& rtp, const Address& from, uint64_t now);
  void readPayload(Channel& c, Stream& stream, MediaPacket& packet, int& trailing);
  Drop judgeBinding(const Channel& c, const Stream* stream, uint32_t ssrc) const;
  Drop judgePosition(const Channel& c, const Stream* stream, const RtpView& rtp, uint8_t& position) const;
  Stream& bind(Channel& c, uint32_t ssrc);
  void fixPosition(Channel& c, Stream& stream, uint8_t position);
  void deliver(Channel& c, Stream& stream, MediaPacket& packet, int trailing);

  // ingress_rtcp.cc
  Drop ingressRtcp(Channel& c, uint8_t* bytes, size_t length, uint64_t now);
  Drop mediaRtcp(Channel& c, const uint8_t* bytes, size_t length, uint64_t now);
  Drop controlRtcp(Channel& c, uint8_t* bytes, size_t length, uint64_t now);
  Drop controlRtcpUnder(ReceivingKeys& keys, Channel& c, uint8_t* bytes, size_t length, uint64_t now);
  void claim(Channel& c, uint32_t ssrc, uint64_t now);
  Drop plainRtcp(Channel& c, const uint8_t* bytes, size_t length);
  // `tag` null on a plain channel.
  void forwardRtcp(Channel& c, const uint8_t* bytes, size_t length, const TagView* tag, uint8_t set);

  // forward.cc
  void forward(Channel& c, const Stream& stream, MediaPacket& packet);
  // `set`: place of the set that the packet is under, NO_SET for what is clear inside.
  Drop admit(const Channel& receiver, uint8_t set) const;
  Variant& makeVariant(MediaPacket& packet, uint8_t sink, uint8_t payloadType);

  // hop.cc
  void forwardOwn(Channel& c, const Stream& stream, MediaPacket& packet, Edge& edge, uint8_t payloadType);
  // What is taken over of a source's header.
  struct MediaHeader {
    bool marked;
    bool padded;
    uint32_t multiplexWord;
  };
  static MediaHeader headerOf(const MediaPacket& packet);
  static MediaHeader headerOf(const uint8_t* bytes, const RtpView& rtp, uint8_t position);
  static size_t writeHeader(const MediaHeader& from, const Channel& to, uint8_t sink, uint8_t payloadType, uint32_t ssrc,
                            const Placed& placed, uint8_t* out);
  Drop sendOwn(const uint8_t* payload, size_t length, const MediaHeader& header, const Edge& edge, uint8_t payloadType,
               const Placed& placed);
  const Edge* ownEdge(const Channel& source, uint8_t position, const Channel& receiver, uint8_t lane) const;
  void sendParameterSets(const MediaPacket& packet, const Edge& edge, uint8_t payloadType);
  void retransmitOwn(Channel& c, uint8_t lane, uint16_t sequence, uint64_t now);
  void reportOwn(Channel& c, uint64_t now, uint64_t ntp);
  bool endHere(Channel& c, uint32_t seed);

  // retransmit.cc
  void keepVariant(KeptStream& kept, const MediaPacket& packet, const Channel& from, uint8_t sink, uint8_t payloadType,
                   Variant& variant);
  void expireKept(Channel& c, uint64_t now);
  void forgetKept(Channel& c);
  void answerNacks(Channel& c, const uint8_t* compound, size_t length, uint64_t now);
  void answerNack(Channel& c, uint32_t ssrc, const uint8_t* entries, size_t count, uint64_t now);
  const Edge* edgeTo(const Channel& receiver, uint32_t ssrc, const KeptStream*& kept) const;
  void retransmit(Channel& c, const Edge* edge, const KeptStream* kept, uint32_t ssrc, uint16_t sequence, uint64_t now);

  // report.cc
  void reportReception(Channel& c, uint64_t now);

  // routes.cc
  bool setRoutes(Conference& conference, Media media, std::vector<Edge>& planned);
  void installPlan(Conference& conference, Media media, std::vector<Edge>& edges);
  void assignLanes(RoutePlan& plan, Media media);
  void forgetEdges(Channel& closing);
  void refreshPoint(Channel& c, uint8_t position, uint8_t set);
  void unmarked(Channel& c);
  void activate(RoutePlan& plan, Edge& edge);

  // branch.cc
  bool openBranch(CommandReader& r);
  bool setBranch(CommandReader& r);
  void closeBranch(Branch& b);
  bool isOther(size_t thread) const { return exchange_ != nullptr && thread != self_ && thread < exchange_->threads(); }
  void handIn(Branch& b, const uint8_t* bytes, size_t length, const Address& from);
  void takeDatagrams(Ring<Incoming>& ring, uint32_t count, uint64_t now);
  void takePackets(Ring<Outgoing>& ring, uint32_t count);
  void carryOut(Outlet& o, const Outgoing& out);

  // rtcp_port.cc
  bool setRtcpPort(CommandReader& r);
  void closeRtcpPort(Channel& c);
  void receiveRtcp(Outlet& port, Variant& datagram, const Address& from, uint64_t now);

  // latch.cc
  bool setLatch(CommandReader& r, uint64_t now);
  bool mayLatch(const Channel& c, const Outlet& port, Protocol protocol, const Address& from, uint64_t now) const;
  bool latch(Channel& c, const RtpView& rtp, const Address& from, uint64_t now);

  // commands.cc
  bool openChannel(CommandReader& r);
  bool mayOpen(uint32_t id, uint8_t media, uint8_t transport, uint32_t slot, bool hasPeer);
  void furnish(Outlet& o, uint32_t id, Conference& conference, uint8_t media, uint8_t transport, uint32_t slot, int socket,
               const Address& peer);
  void takeSlot(Outlet& o);
  bool sendDatagram(CommandReader& r, uint64_t now);
  bool setChannelKeys(CommandReader& r, uint64_t now);
  bool setParameters(CommandReader& r);
  bool sendControl(CommandReader& r);
  bool installSet(CommandReader& r);
  bool dropSet(CommandReader& r);
  bool readRoutes(CommandReader& r);
  void closeChannel(Channel& c);
  bool closeConference(uint32_t id);
  Conference* conference(uint32_t id);
  Conference* makeConference(uint32_t id);

  Transport& transport_;
  Counters counters_;
  VariantPool variants_;
  Exchange* const exchange_;
  const size_t self_;
  Egress egress_;
  EventBuffer events_;
  CookieJar cookies_;
  KeptVariants kept_{variants_};
  uint64_t packetNumber_ = 0;  // of video packets that were switched
  uint64_t now_ = 0;           // of the datagram at hand
  std::unordered_map<uint32_t, std::unique_ptr<Channel>> channels_;
  std::unordered_map<uint32_t, std::unique_ptr<Conference>> conferences_;
  // Channels that a tick must look at: those that sent something or got other keys, until nothing of it is left to be told
  // or wiped. A conference's listeners are not among them.
  std::vector<Channel*> agenda_;
  std::unordered_map<uint32_t, std::unique_ptr<Branch>> branches_;
  std::vector<Outlet*> bySlot_;  // whose counters they are
  // What waited of each other thread when it was looked at, and the rings of which something was taken that has not left yet.
  struct Mark {
    uint32_t packets = 0;
    uint32_t datagrams = 0;
  };
  std::vector<Mark> marks_;
  std::vector<Ring<Outgoing>*> heard_;
  uint64_t ingressInterval_[2];  // nanoseconds for one packet of a channel, by media
};

}  // namespace claviger
