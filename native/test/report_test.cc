// Receiver reports: the arithmetic of RFC 3550 §6.4.1, A.3 and A.8 on cases worked out by hand.
#include "world.h"

using namespace test;

namespace {

constexpr uint32_t HZ = 90000;
constexpr uint64_t MS = NS_PER_MS;

struct Block {
  uint32_t ssrc, fraction, highest, jitter, lastSr, delay;
  int32_t lost;
};
Block read(const uint8_t* b) {
  const auto lost = static_cast<int32_t>(get32(b + 4) << 8) >> 8;
  return {get32(b), b[4], get32(b + 8), get32(b + 12), get32(b + 16), get32(b + 20), lost};
}
Block blockOf(Reception& r, uint64_t now = 0) {
  uint8_t b[REPORT_BLOCK_BYTES];
  r.report(0xa1, now, b);
  return read(b);
}
void packets(Reception& r, std::initializer_list<uint64_t> indices) {
  for (const uint64_t i : indices) r.packet(i, false, static_cast<uint32_t>(i), 0, HZ);
}

}  // namespace

TEST("report", "loss: fraction of the interval in 256ths, cumulative over all (RFC 3550 A.3)") {
  Reception r;
  CHECK(!r.heard());
  packets(r, {10, 11, 12, 15, 16, 17, 18, 19});  // 8 of 10
  CHECK(r.heard());
  Block b = blockOf(r);
  CHECK(b.ssrc == 0xa1 && b.lost == 2 && b.fraction == 2 * 256 / 10 && b.highest == 19);
  CHECK(!r.heard());
  packets(r, {20, 21, 22});  // none lost now
  b = blockOf(r);
  CHECK(b.lost == 2 && b.fraction == 0 && b.highest == 22);
  packets(r, {13, 14, 23});  // what was late comes: more received than expected in this interval
  b = blockOf(r);
  CHECK(b.lost == 0 && b.fraction == 0 && b.highest == 23);
  packets(r, {1023});  // 1 of 1000
  b = blockOf(r);
  CHECK(b.lost == 999 && b.fraction == 255);
}

TEST("report", "loss: duplicates make it negative, and it stops at 24 bits either way") {
  Reception r;
  for (const uint16_t s : {5, 6, 6, 6, 7}) r.packet(s, 0, 0, HZ);
  Block b = blockOf(r);
  CHECK(b.lost == -2 && b.fraction == 0 && b.highest == 7);
  Reception lossy;
  uint64_t i = 1;
  for (; i < 10'000'000; i += 2999) packets(lossy, {i});
  b = blockOf(lossy);
  CHECK(b.lost == 0x7fffff);
}

