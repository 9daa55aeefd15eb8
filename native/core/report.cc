#include "report.h"

#include "switch.h"

namespace claviger {
namespace {

// RFC 3550 A.1.
constexpr uint16_t MAX_DROPOUT = 3000;
constexpr uint16_t MAX_MISORDER = 100;

constexpr int64_t MAX_LOST = 0x7fffff;
constexpr int64_t MIN_LOST = -0x800000;

// In timestamp units, as long as a timestamp; the seconds apart, or the product would not fit.
uint32_t unitsOf(uint64_t now, uint32_t clockHz) {
  return static_cast<uint32_t>(now / NS_PER_S * clockHz + now % NS_PER_S * clockHz / NS_PER_S);
}

}  // namespace

void Reception::begin(uint64_t index) {
  const uint32_t jitter = jitter_;
  const uint32_t lastSr = lastSr_;
  const uint64_t lastSrAt = lastSrAt_;
  const bool reported = reported_;
  *this = Reception();
  jitter_ = jitter;
  lastSr_ = lastSr;
  lastSrAt_ = lastSrAt;
  reported_ = reported;
  begun_ = true;
  base_ = highest_ = index;
}

void Reception::packet(uint64_t index, bool afresh, uint32_t timestamp, uint64_t now, uint32_t clockHz) {
  // Further back than the replay list reaches: the list was started afresh. Too far ahead for a loss: as below.
  const bool jump = index + REPLAY_WINDOW_PACKETS <= highest_ || index > highest_ + MAX_DROPOUT;
  if (!begun_ || afresh || jump) begin(index);
  if (index > highest_) highest_ = index;
  received_++;
  arrival(timestamp, now, clockHz);
}

void Reception::packet(uint16_t sequence, uint32_t timestamp, uint64_t now, uint32_t clockHz) {
  const auto ahead = static_cast<uint16_t>(sequence - static_cast<uint16_t>(highest_));
  if (!begun_) {
    begin(sequence);
  } else if (ahead < MAX_DROPOUT) {
    highest_ += ahead;
  } else if (ahead <= 0x10000 - MAX_MISORDER) {
    // A jump: two packets in a row say that the sender has begun anew, one alone is not believed.
    if (sequence != suspect_) {
      suspect_ = (sequence + 1u) & 0xffff;
      return;
    }
    begin(sequence);
  }
  received_++;
  arrival(timestamp, now, clockHz);
}

// RFC 3550 A.8, with the jitter in sixteenths so that rounding does not add up.
void Reception::arrival(uint32_t timestamp, uint64_t now, uint32_t clockHz) {
  const uint32_t transit = unitsOf(now, clockHz) - timestamp;
  const auto change = static_cast<int32_t>(transit - transit_);
  transit_ = transit;
  if (timed_) jitter_ += (change < 0 ? 0 - static_cast<uint32_t>(change) : static_cast<uint32_t>(change)) - ((jitter_ + 8) >> 4);
  timed_ = true;
}

void Reception::senderReport(uint64_t ntp, uint64_t now) {
  lastSr_ = static_cast<uint32_t>(ntp >> 16);
  lastSrAt_ = now;
  reported_ = true;
}

// RFC 3550 §6.4.1 and A.3.
void Reception::report(uint32_t ssrc, uint64_t now, uint8_t out[REPORT_BLOCK_BYTES]) {
  const uint64_t expected = begun_ ? highest_ - base_ + 1 : 0;
  int64_t lost = static_cast<int64_t>(expected) - static_cast<int64_t>(received_);
  lost = lost > MAX_LOST ? MAX_LOST : lost < MIN_LOST ? MIN_LOST : lost;
  const auto expectedNow = static_cast<int64_t>(expected - expectedPrior_);
  const int64_t lostNow = expectedNow - static_cast<int64_t>(received_ - receivedPrior_);
  // Nothing at all received would be 256/256, which the field cannot say.
  const int64_t share = expectedNow <= 0 || lostNow <= 0 ? 0 : lostNow * 256 / expectedNow;
  expectedPrior_ = expected;
  receivedPrior_ = received_;
  put32(out, ssrc);
  put32(out + 4, static_cast<uint32_t>(lost) & 0xffffff);
  out[4] = static_cast<uint8_t>(share > 255 ? 255 : share);
  put32(out + 8, static_cast<uint32_t>(highest_));
  put32(out + 12, jitter_ >> 4);
  put32(out + 16, lastSr_);
  put32(out + 20, reported_ ? unitsOf(now - lastSrAt_, 65536) : 0);
}

void Switch::reportReception(Channel& c, uint64_t now) {
  if (c.streamCount == 0 || now < c.nextReport) return;
  const bool first = c.nextReport == 0;
  c.nextReport = now + RELAY_REPORT_INTERVAL_MS * NS_PER_MS;
  if (first) return;
  uint8_t blocks[MAX_STREAMS_PER_CHANNEL * REPORT_BLOCK_BYTES];
  uint8_t count = 0;
  for (uint32_t i = 0; i < c.streamCount; i++) {
    Reception& r = c.reception[i];
    if (r.heard()) r.report(c.ssrcs[i], now, blocks + REPORT_BLOCK_BYTES * count++);
  }
  if (count > 0 && !events_.reports(c.id, count, blocks)) countDrop(c, Drop::queue_full);
}

}  // namespace claviger
