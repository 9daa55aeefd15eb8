/**
 * What a conference is told, what it decides, and what it remembers. `reduce(state, event, now)` (reduce.ts) is the one
 * transition function; it knows members, channels and masks, and neither SIP nor sockets nor keys.
 *
 * An event that makes no sense in the present state changes nothing: the same state object comes back with the single
 * effect `illegal`. Most of these are races (a report about a channel whose call was just ended), none is an error.
 */
import type { ChannelId, ConferenceId, Media, MemberId } from '../base/ids.js';
import type { SecurityEventCode } from '../security/events.js';
import type { Level, ProvenLevel } from '../security/levels.js';
import type {
  FailureReason,
  OfferedMedia,
  OnNegotiationFailure,
  Policy,
  RefusalReason,
  Restore,
  SipWarning,
  TipSecurity,
} from '../security/policy.js';
import type { Flow } from './flow.js';
import type { RefreshRequests } from './refresh.js';
import type { GroupSets } from './sets.js';
import type { ActivityReport, SpeakerParameters, SpeakerState } from './speaker.js';

/** An m-line of an INVITE or re-INVITE for which a channel was opened. */
export interface JoinChannel extends OfferedMedia {
  readonly channel: ChannelId;
}

/** The outcome of TIP on a channel (WIRE.md 4), seen from the endpoint: masks are 1 << position. */
export interface TipFacts extends TipSecurity {
  /** Places the endpoint sends from. */
  readonly transmitMask: number;
  /** Places (displays, loudspeakers) the endpoint receives for. */
  readonly receiveMask: number;
  /** ACTIVITY_METRIC (audio) or REFRESH_FLAG (video) is in force towards the switch (WIRE.md 7). */
  readonly trailingByte: boolean;
}

/** `replaced`: the same endpoint has taken over with a new call (WIRE.md 10). */
export type LeaveCause = 'hung-up' | 'cancelled' | 'connection-lost' | 'session-timer' | 'replaced' | 'dropped';
export type CloseReason = 'stopping' | 'operator';

/** How video is switched (S2). */
export type SwitchingMode = 'site' | 'segment';

/** What somebody in charge may ask for while the conference runs (S5, WIRE.md 10). */
export type OperatorEvent =
  | { readonly type: 'set-switching'; readonly mode: SwitchingMode }
  /** A locked conference refuses joiners with 403. */
  | { readonly type: 'lock'; readonly locked: boolean }
  /** Nobody gets this media of the member until it is taken back; it goes on seeing and hearing the others. */
  | { readonly type: 'mute'; readonly member: MemberId; readonly media: Media; readonly muted: boolean }
  | { readonly type: 'drop'; readonly member: MemberId }
  /** A new group parameter set, as soon as MIN_SET_INTERVAL_MS allows. */
  | { readonly type: 'rekey' }
  /** Ends every call with 410 (`operator`) or 503 (`stopping`). */
  | { readonly type: 'close'; readonly reason: CloseReason };

