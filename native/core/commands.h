// Reads the body of one command (src/relay/schema.ts). Reading past the end gives zeros and is remembered.
#pragma once
#include <string>

#include "address.h"
#include "bytes.h"

namespace claviger {

class CommandReader {
 public:
  CommandReader(const uint8_t* bytes, size_t length) : at_(bytes), end_(bytes + length) {}
  uint8_t u8() {
    const uint8_t* p = take(1);
    return p == nullptr ? 0 : *p;
  }
  uint16_t u16() {
    const uint8_t* p = take(2);
    return p == nullptr ? 0 : get16(p);
  }
  uint32_t u32() {
    const uint8_t* p = take(4);
    return p == nullptr ? 0 : get32(p);
  }
  // Null when the command is too short.
  const uint8_t* bytes(size_t length) { return take(length); }
  // False for none, or one that is no literal.
  bool address(Address& out) {
    const size_t length = u8();
    const uint8_t* text = take(length);
    const uint16_t port = u16();
    if (text == nullptr || failed_ || length == 0) return false;
    return parseAddress(std::string(reinterpret_cast<const char*>(text), length), port, out);
  }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  // All of it was read and nothing was missing.
  bool whole() const { return !failed_ && at_ == end_; }

 private:
  const uint8_t* take(size_t n) {
    if (failed_ || static_cast<size_t>(end_ - at_) < n) {
      failed_ = true;
      return nullptr;
    }
    const uint8_t* p = at_;
    at_ += n;
    return p;
  }
  const uint8_t* at_;
  const uint8_t* end_;
  bool failed_ = false;
};

}  // namespace claviger
