/** Opus packets (RFC 6716 §3) and Ogg Opus files (RFC 7845). Durations are counted in samples of 48 kHz. */
import { concat } from '../../base/bytes.js';
import { MAX_MEDIA_FILE_BYTES, MAX_OPUS_TAGS } from '../../base/limits.js';
import { ok, type Result, refuse } from '../../base/result.js';
import { type OggRefusal, OggWriter, readOggPackets } from './ogg.js';

export const OPUS_CLOCK_HZ = 48_000;
/** RFC 6716 §3.2.5 [R5]: a packet holds at most 120 ms. */
export const MAX_OPUS_PACKET_SAMPLES = 5_760;

/** Samples of one frame for the configuration in the TOC byte's upper five bits (RFC 6716 §3.1, table 2). */
export function opusFrameSamples(toc: number): number {
  const config = toc >> 3;
  if (config < 12) return [480, 960, 1920, 2880][config & 3]!; // SILK
  if (config < 16) return [480, 960][config & 1]!; // hybrid
  return [120, 240, 480, 960][config & 3]!; // CELT
}

export type OpusRefusal = 'empty' | 'malformed' | 'too_long';

const MAX_FRAME_BYTES = 1_275;

/** Samples that a packet lasts, once its framing has proven consistent (RFC 6716 §3.4, R1 to R7). */
export function opusPacketSamples(packet: Uint8Array): Result<number, OpusRefusal> {
  if (packet.length === 0) return refuse('empty'); // R1
  const frame = opusFrameSamples(packet[0]!);
  const code = packet[0]! & 3;
  if (code === 3) return manyFrames(packet, frame);
  const bytes = packet.length - 1;
  if (code === 0) return bytes > MAX_FRAME_BYTES ? refuse('malformed') : ok(frame); // R2
  if (code === 1) return bytes % 2 !== 0 || bytes / 2 > MAX_FRAME_BYTES ? refuse('malformed') : ok(2 * frame); // R3
  const first = opusFrameLength(packet, 1);
  const rest = first === undefined ? -1 : packet.length - first.end - first.length;
  return rest < 0 || rest > MAX_FRAME_BYTES ? refuse('malformed') : ok(2 * frame); // R4
}

/** Code 3 (RFC 6716 §3.2.5): a count of frames, optional padding, lengths of all frames but the last if they differ. */
function manyFrames(packet: Uint8Array, frame: number): Result<number, OpusRefusal> {
  if (packet.length < 2) return refuse('malformed');
  const count = packet[1]! & 0x3f;
  if (count === 0) return refuse('malformed');
  if (count * frame > MAX_OPUS_PACKET_SAMPLES) return refuse('too_long'); // R5
  let at = 2;
  let end = packet.length;
  if ((packet[1]! & 0x40) !== 0) {
    for (let more = true; more; ) {
      const byte = packet[at++];
      if (byte === undefined) return refuse('malformed');
      more = byte === 255;
      end -= more ? 254 : byte;
    }
  }
  if ((packet[1]! & 0x80) === 0) {
    const bytes = end - at;
    const fits = bytes >= 0 && bytes % count === 0 && bytes / count <= MAX_FRAME_BYTES;
    return fits ? ok(count * frame) : refuse('malformed'); // R6
  }
  let total = 0;
  for (let i = 0; i + 1 < count; i++) {
    const length = opusFrameLength(packet, at);
    if (length === undefined) return refuse('malformed');
    total += length.length;
    at = length.end;
  }
  const last = end - at - total;
  return last < 0 || last > MAX_FRAME_BYTES ? refuse('malformed') : ok(count * frame); // R7
}

/** RFC 6716 §3.2.1: one or two bytes. */
function opusFrameLength(packet: Uint8Array, at: number): { length: number; end: number } | undefined {
  const first = packet[at];
  if (first === undefined) return undefined;
  if (first < 252) return { length: first, end: at + 1 };
  const second = packet[at + 1];
  return second === undefined ? undefined : { length: 4 * second + first, end: at + 2 };
}

export interface OpusHead {
  readonly channels: number;
  /** Samples of 48 kHz that a player decodes and drops at the beginning. */
  readonly preSkip: number;
  /** Of the original input, for information; 0: not told. */
  readonly inputSampleRateHz: number;
  /** Q7.8 dB. */
  readonly outputGain: number;
}

const HEAD_MAGIC = Uint8Array.from('OpusHead', (c) => c.charCodeAt(0));
const TAGS_MAGIC = Uint8Array.from('OpusTags', (c) => c.charCodeAt(0));

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

/** RFC 7845 §5.1. Channel mapping family 0 only (mono or stereo): what RTP carries (RFC 7587). */
export function readOpusHead(packet: Uint8Array): Result<OpusHead, 'malformed' | 'unsupported'> {
  if (packet.length < 19 || !startsWith(packet, HEAD_MAGIC)) return refuse('malformed', 'OpusHead');
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (view.getUint8(8) >> 4 !== 0) return refuse('unsupported', `OpusHead version ${view.getUint8(8)}`);
  const channels = view.getUint8(9);
  if (view.getUint8(18) !== 0) return refuse('unsupported', `channel mapping family ${view.getUint8(18)}`);
  if (channels !== 1 && channels !== 2) return refuse('malformed', `${channels} channels`);
  return ok({
    channels,
    preSkip: view.getUint16(10, true),
    inputSampleRateHz: view.getUint32(12, true),
    outputGain: view.getInt16(16, true),
  });
}