export type ConferenceEvent =
  | OperatorEvent
  /** An INVITE, its offer parsed and a channel opened for each m-line that is to be answered. One m-line a media kind. */
  | {
      readonly type: 'join';
      readonly member: MemberId;
      readonly name: string;
      readonly channels: readonly JoinChannel[];
    }
  /** A re-INVITE brought m-lines that the call did not have: each is unknown by itself (WIRE.md 2). */
  | { readonly type: 'add-channels'; readonly member: MemberId; readonly channels: readonly JoinChannel[] }
  /** A re-INVITE disabled m-lines; what is left was judged already. The last channel of a call does not go this way. */
  | { readonly type: 'remove-channels'; readonly member: MemberId; readonly channels: readonly ChannelId[] }
  /** Whom we called has answered, and speaks no TIP: its channels are those of a standard endpoint (of a caller `join` says it). */
  | { readonly type: 'without-tip'; readonly member: MemberId }
  /** Hold and resume (RFC 3264 §8.4), from the endpoint's point of view. */
  | {
      readonly type: 'channel-direction';
      readonly channel: ChannelId;
      readonly sends: boolean;
      readonly receives: boolean;
    }
  /** A new DTLS association has taken over on a channel, perhaps with another certificate. */
  | { readonly type: 'channel-rekeyed'; readonly channel: ChannelId; readonly fingerprint: string }
  /** A verified packet on `channel` names an SSRC that is bound to `owner` (WIRE.md 10). */
  | { readonly type: 'claim'; readonly channel: ChannelId; readonly owner: ChannelId }
  /** DTLS done, certificate checked against SDP. `fingerprint`: SHA-256 of the certificate, hex. */
  | { readonly type: 'channel-keyed'; readonly channel: ChannelId; readonly fingerprint: string }
  /** TIP done (WIRE.md 4.1). On a plain channel it only brings masks. */
  | { readonly type: 'channel-negotiated'; readonly channel: ChannelId; readonly tip: TipFacts }
  /** SPIMAP ACKed (control tells the relay of it by itself). */
  | { readonly type: 'set-acked'; readonly channel: ChannelId; readonly spiWord: number }
  | {
      readonly type: 'channel-failed';
      readonly channel: ChannelId;
      readonly reason: FailureReason;
      readonly detail: string;
    }
  | { readonly type: 'leave'; readonly member: MemberId; readonly cause: LeaveCause }
  /** NOTIFY SECURITYICON ACKed. */
  | { readonly type: 'notify-acked'; readonly channel: ChannelId; readonly secure: boolean }
  /** The member's answer to the re-INVITE of a `move` is in force: these channels take the place of all it had. */
  | { readonly type: 'moved'; readonly member: MemberId; readonly channels: readonly JoinChannel[] }
  /** It refused the re-INVITE, or answered with nothing that can be used. */
  | { readonly type: 'move-refused'; readonly member: MemberId; readonly detail: string }
  /** Between end-to-end and hop-by-hop: the endpoint did not acknowledge what its channel is to use. */
  | { readonly type: 'not-followed'; readonly channel: ChannelId; readonly detail: string }
  /** From the relay, each ACTIVITY_INTERVAL_MS: highest energy 0-100 (-1: no energy byte) and packets. */
  | ({ readonly type: 'activity' } & ActivityReport)
  /** A refresh point of a video source went through the relay. */
  | { readonly type: 'refresh'; readonly channel: ChannelId; readonly position: number }
  /** A receiver asks for a picture it can decode (TIP REFRESH, PLI, FIR) at one of its sinks. */
  | { readonly type: 'refresh-wanted'; readonly receiver: ChannelId; readonly sink: number }
  /** The relay changed a sink over to its planned source. */
  | {
      readonly type: 'switched';
      readonly receiver: ChannelId;
      readonly sink: number;
      readonly source: ChannelId;
      readonly position: number;
    }
  | { readonly type: 'tick' };

/** What `source` sends from `position` is shown at `receiver`'s place `sink` (the relay's Edge). */
export interface Edge {
  readonly source: ChannelId;
  readonly position: number;
  readonly receiver: ChannelId;
  readonly sink: number;
}

export type IllegalReason =
  | 'closed'
  | 'unknown-member'
  | 'unknown-channel'
  | 'member-exists'
  | 'channel-exists'
  | 'several-channels-of-one-media'
  | 'channel-phase'
  | 'plain-channel'
  | 'set-not-sent'
  | 'not-notified'
  | 'not-moving';

