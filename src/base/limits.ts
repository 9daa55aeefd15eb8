/**
 * Every limit of the project, with its unit in its name. A queue or table that is not bounded by a constant from here
 * is a defect; what happens at each limit has a test. The native relay has its own copy of the packet limits
 * (native/core/limits.h); a test compares the two.
 */

// --- datagrams and media (WIRE.md 11) ---
export const MAX_DATAGRAM_BYTES = 1500;
export const MAX_STREAMS_PER_CHANNEL = 16;
export const MAX_RECEIVE_CONTEXTS = 256;
export const MAX_RTCP_PACKETS_PER_COMPOUND = 16;
export const MAX_TIP_PACKET_BYTES = 512;
export const REPLAY_WINDOW_PACKETS = 1024;
export const KEY_SLOTS_PER_STREAM = 3;
export const PREVIOUS_KEY_LIFETIME_MS = 2_000;

// --- TIP and SPIMAP (WIRE.md 4) ---
export const TIP_RETRANSMIT_INTERVAL_MS = 250;
export const TIP_RETRANSMIT_LIMIT = 40;
export const TIP_NEGOTIATION_TIMEOUT_MS = 10_000;
export const SPIMAP_TIMEOUT_MS = 10_000;

// --- group parameter sets (WIRE.md 10) ---
export const MIN_SET_INTERVAL_MS = 15_000;
export const MAX_LIVE_SETS = 4;
export const SET_SEND_DELAY_MS = 2_000;
export const SWITCH_OLD_SET_GRACE_MS = 5_000;
export const SWITCH_OLD_SET_LIMIT_MS = 15_000;
export const ENDPOINT_OLD_SET_LIFETIME_MS = 15_000;

// --- switching (REQUIREMENTS S) ---
export const LOUDEST_AUDIO_SOURCES = 3;
export const REFRESH_MIN_INTERVAL_MS = 500;
export const REFRESH_REPEAT_MS = 1_000;
export const ACTIVITY_INTERVAL_MS = 100;
export const NOTIFY_TOLD_TIMEOUT_MS = 10_000;

// --- DTLS (WIRE.md 2) ---
export const DTLS_HANDSHAKE_TIMEOUT_MS = 15_000;
export const DTLS_MAX_MTU_BYTES = 1_200;
export const DTLS_MIN_MTU_BYTES = 256;
export const DTLS_MAX_HANDSHAKE_MESSAGE_BYTES = 16_384;
export const DTLS_MAX_PARALLEL_ADDRESSES = 4;
export const DTLS_MAX_ASSOCIATIONS_PER_WORKER = 4_096;
export const DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION = 64;
/** How long a closing pool waits for its workers before it terminates them. */
export const DTLS_POOL_CLOSE_TIMEOUT_MS = 1_000;
/** Handshake messages held that came before their turn, and separate pieces held of one message (RFC 6347 §4.2.3). */
export const DTLS_MAX_MESSAGES_AHEAD = 8;
export const DTLS_MAX_RANGES_PER_MESSAGE = 32;
/** All messages of one handshake together, both directions: what CertificateVerify and Finished are computed over. */
export const DTLS_MAX_TRANSCRIPT_BYTES = 65_536;
/** RFC 6347 §4.2.4.1. */
export const DTLS_RETRANSMIT_INITIAL_MS = 1_000;
export const DTLS_RETRANSMIT_MAX_MS = 60_000;
/** A failure that only plaintext speaks for, which anybody could have sent, is believed if nothing moves for this long... */
export const DTLS_PLAINTEXT_FAILURE_GRACE_MS = 2_000;
/** ...or when there were so many: each may cost a signature's verification. */
export const DTLS_MAX_PLAINTEXT_FAILURES = 16;

// --- SIP ---
export const SIP_MAX_MESSAGE_BYTES = 65_536;
export const SIP_MAX_HEADER_BYTES = 32_768;
export const SIP_MAX_HEADERS = 256;
export const SIP_T1_MS = 500;
export const SIP_T2_MS = 4_000;
export const SIP_T4_MS = 5_000;
export const SIP_MAX_TRANSACTIONS_PER_CONNECTION = 256;
export const SIP_MAX_CONNECTIONS = 2_048;
export const SDP_MAX_BYTES = 32_768;
export const SDP_MAX_LINES = 1_024;
export const SDP_MAX_MEDIA = 16;

// --- the switch as a whole ---
export const MAX_CONFERENCES = 1_000;
export const MAX_MEMBERS_PER_CONFERENCE = 1_000;
export const MAX_CHANNELS = 8_192;
export const STOP_TIMEOUT_MS = 5_000;
