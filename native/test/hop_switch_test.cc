// Hop-by-hop channels in a conference: what is let in, in whose name it leaves, and that end-to-end media never comes near.
#include <cstring>

#include "hop_world.h"

using namespace claviger;
using namespace test;

using Room = HopRoom;

TEST("hop-switch", "a payload comes in under one channel's keys and leaves under another's, as the switch's own stream") {
  for (const uint16_t profile : {PROFILE_AES128_CM_SHA1_80, PROFILE_AES128_CM_SHA1_32, PROFILE_AES256_CM_SHA1_80,
                                 PROFILE_AES128_GCM, PROFILE_AES256_GCM}) {
    Room room(Media::audio, HopParameters(), profile);
    const HopPeer one(1, 0xaaaa0000, profile), two(2, 0xbbbb0001, profile);
    CHECK(room.apply(routesCommand(Media::audio, {{1, 2, 1}})));
    const Bytes payload = pattern(5, 160);
    CHECK(room.feed(1, one.rtp(7, payload, 1000)) == Drop::none);
    const auto sent = takeSent(room.h);
    CHECK(sent.size() == 1 && sent[0].receiver == 2);
    if (sent.size() != 1) continue;
    RtpView rtp;
    CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
    CHECK(two.open(sent[0].bytes, rtp.sequence, rtp) == payload);
    CHECK(rtp.ssrc == ((HOP_SEED + (2u << 16)) | 1) && rtp.csrcCount == 0 && rtp.payloadType == 96);
  }
}

TEST("hop-switch", "sources take turns in one stream without a gap, over the turn of the ROC") {
  Room room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1), two(2, 0xbbbb0001, 1), three(3, 0xcccc0001, 1);
  uint64_t expected = 0;
  uint64_t indices[2] = {65'000, 9};
  for (int turn = 0; turn < 400; turn++) {
    const uint32_t from = turn % 2 == 0 ? 1 : 3;
    CHECK(room.apply(routesCommand(Media::audio, {{from, 2, 1}})));
    for (int i = 0; i < 200; i++) {
      uint64_t& index = indices[turn % 2];
      const Bytes payload = pattern(static_cast<uint32_t>(index), 20);
      const Bytes packet = (from == 1 ? one : three).rtp(index, payload, static_cast<uint32_t>(index * 160));
      index++;
      CHECK(room.feed(from, packet, MS * static_cast<uint64_t>(turn * 200 + i + 1)) == Drop::none);
      const auto sent = takeSent(room.h);
      CHECK(sent.size() == 1);
      if (sent.size() != 1) return;
      RtpView rtp;
      CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
      if (expected == 0) expected = rtp.sequence;
      CHECK(two.open(sent[0].bytes, expected, rtp) == payload);
      expected++;
    }
  }
  CHECK(expected > 0x10000);
}

TEST("hop-switch", "forged, replayed and borrowed packets are refused and change nothing") {
  Room room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1), thief(2, 0xaaaa0001, 1);
  CHECK(room.apply(routesCommand(Media::audio, {{1, 2, 1}, {1, 3, 1}})));
  const Bytes good = one.rtp(100, pattern(1, 40), 0);
  CHECK(room.feed(1, good) == Drop::none);
  const uint64_t before = room.h.core().stateHash();
  CHECK(room.feed(1, good) == Drop::replayed);
  Bytes forged = one.rtp(101, pattern(1, 40), 0);
  forged[20] ^= 1;
  CHECK(room.feed(1, forged) == Drop::auth_failed);
  CHECK(room.feed(1, HopPeer::plain(0xaaaa0001, 102, pattern(1, 40), 0)) == Drop::auth_failed);
  CHECK(room.feed(2, thief.rtp(101, pattern(1, 40), 0)) == Drop::ssrc_owned);
  CHECK(room.h.core().stateHash() == before);
}

