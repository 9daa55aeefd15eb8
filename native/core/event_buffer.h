// Events on their way to the main thread, as src/relay/schema.ts writes them. The memory is taken once; what does not fit
// is lost and counted by whoever tried.
#pragma once
#include <string>
#include <vector>

#include "address.h"
#include "limits.h"
#include "report.h"
#include "schema.h"

namespace claviger {

class EventBuffer {
 public:
  EventBuffer() { bytes_.reserve(RELAY_EVENT_QUEUE_BYTES); }

  // Datagrams may take the first half only, so that a flood of them never costs a `bound` or a `switched`.
  bool dtls(uint32_t channel, const Address& from, const uint8_t* bytes, size_t length) {
    const std::string literal = formatAddress(from);
    if (!room(5 + 1 + literal.size() + 4 + length, RELAY_EVENT_QUEUE_BYTES / 2)) return false;
    head(EVENT_dtls, channel);
    u8(static_cast<uint8_t>(literal.size()));
    bytes_.insert(bytes_.end(), literal.begin(), literal.end());
    u16(from.port);
    block(bytes, length);
    return true;
  }
  bool control(uint32_t channel, bool tipAllowed, const uint8_t* bytes, size_t length) {
    if (!room(5 + 3 + length, RELAY_EVENT_QUEUE_BYTES / 2)) return false;
    head(EVENT_control, channel);
    u8(tipAllowed ? 1 : 0);
    block(bytes, length);
    return true;
  }
  bool bound(uint32_t channel, uint32_t ssrc, uint8_t position) {
    if (!room(10, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_bound, channel);
    u32(ssrc);
    u8(position);
    return true;
  }
  bool activity(uint32_t channel, uint8_t position, int8_t energy, uint32_t packets) {
    if (!room(11, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_activity, channel);
    u8(position);
    u8(static_cast<uint8_t>(energy));
    u32(packets);
    return true;
  }
  bool refresh(uint32_t channel, uint8_t position) {
    if (!room(6, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_refresh, channel);
    u8(position);
    return true;
  }
  bool switched(uint32_t receiver, uint8_t sink, uint32_t source, uint8_t position) {
    if (!room(11, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_switched, receiver);
    u8(sink);
    u32(source);
    u8(position);
    return true;
  }
  bool refusals(uint32_t channel, Drop drop, uint32_t count, uint32_t ssrc) {
    if (!room(14, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_refusals, channel);
    u8(static_cast<uint8_t>(drop));
    u32(count);
    u32(ssrc);
    return true;
  }
  bool claimed(uint32_t channel, uint32_t ssrc, uint32_t owner) {
    if (!room(13, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_claimed, channel);
    u32(ssrc);
    u32(owner);
    return true;
  }

  // `what`: an ICE_NEWS_ constant of schema.h.
  bool ice(uint32_t channel, uint32_t what, const Address& address) {
    const std::string literal = formatAddress(address);
    if (!room(5 + 2 + literal.size() + 2, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_ice, channel);
    u8(static_cast<uint8_t>(what));
    u8(static_cast<uint8_t>(literal.size()));
    bytes_.insert(bytes_.end(), literal.begin(), literal.end());
    u16(address.port);
    return true;
  }

  bool reports(uint32_t channel, uint8_t count, const uint8_t* blocks) {
    const size_t size = REPORT_BLOCK_BYTES * count;
    if (!room(6 + size, RELAY_EVENT_QUEUE_BYTES)) return false;
    head(EVENT_reports, channel);
    u8(count);
    bytes_.insert(bytes_.end(), blocks, blocks + size);
    return true;
  }

  bool empty() const { return bytes_.empty(); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }
  void swap(EventBuffer& other) { bytes_.swap(other.bytes_); }
  // Takes over all of `other`, or nothing of it when that would be too much.
  bool append(EventBuffer& other) {
    if (!room(other.bytes_.size(), RELAY_EVENT_QUEUE_BYTES)) return false;
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    other.clear();
    return true;
  }

 private:
  bool room(size_t size, size_t limit) const { return bytes_.size() + size <= limit; }
  void u8(uint8_t v) { bytes_.push_back(v); }
  void u16(uint16_t v) {
    u8(static_cast<uint8_t>(v >> 8));
    u8(static_cast<uint8_t>(v));
  }
  void u32(uint32_t v) {
    u16(static_cast<uint16_t>(v >> 16));
    u16(static_cast<uint16_t>(v));
  }
  void head(uint32_t type, uint32_t channel) {
    u8(static_cast<uint8_t>(type));
    u32(channel);
  }
  void block(const uint8_t* bytes, size_t length) {
    u16(static_cast<uint16_t>(length));
    bytes_.insert(bytes_.end(), bytes, bytes + length);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace claviger
