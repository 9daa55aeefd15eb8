// Datagrams video packets once more (RFC 4585 §6.2.1): to whom, when, how often, and that the memory has an end.
#include <map>

#include "world.h"

using namespace test;

namespace {

constexpr uint32_t SSRC = 0xa1;
constexpr uint64_t MS = NS_PER_MS;
using Datagrams = std::map<uint32_t, std::vector<Bytes>>;  // by receiver

struct Room {
  Harness h;
  TestSender sender{SSRC, 1, 0x1235};
  uint32_t index = 0;

  explicit Room(uint32_t channels = 3, Media media = Media::video) {
    for (const Bytes& c : worldCommands(channels, media)) apply(c);
  }
  void apply(const Bytes& command, bool accepted = true) { CHECK(h.apply(command.data(), command.size(), 0) == accepted); }
  Datagrams take() {
    Datagrams out;
    const Bytes& all = h.outputs();
    for (size_t at = 0; at < all.size();) {
      const size_t length = get16(&all[at + 4]);
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at + 6);
      out[get32(&all[at])].emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
      at += 6 + length;
    }
    h.clearOutputs();
    h.core().events().clear();
    return out;
  }
  // Channel 1 sends; the first packet of each call is a refresh point.
  Datagrams send(uint16_t first, uint16_t count, uint64_t now) {
    for (uint16_t i = 0; i < count; i++) {
      const Bytes p = sender.rtp(0, static_cast<uint16_t>(first + i), i == 0, 100u + i % 50, i == 0 ? 1 : 0);
      CHECK(h.feed(*h.core().channel(1), p.data(), p.size(), now) == Drop::none);
    }
    return take();
  }
  Datagrams nack(uint32_t id, const std::vector<NackEntry>& entries, uint64_t now, uint32_t media = SSRC) {
    const uint16_t profile = id == 2 ? PROFILE_AES128_GCM : PROFILE_AES128_CM_SHA1_80;
    const Bytes p = protectedControl(id, profile, nackCompound(media, entries), ++index);
    CHECK(h.feed(*h.core().channel(id), p.data(), p.size(), now) == Drop::none);
    return take();
  }
  uint64_t counter(uint32_t word) const { return (*h.counters())[word]; }
  uint64_t retransmitted() const { return counter(THREAD_COUNTER_retransmitted); }
  uint64_t unknown() const { return counter(THREAD_COUNTER_retransmitUnknown); }
  uint64_t limited() const { return counter(THREAD_COUNTER_retransmitLimited); }
};

bool nothing(const Datagrams& sent) { return sent.empty(); }

// As a drain does: the variant is made, kept and let go.
void keepOne(VariantPool& pool, KeptVariants& all, KeptStream& stream, KeptPacket packet) {
  packet.variant = pool.take();
  stream.keep(all, packet);
  pool.release(*packet.variant);
}

}  // namespace

TEST("retransmit", "a receiver gets the very bytes that it got, at its place and under its payload type, and nobody else") {
  Room room(4);
  room.apply(parametersCommand(2, 97));
  room.apply(parametersCommand(3, 98));
  room.apply(routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}, {1, 4, 2}}));
  room.apply(parametersCommand(4, 98));  // as 3, at another place
  Datagrams first = room.send(65530, 1, 0);
  const Datagrams rest = room.send(65531, 5, 0);
  for (const auto& r : rest) first[r.first].insert(first[r.first].end(), r.second.begin(), r.second.end());
  CHECK(first.size() == 3 && first[2].size() == 6 && first[2] != first[3] && first[3] != first[4]);
  uint64_t now = 30 * MS;
  for (const uint32_t id : {2u, 3u, 4u}) {
    // PID 65531, and the packets 1, 2 and 4 after it.
    const Datagrams again = room.nack(id, {{65531, 0b1011}}, now += MS);
    CHECK(again.size() == 1 && again.begin()->first == id);
    CHECK(again.begin()->second == std::vector<Bytes>({first[id][1], first[id][2], first[id][3], first[id][5]}));
  }
  CHECK(room.retransmitted() == 12 && room.unknown() == 0 && room.limited() == 0);
  CHECK(room.h.core().channel(3)->words[CHANNEL_COUNTER_retransmitted] == 4);
}

