// What the switch knows of one SSRC: its keys, index and replay windows (WIRE.md 9 steps 4 to 8). `judge...` is const and
// decides, `commit...` remembers what was decided: a packet that is refused cannot change a stream.
#pragma once
#include "ekt_tag.h"
#include "group_set.h"
#include "packet.h"
#include "replay.h"

namespace claviger {

struct StreamKey {
  bool used = false;
  uint8_t set = 0;          // the set's place
  uint32_t generation = 0;  // the set's
  uint16_t spi = 0;
  uint8_t wrapped[WRAPPED_KEY_BYTES] = {};
  uint64_t start = 0;  // ROC ‖ ISN: the first index that it protects, as far as known
  SenderKeys keys{};
};

// What is known of the SRTP index: nothing, the ROC (from media RTCP), or the highest one verified.
enum class IndexKnown : uint8_t { nothing, roc, highest };

enum class KeySlot : uint8_t { none, current, next, previous, candidate };

struct Stream {
  uint32_t ssrc = 0;
  uint8_t position = 0;  // of its channel; 0 until the first SRTP packet
  IndexKnown known = IndexKnown::nothing;
  uint32_t roc = 0;         // with IndexKnown::roc
  uint32_t generation = 0;  // of the newest set that the index was learnt or run on under
  ReplayWindow rtp;
  ReplayWindow rtcp;
  StreamKey current, next, previous;
  uint64_t previousUntil = 0;
  bool refreshed = false;  // a refresh event was given for the frame of this timestamp
  uint32_t refreshTimestamp = 0;
  static_assert(KEY_SLOTS_PER_STREAM == 3, "current, next and previous");
};

struct Judgement {
  KeySlot slot = KeySlot::none;
  uint8_t set = 0;       // place of the set whose key verified the packet
  bool restart = false;  // index, window and older keys start afresh: verified under a newer set, index not ahead
  uint64_t index = 0;
  uint64_t start = 0;     // where the packet's Full tag says that its key starts
  StreamKey candidate;    // with KeySlot::candidate
  const SenderKeys* keys = nullptr;
  ~Judgement() { wipe(&candidate.keys, sizeof candidate.keys); }
};

// `stream` is null for an SSRC that the channel has not sent yet; `acked` are the sets that the channel may send under.
Drop judgeSrtp(const GroupSets& sets, uint8_t acked, const Stream* stream, const uint8_t* packet, const RtpView& rtp,
               const TagView& tag, uint64_t now, Judgement& out);
void commitSrtp(Stream& stream, const Judgement& judged, uint64_t now);

// Media RTCP. `srtcpIndex` without the E bit.
Drop judgeSrtcp(const GroupSets& sets, uint8_t acked, const Stream* stream, const uint8_t* packet, const TagView& tag,
                uint32_t srtcpIndex, uint64_t now, Judgement& out);
void commitSrtcp(Stream& stream, const Judgement& judged, const TagView& tag, uint32_t srtcpIndex, uint64_t now);

// The set was dropped: its keys are wiped, index and windows stay.
void forgetSet(Stream& stream, uint8_t place);
// A key that was replaced more than PREVIOUS_KEY_LIFETIME_MS ago is wiped.
void expirePrevious(Stream& stream, uint64_t now);

}  // namespace claviger
