// A conference on several threads, step by step: what is handed over, what is refused, and who may close what when. The
// cores take turns here; threads_spread_test.cc lets them run.
#include "spread.h"

using namespace test;

namespace {

const TestSender& sender() {
  static const TestSender one(0xa1, 1, 0x1235);
  return one;
}

std::vector<uint16_t> sequences(const std::vector<Bytes>& packets) {
  std::vector<uint16_t> out;
  for (const Bytes& p : packets) out.push_back(get16(&p[2]));
  return out;
}

std::vector<uint16_t> upTo(uint16_t last) {
  std::vector<uint16_t> out;
  for (uint16_t i = 1; i <= last; i++) out.push_back(i);
  return out;
}

}  // namespace

TEST("spread", "one tag for receivers on three threads, the same bytes for all of them, in order, whoever's socket it came by") {
  for (const size_t source : {size_t{0}, size_t{2}}) {
    Spread s(3, {source, 0, 1, 1, 2});
    for (uint16_t i = 1; i <= 50; i++) {
      s.arrive(1, sender().rtp(0, i, i % 3 == 1, 60u + i, 9));
      if (i % 7 == 0) s.settle();
    }
    s.settle();
    CHECK(sequences(s.got(2)) == upTo(50));
    for (const uint32_t id : {3u, 4u, 5u}) CHECK(s.got(id) == s.got(2));
    CHECK(s.got(1).empty());
    CHECK(s.counter(0, THREAD_COUNTER_variants) == 50 && s.counter(0, THREAD_COUNTER_handedOver) == 150);
    CHECK(s.counter(0, THREAD_COUNTER_ingress) == 50 && s.counter(1, THREAD_COUNTER_ingress) == 0);
    CHECK(s.counter(0, THREAD_COUNTER_egress) == 50 && s.counter(1, THREAD_COUNTER_egress) == 100);
    CHECK(s.cores[1]->outlet(3)->words[CHANNEL_COUNTER_packetsOut] == 50);
  }
}

TEST("spread", "a variant is not written over while another thread still has it to send") {
  Spread s(2, {0, 0, 1});
  // Several drains full, and not one turn of the other thread.
  constexpr uint16_t PACKETS = RELAY_VARIANT_ARENA_PACKETS * 3;
  for (uint16_t i = 1; i <= PACKETS; i++) s.arrive(1, sender().rtp(0, i, i % 3 == 1, 50, 9));
  CHECK(s.got(3).empty() && s.got(2).size() == PACKETS);
  s.settle();
  CHECK(s.got(3) == s.got(2) && s.drops(0, Drop::queue_full) == 0);
  s.turn(0);
  CHECK(s.cellsInUse() == 0);
}

TEST("spread", "no more variants than so many are lent: counted, the home's own receivers go on, and it recovers") {
  Spread s(2, {0, 0, 1});
  constexpr uint32_t PACKETS = RELAY_LENT_VARIANTS + 700;
  for (uint32_t i = 1; i <= PACKETS; i++) s.arrive(1, sender().rtp(0, static_cast<uint16_t>(i), i % 3 == 1, 20, 9));
  CHECK(s.got(2).size() == PACKETS && s.cellsInUse() == RELAY_LENT_VARIANTS);
  CHECK(s.drops(0, Drop::queue_full) == 700 && s.counter(0, THREAD_COUNTER_handedOver) == RELAY_LENT_VARIANTS);
  CHECK(s.cores[0]->outlet(3)->words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(Drop::queue_full)] == 700);
  s.settle();
  CHECK(s.got(3) == std::vector<Bytes>(s.got(2).begin(), s.got(2).begin() + RELAY_LENT_VARIANTS));
  s.turn(0);
  CHECK(s.cellsInUse() == 0);
  s.arrive(1, sender().rtp(0, static_cast<uint16_t>(PACKETS + 1), true, 20, 9));
  s.settle();
  CHECK(s.got(3).back() == s.got(2).back() && s.got(3).size() == RELAY_LENT_VARIANTS + 1);
}

TEST("spread", "a full ring: video leaves the last quarter to audio, what is refused is counted, and it recovers") {
  constexpr uint32_t RECEIVERS = 100;
  for (const Media media : {Media::video, Media::audio}) {
    std::vector<size_t> sockets(1 + RECEIVERS, 1);
    sockets[0] = 0;
    Spread s(2, sockets, media);
    std::vector<TestEdge> edges;
    for (uint32_t to = 2; to <= RECEIVERS + 1; to++) edges.push_back({1, to, 1});
    s.apply(0, routesCommand(media, edges));
    constexpr uint16_t PACKETS = RELAY_HANDOVER_PACKETS / RECEIVERS + 50;
    for (uint16_t i = 1; i <= PACKETS; i++) s.arrive(1, sender().rtp(0, i, i % 3 == 1, 20, 1));
    const uint64_t handed = s.counter(0, THREAD_COUNTER_handedOver);
    CHECK(handed + s.drops(0, Drop::queue_full) == uint64_t{PACKETS} * RECEIVERS);
    const uint64_t places = media == Media::video ? RELAY_HANDOVER_PACKETS / 4 * 3 : RELAY_HANDOVER_PACKETS;
    CHECK(handed == places);
    s.settle();
    CHECK(s.counter(1, THREAD_COUNTER_egress) == handed);
    s.arrive(1, sender().rtp(0, PACKETS + 1, true, 20, 1));
    s.settle();
    CHECK(s.counter(1, THREAD_COUNTER_egress) == handed + RECEIVERS);
  }
}

