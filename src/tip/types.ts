/** What goes into a TIP machine and what comes out of it. */
import type { Tick } from '../base/engine.js';
import type { Media } from '../base/ids.js';
import type { Secret } from '../base/secret.js';
import type { FlowLimits, Suite, TipKind, TipParseReason, TipVersion } from '../wire/tip.js';
import type { IncapableReason, InForce, OptionNames } from './options.js';

export interface TipOptions {
  /** The switch is the side with IS_FOCUS; it alone distributes group parameter sets. */
  readonly role: 'switch' | 'endpoint';
  readonly media: Media;
  /** SSRC of the control RTCP; its low byte is 00 (WIRE.md 3). */
  readonly ssrc: number;
  /** Highest version to speak. */
  readonly version: TipVersion;
  /** The channel is SRTP; on a plain channel the secure bit is 0 and EKT is not offered, whatever `options` say. */
  readonly secure: boolean;
  readonly feedback: boolean;
  readonly conferenceId: bigint;
  readonly numXmit: number;
  readonly numRcv: number;
  /** Masks are 1 << position. */
  readonly transmitMask: number;
  readonly receiveMask: number;
  readonly numShared?: number;
  readonly sharedMask?: number;
  readonly participantId?: Uint8Array;
  readonly options: OptionNames;
  /**
   * Suites to list in MUXCTRL (WIRE.md 4.3) and the only ones sent or taken here. Without it nothing is listed and only
   * the default suite 1/1 is used. List suite 18 with cipher 4 only on a channel of DTLS profile 0x0008.
   */
  readonly suites?: readonly Suite[];
}

/** A group parameter set (WIRE.md 1), as SPIMAP carries it. Salt 14 bytes; KEK 16, with cipher 4 32 bytes. */
export interface ParameterSet extends Suite {
  readonly spiWord: number;
  readonly masterSalt: Secret;
  readonly kek: Secret;
}

export interface FlowRequest {
  readonly direction: 'transmit' | 'receive';
  /** 0 start, 1 stop, 2 H.264 control. */
  readonly opcode: 0 | 1 | 2;
  readonly targetCsrc: number;
  /** With `transmit` only; goes out where version 8 was agreed. */
  readonly limits?: FlowLimits;
}

export interface SendRequest {
  readonly start: boolean;
  readonly videoMask: number;
  readonly audioMask: number;
}

/** Everything but `start`, `packet` and `tick` may come before the negotiation is done; it waits for it. */
export type TipInput =
  | { readonly type: 'start' }
  /** One RTCP APP packet named `xcts`, authenticated with the channel keys (on a plain channel: as it came). */
  | { readonly type: 'packet'; readonly bytes: Uint8Array }
  /**
   * Switch only. The machine copies the secrets: the caller may wipe its own at any time. Sets go out one after another,
   * each until ACKed; before the negotiation is done a newer set takes the place of a waiting one (WIRE.md 10: a joiner
   * gets the newest only).
   */
  | { readonly type: 'spimap'; readonly set: ParameterSet }
  | { readonly type: 'notify'; readonly secure: boolean }
  | { readonly type: 'refresh'; readonly targetCsrc: number; readonly flags: number }
  | ({ readonly type: 'flow' } & FlowRequest)
  | ({ readonly type: 'request-to-send' } & SendRequest)
  | { readonly type: 'echo' }
  /** Other options than before: a new MEDIAOPTS. Once the negotiation is done; before, it is refused. */
  | { readonly type: 'options'; readonly options: OptionNames }
  /** Endpoint: the set of the last `set` output is installed; only now is its SPIMAP ACKed. */
  | { readonly type: 'set-installed'; readonly spiWord: number }
  /** Ends the machine and wipes what it holds. */
  | { readonly type: 'stop' }
  | Tick;

