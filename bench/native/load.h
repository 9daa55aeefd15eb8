// What the sources of a ground send. A lane is one source socket and one port of the relay under test; the lanes take turns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace claviger::bench {

// Packets of one length, made beforehand. Lane i sends those of stream i modulo the number of streams.
struct Load {
  std::vector<std::vector<uint8_t>> streams;  // packets one after the other, equally many in each
  size_t bytes = 0;                           // of each packet

  bool usable() const {
    if (bytes == 0 || streams.empty() || streams[0].empty() || streams[0].size() % bytes != 0) return false;
    for (const auto& s : streams) {
      if (s.size() != streams[0].size()) return false;
    }
    return true;
  }
  size_t perStream() const { return streams[0].size() / bytes; }
};

struct Course {
  std::shared_ptr<const Load> load;
  std::vector<uint16_t> ports;  // one a lane
  uint32_t count = 0;           // packets in all
  uint32_t burst = 1;           // packets back to back
  uint32_t run = 1;             // packets of one lane before the next lane's turn

  struct Packet {
    size_t lane;
    const uint8_t* bytes;
  };
  Packet at(uint32_t k) const {
    const size_t lane = (k / run) % ports.size();
    return {lane, of(lane, static_cast<uint32_t>((k / run / ports.size()) * run + k % run))};
  }
  // The n-th packet of a lane. A stream that is at its end begins anew.
  const uint8_t* of(size_t lane, uint32_t n) const {
    return load->streams[lane % load->streams.size()].data() + n % load->perStream() * load->bytes;
  }
};

}  // namespace claviger::bench
