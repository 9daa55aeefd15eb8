/** H.264 in RTP, packetization mode 1 (RFC 6184 §6.3), the sending half: single NAL unit packets, STAP-A and FU-A. */
import { writeU16 } from '../../base/bytes.js';
import { isSlice, NAL, nalType } from './annexb.js';
import type { RtpPayload } from './types.js';

/** RFC 6184 §5.2, table 1. */
export const STAP_A = 24;
export const FU_A = 28;
/** An FU-A payload is an indicator, a header and at least one byte. */
export const MIN_PAYLOAD_BYTES = 3;
/** A STAP-A counts in 16 bits. */
const MAX_PAYLOAD_BYTES = 65_535;

/** RFC 6184 §5.7.1: F is set if any unit's is, NRI is the highest among them. */
function stapA(nals: readonly Uint8Array[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  let forbidden = 0;
  let importance = 0;
  let at = 1;
  for (const nal of nals) {
    forbidden |= nal[0]! & 0x80;
    importance = Math.max(importance, nal[0]! & 0x60);
    writeU16(out, at, nal.length);
    out.set(nal, at + 2);
    at += 2 + nal.length;
  }
  out[0] = forbidden | importance | STAP_A;
  return out;
}

/** RFC 6184 §5.8. The NAL unit's own header byte travels split over the FU indicator and the FU header. */
function fuA(nal: Uint8Array, maxPayloadBytes: number): Uint8Array[] {
  const room = maxPayloadBytes - 2;
  const count = Math.ceil((nal.length - 1) / room);
  const out: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const part = nal.subarray(1 + i * room, Math.min(1 + (i + 1) * room, nal.length));
    const payload = new Uint8Array(2 + part.length);
    payload[0] = (nal[0]! & 0xe0) | FU_A;
    payload[1] = (i === 0 ? 0x80 : 0) | (i === count - 1 ? 0x40 : 0) | nalType(nal);
    payload.set(part, 2);
    out.push(payload);
  }
  return out;
}

/**
 * The RTP payloads of one access unit, in sending order, the marker on the last (RFC 6184 §5.1). Parameter sets, SEI and
 * the like that follow one another share a STAP-A where they fit; slices stay apart, so that a lost packet costs one.
 * @param nals the NAL units, none empty, types 1-23
 * @param maxPayloadBytes MIN_PAYLOAD_BYTES to 65,535; throws outside (a configuration bug)
 */
export function packetizeAccessUnit(nals: readonly Uint8Array[], maxPayloadBytes: number): RtpPayload[] {
  if (!(maxPayloadBytes >= MIN_PAYLOAD_BYTES && maxPayloadBytes <= MAX_PAYLOAD_BYTES)) {
    throw new Error(`max payload of ${maxPayloadBytes} bytes`);
  }
  const out: Uint8Array[] = [];
  let group: Uint8Array[] = [];
  let groupSize = 1;
  const takeGroup = () => {
    if (group.length === 1) out.push(group[0]!);
    else if (group.length > 1) out.push(stapA(group, groupSize));
    group = [];
    groupSize = 1;
  };
  for (const nal of nals) {
    const fits = nal.length <= maxPayloadBytes;
    if (!fits || isSlice(nalType(nal))) {
      takeGroup();
      if (fits) out.push(nal);
      else out.push(...fuA(nal, maxPayloadBytes));
      continue;
    }
    if (groupSize + 2 + nal.length > maxPayloadBytes) takeGroup();
    group.push(nal);
    groupSize += 2 + nal.length;
  }
  takeGroup();
  return out.map((bytes, i) => ({ bytes, marker: i === out.length - 1 }));
}

function startsIdr(nal: Uint8Array): boolean {
  return nalType(nal) === NAL.sps || (nalType(nal) === NAL.idrSlice && (nal[1]! & 0x80) !== 0);
}

/**
 * Does this RTP payload begin an IDR access unit: an SPS, or the first slice of an IDR picture, alone, in a STAP-A or as
 * the first FU-A fragment? For streams whose access units are not at hand (a bridge); unreadable payloads are not.
 */
export function h264RefreshStart(payload: Uint8Array): boolean {
  if (payload.length < 2) return false;
  const type = nalType(payload);
  if (type === FU_A) {
    if (payload.length < 3 || (payload[1]! & 0x80) === 0) return false;
    return startsIdr(Uint8Array.of(payload[1]! & 0x1f, payload[2]!));
  }
  if (type !== STAP_A) return startsIdr(payload);
  for (let at = 1; at + 2 < payload.length; ) {
    const size = (payload[at]! << 8) | payload[at + 1]!;
    if (size === 0 || at + 2 + size > payload.length) return false;
    if (startsIdr(payload.subarray(at + 2, at + 2 + size))) return true;
    at += 2 + size;
  }
  return false;
}
