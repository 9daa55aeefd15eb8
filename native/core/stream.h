// What the switch knows of one SSRC: its keys, index and replay windows (WIRE.md 9 steps 4 to 8). A mode's `judge...` is const
// on it and decides, its `commit...` remembers what was decided: a packet that is refused cannot change a stream.
#pragma once
#include "ekt_field.h"
#include "ekt_tag.h"
#include "packet.h"
#include "replay.h"

namespace claviger {

// Of one sender key: which of the two it is follows from the conference's suite.
union MediaKeys {
  SenderKeys tag;
  FieldKeys field;
  MediaKeys() { std::memset(static_cast<void*>(this), 0, sizeof *this); }
};

struct StreamKey {
  bool used = false;
  uint8_t set = 0;          // the set's place
  uint32_t generation = 0;  // the set's
  uint16_t epoch = 0;       // of the field that brought it
  uint32_t roc = 0;         // which the wrapped form names, in a field
  uint8_t wrapped[MAX_WRAPPED_BYTES] = {};
  uint64_t start = 0;  // the first index that it protects, as far as known
  MediaKeys keys;
};

// What is known of the SRTP index: nothing, the ROC (from media RTCP), or the highest one verified.
enum class IndexKnown : uint8_t { nothing, roc, highest };

enum class KeySlot : uint8_t { none, current, next, previous, candidate };

struct Stream {
  uint32_t ssrc = 0;
  uint8_t place = 0;     // among its channel's streams
  uint8_t position = 0;  // of its channel; 0 until the first SRTP packet
  IndexKnown known = IndexKnown::nothing;
  uint32_t roc = 0;         // with IndexKnown::roc
  uint32_t generation = 0;  // of the newest set that the index was learnt or run on under
  ReplayWindow rtp;
  ReplayWindow rtcp;
  StreamKey current, next, previous;
  uint64_t previousUntil = 0;
  uint64_t clearIndex = 0;   // highest index of a plain stream, counted on from its sequence numbers
  uint32_t beginnings = 0;   // how often it began anew
  bool refreshed = false;  // a refresh event was given for the frame of this timestamp
  uint32_t refreshTimestamp = 0;
  static_assert(KEY_SLOTS_PER_STREAM == 3, "current, next and previous");
  ~Stream() { wipe(this, sizeof *this); }
};

struct Judgement {
  KeySlot slot = KeySlot::none;
  uint8_t set = 0;       // place of the set whose key verified the packet
  bool restart = false;  // index, window and older keys start afresh: verified under a newer set, index not ahead
  uint64_t index = 0;
  uint64_t start = 0;   // where the packet's Full tag says that its key starts
  StreamKey candidate;  // with KeySlot::candidate
  const MediaKeys* keys = nullptr;
  ~Judgement() { wipe(&candidate.keys, sizeof candidate.keys); }
};

// The set was dropped: its keys are wiped, index and windows stay.
void forgetSet(Stream& stream, uint8_t place);
// A key that was replaced more than PREVIOUS_KEY_LIFETIME_MS ago is wiped.
void expirePrevious(Stream& stream, uint64_t now);

// For the modes.
constexpr uint64_t MAX_SRTP_INDEX = 0xffff'ffff'ffffu;
inline uint64_t indexOf(uint32_t roc, uint16_t sequence) { return (uint64_t{roc} << 16) | sequence; }
inline bool previousAlive(const Stream& s, uint64_t now) { return s.previous.used && now < s.previousUntil; }
const StreamKey& keyAt(const Stream& s, KeySlot slot);
// The slot that holds a wrapped key under a set.
KeySlot findKey(const Stream* s, uint8_t place, uint32_t generation, const TagView& tag, uint64_t now);
// The key in force at an index that a packet without a key would have.
KeySlot slotFor(const Stream& s, uint64_t index, uint64_t now);
void choose(const Stream* s, KeySlot slot, Judgement& out);
// RFC 3711 §3.3.1 and Appendix A, for a stream whose highest index is known; the ROC may be -1 or 2^32.
int64_t estimateRoc(uint64_t highest, uint16_t sequence);
inline int64_t estimateRoc(const Stream& s, uint16_t sequence) { return estimateRoc(s.rtp.highest(), sequence); }
void wipeKey(StreamKey& key);
// `key` comes into force; what it replaces stays for what is still under way.
void replaceCurrent(Stream& s, const StreamKey& key, bool restart, uint64_t now);

}  // namespace claviger
