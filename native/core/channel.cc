#include "channel.h"

namespace claviger {

Channel::Channel() {
  for (int16_t& c : codecOf) c = NO_MAPPING;
  for (int16_t& p : payloadTypeOf) p = NO_MAPPING;
}

Stream* Channel::find(uint32_t ssrc) const {
  for (uint32_t i = 0; i < streamCount; i++) {
    if (ssrcs[i] == ssrc) return streams[i].get();
  }
  return nullptr;
}

uint32_t Channel::clockHz(uint8_t payloadType) const {
  constexpr uint32_t AUDIO_HZ = 48'000, VIDEO_HZ = 90'000;
  if (clockOf[payloadType] != 0) return clockOf[payloadType];
  return media == Media::audio ? AUDIO_HZ : VIDEO_HZ;
}

void SsrcOwners::reserve(size_t channels) {
  size_t size = 64;
  while (size < channels * MAX_STREAMS_PER_CHANNEL * 2) size *= 2;
  if (size > entries_.size()) rebuild(size, nullptr);
}

Channel* SsrcOwners::owner(uint32_t ssrc) const {
  if (entries_.empty()) return nullptr;
  for (size_t i = home(ssrc); entries_[i].channel != nullptr; i = (i + 1) & (entries_.size() - 1)) {
    if (entries_[i].ssrc == ssrc) return entries_[i].channel;
  }
  return nullptr;
}

void SsrcOwners::bind(uint32_t ssrc, Channel* channel) {
  size_t i = home(ssrc);
  while (entries_[i].channel != nullptr) i = (i + 1) & (entries_.size() - 1);
  entries_[i] = {ssrc, channel};
}

void SsrcOwners::release(Channel* channel) { rebuild(entries_.size(), channel); }

void SsrcOwners::rebuild(size_t size, const Channel* without) {
  std::vector<Entry> old(size);
  old.swap(entries_);
  for (const Entry& e : old) {
    if (e.channel != nullptr && e.channel != without) bind(e.ssrc, e.channel);
  }
}

}  // namespace claviger
