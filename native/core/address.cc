#include "address.h"

#include <arpa/inet.h>

namespace claviger {
namespace {
constexpr uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

bool Address::isIpv4() const { return std::memcmp(ip, MAPPED, sizeof MAPPED) == 0; }

bool parseAddress(const std::string& literal, uint16_t port, Address& out) {
  out.port = port;
  if (inet_pton(AF_INET6, literal.c_str(), out.ip) == 1) return true;
  std::memcpy(out.ip, MAPPED, sizeof MAPPED);
  return inet_pton(AF_INET, literal.c_str(), out.ip + sizeof MAPPED) == 1;
}

std::string formatAddress(const Address& a) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = a.isIpv4();
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a.ip + sizeof MAPPED : a.ip, text, sizeof text);
  return text;
}

Address fromSockaddr(const sockaddr_storage& s) {
  Address out;
  if (s.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &s, sizeof v4);
    std::memcpy(out.ip, MAPPED, sizeof MAPPED);
    std::memcpy(out.ip + sizeof MAPPED, &v4.sin_addr, 4);
    out.port = ntohs(v4.sin_port);
  } else if (s.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &s, sizeof v6);
    std::memcpy(out.ip, &v6.sin6_addr, 16);
    out.port = ntohs(v6.sin6_port);
  }
  return out;
}

bool toSockaddr(const Address& a, int family, sockaddr_storage& out, socklen_t& length) {
  std::memset(&out, 0, sizeof out);
  if (family == AF_INET) {
    if (!a.isIpv4()) return false;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(a.port);
    std::memcpy(&v4.sin_addr, a.ip + sizeof MAPPED, 4);
    length = sizeof v4;
    std::memcpy(&out, &v4, sizeof v4);
    return true;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(a.port);
  std::memcpy(&v6.sin6_addr, a.ip, 16);
  length = sizeof v6;
  std::memcpy(&out, &v6, sizeof v6);
  return true;
}

}  // namespace claviger
