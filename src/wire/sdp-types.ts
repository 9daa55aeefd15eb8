/** The shapes of SDP (RFC 8866 §5). Addresses are literals: a name in `c=` or `o=` of a call is refused, nothing is resolved. */

export interface SdpAttribute {
  readonly name: string;
  /** Undefined for a property attribute (`a=rtcp-mux`). */
  readonly value?: string;
}

export interface SdpConnection {
  readonly family: 4 | 6;
  readonly address: string;
}

export interface SdpBandwidth {
  /** CT, AS, TIAS, ... */
  readonly type: string;
  readonly value: number;
}

export interface SdpOrigin {
  readonly username: string;
  /** Digits; may exceed 2^53, so it stays text. */
  readonly sessionId: string;
  readonly sessionVersion: string;
  readonly family: 4 | 6;
  /** Literal or name, for identification only. */
  readonly address: string;
}

export interface SdpMedia {
  /** audio, video, application, ... */
  readonly media: string;
  /** 0: the m-line is refused or disabled (RFC 3264 §6). */
  readonly port: number;
  readonly protocol: string;
  /** Payload types of an RTP m-line, as text. */
  readonly formats: readonly string[];
  readonly connection?: SdpConnection;
  readonly bandwidth: readonly SdpBandwidth[];
  readonly attributes: readonly SdpAttribute[];
}

export interface Sdp {
  readonly origin: SdpOrigin;
  readonly sessionName: string;
  readonly connection?: SdpConnection;
  readonly bandwidth: readonly SdpBandwidth[];
  readonly attributes: readonly SdpAttribute[];
  readonly media: readonly SdpMedia[];
}

export type SdpRefusalReason =
  | 'too-large'
  | 'too-many-lines'
  | 'too-many-media'
  | 'not-utf8'
  | 'control-character'
  | 'line-syntax'
  | 'line-order'
  | 'version'
  | 'origin'
  | 'connection'
  | 'bandwidth'
  | 'timing'
  | 'media-line'
  | 'attribute';

/** RFC 8122 §5; the same shape as the DTLS association's fingerprint. */
export interface SdpFingerprint {
  readonly algorithm: 'sha-256' | 'sha-384' | 'sha-512';
  readonly value: Uint8Array;
}

export interface SdpFingerprints {
  readonly accepted: readonly SdpFingerprint[];
  /** Names of algorithms that were present and are refused: sha-1, md5, md2, sha-224 (WIRE.md 2). */
  readonly tooWeak: readonly string[];
}

/** RFC 4145 §4. */
export type SdpSetup = 'active' | 'passive' | 'actpass' | 'holdconn';
/** RFC 8866 §6.7. */
export type SdpDirection = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** One payload type with its `a=rtpmap` (or its static assignment, RFC 3551 §6) and `a=fmtp`. */
export interface SdpCodec {
  readonly payloadType: number;
  /** As written; compare without case. */
  readonly name: string;
  readonly clockRateHz: number;
  /** 1 where the rtpmap names none. */
  readonly channels: number;
  /** Parameters of `a=fmtp`, empty when there was none. */
  readonly fmtp: string;
  /** Values of `a=rtcp-fb` for this payload type or `*`. */
  readonly feedback: readonly string[];
}
