/** The little that a sender and a recorder need of H.264 parameter sets: their ids and the frame rate. */
import { NAL, nalType } from './annexb.js';

/** Reads bits of an RBSP, most significant first; past the end it gives zeros and `overrun` says so. */
class BitReader {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get overrun(): boolean {
    return this.#at > this.bytes.length * 8;
  }

  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) {
      const byte = this.bytes[this.#at >> 3] ?? 0;
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at++;
    }
    return value;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** Unsigned Exp-Golomb code (H.264 §9.1). More than 32 leading zeros fit no syntax element: 0, with `overrun`. */
  ue(): number {
    let zeros = 0;
    while (!this.overrun && zeros <= 32 && !this.flag()) zeros++;
    if (zeros > 32 || this.overrun) {
      this.#at = this.bytes.length * 8 + 1;
      return 0;
    }
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** Signed Exp-Golomb code (H.264 §9.1.1). */
  se(): number {
    const k = this.ue();
    return k % 2 === 0 ? -k / 2 : (k + 1) / 2;
  }
}

/** The payload of a NAL unit without emulation prevention bytes (H.264 §7.3.1). */
function rbsp(nal: Uint8Array): Uint8Array {
  const out = new Uint8Array(nal.length - 1);
  let length = 0;
  let zeros = 0;
  for (const byte of nal.subarray(1)) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}

/** seq_parameter_set_id or pic_parameter_set_id (H.264 §7.3.2.1.1, §7.3.2.2); undefined: neither, cut short or out of range. */
export function parameterSetId(nal: Uint8Array): number | undefined {
  const type = nalType(nal);
  if (type !== NAL.sps && type !== NAL.pps) return undefined;
  const reader = new BitReader(rbsp(nal));
  if (type === NAL.sps) reader.bits(24);
  const id = reader.ue();
  return reader.overrun || id > (type === NAL.sps ? 31 : 255) ? undefined : id;
}

/** Profiles whose SPS carries the chroma format and scaling matrices (H.264 §7.3.2.1.1). */
const HIGH_PROFILES: ReadonlySet<number> = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

function skipScalingList(reader: BitReader, size: number): void {
  let last = 8;
  let next = 8;
  for (let i = 0; i < size && !reader.overrun; i++) {
    if (next !== 0) next = (last + reader.se() + 256) % 256;
    if (next !== 0) last = next;
  }
}

function skipHighProfileFields(reader: BitReader): void {
  const chromaFormat = reader.ue();
  if (chromaFormat === 3) reader.flag();
  reader.ue();
  reader.ue();
  reader.flag();
  if (!reader.flag()) return;
  const lists = chromaFormat === 3 ? 12 : 8;
  for (let i = 0; i < lists; i++) if (reader.flag()) skipScalingList(reader, i < 6 ? 16 : 64);
}

function skipPictureOrder(reader: BitReader): void {
  const type = reader.ue();
  if (type === 0) reader.ue();
  if (type !== 1) return;
  reader.flag();
  reader.se();
  reader.se();
  const cycle = Math.min(reader.ue(), 255);
  for (let i = 0; i < cycle && !reader.overrun; i++) reader.se();
}

/**
 * Frames a second from the SPS's VUI timing (H.264 §E.2.1: a frame lasts two ticks); undefined when the SPS has none,
 * is cut short, or names a rate outside 1 to 240.
 */
export function spsFrameRate(sps: Uint8Array): number | undefined {
  if (nalType(sps) !== NAL.sps) return undefined;
  const reader = new BitReader(rbsp(sps));
  const profile = reader.bits(8);
  reader.bits(16);
  reader.ue();
  if (HIGH_PROFILES.has(profile)) skipHighProfileFields(reader);
  reader.ue();
  skipPictureOrder(reader);
  reader.ue();
  reader.flag();
  reader.ue();
  reader.ue();
  if (!reader.flag()) reader.flag();
  reader.flag();
  if (reader.flag()) for (let i = 0; i < 4; i++) reader.ue();
  if (!reader.flag()) return undefined;
  if (reader.flag() && reader.bits(8) === 255) reader.bits(32);
  if (reader.flag()) reader.flag();
  if (reader.flag()) {
    reader.bits(4);
    if (reader.flag()) reader.bits(24);
  }
  if (reader.flag()) {
    reader.ue();
    reader.ue();
  }
  if (!reader.flag()) return undefined;
  const unitsInTick = reader.bits(32);
  const timeScale = reader.bits(32);
  if (reader.overrun || unitsInTick === 0) return undefined;
  const rate = timeScale / (2 * unitsInTick);
  return rate >= 1 && rate <= 240 ? rate : undefined;
}
