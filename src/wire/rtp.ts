import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.js';
import { MAX_DATAGRAM_BYTES } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';

/** RFC 3550 §5.1. */
export const RTP_FIXED_HEADER_BYTES = 12;

export interface RtpExtension {
  /** "Defined by profile", 16 bits. */
  readonly profile: number;
  /** Whole 32-bit words. */
  readonly data: Uint8Array;
}

export interface RtpHeader {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  /** All CSRCs in order; on a TIP channel the first is the multiplex word. */
  readonly csrcs: readonly number[];
  readonly padding: boolean;
  readonly extension?: RtpExtension;
  /** Bytes of the header with its CSRCs and extension: the payload's offset. */
  readonly length: number;
}

/** An SSRC of the control kind: its low byte is 00; a media SSRC's never is (WIRE.md 3). */
export function isControlSsrc(ssrc: number): boolean {
  return (ssrc & 0xff) === 0;
}

/**
 * Reads an RTP header (RFC 3550 §5.1, §5.3.1) and checks that it lies within `end`, the offset of the first byte that the
 * header cannot reach (a tag's beginning). Padding is not checked: under SRTP its count is encrypted (see {@link stripPadding}).
 * Views point into `datagram`.
 */
export function parseRtpHeader(datagram: Uint8Array, end = datagram.length): Result<RtpHeader, 'malformed'> {
  if (datagram.length > MAX_DATAGRAM_BYTES) return refuse('malformed', 'datagram too large');
  if (end > datagram.length || end < RTP_FIXED_HEADER_BYTES) return refuse('malformed', 'too short');
  const first = datagram[0]!;
  if (first >>> 6 !== 2) return refuse('malformed', 'version');
  const count = first & 0xf;
  let length = RTP_FIXED_HEADER_BYTES + 4 * count;
  if (length > end) return refuse('malformed', 'CSRC count');
  const csrcs: number[] = [];
  for (let i = 0; i < count; i++) csrcs.push(readU32(datagram, RTP_FIXED_HEADER_BYTES + 4 * i));
  let extension: RtpExtension | undefined;
  if ((first & 0x10) !== 0) {
    if (length + 4 > end) return refuse('malformed', 'extension');
    const bytes = 4 * readU16(datagram, length + 2);
    if (length + 4 + bytes > end) return refuse('malformed', 'extension');
    extension = { profile: readU16(datagram, length), data: datagram.subarray(length + 4, length + 4 + bytes) };
    length += 4 + bytes;
  }
  const second = datagram[1]!;
  const header = {
    marker: (second & 0x80) !== 0,
    payloadType: second & 0x7f,
    sequence: readU16(datagram, 2),
    timestamp: readU32(datagram, 4),
    ssrc: readU32(datagram, 8),
    csrcs,
    padding: (first & 0x20) !== 0,
    length,
  };
  return ok(extension === undefined ? header : { ...header, extension });
}

/** Takes the padding off a plain payload (RFC 3550 §5.1: the last byte counts the padding, itself included). */
export function stripPadding(payload: Uint8Array, padding: boolean): Result<Uint8Array, 'malformed'> {
  if (!padding) return ok(payload);
  const count = payload[payload.length - 1];
  if (count === undefined || count === 0 || count > payload.length) return refuse('malformed', 'padding');
  return ok(payload.subarray(0, payload.length - count));
}

/** A whole plain RTP packet: header and payload without padding, as views. */
export function parseRtp(datagram: Uint8Array): Result<{ header: RtpHeader; payload: Uint8Array }, 'malformed'> {
  const header = parseRtpHeader(datagram);
  if (!header.ok) return header;
  const payload = stripPadding(datagram.subarray(header.value.length), header.value.padding);
  return payload.ok ? ok({ header: header.value, payload: payload.value }) : payload;
}

/** One header extension alone in the form of one byte (RFC 8285 §4.2). @param id 1 to 14; @param value 1 to 16 bytes */
export function oneByteExtension(id: number, value: Uint8Array): RtpExtension {
  if (id < 1 || id > 14 || value.length < 1 || value.length > 16) throw new RangeError('no one-byte header extension');
  const data = new Uint8Array(4 * Math.ceil((1 + value.length) / 4));
  data[0] = (id << 4) | (value.length - 1);
  data.set(value, 1);
  return { profile: 0xbede, data };
}

export interface RtpHeaderFields {
  readonly marker?: boolean;
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  /** At most 15. */
  readonly csrcs?: readonly number[];
  /** The payload that follows ends with padding. */
  readonly padding?: boolean;
  /** `data` in whole 32-bit words, at most 65,535. */
  readonly extension?: RtpExtension;
}

/** Writes an RTP header. Throws on fields that no header can hold: they come from our own code. */
export function writeRtpHeader(fields: RtpHeaderFields): Uint8Array {
  const csrcs = fields.csrcs ?? [];
  const extension = fields.extension;
  if (csrcs.length > 15) throw new RangeError('more than 15 CSRCs');
  if (extension !== undefined && (extension.data.length % 4 !== 0 || extension.data.length > 4 * 0xffff)) {
    throw new RangeError('an extension is made of at most 65,535 whole words');
  }
  if (fields.payloadType < 0 || fields.payloadType > 127) throw new RangeError('payload type above 127');
  const at = RTP_FIXED_HEADER_BYTES + 4 * csrcs.length;
  const out = new Uint8Array(at + (extension === undefined ? 0 : 4 + extension.data.length));
  out[0] = 0x80 | (fields.padding ? 0x20 : 0) | (extension === undefined ? 0 : 0x10) | csrcs.length;
  out[1] = (fields.marker ? 0x80 : 0) | fields.payloadType;
  writeU16(out, 2, fields.sequence);
  writeU32(out, 4, fields.timestamp);
  writeU32(out, 8, fields.ssrc);
  csrcs.forEach((csrc, i) => {
    writeU32(out, RTP_FIXED_HEADER_BYTES + 4 * i, csrc);
  });
  if (extension !== undefined) {
    writeU16(out, at, extension.profile);
    writeU16(out, at + 2, extension.data.length / 4);
    out.set(extension.data, at + 4);
  }
  return out;
}