/** In the order in which control is to carry them out. */
export type Effect =
  /** Answer 200 with all channels of the `join`. */
  | { readonly type: 'admit'; readonly member: MemberId }
  /** Answer with this status; the member is not part of the conference. */
  | {
      readonly type: 'refuse';
      readonly member: MemberId;
      readonly status: 403 | 488 | 503;
      readonly reason: RefusalReason | 'locked' | 'member-limit' | 'closed';
      readonly warning?: SipWarning;
      /** For `Reason: SIP;cause=<status>;text="..."`. */
      readonly reasonText: string;
      readonly retryAfterSeconds?: number;
    }
  /** Answer 200 to the re-INVITE; the channels start unknown. */
  | { readonly type: 'admit-channels'; readonly member: MemberId; readonly channels: readonly ChannelId[] }
  /** Answer the re-INVITE with this status; the call goes on as it was (RFC 3261 §14.2). */
  | {
      readonly type: 'refuse-channels';
      readonly member: MemberId;
      readonly channels: readonly ChannelId[];
      readonly status: 488;
      readonly reason: RefusalReason;
      readonly warning: SipWarning;
      readonly reasonText: string;
    }
  /** Make KEK and master salt of a new set under the conference's suite and cipher, and install it in the relay. */
  | { readonly type: 'make-set'; readonly spiWord: number }
  /** SPIMAP of this set to this channel (WIRE.md 4.2); a newer one supersedes an unacknowledged older one. */
  | { readonly type: 'send-set'; readonly channel: ChannelId; readonly spiWord: number }
  /** The relay no longer accepts the set; its secrets are wiped. */
  | { readonly type: 'drop-set'; readonly spiWord: number }
  | {
      readonly type: 'channel-parameters';
      readonly channel: ChannelId;
      readonly level: Level;
      readonly ready: boolean;
    }
  /** The relay sends nothing of the conference to a channel below this level, and takes nothing from one (`below_level`). */
  | { readonly type: 'media-level'; readonly level: ProvenLevel }
  /** A re-INVITE that offers all of the member's m-lines anew as plain RTP, or with DTLS (C5, C7). */
  | { readonly type: 'move'; readonly member: MemberId; readonly to: Transport }
  /** The whole plan of one media kind, sorted by receiver, sink, source, position. */
  | { readonly type: 'routes'; readonly media: Media; readonly edges: readonly Edge[] }
  /** REFRESH (TIP) or PLI/FIR to the source, already throttled (S3). */
  | { readonly type: 'request-refresh'; readonly channel: ChannelId; readonly position: number }
  /** TXFLOWCTRL: what the channel sends from this place is wanted (again), or by nobody (S4). */
  | { readonly type: 'flow'; readonly channel: ChannelId; readonly position: number; readonly start: boolean }
  /** TIP NOTIFY SECURITYICON; `secure` only while the whole conference is end-to-end. */
  | { readonly type: 'notify'; readonly channel: ChannelId; readonly secure: boolean }
  /** BYE with `Reason: SIP;cause=<status>;text="<reasonText>"`; the member is out already, no `leave` is expected. */
  | {
      readonly type: 'end-call';
      readonly member: MemberId;
      readonly status: 408 | 410 | 488 | 503;
      readonly reasonText: string;
    }
  /** The loudest endpoint changed; undefined: nobody is there. */
  | { readonly type: 'speaker'; readonly member: MemberId | undefined }
  /** The level of the conference, as shown, changed. */
  | { readonly type: 'level'; readonly level: Level }
  | {
      readonly type: 'security-event';
      readonly code: SecurityEventCode;
      readonly member?: MemberId;
      readonly channel?: ChannelId;
      /** The particulars, for `makeEvent`. */
      readonly cause: string;
      /** With a change of the conference's level: the others in it. */
      readonly members?: readonly MemberId[];
      readonly from?: Level;
      readonly to?: Level;
      /** Why it went down. */
      readonly reason?: LackReason;
    }
  /** The last member left, or the conference was closed. (A first joiner that is refused gives none: nobody was there.) */
  | { readonly type: 'empty' }
  /** The event was refused; for a debug log. */
  | { readonly type: 'illegal'; readonly event: ConferenceEvent['type']; readonly why: IllegalReason };

/**
 * keying: DTLS under way. negotiating: TIP under way. distributing: SPIMAP sent, or waiting for a set. proven: the level
 * counts. A plain channel is proven at `none` from the start.
 */
export type ChannelPhase = 'keying' | 'negotiating' | 'distributing' | 'proven';

/** Why a member is below end-to-end, by name. */
export type LackReason = RefusalReason | 'negotiation-failed' | 'restore-refused';

export type Transport = 'dtls' | 'plain';

export interface Channel {
  readonly id: ChannelId;
  readonly media: Media;
  /** `dtls` stands for SRTP of either keying. */
  readonly transport: Transport;
  /** No TIP is waited for: hop-by-hop at most, and it stays on SRTP whatever the conference's level. */
  readonly standard: boolean;
  /** Added by a re-INVITE: unknown by itself, and the endpoint does not wait for it. */
  readonly late: boolean;
  readonly phase: ChannelPhase;
  /** `unknown` until proven. */
  readonly level: Level;
  /** What the relay was told of it. */
  readonly told: { readonly level: Level; readonly ready: boolean };
  readonly fingerprint: string | undefined;
  readonly tip: TipFacts | undefined;
  /** What the last SECURITYICON said. */
  readonly notified: boolean | undefined;
  /** What the last SECURITYICON that was ACKed said. */
  readonly confirmed: boolean | undefined;
  /** False while the endpoint is on hold in that direction. */
  readonly sends: boolean;
  readonly receives: boolean;
}

