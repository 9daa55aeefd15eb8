// What stands behind the authenticated portion of a packet, in tags (WIRE.md 5) and in fields (section 6) alike: ten bytes of
// tag that the switch verifies and computes anew, and a rest that it sends on as it is.
#pragma once
#include "key_wrap.h"

namespace claviger {

// Of a base tag and of a route tag.
constexpr size_t TAG_BYTES = 10;

struct TagView {
  bool full;              // brings a key
  size_t length;          // tag and rest
  size_t authenticated;   // bytes of the packet before the tag
  const uint8_t* rest;    // as it goes out
  size_t restLength;
  const uint8_t* wrapped;  // with `full`; else null
  size_t wrappedLength;
  uint32_t roc;  // a Full tag's; a field's is wrapped
  uint16_t isn;  // a Full tag's
  uint16_t spiWord;
  uint16_t epoch;  // a Full field's
};

}  // namespace claviger
