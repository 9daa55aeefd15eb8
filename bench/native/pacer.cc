#include "pacer.h"

#include <sys/prctl.h>

#include <algorithm>
#include <utility>

#include "clock.h"

namespace claviger::bench {
namespace {

constexpr uint64_t NS = 1'000'000'000;
// Sleeping wakes a little late: the rest is waited for awake.
constexpr uint64_t AWAKE_NS = 60'000;
constexpr timespec POLL_PAUSE = {0, 20'000};
// Where nothing should be lost, nothing more comes when nothing came for so long.
constexpr uint64_t LONG_SILENCE_NS = 1'000'000'000;
constexpr size_t SEQUENCES = 65'536;
constexpr size_t PROBES = 3;

uint32_t read32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}
uint16_t sequenceOf(const uint8_t* packet) { return static_cast<uint16_t>(packet[2] << 8 | packet[3]); }
uint32_t ssrcOf(const uint8_t* packet) { return read32(packet + 8); }

void sleepUntil(uint64_t ns) {
  const timespec t = {static_cast<time_t>(ns / NS), static_cast<long>(ns % NS)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

// When each packet left, by SSRC and sequence number; they do not change on the way.
class Departures {
 public:
  explicit Departures(const Course& course) {
    const Load& load = *course.load;
    for (const auto& stream : load.streams) ssrcs_.push_back(ssrcOf(stream.data()));
    left_.assign(ssrcs_.size() * SEQUENCES, 0);
  }
  void leaves(const uint8_t* packet, uint64_t ns) {
    if (uint64_t* at = find(packet)) *at = ns;
  }
  // 0: not known, or taken before.
  uint64_t take(const uint8_t* packet) {
    uint64_t* at = find(packet);
    return at == nullptr ? 0 : std::exchange(*at, 0);
  }

 private:
  uint64_t* find(const uint8_t* packet) {
    const auto it = std::find(ssrcs_.begin(), ssrcs_.end(), ssrcOf(packet));
    if (it == ssrcs_.end()) return nullptr;
    return &left_[static_cast<size_t>(it - ssrcs_.begin()) * SEQUENCES + sequenceOf(packet)];
  }
  std::vector<uint32_t> ssrcs_;
  std::vector<uint64_t> left_;
};

}  // namespace

Paced pace(Ground& ground, const Course& course, double packetsPerSecond, uint32_t silenceMs) {
  const uint64_t silenceNs = uint64_t{silenceMs} * 1'000'000;
  Paced out;
  if (!ground.aim(course)) return out;
  prctl(PR_SET_TIMERSLACK, 1);  // of this thread of the pool: its sleeps end when they should
  Departures departures(course);
  out.latenciesUs.reserve(ground.timed() ? course.count : 0);
  const auto read = [&] {
    ground.readLast([&](const uint8_t* head, size_t length, uint64_t arrivedNs) {
      const uint64_t left = length >= 12 ? departures.take(head) : 0;
      if (left != 0) out.latenciesUs.push_back((static_cast<double>(arrivedNs) - static_cast<double>(left)) / 1000);
    });
  };
  const uint32_t allBefore = ground.arrivals();
  const uint32_t lastBefore = ground.lastArrivals();
  const uint64_t begin = monotonicNs();
  const double intervalNs = 1e9 / packetsPerSecond;
  for (uint32_t k = 0; k < course.count && !ground.aborted();) {
    const uint64_t due = begin + static_cast<uint64_t>(k * intervalNs);
    for (uint64_t now = monotonicNs(); now < due; now = monotonicNs()) {
      if (due - now > 2 * AWAKE_NS) {
        sleepUntil(due - AWAKE_NS);
      } else {
        read();
      }
    }
    for (uint32_t i = 0; i < course.burst && k < course.count; i++, k++) {
      if (ground.timed()) departures.leaves(course.at(k).bytes, readClock(CLOCK_REALTIME));
      out.sent += ground.sendOne(course, k);
    }
    read();
  }
  out.sendingNs = monotonicNs() - begin;
  uint32_t last = ground.lastArrivals() - lastBefore;
  uint64_t changed = monotonicNs();
  while (last < out.sent && monotonicNs() - changed < silenceNs && !ground.aborted()) {
    nanosleep(&POLL_PAUSE, nullptr);
    read();
    const uint32_t seen = ground.lastArrivals() - lastBefore;
    if (seen != last) changed = monotonicNs();
    last = seen;
  }
  out.drainedNs = changed - begin;
  out.arrived = ground.arrivals() - allBefore;
  return out;
}

Saturated saturate(Ground& ground, const Course& course, uint32_t window, uint32_t durationMs) {
  Saturated out;
  const size_t lanes = course.ports.size();
  if (!ground.aim(course) || ground.sinkPorts().size() % lanes != 0) return out;
  prctl(PR_SET_TIMERSLACK, 1);
  const size_t share = ground.sinkPorts().size() / lanes;
  // A conference may be spread over two threads: its first members are on one, the last two on either.
  const size_t probes[PROBES] = {0, share > 1 ? share - 2 : 0, share - 1};
  std::vector<uint32_t> before(lanes * PROBES), sent(lanes, 0);
  for (size_t i = 0; i < lanes * PROBES; i++) before[i] = ground.arrivalsAt(i / PROBES * share + probes[i % PROBES]);
  // Packets of a lane that have not reached all of its sinks that are looked at.
  const auto underWay = [&](size_t lane) {
    uint32_t most = 0;
    for (size_t p = 0; p < PROBES; p++) {
      const uint32_t arrived = ground.arrivalsAt(lane * share + probes[p]) - before[lane * PROBES + p];
      most = std::max(most, sent[lane] - arrived);
    }
    return most;
  };
  const uint32_t allBefore = ground.arrivals();
  const uint64_t begin = monotonicNs();
  const uint64_t end = begin + uint64_t{durationMs} * 1'000'000;
  bool left = true;
  while (left && monotonicNs() < end && !ground.aborted()) {
    bool any = false;
    for (size_t i = 0; left && i < lanes; i++) {
      left = sent[i] + course.burst <= course.count;
      if (!left || underWay(i) + course.burst > window) continue;
      any = true;
      for (uint32_t n = 0; n < course.burst; n++) sent[i] += ground.sendOn(course, i, sent[i]);
    }
    if (left && !any) nanosleep(&POLL_PAUSE, nullptr);
  }
  out.ns = monotonicNs() - begin;
  out.arrived = ground.arrivals() - allBefore;
  for (const uint32_t n : sent) out.sent += n;
  uint32_t all = 0;
  for (uint64_t changed = monotonicNs(); monotonicNs() - changed < LONG_SILENCE_NS && all < out.sent * share;) {
    nanosleep(&POLL_PAUSE, nullptr);
    const uint32_t seen = ground.arrivals() - allBefore;
    if (seen != all) changed = monotonicNs();
    all = seen;
  }
  out.arrivedAfter = ground.arrivals() - allBefore;
  return out;
}

}  // namespace claviger::bench
