/**
 * The pure half of `--rtp-in` and `--rtp-out`: plain RTP of a local tool (an encoder as the camera, a player as the
 * screen) to what the endpoint sends, and what it received back to plain RTP. Sockets and keys are the caller's.
 */
import { concat, writeU16, writeU32 } from '../../base/bytes.js';
import type { Media } from '../../base/ids.js';
import { BRIDGE_MAX_SKIPPED_PACKETS, REORDER_MAX_MISORDER_PACKETS } from '../../base/limits.js';
import { ok, type Result, refuse } from '../../base/result.js';
import { h264RefreshStart } from './h264-payload.js';
import { OPUS_CLOCK_HZ } from './opus.js';
import { VIDEO_CLOCK_HZ } from './source.js';
import type { ReceivedRtp } from './types.js';

const CLOCK_HZ: Readonly<Record<Media, number>> = { audio: OPUS_CLOCK_HZ, video: VIDEO_CLOCK_HZ };

/** The shorter way from `b` to `a` on the circle of 2^16. */
function sequenceDelta(a: number, b: number): number {
  return (((a - b) & 0xffff) ^ 0x8000) - 0x8000;
}

/**
 * Carries the sequence numbers and timestamps of whichever source is heard over to one unbroken stream: a new source
 * (SSRC) goes on where the old one ended, at the timestamp that the elapsed time gives. Losses stay visible as gaps.
 */
class Rebase {
  readonly #clockHz: number;
  #ssrc: number | undefined;
  #sequenceOffset = 0;
  #timestampOffset = 0;
  #lastSequence: number;
  #lastTimestamp: number;
  #lastTime = 0;

  /** Both are what the first packet gets. */
  constructor(clockHz: number, sequence: number, timestamp: number) {
    this.#clockHz = clockHz;
    this.#lastSequence = (sequence - 1) & 0xffff;
    this.#lastTimestamp = timestamp;
  }

  /** `skipped`: sequence numbers since the last packet that never came; -1: this packet is no newer than the last one. */
  packet(packet: ReceivedRtp, now: number): { sequence: number; timestamp: number; skipped: number } {
    const behind = sequenceDelta(this.#lastSequence, packet.sequence + this.#sequenceOffset);
    // Far behind under the same SSRC: a tool with a fixed SSRC that was started again.
    if (packet.ssrc !== this.#ssrc || behind > REORDER_MAX_MISORDER_PACKETS) {
      const elapsed =
        this.#ssrc === undefined ? 0 : Math.max(1, Math.round(((now - this.#lastTime) * this.#clockHz) / 1000));
      this.#sequenceOffset = this.#lastSequence + 1 - packet.sequence;
      this.#timestampOffset = this.#lastTimestamp + elapsed - packet.timestamp;
      this.#ssrc = packet.ssrc;
    }
    const sequence = (packet.sequence + this.#sequenceOffset) & 0xffff;
    const timestamp = (packet.timestamp + this.#timestampOffset) >>> 0;
    const skipped = sequenceDelta(sequence, this.#lastSequence) - 1;
    if (skipped < 0) return { sequence, timestamp, skipped: -1 };
    this.#lastSequence = sequence;
    this.#lastTimestamp = timestamp;
    this.#lastTime = now;
    return { sequence, timestamp, skipped };
  }
}

export interface BridgedPacket {
  readonly payload: Uint8Array;
  /** Media clock (90 or 48 kHz), u32, counted from 0 at the first packet. */
  readonly timestamp: number;
  readonly marker: boolean;
  /** Video: the first packet of an IDR access unit, trailing byte 1 (WIRE.md 7). */
  readonly refresh: boolean;
  /** The sender leaves out so many sequence numbers before this packet, so that receivers see what was lost on the way in. */
  readonly skip: number;
}

/** Plain RTP in. One source at a time; a new SSRC takes over (the local tool was started again). */
export class BridgeIn {
  readonly #media: Media;
  readonly #payloadType: number | undefined;
  readonly #rebase: Rebase;
  #refreshTimestamp: number | undefined;

  /** @param payloadType what the tool sends; undefined: anything goes. */
  constructor(media: Media, payloadType?: number) {
    this.#media = media;
    this.#payloadType = payloadType;
    this.#rebase = new Rebase(CLOCK_HZ[media], 0, 0);
  }

  receive(
    packet: ReceivedRtp,
    now: number,
  ): Result<BridgedPacket, 'wrong_payload_type' | 'empty_payload' | 'out_of_order'> {
    if (this.#payloadType !== undefined && packet.payloadType !== this.#payloadType)
      return refuse('wrong_payload_type');
    if (packet.payload.length === 0) return refuse('empty_payload');
    const { timestamp, skipped } = this.#rebase.packet(packet, now);
    if (skipped < 0) return refuse('out_of_order');
    const starts = this.#media === 'video' && h264RefreshStart(packet.payload);
    // SPS, PPS and slices of one picture share a timestamp; only the first of them is its first packet.
    const refresh = starts && this.#refreshTimestamp !== timestamp;
    if (starts) this.#refreshTimestamp = timestamp;
    const skip = Math.min(skipped, BRIDGE_MAX_SKIPPED_PACKETS);
    return ok({ payload: packet.payload, timestamp, marker: packet.marker, refresh, skip });
  }
}

export interface BridgeOutOptions {
  readonly media: Media;
  readonly ssrc: number;
  /** 7 bits. */
  readonly payloadType: number;
  /** Of the first packet; u16 and u32, random by the caller (RFC 3550 §5.1). */
  readonly sequence: number;
  readonly timestamp: number;
}

/** Plain RTP out: one stream with an SSRC of its own, fed by one received stream at a time. */
export class BridgeOut {
  readonly #options: BridgeOutOptions;
  readonly #rebase: Rebase;

  constructor(options: BridgeOutOptions) {
    this.#options = options;
    this.#rebase = new Rebase(CLOCK_HZ[options.media], options.sequence, options.timestamp);
  }

  /**
   * @param packet decrypted; when its SSRC is not the last one's, the picture switched and the output goes on unbroken
   * @returns an RTP datagram without CSRC, extension or padding; packets out of order keep their place within a source
   */
  write(packet: ReceivedRtp, now: number): Uint8Array {
    const { sequence, timestamp } = this.#rebase.packet(packet, now);
    const header = new Uint8Array(12);
    header[0] = 0x80;
    header[1] = (packet.marker ? 0x80 : 0) | (this.#options.payloadType & 0x7f);
    writeU16(header, 2, sequence);
    writeU32(header, 4, timestamp);
    writeU32(header, 8, this.#options.ssrc);
    return concat(header, packet.payload);
  }
}
