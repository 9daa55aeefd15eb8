// Suites 17 and 18: AEAD end to end, route tag, keys in fields (WIRE.md 6).
#include "channel_keys.h"
#include "ekt_mode.h"

namespace claviger {
namespace {

// AEAD tag and trailing byte: what the route tag covers between header and ROC.
size_t behindBytes(bool trailingByte) { return AEAD_TAG_BYTES + (trailingByte ? 1 : 0); }

bool sameKey(const StreamKey& a, const StreamKey& b) {
  return a.used && a.generation == b.generation &&
         equalSecret(reinterpret_cast<const uint8_t*>(&a.keys), reinterpret_cast<const uint8_t*>(&b.keys), sizeof a.keys);
}

// Unwraps the field's key into `provisional`, unless it is there. False when the wrapping is not whole.
bool open(const GroupSet& set, const TagView& tag, size_t keyBytes, ProvisionalKey& provisional) {
  StreamKey& key = provisional.key;
  if (provisional.used && provisional.generation == set.generation &&
      equalSecret(key.wrapped, tag.wrapped, tag.wrappedLength)) {
    return true;
  }
  WipeOnExit<uint8_t[MAX_WRAPPED_BYTES]> plain;
  FieldPlaintext told;
  const size_t length = unwrapPadded(set.unwrap, tag.wrapped, tag.wrappedLength, plain.value);
  if (length == 0 || !readFieldPlaintext(plain.value, length, keyBytes, told)) return false;
  deriveFieldKeys(told.key, keyBytes, set.salt, key.keys.field);
  provisional.used = key.used = true;
  provisional.generation = key.generation = set.generation;
  provisional.ssrc = told.ssrc;
  key.set = set.place;
  key.roc = told.roc;
  std::memcpy(key.wrapped, tag.wrapped, tag.wrappedLength);
  return true;
}

// Steps 4 and 5 with a Full field.
Drop judgeFull(const GroupSets& sets, uint8_t acked, const Stream* s, size_t keyBytes, ProvisionalKey& provisional,
               const RtpView& rtp, const TagView& tag, uint64_t now, Judgement& out) {
  const GroupSet* set = sets.find(tag.spiWord);
  // WIRE.md 4.2: in field mode all 16 bits count.
  if (set == nullptr || set->spiWord != tag.spiWord || (acked & (1u << set->place)) == 0) return Drop::unknown_spi;
  KeySlot slot = findKey(s, set->place, set->generation, tag, now);
  uint32_t roc = slot == KeySlot::none ? 0 : keyAt(*s, slot).roc;
  if (slot == KeySlot::none) {
    // Step 5: a key under an older set than the stream's current one is refused.
    if (s != nullptr && set->generation < s->generation) return Drop::unknown_spi;
    // RFC 8870 §4.3.2: the field names its SSRC, so that it cannot be spliced into another stream.
    if (!open(*set, tag, keyBytes, provisional) || provisional.ssrc != rtp.ssrc) return Drop::auth_failed;
    roc = provisional.key.roc;
    // A key that the stream holds already, with another ROC.
    if (s != nullptr && sameKey(s->current, provisional.key)) {
      slot = KeySlot::current;
    } else if (s != nullptr && previousAlive(*s, now) && sameKey(s->previous, provisional.key)) {
      slot = KeySlot::previous;
    }
  }
  out.index = indexOf(roc, rtp.sequence);
  const bool newer = s != nullptr && set->generation > s->generation;
  if (slot == KeySlot::none) {
    if (s != nullptr && !newer && s->current.used) {
      // WIRE.md 6: a different key needs an epoch above the last one. And no key began before the one that it replaces.
      if (tag.epoch <= s->current.epoch) return Drop::too_old;
      if (out.index < s->current.start) return Drop::too_old;
    }
    slot = KeySlot::candidate;
    out.candidate = provisional.key;
    // The wrapping does not cover the epoch: it is this packet's, and counts if the packet verifies.
    out.candidate.epoch = tag.epoch;
    out.candidate.start = out.index;
  } else if (slot == KeySlot::previous && s->current.used && out.index >= s->current.start) {
    return Drop::too_old;
  }
  if (s != nullptr) {
    if (newer && out.index <= s->rtp.highest()) {
      out.restart = true;
    } else if (const Drop drop = s->rtp.check(out.index); drop != Drop::none) {
      return drop;
    }
  }
  choose(s, slot, out);
  return Drop::none;
}

// Steps 4 and 5 without a key.
Drop judgeKeyless(const Stream* s, const RtpView& rtp, uint64_t now, Judgement& out) {
  if (s == nullptr) return Drop::no_key;
  const int64_t roc = estimateRoc(*s, rtp.sequence);
  if (roc < 0) return Drop::too_old;           // before the stream's first packet
  if (roc > 0xffffffff) return Drop::auth_failed;  // RFC 3711 §9.2: 2^48 packets are all that a key protects
  out.index = indexOf(static_cast<uint32_t>(roc), rtp.sequence);
  if (const Drop drop = s->rtp.check(out.index); drop != Drop::none) return drop;
  const KeySlot slot = slotFor(*s, out.index, now);
  if (slot == KeySlot::none) return Drop::no_key;
  choose(s, slot, out);
  return Drop::none;
}

class FieldMode final : public EktMode {
 public:
  explicit FieldMode(size_t keyBytes) : keyBytes_(keyBytes) {}