TEST("retransmit", "what is sent again is the same bytes though they are forgotten, and their memory used again, before the drain ends") {
  Room room;
  const Datagrams sent = room.send(1, 2, 0);
  Switch& core = room.h.core();
  Channel& asking = *core.channel(3);
  const Bytes request = protectedControl(3, PROFILE_AES128_CM_SHA1_80, nackCompound(SSRC, {{2, 0}}), 1);
  CHECK(core.receive(asking, request.data(), request.size(), asking.peer, (RELAY_RETRANSMIT_AGE_MS - 1) * MS) == Drop::none);
  core.tick(RELAY_RETRANSMIT_AGE_MS * MS);
  for (uint16_t i = 3; i < 9; i++) {
    const Bytes p = room.sender.rtp(0, i, false, 100, 0);
    CHECK(core.receive(*core.channel(1), p.data(), p.size(), core.channel(1)->peer, RELAY_RETRANSMIT_AGE_MS * MS) == Drop::none);
  }
  core.flush();
  CHECK(room.retransmitted() == 1 && room.take()[3][0] == sent.at(3)[1]);
}

TEST("retransmit", "the main thread is not troubled by a compound of reports and NACKs, and is by a PLI beside one") {
  Room room;
  room.send(1, 3, 0);
  Bytes compound = nackCompound(SSRC, {{2, 0}});
  const Bytes alone = protectedControl(3, PROFILE_AES128_CM_SHA1_80, compound, 1);
  CHECK(room.h.feed(*room.h.core().channel(3), alone.data(), alone.size(), MS) == Drop::none);
  CHECK(room.h.core().events().empty() && room.take()[3].size() == 1);
  const Bytes pli = CommandWriter(0x81).u8(RTCP_PSFB).u16(2).u32(0x100).u32(SSRC).bytes;
  compound.insert(compound.end(), pli.begin(), pli.end());
  const Bytes both = protectedControl(3, PROFILE_AES128_CM_SHA1_80, compound, 2);
  CHECK(room.h.feed(*room.h.core().channel(3), both.data(), both.size(), 50 * MS) == Drop::none);
  CHECK(!room.h.core().events().empty() && room.take()[3].size() == 1);
}

TEST("retransmit", "a packet is there for 500 ms and no longer") {
  Room room;
  const Datagrams sent = room.send(1, 2, 10 * MS);
  CHECK(room.nack(2, {{2, 0}}, (10 + RELAY_RETRANSMIT_AGE_MS) * MS - 1).at(2)[0] == sent.at(2)[1]);
  CHECK(nothing(room.nack(3, {{2, 0}}, (10 + RELAY_RETRANSMIT_AGE_MS) * MS)));
  CHECK(room.unknown() == 1);
}

TEST("retransmit", "a stream whose route has gone, has moved or came later gives nothing of what was not sent on it") {
  Room room;
  room.apply(routesCommand(Media::video, {{1, 2, 1}}));
  room.send(1, 3, 0);
  CHECK(nothing(room.nack(3, {{2, 0}}, 0)));  // never routed
  room.apply(routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}}));
  CHECK(nothing(room.nack(3, {{2, 0}}, 0)));  // routed, but it waits for a refresh point
  room.send(4, 2, 0);
  CHECK(nothing(room.nack(3, {{2, 0b1}}, 0)));  // from before its refresh point
  CHECK(room.unknown() == 4);
  CHECK(room.nack(3, {{4, 1}}, 0)[3].size() == 2);
  // The same plan again breaks nothing.
  room.apply(routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}}));
  CHECK(room.nack(2, {{1, 0b111}}, 0)[2].size() == 4);
  room.apply(routesCommand(Media::video, {{1, 2, 1}}));
  CHECK(nothing(room.nack(3, {{5, 0}}, 50 * MS)));
  // At another place now: what went to the old one is not repeated there, nor on the new one.
  room.apply(routesCommand(Media::video, {{1, 2, 2}}));
  room.send(6, 1, 50 * MS);
  CHECK(nothing(room.nack(2, {{5, 0}}, 90 * MS)));
  CHECK(room.nack(2, {{6, 0}}, 90 * MS)[2].size() == 1);
}

