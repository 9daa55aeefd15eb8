// One relay thread: epoll over its channels' sockets, commands in, event batches out. The main thread calls post, collect,
// cpuNs, start and stop; everything else runs on the thread itself.
#pragma once
#include <atomic>
#include <functional>
#include <thread>

#include "command_queue.h"
#include "sockets.h"
#include "switch.h"

namespace claviger {

class RelayThread final : public Transport {
 public:
  // `family` of the media sockets; `notify` is called from the thread when events wait; `self`: which one of `exchange`.
  RelayThread(int family, uint64_t* region, const IngressLimits& limits, std::function<void()> notify, Exchange& exchange,
              size_t self);
  ~RelayThread() override;
  RelayThread(const RelayThread&) = delete;
  RelayThread& operator=(const RelayThread&) = delete;

  // Before any of the threads runs.
  bool prepare();
  void start();
  void stop();
  bool post(const uint8_t* command, size_t length);
  // Swaps the waiting events into `into`, which must be empty.
  void collect(EventBuffer& into);
  uint64_t cpuNs();

  bool send(Outlet& to, const uint8_t* bytes, size_t length) override;
  Sent sendRuns(Outlet& to, const Run* runs, size_t count, size_t& taken) override;
  void awaitRoom(Outlet& channel, bool wanted) override;
  void sendTo(Outlet& from, const Address& to, const uint8_t* bytes, size_t length) override;
  bool opened(Outlet& channel) override;
  void connect(Outlet& channel, const Address& peer) override;
  void disconnect(Outlet& channel) override;
  void close(Outlet& channel) override;
  void discard(int socket) override;

 private:
  struct Receiving;
  void run();
  void drain(Outlet& outlet, uint64_t now);
  int receiveSome(Outlet& outlet, int most, uint64_t now);
  void measure(uint64_t now);
  // For a channel that is not connected its peer, else nothing; false: it has none that its socket can reach.
  bool nameOf(const Outlet& channel, sockaddr_storage& name, socklen_t& length) const;
  void answerBell();
  void applyCommands(uint64_t now);
  void publish();

  const int family_;
  const std::function<void()> notify_;
  Exchange& exchange_;
  const size_t self_;
  uint64_t* const load_;  // the counter word of that name
  uint64_t measuredAt_ = 0;
  uint64_t measuredCpuNs_ = 0;
  int epoll_ = -1;
  int wake_ = -1;
  bool closed_ = false;  // a command of this turn closed a channel
  CommandQueue commands_;
  std::mutex outMutex_;
  EventBuffer out_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> finalCpuNs_{0};
  RunSender runSender_;
  std::unique_ptr<Switch> switch_;
  std::unique_ptr<Receiving> receiving_;
  std::thread thread_;
};

}  // namespace claviger