TEST("report", "the highest sequence number carries the cycles, and ROC above 16 bits is cut") {
  Reception r;
  packets(r, {0x1fffe, 0x1ffff, 0x20001, 0x20000, 0x20002});
  Block b = blockOf(r);
  CHECK(b.highest == 0x20002 && b.lost == 0);
  Reception plain;
  for (const uint16_t s : {65534, 65535, 1, 0, 2}) plain.packet(s, 0, 0, HZ);
  b = blockOf(plain);
  CHECK(b.highest == 0x10002 && b.lost == 0);
  Reception far;
  packets(far, {0x1234'5678'9abcu});
  CHECK(blockOf(far).highest == 0x5678'9abc);
}

TEST("report", "a sender that begins anew begins a new count; one stray sequence number does not (RFC 3550 A.1)") {
  Reception r;
  for (const uint16_t s : {100, 101, 103, 30000, 104}) r.packet(s, 0, 0, HZ);
  Block b = blockOf(r);
  CHECK(b.highest == 104 && b.lost == 1);
  for (const uint16_t s : {30000, 30001, 30002}) r.packet(s, 0, 0, HZ);
  b = blockOf(r);
  CHECK(b.highest == 30002 && b.lost == 0);
  // Under EKT the sender's word for it is verified.
  Reception ekt;
  packets(ekt, {5000, 5001});
  ekt.packet(4990, true, 0, 0, HZ);
  CHECK(blockOf(ekt).highest == 4990 && blockOf(ekt).lost == 0);
  packets(ekt, {4991, 70000, 70001});
  b = blockOf(ekt);
  CHECK(b.highest == 70001 && b.lost == 0);
}

TEST("report", "jitter: worked example of RFC 3550 A.8") {
  // Frames 20 ms apart at 8 kHz: 160 units. Arrivals: 0, 20, 45, 60 ms; so D = 0, 40, -40 units.
  Reception r;
  const uint64_t arrivals[] = {0, 20, 45, 60};
  for (uint32_t i = 0; i < 4; i++) r.packet(uint64_t{i + 1}, false, i * 160, arrivals[i] * MS, 8000);
  // Sixteenths: 0; 40; 40 + 40 - (48 >> 4) = 77; 77 >> 4 = 4.
  CHECK(blockOf(r).jitter == 4);
  // Once 24 units late, then steady: in sixteenths 24, 22, 21, ... 15, for each step takes (jitter + 8) >> 4 away.
  Reception settling;
  for (uint32_t i = 0; i < 10; i++) {
    settling.packet(uint64_t{i + 1}, false, i * 160, (i * 20 + (i == 0 ? 0 : 3)) * MS, 8000);
  }
  CHECK(blockOf(settling).jitter == 0);
  // Timestamps and clock wrap, and a constant delay is none.
  Reception steady;
  for (uint32_t i = 0; i < 50; i++) {
    steady.packet(uint64_t{i + 1}, false, 0xffffff00u + i * 3000, 1'000'000'000'000'000u + i * (NS_PER_S / 30), HZ);
  }
  CHECK(blockOf(steady).jitter <= 1);
  // Many packets of one frame at one time: each counts, none jitters.
  Reception frame;
  for (uint32_t i = 0; i < 10; i++) frame.packet(uint64_t{i + 1}, false, 777, 5 * MS, HZ);
  CHECK(blockOf(frame).jitter == 0);
  // A steady alternation of 10 ms late and on time at 90 kHz settles at 900 units.
  Reception alternating;
  for (uint32_t i = 0; i < 2000; i++) {
    alternating.packet(uint64_t{i + 1}, false, i * 3600, (i * 40 + (i % 2) * 10) * MS, HZ);
  }
  const uint32_t jitter = blockOf(alternating).jitter;
  CHECK(jitter >= 890 && jitter <= 900);
}

TEST("report", "LSR and DLSR (RFC 3550 §6.4.1)") {
  Reception r;
  packets(r, {1});
  Block b = blockOf(r, 500 * MS);
  CHECK(b.lastSr == 0 && b.delay == 0);
  r.senderReport(0xb44db705'20000000u, 1000 * MS);
  b = blockOf(r, 1000 * MS + 5250 * MS);
  CHECK(b.lastSr == 0xb7052000 && b.delay == 0x00054000);  // 5.250 s: the figures of RFC 3550, figure 2
}

namespace {

// The blocks of the one `reports` event there is.
std::vector<Block> reported(Harness& h, uint32_t id) {
  const Bytes& events = h.core().events().bytes();
  std::vector<Block> out;
  for (size_t at = 0; at < events.size();) {
    if (events[at] != EVENT_reports) {
      at += events[at] == EVENT_bound ? 10 : events[at] == EVENT_activity ? 11 : 14;  // or refusals
      continue;
    }
    CHECK(get32(&events[at + 1]) == id);
    for (size_t i = 0; i < events[at + 5]; i++) out.push_back(read(&events[at + 6 + REPORT_BLOCK_BYTES * i]));
    at += 6 + REPORT_BLOCK_BYTES * events[at + 5];
  }
  h.core().events().clear();
  return out;
}

}  // namespace

TEST("report", "only what verified is counted, and only who was heard is reported, every interval") {
  Harness h;
  for (const Bytes& c : worldCommands(3, Media::audio)) CHECK(h.apply(c.data(), c.size(), 0));
  const TestSender a(0xa1, 1, 0x1235), b(0xb1, 2, 0x1235);
  Channel& from = *h.core().channel(1);
  const auto feed = [&](const Bytes& p) { return h.feed(from, p.data(), p.size(), 0); };
  for (const uint16_t s : {1, 2, 5}) CHECK(feed(a.rtp(3, s, true, 20, 0)) == Drop::none);
  CHECK(feed(b.rtp(0, 9, true, 20, 0)) == Drop::none);
  CHECK(feed(a.rtp(3, 5, true, 20, 0)) == Drop::replayed);
  Bytes forged = a.rtp(3, 3, true, 20, 0);
  forged[20] ^= 1;
  CHECK(feed(forged) == Drop::auth_failed);
  h.core().tick(0);
  CHECK(reported(h, 1).empty());
  h.core().tick(RELAY_REPORT_INTERVAL_MS * MS - 1);
  CHECK(reported(h, 1).empty());
  h.core().tick(RELAY_REPORT_INTERVAL_MS * MS);
  std::vector<Block> blocks = reported(h, 1);
  CHECK(blocks.size() == 2 && blocks[0].ssrc == 0xa1 && blocks[1].ssrc == 0xb1);
  CHECK(blocks[0].lost == 2 && blocks[0].fraction == 2 * 256 / 5 && blocks[0].highest == 0x30005);
  CHECK(blocks[0].lastSr == 0 && blocks[0].delay == 0);
  CHECK(feed(b.rtp(0, 10, true, 20, 0)) == Drop::none);
  h.core().tick(2 * RELAY_REPORT_INTERVAL_MS * MS);
  blocks = reported(h, 1);
  CHECK(blocks.size() == 1 && blocks[0].ssrc == 0xb1 && blocks[0].lost == 0 && blocks[0].highest == 10);
  h.core().tick(3 * RELAY_REPORT_INTERVAL_MS * MS);
  CHECK(reported(h, 1).empty());
}

TEST("report", "jitter is in the clock of the payload type, 48 kHz or 90 kHz where nobody said") {
  Harness h;
  for (const Bytes& c : worldCommands(2, Media::audio)) CHECK(h.apply(c.data(), c.size(), 0));
  Channel& c = *h.core().channel(1);
  CHECK(c.clockHz(96) == 48000);
  const Bytes told = CommandWriter(0).block(parametersCommand(1)).u32(8000).bytes;
  CHECK(h.apply(told.data() + 1, told.size() - 1, 0) && c.clockHz(96) == 8000 && c.clockHz(97) == 48000);
  const Bytes cut = CommandWriter(0).block(parametersCommand(1)).u16(8000).bytes;
  CHECK(!h.apply(cut.data() + 1, cut.size() - 1, 0) && c.clockHz(96) == 8000);
  Harness video;
  for (const Bytes& v : worldCommands(2, Media::video)) CHECK(video.apply(v.data(), v.size(), 0));
  CHECK(video.core().channel(1)->clockHz(96) == 90000);
}
