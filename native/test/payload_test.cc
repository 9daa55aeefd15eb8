// Payload headers: what begins a picture, what is kept of it, how loud a packet is.
#include "payload.h"

#include <memory>
#include <random>

#include "test.h"

using namespace claviger;
using test::Bytes;
using test::hex;

namespace {

bool key(VideoCodec codec, const char* payload) {
  const Bytes bytes = hex(payload);
  return startsKeyFrame(codec, bytes.data(), bytes.size());
}

}  // namespace

TEST("payload", "H.264: IDR and SPS, alone, aggregated and in fragments") {
  const VideoCodec c = VideoCodec::h264;
  CHECK(key(c, "65888400"));                        // IDR
  CHECK(key(c, "6742001f"));                        // SPS
  CHECK(!key(c, "419a0000"));                       // a slice that refers back
  CHECK(!key(c, "68ce3c80"));                       // PPS alone
  CHECK(key(c, "78000467420001000268ce"));          // STAP-A of SPS and PPS
  CHECK(key(c, "78000241000002658800"));            // STAP-A, the IDR second
  CHECK(!key(c, "780002410000024100"));             // STAP-A of slices
  CHECK(!key(c, "78000965"));                       // a length beyond the packet
  CHECK(key(c, "7c8500"));                          // FU-A, first of an IDR
  CHECK(!key(c, "7c0500"));                         // FU-A, middle
  CHECK(!key(c, "7c4500"));                         // FU-A, last
  CHECK(!key(c, "7c8100"));                         // FU-A, first of a slice
  CHECK(!key(c, "7c"));
}

TEST("payload", "H.265: IRAP and parameter sets, alone, aggregated and in fragments") {
  const VideoCodec c = VideoCodec::h265;
  CHECK(key(c, "260100"));      // IDR_W_RADL, 19
  CHECK(key(c, "2a0100"));      // CRA, 21
  CHECK(key(c, "400100"));      // VPS, 32
  CHECK(!key(c, "020100"));     // TRAIL_R
  CHECK(!key(c, "4e0100"));     // SEI
  CHECK(key(c, "600100024001000226010"));
  CHECK(!key(c, "6001000202010002020100"));
  CHECK(key(c, "620193"));      // FU, first of 19
  CHECK(!key(c, "620113"));     // FU, middle
  CHECK(!key(c, "26"));
}

TEST("payload", "VP8: first packet of a frame whose P bit is 0, behind every form of descriptor") {
  const VideoCodec c = VideoCodec::vp8;
  CHECK(key(c, "1000"));
  CHECK(!key(c, "1001"));          // inter frame
  CHECK(!key(c, "0000"));          // not the first packet
  CHECK(!key(c, "1100"));          // second partition
  CHECK(key(c, "90800500"));       // PictureID of 7 bits
  CHECK(key(c, "9080800500"));     // PictureID of 15 bits
  CHECK(key(c, "90f08005010200")); // all of them
  CHECK(!key(c, "90f08005010201"));
  CHECK(!key(c, "9080"));
  CHECK(!key(c, "90"));
}

TEST("payload", "VP9: the lowest layer of a picture that is not predicted") {
  const VideoCodec c = VideoCodec::vp9;
  CHECK(key(c, "0800"));
  CHECK(!key(c, "4800"));        // P
  CHECK(!key(c, "0400"));        // not the beginning
  CHECK(key(c, "880100"));       // with a PictureID
  CHECK(key(c, "88810100"));
  CHECK(key(c, "a8018000"));     // layer: SID 0
  CHECK(!key(c, "a8018200"));    // SID 1
  CHECK(!key(c, "a801"));
}

TEST("payload", "AV1: a new coded video sequence") {
  CHECK(key(VideoCodec::av1, "080a"));
  CHECK(key(VideoCodec::av1, "280a"));
  CHECK(!key(VideoCodec::av1, "880a"));
  CHECK(!key(VideoCodec::av1, "000a"));
  CHECK(!key(VideoCodec::other, "65"));
  CHECK(!startsKeyFrame(VideoCodec::av1, nullptr, 0));
}

TEST("payload", "parameter sets are kept and written as one STAP-A") {
  ParameterSets sets;
  uint8_t out[ParameterSets::MAX_PAYLOAD_BYTES];
  const Bytes sps = hex("6742001faa"), pps = hex("48ce3c80"), both = hex("7800056742001fbb000448ce3c81"), slice = hex("41aa");
  CHECK(!sets.complete());
  CHECK(sets.learn(sps.data(), sps.size()) && !sets.complete());
  CHECK(!sets.learn(pps.data(), pps.size()) && sets.complete());
  CHECK(!sets.learn(slice.data(), slice.size()));
  CHECK(sets.write(out) == 14 && test::same(out, hex("7800056742001faa000448ce3c80")));
  CHECK(sets.learn(both.data(), both.size()));
  CHECK(sets.write(out) == 14 && test::same(out, both));
  CHECK(startsKeyFrame(VideoCodec::h264, out, 14));
  Bytes large(ParameterSets::MAX_BYTES, 1);
  large[0] = 0x67;
  CHECK(sets.learn(large.data(), large.size()) && sets.complete());
  CHECK(sets.write(out) == 1 + 2 + ParameterSets::MAX_BYTES + 2 + 4);
  large.push_back(1);
  CHECK(sets.learn(large.data(), large.size()) && !sets.complete());
}

