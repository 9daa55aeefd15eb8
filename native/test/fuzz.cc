// Fuzzers with live contexts. One that refuses an input must be as it was before; one that accepts a changed packet is
// broken. Deterministic: the same RUNS and SEED give the same inputs.
#include "bundle_world.h"
#include "fuzz.h"
#include "stun_peer.h"

using namespace test;
using namespace fuzz;

namespace {

// Equal but for the bits of a Short tag's last byte that carry nothing.
// In field mode (WIRE.md 6) what differs in the payload alone, in its length too, is equal to the switch, which does not look
// at it: header, and everything from the AEAD tag on.
bool equalBesidePayload(const Bytes& a, const Bytes& b) {
  RtpView rtp;
  TagView tag;
  if (!parseRtp(b.data(), b.size(), rtp)) return a == b;
  if (!parseField(b.data(), b.size(), rtp.headerLength + AEAD_TAG_BYTES + 1, 16, tag)) return a == b;
  const size_t head = rtp.headerLength, tail = b.size() - tag.authenticated + AEAD_TAG_BYTES + 1;
  return a.size() >= head + tail && std::equal(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(head), a.begin()) &&
         std::equal(b.end() - static_cast<std::ptrdiff_t>(tail), b.end(), a.end() - static_cast<std::ptrdiff_t>(tail));
}

bool equivalent(const Bytes& a, const Bytes& b) {
  if (a.size() != b.size() || a.empty()) return false;
  for (size_t i = 0; i + 1 < a.size(); i++) {
    if (a[i] != b[i]) return false;
  }
  return a.back() == b.back() || ((a.back() | b.back()) & 1) == 0;
}

struct World {
  Harness h;
  uint64_t hash = 0;
  bool fields;
  explicit World(Media media, bool f = false) : fields(f) {
    for (const Bytes& c : worldCommands(3, media, f)) {
      if (!h.apply(c.data(), c.size(), 0)) broken("a valid command was refused", c);
    }
    settle();
  }
  void settle() {
    h.core().events().clear();
    h.clearOutputs();
    hash = h.core().stateHash();
  }
  Drop feed(uint32_t id, const Bytes& packet, uint64_t now) {
    Channel* c = h.core().channel(id);
    if (c == nullptr) return Drop::none;
    const Drop drop = h.feed(*c, packet.data(), packet.size(), now);
    if (drop != Drop::none && h.core().stateHash() != hash) broken("a refused packet changed the state", packet);
    if (drop == Drop::none) settle();
    return drop;
  }
};

Counts counts;

// Mutations of `valid`; now and then the packet itself, which must be accepted.
void packetRound(Random& random, World& world, uint32_t id, const Bytes& valid, const Bytes& other, uint64_t now) {
  for (int i = 0; i < 15; i++) {
    Bytes bad = valid;
    mutate(random, bad, other);
    counts.mutated++;
    if ((world.fields ? equalBesidePayload(bad, valid) : equivalent(bad, valid)) || protocolOf(bad.data(), bad.size()) == Protocol::dtls) continue;
    if (bad == other) continue;
    if (world.feed(id, bad, now) == Drop::none) broken("a changed packet was accepted", bad);
  }
  counts.accepted++;
  if (world.feed(id, valid, now) != Drop::none) broken("a valid packet was refused", valid);
  if (world.feed(id, valid, now) != Drop::replayed) broken("a packet was accepted twice", valid);
}

void rtpTarget(Random& random, uint64_t runs) {
  World world(Media::video);
  TestSender sender(0xa1, 1, 0x1235);
  Bytes other(60);
  uint32_t index = 65000, start = 65001, seed = 1;
  while (counts.mutated < runs) {
    index += index < start ? 1 : 1 + static_cast<uint32_t>(random.below(5));
    if (random.below(50) == 0) {
      sender = TestSender(0xa1, ++seed, 0x1235);
      start = index;
    }
    const bool full = start == index || random.below(3) == 0;
    const auto isn = static_cast<uint16_t>(start >> 16 == index >> 16 ? start : 0);
    const Bytes valid = sender.rtp(index >> 16, static_cast<uint16_t>(index), full, random.below(120),
                                   static_cast<uint8_t>(random.below(4)), isn);
    packetRound(random, world, 1, valid, other, index * NS_PER_MS);
    other = valid;
  }
}

void fieldTarget(Random& random, uint64_t runs) {
  World world(Media::video, true);
  TestFieldSender sender(0xa1, 1, 0x1235, 0);
  Bytes other(60);
  uint32_t index = 65000, start = 65001, seed = 1, srtcp = 0;
  while (counts.mutated < runs) {
    index += index < start ? 1 : 1 + static_cast<uint32_t>(random.below(5));
    if (random.below(50) == 0) {
      ++seed;
      sender = TestFieldSender(0xa1, seed, 0x1235, static_cast<uint16_t>(seed));
      start = index;
    }
    const bool full = start == index || random.below(3) == 0;
    const Bytes unknown = {1, 2, 3, 0, 6, 0x42};
    const Bytes end = full ? sender.field(index >> 16) : random.below(3) == 0 ? unknown : Bytes{0};
    const Bytes valid = random.below(4) == 0 && index != start
                            ? sender.rtcp(++srtcp)
                            : sender.rtp(index >> 16, static_cast<uint16_t>(index), end, random.below(120),
                                         static_cast<uint8_t>(random.below(4)));
    packetRound(random, world, 1, valid, other, index * NS_PER_MS);
    other = valid;
  }
}

void rtcpTarget(Random& random, uint64_t runs) {
  World world(Media::audio);
  const TestSender sender(0xa1, 1, 0x1235);
  Bytes other(60);
  bool taught = false;  // the first one brings the key
  for (uint32_t index = 1; counts.mutated < runs; index++) {
    const size_t kind = random.below(4);
    const Bytes valid = kind == 0   ? controlPacket(1, PROFILE_AES128_CM_SHA1_80, 0x100, index)
                        : kind == 1 ? controlPacket(2, PROFILE_AES128_GCM, 0x100, index)
                        : kind == 2 ? controlPacket(1, PROFILE_AES128_CM_SHA1_80, 0xa1, index)
                                    : sender.rtcp(index, !taught || random.below(2) == 0, 1);
    taught = taught || kind == 3;
    packetRound(random, world, kind == 1 ? 2 : 1, valid, other, index * NS_PER_MS);
    other = valid;
  }
}

// A member may write what it likes into its NACKs: no receiver may get anything that it was not sent before.
void nackTarget(Random& random, uint64_t runs) {
  Harness h;
  for (const Bytes& c : worldCommands(3, Media::video)) h.apply(c.data(), c.size(), 0);
  const TestSender sender(0xa1, 1, 0x1235);
  std::vector<Bytes> sent;
  Bytes other = nackCompound(0xa1, {{3, 0xffff}, {9, 1}});
  for (uint32_t index = 1; counts.mutated < runs; index++) {
    const uint64_t now = index * NS_PER_MS;
    const Bytes p = sender.rtp(index >> 16, static_cast<uint16_t>(index), true, random.below(60), 1);
    h.feed(*h.core().channel(1), p.data(), p.size(), now);
    // Both receivers are shown it at the same place under the same payload type.
    const Bytes& out = h.outputs();
    sent.emplace_back(out.begin() + 6, out.begin() + 6 + get16(&out[4]));
    if (sent.size() > 600) sent.erase(sent.begin());
    h.clearOutputs();
    for (uint32_t i = 0; i < 8; i++, counts.mutated++) {
      Bytes bad = nackCompound(0xa1, {{static_cast<uint16_t>(index - random.below(700)), static_cast<uint16_t>(random.next())},
                                      {static_cast<uint16_t>(random.next()), 3}});
      mutate(random, bad, other);
      if (bad.size() < RTCP_HEADER_BYTES) continue;
      other = bad;
      const Bytes packet = protectedControl(3, PROFILE_AES128_CM_SHA1_80, bad, index * 8 + i);
      h.feed(*h.core().channel(3), packet.data(), packet.size(), now);
      const Bytes& answers = h.outputs();
      for (size_t at = 0; at < answers.size(); at += 6u + get16(&answers[at + 4])) {
        const auto begin = answers.begin() + static_cast<std::ptrdiff_t>(at + 6);
        const Bytes answer(begin, begin + get16(&answers[at + 4]));
        if (get32(&answers[at]) != 3) broken("a NACK was answered to another", bad);
        if (std::find(sent.begin(), sent.end(), answer) == sent.end()) broken("an answer was never sent before", answer);
      }
      counts.accepted += answers.empty() ? 0 : 1;
      h.clearOutputs();
    }
    h.core().events().clear();
    if (index % 100 == 0) h.core().tick(now);
  }
}

// Changed checks, half of them with a length and a FINGERPRINT that are right again, so that attributes are reached: what
// MESSAGE-INTEGRITY covers may not be changed, and whatever is refused leaves everything as it was.
void stunTarget(Random& random, uint64_t runs) {
  World world(Media::audio);
  const Bytes ice = iceCommand(1);
  if (!world.h.apply(ice.data(), ice.size(), 0)) broken("a valid command was refused", ice);
  world.settle();
  Bytes other(60);
  for (uint32_t n = 1; counts.mutated < runs; n++) {
    CheckOptions options;
    options.useCandidate = random.below(2) == 0;
    const Bytes valid = check(n, options);
    const uint64_t now = n * NS_PER_S;  // within every rate
    for (int i = 0; i < 15; i++, counts.mutated++) {
      Bytes bad = valid;
      mutate(random, bad, other);
      if (random.below(2) == 0 && bad.size() >= 28) sealStun(bad);
      if (bad.empty() || protocolOf(bad.data(), bad.size()) != Protocol::stun) continue;
      StunMessage m;
      const bool read = parseStun(bad.data(), bad.size(), m);
      if (world.feed(1, bad, now) != Drop::none || m.kind == StunClass::indication) continue;
      // The length apart, which stands for what is behind as well.
      const size_t end = m.integrityAt + 24;
      const auto covers = [&](const Bytes& b) { return b.size() >= end && std::equal(b.begin() + 4, b.begin() + static_cast<std::ptrdiff_t>(end), bad.begin() + 4); };
      if (!read || !(covers(valid) || covers(other))) broken("a changed check was accepted", bad);
    }
    counts.accepted++;
    if (world.feed(1, valid, now) != Drop::none) broken("a valid check was refused", valid);
    other = valid;
  }
}

void commandTarget(Random& random, uint64_t runs) {
  const TestSender sender(0xa1, 1, 0x1235);
  while (counts.mutated < runs) {
    World world(random.below(2) == 0 ? Media::audio : Media::video);
    std::vector<Bytes> seeds = worldCommands(3, Media::video);
    seeds.push_back(openCommand(4, Media::video));
    seeds.push_back(openBundledCommand(5, Media::audio, 1, 1));
    seeds.push_back(bundledParametersCommand(1, 96, "0"));
    seeds.push_back(setCommand(0x1237));
    seeds.push_back(CommandWriter(OPCODE_dropSet).u32(CONFERENCE).u16(0x1235).bytes);
    seeds.push_back(CommandWriter(OPCODE_closeChannel).u32(2).bytes);
    seeds.push_back(iceCommand(3));
    seeds.push_back(CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes);
    seeds.push_back(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block({0x80, RTCP_RR, 0, 1, 0, 0, 1, 0}).bytes);
    seeds.push_back(CommandWriter(OPCODE_sendDatagram).u32(1).address("127.0.0.1", 4001).u16(2).block({22, 1}).bytes);
    for (int i = 0; i < 400; i++) {
      Bytes command = seeds[random.below(seeds.size())];
      mutate(random, command, seeds[random.below(seeds.size())]);
      counts.mutated++;
      const bool done = world.h.apply(command.data(), command.size(), 0);
      if (!done && world.h.core().stateHash() != world.hash) broken("a refused command changed the state", command);
      world.settle();
      if (i % 8 == 0) {
        world.feed(1, sender.rtp(0, static_cast<uint16_t>(i), true, 20, 1), 0);
        world.h.core().tick(static_cast<uint64_t>(i) * NS_PER_S);
        world.settle();
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t runs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200000;
  Random random{(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1) * 0x9e3779b97f4a7c15u | 1};
  rtpTarget(random, runs * 3 / 10);
  fieldTarget(random, runs * 6 / 10);
  rtcpTarget(random, runs * 3 / 4);
  nackTarget(random, runs * 16 / 20);
  stunTarget(random, runs * 17 / 20);
  bundleTarget(random, runs * 18 / 20, counts);
  commandTarget(random, runs);
  hopTargets(random, runs, counts);
  std::printf("fuzz: ok: %llu mutated inputs, %llu valid ones between them\n", static_cast<unsigned long long>(counts.mutated),
              static_cast<unsigned long long>(counts.accepted));
  return 0;
}
