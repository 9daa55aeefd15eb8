/** What goes into one channel of the endpoint and what comes out of it. */
import type { Tick } from '../base/engine.js';
import type { Media } from '../base/ids.js';
import type { AssociationFactory, AssociationFailure, AssociationOptions } from '../dtls/association.js';
import type { ChannelKeys } from '../srtp/channel-crypto.js';
import type { ReceivedRtp } from '../srtp/ekt-receiver.js';
import type { TipFailure, TipPeer } from '../tip/index.js';
import type { DropName } from '../wire/drop.js';
import type { ReportBlock } from '../wire/rtcp.js';
import type { RtpExtension } from '../wire/rtp.js';
import type { TipVersion } from '../wire/tip.js';
import type { Security } from './channel-security.js';

/** One stream that the endpoint sends: one SSRC at one position (WIRE.md 8). */
export interface OutgoingStream {
  readonly position: number;
  readonly ssrc: number;
}

export interface ChannelOptions {
  readonly media: Media;
  /** SSRC of the control RTCP, low byte 00. */
  readonly controlSsrc: number;
  readonly cname: string;
  readonly streams: readonly OutgoingStream[];
  /** 1 << position of every display or loudspeaker. */
  readonly receiveMask: number;
  readonly clockRateHz: number;
  /** The switch's answer says that it sends lost packets again (`a=rtcp-fb` nack, RFC 4585 §4.2). Default false. */
  readonly nack?: boolean;
  readonly tipVersion: TipVersion;
  readonly conferenceId: bigint;
  /** Undefined: plain RTP, without keys. */
  readonly keying?: Keying;
  /** Without TIP, EKT and multiplex words: media is under the channel keys, and all that comes is for the center. */
  readonly standard?: boolean;
  /** In the header of every packet that is sent: the name of the m-line on a bundle. */
  readonly extension?: RtpExtension;
  /** Fresh random bytes for sender keys, sequence numbers and timestamps. */
  readonly random: (bytes: number) => Uint8Array;
  /** Also put out what a key log needs; off by default. */
  readonly logKeys?: boolean;
}

/** Where channel keys come from: a DTLS association, SDP (RFC 4568), or another channel of the bundle (RFC 9143). */
export type Keying =
  | { readonly factory: AssociationFactory; readonly options: AssociationOptions }
  | { readonly keys: ChannelKeys }
  | { readonly shared: Security };

/** One RTP packet's worth of media to send. */
export interface OutgoingMedia {
  readonly type: 'media';
  readonly position: number;
  readonly payloadType: number;
  readonly payload: Uint8Array;
  readonly marker: boolean;
  /** In the clock of the channel, from 0; the stream's random offset is added. */
  readonly timestamp: number;
  /** Video: the first packet of a frame carries a Full tag (WIRE.md 5). */
  readonly firstOfFrame: boolean;
  /** Energy or refresh value (WIRE.md 7); sent only where the option is in force. */
  readonly trailingByte: number;
  /** Sequence numbers to leave out before this packet; default 0. */
  readonly skip?: number;
}

export type ChannelInput =
  | { readonly type: 'start' }
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  /** A new DTLS association takes the place of the old one, without a gap (RFC 8842 §5). */
  | { readonly type: 'renew'; readonly keying: Keying }
  | OutgoingMedia
  /** All channels have ACKed this set and its waiting time is over: send under it (WIRE.md 10). */
  | { readonly type: 'activate-set'; readonly spiWord: number }
  /** The picture at this place is broken or missing: ask the switch for a refresh. */
  | { readonly type: 'want-refresh'; readonly csrc: number }
  | { readonly type: 'close' }
  | Tick;

export interface ReceivedMedia extends ReceivedRtp {
  readonly media: Media;
  /** From the multiplex word. */
  readonly source: number;
  readonly sink: number;
}

export type KeyLogEntry =
  | {
      readonly kind: 'channel-keys';
      readonly profile: number;
      readonly local: string;
      readonly remote: string;
    }
  | {
      readonly kind: 'group-parameter-set';
      readonly spiWord: number;
      readonly kek: string;
      readonly masterSalt: string;
    }
  | { readonly kind: 'sender-key'; readonly ssrc: number; readonly spiWord: number; readonly key: string };

export type ChannelOutput =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** DTLS done and fingerprint verified. */
  | { readonly type: 'keyed'; readonly profile: number; readonly peerFingerprint: string }
  | { readonly type: 'negotiated'; readonly peer: TipPeer }
  /** A set is installed and ACKed; the first one lets the channel send. */
  | { readonly type: 'set-installed'; readonly spiWord: number }
  /** EKT is no longer in force: from here on media is under the channel keys. */
  | { readonly type: 'hop-by-hop' }
  /** A packet as it left, for comparison: the payload before encryption. */
  | {
      readonly type: 'sent';
      readonly ssrc: number;
      readonly position: number;
      readonly sequence: number;
      readonly payload: Uint8Array;
    }
  | { readonly type: 'received'; readonly rtp: ReceivedMedia }
  | { readonly type: 'refresh-requested'; readonly position: number }
  /** What the switch received of our streams (RFC 3550 §6.4.2). */
  | { readonly type: 'reported'; readonly reports: readonly ReportBlock[] }
  | { readonly type: 'notified'; readonly secure: boolean }
  | { readonly type: 'dropped'; readonly name: DropName }
  | { readonly type: 'key-log'; readonly entry: KeyLogEntry }
  | {
      readonly type: 'failed';
      readonly reason: AssociationFailure | TipFailure | 'set-refused';
      readonly detail: string;
    };
