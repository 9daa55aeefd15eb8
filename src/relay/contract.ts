/**
 * What the main thread may ask of the relay and what the relay tells it. The media path itself is in native/core; nothing
 * here is called once a packet. Channels, conferences and members are named by the caller's numbers (u32, never reused).
 */
import type { Address, ChannelId, ConferenceId, Media, MemberId } from '../base/ids.js';
import type { Result } from '../base/result.js';
import type { Secret } from '../base/secret.js';
import type { ReportBlock } from '../wire/rtcp.js';
import type { ThreadLoad } from './placement.js';
import type { ICE_NEWS, VIDEO_CODECS } from './schema.js';

/**
 * The names of WIRE.md 9 in the order of the checks; the index is the counter's place in shared memory. Of the relay's own:
 * `queue_full` (the kernel had no room for a receiver and its backlog has none, or another relay thread did not take in time
 * what was handed to it), `unreachable` (the kernel says that nobody
 * takes it), `rate_limited` (a source that sends faster than {@link RelayOptions.ingressPacketsPerSecond}), `no_consent` (a
 * receiver whose ICE checks have ended, or not begun), `check_refused` (an ICE check that was answered with an error).
 */
export const DROP_NAMES = [
  'unknown_protocol',
  'malformed',
  'no_multiplex_word',
  'not_ready',
  'unknown_spi',
  'no_key',
  'replayed',
  'too_old',
  'auth_failed',
  'ssrc_owned',
  'bad_position',
  'set_not_installed',
  'below_level',
  'no_payload_type',
  'stream_limit',
  'queue_full',
  'unknown_source',
  'unreachable',
  'rate_limited',
  'no_consent',
  'check_refused',
] as const;
export type DropName = (typeof DROP_NAMES)[number];

/** Same names as security/levels; repeated as a type because `relay` may not import `security`. */
export type RelayLevel = 'unknown' | 'none' | 'hop-by-hop' | 'end-to-end';

export interface RelayOptions {
  readonly threads: number;
  /** Literal address that media sockets bind to. */
  readonly bindAddress: string;
  readonly portMin: number;
  readonly portMax: number;
  /** What one channel may send us in the long run, 0: no limit. Those of base/limits.ts unless a bench says otherwise. */
  readonly ingressPacketsPerSecond?: Readonly<Record<Media, number>>;
  /** Members of a conference that stay on its thread; RELAY_MEMBERS_BEFORE_SPREADING unless a test or bench says otherwise. */
  readonly membersBeforeSpreading?: number;
}

/** In which plain RTP may come from elsewhere than its SDP says (RFC 7362 §4). */
export interface LatchWindow {
  readonly ms: number;
  /** Literal: from this IP address or the SDP's only; undefined: from anywhere. */
  readonly from?: string;
}

export interface OpenChannel {
  readonly channel: ChannelId;
  readonly conference: ConferenceId;
  readonly member: MemberId;
  readonly media: Media;
  /**
   * `plain`: RTP in the clear to and from `peer`, the address of the SDP; only in a conference whose required level is `none`.
   * `sdes`: SRTP under keys of the signalling (RFC 4568); sent to `peer`, until a packet that verifies came from elsewhere.
   */
  readonly transport: 'dtls' | 'plain' | 'sdes';
  readonly peer?: Address;
  /**
   * Not with `dtls`: RTCP has a port of its own, the one above the channel's, which is even, and goes to this one of the peer's.
   * Like RTP it is taken from there only, with keys from where the first that verifies came from.
   */
  readonly rtcp?: Address;
  /**
   * Of a bundle (RFC 9143): the `dtls` channel of the same member whose socket, proven peer and keys are this one's too. It may
   * close last only: with it close all that follow it.
   */
  readonly leader?: ChannelId;
}

/** What negotiation has fixed for a channel; may be sent again when it changes. */
export interface ChannelParameters {
  /** TIP is in force: every RTP packet must carry the multiplex word. */
  readonly tip: boolean;
  /** 1 << position of every place this endpoint may send from (MUXCTRL transmit mask). */
  readonly transmitMask: number;
  /** ACTIVITY_METRIC (audio) or REFRESH_FLAG (video) is in force towards the switch (WIRE.md 7). */
  readonly trailingByte: boolean;
  readonly level: RelayLevel;
  /** All m-lines of the endpoint are proven at the conference's level: media may flow (else `not_ready`). */
  readonly ready: boolean;
  /** RTP payload type ↔ codec number of the conference (any u8 the caller chose); egress is renumbered through it. */
  readonly payloadTypes: readonly {
    readonly payloadType: number;
    readonly codec: number;
    /** Clock of the RTP timestamps, for the jitter of receiver reports; default 48,000 (audio), 90,000 (video). */
    readonly clockRateHz?: number;
    /** Whose key frames the relay can tell where the payload is clear to it; else a switch-over happens at once. */
    readonly video?: VideoCodecName;
  }[];
  /**
   * Payloads end at the switch (level `hop-by-hop`, needs keys that were set `forMedia`; or `none`): what is sent here are
   * streams of the switch's own, whatever the sources are. Needed for receivers without TIP.
   */
  readonly endsHere?: {
    /**
     * 32 random bits other than 0, from which SSRCs are made (the lane in the low byte: src/wire/own-ssrc.ts). For the life of
     * the channel's keys the first one counts.
     */
    readonly seed: number;
    /** Id of the header extension of RFC 6464, where it was agreed on: 1-255. */
    readonly audioLevelId?: number;
  };
  /** In a bundle, the m-line's name (1 to MAX_MID_BYTES bytes) and the id of the header extension that brings it: 1-255. */
  readonly mid?: { readonly id: number; readonly name: string };
}

