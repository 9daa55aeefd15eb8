// What an endpoint that bundles, or somebody on its path, may try (RFC 9143).
#include "bundle_world.h"

using namespace claviger;
using namespace test;

namespace {

constexpr uint32_t AUDIO_SSRC = 0xaaaa0001, VIDEO_SSRC = 0xbbbb0001;

Bytes pli(uint32_t sender, uint32_t media) {
  return CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(sender).block({0x81, RTCP_PSFB, 0, 2}).u32(sender).u32(media).bytes;
}

}  // namespace

TEST("bundle", "attack: a payload type that is numbered anew does not have a packet sealed twice under one index") {
  BundleRoom room(PROFILE_AES128_GCM);
  const HopPeer video(4, 0xdddd0001, PROFILE_AES128_GCM);
  CHECK(room.feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
  auto out = takeSent(room.h);
  RtpView rtp;
  CHECK(out.size() == 1 && parseRtp(out[0].bytes.data(), out[0].bytes.size(), rtp));
  CHECK(room.apply(bundledParametersCommand(2, 97, "video")));
  const Bytes nack = nackCompound(room.seedOf(2) | 1, {{rtp.sequence, 0}});
  CHECK(room.feed(1, protectedControl(1, PROFILE_AES128_GCM, nack, 1), MS * 30) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.feed(4, video.rtp(10, pattern(1, 60), 0, VIDEO_TYPE), MS * 40) == Drop::none);
  CHECK(takeSent(room.h).size() == 1);
  CHECK(room.feed(1, protectedControl(1, PROFILE_AES128_GCM, nack, 2), MS * 70) == Drop::none);
  CHECK(takeSent(room.h).empty());
}

TEST("bundle", "attack: an SSRC of the audio line claimed on the video line of the same bundle stays the audio line's") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  CHECK(room.feed(1, peer.packet(AUDIO_SSRC, AUDIO_TYPE, 1, pattern(1, 40))) == Drop::none);
  takeSent(room.h);
  const uint64_t before = room.h.core().stateHash();
  CHECK(room.feed(1, peer.packet(AUDIO_SSRC, VIDEO_TYPE, 2, pattern(1, 40), BundlePeer::oneByte("video"))) == Drop::ssrc_owned);
  CHECK(room.h.core().stateHash() == before);
  // Without a name the SSRC says whose it is, and there nobody agreed on that payload.
  CHECK(room.feed(1, peer.packet(AUDIO_SSRC, VIDEO_TYPE, 2, pattern(1, 40))) == Drop::none);
  CHECK(takeSent(room.h).empty() && room.channel(2).streamCount == 0);
  CHECK(room.channel(1).words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(Drop::no_payload_type)] == 1);
}

TEST("bundle", "attack: a name that is another line's, or nobody's, does not open that line's payload types") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const uint64_t before = room.h.core().stateHash();
  CHECK(room.feed(1, peer.packet(VIDEO_SSRC, VIDEO_TYPE, 1, pattern(1, 40), BundlePeer::oneByte("0"))) == Drop::no_payload_type);
  CHECK(room.feed(1, peer.packet(VIDEO_SSRC, VIDEO_TYPE, 1, pattern(1, 40), BundlePeer::oneByte("nobody"))) == Drop::no_payload_type);
  // A forger's name is only where his packet is refused.
  Bytes forged = peer.packet(VIDEO_SSRC, VIDEO_TYPE, 1, pattern(1, 40), BundlePeer::oneByte("video"));
  forged.back() ^= 1;
  CHECK(room.feed(1, forged) == Drop::auth_failed);
  CHECK(room.h.core().stateHash() == before && takeSent(room.h).empty());
}

TEST("bundle", "attack: a payload type of no line of the bundle binds nothing") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const uint64_t before = room.h.core().stateHash();
  for (uint32_t i = 0; i < 40; i++) CHECK(room.feed(1, peer.packet(0x1000 + i, 97, 1, pattern(1, 40))) == Drop::no_payload_type);
  CHECK(room.h.core().stateHash() == before);
  Address stranger;
  CHECK(parseAddress("192.0.2.66", 6666, stranger));
  CHECK(room.feed(1, peer.packet(AUDIO_SSRC, AUDIO_TYPE, 1, pattern(1, 40)), MS, &stranger) == Drop::unknown_source);
}

TEST("bundle", "attack: an SSRC of another member's is not taken, on either line, nor may RTCP be signed with it") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const HopPeer other(4, VIDEO_SSRC, 1);
  CHECK(room.feed(4, other.rtp(9, pattern(1, 40), 0, VIDEO_TYPE)) == Drop::none);
  CHECK(room.feed(1, peer.packet(VIDEO_SSRC, VIDEO_TYPE, 1, pattern(1, 40))) == Drop::ssrc_owned);
  CHECK(room.feed(1, protectedControl(1, 1, pli(VIDEO_SSRC, room.seedOf(2) | 1), 1)) == Drop::ssrc_owned);
}

TEST("bundle", "a packet of a line that has gone is a replay for the line that has taken its place") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const Bytes old = peer.packet(VIDEO_SSRC, VIDEO_TYPE, 500, pattern(1, 40));
  CHECK(room.feed(1, old) == Drop::none);
  CHECK(room.apply(closeChannelCommand(2)));
  CHECK(room.feed(1, old) == Drop::no_payload_type);
  CHECK(room.apply(openBundledCommand(5, Media::video, 1, 1)));
  CHECK(room.apply(bundledParametersCommand(5, VIDEO_TYPE, "video")));
  CHECK(room.feed(1, old) == Drop::replayed);
  CHECK(room.feed(1, peer.packet(VIDEO_SSRC, VIDEO_TYPE, 501, pattern(1, 40))) == Drop::none);
  CHECK(room.channel(5).find(VIDEO_SSRC) != nullptr);
}

TEST("bundle", "more lines that have gone than can be remembered: no stream is taken that cannot be told from theirs") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  uint32_t line = 2;
  const auto again = [&] {
    CHECK(room.apply(closeChannelCommand(line)));
    line++;
    CHECK(room.apply(openBundledCommand(line + 10, Media::video, 1, 1)));
    line += 10;
    CHECK(room.apply(bundledParametersCommand(line, VIDEO_TYPE, "video")));
  };
  for (uint32_t i = 0; i <= RELAY_RETIRED_STREAMS_PER_BUNDLE; i++) {
    CHECK(room.feed(1, peer.packet(0x5000 + i, VIDEO_TYPE, 5, pattern(1, 40))) == Drop::none);
    again();
  }
  CHECK(room.feed(1, peer.packet(0x9999, VIDEO_TYPE, 5, pattern(1, 40))) == Drop::stream_limit);
  CHECK(room.apply(hopKeysCommand(1, PROFILE_AES128_GCM)));  // new keys, new memory
  CHECK(room.apply(bundledParametersCommand(line, VIDEO_TYPE, "video")));
  const BundlePeer renewed(1, PROFILE_AES128_GCM);
  CHECK(room.feed(1, renewed.packet(0x9999, VIDEO_TYPE, 5, pattern(1, 40))) == Drop::none);
}
