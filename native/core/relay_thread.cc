#include "relay_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace claviger {
namespace {

// Sockets of one turn. What they bring leaves together, so there is something in having all of them.
constexpr int EPOLL_BATCH = 256;

// RFC 3550 §4: seconds since 1900 and their fraction.
uint64_t ntpNow() {
  constexpr uint64_t UNIX_EPOCH_S = 2'208'988'800;
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return ((static_cast<uint64_t>(t.tv_sec) + UNIX_EPOCH_S) << 32) |
         ((static_cast<uint64_t>(t.tv_nsec) << 32) / NS_PER_S);
}

uint64_t readClock(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * NS_PER_S + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

struct RelayThread::Receiving {
  mmsghdr headers[RELAY_RECEIVE_BATCH_DATAGRAMS];
  iovec vectors[RELAY_RECEIVE_BATCH_DATAGRAMS];
  sockaddr_storage names[RELAY_RECEIVE_BATCH_DATAGRAMS];
  Variant* datagrams[RELAY_RECEIVE_BATCH_DATAGRAMS];

  explicit Receiving(VariantPool& pool) {
    for (size_t i = 0; i < RELAY_RECEIVE_BATCH_DATAGRAMS; i++) {
      renew(i, pool);
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_name = &names[i];
    }
  }
  void renew(size_t i, VariantPool& pool) {
    datagrams[i] = pool.take();
    vectors[i] = {datagrams[i]->bytes, sizeof datagrams[i]->bytes};
  }
};

RelayThread::RelayThread(int family, uint64_t* region, const IngressLimits& limits, std::function<void()> notify,
                         Exchange& exchange, size_t self)
    : family_(family),
      notify_(std::move(notify)),
      exchange_(exchange),
      self_(self),
      load_(region + THREAD_COUNTER_loadPermille),
      switch_(new Switch(*this, region, limits, &exchange, self)),
      receiving_(new Receiving(switch_->variants())) {}

RelayThread::~RelayThread() {
  stop();
  switch_.reset();  // closes the channels' sockets, which epoll must outlive
  if (epoll_ >= 0) ::close(epoll_);
  if (wake_ >= 0) ::close(wake_);
}

bool RelayThread::prepare() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  // One at the start: commands may have been posted already.
  wake_ = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = nullptr;
  if (epoll_ < 0 || wake_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &e) != 0) return false;
  exchange_.hang(self_, wake_);
  return true;
}

void RelayThread::start() {
  thread_ = std::thread([this] { run(); });
}

void RelayThread::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof one);
  thread_.join();
}

bool RelayThread::post(const uint8_t* command, size_t length) {
  if (!commands_.push(command, length)) return false;
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof one);
  return true;
}

void RelayThread::collect(EventBuffer& into) {
  const std::lock_guard<std::mutex> lock(outMutex_);
  out_.swap(into);
}

uint64_t RelayThread::cpuNs() {
  clockid_t clock;
  if (thread_.joinable() && finalCpuNs_.load() == 0 && pthread_getcpuclockid(thread_.native_handle(), &clock) == 0) {
    return readClock(clock);
  }
  return finalCpuNs_.load();
}

void RelayThread::run() {
  epoll_event ready[EPOLL_BATCH];
  uint64_t now = readClock(CLOCK_MONOTONIC);
  uint64_t nextTick = now + ACTIVITY_INTERVAL_MS * NS_PER_MS;
  while (!stopping_.load(std::memory_order_relaxed)) {
    exchange_.sleeps(self_);
    const bool due = nextTick <= now || switch_->neighboursWait();
    const uint64_t wait = due ? 0 : (nextTick - now + NS_PER_MS - 1) / NS_PER_MS;
    const int n = epoll_wait(epoll_, ready, EPOLL_BATCH, static_cast<int>(wait));
    exchange_.wakes(self_);
    now = readClock(CLOCK_MONOTONIC);
    switch_->markNeighbours();
    // Commands first: whatever was asked for before a datagram arrived, here or at a neighbour, is in force for it.
    closed_ = false;
    for (int i = 0; i < n; i++) {
      if (ready[i].data.ptr == nullptr) answerBell();
    }
    if (commands_.any()) applyCommands(now);
    switch_->hearNeighbours(now);
    // A channel that was closed may be named in `ready`: the sockets are asked for anew.
    for (int i = 0; i < n && !closed_; i++) {
      if (ready[i].data.ptr == nullptr) continue;
      Outlet& outlet = *static_cast<Outlet*>(ready[i].data.ptr);
      if ((ready[i].events & EPOLLOUT) != 0) switch_->writable(outlet);
      if ((ready[i].events & ~uint32_t{EPOLLOUT}) != 0) drain(outlet, now);
    }
    switch_->flush();
    if (now >= nextTick) {
      switch_->tick(now, ntpNow());
      switch_->flush();
      measure(now);
      nextTick = now + ACTIVITY_INTERVAL_MS * NS_PER_MS;
    }
    publish();
  }
  finalCpuNs_.store(readClock(CLOCK_THREAD_CPUTIME_ID));
}