export type VideoCodecName = keyof typeof VIDEO_CODECS;

export interface ChannelKeys {
  /** DTLS-SRTP's number (1, 2, 7, 8); 0x1001 and 0x1002 for AES_256_CM_HMAC_SHA1_80 and _32 of SDES. */
  readonly profile: number;
  /** Master key ‖ salt of what the switch sends, and of what it receives. */
  readonly local: Secret;
  readonly remote: Secret;
  /** Not for control RTCP only: the channel may become one whose payloads end at the switch. */
  readonly forMedia?: boolean;
}

/** A group parameter set (WIRE.md 1). */
export interface GroupParameterSet {
  /** 16 bits, lowest bit 1. */
  readonly spiWord: number;
  /** SRTP suite and EKT cipher of WIRE.md 4.3. */
  readonly suite: number;
  readonly cipher: number;
  readonly kek: Secret;
  /** 14 bytes. */
  readonly masterSalt: Secret;
}

/** ICE-lite (RFC 8445): what an offer and our answer to it say of one m-line. */
export interface IceCredentials {
  readonly ufrag: string;
  /** 22 to 64 characters. */
  readonly pwd: Secret;
  readonly peerUfrag: string;
  /**
   * The peer is of the time before RFC 7675 and checks no more once it is connected: packets that only it can have made (not
   * those under EKT's sender keys), and its plain RTP, are consent as well.
   */
  readonly lenient?: boolean;
}

/** One edge of the route plan: what `source` sends from `position` is shown at `receiver`'s place `sink`. */
export interface Edge {
  readonly source: ChannelId;
  readonly position: number;
  readonly receiver: ChannelId;
  readonly sink: number;
}

export type RelayEvent =
  /** A datagram of the DTLS range (RFC 7983) on a channel's port. */
  | { readonly type: 'dtls'; readonly channel: ChannelId; readonly from: Address; readonly bytes: Uint8Array }
  /**
   * A verified, decrypted compound (control RTCP, or feedback of a media SSRC); `tipAllowed` only for an SSRC with low byte
   * 00. A compound under channel keys that asks for lost packets and for nothing else stays in the relay, which answers it.
   */
  | { readonly type: 'control'; readonly channel: ChannelId; readonly rtcp: Uint8Array; readonly tipAllowed: boolean }
  | { readonly type: 'bound'; readonly channel: ChannelId; readonly ssrc: number; readonly position: number }
  /** Loudness of a source over the last ACTIVITY_INTERVAL_MS: highest energy (0-100; -1 when no energy byte) and packets. */
  | {
      readonly type: 'activity';
      readonly channel: ChannelId;
      readonly position: number;
      readonly energy: number;
      readonly packets: number;
    }
  /** A verified refresh point (trailing byte 1 or 2) of a video source; at most one event a frame. */
  | { readonly type: 'refresh'; readonly channel: ChannelId; readonly position: number }
  /** A receiver's sink changed over to its planned source. */
  | {
      readonly type: 'switched';
      readonly receiver: ChannelId;
      readonly sink: number;
      readonly source: ChannelId;
      readonly position: number;
    }
  /**
   * What the relay received on this channel, one block for each stream heard since the last report (RFC 3550 §6.4.2), for
   * the RR of the channel's control compound. Only of packets that verified. LSR and DLSR are 0 on a secured channel:
   * the relay does not decrypt sender reports.
   */
  | { readonly type: 'reports'; readonly channel: ChannelId; readonly reports: readonly ReportBlock[] }
  /**
   * A packet that verified names an SSRC that is bound to another channel, `owner` (drop `ssrc_owned`): the endpoint has
   * returned, or somebody imitates it (WIRE.md 10). At once, then each RELAY_CLAIM_INTERVAL_MS of a channel.
   */
  | { readonly type: 'claimed'; readonly channel: ChannelId; readonly ssrc: number; readonly owner: ChannelId }
  /**
   * ICE: the first nominating check of an address (media follows where it may); the peer has not checked from where its media
   * goes for RELAY_ICE_CONSENT_LIFETIME_MS, and nothing is sent to it any more; or it does so again.
   */
  | { readonly type: 'ice'; readonly channel: ChannelId; readonly what: IceNews; readonly address: Address }
  /** Summaries, at most one a second and channel, of refusals that deserve an operator's eye. */
  | {
      readonly type: 'refusals';
      readonly channel: ChannelId;
      readonly drop: 'auth_failed' | 'ssrc_owned' | 'bad_position';
      readonly count: number;
      readonly ssrc: number;
    };

