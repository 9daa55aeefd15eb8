#include "payload.h"

#include <algorithm>

namespace claviger {
namespace {

constexpr uint8_t H264_IDR = 5, H264_SPS = 7, H264_PPS = 8, H264_STAP_A = 24, H264_FU_A = 28, H264_FU_B = 29;
constexpr uint8_t H265_IRAP_FIRST = 16, H265_IRAP_LAST = 21, H265_VPS = 32, H265_PPS = 34, H265_AP = 48, H265_FU = 49;
constexpr uint8_t FU_START = 0x80;

bool h264Key(uint8_t type) { return type == H264_IDR || type == H264_SPS; }
bool h265Key(uint8_t type) {
  return (type >= H265_IRAP_FIRST && type <= H265_IRAP_LAST) || (type >= H265_VPS && type <= H265_PPS);
}

// Units with a 16-bit length before each. `found` says of one unit whether to stop there.
template <typename Found>
bool anyUnit(const uint8_t* p, size_t length, Found found) {
  while (length >= 2) {
    const size_t unit = get16(p);
    if (unit > length - 2) return false;
    if (unit > 0 && found(p + 2, unit)) return true;
    p += 2 + unit;
    length -= 2 + unit;
  }
  return false;
}

bool h264(const uint8_t* p, size_t length) {
  const uint8_t type = p[0] & 31;
  if (type == H264_STAP_A) {
    return anyUnit(p + 1, length - 1, [](const uint8_t* unit, size_t) { return h264Key(unit[0] & 31); });
  }
  if (type == H264_FU_A || type == H264_FU_B) return length >= 2 && (p[1] & FU_START) != 0 && h264Key(p[1] & 31);
  return h264Key(type);
}

bool h265(const uint8_t* p, size_t length) {
  if (length < 3) return false;
  const uint8_t type = (p[0] >> 1) & 63;
  if (type == H265_AP) {
    return anyUnit(p + 2, length - 2, [](const uint8_t* unit, size_t) { return h265Key((unit[0] >> 1) & 63); });
  }
  if (type == H265_FU) return (p[2] & FU_START) != 0 && h265Key(p[2] & 63);
  return h265Key(type);
}

bool vp8(const uint8_t* p, size_t length) {
  const bool start = (p[0] & 0x10) != 0 && (p[0] & 0x07) == 0;
  if (!start) return false;
  size_t at = 1;
  if ((p[0] & 0x80) != 0) {
    if (length < 2) return false;
    const uint8_t present = p[1];
    at = 2;
    if ((present & 0x80) != 0) {
      if (length <= at) return false;
      at += (p[at] & 0x80) != 0 ? 2 : 1;
    }
    if ((present & 0x40) != 0) at++;
    if ((present & 0x30) != 0) at++;
  }
  return at < length && (p[at] & 1) == 0;
}

bool vp9(const uint8_t* p, size_t length) {
  const bool pictureId = (p[0] & 0x80) != 0, predicted = (p[0] & 0x40) != 0, layers = (p[0] & 0x20) != 0,
             start = (p[0] & 0x08) != 0;
  if (predicted || !start) return false;
  size_t at = 1;
  if (pictureId) {
    if (length <= at) return false;
    at += (p[at] & 0x80) != 0 ? 2 : 1;
  }
  if (!layers) return at < length;
  return at < length && ((p[at] >> 1) & 7) == 0;
}

// Z: goes on from the packet before; N: a new coded video sequence.
bool av1(const uint8_t* p) { return (p[0] & 0x88) == 0x08; }

}  // namespace

bool startsKeyFrame(VideoCodec codec, const uint8_t* payload, size_t length) {
  if (length == 0) return false;
  switch (codec) {
    case VideoCodec::h264: return h264(payload, length);
    case VideoCodec::h265: return h265(payload, length);
    case VideoCodec::vp8: return vp8(payload, length);
    case VideoCodec::vp9: return vp9(payload, length);
    case VideoCodec::av1: return av1(payload);
    case VideoCodec::other: break;
  }
  return false;
}

bool ParameterSets::take(const uint8_t* unit, size_t length) {
  const uint8_t type = unit[0] & 31;
  if (type != H264_SPS && type != H264_PPS) return false;
  Set& set = type == H264_SPS ? sps_ : pps_;
  set.length = length <= MAX_BYTES ? static_cast<uint16_t>(length) : 0;
  std::memcpy(set.bytes, unit, set.length);
  return type == H264_SPS;
}

bool ParameterSets::learn(const uint8_t* payload, size_t length) {
  if (length == 0) return false;
  if ((payload[0] & 31) != H264_STAP_A) return take(payload, length);
  bool sequence = false;
  anyUnit(payload + 1, length - 1, [&](const uint8_t* unit, size_t n) {
    sequence = take(unit, n) || sequence;
    return false;
  });
  return sequence;
}

size_t ParameterSets::write(uint8_t* out) const {
  // F is 0, NRI the highest of the two.
  const uint8_t importance = std::max(sps_.bytes[0] & 0x60, pps_.bytes[0] & 0x60);
  out[0] = static_cast<uint8_t>(importance | H264_STAP_A);
  size_t at = 1;
  for (const Set* set : {&sps_, &pps_}) {
    put16(out + at, set->length);
    std::memcpy(out + at + 2, set->bytes, set->length);
    at += 2u + set->length;
  }
  return at;
}

int audioEnergy(const uint8_t* packet, const RtpView& rtp, uint8_t id) {
  constexpr uint8_t SILENCE = 127;  // -127 dBov
  size_t length = 0;
  const uint8_t* level = headerExtension(packet, rtp, id, length);
  return level == nullptr || length == 0 ? -1 : (SILENCE - (level[0] & 0x7f)) * 100 / SILENCE;
}

}  // namespace claviger
