#include "protect.h"

#include <openssl/rand.h>

#include <cstring>

#include "clock.h"

namespace claviger::bench {
namespace {

constexpr size_t MAX_KEY_AND_SALT_BYTES = 46;
constexpr uint32_t FIRST_SSRC = 0x50000001;

}  // namespace

Protect::Protect(uint16_t profile, size_t bytes, size_t receivers, size_t burst) : burst_(burst), bytes_(bytes) {
  const size_t keyBytes = channelKeyBytes(profile);
  if (keyBytes == 0 || keyBytes > MAX_KEY_AND_SALT_BYTES || bytes > MAX_DATAGRAM_BYTES) return;
  keys_.resize(receivers);
  sessions_.reserve(receivers);
  for (SrtpKeys& keys : keys_) {
    uint8_t master[MAX_KEY_AND_SALT_BYTES];
    RAND_bytes(master, sizeof master);
    deriveSrtpKeys(profile, master, keys);
    sessions_.emplace_back(profile, master);
    if (bytes < HEADER_BYTES + keys.tagBytes) return;
    plainBytes_ = bytes - keys.tagBytes;
  }
  if (!sessions_.empty() && !sessions_.back().usable()) sessions_.clear();
  payload_.assign(plainBytes_ - HEADER_BYTES, 0x5a);
  cells_.resize(receivers * burst * bytes);
}

void Protect::writeHeader(uint8_t* out, size_t receiver, uint64_t index) const {
  out[0] = 0x80;
  out[1] = 96;
  put16(out + 2, static_cast<uint16_t>(index));
  put32(out + 4, static_cast<uint32_t>(index * 90));
  put32(out + 8, FIRST_SSRC + static_cast<uint32_t>(receiver));
}

Pass Protect::run(bool library) {
  Pass pass;
  pass.packets = static_cast<uint32_t>(burst_ * keys_.size());
  const uint64_t first = next_[library ? 1 : 0];
  next_[library ? 1 : 0] += burst_;
  if (library && !hasLibrary()) return pass;
  const uint64_t begin = threadCpuNs();
  uint8_t* cell = cells_.data();
  for (size_t i = 0; i < burst_; i++) {
    for (size_t r = 0; r < keys_.size(); r++, cell += bytes_) {
      writeHeader(cell, r, first + i);
      if (library) {
        std::memcpy(cell + HEADER_BYTES, payload_.data(), payload_.size());  // it protects in place
        sessions_[r].protect(cell, plainBytes_);
      } else {
        protectSrtp(keys_[r], cell, HEADER_BYTES, FIRST_SSRC + static_cast<uint32_t>(r), payload_.data(), payload_.size(),
                    first + i);
      }
    }
  }
  pass.ns = threadCpuNs() - begin;
  cell = cells_.data();
  for (size_t i = 0; i < burst_; i++) {
    for (size_t r = 0; r < keys_.size(); r++, cell += bytes_) {
      RtpView rtp;
      const bool opens = parseRtp(cell, bytes_, rtp) && unprotectSrtp(keys_[r], rtp, cell, bytes_, first + i) == plainBytes_;
      pass.right += opens && std::memcmp(cell + HEADER_BYTES, payload_.data(), payload_.size()) == 0;
    }
  }
  return pass;
}

}  // namespace claviger::bench
