// RTCP on its way in: media RTCP under a sender key, control RTCP under the channel keys (WIRE.md 3). The first packet's
// type is in clear and tells them apart for a media SSRC: a report of a sender without blocks can only be media RTCP,
// because under channel keys such an SSRC may send receiver reports and feedback only.
#include "switch.h"

namespace claviger {
namespace {

constexpr size_t SR_BYTES = 28;

uint64_t ntpOf(const uint8_t* report) { return (uint64_t{get32(report + 8)} << 32) | get32(report + 12); }

bool isReportWithoutBlocks(const uint8_t* bytes) { return bytes[1] == RTCP_SR && (bytes[0] & 0x1f) == 0; }

// What a media SSRC may send under channel keys. SDES belongs to every compound (RFC 3550 §6.1) and carries no command.
constexpr uint32_t FEEDBACK_TYPES = (1u << (RTCP_RR - 192)) | (1u << (RTCP_SDES - 192)) | (1u << (RTCP_RTPFB - 192)) |
                                    (1u << (RTCP_PSFB - 192));
constexpr uint32_t REPORTS_AND_NACKS = FEEDBACK_TYPES & ~(1u << (RTCP_PSFB - 192));

}  // namespace

Drop Switch::ingressRtcp(Channel& c, uint8_t* bytes, size_t length, uint64_t now) {
  if (length < RTCP_HEADER_BYTES) return Drop::malformed;
  if (c.plain) return plainRtcp(c, bytes, length);
  const bool media = !c.ends && !c.bundled() && !isControlSsrc(rtcpSsrc(bytes)) && isReportWithoutBlocks(bytes);
  return media ? mediaRtcp(c, bytes, length, now) : controlRtcp(c, bytes, length, now);
}

Drop Switch::mediaRtcp(Channel& c, const uint8_t* bytes, size_t length, uint64_t now) {
  TagView tag;
  uint32_t word = 0;
  const EktMode& mode = modeOf(c.conference->sets);
  if (!mode.parseSrtcp(bytes, length, tag, word) || (word & SRTCP_ENCRYPTED) == 0) return Drop::malformed;
  if (!mediaReady(c)) return Drop::not_ready;
  const uint32_t index = word & SRTCP_MAX_INDEX;
  const uint32_t ssrc = rtcpSsrc(bytes);
  Stream* stream = c.find(ssrc);
  Judgement judged;
  if (const Drop drop = mode.judgeSrtcp(c.conference->sets, c.ackedSets, stream, bytes, length, tag, index, now, judged);
      drop != Drop::none) {
    return drop;
  }
  if (const Drop drop = judgeBinding(c, stream, ssrc); drop != Drop::none) {
    claim(c, ssrc, now);
    return drop;
  }
  if (stream == nullptr && c.streamCount == MAX_STREAMS_PER_CHANNEL) return Drop::stream_limit;
  const uint8_t set = judged.set;
  mode.commitSrtcp(stream != nullptr ? *stream : bind(c, ssrc), judged, tag, index, now);
  counters_.count(THREAD_COUNTER_verified);
  forwardRtcp(c, bytes, length, &tag, set);
  return Drop::none;
}

Drop Switch::controlRtcp(Channel& c, uint8_t* bytes, size_t length, uint64_t now) {
  Channel& lead = c.lead();
  if (!lead.proven || !lead.keys.ready()) return Drop::not_ready;
  const Drop drop = controlRtcpUnder(lead.keys.current(), c, bytes, length, now);
  ReceivingKeys* previous = drop == Drop::none ? nullptr : lead.keys.previous(now);
  // A packet that does not verify is as it came: what was under way when a new association took over is still opened.
  if (previous != nullptr && controlRtcpUnder(*previous, c, bytes, length, now) == Drop::none) return Drop::none;
  return drop;
}

Drop Switch::controlRtcpUnder(ReceivingKeys& keys, Channel& c, uint8_t* bytes, size_t length, uint64_t now) {
  bool encrypted = false;
  uint32_t index = 0;
  if (!readSrtcpIndex(keys.remote(), bytes, length, encrypted, index) || !encrypted) return Drop::malformed;
  const uint32_t ssrc = rtcpSsrc(bytes);
  if (const Drop drop = keys.checkReplay(ssrc, index); drop != Drop::none && drop != Drop::stream_limit) return drop;
  const size_t plain = unprotectSrtcp(keys.remote(), bytes, length);
  if (plain == 0) return Drop::auth_failed;
  uint32_t types = 0;
  if (!checkCompound(bytes, plain, types)) return Drop::malformed;
  // Without TIP an SSRC's low byte says nothing.
  const bool control = isControlSsrc(ssrc) && (c.tip || !c.ends) && !c.bundled();
  if (!control) {
    if (!c.ends && !c.bundled() && (types & ~FEEDBACK_TYPES) != 0) return Drop::malformed;
    Channel* owner = c.conference->owners.owner(ssrc);
    if (owner != nullptr && &owner->carrier() != &c.carrier()) return Drop::ssrc_owned;
  }
  if (const Drop drop = keys.checkReplay(ssrc, index); drop != Drop::none) return drop;
  if (c.bundled()) {
    const Drop drop = bundleRtcp(c.lead(), bytes, plain, now);
    if (drop == Drop::none) keys.accept(ssrc, index);
    return drop;
  }
  // NACKs are answered here and now; a compound with nothing else than reports beside them does not trouble the main thread.
  const bool nackOnly = (types & typeBit(RTCP_RTPFB)) != 0 && (types & ~REPORTS_AND_NACKS) == 0;
  // An event that finds no room leaves the index unused: the peer's repetition is then still welcome.
  if (!nackOnly && !events_.control(c.id, control, bytes, plain)) return Drop::queue_full;
  keys.accept(ssrc, index);
  if ((types & typeBit(RTCP_RTPFB)) != 0) answerNacks(c, bytes, plain, now);
  if (c.ends && bytes[1] == RTCP_SR && plain >= SR_BYTES) {
    if (const Stream* s = c.find(ssrc)) c.reception[s->place].senderReport(ntpOf(bytes), now);
  }
  return Drop::none;
}

Drop Switch::plainRtcp(Channel& c, const uint8_t* bytes, size_t length) {
  uint32_t types = 0;
  if (!checkCompound(bytes, length, types)) return Drop::malformed;
  const uint32_t ssrc = rtcpSsrc(bytes);
  Channel* owner = c.conference->owners.owner(ssrc);
  if (owner != nullptr && owner != &c) return Drop::ssrc_owned;
  if (!events_.control(c.id, isControlSsrc(ssrc), bytes, length)) return Drop::queue_full;
  if ((types & typeBit(RTCP_RTPFB)) != 0) answerNacks(c, bytes, length, now_);
  const size_t size = size_t{4} * (get16(bytes + 2) + 1);
  if (bytes[1] != RTCP_SR || size < SR_BYTES || owner != &c || !mediaReady(c)) return Drop::none;

  c.reception[c.find(ssrc)->place].senderReport(ntpOf(bytes), now_);
  // The others get the sender's part alone: its report blocks speak of streams as this endpoint sees them.
  uint8_t out[MAX_DATAGRAM_BYTES];
  std::memcpy(out, bytes, SR_BYTES);
  out[0] = 0x80;
  put16(out + 2, SR_BYTES / 4 - 1);
  size_t total = SR_BYTES;
  const uint8_t* sdes = bytes + size;
  if (length >= size + 12 && sdes[1] == RTCP_SDES && (sdes[0] & 0x3f) == 1 && get32(sdes + 4) == ssrc) {
    const size_t sdesBytes = size_t{4} * (get16(sdes + 2) + 1);
    std::memcpy(out + total, sdes, sdesBytes);
    total += sdesBytes;
  }
  forwardRtcp(c, out, total, nullptr, NO_SET);
  return Drop::none;
}

void Switch::forwardRtcp(Channel& c, const uint8_t* bytes, size_t length, const TagView* tag, uint8_t set) {
  if (egress_.full()) egress_.flush();
  Variant* variant = nullptr;
  for (Channel* to : c.conference->channels) {
    if (to->member == c.member || to->media != c.media) continue;
    // Nobody routed it there: a member that is still being set up is passed over, which is no refusal to count.
    if (!to->carrier().proven || !to->ready) continue;
    // Who is given streams of the switch's own is told of those.
    if (to->sendsOwn(true)) continue;
    if (const Drop drop = admit(*to, set); drop != Drop::none) {
      countDrop(*to, drop);
      continue;
    }
    if (variant == nullptr) {
      variant = egress_.make();
      variant->length = static_cast<uint16_t>(length);
      std::memcpy(variant->bytes, bytes, length);
      if (tag != nullptr && tag->restLength > 0) std::memcpy(variant->bytes + length - tag->restLength, tag->rest, tag->restLength);
    }
    egress_.queue(to->forRtcp(), variant);
  }
}

}  // namespace claviger
