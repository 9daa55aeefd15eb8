// RTCP of plain RTP that overtakes the answer which names its sender: UDP is often faster than SIP over TLS, and who has sent
// it waits long before it sends it again.
#pragma once
#include "address.h"
#include "limits.h"

namespace claviger {

struct EarlyControl {
  struct One {
    Address from;
    size_t length;
    uint8_t bytes[MAX_DATAGRAM_BYTES];
  };
  size_t count = 0;
  One all[RELAY_EARLY_DATAGRAMS_PER_CHANNEL];
};

}  // namespace claviger
