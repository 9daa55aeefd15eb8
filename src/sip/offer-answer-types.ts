/** What offer/answer (RFC 3264, WIRE.md 2) reads and is told. */
import type { Address } from '../base/ids.js';
import type { SdesCrypto } from '../wire/sdp-crypto.js';
import type { OwnIce } from '../wire/sdp-ice.js';
import type { Sdp, SdpCodec, SdpDirection, SdpFingerprint, SdpSetup } from '../wire/sdp-types.js';
import type { Bundle } from './bundle.js';
import type { CodecName } from './codecs.js';
import type { HeaderExtensions } from './header-extensions.js';

/** `dtls`: UDP/TLS/RTP/SAVP(F); `plain`: RTP/AVP(F); `sdes`: RTP/SAVP(F) with keys in SDP. */
export type MediaSecurity = 'dtls' | 'plain' | 'sdes' | 'unsupported';

/** One m-line of a peer's offer or answer. */
export interface RemoteMedia {
  readonly index: number;
  readonly media: 'audio' | 'video' | 'other';
  /** 0: disabled by its sender. */
  readonly port: number;
  /**
   * Where it wants media; a hint only on a DTLS channel, whose address is learnt from the proven peer. Undefined where it is
   * the unspecified address: on hold in the old way (RFC 3264 §8.4).
   */
  readonly address?: Address;
  readonly protocol: string;
  readonly security: MediaSecurity;
  /** RTP/AVP(F) that names keys all the same (RFC 8643): what the line becomes where {@link Offer} is taken up on it. */
  readonly opportunity?: 'dtls' | 'sdes';
  readonly fingerprints: readonly SdpFingerprint[];
  readonly setup?: SdpSetup;
  readonly rtcpMux: boolean;
  /** Where it wants RTCP that does not go with RTP; undefined with `address`. */
  readonly rtcp?: Address;
  /** Only those that this switch can carry (see acceptable codecs in offer-answer). */
  readonly codecs: readonly SdpCodec[];
  /** What it wants to receive at most: `b=TIAS`, else `b=AS`, of the m-line, else of the session (RFC 3890 §6). */
  readonly bandwidthBitsPerSecond?: number;
  /** From the peer's own point of view. Without an address to send to it does not receive, whatever it wrote. */
  readonly direction: SdpDirection;
  readonly content?: string;
  readonly mid?: string;
  readonly tlsId?: string;
  /** Keys of `a=crypto` that can be taken, in the peer's order. Who read the SDP wipes what it does not take. */
  readonly cryptos: readonly SdesCrypto[];
  /** It speaks ICE: what becomes of that in our answer. */
  readonly ice?: {
    readonly ufrag: string;
    /** Of the time of RFC 7675. */
    readonly consents: boolean;
    readonly verdict: 'used' | 'mismatch' | 'both-lite' | 'without-rtcp-mux';
  };
  /** Id of the header extension of RFC 6464, 1-255. */
  readonly audioLevelId?: number;
  /** Id of the header extension that names the m-line (RFC 9143 §15), where it is in a BUNDLE group. */
  readonly midId?: number;
  /** Of use in a bundle only (RFC 9143 §6); its port is the tagged m-line's. */
  readonly bundleOnly?: boolean;
  /** Why the m-line cannot be accepted, for Warning and Reason; undefined when it can. */
  readonly problem?: MediaProblem;
}

export interface MediaProblem {
  /** Warn-code of RFC 3261 §20.43: 302 transport protocol, 304 media type, 305 media format, 306 attribute, 399 other. */
  readonly warnCode: 302 | 304 | 305 | 306 | 399;
  readonly text: string;
}

export interface OfferRules {
  /** Accept `a=setup:passive` and be the DTLS client; default: such an m-line is a problem (WIRE.md 2: the switch is passive). */
  readonly acceptPassive?: boolean;
}

export interface Offer {
  readonly sdp: Sdp;
  readonly media: readonly RemoteMedia[];
  /** BUNDLE groups as they are offered. */
  readonly bundles: readonly Bundle[];
}

/** What both a local offer and a local answer need. */
export interface LocalSession {
  /** Digits, fixed for the dialog (`o=`). */
  readonly sessionId: string;
  /** Rises by one with each changed SDP of the dialog. */
  readonly sessionVersion: number;
  /** Literal address for `o=` and `c=`. */
  readonly address: string;
  /** SHA-256 of our DTLS certificate; required when an m-line is DTLS. */
  readonly fingerprint?: SdpFingerprint;
}

