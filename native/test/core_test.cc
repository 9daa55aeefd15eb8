#include <map>
#include <set>

#include "world.h"

using namespace test;

TEST("core", "the replay window agrees with a list of all that was seen") {
  uint64_t random = 88172645463325252u;
  const auto next = [&random] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  };
  ReplayWindow window;
  std::set<uint64_t> seen;
  uint64_t highest = 5000;
  for (int i = 0; i < 200000; i++) {
    const uint64_t jump = next() % 100;
    const uint64_t index = jump < 2 ? highest + next() % 3000 : highest + 3 - next() % (jump < 50 ? 8 : 1100);
    const Drop drop = window.check(index);
    const bool old = !seen.empty() && index + REPLAY_WINDOW_PACKETS <= *seen.rbegin();
    CHECK(drop == (old ? Drop::too_old : seen.count(index) != 0 ? Drop::replayed : Drop::none));
    if (drop != Drop::none || next() % 3 == 0) continue;
    window.accept(index);
    seen.insert(index);
    highest = *seen.rbegin();
  }
}

TEST("core", "long drains: no variant is sent to the wrong receiver when arena and queues turn over") {
  constexpr uint32_t RECEIVERS = 45;
  Harness h;
  for (const Bytes& c : worldCommands(RECEIVERS + 1, Media::audio)) CHECK(h.apply(c.data(), c.size(), 0));
  std::vector<TestEdge> edges;
  for (uint32_t id = 2; id <= RECEIVERS + 1; id++) {
    const Bytes c = parametersCommand(id, static_cast<uint8_t>(60 + id));
    CHECK(h.apply(c.data(), c.size(), 0));
    edges.push_back({1, id, static_cast<uint8_t>(1 + id % 3)});
  }
  const Bytes routes = routesCommand(Media::audio, edges);
  CHECK(h.apply(routes.data(), routes.size(), 0));
  const TestSender sender(0xa1, 1, 0x1235);
  Channel& from = *h.core().channel(1);
  constexpr uint16_t PACKETS = 100;
  for (uint16_t sequence = 1; sequence <= PACKETS; sequence++) {
    Bytes packet = sender.rtp(0, sequence, sequence % 3 == 1, 30 + sequence, 5);
    CHECK(h.core().receive(from, packet.data(), packet.size(), from.peer, 0) == Drop::none);
  }
  h.core().flush();
  std::map<uint32_t, uint16_t> last;
  size_t count = 0;
  const Bytes& out = h.outputs();
  for (size_t at = 0; at < out.size(); count++) {
    const uint32_t id = get32(&out[at]);
    const size_t length = get16(&out[at + 4]);
    const uint8_t* p = &out[at + 6];
    at += 6 + length;
    RtpView rtp;
    TagView tag;
    uint8_t base[BASE_TAG_BYTES];
    CHECK(parseRtp(p, length, rtp) && parseTag(p, length, rtp.headerLength, tag));
    CHECK(rtp.payloadType == 60 + id && rtp.sink == 1 + id % 3 && rtp.source == 1);
    CHECK(rtp.sequence == last[id] + 1);  // nothing is lost, doubled or out of order
    last[id] = rtp.sequence;
    CHECK(length == 16 + 30u + rtp.sequence + tag.length);
    CHECK(same(p + 16, pattern(rtp.sequence, 30u + rtp.sequence)));
    srtpBaseTag(sender.keys.srtp, p, tag.authenticated, tag.wrapped, 0, base);
    CHECK(equalSecret(base, p + tag.authenticated, BASE_TAG_BYTES));
  }
  CHECK(count == size_t{PACKETS} * RECEIVERS);
}

namespace {

struct Refusing final : Transport {
  bool send(Outlet&, const uint8_t*, size_t) override { return false; }
  void sendTo(Outlet&, const Address&, const uint8_t*, size_t) override {}
  bool opened(Outlet&) override { return accept; }
  void connect(Outlet&, const Address&) override {}
  void close(Outlet&) override { closed++; }
  void discard(int socket) override { discarded = socket; }
  bool accept = true;
  int closed = 0;
  int discarded = -1;
};

}  // namespace

TEST("core", "what nobody takes is counted for the receiver") {
  Refusing transport;
  std::vector<uint64_t> words(THREAD_REGION_WORDS);
  Switch core(transport, words.data());
  for (const Bytes& c : worldCommands(3, Media::audio)) CHECK(core.apply(c.data(), c.size(), 0));
  Bytes packet = TestSender(0xa1, 1, 0x1235).rtp(0, 1, true, 10, 0);
  Channel& from = *core.channel(1);
  CHECK(core.receive(from, packet.data(), packet.size(), from.peer, 0) == Drop::none);
  core.flush();
  CHECK(words[THREAD_COUNTER_egress] == 0);
  CHECK(words[THREAD_COUNTER_drops + static_cast<uint32_t>(Drop::unreachable)] == 2);
  CHECK(core.channel(2)->words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(Drop::unreachable)] == 1);
}

