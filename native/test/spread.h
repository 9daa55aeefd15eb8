// Conferences with channels on several threads: commands, and cores that take turns in one thread instead of running.
#pragma once
#include <map>

#include "world.h"

namespace test {

// Home is thread 0; the counter slots are the channel's id everywhere.
inline Bytes openAwayCommand(uint32_t id, Media media, size_t branch, uint32_t conference = CONFERENCE) {
  CommandWriter w(0);
  w.bytes = openCommand(id, media, -1, conference);
  return w.u16(static_cast<uint32_t>(branch)).u32(id).bytes;
}
inline Bytes openBranchCommand(uint32_t id, Media media, int socket = -1, uint32_t conference = CONFERENCE) {
  return CommandWriter(OPCODE_openBranch).u32(id).u32(conference).u8(static_cast<uint32_t>(media)).u8(0).u32(id)
      .u32(static_cast<uint32_t>(socket)).u16(0).u32(id).u8(0).u16(0).bytes;
}
inline Bytes setBranchCommand(uint32_t id, bool ready, uint32_t level = LEVEL_end_to_end) {
  return CommandWriter(OPCODE_setBranch).u32(id).u8(level).u8(ready ? 1 : 0).bytes;
}
inline Bytes closeCommand(uint32_t id) { return CommandWriter(OPCODE_closeChannel).u32(id).bytes; }

// Writes down what it is to send, by channel. `takes` false: its kernel has no room.
struct Collecting final : Transport {
  std::map<uint32_t, std::vector<Bytes>> got;
  bool takes = true;

  bool send(Outlet& to, const uint8_t* bytes, size_t length) override {
    got[to.id].emplace_back(bytes, bytes + length);
    return true;
  }
  Sent sendRuns(Outlet& to, const Run* runs, size_t count, size_t& taken) override {
    taken = 0;
    return takes ? Transport::sendRuns(to, runs, count, taken) : Sent::full;
  }
  void sendTo(Outlet& from, const Address&, const uint8_t* bytes, size_t length) override { send(from, bytes, length); }
  bool opened(Outlet&) override { return true; }
  void connect(Outlet&, const Address&) override {}
  void close(Outlet&) override {}
  void discard(int) override {}
};

// One conference whose channels 1, 2, ... have their sockets on the threads named; everybody is routed to everybody.
struct Spread {
  Exchange exchange;
  std::vector<std::vector<uint64_t>> words;
  std::vector<Collecting> transports;
  std::vector<std::unique_ptr<Switch>> cores;
  std::vector<size_t> where;
  Media media;

  Spread(size_t threads, const std::vector<size_t>& sockets, Media kind = Media::audio)
      : exchange(threads), words(threads, std::vector<uint64_t>(THREAD_REGION_WORDS)), transports(threads), media(kind) {
    for (size_t t = 0; t < threads; t++) {
      cores.push_back(std::make_unique<Switch>(transports[t], words[t].data(), IngressLimits{0, 0}, &exchange, t));
    }
    apply(0, CommandWriter(OPCODE_setConference).u32(CONFERENCE).u8(LEVEL_end_to_end).bytes);
    apply(0, setCommand(0x1235));
    for (const size_t thread : sockets) open(thread);
    routeAll();
  }

  void apply(size_t thread, const Bytes& command, bool accepted = true) {
    CHECK(cores[thread]->apply(command.data(), command.size(), 0) == accepted);
  }
  void toBoth(uint32_t id, const Bytes& command) {
    if (where[id - 1] != 0) apply(where[id - 1], command);
    apply(0, command);
  }
  uint32_t open(size_t thread) {
    where.push_back(thread);
    const auto id = static_cast<uint32_t>(where.size());
    if (thread != 0) {
      apply(thread, openBranchCommand(id, media));
      apply(thread, setBranchCommand(id, true));
    }
    apply(0, thread == 0 ? openCommand(id, media) : openAwayCommand(id, media, thread));
    toBoth(id, proveCommand(id, static_cast<uint16_t>(4000 + id)));
    apply(0, keysCommand(id, PROFILE_AES128_CM_SHA1_80));
    apply(0, parametersCommand(id));
    apply(0, ackCommand(id, 0x1235));
    return id;
  }
  void routeAll() {
    std::vector<TestEdge> edges;
    for (uint32_t from = 1; from <= where.size(); from++) {
      for (uint32_t to = 1; to <= where.size(); to++) {
        if (from != to) edges.push_back({from, to, 1});
      }
    }
    apply(0, routesCommand(media, edges));
  }
  // A datagram at a channel's socket.
  void arrive(uint32_t id, const Bytes& bytes, uint64_t now = 0) {
    Switch& core = *cores[where[id - 1]];
    Outlet* outlet = core.outlet(id);
    if (outlet == nullptr) return;
    Variant& datagram = *core.variants().take();
    datagram.length = static_cast<uint16_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), datagram.bytes);
    core.arrived(*outlet, datagram, outlet->peer, now);
    core.variants().release(datagram);
    core.allArrived(*outlet);
    core.flush();
  }
  // A turn of one thread.
  void turn(size_t thread, uint64_t now = 0) {
    cores[thread]->markNeighbours();
    cores[thread]->hearNeighbours(now);
    cores[thread]->flush();
  }
  // Until nothing is on its way any more.
  void settle(uint64_t now = 0) {
    for (bool any = true; any;) {
      any = false;
      for (size_t t = 0; t < cores.size(); t++) {
        any = any || cores[t]->neighboursWait();
        turn(t, now);
      }
    }
  }
  const std::vector<Bytes>& got(uint32_t id) { return transports[where[id - 1]].got[id]; }
  // Cells of the home that are neither free nor being received into.
  size_t cellsInUse() const { return cores[0]->variants().inUse(); }
  uint64_t counter(size_t thread, uint32_t word) const { return words[thread][word]; }
  uint64_t drops(size_t thread, Drop drop) const { return counter(thread, THREAD_COUNTER_drops + static_cast<uint32_t>(drop)); }
};

}  // namespace test
