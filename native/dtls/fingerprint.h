// What SDP promised of the peer's certificate (RFC 8122 §5).
#pragma once

#include <string>
#include <vector>

#include "wire.h"

namespace claviger::dtls {

struct Fingerprint {
  // As in `a=fingerprint`: sha-256, sha-384, sha-512.
  std::string algorithm;
  Bytes value;
};

// True when the DER has one of the promised fingerprints. Nothing promised: never.
bool matchesAny(Span der, const std::vector<Fingerprint>& promised);
std::string sha256Hex(Span der);

}  // namespace claviger::dtls
