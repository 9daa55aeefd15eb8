// Keys of a hop-by-hop channel that are set again, as SDP repeats or changes them (RFC 4568 §7.1.4).
#include "hop_world.h"

using namespace claviger;
using namespace test;

namespace {

Bytes keysOf(uint32_t id, uint32_t localSeed, uint32_t remoteSeed, uint16_t profile = PROFILE_AES128_CM_SHA1_80) {
  const size_t size = channelKeyBytes(profile);
  return CommandWriter(OPCODE_setChannelKeys).u32(id).u16(profile).u8(static_cast<uint32_t>(size)).block(pattern(localSeed, size))
      .u8(static_cast<uint32_t>(size)).block(pattern(remoteSeed, size)).u8(1).bytes;
}

}  // namespace

TEST("hop-rekey", "two-time pad: a key that is set again goes on with its index, whatever else changes; another one begins anew") {
  HopRoom room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1);
  CHECK(room.apply(routesCommand(Media::audio, {{1, 2, 1}})));
  uint64_t index = 100;
  const auto next = [&] {
    CHECK(room.feed(1, one.rtp(index, pattern(static_cast<uint32_t>(index), 40), 0)) == Drop::none);
    index++;
    const auto sent = takeSent(room.h);
    RtpView rtp{};
    CHECK(sent.size() == 1 && parseRtp(sent[0].bytes.data(), sent[0].bytes.size(), rtp));
    return rtp;
  };
  HopParameters other;
  other.seed = 0x7eed0000;
  const RtpView first = next();
  uint16_t expected = first.sequence;
  // The same keys, the same with a tag of another length, and other ones of the peer's: our key stream is the same.
  for (const Bytes& keys : {keysOf(2, 102, 202), keysOf(2, 102, 202, PROFILE_AES128_CM_SHA1_32), keysOf(2, 102, 250)}) {
    CHECK(room.apply(keys));
    CHECK(room.apply(hopParametersCommand(2, other)));
    const RtpView rtp = next();
    CHECK(rtp.ssrc == first.ssrc && rtp.sequence == ++expected);
  }
  CHECK(room.apply(keysOf(2, 151, 250)));
  CHECK(room.apply(hopParametersCommand(2, other)));
  CHECK(next().ssrc != first.ssrc);
}

TEST("hop-rekey", "replay across a re-INVITE: what was heard under a key that is repeated is not heard again, in RTP and RTCP") {
  HopRoom room(Media::audio);
  const HopPeer one(1, 0xaaaa0001, 1);
  const Bytes payload = pattern(1, 40);
  const Bytes heard = one.rtp(0xfff0, payload, 0), turned = one.rtp(0x10010, payload, 0);
  const Bytes control = controlPacket(1, PROFILE_AES128_CM_SHA1_80, 0x100, 7);
  CHECK(room.feed(1, heard) == Drop::none && room.feed(1, control) == Drop::none);
  for (const uint32_t local : {101u, 150u}) {
    CHECK(room.apply(keysOf(1, local, 201)));
    CHECK(room.apply(hopParametersCommand(1)));
    CHECK(room.feed(1, heard) == Drop::replayed);
    CHECK(room.feed(1, control) == Drop::replayed);
  }
  // The ROC goes on too.
  CHECK(room.feed(1, turned) == Drop::none);
  // Another key of the peer's: its indices are its own, from its first ROC on (RFC 3711 §3.3.1).
  CHECK(room.apply(keysOf(1, 150, 260)));
  CHECK(room.apply(hopParametersCommand(1)));
  HopPeer anew = one;
  deriveSrtpKeys(PROFILE_AES128_CM_SHA1_80, pattern(260, 30).data(), anew.sending);
  CHECK(room.feed(1, turned) == Drop::auth_failed);
  CHECK(room.feed(1, anew.rtp(0x10, payload, 0)) == Drop::none);
}