/** What the caller decides for one m-line that it accepts; `undefined` in its place refuses the m-line (port 0). */
export interface LocalMediaAnswer {
  readonly port: number;
  /** Where it differs from the session's. */
  readonly address?: string;
  /** What we would do at most; the answer is narrowed by the offer's direction. Default sendrecv. */
  readonly direction?: SdpDirection;
  /** Of the offer's acceptable payload types only these; default all of them. */
  readonly payloadTypes?: readonly number[];
  /** What we want to receive at most. */
  readonly bandwidthBitsPerSecond?: number;
  /** `a=tls-id` (RFC 8842 §4), written where the offer has one. */
  readonly tlsId?: string;
  /** Ours, for an `sdes` line: tag and suite of one that was offered (RFC 4568 §5.1.2), with our own key. */
  readonly crypto?: SdesCrypto;
  /** Ours, where the offer's ICE is used. */
  readonly ice?: OwnIce;
  /** The offered extension of RFC 6464 is taken. */
  readonly audioLevels?: boolean;
  /** The offered extension that names the m-line is taken. */
  readonly named?: boolean;
  /** The DTLS role that the line's association has already: it stays (RFC 8842 §5.3). Default: what the offer asks for. */
  readonly role?: 'client' | 'server';
}

export interface LocalAnswer extends LocalSession {
  /** One entry an m-line of the offer, in its order. */
  readonly media: readonly (LocalMediaAnswer | undefined)[];
  /** Of the offer's groups what is accepted; each line of one has the port of its first. Default: none. */
  readonly bundles?: readonly Bundle[];
}

export interface AnsweredMedia {
  readonly index: number;
  readonly accepted: boolean;
  /** Our DTLS role on this m-line; undefined on plain or refused m-lines. */
  readonly role?: 'client' | 'server';
  readonly codecs: readonly SdpCodec[];
  /** Our direction. */
  readonly direction: SdpDirection;
}

export interface LocalCodec {
  readonly name: CodecName;
  readonly payloadType: number;
  /** H264: profile-level-id, 6 hex digits. */
  readonly profileLevelId?: string;
}

export interface LocalMediaOffer {
  readonly media: 'audio' | 'video' | 'other';
  readonly port: number;
  readonly address?: string;
  readonly security: 'dtls' | 'plain' | 'sdes';
  /** Ours, where ICE is in force. */
  readonly ice?: OwnIce;
  /** Ours, for an `sdes` line: one of them, the best first, is to be taken (RFC 4568 §5.1.1). */
  readonly cryptos?: readonly SdesCrypto[];
  /** Those with a clock rate are written as they are: what was agreed before keeps its numbers (RFC 3264 §8.3.2). */
  readonly codecs: readonly (LocalCodec | SdpCodec)[];
  readonly direction?: SdpDirection;
  readonly content?: string;
  readonly mid?: string;
  /** Default UDP/TLS/RTP/SAVPF or RTP/AVP. */
  readonly protocol?: string;
  /** As agreed before. */
  readonly extensions?: HeaderExtensions;
  readonly bandwidthBitsPerSecond?: number;
  /** `a=tls-id` (RFC 8842 §4); another one than before asks for a new association. */
  readonly tlsId?: string;
}

/** An m-line that stays where it is in the order though nothing of it is used. */
export interface DisabledLine {
  readonly media: string;
  readonly port: 0;
  readonly protocol: string;
  readonly formats: readonly string[];
  readonly mid?: string;
}

export interface LocalOffer extends LocalSession {
  readonly media: readonly (LocalMediaOffer | DisabledLine)[];
  /** Lines that share a transport, each with its `mid`. A line of one with the port 0 is `bundle-only`. Default: none. */
  readonly bundles?: readonly Bundle[];
}

/** The peer's answer to our offer, checked against it; refused m-lines have port 0. */
export interface Answer {
  readonly sdp: Sdp;
  readonly media: readonly (RemoteMedia & { readonly accepted: boolean; readonly role?: 'client' | 'server' })[];
  /** Its BUNDLE groups. */
  readonly bundles: readonly Bundle[];
}
