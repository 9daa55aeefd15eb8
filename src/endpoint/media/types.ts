/** The shapes that the endpoint's media half shares with whoever wires it to keys and sockets. Plain data, no keys. */

/** One RTP payload, without header. `marker` is the RTP marker bit (RFC 6184 §5.1: last packet of an access unit). */
export interface RtpPayload {
  readonly bytes: Uint8Array;
  readonly marker: boolean;
}

/**
 * One H.264 access unit: NAL units in decoding order, without start codes. `idr`: it holds an IDR picture, so that
 * decoding can begin here given parameter sets.
 */
export interface AccessUnit {
  readonly nals: readonly Uint8Array[];
  readonly idr: boolean;
}

/** An access unit off the wire. `timestamp`: the RTP timestamp, 90 kHz, u32. */
export interface TimedAccessUnit extends AccessUnit {
  readonly timestamp: number;
}

/** What a video source gives for one picture. */
export interface VideoFrame {
  /** In sending order; never empty. */
  readonly payloads: readonly RtpPayload[];
  /** 90 kHz, u32, counted from 0 at the source's first frame: the sender adds its own random offset modulo 2^32. */
  readonly timestamp: number;
  /** An IDR access unit: the trailing byte of its first packet is 1 (WIRE.md 7), of every other packet 0. */
  readonly refresh: boolean;
  /** When to send it, in ms after the first frame (fractions allowed). Never goes back. */
  readonly dueMs: number;
}

/** Pulled by the sender's clock; has none of its own. */
export interface VideoSource {
  /** The next frame; undefined: the file is at its end and the source does not loop. */
  next(): VideoFrame | undefined;
  /** Answers REFRESH, PLI and FIR: the following {@link next} gives an IDR access unit. Requests before it count as one. */
  requestRefresh(): void;
  /** Pictures a second. */
  readonly frameRate: number;
}

/** What an audio source gives for one packet: one Opus packet is one RTP payload (RFC 7587 §4.2). */
export interface AudioFrame {
  readonly payload: Uint8Array;
  /** 48 kHz, u32, counted from 0 (RFC 7587 §4.1); the sender adds its own random offset modulo 2^32. */
  readonly timestamp: number;
  readonly durationMs: number;
  /** When to send it, in ms after the first packet (fractions allowed). */
  readonly dueMs: number;
  /** The trailing byte, 0 (silence) to 100 (WIRE.md 7). */
  readonly energy: number;
}

export interface AudioSource {
  next(): AudioFrame | undefined;
  /** 1 or 2, from the file; on the wire it is opus/48000/2 either way (RFC 7587 §7). */
  readonly channels: number;
}

/** Where bytes of a file go, in order. */
export interface Sink {
  append(bytes: Uint8Array): void;
  /** After it nothing is appended. */
  close(): void;
}

/** An RTP packet taken apart, authenticated and decrypted (or from a trusted loopback socket). */
export interface ReceivedRtp {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Uint8Array;
}
