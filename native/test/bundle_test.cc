// Several m-lines of one endpoint over one socket and one pair of keys (RFC 9143).
#include <map>
#include <random>
#include <set>

#include "bundle_world.h"

using namespace claviger;
using namespace test;

namespace {

constexpr uint32_t AUDIO_SSRC = 0xaaaa0001, VIDEO_SSRC = 0xbbbb0001;

struct ControlEvent {
  uint32_t channel;
  Bytes compound;
};
// The control events since the last clear.
std::vector<ControlEvent> controlsOf(Harness& h) {
  std::vector<ControlEvent> out;
  const Bytes all(h.core().events().bytes().begin(), h.core().events().bytes().end());
  for (size_t at = 0; at < all.size();) {
    switch (all[at]) {
      case EVENT_control: {
        const size_t length = get16(&all[at + 6]);
        out.push_back({get32(&all[at + 1]), Bytes(all.begin() + static_cast<std::ptrdiff_t>(at + 8), all.begin() + static_cast<std::ptrdiff_t>(at + 8 + length))});
        at += 8 + length;
        break;
      }
      case EVENT_bound: at += 10; break;
      case EVENT_activity: at += 11; break;
      case EVENT_refresh: at += 6; break;
      case EVENT_switched: at += 14 - 3; break;
      default: return out;
    }
  }
  return out;
}

Bytes pli(uint32_t sender, uint32_t media) {
  return CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(sender).block({0x81, RTCP_PSFB, 0, 2}).u32(sender).u32(media).bytes;
}

}  // namespace

TEST("bundle", "what comes in is told apart by payload type, then by SSRC, or by the m-line's name, in either form of extension") {
  for (const uint16_t profile : {PROFILE_AES128_CM_SHA1_80, PROFILE_AES128_GCM}) {
    BundleRoom room(profile);
    const BundlePeer peer(1, profile);
    struct {
      uint32_t ssrc;
      uint8_t type;
      Bytes extension;
      uint32_t line;
    } cases[] = {
        {AUDIO_SSRC, AUDIO_TYPE, {}, 1},
        {VIDEO_SSRC, VIDEO_TYPE, {}, 2},
        {AUDIO_SSRC + 1, AUDIO_TYPE, BundlePeer::oneByte("0"), 1},
        {VIDEO_SSRC + 1, VIDEO_TYPE, BundlePeer::oneByte("video"), 2},
        {VIDEO_SSRC + 2, VIDEO_TYPE, BundlePeer::twoBytes("video"), 2},
    };
    for (const auto& c : cases) {
      CHECK(room.feed(1, peer.packet(c.ssrc, c.type, 7, pattern(1, 40), c.extension)) == Drop::none);
      CHECK(room.channel(c.line).find(c.ssrc) != nullptr);
      CHECK(room.channel(3 - c.line).find(c.ssrc) == nullptr);
      CHECK(room.feed(1, peer.packet(c.ssrc, c.type, 7, pattern(1, 40), c.extension)) == Drop::replayed);
    }
    CHECK(room.channel(1).words[CHANNEL_COUNTER_packetsIn] == 4 && room.channel(2).words[CHANNEL_COUNTER_packetsIn] == 6);
  }
}

TEST("bundle", "what goes out names its m-line, in the form that has room for the name; nothing goes out under a name that was not agreed on") {
  const std::string longest(MAX_MID_BYTES, 'm'), sixteen(16, 'm');
  struct {
    std::string name;
    Bytes extension;
  } cases[] = {
      {"", {}},
      {"0", BundlePeer::oneByte("0")},
      {"video", BundlePeer::oneByte("video")},
      {sixteen, BundlePeer::oneByte(sixteen)},
      {longest, BundlePeer::twoBytes(longest)},
  };
  for (const uint16_t profile : {PROFILE_AES128_CM_SHA1_80, PROFILE_AES128_GCM}) {
    BundleRoom room(profile);
    const BundlePeer peer(1, profile);
    const HopPeer audio(3, 0xcccc0001, profile);
    uint64_t index = 5;
    for (const auto& c : cases) {
      CHECK(room.apply(bundledParametersCommand(1, AUDIO_TYPE, c.name)));
      CHECK(room.feed(3, audio.rtp(++index, pattern(1, 60), 0, AUDIO_TYPE)) == Drop::none);
      const auto sent = takeSent(room.h);
      CHECK(sent.size() == 1);
      if (sent.size() != 1) return;
      RtpView rtp;
      CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
      CHECK(peer.open(sent[0].bytes, rtp.sequence, rtp) == pattern(1, 60));
      CHECK(rtp.headerLength == 12 + c.extension.size() && (sent[0].bytes[0] & 0x10) == (c.name.empty() ? 0 : 0x10));
      CHECK(std::equal(c.extension.begin(), c.extension.end(), sent[0].bytes.begin() + 12));
    }
  }
}

