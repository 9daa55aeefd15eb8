// The numbers that cross between JavaScript and the core: the same table as src/relay/schema.ts, which describes each
// body; a test compares the two.
#pragma once
#include <cstdint>

#define CLAVIGER_SCHEMA(X)          \
  X(OPCODE_openChannel, 1)          \
  X(OPCODE_closeChannel, 2)         \
  X(OPCODE_sendDatagram, 3)         \
  X(OPCODE_provePeer, 4)            \
  X(OPCODE_setChannelKeys, 5)       \
  X(OPCODE_setParameters, 6)        \
  X(OPCODE_sendControl, 7)          \
  X(OPCODE_setConference, 8)        \
  X(OPCODE_closeConference, 9)      \
  X(OPCODE_installSet, 10)          \
  X(OPCODE_dropSet, 11)             \
  X(OPCODE_setAcked, 12)            \
  X(OPCODE_setRoutes, 13)           \
  X(OPCODE_awaitPeer, 14)           \
  X(OPCODE_openBranch, 15)          \
  X(OPCODE_setBranch, 16)           \
  X(OPCODE_setRtcpPort, 24)         \
  X(OPCODE_setIce, 17)              \
  X(OPCODE_setLatch, 25)            \
  X(EVENT_dtls, 1)                  \
  X(EVENT_control, 2)               \
  X(EVENT_bound, 3)                 \
  X(EVENT_activity, 4)              \
  X(EVENT_refresh, 5)               \
  X(EVENT_switched, 6)              \
  X(EVENT_refusals, 7)              \
  X(EVENT_reports, 8)               \
  X(EVENT_claimed, 9)               \
  X(EVENT_ice, 10)                  \
  X(ICE_MODE_off, 0)                \
  X(ICE_MODE_checks, 1)             \
  X(ICE_MODE_lenient, 2)            \
  X(ICE_NEWS_nominated, 0)               \
  X(ICE_NEWS_consent_lost, 1)            \
  X(ICE_NEWS_consent_back, 2)            \
  X(MEDIA_audio, 0)                 \
  X(MEDIA_video, 1)                 \
  X(TRANSPORT_dtls, 0)              \
  X(TRANSPORT_plain, 1)             \
  X(TRANSPORT_sdes, 2)              \
  X(TRANSPORT_bundled, 3)           \
  X(VIDEO_CODEC_other, 0)           \
  X(VIDEO_CODEC_h264, 1)            \
  X(VIDEO_CODEC_h265, 2)            \
  X(VIDEO_CODEC_vp8, 3)             \
  X(VIDEO_CODEC_vp9, 4)             \
  X(VIDEO_CODEC_av1, 5)             \
  X(LEVEL_unknown, 0)               \
  X(LEVEL_none, 1)                  \
  X(LEVEL_hop_by_hop, 2)            \
  X(LEVEL_end_to_end, 3)            \
  X(PARAMETER_tip, 1)               \
  X(PARAMETER_trailingByte, 2)      \
  X(PARAMETER_ready, 4)             \
  X(THREAD_COUNTER_ingress, 0)      \
  X(THREAD_COUNTER_verified, 1)     \
  X(THREAD_COUNTER_egress, 2)       \
  X(THREAD_COUNTER_variants, 3)     \
  X(THREAD_COUNTER_unsegmented, 4)  \
  X(THREAD_COUNTER_drops, 5)        \
  X(THREAD_COUNTER_retransmitted, 29)     \
  X(THREAD_COUNTER_retransmitUnknown, 30) \
  X(THREAD_COUNTER_retransmitLimited, 31) \
  X(CHANNEL_COUNTER_owner, 0)       \
  X(CHANNEL_COUNTER_packetsIn, 1)   \
  X(CHANNEL_COUNTER_bytesIn, 2)     \
  X(CHANNEL_COUNTER_packetsOut, 3)  \
  X(CHANNEL_COUNTER_bytesOut, 4)    \
  X(CHANNEL_COUNTER_drops, 5)       \
  X(CHANNEL_COUNTER_retransmitted, 31) \
  X(THREAD_COUNTER_handedOver, 32)        \
  X(THREAD_COUNTER_loadPermille, 33)      \
  X(THREAD_WORDS, 40)               \
  X(CHANNEL_WORDS, 32)

// In the order of DROP_NAMES in src/relay/contract.ts.
#define CLAVIGER_DROPS(X) \
  X(unknown_protocol)     \
  X(malformed)            \
  X(no_multiplex_word)    \
  X(not_ready)            \
  X(unknown_spi)          \
  X(no_key)               \
  X(replayed)             \
  X(too_old)              \
  X(auth_failed)          \
  X(ssrc_owned)           \
  X(bad_position)         \
  X(set_not_installed)    \
  X(below_level)          \
  X(no_payload_type)      \
  X(stream_limit)         \
  X(queue_full)           \
  X(unknown_source)       \
  X(unreachable)          \
  X(rate_limited)         \
  X(no_consent)           \
  X(check_refused)

namespace claviger {
#define CLAVIGER_CONSTANT(name, value) constexpr uint32_t name = value;
CLAVIGER_SCHEMA(CLAVIGER_CONSTANT)
#undef CLAVIGER_CONSTANT

// Why a packet was refused; `none` means that it was not.
enum class Drop : uint8_t {
#define CLAVIGER_DROP(name) name,
  CLAVIGER_DROPS(CLAVIGER_DROP)
#undef CLAVIGER_DROP
      count,
  none = 255,
};
constexpr uint32_t DROP_COUNT = static_cast<uint32_t>(Drop::count);
static_assert(THREAD_COUNTER_drops + DROP_COUNT <= THREAD_COUNTER_retransmitted, "thread counters do not fit");
static_assert(CHANNEL_COUNTER_drops + DROP_COUNT <= CHANNEL_COUNTER_retransmitted, "channel counters do not fit");
}  // namespace claviger
