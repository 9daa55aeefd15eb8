/**
 * Every limit of the project, with its unit in its name. A queue or table that is not bounded by a constant from here
 * is a defect; what happens at each limit has a test. The native relay has its own copy of the packet limits
 * (native/core/limits.h); a test compares the two.
 */

// --- datagrams and media (WIRE.md 11) ---
export const MAX_DATAGRAM_BYTES = 1500;
export const MAX_STREAMS_PER_CHANNEL = 16;
export const MAX_RECEIVE_CONTEXTS = 256;
export const ENDPOINT_CONNECT_TIMEOUT_MS = 10_000;
export const SENDER_REPORT_INTERVAL_MS = 2_000;
export const MAX_RTCP_PACKETS_PER_COMPOUND = 16;
export const MAX_TIP_PACKET_BYTES = 512;
export const REPLAY_WINDOW_PACKETS = 1024;
export const KEY_SLOTS_PER_STREAM = 3;
export const PREVIOUS_KEY_LIFETIME_MS = 2_000;
/** How long channel keys that a new association has replaced still open what the peer sent under them. */
export const PREVIOUS_CHANNEL_KEYS_LIFETIME_MS = 10_000;
/** SSRCs (control and media) for which a channel keeps a replay window or a rollover counter under its channel keys. */
export const MAX_CHANNEL_KEY_SSRCS = 64;

// --- relay (native/) ---
export const RELAY_RECEIVE_BATCH_DATAGRAMS = 32;
/** Packets that wait for one receiver within one drain of the sockets; more are sent before the drain goes on. */
export const RELAY_RECEIVER_QUEUE_PACKETS = 64;
/**
 * Packets made within one drain; more are sent before the drain goes on. A frame of 10 for each of 200 receivers under keys
 * of their own: cut shorter, their runs (UDP_SEGMENT) would be shorter too.
 */
export const RELAY_VARIANT_ARENA_PACKETS = 2_048;
/** Cells for packets whose memory a relay thread has from its start, about 3 MB. */
export const RELAY_VARIANTS_READY = 2_048;
/**
 * A conference up to this size stays on one relay thread; the members beyond it go wherever the load is least. A thread
 * carries some 1,000 members with three voices and a picture each; a tenth of that leaves room for what comes later.
 */
export const RELAY_MEMBERS_BEFORE_SPREADING = 100;
/** What a channel that has not sent or received yet counts for beside the measured load of a thread (1,000: a whole core). */
export const RELAY_LOAD_PER_CHANNEL_PERMILLE = 1;
/** Variants of one thread that others still have to send (a power of two); beyond it nothing is handed over (`queue_full`). */
export const RELAY_LENT_VARIANTS = 32_768;
/**
 * From one relay thread to one other (powers of two): packets on their way to receivers, of which video may take three
 * quarters; and datagrams that came in, of which one channel may have so many under way. Beyond it: `queue_full`.
 */
export const RELAY_HANDOVER_PACKETS = 65_536;
export const RELAY_HANDOVER_DATAGRAMS = 2_048;
export const RELAY_HANDOVER_DATAGRAMS_PER_CHANNEL = 128;
/**
 * Taken from one other thread before a thread turns to its own sockets again: as many as a full batch of datagrams makes for
 * 500 receivers, for what leaves together costs half.
 */
export const RELAY_HANDOVER_PACKETS_PER_TURN = 16_384;
/** Packets of one thread that wait because the kernel had no room for them, and of one receiver: beyond it old video goes. */
export const RELAY_BACKLOG_PACKETS = 4_096;
export const RELAY_BACKLOG_PACKETS_PER_RECEIVER = 128;
/** What a source may send in the long run: four cameras of 14 Mbit/s, four microphones with 4 ms a packet. */
export const RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND = 1_000;
export const RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND = 5_000;
/** A pause on the way may be made up for at once. */
export const RELAY_INGRESS_BURST_MS = 500;
/** To an address of SDP from which nothing has verified yet, and for how long; control that came before one was named. */
export const RELAY_UNPROVEN_PEER_PACKETS_PER_SECOND = 50;
export const RELAY_UNPROVEN_PEER_MS = 10_000;
export const RELAY_EARLY_DATAGRAMS_PER_CHANNEL = 4;
/** Events that wait for the main thread; DTLS datagrams and control RTCP may take the first half only. */
export const RELAY_EVENT_QUEUE_BYTES = 4_194_304;
export const RELAY_COMMAND_QUEUE_BYTES = 67_108_864;
/** DTLS datagrams of one address that has a place on a channel. */
export const RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND = 200;
/** Hellos of addresses without a place that are answered with a cookie: the signalled one's, and all others' together. */
export const RELAY_DTLS_SIGNALLED_HELLOS_PER_SECOND = 50;
export const RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND = 1_000;
/**
 * ICE (RFC 8445) and consent (RFC 7675 §5.1): a check that verified is good so long, for what is sent to its address and for
 * what is taken from there; a call whose peer has stopped checking is over so long after that.
 */