TEST("retransmit", "a display that changed over gives nothing more of what it showed before") {
  Room room;
  const TestSender other(0xb1, 2, 0x1235);
  room.apply(routesCommand(Media::video, {{1, 3, 1}}));
  room.send(1, 3, 0);
  room.apply(routesCommand(Media::video, {{2, 3, 1}}));
  CHECK(room.nack(3, {{2, 0}}, 0)[3].size() == 1);  // still shown, until the other has a refresh point
  const Bytes p = other.rtp(0, 70, true, 50, 1);
  CHECK(room.h.feed(*room.h.core().channel(2), p.data(), p.size(), 0) == Drop::none);
  CHECK(room.take()[3].size() == 1);
  CHECK(nothing(room.nack(3, {{3, 0}}, 0)));
  CHECK(room.nack(3, {{70, 0}}, 0, 0xb1)[3].size() == 1);
}

TEST("retransmit", "what a silent stream left behind is given back when its time is over") {
  Room room;
  room.send(1, 5, 0);
  const KeptStream& kept = *room.h.core().channel(1)->kept[0];
  room.h.core().tick(RELAY_RETRANSMIT_AGE_MS * MS - 1);
  CHECK(kept.count() == 5);
  room.h.core().tick(RELAY_RETRANSMIT_AGE_MS * MS);
  CHECK(kept.count() == 0);
}

TEST("retransmit", "what was held back from a receiver is not handed to it later") {
  Room room;
  room.send(1, 2, 0);
  Bytes unready = parametersCommand(2);
  unready[5] = PARAMETER_tip | PARAMETER_trailingByte;
  room.apply(unready);
  CHECK(room.send(3, 1, 0).count(2) == 0);
  CHECK(nothing(room.nack(2, {{2, 0}}, 0)));  // not ready now
  room.apply(parametersCommand(2));
  room.send(4, 1, 0);
  CHECK(nothing(room.nack(2, {{2, 1}}, 0)));  // 2 was sent, but before the break; 3 never was
  CHECK(room.nack(2, {{4, 0}}, 0)[2].size() == 1);
  // Another payload type from now on: what it got under the old one is not repeated under either.
  room.apply(parametersCommand(2, 97));
  room.send(5, 1, 0);
  CHECK(nothing(room.nack(2, {{4, 0}}, 50 * MS)));
  CHECK(room.nack(2, {{5, 0}}, 50 * MS)[2].size() == 1);
}

TEST("retransmit", "a receiver whose level fell, whose set is gone or replaced gets nothing") {
  Room room;
  room.send(1, 2, 0);
  Bytes low = parametersCommand(2);
  low[6] = LEVEL_hop_by_hop;
  room.apply(low);
  CHECK(nothing(room.nack(2, {{2, 0}}, 0)));
  CHECK(room.counter(THREAD_COUNTER_drops + static_cast<uint32_t>(Drop::below_level)) == 1);
  room.apply(CommandWriter(OPCODE_dropSet).u32(CONFERENCE).u16(0x1235).bytes);
  CHECK(nothing(room.nack(3, {{2, 0}}, 0)));
  room.apply(setCommand(0x1237));  // takes the place of the one that was dropped
  for (uint32_t id = 1; id <= 3; id++) room.apply(ackCommand(id, 0x1237));
  CHECK(nothing(room.nack(3, {{2, 0}}, 0)));
}

TEST("retransmit", "the same packet goes to the same receiver once in 20 ms") {
  Room room;
  room.send(1, 2, 0);
  CHECK(room.nack(2, {{2, 0}, {2, 0}}, 0)[2].size() == 1);
  CHECK(nothing(room.nack(2, {{2, 0}}, RELAY_RETRANSMIT_MIN_INTERVAL_MS * MS - 1)));
  CHECK(room.nack(3, {{2, 0}}, MS)[3].size() == 1);
  CHECK(room.nack(2, {{2, 0}}, RELAY_RETRANSMIT_MIN_INTERVAL_MS * MS)[2].size() == 1);
  CHECK(room.limited() == 2);
}