  bool parseSrtp(const uint8_t* packet, size_t length, size_t headerLength, bool trailingByte,
                 TagView& out) const override {
    return parseField(packet, length, headerLength + behindBytes(trailingByte), keyBytes_, out);
  }

  // SRTCP carries no field: everything goes on as it came.
  bool parseSrtcp(const uint8_t* packet, size_t length, TagView& out, uint32_t& word) const override {
    out = TagView();
    if (length < RTCP_HEADER_BYTES + AEAD_TAG_BYTES + sizeof word) return false;
    out.authenticated = length;
    word = get32(packet + length - sizeof word);
    return true;
  }

  Drop judgeSrtp(const GroupSets& sets, uint8_t acked, const Stream* stream, ProvisionalKey& provisional,
                 const uint8_t* packet, const RtpView& rtp, const TagView& tag, bool trailingByte, uint64_t now,
                 Judgement& out) const override {
    const Drop drop = tag.full ? judgeFull(sets, acked, stream, keyBytes_, provisional, rtp, tag, now, out)
                               : judgeKeyless(stream, rtp, now, out);
    if (drop != Drop::none) return drop;
    uint8_t expected[TAG_BYTES];
    const size_t behind = behindBytes(trailingByte);
    routeTag(out.keys->field.route, packet, rtp.headerLength, packet + tag.authenticated - behind, behind,
             static_cast<uint32_t>(out.index >> 16), tag.rest, tag.restLength, expected);
    return equalSecret(expected, packet + tag.authenticated, TAG_BYTES) ? Drop::none : Drop::auth_failed;
  }

  void commitSrtp(Stream& s, const Judgement& judged, const TagView& tag, uint64_t now) const override {
    const auto roc = static_cast<uint32_t>(judged.index >> 16);
    if (judged.slot == KeySlot::candidate) {
      replaceCurrent(s, judged.candidate, judged.restart, now);
    } else if (tag.full) {
      StreamKey& key = judged.slot == KeySlot::previous ? s.previous : s.current;
      if (roc > key.roc) {
        key.roc = roc;
        std::memcpy(key.wrapped, tag.wrapped, tag.wrappedLength);
      }
      if (judged.slot == KeySlot::current && judged.index < key.start) key.start = judged.index;
    }
    if (judged.restart) s.rtp.clear();
    s.rtp.accept(judged.index);
    s.known = IndexKnown::highest;
  }

  // RFC 7714 under the current key of a stream that SRTP has bound.
  Drop judgeSrtcp(const GroupSets&, uint8_t, const Stream* s, const uint8_t* packet, size_t length, const TagView&,
                  uint32_t srtcpIndex, uint64_t, Judgement& out) const override {
    if (s == nullptr || !s->current.used) return Drop::no_key;
    if (const Drop drop = s->rtcp.check(srtcpIndex); drop != Drop::none) return drop;
    choose(s, KeySlot::current, out);
    const FieldKeys& keys = out.keys->field;
    return verifyGcmSrtcp(keys.rtcpKey, keyBytes_, keys.rtcpSalt, packet, length) ? Drop::none : Drop::auth_failed;
  }

  void commitSrtcp(Stream& s, const Judgement&, const TagView&, uint32_t srtcpIndex, uint64_t) const override {
    s.rtcp.accept(srtcpIndex);
  }

  void writeTag(const MediaKeys& keys, const uint8_t* variant, size_t headerLength, size_t end, const TagView& tag,
                uint32_t roc, uint8_t out[TAG_BYTES]) const override {
    routeTag(keys.field.route, variant, headerLength, variant + end - AEAD_TAG_BYTES, AEAD_TAG_BYTES, roc, tag.rest,
             tag.restLength, out);
  }

 private:
  const size_t keyBytes_;
};

}  // namespace

const EktMode& fieldMode(size_t keyBytes) {
  static const FieldMode suite17(16), suite18(32);
  return keyBytes == 16 ? suite17 : suite18;
}

}  // namespace claviger
