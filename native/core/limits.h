// The packet limits of src/base/limits.ts, under the same names; a test compares the two.
#pragma once
#include <cstddef>
#include <cstdint>

#define CLAVIGER_LIMITS(X)                          \
  X(MAX_DATAGRAM_BYTES, 1500)                       \
  X(MAX_STREAMS_PER_CHANNEL, 16)                    \
  X(MAX_RTCP_PACKETS_PER_COMPOUND, 16)              \
  X(REPLAY_WINDOW_PACKETS, 1024)                    \
  X(KEY_SLOTS_PER_STREAM, 3)                        \
  X(PREVIOUS_KEY_LIFETIME_MS, 2000)                 \
  X(MAX_LIVE_SETS, 4)                               \
  X(ACTIVITY_INTERVAL_MS, 100)                      \
  X(MAX_CONFERENCES, 1000)                          \
  X(MAX_CHANNELS, 8192)                             \
  X(RELAY_RECEIVE_BATCH_DATAGRAMS, 32)              \
  X(RELAY_RECEIVER_QUEUE_PACKETS, 64)               \
  X(RELAY_VARIANT_ARENA_PACKETS, 2048)              \
  X(RELAY_VARIANTS_READY, 2048)                     \
  X(RELAY_LENT_VARIANTS, 32768)                     \
  X(RELAY_HANDOVER_PACKETS, 65536)                  \
  X(RELAY_HANDOVER_PACKETS_PER_TURN, 16384)         \
  X(RELAY_HANDOVER_DATAGRAMS, 2048)                 \
  X(RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL, 128)      \
  X(RELAY_BACKLOG_PACKETS, 4096)                    \
  X(RELAY_BACKLOG_PACKETS_PER_RECEIVER, 128)        \
  X(RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND, 1000)   \
  X(RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND, 5000)   \
  X(RELAY_INGRESS_BURST_MS, 500)                    \
  X(RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND, 50)     \
  X(RELAY_UNPROVEN_PEER_MS, 10000)                  \
  X(RELAY_EARLY_DATAGRAMS_PER_CHANNEL, 4)           \
  X(RELAY_EVENT_QUEUE_BYTES, 4194304)               \
  X(RELAY_COMMAND_QUEUE_BYTES, 67108864)            \
  X(RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND, 200)   \
  X(RELAY_DTLS_SIGNALLED_HELLOS_PER_SECOND, 50)     \
  X(RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND, 1000)     \
  X(DTLS_COOKIE_LIFETIME_MS, 60000)                 \
  X(DTLS_MAX_PARALLEL_ADDRESSES, 4)                 \
  X(DTLS_STRANGER_PATIENCE_MS, 5000)                \
  X(RELAY_ICE_CONSENT_LIFETIME_MS, 30000)                 \
  X(RELAY_ICE_CHECKED_ADDRESSES, 8)                 \
  X(RELAY_ICE_REMEMBERED_CHECKS, 256)               \
  X(RELAY_ICE_CHECKS_PER_ADDRESS_SECOND, 50)        \
  X(RELAY_ICE_STRANGERS_CHECKS_PER_SECOND, 500)     \
  X(RELAY_ICE_ERRORS_PER_SECOND, 20)                \
  X(RELAY_REFUSAL_SUMMARY_INTERVAL_MS, 1000)        \
  X(MAX_ROUTE_EDGES, 262144)                        \
  X(MAX_CONTROL_SSRCS_PER_CHANNEL, 32)              \
  X(MAX_BUNDLED_CHANNELS, 16)                       \
  X(MAX_MID_BYTES, 32)                              \
  X(RELAY_RETIRED_STREAMS_PER_BUNDLE, 64)           \
  X(RELAY_OWN_SEEDS_PER_BUNDLE, 1024)               \
  X(RELAY_RETRANSMIT_AGE_MS, 500)                   \
  X(RELAY_RETRANSMIT_PACKETS_PER_STREAM, 1024)      \
  X(RELAY_RETRANSMIT_PACKETS_PER_THREAD, 32768)     \
  X(RELAY_RETRANSMIT_MIN_INTERVAL_MS, 20)           \
  X(RELAY_RETRANSMIT_REQUESTS_PER_SECOND, 400)      \
  X(RELAY_RETRANSMIT_REQUEST_BURST, 100)            \
  X(RELAY_REPORT_INTERVAL_MS, 1500)                 \
  X(RELAY_CLAIM_INTERVAL_MS, 100)                   \
  X(PREVIOUS_CHANNEL_KEYS_LIFETIME_MS, 10000)

namespace claviger {
#define CLAVIGER_CONSTANT(name, value) constexpr uint32_t name = value;
CLAVIGER_LIMITS(CLAVIGER_CONSTANT)
#undef CLAVIGER_CONSTANT

constexpr uint64_t NS_PER_MS = 1'000'000;
constexpr uint64_t NS_PER_S = 1'000'000'000;
}  // namespace claviger
