// Views over received bytes: RTP headers (RFC 3550 §5.1), RTCP compounds (§6.1), and which of them a datagram is.
#pragma once
#include "bytes.h"
#include "limits.h"

namespace claviger {

// RFC 7983 §7, and RFC 5761 §4 for RTP and RTCP on one port.
enum class Protocol : uint8_t { unknown, stun, dtls, rtp, rtcp };
Protocol protocolOf(const uint8_t* bytes, size_t length);

struct RtpView {
  uint8_t payloadType;
  uint8_t csrcCount;
  uint16_t sequence;
  uint32_t timestamp;
  uint32_t ssrc;
  size_t headerLength;  // with CSRCs and extension
  // The multiplex word's positions (WIRE.md 8); 0 without a CSRC.
  uint8_t source;
  uint8_t sink;
};
constexpr size_t MULTIPLEX_POSITIONS_AT = 15;  // the byte of source and sink

// False when the header does not fit into the datagram.
bool parseRtp(const uint8_t* bytes, size_t length, RtpView& out);

// The header extension `id` of a packet that parses (RFC 8285 §4.2 and §4.3: one byte before each, or two), not verified; null:
// there is none.
const uint8_t* headerExtension(const uint8_t* packet, const RtpView& rtp, uint8_t id, size_t& length);

constexpr uint8_t RTCP_SR = 200, RTCP_RR = 201, RTCP_SDES = 202, RTCP_RTPFB = 205, RTCP_PSFB = 206;
constexpr size_t RTCP_HEADER_BYTES = 8;

inline uint32_t rtcpSsrc(const uint8_t* bytes) { return get32(bytes + 4); }

// Every packet's version, length and the number of packets; padding in the last one only. `types` gets one bit for each
// packet type seen, PT 192 at bit 0.
bool checkCompound(const uint8_t* bytes, size_t length, uint32_t& types);
inline uint32_t typeBit(uint8_t packetType) { return uint32_t{1} << (packetType - 192); }

// The low byte of an SSRC that signs control RTCP is 0 (WIRE.md 3).
inline bool isControlSsrc(uint32_t ssrc) { return (ssrc & 0xff) == 0; }

}  // namespace claviger