export const RELAY_ICE_CONSENT_LIFETIME_MS = 30_000;
export const ICE_CONSENT_PATIENCE_MS = 15_000;
/** Addresses of one channel from which checks verified; beyond it whoever was silent the longest gives way. */
export const RELAY_ICE_CHECKED_ADDRESSES = 8;
/** Transactions of one channel that are known again, so that nobody sends one a second time from elsewhere. */
export const RELAY_ICE_REMEMBERED_CHECKS = 256;
/** Checks of one such address; those that name the right user from all other addresses; and errors told to anybody. */
export const RELAY_ICE_CHECKS_PER_ADDRESS_SECOND = 50;
export const RELAY_ICE_STRANGERS_CHECKS_PER_SECOND = 500;
export const RELAY_ICE_ERRORS_PER_SECOND = 20;
/** Characters (of 6 random bits) of the names and passwords that we give: 4 and 22 at least (RFC 8445 §5.3). */
export const ICE_UFRAG_CHARS = 8;
export const ICE_PWD_CHARS = 24;
export const RELAY_REFUSAL_SUMMARY_INTERVAL_MS = 1_000;
export const MAX_ROUTE_EDGES = 262_144;
/** Control SSRCs that one channel's keys may name: what its own endpoint sends with. */
export const MAX_CONTROL_SSRCS_PER_CHANNEL = 32;
/** m-lines of a bundle (RFC 9143), its leader included. */
export const MAX_BUNDLED_CHANNELS = 16;
/** Longest `a=mid` that is looked for in a header extension; RFC 9143 §15 wants at most 3. */
export const MAX_MID_BYTES = 32;
/** SSRCs of a bundle's m-lines that have closed, remembered for the life of its keys; above it no new stream is taken. */
export const RELAY_RETIRED_STREAMS_PER_BUNDLE = 64;
/** Channels of a bundle that the switch may send own streams on, one after the other, for the life of its keys. */
export const RELAY_OWN_SEEDS_PER_BUNDLE = 1024;

// --- retransmission and reports (RFC 4585, RFC 3550) ---
/** How long the relay keeps a video packet as it was sent. */
export const RELAY_RETRANSMIT_AGE_MS = 500;
/** Packets kept of one stream; each variant counts (a power of two). */
export const RELAY_RETRANSMIT_PACKETS_PER_STREAM = 1_024;
export const RELAY_RETRANSMIT_PACKETS_PER_THREAD = 32_768;
/** The same packet goes to the same receiver again after this long at the earliest. */
export const RELAY_RETRANSMIT_MIN_INTERVAL_MS = 20;
/** Sequence numbers that one receiver may ask for, answered or not; a burst may use up what was saved before. */
export const RELAY_RETRANSMIT_REQUESTS_PER_SECOND = 400;
export const RELAY_RETRANSMIT_REQUEST_BURST = 100;
export const RELAY_REPORT_INTERVAL_MS = 1_500;
/** A channel that names an SSRC of another is told of so often at most. */
export const RELAY_CLAIM_INTERVAL_MS = 100;
/** The endpoint's half: a gap is a loss after so many later packets or so long, whichever comes first. */
export const LOSS_REORDER_PACKETS = 3;
export const LOSS_REORDER_MS = 20;
/** NACKs for one packet, so far apart at least; then, or after the give-up time, the picture is lost. */
export const LOSS_NACK_INTERVAL_MS = 60;
export const LOSS_MAX_NACKS = 6;
export const LOSS_GIVE_UP_MS = 500;
/** A display may seem to change its source and back for so long when packets overtake each other. */
export const LOSS_SWITCH_REORDER_MS = 60;
/** Missing packets remembered of one stream; a wider gap is a lost picture at once. */
export const LOSS_MAX_MISSING_PER_STREAM = 128;
/** Streams whose losses and reports an endpoint keeps; the one that was silent the longest gives way. */
export const MAX_REPORTED_STREAMS = 64;
/** Report blocks in one RR (RFC 3550 §6.4.2). */
export const MAX_REPORT_BLOCKS = 31;

