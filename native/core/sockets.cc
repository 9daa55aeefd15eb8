#include "sockets.h"

#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>

namespace claviger {
namespace {

#ifndef UDP_SEGMENT  // Linux 4.18
constexpr int UDP_SEGMENT = 103;
#endif

constexpr int SOCKET_BUFFER_BYTES = 1 << 20;
constexpr int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

// What an earlier datagram left on the socket (ICMP); it says nothing of this one, which is tried again, once: on a path that
// is really gone every attempt says so.
bool isLeftOver(int error) { return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH; }

// A path's MTU (EMSGSIZE, EINVAL before Linux 6.2) or a device without checksums (EIO).
bool refusesRuns(int error) {
  return error == EMSGSIZE || error == EINVAL || error == EIO || error == ENOPROTOOPT || error == EOPNOTSUPP;
}

const sockaddr* addressOf(const sockaddr_storage& name, socklen_t nameLength) {
  return nameLength == 0 ? nullptr : reinterpret_cast<const sockaddr*>(&name);
}

}  // namespace

bool sendOne(int socket, const uint8_t* bytes, size_t length, const sockaddr_storage& name, socklen_t nameLength) {
  const sockaddr* to = addressOf(name, nameLength);
  if (sendto(socket, bytes, length, FLAGS, to, nameLength) >= 0) return true;
  return isLeftOver(errno) && sendto(socket, bytes, length, FLAGS, to, nameLength) >= 0;
}

RunSender::RunSender() {
  for (size_t i = 0; i < RELAY_RECEIVER_QUEUE_PACKETS; i++) {
    auto* control = reinterpret_cast<cmsghdr*>(controls_[i].bytes);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    headers_[i] = {};
  }
}

Sent RunSender::send(int socket, const Run* runs, size_t count, const sockaddr_storage& name, socklen_t nameLength,
                     size_t& taken) {
  taken = 0;
  for (size_t i = 0; i < count; i++) {
    if (runs[i].count > 1 && !segments(socket)) return Sent::unsegmented;
  }
  int error = 0;
  for (int attempts = 0; attempts < 2 && (attempts == 0 || isLeftOver(error)); attempts++) {
    ssize_t sent = 0;
    if (count == 1 && runs[0].count == 1) {
      const iovec& packet = runs[0].packets[0];
      sent = sendto(socket, packet.iov_base, packet.iov_len, FLAGS, addressOf(name, nameLength), nameLength);
    } else {
      for (size_t i = 0; i < count && attempts == 0; i++) prepare(i, runs[i], name, nameLength);
      sent = sendmmsg(socket, headers_, static_cast<unsigned>(count), FLAGS);
    }
    error = sent < 0 ? errno : 0;
    if (sent >= 0) taken = count == 1 ? 1 : static_cast<size_t>(sent);
  }
  if (error == 0) return taken == count ? Sent::all : Sent::some;
  if (error == EAGAIN) return Sent::full;
  return runs[0].count > 1 && refusesRuns(error) ? Sent::unsegmented : Sent::gone;
}

void RunSender::prepare(size_t at, const Run& run, const sockaddr_storage& name, socklen_t nameLength) {
  msghdr& header = headers_[at].msg_hdr;
  header.msg_name = nameLength == 0 ? nullptr : const_cast<sockaddr_storage*>(&name);
  header.msg_namelen = nameLength;
  header.msg_iov = const_cast<iovec*>(run.packets);
  header.msg_iovlen = run.count;
  header.msg_control = run.count > 1 ? controls_[at].bytes : nullptr;
  header.msg_controllen = run.count > 1 ? sizeof controls_[at].bytes : 0;
  const auto segment = static_cast<uint16_t>(run.packets[0].iov_len);
  std::memcpy(CMSG_DATA(reinterpret_cast<cmsghdr*>(controls_[at].bytes)), &segment, sizeof segment);
}

bool RunSender::segments(int socket) {
  if (support_ == Support::unknown) {
    int size = 0;
    socklen_t length = sizeof size;
    const bool there = getsockopt(socket, SOL_UDP, UDP_SEGMENT, &size, &length) == 0;
    support_ = there ? Support::there : Support::none;
  }
  return support_ == Support::there;
}

namespace {

int openSocket(int family) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int size = SOCKET_BUFFER_BYTES;  // as much of it as the system gives
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (family == AF_INET6) {
    const int off = 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  return fd;
}

enum class Bound : uint8_t { yes, taken, refused };

Bound bindAt(int fd, Address at, int family, uint32_t port) {
  at.port = static_cast<uint16_t>(port);
  sockaddr_storage name{};
  socklen_t length = 0;
  if (!toSockaddr(at, family, name, length)) return Bound::refused;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&name), length) == 0) return Bound::yes;
  return errno == EADDRINUSE || errno == EACCES ? Bound::taken : Bound::refused;
}

}  // namespace

int bindSocket(const Address& address, int family, uint16_t first, uint16_t last, uint16_t& port) {
  const int fd = openSocket(family);
  if (fd < 0) return -2;
  Bound bound = Bound::taken;
  for (uint32_t candidate = first; candidate <= last && bound == Bound::taken; candidate++) {
    bound = bindAt(fd, address, family, candidate);
    port = static_cast<uint16_t>(candidate);
  }
  if (bound == Bound::yes) return fd;
  ::close(fd);
  return bound == Bound::taken ? -1 : -2;
}

int bindPair(const Address& address, int family, uint16_t first, uint16_t last, uint16_t& port, int& above) {
  for (uint32_t even = first + (first & 1u); even < last; even += 2) {
    const auto odd = static_cast<uint16_t>(even + 1);
    uint16_t bound = 0;
    const int fd = bindSocket(address, family, static_cast<uint16_t>(even), static_cast<uint16_t>(even), port);
    if (fd == -2) return fd;
    if (fd < 0) continue;
    above = bindSocket(address, family, odd, odd, bound);
    if (above >= 0) return fd;
    ::close(fd);
    if (above == -2) return above;
  }
  return -1;
}

}  // namespace claviger
