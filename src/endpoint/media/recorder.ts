/** Received streams into playable files: H.264 as Annex B, Opus as Ogg Opus. One file a source (SSRC and position). */
import type { Media } from '../../base/ids.js';
import { MAX_RECORDED_STREAMS, RECORDER_MAX_GAP_MS } from '../../base/limits.js';
import { NAL, nalType, writeAnnexB } from './annexb.js';
import { H264Depacketizer, type H264PayloadRefusal } from './h264-depacketizer.js';
import { OPUS_CLOCK_HZ, OpusFileWriter, opusFrameSamples, opusPacketSamples } from './opus.js';
import { type Ordered, ReorderBuffer, type ReorderInput, type ReorderOptions } from './reorder.js';
import type { Sink } from './types.js';

/** What a recorder needs of an authenticated, decrypted RTP packet. `payload` must not be reused by the caller. */
export interface RecordedPacket {
  /** u16. */
  readonly sequence: number;
  readonly timestamp: number;
  readonly marker: boolean;
  readonly payload: Uint8Array;
}

export interface RecorderStatus {
  readonly packets: number;
  /** Pictures or audio packets written. */
  readonly written: number;
  /** Missing, or so late that their place was given up. */
  readonly lost: number;
  readonly refused: number;
  /** Video: nothing is written until an IDR comes. */
  readonly awaitingIdr: boolean;
}

/** Takes packets as they come; `tick` when `deadline` has passed lets go of packets that waited for a lost one. */
abstract class StreamRecorder {
  readonly #reorder: ReorderBuffer<RecordedPacket>;
  readonly #sink: Sink;
  #packets = 0;
  #closed = false;
  protected written = 0;
  protected refused = 0;

  constructor(sink: Sink, options: ReorderOptions) {
    this.#sink = sink;
    this.#reorder = new ReorderBuffer(options);
  }

  packet(packet: RecordedPacket, now: number): void {
    this.#packets++;
    this.#receive({ type: 'packet', sequence: packet.sequence, item: packet }, now);
  }

  tick(now: number): void {
    this.#receive({ type: 'tick' }, now);
  }

  deadline(): number | undefined {
    return this.#closed ? undefined : this.#reorder.deadline();
  }