// --- TIP and SPIMAP (WIRE.md 4) ---
export const TIP_RETRANSMIT_INTERVAL_MS = 250;
export const TIP_RETRANSMIT_LIMIT = 40;
export const TIP_NEGOTIATION_TIMEOUT_MS = 10_000;
export const SPIMAP_TIMEOUT_MS = 10_000;
/** Packets of one type that wait on a channel behind an unacknowledged one of that type. */
export const TIP_MAX_QUEUED_PER_TYPE = 64;

/** Control compounds (TIP, feedback) of one channel that are looked at in one second. */
export const MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND = 200;

// --- group parameter sets (WIRE.md 10) ---
export const MIN_SET_INTERVAL_MS = 15_000;
export const MAX_LIVE_SETS = 4;
export const SET_SEND_DELAY_MS = 2_000;
export const SWITCH_OLD_SET_GRACE_MS = 5_000;
export const SWITCH_OLD_SET_LIMIT_MS = 15_000;
export const ENDPOINT_OLD_SET_LIFETIME_MS = 15_000;
/** A group parameter set that is used for longer is replaced, where the configuration says how long: from this age up. */
export const MIN_REKEY_AGE_MS = 60_000;
/** Certificates of channels that closed since the newest set was made; beyond it the oldest is forgotten. */
export const MAX_REMEMBERED_FINGERPRINTS = 1_024;

// --- switching (REQUIREMENTS S) ---
export const LOUDEST_AUDIO_SOURCES = 3;
export const REFRESH_MIN_INTERVAL_MS = 500;
export const REFRESH_REPEAT_MS = 1_000;
export const ACTIVITY_INTERVAL_MS = 100;
/** A member that has not acknowledged the icon by then, or has not answered its re-INVITE, is dropped (C5). */
export const NOTIFY_TOLD_TIMEOUT_MS = 10_000;
export const LEVEL_CHANGE_ANSWER_TIMEOUT_MS = 10_000;
/** After the last low endpoint has left; one that dials again at once does not have everybody change twice (C7). */
export const RESTORE_DELAY_MS = 5_000;
/** Requests for one refresh point; a camera that is off is not asked for ever. */
export const REFRESH_MAX_REQUESTS = 10;
/** Activity reports arrive in a burst, one a source: they are weighed together this long after the first. */
export const ACTIVITY_WEIGH_DELAY_MS = 20;
export const MAX_PENDING_ACTIVITY_REPORTS = 4_096;
/** A source that was not reported for this long is silent. */
export const ACTIVITY_STALE_MS = 350;
/** Share of the way towards a louder (attack) or softer (decay) report that the smoothed energy goes at once. */
export const ENERGY_ATTACK = 0.7;
export const ENERGY_DECAY = 0.5;
/** Energy (0-100) that one packet an interval stands for where there is no energy byte, and the most that packets count. */
export const ENERGY_PER_PACKET = 10;
export const ENERGY_OF_PACKETS_MAX = 50;
/** Below this smoothed energy nobody is speaking. */
export const SPEECH_ENERGY = 15;
/** A challenger must exceed whom it replaces by this smoothed energy for the hold time. */
export const SPEECH_MARGIN = 10;
export const AUDIO_HOLD_MS = 200;
/** With ACTIVITY_INTERVAL_MS and the weighing: a speaker has the picture within 500 ms, a cough is over by then. */
export const VIDEO_HOLD_MS = 300;
/** A camera that nobody watches is stopped (TXFLOWCTRL) after this long. */
export const FLOW_STOP_DELAY_MS = 5_000;