TEST("payload", "audio level (RFC 6464) as energy") {
  const struct {
    const char* packet;
    uint8_t id;
    int energy;
  } cases[] = {
      {"9000000100000000000000ffbede00011080000000", 1, 100},  // 0 dBov, voice
      {"9000000100000000000000ffbede0001107f000000", 1, 0},    // silence
      {"9000000100000000000000ffbede000110be000000", 1, 51},   // -62 dBov
      {"9000000100000000000000ffbede00022111000010050000", 1, 96},  // behind another one and padding
      {"9000000100000000000000ffbede00012111001000", 1, -1},   // its byte is behind the extension
      {"9000000100000000000000ffbede0001107f000000", 2, -1},
      {"9000000100000000000000ff1000000110000000aa", 1, -1},   // two-byte form
      {"8000000100000000000000ffbede000110000000", 1, -1},     // no extension
      {"9000000100000000000000ffbede00013f000000", 1, -1},     // longer than the extension
  };
  for (const auto& c : cases) {
    const Bytes packet = hex(c.packet);
    RtpView rtp;
    CHECK(parseRtp(packet.data(), packet.size(), rtp));
    const int energy = audioEnergy(packet.data(), rtp, c.id);
    if (energy != c.energy) std::printf("%s: %d\n", c.packet, energy);
    CHECK(energy == c.energy);
  }
}

TEST("payload", "hostile payloads: random bytes of every length are read within bounds") {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; round++) {
    Bytes bytes(random() % 40);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    // Exactly as long as the bytes: AddressSanitizer sees one byte too many.
    std::unique_ptr<uint8_t[]> exact(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    for (uint8_t codec = 0; codec <= 5; codec++) {
      startsKeyFrame(static_cast<VideoCodec>(codec), exact.get(), bytes.size());
    }
    ParameterSets sets;
    sets.learn(exact.get(), bytes.size());
    RtpView rtp;
    if (parseRtp(exact.get(), bytes.size(), rtp)) audioEnergy(exact.get(), rtp, random() % 16);
  }
}

TEST("payload", "header extensions are found by id in either form, after padding, and never beyond the header") {
  // RFC 8285 §4.2: ids 1 (one byte) and 4 (two), padding between; id 15 ends the search.
  const Bytes one = hex("906f000700000000aaaa0001bede0003108500004130310000f0ff00");
  // §4.3: ids 4 (empty), 16 (three bytes) and 200 (one).
  const Bytes two = hex("906f000700000000aaaa0001100000030400100361626300c8012a0000");
  const auto find = [](Bytes packet, uint8_t id) -> std::string {
    RtpView rtp;
    std::unique_ptr<uint8_t[]> exact(new uint8_t[packet.size()]);
    std::copy(packet.begin(), packet.end(), exact.get());
    if (!parseRtp(exact.get(), packet.size(), rtp)) return "no RTP";
    size_t length = 0;
    const uint8_t* found = headerExtension(exact.get(), rtp, id, length);
    return found == nullptr ? "none" : std::string(found, found + length);
  };
  CHECK(find(one, 1) == "\x85" && find(one, 4) == "01" && find(one, 2) == "none" && find(one, 15) == "none");
  CHECK(find(two, 4).empty() && find(two, 16) == "abc" && find(two, 200) == "*" && find(two, 1) == "none");
  Bytes longer = one;
  longer[16] = 0x1f;  // 16 bytes, of 12 that are there
  CHECK(find(longer, 1) == "none" && find(longer, 4) == "none");
  Bytes other = one;
  other[12] = 0xab;  // some other profile's
  CHECK(find(other, 1) == "none");
  RtpView rtp;
  CHECK(parseRtp(one.data(), one.size(), rtp) && audioEnergy(one.data(), rtp, 1) == (127 - 5) * 100 / 127);
  std::mt19937 random(9);
  for (int round = 0; round < 50'000; round++) {
    Bytes bytes = round % 2 == 0 ? one : two;
    for (int i = 0; i < 3; i++) bytes[12 + random() % (bytes.size() - 12)] = static_cast<uint8_t>(random());
    bytes.resize(16 + random() % (bytes.size() - 15));
    find(bytes, static_cast<uint8_t>(random()));
  }
}
