/** What a call of the reference endpoint is told and tells. */

import type { Address, Media } from '../base/ids.js';
import type { createSelfSigned } from '../dtls/certificate.js';
import type { EngineName } from '../dtls/engines.js';
import type { DropName } from '../wire/drop.js';
import type { ReportBlock } from '../wire/rtcp.js';
import type { SdesSuite } from '../wire/sdp-crypto.js';
import type { SdpFingerprint } from '../wire/sdp-types.js';
import type { TipVersion } from '../wire/tip.js';
import type { ChannelOutput, KeyLogEntry, ReceivedMedia } from './channel-types.js';
import type { AudioInput, VideoInput } from './pacer.js';

export interface Identity {
  readonly certificate: Awaited<ReturnType<typeof createSelfSigned>>;
  readonly fingerprint: SdpFingerprint;
}

/** What an endpoint keeps over a restart: who it is, and the SSRCs that are bound to that (WIRE.md 10). */
export interface Remembered {
  readonly identity: Identity | undefined;
  /** By media kind and position. */
  readonly ssrcs: ReadonlyMap<string, number>;
}

export interface CallOptions {
  /** `sips:conference@host:port`. */
  readonly target: string;
  /** Where the target's host is to be found (RFC 3263), tried in turn; default: as the system's resolver says. */
  readonly servers?: readonly Address[];
  /** PEM of the switch's CA; undefined: the system's trust store. */
  readonly caPem?: string;
  /** User part of our own address. */
  readonly name?: string;
  /**
   * `dtls`, the default: DTLS-SRTP with TIP and EKT. `plain`: RTP without keys, for non-secure conferences. As a standard
   * endpoint, which knows neither TIP nor EKT and has one place: `dtls-srtp` (RFC 5764), `sdes` (keys in SDP, RFC 4568).
   */
  readonly security?: 'dtls' | 'plain' | 'dtls-srtp' | 'sdes';
  /** With `dtls-srtp`: both m-lines over one socket and association (RFC 9143); a switch that will not has the audio line alone. */
  readonly bundle?: boolean;
  /** What `sdes` offers; default AES_CM_128_HMAC_SHA1_80. */
  readonly sdesSuite?: Extract<SdesSuite, 'AES_CM_128_HMAC_SHA1_80' | 'AEAD_AES_128_GCM'>;
  /** Which of the DTLS engines; default `openssl`. */
  readonly dtlsEngine?: EngineName;
  /** Of an earlier call of the same endpoint; default: somebody new. */
  readonly remembered?: Remembered;
  /** Channel keys older than this are renewed; left out: never for their age. */
  readonly renewAfterMs?: number;
  readonly audio?: readonly AudioInput[];
  readonly video?: readonly VideoInput[];
  /** Further places that media is sent from with {@link Call.send}, on both lines. */
  readonly externalPositions?: readonly number[];
  /** Displays and loudspeakers: 1 is center, 3 are center, left and right. Default 1. */
  readonly screens?: 1 | 3;
  /** Default 8. */
  readonly tipVersion?: TipVersion;
  readonly onReceived?: (packet: ReceivedMedia) => void;
  readonly onSent?: (packet: Extract<ChannelOutput, { type: 'sent' }>) => void;
  readonly onNotified?: (secure: boolean) => void;
  /** A re-INVITE to plain RTP is refused with 488 (the switch then ends the call). Default: taken. */
  readonly refuseDowngrade?: boolean;
  /** Media has moved to plain RTP, or to DTLS, as the switch asked by re-INVITE. */
  readonly onMoved?: (security: 'dtls' | 'plain') => void;
  /** A receiver report of the switch on what we send. */
  readonly onReport?: (media: Media, reports: readonly ReportBlock[]) => void;
  /** A hook for tests: true loses this incoming media datagram as the network might. */
  readonly dropIncoming?: (media: Media, bytes: Uint8Array) => boolean;
  /** Every datagram of the media sockets, as on the wire. */
  readonly onDatagram?: (from: Address, to: Address, bytes: Uint8Array) => void;
  /** Hands out key material; leave it away unless a capture has to be decrypted. */
  readonly onKeys?: (media: Media, entry: KeyLogEntry) => void;
}

export interface CallEnd {
  readonly by: 'peer' | 'local' | 'timeout' | 'connection' | 'failure';
  readonly cause: string;
}

/** The switch refused the call. */
export class CallRefused extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    readonly warning: string,
  ) {
    super([`refused with ${status}`, reason, warning].filter((part) => part !== '').join('; '));
    this.name = 'CallRefused';
  }
}

export interface CallStatus {
  /** Media may flow. */
  readonly ready: boolean;
  readonly sent: Readonly<Record<Media, number>>;
  readonly received: Readonly<Record<Media, number>>;
  readonly drops: Readonly<Partial<Record<DropName, number>>>;
  /** DTLS associations that gave keys: one a line, and one more for each that took over. */
  readonly keyed: number;
  /** What the last SECURITYICON said; undefined: none came. */
  readonly icon: boolean | undefined;
}
