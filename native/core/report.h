// What was received of one stream, as a receiver report tells it (RFC 3550 §6.4.1, A.1, A.3, A.8). Only verified packets
// are counted.
#pragma once
#include <cstddef>
#include <cstdint>

namespace claviger {

constexpr size_t REPORT_BLOCK_BYTES = 24;

class Reception {
 public:
  // A packet of a known index (ROC ‖ sequence number). `afresh`: the sender has begun anew, and so does the count.
  void packet(uint64_t index, bool afresh, uint32_t timestamp, uint64_t now, uint32_t clockHz);
  // A packet of which only the sequence number is known: cycles are counted as in RFC 3550 A.1.
  void packet(uint16_t sequence, uint32_t timestamp, uint64_t now, uint32_t clockHz);
  // A sender report in the clear; `ntp` as it stands there.
  void senderReport(uint64_t ntp, uint64_t now);

  uint64_t received() const { return received_; }
  // Anything to tell since the last report?
  bool heard() const { return received_ != receivedPrior_; }
  // Writes a report block and begins the next interval.
  void report(uint32_t ssrc, uint64_t now, uint8_t out[REPORT_BLOCK_BYTES]);

 private:
  void begin(uint64_t index);
  void arrival(uint32_t timestamp, uint64_t now, uint32_t clockHz);

  bool begun_ = false;
  bool timed_ = false;
  bool reported_ = false;  // a sender report came
  uint32_t suspect_ = NOBODY;  // the sequence number that would confirm a jump
  uint64_t base_ = 0;
  uint64_t highest_ = 0;
  uint64_t received_ = 0;
  uint64_t expectedPrior_ = 0;
  uint64_t receivedPrior_ = 0;
  uint32_t transit_ = 0;
  uint32_t jitter_ = 0;  // in 1/16 of a timestamp unit
  uint32_t lastSr_ = 0;
  uint64_t lastSrAt_ = 0;
  static constexpr uint32_t NOBODY = 0x10000;
};

}  // namespace claviger