/** What the peer's MUXCTRL said. */
export interface TipPeer {
  readonly version: TipVersion;
  readonly secure: boolean;
  readonly feedback: boolean;
  readonly isFocus: boolean;
  readonly numXmit: number;
  readonly numRcv: number;
  readonly transmitMask: number;
  readonly receiveMask: number;
  readonly numShared: number;
  readonly sharedMask: number;
  readonly conferenceId: bigint;
  /** As listed; a peer that lists nothing has the default suite 1/1. */
  readonly suites: readonly Suite[];
  readonly participantId?: Uint8Array;
}

export type TipFailure = 'media-timeout' | 'spimap-timeout';

/** Why a received packet had no effect. */
export type TipDrop =
  | { readonly reason: 'malformed'; readonly detail: TipParseReason }
  | {
      readonly reason: /** TIP from an SSRC whose low byte is not 00 (WIRE.md 3). */
        | 'media-ssrc'
        /** Before `start`, or after the end. */
        | 'not-running'
        /** Out of order in the negotiation; the peer repeats it. */
        | 'not-negotiated'
        | 'other-version'
        /** An older timestamp than the last of its type: late, or replayed. */
        | 'older'
        /** The same packet again while its ACK still waits for `set-installed`. */
        | 'pending'
        /** Acknowledges nothing that is outstanding. */
        | 'unexpected-ack'
        | 'spimap-to-switch'
        | 'spimap-not-from-focus'
        /** The packet needs what this channel does not have: TIP 7, the secure bit, EKT both ways. */
        | 'not-capable'
        | 'unknown-suite';
    };

export interface Agreed {
  readonly peer: TipPeer;
  readonly inForce: InForce;
  /** The peer's own half, whatever ours is: it offers EKT in both directions. */
  readonly peerOffersEkt: boolean;
}

export type TipOutput =
  /**
   * To be sent in a control compound (WIRE.md 3). With `kind` `spimap` the bytes hold key material: into SRTCP with
   * channel keys, and nowhere else.
   */
  | { readonly type: 'send'; readonly kind: TipKind | 'ack'; readonly packet: Uint8Array }
  | ({ readonly type: 'negotiated' } & Agreed)
  /** Our newer MEDIAOPTS was ACKed, or the peer sent a newer MUXCTRL or MEDIAOPTS; judge the channel anew. */
  | ({ readonly type: 'renegotiated' } & Agreed)
  /** Endpoint: a set to install; its secrets are the caller's from here. Answer with `set-installed`. */
  | { readonly type: 'set'; readonly set: ParameterSet }
  | { readonly type: 'spimap-acked'; readonly spiWord: number }
  /** A newer set took its place before it was ever sent. */
  | { readonly type: 'spimap-superseded'; readonly spiWord: number }
  | { readonly type: 'notified'; readonly secure: boolean }
  | { readonly type: 'notify-acked'; readonly secure: boolean }
  | { readonly type: 'refresh-requested'; readonly targetCsrc: number; readonly flags: number }
  | ({ readonly type: 'flow-requested' } & FlowRequest)
  | ({ readonly type: 'send-requested' } & SendRequest)
  | ({ readonly type: 'send-request-acked' } & SendRequest)
  | { readonly type: 'echoed'; readonly roundTripMs: number }
  /** Nothing was sent: the peer cannot take it. With `spimap` and `suite-not-offered` it was not among our own suites. */
  | {
      readonly type: 'not-capable';
      readonly request: 'spimap' | 'notify' | 'request-to-send';
      readonly reason: IncapableReason | 'suite-not-offered';
      readonly spiWord?: number;
    }
  /** No ACK for a packet whose loss ends nothing. */
  | { readonly type: 'unanswered'; readonly kind: TipKind }
  /** The end: nothing is sent or taken any more. */
  | { readonly type: 'failed'; readonly reason: TipFailure }
  | ({ readonly type: 'dropped' } & TipDrop)
  /** An input that this role or state does not allow, or one above TIP_MAX_QUEUED_PER_TYPE. */
  | {
      readonly type: 'refused';
      readonly input: TipInput['type'];
      readonly reason: 'wrong-state' | 'wrong-role' | 'queue-full';
    };
