// Plain RTP from elsewhere than its SDP says (RFC 7362 §4): a window after the answer, where the operator wants it. The first
// source wins, also when it is the one of the SDP; after that, or after the window, nobody else is listened to.
#include "commands.h"
#include "switch.h"

namespace claviger {

// On the thread that has the socket it is made to hear others, on the home the window is kept.
bool Switch::setLatch(CommandReader& r, uint64_t now) {
  Outlet* o = outlet(r.u32());
  const uint64_t window = uint64_t{r.u32()} * NS_PER_MS;
  Address from;
  const bool named = r.address(from);
  if (!r.whole() || o == nullptr || !o->plain || o->roams || o->leader != nullptr || !o->followers.empty()) return false;
  if (o->connected) transport_.disconnect(*o);
  if (o->branch) return true;
  auto& c = static_cast<Channel&>(*o);
  c.latchUntil = now + window;
  c.latchAnywhere = !named;
  c.latchFrom = from;
  if (!c.rtcpPort) return true;
  if (c.rtcpPort->connected) transport_.disconnect(*c.rtcpPort);
  c.rtcpPort->latchUntil = c.latchUntil;
  return true;
}

// RTP first: RTCP of a port of its own follows it to the host that it has shown.
bool Switch::mayLatch(const Channel& c, const Outlet& port, Protocol protocol, const Address& from, uint64_t now) const {
  if (now >= port.latchUntil) return false;
  if (port.rtcpOf != nullptr) return protocol == Protocol::rtcp && c.latchUntil == 0 && from.sameHost(c.peer);
  return protocol == Protocol::rtp && (c.latchAnywhere || from.sameHost(c.peer) || from.sameHost(c.latchFrom));
}

// A packet that is good in all else. False: it is a stranger's.
bool Switch::latch(Channel& c, const RtpView& rtp, const Address& from, uint64_t now) {
  if (now >= c.latchUntil) return from == c.peer;
  if (c.codecOf[rtp.payloadType] == NO_MAPPING || !egress_.connect(c, from)) return from == c.peer;
  c.peer = from;
  c.latchUntil = 0;
  return true;
}

}  // namespace claviger