export interface Member {
  readonly id: MemberId;
  readonly name: string;
  /** Rises with every join. */
  readonly joinOrder: number;
  readonly channels: readonly Channel[];
  /** All channels of the INVITE are proven, at one level that is not below the conference's media: media may flow. */
  readonly ready: boolean;
  /** `unknown` until ready, then the lowest of its proven channels (C6). */
  readonly level: Level;
  /**
   * Best-effort: the highest level that it can be brought to, and why not a higher one. `unknown` until DTLS and TIP have
   * shown it; an m-line of plain RTP shows it at once (C9).
   */
  readonly capability: Level;
  readonly lack:
    | { readonly reason: LackReason; readonly text: string; readonly channel: ChannelId | undefined }
    | undefined;
  /** When it is dropped, ms, because it has not said that it knows of the new level (C5). */
  readonly tellByMs: number | undefined;
  /** A re-INVITE that has to be answered by then. */
  readonly move: { readonly to: Transport; readonly byMs: number } | undefined;
  /** Its negotiation failed where that lowers (C10): it can be reached by signalling only. */
  readonly deaf: boolean;
  /** By the operator. */
  readonly muted: Readonly<Record<Media, boolean>>;
}

export interface ConferenceOptions {
  readonly id: ConferenceId;
  readonly name: string;
  readonly policy: Policy;
  /** Left out: what goes with the policy (C2). */
  readonly requiredLevel?: ProvenLevel;
  /** Best-effort only; default `never`. */
  readonly restore?: Restore;
  /** Best-effort only; default `end-call`. */
  readonly onNegotiationFailure?: OnNegotiationFailure;
  /** Levels at which the relay carries media; default all. A best-effort conference runs at one of them. */
  readonly levels?: readonly ProvenLevel[];
  /** WIRE.md 4.3; default 1 and 1. */
  readonly suite?: number;
  readonly cipher?: number;
  readonly speaker?: Partial<SpeakerParameters>;
  /** Default `site`. */
  readonly switching?: SwitchingMode;
  /** A group parameter set in use for longer is replaced; left out: it may be used for as long as nobody leaves. */
  readonly rekeyAfterMs?: number;
}

/** Reports of the relay that wait to be weighed together; the newest first. */
export interface PendingActivity {
  readonly report: ActivityReport;
  readonly next: PendingActivity | undefined;
}

/** Read it freely (administration, dashboard); only `reduce` makes new ones. */
export interface State {
  readonly id: ConferenceId;
  readonly name: string;
  readonly policy: Policy;
  readonly requiredLevel: ProvenLevel;
  readonly restore: Restore;
  readonly onNegotiationFailure: OnNegotiationFailure;
  readonly levels: readonly ProvenLevel[];
  /** What every member is being brought to. Changes in a best-effort conference only. */
  readonly target: ProvenLevel;
  /** Below it no media is relayed; follows `target` down once everybody was told, and up once everybody is there. */
  readonly mediaLevel: ProvenLevel;
  /** What the last event of a change said: it is shown from the decision on (down), and only once everybody is there (up). */
  readonly inForce: ProvenLevel;
  /** Somebody has been ready, or the conference was made to start low. */
  readonly started: boolean;
  /** When the conference goes back up, ms (C7). */
  readonly restoreAtMs: number | undefined;
  readonly suite: number;
  readonly cipher: number;
  readonly speakerParameters: SpeakerParameters;
  readonly phase: 'open' | 'closed';
  /** In the order of joining. */
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly owners: ReadonlyMap<ChannelId, MemberId>;
  readonly nextJoinOrder: number;
  readonly sets: GroupSets;
  readonly speaker: SpeakerState;
  readonly activity: {
    readonly pending: PendingActivity | undefined;
    readonly count: number;
    readonly weighAtMs: number | undefined;
  };
  readonly refresh: RefreshRequests;
  readonly flow: Flow;
  readonly switching: SwitchingMode;
  readonly locked: boolean;
  readonly routes: Readonly<Record<Media, readonly Edge[]>>;
  /** As shown (C6): the lowest of the ready members, `unknown` while there is none; never above `inForce`. */
  readonly level: Level;
  readonly shownSpeaker: MemberId | undefined;
}

export interface Reduced {
  readonly state: State;
  readonly effects: readonly Effect[];
}