TEST("spread", "attack: a channel that floods its socket takes no more of the ring than its share") {
  Spread s(2, {1, 1, 0});
  for (uint32_t i = 0; i < 5000; i++) s.arrive(1, Bytes(300, 0x80));
  const TestSender other(0xb1, 2, 0x1235);
  s.arrive(2, other.rtp(0, 1, true, 20, 9));
  s.settle();
  CHECK(s.got(3).size() == 1);
  const uint64_t refused = 5000 - RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL;
  CHECK(s.drops(1, Drop::queue_full) == refused);
  CHECK(s.cores[1]->outlet(1)->words[CHANNEL_COUNTER_packetsIn] == refused);
  CHECK(s.counter(0, THREAD_COUNTER_ingress) + s.counter(1, THREAD_COUNTER_ingress) == 5001);
  // What was taken makes room again.
  s.arrive(1, sender().rtp(0, 1, true, 20, 9));
  s.settle();
  CHECK(s.got(3).size() == 2);
}

TEST("spread", "many channels fill the ring of datagrams: counted, and it recovers") {
  constexpr uint32_t CHANNELS = RELAY_HANDOVER_DATAGRAMS / RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL + 2;
  Spread s(2, std::vector<size_t>(CHANNELS, 1));
  for (uint32_t id = 1; id <= CHANNELS; id++) {
    for (uint32_t i = 0; i < RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL; i++) s.arrive(id, Bytes(300, 0x80));
  }
  CHECK(s.drops(1, Drop::queue_full) == CHANNELS * RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL - RELAY_HANDOVER_DATAGRAMS);
  s.settle();
  s.arrive(CHANNELS, sender().rtp(0, 1, true, 20, 9));
  s.settle();
  CHECK(s.got(1).size() == 1 && s.counter(0, THREAD_COUNTER_verified) == 1);
}

TEST("spread", "a receiver that closed while something is on its way to it: on either thread first, its slot taken by another") {
  for (const bool branchFirst : {true, false}) {
    Spread s(2, {0, 1, 1});
    s.arrive(1, sender().rtp(0, 1, true, 20, 9));
    s.apply(branchFirst ? 1 : 0, closeCommand(2));
    s.arrive(1, sender().rtp(0, 2, true, 20, 9));
    s.apply(branchFirst ? 0 : 1, closeCommand(2));
    // Another channel in its slot is not given what was meant for it.
    Bytes open = openBranchCommand(9, Media::audio);
    put32(&open[11], 2);
    s.apply(1, open);
    s.apply(1, setBranchCommand(9, true));
    s.settle();
    CHECK(s.got(2).empty() && s.transports[1].got.count(9) == 0);
    CHECK(s.got(3).size() == 2);
  }
}

TEST("spread", "a source that closed while something of it is on its way") {
  Spread s(2, {1, 0, 1});
  s.arrive(1, sender().rtp(0, 1, true, 20, 9));
  s.apply(1, closeCommand(1));
  s.settle();  // the home has not heard of it yet
  CHECK(s.got(2).size() == 1 && s.got(3).size() == 1);
  s.apply(0, closeCommand(1));
  const uint32_t next = s.open(1);
  s.routeAll();
  s.arrive(next, TestSender(0xb1, 2, 0x1235).rtp(0, 1, true, 20, 9));
  s.apply(0, closeCommand(next));
  Bytes inItsSlot = openCommand(9, Media::audio);
  put32(&inItsSlot[15], next);
  s.apply(0, inItsSlot);
  s.settle();  // the home has closed it and given its slot to another, the branch has not
  CHECK(s.got(2).size() == 1 && s.counter(0, THREAD_COUNTER_verified) == 1);
  CHECK(s.cores[0]->outlet(9)->slot == next && s.cores[0]->outlet(9)->words[CHANNEL_COUNTER_packetsIn] == 0);
}

TEST("spread", "a conference that closes takes its branches along; what was on its way is given back") {
  Spread s(3, {0, 1, 2});
  for (uint16_t i = 1; i <= 3; i++) s.arrive(1, sender().rtp(0, i, true, 20, 9));
  for (const size_t thread : {2, 0, 1}) s.apply(thread, CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes);
  s.settle();
  CHECK(s.got(2).empty() && s.got(3).empty());
  s.turn(0);
  CHECK(s.cellsInUse() == 0);
  CHECK(s.cores[1]->outlet(2) == nullptr && s.cores[2]->outlet(3) == nullptr && s.cores[0]->outlet(1) == nullptr);
}

