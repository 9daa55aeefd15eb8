/** Cameras and microphones out of files: pulled frame by frame, without a clock of their own. */
import { RTP_DEFAULT_MAX_PAYLOAD_BYTES } from '../../base/limits.js';
import { ok, type Result } from '../../base/result.js';
import { type H264FileRefusal, NAL, nalType, readH264File } from './annexb.js';
import { packetizeAccessUnit } from './h264-payload.js';
import { OPUS_CLOCK_HZ, type OpusFileRefusal, readOpusFile } from './opus.js';
import { spsFrameRate } from './sps.js';
import type { AccessUnit, AudioFrame, AudioSource, VideoFrame, VideoSource } from './types.js';

export const VIDEO_CLOCK_HZ = 90_000;
export const DEFAULT_FRAME_RATE = 30;

export interface VideoSourceOptions {
  /** Pictures a second; default: what the file's SPS says, else DEFAULT_FRAME_RATE. */
  readonly frameRate?: number;
  readonly maxPayloadBytes?: number;
  /** Begin again at the end; default true. */
  readonly loop?: boolean;
}

/**
 * A video source from an H.264 byte stream (Annex B). Delimiters and filler are left out on the wire: timestamp and
 * marker say where an access unit ends (RFC 6184 §5.1).
 */
export function openVideoSource(
  file: Uint8Array,
  options: VideoSourceOptions = {},
): Result<VideoSource, H264FileRefusal> {
  const read = readH264File(file);
  if (!read.ok) return read;
  const sps = read.value[0]!.nals.find((nal) => nalType(nal) === NAL.sps)!;
  const frameRate = options.frameRate ?? spsFrameRate(sps) ?? DEFAULT_FRAME_RATE;
  return ok(new FileVideoSource(read.value, frameRate, options));
}

class FileVideoSource implements VideoSource {
  readonly frameRate: number;
  readonly #units: readonly AccessUnit[];
  readonly #maxPayloadBytes: number;
  readonly #loop: boolean;
  #at = 0;
  #sent = 0;
  #refreshAsked = false;

  constructor(units: readonly AccessUnit[], frameRate: number, options: VideoSourceOptions) {
    this.#units = units;
    this.frameRate = frameRate;
    this.#maxPayloadBytes = options.maxPayloadBytes ?? RTP_DEFAULT_MAX_PAYLOAD_BYTES;
    this.#loop = options.loop ?? true;
  }

  requestRefresh(): void {
    this.#refreshAsked = true;
  }

  next(): VideoFrame | undefined {
    // Skipped pictures take no time: the IDR takes the place of the next one. The first unit of a file is an IDR.
    if (this.#refreshAsked) while (this.#at < this.#units.length && !this.#units[this.#at]!.idr) this.#at++;
    if (this.#at === this.#units.length) {
      if (!this.#loop) return undefined;
      this.#at = 0;
    }
    const unit = this.#units[this.#at++]!;
    if (unit.idr) this.#refreshAsked = false;
    const index = this.#sent++;
    const nals = unit.nals.filter((nal) => nalType(nal) !== NAL.accessUnitDelimiter && nalType(nal) !== NAL.filler);
    return {
      payloads: packetizeAccessUnit(nals, this.#maxPayloadBytes),
      timestamp: Math.round((index * VIDEO_CLOCK_HZ) / this.frameRate) % 2 ** 32,
      refresh: unit.idr,
      dueMs: (index * 1000) / this.frameRate,
    };
  }
}

export interface AudioSourceOptions {
  readonly loop?: boolean;
  /** The energy to announce, by ms since the first packet; default: an estimate from packet sizes. */
  readonly energy?: (elapsedMs: number) => number;
}

/** The audio energy byte of WIRE.md 7: a whole number from 0 to 100. */
export function clampEnergy(value: number): number {
  return Number.isNaN(value) ? 0 : Math.round(Math.min(100, Math.max(0, value)));
}

/**
 * An estimate of a packet's audio energy without decoding it: packets of at most 2 bytes are silence (discontinuous
 * transmission, RFC 6716 §2.1.9), others get their size relative to the largest of the stream, in percent. An encoder
 * with variable bit rate spends more bytes on what is loud and rich; with constant bit rate the estimate only tells
 * sound from silence.
 */
export function estimateEnergy(packetBytes: number, largestPacketBytes: number): number {
  if (packetBytes <= 2 || largestPacketBytes <= 0) return 0;
  return clampEnergy((100 * packetBytes) / largestPacketBytes);
}

/** An audio source from an Ogg Opus file; one packet of the file is one RTP payload (RFC 7587 §4.2). */
export function openAudioSource(
  file: Uint8Array,
  options: AudioSourceOptions = {},
): Result<AudioSource, OpusFileRefusal> {
  const read = readOpusFile(file);
  if (!read.ok) return read;
  const { packets, head } = read.value;
  const largest = packets.reduce((max, packet) => Math.max(max, packet.bytes.length), 0);
  let at = 0;
  let samples = 0;
  const next = (): AudioFrame | undefined => {
    if (at === packets.length) {
      if (options.loop === false) return undefined;
      at = 0;
    }
    const packet = packets[at++]!;
    const dueMs = (samples * 1000) / OPUS_CLOCK_HZ;
    const timestamp = samples % 2 ** 32;
    samples += packet.samples;
    return {
      payload: packet.bytes,
      timestamp,
      durationMs: (packet.samples * 1000) / OPUS_CLOCK_HZ,
      dueMs,
      energy: options.energy ? clampEnergy(options.energy(dueMs)) : estimateEnergy(packet.bytes.length, largest),
    };
  };
  return ok({ next, channels: head.channels });
}