TEST("hop-switch", "latching: a peer of SDES is where the first packet that verifies comes from, and then nowhere else") {
  Harness h;
  const auto apply = [&](const Bytes& c) { return h.apply(c.data(), c.size(), 1); };
  CHECK(apply(levelCommand(LEVEL_hop_by_hop)));
  CHECK(apply(openWithPeer(1, Media::audio, TRANSPORT_sdes, 5001)));
  CHECK(apply(hopKeysCommand(1, 1)));
  CHECK(apply(hopParametersCommand(1)));
  Channel& c = *h.core().channel(1);
  const HopPeer one(1, 0xaaaa0001, 1);
  Address nat, stranger;
  CHECK(parseAddress("192.0.2.7", 7777, nat) && parseAddress("192.0.2.66", 6666, stranger));
  const auto feed = [&](const Bytes& b, const Address& from) { return h.feed(c, b.data(), b.size(), MS, &from); };
  Bytes forged = one.rtp(1, pattern(1, 20), 0);
  forged.back() ^= 1;
  CHECK(feed(forged, stranger) == Drop::auth_failed);
  CHECK(c.peer != stranger);
  // DTLS has no business on a channel whose keys came with the signalling.
  CHECK(feed(Bytes{22, 254, 253, 0}, stranger) == Drop::unknown_protocol);
  CHECK(feed(one.rtp(1, pattern(1, 20), 0), nat) == Drop::none);
  CHECK(c.peer == nat && !c.latching);
  CHECK(feed(one.rtp(2, pattern(1, 20), 0), stranger) == Drop::unknown_source);
}

TEST("hop-switch", "downgrade: clear RTP reaches nobody hop-by-hop unless the conference's level is none") {
  Room room(Media::audio);
  CHECK(room.apply(openWithPeer(4, Media::audio, TRANSPORT_plain, 5004)));
  HopParameters p;
  p.level = LEVEL_none;
  CHECK(room.apply(hopParametersCommand(4, p)));
  CHECK(room.apply(routesCommand(Media::audio, {{1, 4, 1}, {4, 1, 1}})));
  const HopPeer one(1, 0xaaaa0001, 1);
  const Bytes clear = HopPeer::plain(0xdddd0001, 1, pattern(2, 20), 0);
  CHECK(room.feed(4, clear) == Drop::not_ready);
  CHECK(room.feed(1, one.rtp(1, pattern(1, 20), 0)) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.apply(levelCommand(LEVEL_none)));
  CHECK(room.feed(4, clear) == Drop::none);
  CHECK(room.feed(1, one.rtp(2, pattern(1, 20), 0)) == Drop::none);
  const auto sent = takeSent(room.h);
  CHECK(sent.size() == 2 && sent[0].receiver == 1 && sent[1].receiver == 4);
  RtpView rtp;
  if (sent.size() != 2) return;
  CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
  CHECK(one.open(sent[0].bytes, rtp.sequence, rtp) == pattern(2, 20));
  CHECK(Bytes(sent[1].bytes.begin() + 12, sent[1].bytes.end()) == pattern(1, 20));
}

TEST("hop-switch", "a TIP receiver in clear is given a source's own stream, and a source without positions as one of the switch's") {
  Room room(Media::audio);
  CHECK(room.apply(levelCommand(LEVEL_none)));
  HopParameters p;
  p.level = LEVEL_none;
  p.flags = PARAMETER_ready | PARAMETER_tip;
  for (uint32_t id = 4; id <= 5; id++) {
    CHECK(room.apply(openWithPeer(id, Media::audio, TRANSPORT_plain, static_cast<uint16_t>(5000 + id))));
    CHECK(room.apply(hopParametersCommand(id, p)));
  }
  CHECK(room.apply(routesCommand(Media::audio, {{1, 5, 2}, {4, 5, 3}})));
  const HopPeer one(1, 0xaaaa0001, 1);
  CHECK(room.feed(1, one.rtp(1, pattern(1, 20), 0)) == Drop::none);
  Bytes placed = CommandWriter(0x81).u8(96).u16(7).u32(9).u32(0xdddd0001).u32(0xabcde011).block(pattern(2, 20)).bytes;
  CHECK(room.feed(4, placed) == Drop::none);
  const auto sent = takeSent(room.h);
  CHECK(sent.size() == 2);
  if (sent.size() != 2) return;
  RtpView rtp;
  CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
  CHECK(rtp.csrcCount == 1 && rtp.source == 1 && rtp.sink == 2 && (rtp.ssrc & 0xff000000u) == (HOP_SEED & 0xff000000u));
  CHECK(Bytes(sent[0].bytes.begin() + 16, sent[0].bytes.end()) == pattern(1, 20));
  CHECK(parseRtp(sent[1].bytes.data(), sent[1].bytes.size(), rtp));
  CHECK(rtp.ssrc == 0xdddd0001 && rtp.sequence == 7 && rtp.sink == 3);
}

