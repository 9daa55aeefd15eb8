// The other end of an ICE-lite channel for tests: writes checks, and reads answers with the parser under test.
#pragma once
#include "stun.h"
#include "world.h"

namespace test {

inline Bytes text(const std::string& s) { return Bytes(s.begin(), s.end()); }

const std::string OUR_UFRAG = "Ours8765", OUR_PWD = "switch/own+pwd/of24chars", PEER_UFRAG = "peer";

inline Bytes iceCommand(uint32_t id, const std::string& ufrag = OUR_UFRAG, const std::string& pwd = OUR_PWD,
                        const std::string& peer = PEER_UFRAG, uint32_t mode = ICE_MODE_checks) {
  return CommandWriter(OPCODE_setIce).u32(id).u8(mode).u8(static_cast<uint32_t>(ufrag.size())).block(text(ufrag))
      .u8(static_cast<uint32_t>(pwd.size())).block(text(pwd)).u16(static_cast<uint32_t>(peer.size())).block(text(peer)).bytes;
}

struct CheckOptions {
  std::string username = OUR_UFRAG + ":" + PEER_UFRAG;
  std::string pwd = OUR_PWD;
  bool useCandidate = true;
  uint32_t role = 0x802a;  // ICE-CONTROLLING
  uint32_t type = 0x0001;
  uint32_t unknown = 0;  // an attribute of this type
  bool integrity = true;
  bool fingerprint = true;
};

inline uint32_t crc32(const Bytes& bytes) {
  uint32_t c = 0xffffffffu;
  for (const uint8_t b : bytes) {
    c ^= b;
    for (int i = 0; i < 8; i++) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

// Length and FINGERPRINT anew, in place of the last 8 bytes.
inline void sealStun(Bytes& message) {
  const size_t at = message.size() - 8;
  put16(&message[2], static_cast<uint16_t>(message.size() - 20));
  put32(&message[at], 0x80280004);
  put32(&message[at + 4], crc32(Bytes(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(at))) ^ 0x5354554e);
}

// `transaction`: different ones are different transactions.
inline Bytes check(uint32_t transaction, const CheckOptions& o = CheckOptions()) {
  Bytes out = CommandWriter(o.type >> 8).u8(o.type).u16(0).u32(0x2112a442).u32(0x7e57).u32(transaction).u32(transaction * 77).bytes;
  const auto attribute = [&out](uint32_t type, Bytes value) {
    const auto length = static_cast<uint32_t>(value.size());
    value.resize((value.size() + 3) & ~size_t{3});
    const Bytes head = CommandWriter(type >> 8).u8(type).u16(length).block(value).bytes;
    out.insert(out.end(), head.begin(), head.end());
    put16(&out[2], static_cast<uint16_t>(out.size() - 20));
  };
  if (!o.username.empty()) attribute(0x0006, text(o.username));
  attribute(0x0024, {0x6e, 0, 0x1e, 0xff});
  if (o.role != 0) attribute(o.role, Bytes(8, 7));
  if (o.useCandidate) attribute(0x0025, {});
  if (o.unknown != 0) attribute(o.unknown, {1, 2, 3});
  if (o.integrity) {
    const size_t at = out.size();
    attribute(0x0008, Bytes(20));
    HmacSha1Key key;
    prepareHmac(key, text(o.pwd).data(), o.pwd.size());
    HmacSha1 mac(key);
    mac.update(out.data(), at);
    mac.finish(&out[at + 4]);
  }
  if (o.fingerprint) {
    out.resize(out.size() + 8);
    sealStun(out);
  }
  return out;
}

inline Address at(const std::string& literal, uint16_t port) {
  Address a;
  parseAddress(literal, port, a);
  return a;
}

// The value of an attribute; empty: it has none.
inline Bytes attributeOf(const Bytes& message, uint32_t type) {
  for (size_t i = 20; i + 4 <= message.size();) {
    const size_t length = get16(&message[i + 2]);
    const auto begin = message.begin() + static_cast<std::ptrdiff_t>(i + 4);
    if (get16(&message[i]) == type) return Bytes(begin, begin + static_cast<std::ptrdiff_t>(length));
    i += 4 + ((length + 3) & ~size_t{3});
  }
  return {};
}
// Of an error response; 0: it is none.
inline int errorOf(const Bytes& message) {
  const Bytes value = attributeOf(message, 0x0009);
  return message.size() < 2 || get16(message.data()) != 0x0111 || value.size() < 4 ? 0 : value[2] * 100 + value[3];
}
inline bool isSuccess(const Bytes& message) { return message.size() > 20 && get16(message.data()) == 0x0101; }

}  // namespace test
