/** What a channel of the switch is made with, what it tells its conference, and what it may do. */
import type { Address, ChannelId, Media } from '../base/ids.js';
import type { ChannelKeys, ChannelParameters, LatchWindow, Relay } from '../relay/contract.js';
import type { PictureRequest } from '../sip/remote-media.js';
import type { TipPeer } from '../tip/index.js';
import type { InForce } from '../tip/options.js';
import type { Suite } from '../wire/tip.js';
import type { AssociationNumber, ControlOutput, LatchRules } from './contract.js';

/** What offer and answer have agreed on a channel. */
export interface ChannelAgreement {
  readonly payloadTypes: ChannelParameters['payloadTypes'];
  /** RTCP may go to the RTP port (RFC 5761). */
  readonly rtcpMux: boolean;
  /** Where the peer wants it otherwise, as far as it says so. */
  readonly rtcp?: Address;
  /** How a picture is asked for outside of TIP; undefined: the peer takes no feedback. */
  readonly pictureRequest?: PictureRequest;
  /** What signalling agreed on an `sdes` channel; copied. */
  readonly sdes?: ChannelKeys;
  readonly audioLevelId?: number;
  readonly mid?: NonNullable<ChannelParameters['mid']>;
}

export interface ChannelSetup {
  readonly id: ChannelId;
  readonly media: Media;
  readonly transport: 'dtls' | 'plain' | 'sdes';
  readonly conferenceId: bigint;
  readonly cname: string;
  /** The conference's (WIRE.md 4.3). */
  readonly suite: Suite;
  /** The endpoint says that it speaks TIP: it is negotiated here, where the channel is not plain; there the peer may begin it. */
  readonly tip: boolean;
  /** RTCP has a port of its own, until the peer agrees that it goes with RTP. */
  readonly rtcpApart: boolean;
  /** What plain RTP may do about an address that is not the SDP's. */
  readonly latch?: LatchWindow;
  /** The conference may run below end-to-end: then payloads end at the switch, and it sends streams of its own. */
  readonly readable: boolean;
  readonly random: (bytes: number) => Uint8Array;
}

/** What a channel has to tell its conference. */
export type ChannelNews =
  | { readonly type: 'keyed'; readonly fingerprint: string }
  /** A new association has taken over. */
  | { readonly type: 'rekeyed'; readonly fingerprint: string }
  | {
      readonly type: 'negotiated';
      readonly peer: TipPeer;
      readonly inForce: InForce;
      readonly capable: boolean;
      readonly reason: string | undefined;
    }
  | { readonly type: 'set-acked'; readonly spiWord: number }
  | {
      readonly type: 'failed';
      readonly reason: 'dtls-failed' | 'fingerprint-mismatch' | 'media-timeout' | 'spimap-timeout' | 'consent-lost';
      readonly detail: string;
    }
  /** A certificate other than the promised one, from an address that is not the signalled one: an alarm, not an end (C10). */
  | { readonly type: 'foreign-certificate'; readonly detail: string }
  | { readonly type: 'notify-acked'; readonly secure: boolean }
  /** It did not take part in a change between end-to-end and hop-by-hop. */
  | { readonly type: 'not-followed'; readonly detail: string }
  | { readonly type: 'refresh-wanted'; readonly sink: number }
  | { readonly type: 'picture-lost'; readonly ssrc: number };

export interface ChannelHost {
  readonly relay: Relay;
  /** Default: plain RTP is taken from the address of the SDP only. */
  readonly latch?: LatchRules | undefined;
  random(bytes: number): Uint8Array;
  newAssociation(channel: ChannelId): AssociationNumber;
  endAssociation(association: AssociationNumber): void;
  output(output: ControlOutput): void;
}
