#include "early.h"

#include "switch.h"

namespace claviger {

// Nothing is made of it until signalling has said whose it is.
Drop Switch::keepEarly(Channel& c, Protocol protocol, const uint8_t* bytes, size_t length, const Address& from) {
  if (protocol != Protocol::rtcp || length > MAX_DATAGRAM_BYTES) return Drop::not_ready;
  if (!c.early) c.early = std::make_unique<EarlyControl>();
  if (c.early->count == RELAY_EARLY_DATAGRAMS_PER_CHANNEL) return Drop::not_ready;
  EarlyControl::One& one = c.early->all[c.early->count++];
  one.from = from;
  one.length = length;
  std::memcpy(one.bytes, bytes, length);
  return Drop::not_ready;
}

void Switch::hearEarly(Channel& c, uint64_t now) {
  const std::unique_ptr<EarlyControl> early = std::move(c.early);
  for (size_t i = 0; early && i < early->count; i++) {
    const EarlyControl::One& one = early->all[i];
    if (one.from == c.peer) receive(c, one.bytes, one.length, one.from, now);
  }
}

}  // namespace claviger
