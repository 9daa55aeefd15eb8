// An egress over a transport that does as a script says.
#pragma once
#include <deque>
#include <map>

#include "egress.h"
#include "world.h"

namespace test {

struct Random {
  uint64_t state = 88172645463325252u;
  uint64_t below(uint64_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
  }
};

struct Step {
  size_t runs;  // taken before...
  Sent then;
};

// Takes everything but for the steps of the script, one a call.
struct Scripted final : Transport {
  std::deque<Step> script;
  std::map<const Outlet*, std::vector<Bytes>> got;
  std::vector<uint32_t> runSizes;  // as asked for, of the calls since the last clear
  std::map<const Outlet*, bool> awaiting;
  int calls = 0;

  Sent sendRuns(Outlet& to, const Run* runs, size_t count, size_t& taken) override {
    calls++;
    for (size_t i = 0; i < count; i++) runSizes.push_back(runs[i].count);
    Step step{count, Sent::all};
    if (!script.empty()) {
      step = script.front();
      script.pop_front();
    }
    taken = step.runs < count ? step.runs : count;
    for (size_t i = 0; i < taken; i++) {
      for (uint32_t k = 0; k < runs[i].count; k++) {
        const auto* p = static_cast<const uint8_t*>(runs[i].packets[k].iov_base);
        got[&to].emplace_back(p, p + runs[i].packets[k].iov_len);
      }
    }
    return taken == count ? Sent::all : step.then;
  }
  void awaitRoom(Outlet& channel, bool wanted) override { awaiting[&channel] = wanted; }
  bool send(Outlet&, const uint8_t*, size_t) override { return false; }
  void sendTo(Outlet&, const Address&, const uint8_t*, size_t) override {}
  bool opened(Outlet&) override { return true; }
  void connect(Outlet&, const Address&) override {}
  void close(Outlet&) override {}
  void discard(int) override {}
};

// An egress with receivers of its own, and what each of them was promised.
struct Sending {
  Scripted transport;
  std::vector<uint64_t> words = std::vector<uint64_t>(THREAD_REGION_WORDS);
  Counters counters{words.data()};
  VariantPool pool;
  Egress egress{transport, counters, pool};
  std::vector<std::unique_ptr<Channel>> receivers;
  std::map<const Outlet*, std::vector<Bytes>> queued;

  Channel& receiver(Media media) {
    receivers.push_back(std::make_unique<Channel>());
    Channel& c = *receivers.back();
    c.media = media;
    c.words = counters.slot(static_cast<uint32_t>(receivers.size() - 1));
    return c;
  }
  Variant* variant(const Bytes& bytes) {
    Variant* v = egress.make();
    v->length = static_cast<uint16_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), v->bytes);
    return v;
  }
  void queue(Channel& to, const Bytes& bytes) {
    queued[&to].push_back(bytes);
    egress.queue(to, variant(bytes));
  }
  // What was got is what was queued, in order; nothing else.
  bool whole(Channel& c) { return transport.got[&c] == queued[&c]; }
  // In order, but not all of it.
  bool partOf(Channel& c) {
    size_t at = 0;
    for (const Bytes& b : queued[&c]) at += at < transport.got[&c].size() && transport.got[&c][at] == b ? 1 : 0;
    return at == transport.got[&c].size();
  }
  uint64_t drops(Drop drop) const { return words[THREAD_COUNTER_drops + static_cast<uint32_t>(drop)]; }
  uint64_t drops(const Channel& c, Drop drop) const {
    return c.words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop)];
  }
};

// An RTP packet of a frame.
inline Bytes rtp(uint16_t sequence, uint32_t timestamp, size_t length, uint32_t ssrc = 0xa1) {
  Bytes out = CommandWriter(0x80).u8(96).u16(sequence).u32(timestamp).u32(ssrc).bytes;
  const Bytes rest = pattern(sequence, length - out.size());
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}
inline Bytes report(uint32_t ssrc) { return CommandWriter(0x80).u8(RTCP_SR).u16(6).u32(ssrc).block(pattern(1, 20)).bytes; }

// A conference over such a transport; channel 1 sends.
struct Room {
  Scripted transport;
  std::vector<uint64_t> words = std::vector<uint64_t>(THREAD_REGION_WORDS);
  Switch core{transport, words.data()};
  TestSender sender{0xa1, 1, 0x1235};

  explicit Room(uint32_t members, Media media = Media::audio) {
    for (const Bytes& c : worldCommands(members, media)) CHECK(core.apply(c.data(), c.size(), 0));
  }
  Drop feed(Bytes packet, uint64_t now = 0) {
    const Drop drop = core.receive(*core.channel(1), packet.data(), packet.size(), core.channel(1)->peer, now);
    core.flush();
    return drop;
  }
  Bytes next() { return sender.rtp(0, ++sequence, true, 10, 0); }
  uint64_t drops(uint32_t id, Drop drop) {
    return core.channel(id)->words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop)];
  }
  uint16_t sequence = 0;
};

}  // namespace test