export type IceNews = keyof typeof ICE_NEWS;

export interface RelayCounters {
  /** Datagrams read from media sockets. */
  readonly ingress: number;
  /** Verified media packets (RTP and media RTCP). */
  readonly verified: number;
  /** Datagrams handed to the kernel for receivers. */
  readonly egress: number;
  /** Tags computed for egress. */
  readonly variants: number;
  /** Receivers for whom UDP_SEGMENT was refused since the start: their packets leave one by one, which costs more. */
  readonly unsegmented: number;
  /** Packets sent again because a receiver asked (RFC 4585 §6.2.1); `egress` counts them too. */
  readonly retransmitted: number;
  /** Packets asked for that were never sent to that receiver, no longer are, or are too old. */
  readonly retransmitUnknown: number;
  /** Requests above the limits of a receiver; they were not looked up or not answered. */
  readonly retransmitLimited: number;
  /** Packets for receivers whose sockets are on another relay thread than their conference. */
  readonly handedOver: number;
  readonly drops: Readonly<Record<DropName, number>>;
}

export interface ChannelCounters {
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly retransmitted: number;
  readonly drops: Readonly<Record<DropName, number>>;
}

export interface Relay {
  /** Binds a UDP socket from the range. */
  openChannel(options: OpenChannel): Result<{ readonly port: number }, 'no-port' | 'channel-limit' | 'socket'>;
  closeChannel(channel: ChannelId): void;
  /** DTLS only: media never leaves through here. */
  sendDatagram(channel: ChannelId, to: Address, bytes: Uint8Array): void;
  /**
   * The DTLS peer at this address has proven itself (or, for a plain channel, authenticated signalling has named it): the
   * socket is connected to it, everything else is a stranger's.
   */
  provePeer(channel: ChannelId, peer: Address): void;
  /**
   * After `provePeer` of a plain channel: RTP from elsewhere may show within the window where the peer really is. The first
   * source wins, also the one of the SDP.
   */
  latch(channel: ChannelId, window: LatchWindow): void;
  /** The peer's RTCP port of a channel that has one; undefined: RTCP goes with RTP after all, and our port is closed. */
  setRtcpPort(channel: ChannelId, peer: Address | undefined): void;
  /**
   * An association is to come, the first or one that takes over: until the next `provePeer` DTLS is taken from any address
   * that brings back a cookie, and sent to any; media and control RTCP go on with the proven peer only.
   * With keys of signalling: where the peer is named to be, until a packet that verifies came from elsewhere.
   * @param signalled whom nobody else's hellos can keep out; `calls`: the hello is ours
   */
  awaitPeer(channel: ChannelId, signalled: Address | undefined, calls: boolean): void;
  /**
   * ICE-lite is in force for the channel from now on, before our answer is sent: it is sent to, and heard, only where its
   * peer has checked from. With credentials that differ it restarts: those before are good until the new ones nominate.
   * @param ice undefined: a later offer is without
   */
  setIce(channel: ChannelId, ice: IceCredentials | undefined): void;
  /**
   * Master key ‖ salt of each direction; copied into the relay, the caller wipes its own. Keys that are replaced still open
   * what the peer sent before it had the new ones, for PREVIOUS_CHANNEL_KEYS_LIFETIME_MS.
   */
  setChannelKeys(channel: ChannelId, keys: ChannelKeys): void;
  setParameters(channel: ChannelId, parameters: ChannelParameters): void;
  /** A plain RTCP compound to protect with the channel keys (or send as it is on a plain channel). */
  sendControl(channel: ChannelId, rtcp: Uint8Array): void;
  /** `below_level`: no stream of this conference goes to a channel below `requiredLevel`, whatever the routes say. */
  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): void;
  closeConference(conference: ConferenceId): void;
  installSet(conference: ConferenceId, set: GroupParameterSet): void;
  dropSet(conference: ConferenceId, spiWord: number): void;
  /** The channel's receiver has installed the set (SPIMAP ACK): streams under it may go there, and it may send under it. */
  setAcked(channel: ChannelId, spiWord: number): void;
  /**
   * The whole plan of one media kind of a conference. A video sink that changes its source keeps the old one until the new
   * source's next refresh point (S3), unless that source has no refresh flag; audio changes at once.
   */
  setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): void;
  counters(): RelayCounters;
  /** Bytes of the datagrams of all channels since the start, UDP and IP headers not counted. */
  bytes(): { readonly in: number; readonly out: number };
  channelCounters(channel: ChannelId): ChannelCounters | undefined;
  /** CPU time of each relay thread since its start, nanoseconds (CLOCK_THREAD_CPUTIME_ID). */
  threadCpuNs(): readonly bigint[];
  /** What each relay thread has to do: new conferences, and members of large ones, go where it is least. */
  threadLoads(): readonly ThreadLoad[];
  /** Stops and joins the threads, wipes all keys, closes all sockets. */
  close(): void;
}
