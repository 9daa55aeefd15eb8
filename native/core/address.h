// Transport addresses, IPv4 as IPv4-mapped IPv6, so that one comparison serves both.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "bytes.h"

namespace claviger {

struct Address {
  uint8_t ip[16] = {};
  uint16_t port = 0;
  bool operator==(const Address& o) const { return port == o.port && std::memcmp(ip, o.ip, sizeof ip) == 0; }
  bool operator!=(const Address& o) const { return !(*this == o); }
  bool sameHost(const Address& o) const { return std::memcmp(ip, o.ip, sizeof ip) == 0; }
  bool isIpv4() const;
};

// Literals only, no names.
bool parseAddress(const std::string& literal, uint16_t port, Address& out);
std::string formatAddress(const Address& a);

Address fromSockaddr(const sockaddr_storage& s);
// For a socket of `family`; false when the address does not exist there (IPv6 from an IPv4 socket).
bool toSockaddr(const Address& a, int family, sockaddr_storage& out, socklen_t& length);

}  // namespace claviger