export function writeOpusHead(head: OpusHead): Uint8Array {
  const out = new Uint8Array(19);
  out.set(HEAD_MAGIC);
  const view = new DataView(out.buffer);
  view.setUint8(8, 1);
  view.setUint8(9, head.channels);
  view.setUint16(10, head.preSkip, true);
  view.setUint32(12, head.inputSampleRateHz, true);
  view.setInt16(16, head.outputGain, true);
  return out;
}

export interface OpusTags {
  readonly vendor: string;
  /** NAME=value. */
  readonly comments: readonly string[];
}

/** RFC 7845 §5.2; more than MAX_OPUS_TAGS comments are refused. */
export function readOpusTags(packet: Uint8Array): Result<OpusTags, 'malformed' | 'too_large'> {
  if (!startsWith(packet, TAGS_MAGIC)) return refuse('malformed', 'OpusTags');
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  let at = TAGS_MAGIC.length;
  const number = (): number | undefined => {
    if (at + 4 > packet.length) return undefined;
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const text = (): string | undefined => {
    const length = number();
    if (length === undefined || at + length > packet.length) return undefined;
    at += length;
    return new TextDecoder().decode(packet.subarray(at - length, at));
  };
  const vendor = text();
  const count = number();
  if (vendor === undefined || count === undefined) return refuse('malformed', 'OpusTags');
  if (count > MAX_OPUS_TAGS) return refuse('too_large', `${count} comments`);
  const comments: string[] = [];
  for (let i = 0; i < count; i++) {
    const comment = text();
    if (comment === undefined) return refuse('malformed', 'OpusTags');
    comments.push(comment);
  }
  return ok({ vendor, comments });
}

export function writeOpusTags(tags: OpusTags): Uint8Array {
  const number = (value: number) => {
    const out = new Uint8Array(4);
    new DataView(out.buffer).setUint32(0, value, true);
    return out;
  };
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    return concat(number(bytes.length), bytes);
  };
  return concat(TAGS_MAGIC, text(tags.vendor), number(tags.comments.length), ...tags.comments.map(text));
}

export interface OpusPacket {
  readonly bytes: Uint8Array;
  /** 48 kHz. */
  readonly samples: number;
}

export interface OpusFile {
  readonly head: OpusHead;
  readonly tags: OpusTags;
  readonly packets: readonly OpusPacket[];
}

export type OpusFileRefusal = OggRefusal | OpusRefusal | 'unsupported' | 'no_audio';

/** Reads an Ogg Opus file: the first Opus stream in it, first link of a chain only. */
export function readOpusFile(file: Uint8Array): Result<OpusFile, OpusFileRefusal> {
  if (file.length > MAX_MEDIA_FILE_BYTES) return refuse('too_large');
  const read = readOggPackets(file, HEAD_MAGIC);
  if (!read.ok) return read;
  const [headPacket, tagsPacket, ...rest] = read.value;
  if (headPacket === undefined || tagsPacket === undefined) return refuse('truncated', 'headers');
  const head = readOpusHead(headPacket.bytes);
  if (!head.ok) return head;
  const tags = readOpusTags(tagsPacket.bytes);
  if (!tags.ok) return tags;
  const packets: OpusPacket[] = [];
  for (const [i, { bytes }] of rest.entries()) {
    const samples = opusPacketSamples(bytes);
    if (!samples.ok) return refuse(samples.reason, `packet ${i}`);
    packets.push({ bytes, samples: samples.value });
  }
  return packets.length === 0 ? refuse('no_audio') : ok({ head: head.value, tags: tags.value, packets });
}

export interface OpusFileOptions {
  /** Of the logical Ogg stream, u32. */
  readonly serial: number;
  readonly head?: Partial<OpusHead>;
  readonly tags?: OpusTags;
}

const SAMPLES_PER_PAGE = OPUS_CLOCK_HZ;

/** Writes an Ogg Opus file page by page, a page about every second; `close` writes the last one. */
export class OpusFileWriter {
  readonly #ogg: OggWriter;
  /** End of the last packet, pre-skip included (RFC 7845 §4). */
  #granule = 0n;
  #pageStart = 0n;

  constructor(append: (bytes: Uint8Array) => void, options: OpusFileOptions) {
    this.#ogg = new OggWriter(append, options.serial);
    // RFC 7845 §3: OpusHead alone on the first page, OpusTags ends its own, both at granule position 0.
    const head = { channels: 2, preSkip: 312, inputSampleRateHz: OPUS_CLOCK_HZ, outputGain: 0, ...options.head };
    this.#ogg.packet(writeOpusHead(head), 0n);
    this.#ogg.flush();
    this.#ogg.packet(writeOpusTags(options.tags ?? { vendor: 'claviger', comments: [] }), 0n);
    this.#ogg.flush();
  }

  /** Appends one packet; what is no Opus packet is refused and not written. */
  packet(bytes: Uint8Array): Result<number, OpusRefusal> {
    const samples = opusPacketSamples(bytes);
    if (!samples.ok) return samples;
    // Before, not after: the page in hand always has a packet, so that the last page is never empty.
    if (this.#granule - this.#pageStart >= SAMPLES_PER_PAGE) {
      this.#ogg.flush();
      this.#pageStart = this.#granule;
    }
    this.#granule += BigInt(samples.value);
    this.#ogg.packet(bytes, this.#granule);
    return samples;
  }

  close(): void {
    this.#ogg.close(this.#granule);
  }
}
