// Peers from before RFC 5761: RTCP has a port to itself on either side, by custom the one above that of RTP (RFC 3550 §11), or
// the one that the peer names (RFC 3605). Channels whose address signalling names, without DTLS, and whose socket is at home.
#include "commands.h"
#include "switch.h"

namespace claviger {

bool Switch::setRtcpPort(CommandReader& r) {
  Channel* c = channel(r.u32());
  const auto socket = static_cast<int32_t>(r.u32());
  Address peer;
  const bool hasPeer = r.address(peer);
  const bool opens = socket >= 0;
  const bool valid = r.whole() && c != nullptr && c->away == nullptr && (c->plain || c->sdes) &&
                     opens == (c->rtcpPort == nullptr) && (hasPeer || !opens);
  if (!valid) {
    if (r.whole() && opens) transport_.discard(socket);
    return false;
  }
  if (!hasPeer) {
    closeRtcpPort(*c);
    return true;
  }
  if (!opens) {
    Outlet& port = *c->rtcpPort;
    if (port.connected) transport_.disconnect(port);
    port.peer = peer;
    port.latching = c->sdes;
    port.latchUntil = 0;
    if (c->plain) transport_.connect(port, peer);
    return true;
  }
  auto port = std::make_unique<Outlet>();
  port->id = c->id;
  port->conference = c->conference;
  port->slot = c->slot;
  port->words = c->words;
  port->media = c->media;
  port->plain = c->plain;
  port->proven = true;
  port->latching = c->sdes;
  port->socket = socket;
  port->peer = peer;
  port->rtcpOf = c;
  if (!transport_.opened(*port)) {
    transport_.discard(socket);
    return false;
  }
  if (c->plain) transport_.connect(*port, peer);
  c->rtcpPort = std::move(port);
  return true;
}

void Switch::closeRtcpPort(Channel& c) {
  egress_.forget(*c.rtcpPort);
  transport_.close(*c.rtcpPort);
  c.rtcpPort.reset();
}

void Switch::receiveRtcp(Outlet& port, Variant& datagram, const Address& from, uint64_t now) {
  auto& c = static_cast<Channel&>(*port.rtcpOf);
  if (receive(c, port, datagram, from, now) != Drop::none || !(port.latching || port.latchUntil != 0)) return;
  // What verified says where the peer really is, as with RTP; or what came within the window (latch.cc).
  port.latching = false;
  port.latchUntil = 0;
  port.peer = from;
  transport_.connect(port, from);
}

}  // namespace claviger
