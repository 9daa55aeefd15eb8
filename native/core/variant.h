#pragma once
#include <cstdint>

#include "limits.h"

namespace claviger {

// One distinct byte sequence of a switched packet, shared by its receivers until the end of the drain.
struct Variant {
  uint16_t length;
  uint8_t bytes[MAX_DATAGRAM_BYTES];
};

}  // namespace claviger