TEST("bundle", "what goes out leaves by the leader's socket, under one key and SSRCs that differ") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const HopPeer audio(3, 0xcccc0001, 1), video(4, 0xdddd0001, 1);
  CHECK(room.apply(bundledParametersCommand(4, VIDEO_TYPE, "", VIDEO_CODEC_vp8)));
  CHECK(room.feed(3, audio.rtp(5, pattern(1, 60), 0, AUDIO_TYPE)) == Drop::none);
  CHECK(room.feed(4, video.rtp(9, hex("1000aabb"), 0, VIDEO_TYPE)) == Drop::none);
  const auto sent = takeSent(room.h);
  CHECK(sent.size() == 2);
  if (sent.size() != 2) return;
  RtpView first, second;
  CHECK(sent[0].receiver == 1 && sent[1].receiver == 1);  // whose socket it is
  CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), first) && parseRtp(sent[1].bytes.data(), sent[1].bytes.size(), second));
  CHECK(peer.open(sent[0].bytes, first.sequence, first) == pattern(1, 60) && first.payloadType == AUDIO_TYPE);
  CHECK(peer.open(sent[1].bytes, second.sequence, second) == hex("1000aabb") && second.payloadType == VIDEO_TYPE);
  CHECK(first.ssrc == (room.seedOf(1) | 1) && second.ssrc == (room.seedOf(2) | 1));
  CHECK(room.channel(2).words[CHANNEL_COUNTER_packetsOut] == 1 && room.channel(1).words[CHANNEL_COUNTER_packetsOut] == 1);
}

TEST("bundle", "RTCP is the line's whose stream it is about, and has one replay window for all of them") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  CHECK(room.feed(1, peer.packet(AUDIO_SSRC, AUDIO_TYPE, 1, pattern(1, 40))) == Drop::none);
  const HopPeer audio(3, 0xcccc0001, 1), video(4, 0xdddd0001, 1);
  CHECK(room.feed(3, audio.rtp(5, pattern(1, 60), 0, AUDIO_TYPE)) == Drop::none);
  CHECK(room.feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
  room.h.core().events().clear();
  // Signed by the audio stream, about the video: a browser does so.
  const Bytes wanted = protectedControl(1, 1, pli(AUDIO_SSRC, room.seedOf(2) | 1), 1);
  CHECK(room.feed(1, wanted) == Drop::none);
  auto controls = controlsOf(room.h);
  CHECK(controls.size() == 1 && controls[0].channel == 2 && get32(&controls[0].compound[8]) == (room.seedOf(2) | 1));
  const uint64_t before = room.h.core().stateHash();
  CHECK(room.feed(1, wanted) == Drop::replayed);
  // The SSRC is then bound on the other line: still the same window.
  CHECK(room.h.core().stateHash() == before);
  room.h.core().events().clear();
  // FIR names its stream in the entry; an SSRC whose low byte is 0 is like any other.
  const Bytes fir = CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(0x500).block({0x84, RTCP_PSFB, 0, 4}).u32(0x500).u32(0)
                        .u32(room.seedOf(2) | 1).u32(0x07000000).bytes;
  CHECK(room.feed(1, protectedControl(1, 1, fir, 1)) == Drop::none);
  controls = controlsOf(room.h);
  CHECK(controls.size() == 1 && controls[0].channel == 2);
  room.h.core().events().clear();
  CHECK(room.feed(1, protectedControl(1, 1, pli(0x500, 0x12345678), 2)) == Drop::none);
  CHECK(controlsOf(room.h).empty());  // of no stream of ours
}

TEST("bundle", "a NACK without RTX brings the video line's packet again, byte for byte, by the leader's socket") {
  BundleRoom room;
  const HopPeer video(4, 0xdddd0001, 1);
  CHECK(room.apply(bundledParametersCommand(4, VIDEO_TYPE, "", VIDEO_CODEC_vp8)));
  std::vector<Bytes> sent;
  for (uint16_t i = 1; i <= 20; i++) {
    CHECK(room.feed(4, video.rtp(i, i == 1 ? hex("1000aabb") : pattern(i, 300), i * 3000u, VIDEO_TYPE), MS * i) == Drop::none);
    for (auto& s : takeSent(room.h)) sent.push_back(s.bytes);
  }
  CHECK(sent.size() == 20);
  if (sent.size() != 20) return;
  RtpView rtp;
  CHECK(parseRtp(sent[7].data(), sent[7].size(), rtp));
  const Bytes nack = protectedControl(1, 1, nackCompound(room.seedOf(2) | 1, {{rtp.sequence, 0}}), 1);
  CHECK(room.feed(1, nack, MS * 30) == Drop::none);
  const auto again = takeSent(room.h);
  CHECK(again.size() == 1 && again[0].receiver == 1 && again[0].bytes == sent[7]);
}

