// SRTP that the switch ends itself: published packets, both implementations of AES, and the discipline of indices.
#include <map>
#include <random>

#include "continuous.h"
#include "hop_keys.h"
#include "test.h"

using namespace claviger;
using test::Bytes;
using test::hex;
using test::same;

namespace {

const Bytes PLAIN = hex("800f1234decafbadcafebabeabababababababababababababababab");

// Known packets: RFC 3711's and RFC 7714's transforms on one packet, as published with libsrtp's self-test.
const struct Known {
  const char* name;
  uint16_t profile;
  const char* key;
  const char* packet;
} KNOWN[] = {
    {"AES_CM_128_HMAC_SHA1_80", PROFILE_AES128_CM_SHA1_80,
     "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
     "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"},
    {"AES_CM_128_HMAC_SHA1_32", PROFILE_AES128_CM_SHA1_32,
     "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
     "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc"},
    {"AES_256_CM_HMAC_SHA1_80", PROFILE_AES256_CM_SHA1_80,
     "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2",
     "800f1234decafbadcafebabef1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b"},
    {"AEAD_AES_128_GCM", PROFILE_AES128_GCM, "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
     "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392"},
    {"AEAD_AES_256_GCM", PROFILE_AES256_GCM,
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa0a1a2a3a4a5a6a7a8a9aaab", nullptr},
};

RtpView view(const Bytes& packet) {
  RtpView rtp;
  CHECK(parseRtp(packet.data(), packet.size(), rtp));
  return rtp;
}

Bytes protect(const SrtpKeys& keys, const Bytes& plain, uint64_t index) {
  const RtpView rtp = view(plain);
  Bytes out(plain.size() + 16);
  std::copy(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(rtp.headerLength), out.begin());
  const size_t head = rtp.headerLength;
  out.resize(protectSrtp(keys, out.data(), head, rtp.ssrc, plain.data() + head, plain.size() - head, index));
  return out;
}

Drop put(ContinuousStream& stream, uint64_t source, uint64_t index, uint32_t timestamp, uint64_t now, Placed& placed) {
  stream.give(source, index, timestamp, now);
  return stream.place(index, timestamp, now, placed);
}

Bytes randomPacket(std::mt19937& random, size_t payload) {
  Bytes packet(12 + payload);
  for (uint8_t& b : packet) b = static_cast<uint8_t>(random());
  packet[0] = 0x80;
  return packet;
}

}  // namespace

TEST("hop", "one published packet under every suite") {
  for (const Known& k : KNOWN) {
    SrtpKeys keys;
    deriveSrtpKeys(k.profile, hex(k.key).data(), keys);
    Bytes packet = protect(keys, PLAIN, 0x1234);
    const size_t length = packet.size();
    if (k.packet != nullptr) {
      CHECK(length == hex(k.packet).size());
      CHECK(same(packet.data(), hex(k.packet)));
    }
    CHECK(unprotectSrtp(keys, view(PLAIN), packet.data(), length, 0x1234) == PLAIN.size());
    CHECK(same(packet.data(), PLAIN));
  }
}

TEST("hop", "AES-GCM with a 256-bit key (test case 16 of the GCM submission)") {
  const Bytes key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const Bytes iv = hex("cafebabefacedbaddecaf888");
  const Bytes aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  Bytes data = hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba"
      "637b39");
  const Bytes expected = hex(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abc"
      "c9f662");
  for (const bool fast : {true, false}) {
    if (fast && !hasFastAes()) continue;
    MediaCipher cipher;
    prepareCipher(cipher, key.data(), 32, fast);
    Bytes out(data.size());
    uint8_t tag[16];
    mediaGcmSeal(cipher, iv.data(), aad.data(), aad.size(), data.data(), out.data(), data.size(), tag);
    CHECK(same(out.data(), expected));
    CHECK(same(tag, hex("76fc6ece0f4e1768cddf8853bb2d551b")));
  }
}