// The cipher of hop-by-hop is poisoned: were an end-to-end packet ever to touch it, its bytes would differ.
TEST("hop-switch", "an end-to-end conference never reaches the cipher, whatever keys its channels hold") {
  std::vector<Bytes> outputs;
  for (const bool poisoned : {false, true}) {
    Harness h;
    for (const Bytes& c : worldCommands(3, Media::video)) CHECK(h.apply(c.data(), c.size(), 1));
    for (uint32_t id = 1; id <= 3; id++) {
      const Bytes keys = hopKeysCommand(id, 1);
      if (!poisoned) continue;
      CHECK(h.apply(keys.data(), keys.size(), 1));
      Channel& c = *h.core().channel(id);
      std::memset(static_cast<void*>(&c.hop->local), 0xa5, sizeof c.hop->local);
      std::memset(static_cast<void*>(&c.hop->remote), 0xa5, sizeof c.hop->remote);
      c.own = std::make_unique<OwnStreams>();
      std::memset(static_cast<void*>(c.own.get()), 0xa5, sizeof *c.own);
    }
    const TestSender sender(0x11110001, 5, 0x1235);
    for (uint16_t i = 1; i < 50; i++) {
      const Bytes packet = sender.rtp(0, i, i % 5 == 1, 300, i == 1 ? 1 : 0);
      CHECK(h.feed(*h.core().channel(1), packet.data(), packet.size(), MS * i) == Drop::none);
    }
    outputs.push_back(h.takeOutputs());
  }
  CHECK(outputs[0].size() > 20'000 && outputs[0] == outputs[1]);
}

TEST("hop-switch", "end-to-end media goes to nobody whose payloads end here, nor the other way round") {
  Harness h;
  for (const Bytes& c : worldCommands(3, Media::audio)) CHECK(h.apply(c.data(), c.size(), 1));
  const auto apply = [&](const Bytes& c) { return h.apply(c.data(), c.size(), 1); };
  CHECK(!apply(hopParametersCommand(3)));  // without keys for media nothing ends here
  CHECK(apply(hopKeysCommand(3, 1)));
  CHECK(apply(hopParametersCommand(3)));
  const TestSender sender(0x11110001, 5, 0x1235);
  const auto drops = [&](Drop drop) {
    return h.core().channel(3)->words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop)];
  };
  Bytes packet = sender.rtp(0, 1, true, 60, 0);
  CHECK(h.feed(*h.core().channel(1), packet.data(), packet.size(), MS) == Drop::none);
  for (const auto& sent : takeSent(h)) CHECK(sent.receiver == 2);
  CHECK(drops(Drop::below_level) == 1);
  // The level lowered, and the sender not following yet: still nothing of it.
  CHECK(apply(levelCommand(LEVEL_hop_by_hop)));
  packet = sender.rtp(0, 2, true, 60, 0);
  CHECK(h.feed(*h.core().channel(1), packet.data(), packet.size(), MS) == Drop::none);
  for (const auto& sent : takeSent(h)) CHECK(sent.receiver == 2);
  CHECK(drops(Drop::set_not_installed) == 1);
  const HopPeer three(3, 0xcccc0001, 1);
  packet = three.rtp(1, pattern(1, 20), 0);
  CHECK(h.feed(*h.core().channel(3), packet.data(), packet.size(), MS) == Drop::none);
  CHECK(takeSent(h).empty());
}