// --- DTLS (WIRE.md 2) ---
export const DTLS_HANDSHAKE_TIMEOUT_MS = 15_000;
export const DTLS_MAX_MTU_BYTES = 1_200;
export const DTLS_MIN_MTU_BYTES = 256;
export const DTLS_MAX_HANDSHAKE_MESSAGE_BYTES = 16_384;
/** How long the relay makes cookies under one secret; they are good for as long again (RFC 6347 §4.2.1). */
export const DTLS_COOKIE_LIFETIME_MS = 60_000;
/** Addresses on a channel, besides the signalled one, whose handshakes run at a time... */
export const DTLS_MAX_PARALLEL_ADDRESSES = 4;
/** ...and how long one has for it before another may take its place. */
export const DTLS_STRANGER_PATIENCE_MS = 5_000;
export const DTLS_MAX_ASSOCIATIONS_PER_WORKER = 4_096;
export const DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION = 64;
/** Messages that a worker has not taken yet; the others wait before it, those for accepted calls first. */
export const DTLS_WORKER_WINDOW_MESSAGES = 16;
/** Associations with strangers of one worker; beyond them the latest is refused. */
export const DTLS_MAX_STRANGERS_PER_WORKER = 256;
/** How long a closing pool waits for its workers before it terminates them. */
export const DTLS_POOL_CLOSE_TIMEOUT_MS = 1_000;
/** Handshake messages held that came before their turn, and separate pieces held of one message (RFC 6347 §4.2.3). */
export const DTLS_MAX_MESSAGES_AHEAD = 8;
export const DTLS_MAX_RANGES_PER_MESSAGE = 32;
/** All messages of one handshake together, both directions: what CertificateVerify and Finished are computed over. */
export const DTLS_MAX_TRANSCRIPT_BYTES = 65_536;
/**
 * Shorter than RFC 6347 §4.2.4.1's second, as RFC 9147 §5.8.2 lets real-time media have it: five repetitions fit into
 * DTLS_HANDSHAKE_TIMEOUT_MS, so that 5 % loss fails no call.
 */
export const DTLS_RETRANSMIT_INITIAL_MS = 400;
export const DTLS_RETRANSMIT_MAX_MS = 60_000;
/** A failure that only plaintext speaks for, which anybody could have sent, is believed if nothing moves for this long... */
export const DTLS_PLAINTEXT_FAILURE_GRACE_MS = 2_000;
/** ...or when there were so many: each may cost a signature's verification. */
export const DTLS_MAX_PLAINTEXT_FAILURES = 16;

// --- SIP ---
export const SIP_MAX_MESSAGE_BYTES = 65_536;
export const SIP_MAX_HEADER_BYTES = 32_768;
export const SIP_MAX_HEADERS = 256;
/** RFC 3261 §18.1.1: a request that is larger goes by TCP, where the path's MTU is not known; and how long that is tried. */
export const SIP_MAX_DATAGRAM_REQUEST_BYTES = 1_300;
export const SIP_STREAM_TRY_MS = 2_000;
export const SIP_T1_MS = 500;
export const SIP_T2_MS = 4_000;
export const SIP_T4_MS = 5_000;
export const SIP_MAX_TRANSACTIONS_PER_CONNECTION = 256;
/** Branch, Call-ID and tags: what stays of a request when it is answered. */
export const SIP_MAX_IDENTIFIER_CHARS = 512;
export const SIP_MAX_CONNECTIONS = 2_048;
/** Of one address, or of one /64 of IPv6. */
export const SIP_MAX_CONNECTIONS_PER_ADDRESS = 1_024;
/** Addresses and ports that one UDP socket remembers. */
export const SIP_MAX_DATAGRAM_PEERS = 512;
export const SIP_MAX_UNSENT_BYTES = 1_048_576;
export const SIP_TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
export const SIP_IDLE_CONNECTION_MS = 60_000;
/** SIP over WebSocket: from the end of the TLS handshake to that of the WebSocket's, and for the closing one. */
export const SIP_WEBSOCKET_HANDSHAKE_TIMEOUT_MS = 10_000;
export const SIP_WEBSOCKET_CLOSE_TIMEOUT_MS = 500;
/** A peer is pinged this often; one that says nothing from one ping to the next is gone. */
export const SIP_WEBSOCKET_PING_INTERVAL_MS = 25_000;
/** Pieces that one message may come in: frames, and TLS records of one frame. */
export const SIP_WEBSOCKET_MAX_FRAGMENTS = 256;
export const SIP_WEBSOCKET_MAX_CHUNKS = 2_048;
export const SIP_MAX_CALLS = 8_192;
/** RFC 4028 §5: the least that a session timer may be, and what we ask for. */
export const SIP_MIN_SESSION_EXPIRES_S = 90;
export const SIP_SESSION_EXPIRES_S = 1_800;
/** A refresh that could not be sent, or was refused, is tried again after this. */
export const SIP_REFRESH_RETRY_MS = 5_000;
/** A peer with a call of whom nothing was heard for so long is asked whether it is there. */
export const SIP_PROBE_AFTER_MS = 90_000;
/** RFC 5626 §4.4.1: whoever opened a connection says something at least this often, and an answer comes within this. */
export const SIP_CRLF_INTERVAL_MS = 110_000;
export const SIP_CRLF_TIMEOUT_MS = 10_000;
/** How long a REFER may take. */
export const SIP_REFER_SUBSCRIPTION_S = 60;
/** A stopping switch waits so long for the ACKs of calls that were just answered; then it says BYE without them. */
export const SIP_STOP_ACK_WAIT_MS = 1_000;
/** Answers to one forked INVITE that are acknowledged (and hung up) beyond the first. */
export const SIP_MAX_FORKS = 8;
/** Digest nonces whose count is remembered; beyond it the oldest counts as expired. */
export const SIP_MAX_DIGEST_NONCES = 16_384;
/** Challenges (401, 407) to one request that we answer: two realms on the way, and a nonce that expired. */
export const DIGEST_MAX_ATTEMPTS = 4;
/** Registrations (RFC 3261 §10.3): how long they may last, and how many there may be. */
export const REGISTRAR_MIN_EXPIRES_S = 60;
export const REGISTRAR_DEFAULT_EXPIRES_S = 3_600;
export const REGISTRAR_MAX_EXPIRES_S = 7_200;
export const REGISTRAR_MAX_BINDINGS_PER_USER = 8;
export const REGISTRAR_MAX_BINDINGS = 4_096;
export const REGISTRAR_SWEEP_INTERVAL_MS = 30_000;
/** RFC 5626 §5.4: how often whoever registered a flow must say something there, and how much later it is taken for dead. */
export const REGISTRAR_FLOW_TIMER_S = 120;
export const REGISTRAR_FLOW_GRACE_S = 30;
/**
 * A call that we make: connecting to a server, ringing, tries at one server, how long its Retry-After may make us wait in all,
 * and after which time no further one is tried.
 */
