#include "reassembly.h"

#include <algorithm>

#include "dtls_limits.h"

namespace claviger::dtls {

void Reassembler::add(const Fragment& f) {
  if (f.sequence < next_ || f.sequence - next_ > static_cast<int>(DTLS_MAX_MESSAGES_AHEAD)) return;
  auto at = pending_.find(f.sequence);
  // A piece that contradicts what is held: either may be the forged one, so the later gets its chance.
  if (at != pending_.end() && (at->second.type != f.type || at->second.body.size() != f.length)) {
    drop(at);
    at = pending_.end();
  }
  if (at == pending_.end()) {
    // The message whose turn it is always has room; those ahead give way to it.
    while (f.sequence == next_ && heldBytes_ + f.length > limitBytes_ && !pending_.empty()) drop(std::prev(pending_.end()));
    if (heldBytes_ + f.length > limitBytes_) return;
    at = pending_.emplace(f.sequence, Pending{f.type, Bytes(f.length), std::vector<bool>(f.length), f.length}).first;
    heldBytes_ += f.length;
  }
  Pending& p = at->second;
  std::copy_n(f.bytes.data, f.bytes.length, p.body.begin() + f.offset);
  for (size_t i = f.offset; i < f.offset + f.bytes.length; i++) {
    if (!p.have[i]) p.missing--;
    p.have[i] = true;
  }
}

bool Reassembler::take(uint16_t sequence, Whole& out) {
  const auto at = pending_.find(sequence);
  if (at == pending_.end() || at->second.missing > 0) return false;
  out = {at->second.type, at->second.body};
  drop(at);
  return true;
}

void Reassembler::advance(uint16_t sequence) {
  next_ = static_cast<uint16_t>(sequence + 1);
  while (!pending_.empty() && pending_.begin()->first < next_) drop(pending_.begin());
}

void Reassembler::clear() {
  pending_.clear();
  heldBytes_ = 0;
}

void Reassembler::drop(std::map<uint16_t, Pending>::iterator at) {
  heldBytes_ -= at->second.body.size();
  pending_.erase(at);
}

}  // namespace claviger::dtls