TEST("hop", "the processor's AES and the portable one agree at every length") {
  if (!hasFastAes()) return;
  std::mt19937 random(7);
  for (const size_t keyBytes : {16u, 32u}) {
    Bytes key(keyBytes), iv(16), aad(40);
    for (auto* bytes : {&key, &iv, &aad}) {
      for (uint8_t& b : *bytes) b = static_cast<uint8_t>(random());
    }
    iv[14] = iv[15] = 0;
    MediaCipher fast, portable;
    prepareCipher(fast, key.data(), keyBytes, true);
    prepareCipher(portable, key.data(), keyBytes, false);
    for (size_t length = 0; length <= 700; length++) {
      Bytes data(length + 1), a(length + 1), b(length + 1);
      for (uint8_t& x : data) x = static_cast<uint8_t>(random());
      mediaCounterMode(fast, iv.data(), data.data(), a.data(), length);
      mediaCounterMode(portable, iv.data(), data.data(), b.data(), length);
      CHECK(a == b);
      uint8_t tagA[16], tagB[16];
      const size_t aadLength = length % aad.size();
      mediaGcmSeal(fast, iv.data(), aad.data(), aadLength, data.data(), a.data(), length, tagA);
      mediaGcmSeal(portable, iv.data(), aad.data(), aadLength, data.data(), b.data(), length, tagB);
      CHECK(a == b && std::memcmp(tagA, tagB, 16) == 0);
      CHECK(mediaGcmOpen(portable, iv.data(), aad.data(), aadLength, a.data(), length, tagA));
      CHECK(mediaGcmOpen(fast, iv.data(), aad.data(), aadLength, b.data(), length, tagB));
      data.back() = a.back() = b.back() = 0;
      CHECK(a == data && b == data);
    }
  }
}

TEST("hop", "forged packet: no bit of header, payload, tag or ROC can be changed") {
  std::mt19937 random(8);
  for (const Known& k : KNOWN) {
    SrtpKeys keys;
    deriveSrtpKeys(k.profile, hex(k.key).data(), keys);
    const Bytes plain = randomPacket(random, 37);
    Bytes sealed = protect(keys, plain, 0x1fffe);
    for (size_t bit = 0; bit < sealed.size() * 8; bit++) {
      Bytes forged = sealed;
      forged[bit / 8] ^= static_cast<uint8_t>(0x80 >> (bit % 8));
      const Bytes before = forged;
      RtpView rtp;
      if (!parseRtp(forged.data(), forged.size(), rtp)) continue;
      CHECK(unprotectSrtp(keys, rtp, forged.data(), forged.size(), 0x1fffe) == 0);
      CHECK(forged == before);
    }
    CHECK(unprotectSrtp(keys, view(sealed), sealed.data(), sealed.size(), 0x2fffe) == 0);
    for (size_t length = 12; length < sealed.size(); length++) {
      CHECK(unprotectSrtp(keys, view(sealed), sealed.data(), length, 0x1fffe) == 0);
    }
    CHECK(unprotectSrtp(keys, view(sealed), sealed.data(), sealed.size(), 0x1fffe) == plain.size());
    sealed.resize(plain.size());
    CHECK(sealed == plain);
  }
}

TEST("hop", "SRTCP of the suites that SDES adds, both ways") {
  for (const uint16_t profile : {PROFILE_AES128_CM_SHA1_32, PROFILE_AES256_CM_SHA1_80, PROFILE_AES256_CM_SHA1_32}) {
    Bytes key(channelKeyBytes(profile));
    for (size_t i = 0; i < key.size(); i++) key[i] = static_cast<uint8_t>(i * 7);
    SrtcpKeys keys;
    deriveSrtcpKeys(profile, key.data(), keys);
    CHECK(srtcpOverhead(keys) == 14);
    const Bytes plain = hex("80c90001cafebabe");
    Bytes packet = plain;
    packet.resize(64);
    const size_t length = protectSrtcp(keys, packet.data(), plain.size(), 9);
    CHECK(unprotectSrtcp(keys, packet.data(), length) == plain.size());
    CHECK(same(packet.data(), plain));
  }
}

