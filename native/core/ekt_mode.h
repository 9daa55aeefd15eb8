// How sender keys travel in a conference and what protects its packets: in tags (WIRE.md 5) or in fields (section 6). The
// conference's sets decide (group_set.h); everything else of the switch is the same for both.
#pragma once
#include "group_set.h"
#include "stream.h"

namespace claviger {

// The last key that a channel's fields showed and that no slot holds: saves the unwrapping of repeats. A cache, not a state.
struct ProvisionalKey {
  bool used = false;
  uint32_t generation = 0;  // of the set
  uint32_t ssrc = 0;
  StreamKey key;
  ~ProvisionalKey() { wipe(&key.keys, sizeof key.keys); }
  void forget() {
    wipeKey(key);
    used = false;
  }
};

class EktMode {
 public:
  // Step 2. False when what the packet's end names does not fit behind header and trailing byte.
  virtual bool parseSrtp(const uint8_t* packet, size_t length, size_t headerLength, bool trailingByte,
                         TagView& out) const = 0;
  // The same for media RTCP; `word` gets E and index.
  virtual bool parseSrtcp(const uint8_t* packet, size_t length, TagView& out, uint32_t& word) const = 0;

  // Steps 4 to 6. `stream` is null for an SSRC that the channel has not sent yet; `acked` are the sets that the channel may
  // send under.
  virtual Drop judgeSrtp(const GroupSets& sets, uint8_t acked, const Stream* stream, ProvisionalKey& provisional,
                         const uint8_t* packet, const RtpView& rtp, const TagView& tag, bool trailingByte, uint64_t now,
                         Judgement& out) const = 0;
  virtual void commitSrtp(Stream& stream, const Judgement& judged, const TagView& tag, uint64_t now) const = 0;
  // `srtcpIndex` without the E bit.
  virtual Drop judgeSrtcp(const GroupSets& sets, uint8_t acked, const Stream* stream, const uint8_t* packet, size_t length,
                          const TagView& tag, uint32_t srtcpIndex, uint64_t now, Judgement& out) const = 0;
  virtual void commitSrtcp(Stream& stream, const Judgement& judged, const TagView& tag, uint32_t srtcpIndex,
                           uint64_t now) const = 0;

  // The tag of a variant whose first `end` bytes are written and have no trailing byte; the rest of `tag` goes behind it.
  virtual void writeTag(const MediaKeys& keys, const uint8_t* variant, size_t headerLength, size_t end, const TagView& tag,
                        uint32_t roc, uint8_t out[TAG_BYTES]) const = 0;

 protected:
  ~EktMode() = default;  // the two of them live as long as the program
};

const EktMode& tagMode();
// With sender keys of 16 or 32 bytes.
const EktMode& fieldMode(size_t keyBytes);

inline const EktMode& modeOf(const GroupSets& sets) {
  const size_t keyBytes = sets.fieldKeyBytes();
  return keyBytes == 0 ? tagMode() : fieldMode(keyBytes);
}

}  // namespace claviger