TEST("hop-switch", "a video receiver is turned at the key frame, and given the parameter sets first") {
  HopParameters p;
  p.video = VIDEO_CODEC_h264;
  Room room(Media::video, p);
  const HopPeer one(1, 0xaaaa0001, 1), two(2, 0xbbbb0001, 1), three(3, 0xcccc0001, 1);
  const Bytes sps = hex("6742001faa"), pps = hex("68ce3c80"), idr = hex("65888400aabb"), slice = hex("419a0011");
  CHECK(room.apply(routesCommand(Media::video, {{1, 2, 1}})));
  RtpView rtp;
  // Before any key frame: nothing is shown.
  CHECK(room.feed(1, one.rtp(1, slice, 1000)) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.feed(1, one.rtp(2, sps, 4000)) == Drop::none);
  CHECK(room.feed(1, one.rtp(3, pps, 4000)) == Drop::none);
  CHECK(room.feed(1, one.rtp(4, idr, 4000)) == Drop::none);
  CHECK(takeSent(room.h).size() == 3);
  // Three sends its parameter sets once, and later an IDR without them.
  CHECK(room.feed(3, three.rtp(1, sps, 500)) == Drop::none);
  CHECK(room.feed(3, three.rtp(2, pps, 500)) == Drop::none);
  CHECK(room.apply(routesCommand(Media::video, {{3, 2, 1}})));
  CHECK(room.feed(3, three.rtp(3, slice, 3500)) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.feed(1, one.rtp(5, slice, 7000)) == Drop::none);  // the old picture stays
  auto sent = takeSent(room.h);
  CHECK(sent.size() == 1);
  if (sent.empty()) return;
  CHECK(parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
  const uint16_t before = rtp.sequence;
  CHECK(room.feed(3, three.rtp(4, idr, 6500)) == Drop::none);
  sent = takeSent(room.h);
  CHECK(sent.size() == 2);
  if (sent.size() != 2) return;
  CHECK(two.open(sent[0].bytes, before + 1u, rtp) == hex("7800056742001faa000468ce3c80"));
  const uint32_t timestamp = rtp.timestamp;
  CHECK(two.open(sent[1].bytes, before + 2u, rtp) == idr && rtp.timestamp == timestamp);
  CHECK(room.feed(1, one.rtp(6, slice, 10000)) == Drop::none);
  CHECK(takeSent(room.h).empty());
}

TEST("hop-switch", "a key frame that a receiver may not be given yet does not turn it: it waits for one that it will see") {
  HopParameters p, notReady;
  p.video = notReady.video = VIDEO_CODEC_h264;
  notReady.flags = 0;
  Room room(Media::video, p);
  const HopPeer one(1, 0xaaaa0001, 1);
  const Bytes idr = hex("65888400aabb"), slice = hex("419a0011");
  CHECK(room.apply(hopParametersCommand(2, notReady)));
  CHECK(room.apply(routesCommand(Media::video, {{1, 2, 1}})));
  CHECK(room.feed(1, one.rtp(1, idr, 1000)) == Drop::none);
  CHECK(room.apply(hopParametersCommand(2, p)));
  CHECK(room.feed(1, one.rtp(2, slice, 4000)) == Drop::none);
  CHECK(takeSent(room.h).empty());
  CHECK(room.feed(1, one.rtp(3, idr, 7000)) == Drop::none);
  CHECK(takeSent(room.h).size() == 1);
}

TEST("hop-switch", "what a receiver lost comes again byte for byte, and nothing that it was not sent") {
  HopParameters p;
  p.video = VIDEO_CODEC_vp8;
  Room room(Media::video, p);
  const HopPeer one(1, 0xaaaa0001, 1), three(3, 0xcccc0001, 1);
  CHECK(room.apply(routesCommand(Media::video, {{1, 2, 1}})));
  std::vector<Bytes> sent;
  RtpView rtp;
  for (uint16_t i = 1; i <= 20; i++) {
    CHECK(room.feed(1, one.rtp(i, i == 1 ? hex("1000aabb") : pattern(i, 300), i * 3000u), MS * i) == Drop::none);
    for (auto& s : takeSent(room.h)) sent.push_back(s.bytes);
  }
  CHECK(sent.size() == 20);
  if (sent.size() != 20) return;
  uint32_t index = 1;
  const auto ask = [&](uint16_t sequence, uint64_t now) {
    const Bytes nack = protectedControl(2, 1, nackCompound((HOP_SEED + (2u << 16)) | 1, {{sequence, 0}}), index++);
    CHECK(room.feed(2, nack, now) == Drop::none);
    return takeSent(room.h);
  };
  for (const size_t lost : {0u, 7u, 19u}) {
    CHECK(parseRtp(sent[lost].data(), sent[lost].size(), rtp));
    const auto again = ask(rtp.sequence, MS * 30);
    CHECK(again.size() == 1 && again[0].receiver == 2 && again[0].bytes == sent[lost]);
  }
  CHECK(parseRtp(sent[19].data(), sent[19].size(), rtp));
  CHECK(ask(static_cast<uint16_t>(rtp.sequence + 1), MS * 60).empty());
  CHECK(ask(rtp.sequence, MS * 40).empty());       // a moment ago
  CHECK(ask(rtp.sequence, MS * 10'000).empty());   // too old
  // Another source's turn: what was sent before it belongs to nobody now.
  CHECK(room.apply(routesCommand(Media::video, {{3, 2, 1}})));
  CHECK(room.feed(3, three.rtp(1, hex("1000aabb"), 5), MS * 10'001) == Drop::none);
  CHECK(takeSent(room.h).size() == 1);
  CHECK(ask(rtp.sequence, MS * 10'002).empty());
}

TEST("hop-switch", "keys made anew begin new streams; a level that goes up and down again does not") {
  Room room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1), two(2, 0xbbbb0001, 1);
  CHECK(room.apply(routesCommand(Media::audio, {{1, 2, 1}})));
  RtpView rtp;
  const auto next = [&](uint64_t index) {
    CHECK(room.feed(1, one.rtp(index, pattern(1, 20), 0)) == Drop::none);
    const auto sent = takeSent(room.h);
    CHECK(sent.size() == 1 && parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
    return rtp.sequence;
  };
  const uint16_t first = next(1);
  HopParameters off;
  off.seed = 0;
  CHECK(room.apply(hopParametersCommand(2, off)));
  CHECK(room.apply(hopParametersCommand(2)));
  CHECK(next(2) == static_cast<uint16_t>(first + 1));
  HopParameters other;
  other.seed = 0x77770000;  // an index under these keys is not given again, so neither is the stream
  CHECK(room.apply(hopParametersCommand(2, other)));
  CHECK(next(3) == static_cast<uint16_t>(first + 2) && (rtp.ssrc & 0xff000000u) == (HOP_SEED & 0xff000000u));
  CHECK(room.apply(hopKeysCommand(2, PROFILE_AES128_GCM)));
  CHECK(room.apply(hopParametersCommand(2, other)));
  next(4);
  CHECK((rtp.ssrc & 0xff000000u) == 0x77000000u);
}

TEST("hop-switch", "sender reports of the switch's own streams, under the channel's keys") {
  Room room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1), two(2, 0xbbbb0001, 1);
  CHECK(room.apply(routesCommand(Media::audio, {{1, 2, 1}})));
  for (uint16_t i = 1; i <= 3; i++) CHECK(room.feed(1, one.rtp(i, pattern(1, 20), i * 160u), MS * 20 * i) == Drop::none);
  takeSent(room.h);
  room.h.core().tick(MS * 160, (uint64_t{5} << 32) | 9);
  const auto sent = takeSent(room.h);
  CHECK(sent.size() == 1 && sent[0].receiver == 2);
  if (sent.size() != 1) return;
  Bytes report = sent[0].bytes;
  const size_t plain = unprotectSrtcp(two.receivingRtcp, report.data(), report.size());
  uint32_t types = 0;
  CHECK(plain == 56 && checkCompound(report.data(), plain, types));
  CHECK(types == (typeBit(RTCP_SR) | typeBit(RTCP_SDES)));
  CHECK(get32(&report[4]) == ((HOP_SEED + (2u << 16)) | 1) && get32(&report[8]) == 5 && get32(&report[12]) == 9);
  CHECK(get32(&report[20]) == 3 && get32(&report[24]) == 60);
  RtpView rtp;
  CHECK(room.feed(1, one.rtp(4, pattern(1, 20), 640), MS * 180) == Drop::none);
  const auto media = takeSent(room.h);
  CHECK(media.size() == 1 && parseRtp(media[0].bytes.data(), media[0].bytes.size(), rtp));
  // 100 ms after the last packet, 20 ms before this one that is 160 ticks later.
  CHECK(get32(&report[16]) == rtp.timestamp - 160 + 800);
}