export const DIAL_CONNECT_TIMEOUT_MS = 5_000;
export const DIAL_RING_TIMEOUT_MS = 120_000;
export const DIAL_MAX_TRIES_PER_SERVER = 2;
export const DIAL_MAX_WAIT_MS = 32_000;
export const DIAL_MAX_SEARCH_MS = 60_000;
/** The longest window in which plain RTP may show that its peer is elsewhere. */
export const MAX_LATCH_WINDOW_S = 60;
/** Calls under way that we make, and those that are over whose outcome is kept. */
export const MAX_DIALS = 256;
export const MAX_FINISHED_DIALS = 256;
/** After the last change of a certificate's folder its files are read; where they do not fit yet, once more after the retry. */
export const TLS_RELOAD_QUIET_MS = 300;
export const TLS_RELOAD_RETRY_MS = 2_000;
/** Before a certificate or a revocation list ends, the operator is told. */
export const TLS_EXPIRY_WARNING_MS = 30 * 86_400_000;
export const TLS_EXPIRY_CHECK_INTERVAL_MS = 86_400_000;
/** X.509 subject names of one trunk, all together, and trunks (REQUIREMENTS T2). */
export const TRUNK_MAX_NAME_CHARS = 4_096;
export const MAX_TRUNKS = 256;
/** How often DNS is asked for the addresses that peers of trunks without TLS call from. */
export const TRUNK_ADDRESS_REFRESH_MS = 60_000;
/** DNS for SIP: lookups under way, records of one answer, servers that one lookup gives, and how long it may take. */
export const SIP_LOCATE_MAX_LOOKUPS = 256;
export const SIP_LOCATE_MAX_RECORDS = 16;
export const SIP_LOCATE_MAX_HOPS = 8;
export const SIP_LOCATE_TIMEOUT_MS = 8_000;
export const SDP_MAX_BYTES = 32_768;
export const SDP_MAX_LINES = 1_024;
export const SDP_MAX_MEDIA = 16;

// --- log ---
export const LOG_THROTTLE_INTERVAL_MS = 10_000;
/** Lines of one kind about calls in one interval: a call is a line or two, and anybody may call. */
export const LOG_MAX_LINES_PER_KIND = 50;
/** Names (addresses, endpoints in conferences) of one group of log lines in one interval. */
export const LOG_THROTTLE_MAX_NAMES = 64;

// --- the switch as a whole ---
export const MAX_CONFERENCES = 1_000;
export const MAX_MEMBERS_PER_CONFERENCE = 1_000;
export const MAX_CHANNELS = 8_192;
/** Retry-After of a 503 to a joiner (RFC 3261 §20.33). */
export const RETRY_AFTER_SECONDS = 30;
export const STOP_TIMEOUT_MS = 5_000;