TEST("retransmit", "attack: a member that asks for everything at line rate gets no more than the cap, and others all of theirs") {
  Room room;
  room.send(1, 1000, 0);
  std::vector<NackEntry> everything(300);
  uint32_t next = 0;
  size_t sent = 0;
  constexpr uint64_t DURATION_MS = 400;
  for (uint64_t us = 0; us < DURATION_MS * 1000; us += 200) {
    // Another one first each time, or the 20 ms alone would stop it.
    for (NackEntry& e : everything) e = {static_cast<uint16_t>(1 + next++ * 17 % 980), 0xffff};
    next++;
    for (const auto& r : room.nack(2, everything, us * 1000)) {
      CHECK(r.first == 2);
      sent += r.second.size();
    }
  }
  const size_t cap = RELAY_RETRANSMIT_REQUEST_BURST + RELAY_RETRANSMIT_REQUESTS_PER_SECOND * DURATION_MS / 1000;
  CHECK(sent <= cap && sent > cap / 2);
  CHECK(room.limited() > 9'000'000);  // 2,000 NACKs of 300 times 17, but for those that were looked up
  CHECK(room.nack(3, {{500, 0xffff}}, DURATION_MS * MS)[3].size() == 17);
  // A second of silence is not saved up beyond the burst.
  room.send(1001, 400, 3000 * MS);
  for (uint16_t i = 0; i < 20; i++) everything[i] = {static_cast<uint16_t>(1001 + 17 * i), 0xffff};
  CHECK(room.nack(2, everything, 3000 * MS)[2].size() == RELAY_RETRANSMIT_REQUEST_BURST);
}

TEST("retransmit", "attack: NACKs for other SSRCs, one's own stream, another conference, audio, or cut short give nothing") {
  Room room;
  room.send(1, 3, 0);
  CHECK(nothing(room.nack(2, {{1, 3}}, 0, 0xb1)));
  CHECK(nothing(room.nack(1, {{1, 3}}, 0)));
  room.apply(openCommand(9, Media::video, -1, CONFERENCE + 1));
  room.apply(proveCommand(9, 4009));
  room.apply(keysCommand(9, PROFILE_AES128_CM_SHA1_80));
  room.apply(parametersCommand(9));
  CHECK(nothing(room.nack(9, {{1, 3}}, 0)));
  Bytes none = nackCompound(SSRC, {});
  const Bytes empty = protectedControl(2, PROFILE_AES128_GCM, none, ++room.index);
  CHECK(room.h.feed(*room.h.core().channel(2), empty.data(), empty.size(), 0) == Drop::none);
  // The padding of the last packet is no entry: here all four bytes of it are.
  Bytes padded = nackCompound(SSRC, {{2, 4}});
  padded[8] |= 0x20;
  const Bytes p = protectedControl(2, PROFILE_AES128_GCM, padded, ++room.index);
  CHECK(room.h.feed(*room.h.core().channel(2), p.data(), p.size(), 0) == Drop::none);
  // Other feedback of the same packet type (RFC 4585 §6.2: only format 1 is a NACK).
  Bytes other = nackCompound(SSRC, {{2, 0}});
  other[8] = 0x80 | 15;
  const Bytes o = protectedControl(2, PROFILE_AES128_GCM, other, ++room.index);
  CHECK(room.h.feed(*room.h.core().channel(2), o.data(), o.size(), 0) == Drop::none);
  CHECK(nothing(room.take()));
  CHECK(room.retransmitted() == 0);
  Room audio(3, Media::audio);
  audio.send(1, 3, 0);
  CHECK(nothing(audio.nack(2, {{1, 3}}, 0)));
}

TEST("retransmit", "attack: a forged, replayed or foreign NACK gives nothing") {
  Room room;
  room.send(1, 3, 0);
  const Bytes good = protectedControl(3, PROFILE_AES128_CM_SHA1_80, nackCompound(SSRC, {{2, 0}}), 1);
  Bytes forged = good;
  forged[20] ^= 1;
  const uint64_t before = room.h.core().stateHash();
  CHECK(room.h.feed(*room.h.core().channel(3), forged.data(), forged.size(), 0) == Drop::auth_failed);
  const Bytes clear = nackCompound(SSRC, {{2, 0}});
  CHECK(room.h.feed(*room.h.core().channel(3), clear.data(), clear.size(), 0) != Drop::none);
  // In clear, with an index that claims encryption and a tag that is none.
  const Bytes posed = CommandWriter(0).block(clear).u32(SRTCP_ENCRYPTED | 5).block(Bytes(10)).bytes;
  CHECK(room.h.feed(*room.h.core().channel(3), posed.data() + 1, posed.size() - 1, 0) == Drop::auth_failed);
  CHECK(room.h.feed(*room.h.core().channel(1), good.data(), good.size(), 0) == Drop::auth_failed);
  CHECK(room.h.core().stateHash() == before && nothing(room.take()));
  CHECK(room.h.feed(*room.h.core().channel(3), good.data(), good.size(), 0) == Drop::none);
  CHECK(room.take()[3].size() == 1);
  CHECK(room.h.feed(*room.h.core().channel(3), good.data(), good.size(), 50 * MS) == Drop::replayed);
  CHECK(nothing(room.take()));
}

