// Fragments into whole messages (RFC 6347 §4.2.3), in bounded memory whatever comes in.
#pragma once

#include <map>

#include "wire.h"

namespace claviger::dtls {

class Reassembler {
 public:
  struct Whole {
    uint8_t type = 0;
    Bytes body;
  };

  explicit Reassembler(size_t limitBytes) : limitBytes_(limitBytes) {}

  // The number of the message whose turn it is.
  uint16_t next() const { return next_; }
  void add(const Fragment& fragment);
  // True when message `sequence` is whole: it is moved out and its number stays open until `advance`.
  bool take(uint16_t sequence, Whole& out);
  // What was held up to `sequence` is gone for good.
  void advance(uint16_t sequence);
  void clear();
  size_t heldBytes() const { return heldBytes_; }

 private:
  struct Pending {
    uint8_t type = 0;
    Bytes body;
    std::vector<bool> have;
    size_t missing = 0;
  };

  void drop(std::map<uint16_t, Pending>::iterator at);

  size_t limitBytes_;
  uint16_t next_ = 0;
  size_t heldBytes_ = 0;
  std::map<uint16_t, Pending> pending_;
};

}  // namespace claviger::dtls