// --- the endpoint's media ---
export const RTP_DEFAULT_MAX_PAYLOAD_BYTES = 1_200;
export const MAX_ACCESS_UNIT_BYTES = 1_048_576;
export const MAX_NALS_PER_ACCESS_UNIT = 512;
export const MAX_PARAMETER_SETS_KEPT = 16;
export const MAX_PARAMETER_SET_BYTES = 1_024;
export const REORDER_MAX_PACKETS = 64;
export const REORDER_MAX_WAIT_MS = 60;
export const REORDER_MAX_MISORDER_PACKETS = 100;
export const MAX_MEDIA_FILE_BYTES = 268_435_456;
export const MAX_OGG_PACKET_BYTES = 65_536;
export const MAX_OPUS_TAGS = 64;
export const MAX_RECORDED_STREAMS = 256;
export const RECORDER_MAX_GAP_MS = 10_000;
export const BRIDGE_MAX_SKIPPED_PACKETS = 100;

// --- administration ---
export const ADMIN_MAX_CONNECTIONS = 256;
/** Of one address, or of one /64 of IPv6. */
export const ADMIN_MAX_CONNECTIONS_PER_ADDRESS = 128;
export const ADMIN_REQUESTS_PER_SECOND = 50;
export const ADMIN_REQUEST_BURST = 200;
/** A request with a wrong token, or none where one is needed, counts as so many. */
export const ADMIN_UNAUTHORIZED_COST = 10;
export const ADMIN_MAX_RATE_ADDRESSES = 4_096;
export const ADMIN_MAX_BODY_BYTES = 524_288;
export const ADMIN_REQUEST_TIMEOUT_MS = 10_000;
/** Until the first byte of a connection says whether it is TLS. */
export const ADMIN_FIRST_BYTE_TIMEOUT_MS = 5_000;
export const ADMIN_MAX_EVENTS_PER_ANSWER = 1_000;
export const ADMIN_MAX_EVENT_STREAMS = 64;
/** A listener that leaves so much unread is cut; it can resume by Last-Event-ID. */
export const ADMIN_MAX_UNREAD_STREAM_BYTES = 262_144;
export const ADMIN_STREAM_KEEPALIVE_MS = 15_000;
/** Changes of level that are remembered of one conference, and conferences of which they are. */
export const ADMIN_MAX_LEVEL_CHANGES = 256;
export const ADMIN_MAX_LEVEL_HISTORIES = 2_000;
/** Bit rates are averages over this interval. */
export const ADMIN_TRAFFIC_INTERVAL_MS = 1_000;

/** "claviger doctor": how long a peer may take to answer. */
export const DOCTOR_CONNECT_TIMEOUT_MS = 3_000;

// --- events ---
/** Security events that wait in memory when the store fails, or there is none. */
export const EVENT_MEMORY_RECORDS = 10_000;
/** Events of one cause (a code, and whoever brought it about) that are kept in full; the others are counted. */
export const EVENT_BURST_PER_CAUSE = 20;
export const EVENTS_PER_CAUSE_SECOND = 1;
export const EVENT_MAX_CAUSES_PER_CODE = 1_024;
/** The count of what was suppressed is told after so long, when no next event of the cause brings it. */
export const EVENT_SUMMARY_INTERVAL_MS = 10_000;
/** A store that failed is tried again after so long. */
export const AUDIT_RETRY_INTERVAL_MS = 10_000;
/** Age and size of the audit store are looked at once in so many events. */
export const AUDIT_CHECK_EVERY_EVENTS = 256;
export const EVENT_TICK_MS = 1_000;
export const WEBHOOK_MAX_QUEUED = 1_000;
export const WEBHOOK_MAX_ATTEMPTS = 10;
export const WEBHOOK_RETRY_INITIAL_MS = 1_000;
export const WEBHOOK_RETRY_MAX_MS = 60_000;
export const WEBHOOK_TIMEOUT_MS = 10_000;
export const SYSLOG_MAX_QUEUED = 1_000;
export const SYSLOG_RECONNECT_MS = 5_000;
export const SYSLOG_TIMEOUT_MS = 30_000;
export const MIN_LIMIT_BITS_PER_SECOND = { audio: 8_000, video: 64_000 } as const; // that a member's `b=` asks of others
