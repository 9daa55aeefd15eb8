// What protecting one copy costs: the switch's own code beside libsrtp's, under the same keys, for the same packets.
#pragma once
#include <vector>

#include "hop_keys.h"
#include "libsrtp.h"
#include "retag.h"

namespace claviger::bench {

class Protect {
 public:
  // `bytes` of every protected packet; each pass protects `burst` packets for every receiver.
  Protect(uint16_t profile, size_t bytes, size_t receivers, size_t burst);
  ~Protect() { wipe(keys_.data(), keys_.size() * sizeof(SrtpKeys)); }
  Protect(const Protect&) = delete;
  Protect& operator=(const Protect&) = delete;

  // False: there is no such profile, or its packets do not fit.
  bool usable() const { return !cells_.empty(); }
  bool hasLibrary() const { return !sessions_.empty(); }
  // The next burst. `right`: packets that open again, with the payload that went in.
  Pass run(bool library);

 private:
  static constexpr size_t HEADER_BYTES = 12;
  // Header and payload of the packet with this index, whoever gets it.
  void writeHeader(uint8_t* out, size_t receiver, uint64_t index) const;

  size_t burst_ = 0;
  size_t bytes_ = 0;
  size_t plainBytes_ = 0;
  std::vector<SrtpKeys> keys_;
  std::vector<LibSrtpSender> sessions_;
  Bytes payload_;
  Bytes cells_;  // of every packet of a pass
  uint64_t next_[2] = {1, 1};
};

}  // namespace claviger::bench
