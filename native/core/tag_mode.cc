// Suite 1: keys in tags (WIRE.md 5).
#include <initializer_list>

#include "channel_keys.h"
#include "ekt_mode.h"

namespace claviger {
namespace {

constexpr size_t SRTCP_INDEX_BYTES = 4;

void unwrapCandidate(const GroupSet& set, const TagView& tag, uint64_t start, Judgement& out) {
  WipeOnExit<uint8_t[SENDER_KEY_BYTES]> master;
  AES_decrypt(tag.wrapped, master.value, &set.unwrap);
  deriveSenderKeys(master.value, set.salt, out.candidate.keys.tag);
  out.candidate.used = true;
  out.candidate.set = set.place;
  out.candidate.generation = set.generation;
  out.candidate.start = start;
  std::memcpy(out.candidate.wrapped, tag.wrapped, WRAPPED_KEY_BYTES);
}

bool verifies(const uint8_t* packet, const TagView& tag, uint32_t roc, const MediaKeys& keys) {
  uint8_t expected[BASE_TAG_BYTES];
  srtpBaseTag(keys.tag.srtp, packet, tag.authenticated, tag.wrapped, roc, expected);
  return equalSecret(expected, packet + tag.authenticated, BASE_TAG_BYTES);
}

Drop judgeFullSrtp(const GroupSets& sets, uint8_t acked, const Stream* s, const uint8_t* packet, const RtpView& rtp,
                   const TagView& tag, uint64_t now, Judgement& out) {
  const GroupSet* set = sets.find(tag.spiWord);
  if (set == nullptr || (acked & (1u << set->place)) == 0) return Drop::unknown_spi;
  out.index = indexOf(tag.roc, rtp.sequence);
  // A key cannot start after the very packet that it protects (WIRE.md D4).
  const uint64_t announced = indexOf(tag.roc, tag.isn);
  out.start = announced < out.index ? announced : out.index;

  KeySlot slot = findKey(s, set->place, set->generation, tag, now);
  const bool afresh = s != nullptr && set->generation > s->generation;
  if (slot == KeySlot::none) {
    // Step 5: a key under an older set than the stream's current one is refused.
    if (s != nullptr && set->generation < s->generation) return Drop::unknown_spi;
    // A key that ended before the current one began (its Full tag was held back) must not come back into force.
    if (s != nullptr && !afresh && s->current.used && out.start < s->current.start) return Drop::too_old;
    slot = KeySlot::candidate;
  } else if (slot == KeySlot::previous && s->current.used && out.index >= s->current.start) {
    return Drop::too_old;
  }

  if (s != nullptr && s->known == IndexKnown::highest) {
    if (afresh && out.index <= s->rtp.highest()) {
      out.restart = true;
    } else if (const Drop drop = s->rtp.check(out.index); drop != Drop::none) {
      return drop;
    }
  } else if (s != nullptr && s->known == IndexKnown::roc && !afresh && uint64_t{tag.roc} + 1 < s->roc) {
    return Drop::too_old;  // a known ROC is never lowered; one below it is a late packet from before a wrap
  }

  if (slot == KeySlot::candidate) unwrapCandidate(*set, tag, out.start, out);
  choose(s, slot, out);
  return verifies(packet, tag, tag.roc, *out.keys) ? Drop::none : Drop::auth_failed;
}

// With a ROC known from media RTCP only: it, +1, -1; the one that verifies counts (step 5).
Drop judgeShortByRoc(const Stream& s, const uint8_t* packet, const RtpView& rtp, const TagView& tag, uint64_t now,
                     Judgement& out) {
  bool any = false;
  for (const int64_t step : {0, 1, -1}) {
    const int64_t roc = int64_t{s.roc} + step;
    if (roc < 0 || roc > 0xffffffff) continue;
    out.index = indexOf(static_cast<uint32_t>(roc), rtp.sequence);
    const KeySlot slot = slotFor(s, out.index, now);
    if (slot == KeySlot::none) continue;
    any = true;
    choose(&s, slot, out);
    if (verifies(packet, tag, static_cast<uint32_t>(roc), *out.keys)) return Drop::none;
  }
  return any ? Drop::auth_failed : Drop::no_key;
}

Drop judgeShortSrtp(const Stream& s, const uint8_t* packet, const RtpView& rtp, const TagView& tag, uint64_t now,
                    Judgement& out) {
  if (!s.current.used && !s.next.used && !previousAlive(s, now)) return Drop::no_key;
  if (s.known != IndexKnown::highest) return judgeShortByRoc(s, packet, rtp, tag, now, out);
  const int64_t roc = estimateRoc(s, rtp.sequence);
  if (roc < 0) return Drop::too_old;  // before the stream's first packet
  out.index = indexOf(static_cast<uint32_t>(roc), rtp.sequence);
  if (roc > 0xffffffff) return Drop::auth_failed;  // RFC 3711 §9.2: 2^48 packets are all that a key protects
  if (const Drop drop = s.rtp.check(out.index); drop != Drop::none) return drop;
  const KeySlot slot = slotFor(s, out.index, now);
  if (slot == KeySlot::none) return Drop::no_key;
  choose(&s, slot, out);
  return verifies(packet, tag, static_cast<uint32_t>(roc), *out.keys) ? Drop::none : Drop::auth_failed;
}

void commitTagSrtp(Stream& s, const Judgement& judged, uint64_t now) {
  if (judged.slot == KeySlot::candidate) {
    replaceCurrent(s, judged.candidate, judged.restart, now);
  } else if (judged.slot == KeySlot::next) {
    StreamKey key = s.next;
    if (judged.index < key.start) key.start = judged.index;
    wipeKey(s.next);
    replaceCurrent(s, key, judged.restart, now);
    wipe(&key.keys, sizeof key.keys);
  }
  if (judged.restart) s.rtp.clear();
  s.rtp.accept(judged.index);
  s.known = IndexKnown::highest;
}

Drop judgeTagSrtcp(const GroupSets& sets, uint8_t acked, const Stream* s, const uint8_t* packet, const TagView& tag,
                uint32_t srtcpIndex, uint64_t now, Judgement& out) {
  const auto verifiesRtcp = [&](KeySlot slot) {
    choose(s, slot, out);
    uint8_t expected[BASE_TAG_BYTES];
    srtcpBaseTag(out.keys->tag.srtcp, packet, tag.authenticated, tag.wrapped, expected);
    return equalSecret(expected, packet + tag.authenticated, BASE_TAG_BYTES);
  };
  const Drop replay = s == nullptr ? Drop::none : s->rtcp.check(srtcpIndex);
  if (!tag.full) {
    // A Short tag says nothing of ROC and key: whichever of the stream's keys fits.
    if (s == nullptr || !(s->current.used || s->next.used || previousAlive(*s, now))) return Drop::no_key;
    if (replay != Drop::none) return replay;
    bool verified = s->current.used && verifiesRtcp(KeySlot::current);
    verified = verified || (s->next.used && verifiesRtcp(KeySlot::next));
    verified = verified || (previousAlive(*s, now) && verifiesRtcp(KeySlot::previous));
    return verified ? Drop::none : Drop::auth_failed;
  }

  const GroupSet* set = sets.find(tag.spiWord);
  if (set == nullptr || (acked & (1u << set->place)) == 0) return Drop::unknown_spi;
  out.start = indexOf(tag.roc, tag.isn);
  KeySlot slot = findKey(s, set->place, set->generation, tag, now);
  if (slot == KeySlot::none) {
    if (s != nullptr && set->generation < s->generation) return Drop::unknown_spi;
    const bool afresh = s != nullptr && set->generation > s->generation;
    if (s != nullptr && !afresh && s->current.used && out.start < s->current.start) return Drop::too_old;
    const bool behind = s != nullptr && (s->known == IndexKnown::highest
                                             ? out.start <= s->rtp.highest()
                                             : afresh && s->current.used && out.start < s->current.start);
    // A key that is in force already, by its own account, and yet has protected nothing that came: within one set an old
    // announcement; under a newer set a sender that began again.
    if (behind && !afresh) return Drop::too_old;
    out.restart = behind;
    slot = KeySlot::candidate;
  }
  // WIRE.md 9 step 5: the SRTCP index is never reset by a sender's rekey, so the list is asked whatever the key.
  if (replay != Drop::none) return replay;
  if (slot == KeySlot::candidate) unwrapCandidate(*set, tag, out.start, out);
  return verifiesRtcp(slot) ? Drop::none : Drop::auth_failed;
}

void commitTagSrtcp(Stream& s, const Judgement& judged, const TagView& tag, uint32_t srtcpIndex, uint64_t now) {
  if (judged.slot == KeySlot::candidate) {
    if (s.current.used && !judged.restart) {
      // Step 8: ahead of what was seen, so it waits for its first index. An announcement never displaces a later one.
      if (!s.next.used || judged.candidate.start >= s.next.start) s.next = judged.candidate;
    } else {
      replaceCurrent(s, judged.candidate, judged.restart, now);
    }
    if (judged.restart) {
      s.rtp.clear();
      s.known = IndexKnown::nothing;
    }
  }
  if (tag.full && s.known != IndexKnown::highest && judged.slot != KeySlot::previous) {
    if (s.known == IndexKnown::nothing || tag.roc > s.roc) s.roc = tag.roc;
    s.known = IndexKnown::roc;
  }
  s.rtcp.accept(srtcpIndex);
}

class TagMode final : public EktMode {
 public:
  bool parseSrtp(const uint8_t* packet, size_t length, size_t headerLength, bool trailingByte,
                 TagView& out) const override {
    return parseTag(packet, length, headerLength + (trailingByte ? 1 : 0), out);
  }
  bool parseSrtcp(const uint8_t* packet, size_t length, TagView& out, uint32_t& word) const override {
    if (!parseTag(packet, length, RTCP_HEADER_BYTES + SRTCP_INDEX_BYTES, out)) return false;
    word = get32(packet + out.authenticated - SRTCP_INDEX_BYTES);
    return true;
  }
  Drop judgeSrtp(const GroupSets& sets, uint8_t acked, const Stream* stream, ProvisionalKey&, const uint8_t* packet,
                 const RtpView& rtp, const TagView& tag, bool, uint64_t now, Judgement& out) const override {
    if (tag.full) return judgeFullSrtp(sets, acked, stream, packet, rtp, tag, now, out);
    if (stream == nullptr) return Drop::no_key;
    return judgeShortSrtp(*stream, packet, rtp, tag, now, out);
  }
  void commitSrtp(Stream& stream, const Judgement& judged, const TagView&, uint64_t now) const override {
    commitTagSrtp(stream, judged, now);
  }
  Drop judgeSrtcp(const GroupSets& sets, uint8_t acked, const Stream* stream, const uint8_t* packet, size_t,
                  const TagView& tag, uint32_t srtcpIndex, uint64_t now, Judgement& out) const override {
    return judgeTagSrtcp(sets, acked, stream, packet, tag, srtcpIndex, now, out);
  }
  void commitSrtcp(Stream& stream, const Judgement& judged, const TagView& tag, uint32_t srtcpIndex,
                   uint64_t now) const override {
    commitTagSrtcp(stream, judged, tag, srtcpIndex, now);
  }
  void writeTag(const MediaKeys& keys, const uint8_t* variant, size_t, size_t end, const TagView& tag, uint32_t roc,
                uint8_t out[TAG_BYTES]) const override {
    srtpBaseTag(keys.tag.srtp, variant, end, tag.wrapped, roc, out);
  }
};

}  // namespace

const EktMode& tagMode() {
  static const TagMode mode;
  return mode;
}

}  // namespace claviger