TEST("spread", "what may not leave any more does not, though it is on its way; control goes whatever the level") {
  Spread s(2, {0, 1, 1});
  s.arrive(1, sender().rtp(0, 1, true, 20, 9));
  s.apply(1, setBranchCommand(2, false));
  s.apply(1, setBranchCommand(3, true, LEVEL_hop_by_hop));
  s.settle();
  CHECK(s.got(2).empty() && s.drops(1, Drop::not_ready) == 1);
  CHECK(s.got(3).empty() && s.drops(1, Drop::below_level) == 1);
  const Bytes compound = CommandWriter(0x80).u8(RTCP_RR).u16(1).u32(0x100).bytes;
  s.apply(0, CommandWriter(OPCODE_sendControl).u32(2).u16(static_cast<uint32_t>(compound.size())).block(compound).bytes);
  s.settle();
  CHECK(s.got(2).size() == 1 && s.got(2)[0].size() > compound.size() && s.got(2)[0][1] == RTCP_RR);
  // The conference asks for less now: told to its branch as well.
  s.apply(1, CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_hop_by_hop).bytes);
  s.arrive(1, sender().rtp(0, 2, true, 20, 9));
  s.settle();
  CHECK(sequences(s.got(3)) == std::vector<uint16_t>{2});
}

TEST("spread", "what waits for room in a receiver's socket is the branch's: kept in order, and sent when there is room") {
  Spread s(2, {0, 1});
  s.transports[1].takes = false;
  for (uint16_t i = 1; i <= 20; i++) s.arrive(1, sender().rtp(0, i, true, 20, 9));
  s.settle();
  s.transports[1].takes = true;
  for (uint16_t i = 21; i <= 30; i++) s.arrive(1, sender().rtp(0, i, true, 20, 9));
  s.settle();
  CHECK(s.got(2).empty());
  s.cores[1]->writable(*s.cores[1]->outlet(2));
  CHECK(sequences(s.got(2)) == upTo(30));
}

TEST("spread", "a receiver on another thread that lost a packet gets the identical bytes again") {
  Spread s(2, {1, 1, 0}, Media::video);
  for (uint16_t i = 1; i <= 20; i++) s.arrive(1, sender().rtp(0, i, i == 1, 100u + i, i == 1 ? 1 : 0));
  s.settle();
  const std::vector<Bytes> sent = s.got(2);
  CHECK(sent.size() == 20 && s.got(3) == sent);
  s.arrive(2, protectedControl(2, PROFILE_AES128_CM_SHA1_80, nackCompound(0xa1, {{5, 0b101}}), 1));
  s.settle();
  CHECK(s.got(2).size() == 23);
  const std::vector<Bytes> again(s.got(2).begin() + static_cast<std::ptrdiff_t>(sent.size()), s.got(2).end());
  CHECK(again == std::vector<Bytes>({sent[4], sent[5], sent[7]}));
  CHECK(s.got(3).size() == 20 && s.counter(0, THREAD_COUNTER_retransmitted) == 3);
}

TEST("spread", "a PLI that came by another thread's socket reaches the main thread from the home, once") {
  Spread s(2, {1, 0}, Media::video);
  s.arrive(1, controlPacket(1, PROFILE_AES128_CM_SHA1_80, 0x100, 1));
  s.settle();
  CHECK(s.cores[1]->events().empty());
  const Bytes& events = s.cores[0]->events().bytes();
  CHECK(events.size() > 5 && events[0] == EVENT_control && get32(&events[1]) == 1);
}

TEST("spread", "commands that name no other thread, a slot that is taken or a channel that is open are refused") {
  Spread s(2, {0, 1});
  Bytes self = openAwayCommand(8, Media::audio, 0);
  s.apply(0, self, false);
  s.apply(0, openAwayCommand(8, Media::audio, 2), false);
  s.apply(0, openAwayCommand(2, Media::audio, 1), false);
  s.apply(1, openBranchCommand(2, Media::audio), false);
  Bytes taken = openBranchCommand(8, Media::audio);
  put32(&taken[11], 2);
  s.apply(1, taken, false);
  Bytes far = openBranchCommand(8, Media::audio);
  put16(&far[19], 5);
  s.apply(1, far, false);
  s.apply(1, setBranchCommand(1, true), false);
  s.apply(0, setBranchCommand(1, true), false);
  Bytes high = setBranchCommand(2, true);
  high[5] = LEVEL_end_to_end + 1;
  s.apply(1, high, false);
  // DTLS leaves by the thread with the socket only.
  const Bytes hello = {22, 254, 253};
  const Bytes send = CommandWriter(OPCODE_sendDatagram).u32(2).address("127.0.0.1", 4002).u16(3).block(hello).bytes;
  s.apply(0, send, false);
  s.apply(1, send);
  CHECK(s.got(2) == std::vector<Bytes>{hello});
  // A core without others has no branches.
  Harness alone;
  const Bytes branch = openBranchCommand(8, Media::audio), away = openAwayCommand(8, Media::audio, 1);
  CHECK(!alone.apply(branch.data(), branch.size(), 0) && !alone.apply(away.data(), away.size(), 0));
}
