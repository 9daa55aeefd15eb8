/**
 * What the control room is told and what it wants done. It translates: SIP, TIP and DTLS outcomes become conference
 * events, the conference's effects become SIP, TIP and relay commands. No socket, clock or chance of its own.
 */
import type { Tick } from '../base/engine.js';
import type { MemberId } from '../base/ids.js';
import type { Secret } from '../base/secret.js';
import type { OperatorEvent, SwitchingMode } from '../conference/contract.js';
import type { Relay, RelayEvent } from '../relay/contract.js';
import type { SecurityEvent } from '../security/events.js';
import type { Level, ProvenLevel } from '../security/levels.js';
import type { OnNegotiationFailure, Policy, Restore } from '../security/policy.js';
import type { CodecPreference } from '../sip/codecs.js';
import type { UserAgentInput, UserAgentOutput } from '../sip/contract.js';
import type { CredentialsOf } from '../sip/digest-client.js';
import type { Registration } from '../sip/registration.js';
import type { RequestGate } from '../sip/request-gate.js';
import type { TrunkProfile } from '../sip/trunk.js';
import type { SdpFingerprint } from '../wire/sdp-types.js';
import type { AdministrationCommand } from './administration.js';

/** Of those in WIRE.md 2, what the switch asks for; control may not import the room that has the type. */
export type ChannelProfile = 0x0001 | 0x0008;

/** Numbers of DTLS associations: control's own, never used twice. */
export type AssociationNumber = number;

/** What a DTLS engine reports, in the words of the association contract; control may not import that room. */
export type AssociationReport =
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  | {
      readonly type: 'keys';
      readonly profile: number;
      readonly local: Secret;
      readonly remote: Secret;
      readonly peerFingerprint: string;
    }
  | { readonly type: 'failed'; readonly reason: string; readonly detail: string; readonly alert?: number }
  | { readonly type: 'closed' };

/** Calls that the switch makes: the caller's own numbers, never used twice. */
export type DialNumber = number;

export type DialOutcome =
  | { readonly type: 'answered' }
  /** `unreachable`: the connection broke before a final answer. */
  | {
      readonly type: 'failed';
      readonly status: number | 'unreachable';
      readonly reason: string;
      readonly retryAfterSeconds?: number;
    };

export type ControlInput =
  | { readonly type: 'sip'; readonly input: UserAgentInput }
  | { readonly type: 'relay'; readonly events: readonly RelayEvent[] }
  | { readonly type: 'association'; readonly association: AssociationNumber; readonly report: AssociationReport }
  /** What somebody in charge wants of a conference; nothing happens where there is no such conference. */
  | { readonly type: 'operate'; readonly conference: string; readonly event: OperatorEvent }
  | { readonly type: 'administration'; readonly command: AdministrationCommand }
  /** Call `target` (a sip: or sips: URI) into a conference on an open connection; `dial-ended` follows once. */
  | {
      readonly type: 'dial';
      readonly dial: DialNumber;
      readonly conference: string;
      readonly connection: number;
      readonly target: string;
      readonly trunk: string | undefined;
    }
  /** Give up a call that is not answered yet; `dial-ended` does not follow. */
  | { readonly type: 'dial-cancel'; readonly dial: DialNumber }
  /** No new calls (503 with Retry-After), BYE to everybody; `stopped` follows when the last call is over. */
  | { readonly type: 'stop'; readonly retryAfterSeconds: number }
  | Tick;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ControlOutput =
  | { readonly type: 'sip'; readonly output: Extract<UserAgentOutput, { type: 'send' | 'close' }> }
  /** Open an association whose peer must present one of these certificates; as client it starts at once. */
  | {
      readonly type: 'association-open';
      readonly association: AssociationNumber;
      readonly role: 'server' | 'client';
      /** With the address that a call's signalling named: it comes before strangers. */
      readonly signalled: boolean;
      readonly fingerprints: readonly SdpFingerprint[];
      /** SRTP profiles (RFC 5764 §4.1.2) in order of preference. */
      readonly profiles: readonly ChannelProfile[];
    }
  | { readonly type: 'association-data'; readonly association: AssociationNumber; readonly bytes: Uint8Array }
  | { readonly type: 'association-close'; readonly association: AssociationNumber }
  | { readonly type: 'security-event'; readonly event: SecurityEvent }
  /** A member's channels are all proven for the first time, so long after its INVITE. */
  | { readonly type: 'member-ready'; readonly member: MemberId; readonly afterMs: number }
  | { readonly type: 'dial-ended'; readonly dial: DialNumber; readonly outcome: DialOutcome }
  | { readonly type: 'call-refused'; readonly status: number }
  /** Something that a peer sent had no effect; to be counted, not logged one by one. `reason` is one of a fixed set. */
  | { readonly type: 'refused-input'; readonly protocol: 'tip' | 'sdp'; readonly reason: string }
  /** The level of a conference, as shown, changed; undefined: it is over. */
  | { readonly type: 'level'; readonly conference: string; readonly level: Level | undefined }
  | { readonly type: 'speaker'; readonly conference: string; readonly member: string | undefined }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number | boolean | undefined>>;
    }
  | { readonly type: 'stopped' };

export interface ConferenceSettings {
  readonly policy: Policy;
  readonly requiredLevel: ProvenLevel;
  /** Best-effort only; default `never`. */
  readonly restore?: Restore;
  /** Best-effort only; default `end-call`. */
  readonly onNegotiationFailure?: OnNegotiationFailure;
  /** SRTP suite of WIRE.md 4.3; default 1. */
  readonly suite?: 1 | 17 | 18;
  /** Which codecs it may be held in, the best first; default: all that the switch carries. */
  readonly codecs?: CodecPreference;
  /** Default `site`. */
  readonly switching?: SwitchingMode;
  /** A group parameter set in use for longer is replaced; left out: never for its age. */
  readonly rekeyAfterMs?: number;
}

/** For how long after an answer plain RTP from elsewhere shows where a peer is; from its signalling's address, or any. */
export interface LatchRules {
  readonly ms: number;
  readonly anywhere: boolean;
}

export interface ControlOptions {
  readonly relay: Relay;
  readonly random: (bytes: number) => Uint8Array;
  /** SHA-256 of the certificate that the DTLS engine shows. */
  readonly fingerprint: SdpFingerprint;
  /** RTCP CNAME of the switch and warn-agent of its Warning headers. */
  readonly name: string;
  /** Value of the Server header. */
  readonly product?: string;
  /** Address for SDP; undefined: the one that the caller reached us at. */
  readonly advertise?: string;
  /** Default: none. */
  readonly latch?: LatchRules;
  readonly adHoc: ConferenceSettings | undefined;
  readonly fixed: ReadonlyMap<string, ConferenceSettings>;
  /** Trunk profiles, and what is asked before a request counts; default: none. */
  readonly trunks?: readonly TrunkProfile[];
  readonly gate?: RequestGate;
  readonly registration?: Registration;
  /** Our accounts in realms of others. */
  readonly credentials?: CredentialsOf;
  readonly maxConferences: number;
  readonly maxMembers: number;
}
