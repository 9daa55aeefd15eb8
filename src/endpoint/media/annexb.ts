/** H.264 byte streams (ITU-T H.264 Annex B): start codes to NAL units to access units, and back. */
import { MAX_MEDIA_FILE_BYTES } from '../../base/limits.js';
import { ok, type Result, refuse } from '../../base/result.js';
import type { AccessUnit } from './types.js';

/** nal_unit_type, H.264 table 7-1; from 24 on the numbers belong to RTP (RFC 6184 §5.2). */
export const NAL = {
  slice: 1,
  idrSlice: 5,
  sei: 6,
  sps: 7,
  pps: 8,
  accessUnitDelimiter: 9,
  filler: 12,
} as const;

export function nalType(nal: Uint8Array): number {
  return nal[0]! & 0x1f;
}

/** A coded slice or the first partition of one: what a picture is made of. */
export function isSlice(type: number): boolean {
  return type >= 1 && type <= 5;
}

/** first_mb_in_slice is an unsigned Exp-Golomb code, so it is 0 exactly when its first bit is 1 (H.264 §7.3.3, §9.1). */
export function isFirstSliceOfPicture(nal: Uint8Array): boolean {
  const type = nalType(nal);
  return (type === 1 || type === 2 || type === 5) && nal.length > 1 && (nal[1]! & 0x80) !== 0;
}

/**
 * The NAL units of a byte stream, as views into it, without start codes and trailing zero bytes (H.264 §B.1).
 * Bytes before the first start code are skipped; empty NAL units are left out.
 */
export function splitAnnexB(stream: Uint8Array): Uint8Array[] {
  const nals: Uint8Array[] = [];
  let start = -1;
  const take = (end: number) => {
    if (start < 0) return;
    let last = end;
    while (last > start && stream[last - 1] === 0) last--;
    if (last > start) nals.push(stream.subarray(start, last));
  };
  for (let at = 0; at + 2 < stream.length; ) {
    const third = stream[at + 2]!;
    if (third > 1) at += 3;
    else if (third === 1 && stream[at] === 0 && stream[at + 1] === 0) {
      take(at);
      start = at + 3;
      at = start;
    } else at++;
  }
  take(stream.length);
  return nals;
}

/** The byte stream of `nals`, each behind a four-byte start code. */
export function writeAnnexB(nals: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const nal of nals) length += 4 + nal.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const nal of nals) {
    out[at + 3] = 1;
    out.set(nal, at + 4);
    at += 4 + nal.length;
  }
  return out;
}

/**
 * Does `nal` begin a new access unit, given the last slice of the current one (undefined: none yet)? H.264 §7.4.1.2.3
 * for what stands before a picture, and of §7.4.1.2.4 the conditions that need no parameter set. Slices in arbitrary
 * order and redundant pictures (of the Baseline profile, made by no encoder in use) are not told apart.
 */
export function beginsAccessUnit(nal: Uint8Array, lastSlice: Uint8Array | undefined): boolean {
  if (lastSlice === undefined) return false;
  const type = nalType(nal);
  if (isSlice(type)) {
    if (type === 3 || type === 4) return false; // partitions B and C follow their A
    const isReference = (nal[0]! & 0x60) !== 0;
    const wasReference = (lastSlice[0]! & 0x60) !== 0;
    const kindDiffers = (type === NAL.idrSlice) !== (nalType(lastSlice) === NAL.idrSlice);
    return isFirstSliceOfPicture(nal) || isReference !== wasReference || kindDiffers;
  }
  return (type >= NAL.sei && type <= NAL.accessUnitDelimiter) || (type >= 14 && type <= 18);
}

/** Puts NAL units in decoding order together to access units. */
export function groupAccessUnits(nals: Iterable<Uint8Array>): AccessUnit[] {
  const units: AccessUnit[] = [];
  let current: Uint8Array[] = [];
  let lastSlice: Uint8Array | undefined;
  const take = () => {
    if (current.length > 0) units.push({ nals: current, idr: current.some((n) => nalType(n) === NAL.idrSlice) });
    current = [];
    lastSlice = undefined;
  };
  for (const nal of nals) {
    if (beginsAccessUnit(nal, lastSlice)) take();
    current.push(nal);
    if (isSlice(nalType(nal))) lastSlice = nal;
  }
  take();
  return units;
}

export type H264FileRefusal = 'too_large' | 'no_nal_unit' | 'malformed_nal_unit' | 'no_decodable_start';

/**
 * Reads an H.264 file (at most MAX_MEDIA_FILE_BYTES). NAL unit types that the standard leaves to applications (0 and
 * 24-31) are dropped: they say nothing to a decoder and their numbers mean something else on RTP. What stands before
 * the first IDR picture is dropped too, since nobody could decode it.
 * @returns access units, the first one an IDR with its parameter sets; views into `stream`
 */
export function readH264File(stream: Uint8Array): Result<AccessUnit[], H264FileRefusal> {
  if (stream.length > MAX_MEDIA_FILE_BYTES) return refuse('too_large');
  const nals = splitAnnexB(stream);
  if (nals.length === 0) return refuse('no_nal_unit');
  if (nals.some((nal) => (nal[0]! & 0x80) !== 0)) return refuse('malformed_nal_unit', 'forbidden_zero_bit is set');
  const units = groupAccessUnits(nals.filter((nal) => nalType(nal) > 0 && nalType(nal) < 24));
  const first = units.findIndex(
    (unit) => unit.idr && [NAL.sps, NAL.pps].every((type) => unit.nals.some((nal) => nalType(nal) === type)),
  );
  if (first < 0) return refuse('no_decodable_start', 'no IDR picture with its SPS and PPS');
  return ok(units.slice(first).filter((unit) => unit.nals.some((nal) => isSlice(nalType(nal)))));
}