// One batch a turn: the other sockets have theirs before this one is asked again. A video frame's packets come one after the
// other, some while the first are verified: they are asked for once more, for what leaves together costs the kernel half.
void RelayThread::drain(Outlet& outlet, uint64_t now) {
  int left = RELAY_RECEIVE_BATCH_DATAGRAMS;
  int n = 0;
  do {
    n = receiveSome(outlet, left, now);
    left -= n;
  } while ((outlet.media == Media::video || !outlet.followers.empty()) && n > 0 && left > 0);
  switch_->allArrived(outlet);
}

int RelayThread::receiveSome(Outlet& outlet, int most, uint64_t now) {
  Receiving& r = *receiving_;
  for (int i = 0; i < most; i++) r.headers[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  const int n = recvmmsg(outlet.socket, r.headers, static_cast<unsigned>(most), MSG_DONTWAIT, nullptr);
  for (int i = 0; i < n; i++) {
    Variant& datagram = *r.datagrams[i];
    datagram.length = static_cast<uint16_t>(r.headers[i].msg_len);
    switch_->arrived(outlet, datagram, fromSockaddr(r.names[i]), now);
    if (datagram.references == 1) continue;
    // It is on its way out, or kept.
    switch_->variants().release(datagram);
    r.renew(static_cast<size_t>(i), switch_->variants());
  }
  return n > 0 ? n : 0;
}

// The share of a core since the last time, smoothed over a few of them.
void RelayThread::measure(uint64_t now) {
  constexpr uint64_t PERMILLE = 1000, WEIGHT = 4;
  const uint64_t cpu = readClock(CLOCK_THREAD_CPUTIME_ID);
  if (measuredAt_ != 0 && now > measuredAt_) {
    const uint64_t share = (cpu - measuredCpuNs_) * PERMILLE / (now - measuredAt_);
    const uint64_t before = __atomic_load_n(load_, __ATOMIC_RELAXED);
    __atomic_store_n(load_, (before * (WEIGHT - 1) + share) / WEIGHT, __ATOMIC_RELAXED);
  }
  measuredAt_ = now;
  measuredCpuNs_ = cpu;
}

void RelayThread::answerBell() {
  uint64_t count = 0;
  (void)!read(wake_, &count, sizeof count);
}

void RelayThread::applyCommands(uint64_t now) {
  commands_.drain([this, now](const uint8_t* bytes, size_t length) { switch_->apply(bytes, length, now); });
}

void RelayThread::publish() {
  EventBuffer& events = switch_->events();
  if (events.empty()) return;
  {
    // The main thread holds this for a swap only. What does not fit stays here, bounded too, until the next turn.
    const std::lock_guard<std::mutex> lock(outMutex_);
    out_.append(events);
  }
  notify_();
}

bool RelayThread::nameOf(const Outlet& channel, sockaddr_storage& name, socklen_t& length) const {
  length = 0;
  return channel.connected || toSockaddr(channel.peer, family_, name, length);
}

bool RelayThread::send(Outlet& to, const uint8_t* bytes, size_t length) {
  sockaddr_storage name;
  socklen_t nameLength = 0;
  return nameOf(to, name, nameLength) && sendOne(to.socket, bytes, length, name, nameLength);
}

Sent RelayThread::sendRuns(Outlet& to, const Run* runs, size_t count, size_t& taken) {
  sockaddr_storage name;
  socklen_t nameLength = 0;
  taken = 0;
  if (!nameOf(to, name, nameLength)) return Sent::gone;
  return runSender_.send(to.socket, runs, count, name, nameLength, taken);
}

void RelayThread::sendTo(Outlet& from, const Address& to, const uint8_t* bytes, size_t length) {
  sockaddr_storage name;
  socklen_t nameLength = 0;
  if (from.connected) {
    send(from, bytes, length);
  } else if (toSockaddr(to, family_, name, nameLength)) {
    sendOne(from.socket, bytes, length, name, nameLength);
  }
}

void RelayThread::awaitRoom(Outlet& channel, bool wanted) {
  epoll_event e{};
  e.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
  e.data.ptr = &channel;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, channel.socket, &e);
}

bool RelayThread::opened(Outlet& channel) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = &channel;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, channel.socket, &e) == 0;
}

void RelayThread::connect(Outlet& channel, const Address& peer) {
  sockaddr_storage name{};
  socklen_t length = 0;
  channel.connected = toSockaddr(peer, family_, name, length) &&
                      ::connect(channel.socket, reinterpret_cast<const sockaddr*>(&name), length) == 0;
}

void RelayThread::disconnect(Outlet& channel) {
  sockaddr any{};
  any.sa_family = AF_UNSPEC;
  if (channel.connected && ::connect(channel.socket, &any, sizeof any) == 0) channel.connected = false;
}

void RelayThread::close(Outlet& channel) {
  closed_ = true;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, channel.socket, nullptr);
  ::close(channel.socket);
  channel.socket = -1;
}

void RelayThread::discard(int socket) {
  if (socket >= 0) ::close(socket);
}

}  // namespace claviger