TEST("core", "every descriptor that came with a command is closed, also that of a refused one") {
  Refusing transport;
  std::vector<uint64_t> words(THREAD_REGION_WORDS);
  {
    Switch core(transport, words.data());
    const Bytes open = openCommand(1, Media::audio, 41);
    CHECK(core.apply(open.data(), open.size(), 0));
    CHECK(transport.discarded == -1);
    const Bytes again = openCommand(1, Media::audio, 42);
    CHECK(!core.apply(again.data(), again.size(), 0));
    CHECK(transport.discarded == 42);
    transport.accept = false;
    const Bytes other = openCommand(2, Media::audio, 43);
    CHECK(!core.apply(other.data(), other.size(), 0));
    CHECK(transport.discarded == 43);
    CHECK(core.channel(2) == nullptr);
  }
  CHECK(transport.closed == 1);
}

TEST("core", "a channel that closes with packets in its queue, and a conference that closes") {
  Harness h;
  for (const Bytes& c : worldCommands(3, Media::video)) CHECK(h.apply(c.data(), c.size(), 0));
  Bytes packet = TestSender(0xa1, 1, 0x1235).rtp(0, 1, true, 10, 1);
  Channel& from = *h.core().channel(1);
  CHECK(h.core().receive(from, packet.data(), packet.size(), from.peer, 0) == Drop::none);
  const Bytes close = CommandWriter(OPCODE_closeChannel).u32(2).bytes;
  CHECK(h.core().apply(close.data(), close.size(), 0));
  h.core().flush();
  CHECK(get32(h.outputs().data()) == 3 && h.outputs().size() == 6 + packet.size() - 1);
  const Bytes end = CommandWriter(OPCODE_closeConference).u32(CONFERENCE).bytes;
  CHECK(h.apply(end.data(), end.size(), 0));
  CHECK(!h.apply(end.data(), end.size(), 0));
  CHECK(h.core().channel(1) == nullptr && h.core().channel(3) == nullptr);
}

TEST("core", "a flood of DTLS takes half of the event queue and leaves the rest to what matters") {
  Harness h;
  for (const Bytes& c : worldCommands(2, Media::audio)) CHECK(h.apply(c.data(), c.size(), 0));
  Channel& from = *h.core().channel(1);
  Bytes hello(1400, 22);
  uint64_t lost = 0;
  for (uint64_t second = 0; second < 12; second++) {
    for (uint32_t i = 0; i < RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND; i++) {
      lost += h.feed(from, hello.data(), hello.size(), second * NS_PER_S) == Drop::queue_full ? 1 : 0;
    }
  }
  CHECK(lost > 0);
  const size_t size = h.core().events().bytes().size();
  CHECK(size <= RELAY_EVENT_QUEUE_BYTES / 2);
  const Bytes packet = TestSender(0xa1, 1, 0x1235).rtp(0, 1, true, 10, 0);
  CHECK(h.feed(from, packet.data(), packet.size(), 0) == Drop::none);
  CHECK(h.core().events().bytes().size() == size + 10);
  // Control RTCP that finds no room is not forgotten: the same packet is welcome once there is.
  const Bytes control = controlPacket(1, PROFILE_AES128_CM_SHA1_80, 0x100, 1);
  while (h.core().events().dtls(1, from.peer, hello.data(), 1)) continue;
  CHECK(h.feed(from, control.data(), control.size(), 0) == Drop::queue_full);
  h.core().events().clear();
  CHECK(h.feed(from, control.data(), control.size(), 0) == Drop::none);
  CHECK(h.feed(from, control.data(), control.size(), 0) == Drop::replayed);
}

TEST("core", "addresses: literals only, IPv4 and IPv6, there and back") {
  Address a;
  for (const char* literal : {"192.0.2.1", "2001:db8::1", "::1"}) {
    CHECK(parseAddress(literal, 5, a) && formatAddress(a) == literal);
    sockaddr_storage s;
    socklen_t length = 0;
    CHECK(toSockaddr(a, AF_INET6, s, length) && fromSockaddr(s) == a);
    CHECK(toSockaddr(a, AF_INET, s, length) == a.isIpv4());
  }
  for (const char* bad : {"", "localhost", "1.2.3", "1.2.3.4.5", "::g"}) CHECK(!parseAddress(bad, 5, a));
}