TEST("bundle", "sender reports and control of every line leave under the leader's keys, with one index for all") {
  BundleRoom room;
  const BundlePeer peer(1, 1);
  const HopPeer audio(3, 0xcccc0001, 1), video(4, 0xdddd0001, 1);
  CHECK(room.feed(3, audio.rtp(5, pattern(1, 60), 0, AUDIO_TYPE)) == Drop::none);
  CHECK(room.feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
  takeSent(room.h);
  room.h.core().tick(MS * 160, (uint64_t{5} << 32) | 9);
  for (const uint32_t id : {1u, 2u}) {
    CHECK(room.apply(CommandWriter(OPCODE_sendControl).u32(id).u16(8).block({0x80, RTCP_RR, 0, 1}).u32(id << 8).bytes));
  }
  std::set<uint32_t> indices;
  std::multiset<uint32_t> signers;
  for (auto& s : takeSent(room.h)) {
    if (s.receiver != 1) continue;
    bool encrypted = false;
    uint32_t index = 0;
    CHECK(readSrtcpIndex(peer.receivingRtcp, s.bytes.data(), s.bytes.size(), encrypted, index));
    CHECK(unprotectSrtcp(peer.receivingRtcp, s.bytes.data(), s.bytes.size()) > 0);
    CHECK(indices.insert(index).second);
    signers.insert(rtcpSsrc(s.bytes.data()));
  }
  CHECK(signers == std::multiset<uint32_t>({0x100, 0x200, room.seedOf(1) | 1, room.seedOf(2) | 1}));
}

TEST("bundle", "lines that come, go and change level never use an SSRC and index twice under the keys of their bundle") {
  BundleRoom room(PROFILE_AES128_GCM);
  const BundlePeer peer(1, PROFILE_AES128_GCM);
  const HopPeer audio(3, 0xcccc0001, PROFILE_AES128_GCM), video(4, 0xdddd0001, PROFILE_AES128_GCM);
  std::mt19937 random(5);
  std::map<uint32_t, uint64_t> highest;
  std::set<std::pair<uint32_t, uint64_t>> used;
  uint32_t line = 2;
  uint64_t audioIndex = 40'000, videoIndex = 60'000;
  size_t packets = 0;
  for (int i = 0; i < 60'000; i++) {
    const uint64_t now = MS * static_cast<uint64_t>(i + 1);
    switch (random() % 400) {
      case 0: {  // the video line goes and comes as another channel
        CHECK(room.apply(closeChannelCommand(line)));
        // What another line of these keys sends, or sent, under is refused.
        CHECK(room.apply(openBundledCommand(line + 10, Media::video, 1, 1)));
        CommandWriter taken(0);
        taken.bytes = bundledParametersCommand(line + 10, VIDEO_TYPE, "");
        const size_t seedAt = taken.bytes.size() - 4;
        put32(&taken.bytes[seedAt], room.seedOf(random() % 2 == 0 ? line : 1));
        CHECK(!room.apply(taken.bytes));
        line += 10;
        CHECK(room.apply(bundledParametersCommand(line, VIDEO_TYPE, "")));
        CHECK(room.apply(routesCommand(Media::video, {{4, line, 1}})));
        break;
      }
      case 1: {
        HopParameters off;
        off.seed = 0;
        off.payloadType = AUDIO_TYPE;
        CHECK(room.apply(hopParametersCommand(1, off)));
        CHECK(room.apply(bundledParametersCommand(1, AUDIO_TYPE, "")));
        break;
      }
      default:
        if (random() % 2 == 0) {
          room.feed(3, audio.rtp(audioIndex++, pattern(1, 20), static_cast<uint32_t>(i), AUDIO_TYPE), now);
        } else {
          room.feed(4, video.rtp(videoIndex++, pattern(1, 20), static_cast<uint32_t>(i), VIDEO_TYPE), now);
        }
    }
    room.h.core().events().clear();
    for (const auto& s : takeSent(room.h)) {
      RtpView rtp;
      if (s.receiver != 1 || protocolOf(s.bytes.data(), s.bytes.size()) != Protocol::rtp) continue;
      CHECK(parseRtp(s.bytes.data(), s.bytes.size(), rtp));
      uint64_t& last = highest[rtp.ssrc];
      uint64_t index = (last & ~uint64_t{0xffff}) | rtp.sequence;
      if (last != 0 && index + 0x8000 < last) index += 0x10000;
      last = index;
      CHECK(peer.open(s.bytes, index, rtp) == pattern(1, 20));
      CHECK(used.insert({rtp.ssrc, index}).second);
      packets++;
    }
  }
  CHECK(packets > 50'000 && highest.size() > 50);
}

TEST("bundle", "new keys are every line's: nothing goes on under the old ones, and each line waits for a new seed") {
  BundleRoom room;
  const BundlePeer before(1, 1), after(1, PROFILE_AES128_GCM);
  CHECK(room.feed(1, before.packet(VIDEO_SSRC, VIDEO_TYPE, 5, pattern(1, 40))) == Drop::none);
  CHECK(!room.apply(hopKeysCommand(2, 1)));  // not the follower's to have
  CHECK(room.apply(hopKeysCommand(1, PROFILE_AES128_GCM)));
  takeSent(room.h);
  const HopPeer video(4, 0xdddd0001, 1);
  CHECK(room.feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.apply(bundledParametersCommand(1, AUDIO_TYPE, "0")));
  CHECK(room.apply(bundledParametersCommand(2, VIDEO_TYPE, "video")));
  CHECK(room.feed(1, before.packet(VIDEO_SSRC, VIDEO_TYPE, 6, pattern(1, 40))) == Drop::auth_failed);
  CHECK(room.feed(1, after.packet(VIDEO_SSRC, VIDEO_TYPE, 6, pattern(1, 40))) == Drop::none);
  takeSent(room.h);
  CHECK(room.feed(4, video.rtp(10, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
  const auto sent = takeSent(room.h);
  CHECK(sent.size() == 1);
  RtpView rtp;
  if (sent.size() == 1 && parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp)) {
    CHECK(after.open(sent[0].bytes, rtp.sequence, rtp) == pattern(1, 60));
  }
}

TEST("bundle", "closing: a follower alone, the leader with all that follow it, the conference; in whichever order") {
  for (const std::vector<uint32_t>& order : {std::vector<uint32_t>{2, 1}, {1}, {1, 2}, {4, 1, 3}, {}}) {
    BundleRoom room;
    const BundlePeer peer(1, 1);
    const HopPeer video(4, 0xdddd0001, 1);
    CHECK(room.feed(1, peer.packet(VIDEO_SSRC, VIDEO_TYPE, 5, pattern(1, 40))) == Drop::none);
    CHECK(room.feed(4, video.rtp(9, pattern(1, 60), 0, VIDEO_TYPE)) == Drop::none);
    for (const uint32_t id : order) room.apply(closeChannelCommand(id));
    room.h.core().tick(MS * 200, 1);
    if (room.h.core().channel(1) == nullptr) CHECK(room.h.core().channel(2) == nullptr);
    if (room.h.core().channel(4) != nullptr) CHECK(room.feed(4, video.rtp(10, pattern(1, 60), 0, VIDEO_TYPE), MS * 300) == Drop::none);
    if (!order.empty() && order[0] == 2) CHECK(room.h.core().channel(3) != nullptr);
    CHECK(room.apply(CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes));
    CHECK(room.h.core().channel(3) == nullptr && room.h.core().onAgenda() == 0);
  }
}

TEST("bundle", "who may follow: the same member's, in the same conference, behind a DTLS channel that follows nobody") {
  BundleRoom room;
  CHECK(room.apply(openWithPeer(6, Media::audio, TRANSPORT_sdes, 5001)));
  CHECK(!room.apply(openBundledCommand(7, Media::video, 2, 1)));   // a follower's follower
  CHECK(!room.apply(openBundledCommand(7, Media::video, 1, 9)));   // another member's
  CHECK(!room.apply(openBundledCommand(7, Media::video, 6, 6)));   // keys of the signalling
  CHECK(!room.apply(openBundledCommand(7, Media::video, 99, 1)));  // nobody
  Bytes elsewhere = openBundledCommand(7, Media::video, 1, 1);
  put32(&elsewhere[5], CONFERENCE + 1);
  CHECK(!room.apply(elsewhere));
  for (uint32_t i = 0; i + 2 < MAX_BUNDLED_CHANNELS; i++) CHECK(room.apply(openBundledCommand(20 + i, Media::video, 1, 1)));
  CHECK(!room.apply(openBundledCommand(7, Media::video, 1, 1)));
  // Its peer and its handshake are the leader's business.
  CHECK(!room.apply(proveCommand(2, 4002)));
  CHECK(!room.apply(CommandWriter(OPCODE_awaitPeer).u32(2).u8(0).u8(0).u16(0).bytes));
  CHECK(!room.apply(CommandWriter(OPCODE_sendDatagram).u32(2).address("127.0.0.1", 4001).u16(2).block({22, 1}).bytes));
}
