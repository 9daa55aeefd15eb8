// Where a peer is whose keys came with signalling. SDP names an address that may be anybody's: the first packet that verifies
// says where the peer is (RFC 4961), and until then little is sent.
#include "switch.h"

namespace claviger {

void Switch::findPeer(Channel& c, const Address& from, uint64_t now) {
  if (c.latching && movePeer(c, from, now)) c.latching = false;
}

// A verified report shows that who has the keys is there; on the port of RTP, that this is the peer's port.
void Switch::hearReport(Channel& c, const Address& from, uint64_t now) {
  if (!c.latching) return;
  if (!c.rtcpPort) findPeer(c, from, now);
  c.heard = c.heard || from.sameHost(c.peer);
}

// Signalling names another address: what verifies is to say again where the peer is.
void Switch::namePeer(Channel& c, const Address& named) {
  if (c.away == nullptr && c.connected) transport_.disconnect(c);
  c.peer = named;
  c.proven = true;
  c.latching = true;
  c.heard = false;
  c.probedUntil = 0;
}

// A flood for somebody who was named without having asked is not to be had here; a peer that waits to be sent something
// first, or whose firewall does, is sent a little for a while.
bool Switch::mayProbe(Channel& c) {
  constexpr uint64_t BURST = 5, interval = NS_PER_S / RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND;
  if (!c.latching || c.heard || c.ice) return true;  // consent asks for more
  if (c.probedUntil == 0) c.probedUntil = now_ + RELAY_UNPROVEN_PEER_MS * NS_PER_MS;
  if (now_ >= c.probedUntil || !c.probes.allows(now_, interval, BURST * interval)) return false;
  c.probes.take(now_, interval);
  return true;
}

}  // namespace claviger
