// What a switch may read in a media payload that is clear to it: where a picture begins that needs no other, the parameter
// sets that such a picture needs, and how loud a packet says it is. Nothing here trusts a length.
#pragma once
#include "bytes.h"
#include "packet.h"
#include "schema.h"

namespace claviger {

enum class VideoCodec : uint8_t {
  other = VIDEO_CODEC_other,
  h264 = VIDEO_CODEC_h264,
  h265 = VIDEO_CODEC_h265,
  vp8 = VIDEO_CODEC_vp8,
  vp9 = VIDEO_CODEC_vp9,
  av1 = VIDEO_CODEC_av1,
};

// Whether a key frame, or the parameter sets before it, begins in this packet: H.264 (RFC 6184 §5), H.265 (RFC 7798 §4.4), VP8
// (RFC 7741 §4.2), VP9 (RFC 9628 §4.2), AV1 (RTP payload format for AV1 §4.4). False for a codec that is not known.
bool startsKeyFrame(VideoCodec codec, const uint8_t* payload, size_t length);

// The last sequence and picture parameter set of an H.264 stream (types 7 and 8).
class ParameterSets {
 public:
  // Largest that is kept of each, bytes; what is longer is not kept.
  static constexpr size_t MAX_BYTES = 256;
  static constexpr size_t MAX_PAYLOAD_BYTES = 1 + 2 * (2 + MAX_BYTES);

  // Takes what the payload holds of them. True: it held a sequence parameter set.
  bool learn(const uint8_t* payload, size_t length);
  bool complete() const { return sps_.length > 0 && pps_.length > 0; }
  // Both as one STAP-A (RFC 6184 §5.7.1); gives its length, at most MAX_PAYLOAD_BYTES.
  size_t write(uint8_t* out) const;

 private:
  struct Set {
    uint16_t length = 0;
    uint8_t bytes[MAX_BYTES];
  };
  bool take(const uint8_t* unit, size_t length);
  Set sps_, pps_;
};

// The level of the RTP header extension `id` (RFC 6464 §3), turned into the energy of the
// trailing byte (WIRE.md 7): 0 silence to 100. -1: there is none.
int audioEnergy(const uint8_t* packet, const RtpView& rtp, uint8_t id);

}  // namespace claviger