TEST("retransmit", "a stream keeps so many packets and no more, the newest; what is closed gives its cells back") {
  VariantPool pool;
  KeptVariants all(pool);
  auto one = std::make_unique<KeptStream>(), two = std::make_unique<KeptStream>();
  const auto keep = [&](KeptStream& s, uint32_t n, uint64_t at, uint8_t sink = 1) {
    keepOne(pool, all, s, {n, at, nullptr, 1, static_cast<uint16_t>(n), 0, sink, 96});
  };
  const uint32_t size = RELAY_RETRANSMIT_PACKETS_PER_STREAM;
  for (uint32_t n = 1; n <= size + 10; n++) keep(*one, n, 0);
  CHECK(one->count() == size && all.count() == size && pool.inUse() == size);
  CHECK(one->find(10, 0) == nullptr && one->find(11, 0) != nullptr && one->find(static_cast<uint16_t>(size + 10), 0) != nullptr);
  CHECK(one->find(static_cast<uint16_t>(size + 11), 0) == nullptr);
  one->expire(all, RELAY_RETRANSMIT_AGE_MS * MS);
  CHECK(one->count() == 0 && pool.inUse() == 0 && one->find(11, 0) == nullptr);
  // Two variants of one packet.
  keep(*two, 5, 0, 1);
  keep(*two, 5, 0, 2);
  keep(*two, 6, 0, 1);
  const KeptPacket* p = two->find(5, 0);
  CHECK(p != nullptr && p->sink == 1 && two->next(p) != nullptr && two->next(p)->sink == 2);
  CHECK(two->next(two->next(p)) == nullptr && two->next(two->find(6, 0)) == nullptr);
  two->clear(all);
  CHECK(pool.inUse() == 0 && two->find(5, 0) == nullptr);
}

TEST("retransmit", "a thread keeps so many packets: a stream then gives up its own oldest, never another's") {
  VariantPool pool;
  KeptVariants all(pool);
  std::vector<std::unique_ptr<KeptStream>> streams;
  const uint32_t each = RELAY_RETRANSMIT_PACKETS_PER_STREAM;
  const uint32_t full = RELAY_RETRANSMIT_PACKETS_PER_THREAD / each;
  for (uint32_t s = 0; s < full + 1; s++) streams.push_back(std::make_unique<KeptStream>());
  const auto keep = [&](uint32_t s, uint32_t n) {
    keepOne(pool, all, *streams[s], {n, 0, nullptr, 1, static_cast<uint16_t>(n), 0, 1, 96});
  };
  for (uint32_t s = 0; s < full; s++) {
    for (uint32_t n = 1; n <= each - (s == 0 ? 1u : 0u); n++) keep(s, n);
  }
  keep(full, 1);
  CHECK(pool.inUse() == RELAY_RETRANSMIT_PACKETS_PER_THREAD && streams[full]->count() == 1);
  keep(full, 2);
  CHECK(streams[full]->count() == 1 && streams[full]->find(2, 0) != nullptr && streams[full]->find(1, 0) == nullptr);
  streams[full]->clear(all);
  keep(0, each);
  keep(full, 3);  // no cell, and nothing of its own
  CHECK(streams[full]->count() == 0 && streams[full]->find(3, 0) == nullptr);
  for (uint32_t s = 0; s < full; s++) CHECK(streams[s]->count() == each);
}

TEST("retransmit", "a channel that closes gives back its cells, and a closed source gives nothing") {
  Room room;
  for (int round = 0; round < 40; round++) {
    room.send(1, 1000, 0);
    room.apply(CommandWriter(OPCODE_closeChannel).u32(1).bytes);
    CHECK(nothing(room.nack(2, {{5, 0}}, 0)));
    for (const Bytes& c : {openCommand(1, Media::video), proveCommand(1, 4001), keysCommand(1, 1), parametersCommand(1),
                           ackCommand(1, 0x1235)}) {
      room.apply(c);
    }
    room.apply(routesCommand(Media::video, {{1, 2, 1}, {1, 3, 1}}));
  }
  // 40,000 were kept, more than the thread has cells: the last ones are there.
  room.send(1, 20, 600 * MS);
  CHECK(room.nack(2, {{5, 0}}, 600 * MS)[2].size() == 1);
}
