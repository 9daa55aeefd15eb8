// Bundles (RFC 9143): several m-lines of one endpoint over one socket and one DTLS association. Each is a channel like any
// other; the leader has the socket, the proven peer and the keys, and here is told apart what comes in together.
#include <algorithm>

#include "switch.h"

namespace claviger {
namespace {

constexpr uint8_t PSFB_FIR_ENTRY = 12;

Channel& channelOf(Outlet& o) { return static_cast<Channel&>(o); }

// The first of the bundle's channels that `is` holds for; null: none.
template <typename Is>
Channel* lineWhere(Channel& lead, Is is) {
  if (is(lead)) return &lead;
  for (Outlet* o : lead.followers) {
    if (is(channelOf(*o))) return &channelOf(*o);
  }
  return nullptr;
}

Channel* lineOfStream(Channel& lead, uint32_t ssrc) {
  return lineWhere(lead, [ssrc](const Channel& c) { return c.find(ssrc) != nullptr; });
}

bool isNamed(const Channel& c, const uint8_t* mid, size_t length) {
  return c.midLength == length && std::equal(mid, mid + length, c.mid);
}

// Of a verified compound's packet: the channel whose stream sent it or whose stream of ours it is about; null: of no interest.
Channel* lineConcerned(Channel& lead, const uint8_t* packet, size_t size) {
  if (size < RTCP_HEADER_BYTES) return nullptr;
  if (packet[1] == RTCP_SR) return lineOfStream(lead, rtcpSsrc(packet));
  if ((packet[1] != RTCP_RTPFB && packet[1] != RTCP_PSFB) || size < 12) return nullptr;
  uint32_t ssrc = get32(packet + 8);
  // FIR names its streams in its entries (RFC 5104 §4.3.1.1).
  if (ssrc == 0 && packet[1] == RTCP_PSFB && size >= PSFB_FIR_ENTRY + 4) ssrc = get32(packet + PSFB_FIR_ENTRY);
  return lineWhere(lead, [ssrc](const Channel& c) { return c.own && c.own->laneOf(ssrc) != 0; });
}

}  // namespace

// RFC 9143 §9.2, before anything is verified: which channel is to judge the datagram. What that channel then binds an SSRC to
// stays, so a name that says another m-line afterwards is judged there as a stranger's. False in `hasLine`: it is of none.
Channel* Switch::lineOf(Channel& socket, const Variant& datagram, bool& hasLine) {
  const uint8_t* bytes = datagram.bytes;
  const Protocol protocol = protocolOf(bytes, datagram.length);
  if (protocol == Protocol::rtcp && datagram.length >= RTCP_HEADER_BYTES) {
    Channel* line = lineOfStream(socket, rtcpSsrc(bytes));
    return line == nullptr ? &socket : line;
  }
  RtpView rtp;
  if (protocol != Protocol::rtp || !parseRtp(bytes, datagram.length, rtp)) return &socket;
  size_t length = 0;
  const uint8_t* mid = socket.midId == 0 ? nullptr : headerExtension(bytes, rtp, socket.midId, length);
  Channel* line = nullptr;
  if (mid != nullptr) {
    line = lineWhere(socket, [&](const Channel& c) { return isNamed(c, mid, length); });
  } else {
    line = lineOfStream(socket, rtp.ssrc);
    if (line == nullptr) line = lineWhere(socket, [&](const Channel& c) { return c.codecOf[rtp.payloadType] != NO_MAPPING; });
  }
  // A stream begins with a payload type of its m-line; nothing else binds an SSRC.
  hasLine = line != nullptr && (line->find(rtp.ssrc) != nullptr || line->codecOf[rtp.payloadType] != NO_MAPPING);
  return hasLine ? line : &socket;
}

bool Switch::mayFollow(const Outlet* leader, uint32_t conferenceId) const {
  return leader != nullptr && leader->leader == nullptr && !leader->plain && leader->conference->id == conferenceId &&
         leader->followers.size() + 1 < MAX_BUNDLED_CHANNELS;
}

// The same member's, on the same thread, with keys of a handshake.
bool Switch::mayFollow(const Outlet* leader, uint32_t conferenceId, uint32_t member, const uint16_t* awayThread) const {
  if (!mayFollow(leader, conferenceId) || leader->branch) return false;
  const auto& lead = static_cast<const Channel&>(*leader);
  const bool together = awayThread == nullptr ? lead.away == nullptr : lead.away != nullptr && lead.away->thread == *awayThread;
  return together && lead.member == member && !lead.sdes;
}

void Switch::joinBundle(Outlet& o, Outlet& leader) {
  o.leader = &leader;
  leader.followers.push_back(&o);
}

void Switch::leaveBundle(Outlet& o) {
  std::vector<Outlet*>& all = o.leader->followers;
  all.erase(std::find(all.begin(), all.end(), &o));
  if (o.branch) return;
  Channel& c = channelOf(o);
  for (uint32_t i = 0; c.hop && i < c.streamCount; i++) c.hop->retire(c.ssrcs[i], c.received[i]);
}

// Other keys, other streams: their indices begin anew. What is the same goes on (HopKeys::goOn).
void Switch::useHopKeys(Channel& c, const std::shared_ptr<HopKeys>& keys) {
  const std::shared_ptr<HopKeys> before = std::move(c.hop);
  c.hop = keys;
  const bool both = before && keys;
  if (!both || !sameMaster(before->remote, keys->remote)) {
    c.received.reset(keys ? new ReplayWindow[MAX_STREAMS_PER_CHANNEL] : nullptr);
  }
  if (both && sameMaster(before->local, keys->local)) return;
  c.own.reset();
  c.ends = false;
}

// The compound has one replay window, whomever it is about: the leader's, of the SSRC that signed it. Its lengths and padding
// have been checked.
Drop Switch::bundleRtcp(Channel& lead, const uint8_t* bytes, size_t length, uint64_t now) {
  constexpr size_t SR_BYTES = 28;
  Channel* lines[MAX_BUNDLED_CHANNELS];
  size_t count = 0;
  lines[count++] = &lead;
  for (Outlet* o : lead.followers) lines[count++] = &channelOf(*o);
  for (size_t i = 0; i < count; i++) {
    Channel& c = *lines[i];
    uint8_t part[MAX_DATAGRAM_BYTES];
    size_t total = 0;
    uint32_t types = 0;
    for (size_t at = 0, size = 0; at < length; at += size) {
      const uint8_t* p = bytes + at;
      size = size_t{4} * (get16(p + 2) + 1);
      if (lineConcerned(lead, p, size) != &c) continue;
      std::memcpy(part + total, p, size);
      total += size;
      types |= typeBit(p[1]);
      Stream* s = p[1] == RTCP_SR && size >= SR_BYTES ? c.find(rtcpSsrc(p)) : nullptr;
      if (s != nullptr) c.reception[s->place].senderReport((uint64_t{get32(p + 8)} << 32) | get32(p + 12), now);
    }
    // An event that finds no room leaves the index unused: the peer's repetition is then still welcome.
    if ((types & typeBit(RTCP_PSFB)) != 0 && !events_.control(c.id, false, part, total)) return Drop::queue_full;
    if ((types & typeBit(RTCP_RTPFB)) != 0) answerNacks(c, part, total, now);
  }
  return Drop::none;
}

void HopKeys::goOn(const HopKeys& before) {
  if (sameMaster(before.local, local)) claimed_ = before.claimed_;
  if (!sameMaster(before.remote, remote)) return;
  retired_ = before.retired_;
  overflown_ = before.overflown_;
}

bool HopKeys::claim(uint32_t seed) {
  const uint32_t base = seed & 0xffffff00u;
  if (claimed_.size() == RELAY_OWN_SEEDS_PER_BUNDLE) return false;
  if (std::find(claimed_.begin(), claimed_.end(), base) != claimed_.end()) return false;
  claimed_.push_back(base);
  return true;
}

void HopKeys::retire(uint32_t ssrc, const ReplayWindow& window) {
  for (Retired& known : retired_) {
    if (known.ssrc != ssrc) continue;
    known.window = window;
    return;
  }
  overflown_ = overflown_ || retired_.size() == RELAY_RETIRED_STREAMS_PER_BUNDLE;
  if (!overflown_) retired_.push_back({ssrc, window});
}

bool HopKeys::recall(uint32_t ssrc, ReplayWindow& window) const {
  for (const Retired& known : retired_) {
    if (known.ssrc != ssrc) continue;
    window = known.window;
    return true;
  }
  window = ReplayWindow();
  return !overflown_;
}

}  // namespace claviger
