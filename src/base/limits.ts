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
/** Certificates of channels that closed since the newest set was made; beyond it the oldest is forgotten. */
export const MAX_REMEMBERED_FINGERPRINTS = 1_024;

// --- switching (REQUIREMENTS S) ---
export const LOUDEST_AUDIO_SOURCES = 3;
export const REFRESH_MIN_INTERVAL_MS = 500;
export const REFRESH_REPEAT_MS = 1_000;
export const ACTIVITY_INTERVAL_MS = 100;
export const NOTIFY_TOLD_TIMEOUT_MS = 10_000;
/** Requests for one refresh point; a camera that is off is not asked for ever. */
export const REFRESH_MAX_REQUESTS = 10;
/** Activity reports arrive in a burst, one a source: they are weighed together this long after the first. */
export const ACTIVITY_WEIGH_DELAY_MS = 20;
export const MAX_PENDING_ACTIVITY_REPORTS = 4_096;
/** A source that was not reported for this long is silent. */
export const ACTIVITY_STALE_MS = 350;
/** Share of the way towards a louder (attack) or softer (decay) report that the smoothed energy goes at once. */
export const ENERGY_ATTACK = 0.6;
export const ENERGY_DECAY = 0.25;
/** Energy (0-100) that one packet an interval stands for where there is no energy byte, and the most that packets count. */
export const ENERGY_PER_PACKET = 10;
export const ENERGY_OF_PACKETS_MAX = 50;
/** Below this smoothed energy nobody is speaking. */
export const SPEECH_ENERGY = 15;
/** A challenger must exceed whom it replaces by this smoothed energy for the hold time. */
export const SPEECH_MARGIN = 10;
export const AUDIO_HOLD_MS = 200;
export const VIDEO_HOLD_MS = 1_000;

// --- DTLS (WIRE.md 2) ---
export const DTLS_HANDSHAKE_TIMEOUT_MS = 15_000;
export const DTLS_MAX_MTU_BYTES = 1_200;
export const DTLS_MAX_HANDSHAKE_MESSAGE_BYTES = 16_384;
export const DTLS_MAX_PARALLEL_ADDRESSES = 4;
export const DTLS_MAX_ASSOCIATIONS_PER_WORKER = 4_096;
export const DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION = 64;

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
/** Retry-After of a 503 to a joiner (RFC 3261 §20.33). */
export const RETRY_AFTER_SECONDS = 30;
export const STOP_TIMEOUT_MS = 5_000;
