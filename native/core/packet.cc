#include "packet.h"

namespace claviger {

Protocol protocolOf(const uint8_t* bytes, size_t length) {
  if (length == 0) return Protocol::unknown;
  if (bytes[0] <= 3) return Protocol::stun;
  if (bytes[0] >= 20 && bytes[0] <= 63) return Protocol::dtls;
  if (bytes[0] < 128 || bytes[0] > 191) return Protocol::unknown;
  // RFC 5761 §4: the second byte of RTCP is 192 to 223.
  return length >= 2 && bytes[1] >= 192 && bytes[1] <= 223 ? Protocol::rtcp : Protocol::rtp;
}

bool parseRtp(const uint8_t* bytes, size_t length, RtpView& out) {
  if (length < 12 || (bytes[0] >> 6) != 2) return false;
  out.csrcCount = bytes[0] & 0x0f;
  size_t header = 12 + size_t{4} * out.csrcCount;
  if ((bytes[0] & 0x10) != 0) {
    if (length < header + 4) return false;
    header += 4 + size_t{4} * get16(bytes + header + 2);
  }
  if (length < header) return false;
  out.payloadType = bytes[1] & 0x7f;
  out.sequence = get16(bytes + 2);
  out.timestamp = get32(bytes + 4);
  out.ssrc = get32(bytes + 8);
  out.headerLength = header;
  const uint8_t positions = out.csrcCount > 0 ? bytes[MULTIPLEX_POSITIONS_AT] : 0;
  out.source = positions >> 4;
  out.sink = positions & 0x0f;
  return true;
}

const uint8_t* headerExtension(const uint8_t* packet, const RtpView& rtp, uint8_t id, size_t& length) {
  constexpr uint16_t ONE_BYTE = 0xbede, TWO_BYTES = 0x1000;  // the latter's last four bits are the application's
  constexpr uint8_t RESERVED = 15;
  const size_t fixed = 12 + size_t{4} * rtp.csrcCount;
  if ((packet[0] & 0x10) == 0 || rtp.headerLength < fixed + 4) return nullptr;
  const uint16_t form = get16(packet + fixed);
  const bool one = form == ONE_BYTE;
  if (!one && (form & 0xfff0) != TWO_BYTES) return nullptr;
  for (size_t at = fixed + 4; at < rtp.headerLength;) {
    const uint8_t head = packet[at++];
    if (head == 0) continue;  // padding
    if (one && head >> 4 == RESERVED) return nullptr;
    if (!one && at == rtp.headerLength) return nullptr;
    const uint8_t found = one ? head >> 4 : head;
    length = one ? (head & 15u) + 1 : packet[at++];
    if (at + length > rtp.headerLength) return nullptr;
    if (found == id) return packet + at;
    at += length;
  }
  return nullptr;
}

bool checkCompound(const uint8_t* bytes, size_t length, uint32_t& types) {
  types = 0;
  uint32_t packets = 0;
  for (size_t at = 0; at < length; packets++) {
    if (packets == MAX_RTCP_PACKETS_PER_COMPOUND || length - at < 4) return false;
    const uint8_t* p = bytes + at;
    const size_t size = size_t{4} * (get16(p + 2) + 1);
    if ((p[0] >> 6) != 2 || p[1] < 192 || p[1] > 223 || size > length - at) return false;
    // RFC 3550 §6.4.1: only the last packet of a compound is padded.
    if ((p[0] & 0x20) != 0) {
      const uint8_t padding = p[size - 1];
      if (at + size != length || padding == 0 || padding % 4 != 0 || padding > size - 4) return false;
    }
    types |= typeBit(p[1]);
    at += size;
  }
  return packets > 0;
}

}  // namespace claviger