  /** Writes what is held and ends the file. Twice is once. */
  close(now: number): void {
    if (this.#closed) return;
    this.#receive({ type: 'flush' }, now);
    this.#closed = true;
    this.finish();
    this.#sink.close();
  }

  status(): RecorderStatus {
    return {
      packets: this.#packets,
      written: this.written,
      lost: this.#reorder.counters.lost,
      refused: this.refused,
      awaitingIdr: this.awaitingIdr(),
    };
  }

  protected append(bytes: Uint8Array): void {
    this.#sink.append(bytes);
  }

  protected abstract ordered(packet: Ordered<RecordedPacket>): void;
  protected abstract finish(): void;
  protected awaitingIdr(): boolean {
    return false;
  }

  #receive(input: ReorderInput<RecordedPacket>, now: number): void {
    if (this.#closed) return;
    this.#reorder.receive(input, now);
    for (let next = this.#reorder.poll(); next !== undefined; next = this.#reorder.poll()) this.ordered(next);
  }
}

/**
 * Writes an Annex B byte stream that begins with SPS, PPS and an IDR picture and holds whole pictures only. Such a stream
 * has no clock: where pictures were lost, the file is shorter than the time it was recorded in.
 */
export class VideoRecorder extends StreamRecorder {
  readonly #depacketizer = new H264Depacketizer();
  readonly refusals = new Map<H264PayloadRefusal, number>();

  constructor(sink: Sink, options: ReorderOptions = {}) {
    super(sink, options);
  }

  protected override ordered({ extendedSequence, item }: Ordered<RecordedPacket>): void {
    const { payload, marker, timestamp } = item;
    const step = this.#depacketizer.push({ payload, marker, timestamp, extendedSequence });
    if (step.refused !== undefined) {
      this.refused++;
      this.refusals.set(step.refused, (this.refusals.get(step.refused) ?? 0) + 1);
    }
    for (const unit of step.accessUnits) {
      // A sender may give its parameter sets once, apart from the pictures; a file must begin with them.
      const own = new Set(unit.nals.map(nalType));
      const needsSets = unit.idr && !(own.has(NAL.sps) && own.has(NAL.pps));
      if (needsSets) this.append(writeAnnexB(this.#depacketizer.parameterSets()));
      this.append(writeAnnexB(unit.nals));
      this.written++;
    }
  }

  protected override finish(): void {}

  protected override awaitingIdr(): boolean {
    return this.#depacketizer.awaitingIdr;
  }
}

export interface AudioRecorderOptions extends ReorderOptions {
  /** Of the Ogg stream, u32; the SSRC does well. */
  readonly serial: number;
  readonly channels?: number;
}

/** RFC 7845 §5.1: what a decoder needs to converge where a recording begins in the middle of a stream, 80 ms. */
const MID_STREAM_PRE_SKIP = 3_840;

/**
 * Writes an Ogg Opus file whose positions follow the RTP timestamps: where packets are missing (lost, or not sent in
 * silence) it puts packets without data, which a decoder conceals (RFC 7845 §4.1). Gaps over RECORDER_MAX_GAP_MS are cut.
 */
export class AudioRecorder extends StreamRecorder {
  readonly #file: OpusFileWriter;
  /** RTP timestamp at the end of what is written. */
  #expected: number | undefined;
  #lastToc = 0;

  constructor(sink: Sink, options: AudioRecorderOptions) {
    super(sink, options);
    const head = { channels: options.channels ?? 2, preSkip: MID_STREAM_PRE_SKIP };
    this.#file = new OpusFileWriter((bytes) => this.append(bytes), { serial: options.serial, head });
  }

  protected override ordered({ item }: Ordered<RecordedPacket>): void {
    const samples = opusPacketSamples(item.payload);
    if (!samples.ok) {
      this.refused++;
      return;
    }
    if (this.#expected !== undefined) this.#fill((item.timestamp - this.#expected) | 0);
    this.#file.packet(item.payload);
    this.written++;
    this.#lastToc = item.payload[0]!;
    this.#expected = (item.timestamp + samples.value) >>> 0;
  }

  #fill(missing: number): void {
    if (missing <= 0 || missing > (RECORDER_MAX_GAP_MS * OPUS_CLOCK_HZ) / 1000) return;
    const empty = Uint8Array.of(this.#lastToc & 0xfc); // one frame of the same configuration, without a byte of data
    const frame = opusFrameSamples(this.#lastToc);
    for (let left = missing; left >= frame; left -= frame) this.#file.packet(empty);
  }

  protected override finish(): void {
    this.#file.close();
  }
}

/** Tells one recorded source from another. */
export interface RecordedSource {
  readonly media: Media;
  readonly ssrc: number;
  /** Source position (WIRE.md 8). */
  readonly position: number;
}

/** All recordings of an endpoint. `open` names and makes the file of a source that was not heard before. */
export class RecorderSet {
  readonly #recorders = new Map<string, { source: RecordedSource; recorder: VideoRecorder | AudioRecorder }>();
  readonly #open: (source: RecordedSource) => Sink;
  readonly #options: ReorderOptions;
  /** Packets of sources beyond MAX_RECORDED_STREAMS: not recorded. */
  unrecorded = 0;

  constructor(open: (source: RecordedSource) => Sink, options: ReorderOptions = {}) {
    this.#open = open;
    this.#options = options;
  }

  packet(source: RecordedSource, packet: RecordedPacket, now: number): void {
    const key = `${source.media}/${source.ssrc}/${source.position}`;
    let entry = this.#recorders.get(key);
    if (entry === undefined) {
      if (this.#recorders.size >= MAX_RECORDED_STREAMS) {
        this.unrecorded++;
        return;
      }
      const sink = this.#open(source);
      const recorder =
        source.media === 'video'
          ? new VideoRecorder(sink, this.#options)
          : new AudioRecorder(sink, { ...this.#options, serial: source.ssrc });
      entry = { source, recorder };
      this.#recorders.set(key, entry);
    }
    entry.recorder.packet(packet, now);
  }

  tick(now: number): void {
    for (const { recorder } of this.#recorders.values()) recorder.tick(now);
  }

  deadline(): number | undefined {
    let earliest: number | undefined;
    for (const { recorder } of this.#recorders.values()) {
      const at = recorder.deadline();
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at;
    }
    return earliest;
  }

  /** Ends every file; the set stays readable. */
  close(now: number): void {
    for (const { recorder } of this.#recorders.values()) recorder.close(now);
  }

  status(): { source: RecordedSource; status: RecorderStatus }[] {
    return [...this.#recorders.values()].map(({ source, recorder }) => ({ source, status: recorder.status() }));
  }
}