// RFC 3711 §9.1. The sources repeat, reorder and lose packets, begin anew with low indices and jump; the switch inserts
// packets of its own and changes source as often as it likes.
TEST("hop", "key stream reuse: a million switches never give one index to two packets") {
  std::mt19937 random(20261121);
  ContinuousStream stream;
  stream.start(0x1234, 0xffff, 0, 90000);
  struct Source {
    uint64_t id;
    uint64_t index;
    uint32_t timestamp;
  };
  std::vector<Source> sources;
  uint64_t ids = 1, now = 1;
  for (int i = 0; i < 5; i++) sources.push_back({ids++, random() & 0xffff, static_cast<uint32_t>(random())});
  // What each index was given to: all of the window and what is to come would be enough; the last ones are kept.
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> given;
  uint64_t sent = 0, refused = 0, highest = 0;
  size_t current = 0;
  for (int turn = 0; turn < 1'000'000; turn++) {
    if (random() % 2 == 0) current = random() % sources.size();
    Source& s = sources[current];
    if (random() % 50'000 == 0) s = {ids++, random() & 0xffff, static_cast<uint32_t>(random())};
    now += random() % 20'000'000;
    const size_t packets = 1 + random() % 3;
    for (size_t i = 0; i < packets; i++) {
      s.index += random() % 4 == 0 ? 2 : 1;
      if (random() % 100'000 == 0) s.index += 40'000;
      s.timestamp += 3000;
      const uint64_t back = random() % 3 == 0 ? random() % 6 : 0;
      const uint64_t index = s.index > back ? s.index - back : s.index;
      Placed placed;
      stream.give(s.id, index, s.timestamp, now);
      const Drop drop = stream.place(index, s.timestamp, now, placed);
      if (drop != Drop::none) {
        refused++;
        continue;
      }
      sent++;
      CHECK(given.emplace(placed.index, std::make_pair(s.id, index)).second);
      if (placed.index > highest) highest = placed.index;
    }
    if (random() % 5 == 0) {
      Placed placed;
      CHECK(stream.insert(s.timestamp, placed) == Drop::none);
      CHECK(given.emplace(placed.index, std::make_pair(uint64_t{0}, uint64_t{0})).second);
      CHECK(placed.index > highest);
      highest = placed.index;
      sent++;
    }
    // Far below the window nothing is given any longer: that it is not is what the next check says.
    if (given.size() > 10'000) given.erase(given.begin(), std::next(given.begin(), 5'000));
    CHECK(given.rbegin()->first == highest);
  }
  CHECK(sent > 1'500'000 && refused > 100'000);
}

TEST("hop", "a change of source leaves no gap in sequence numbers and carries the clock on") {
  ContinuousStream stream;
  stream.start(1, 0x9000, 500, 8000);
  Placed p;
  CHECK(put(stream, 1, 70'000, 111'111, 0, p) == Drop::none && p.index == 0x1000 && p.timestamp == 500);
  CHECK(put(stream, 1, 70'002, 111'431, 40'000'000, p) == Drop::none && p.index == 0x1002 && p.timestamp == 820);
  CHECK(put(stream, 1, 70'001, 111'271, 41'000'000, p) == Drop::none && p.index == 0x1001 && p.timestamp == 660);
  CHECK(put(stream, 1, 70'001, 111'271, 42'000'000, p) == Drop::replayed);
  // 20 ms after the last packet: 160 ticks of 8 kHz.
  CHECK(put(stream, 2, 5, 7, 60'000'000, p) == Drop::none && p.index == 0x1003 && p.timestamp == 980);
  CHECK(put(stream, 2, 4, 0, 60'000'000, p) == Drop::too_old);
  CHECK(stream.insert(8, p) == Drop::none && p.index == 0x1004 && p.timestamp == 981);
  CHECK(put(stream, 2, 6, 167, 80'000'000, p) == Drop::none && p.index == 0x1005 && p.timestamp == 1140);
  // Back to the first one, at the same moment: the timestamp still moves.
  CHECK(put(stream, 1, 70'050, 120'000, 80'000'000, p) == Drop::none && p.index == 0x1006 && p.timestamp == 1141);
}

TEST("hop", "a packet asked for again has the place that it had, and only in its source's turn") {
  ContinuousStream stream;
  stream.start(1, 0x7ffe, 500, 8000);
  Placed first, p;
  uint64_t index = 0;
  CHECK(!stream.sent(0x7ffd, index));
  CHECK(put(stream, 1, 0x1ffff, 1000, 0, first) == Drop::none);
  for (uint64_t i = 0; i < 100; i++) CHECK(put(stream, 1, 0x20001 + i, 1160, 0, p) == Drop::none);
  CHECK(stream.sent(0x7ffe, index) && index == 0x1ffff);
  p = stream.again(index, 1000);
  CHECK(p.index == first.index && p.timestamp == first.timestamp);
  CHECK(!stream.sent(0x7fff, index));  // lost before it came here
  CHECK(stream.sent(0x8000, index) && index == 0x20001);
  CHECK(stream.sent(static_cast<uint16_t>(0x8000 + 99), index) && index == 0x20001 + 99);
  CHECK(!stream.sent(static_cast<uint16_t>(0x8000 + 100), index));
  CHECK(put(stream, 2, 7, 0, 0, p) == Drop::none);
  CHECK(!stream.sent(0x8000, index));
  CHECK(stream.sent(static_cast<uint16_t>(p.index), index) && index == 7);
}

TEST("hop", "the last index of the keys is used once, and then none") {
  ContinuousStream stream;
  stream.start(1, 0, 0, 8000);
  Placed p;
  CHECK(put(stream, 1, 0, 0, 0, p) == Drop::none);
  CHECK(put(stream, 1, SRTP_MAX_INDEX, 0, 0, p) == Drop::none && p.index == SRTP_MAX_INDEX);
  CHECK(put(stream, 1, SRTP_MAX_INDEX + 1, 0, 0, p) == Drop::no_key);
  CHECK(put(stream, 2, 0, 0, 0, p) == Drop::no_key);
  CHECK(stream.insert(0, p) == Drop::no_key);
}
