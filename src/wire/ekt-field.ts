/**
 * The EKT field at the end of an SRTP packet of suites 17 and 18 (WIRE.md 6, RFC 8870 §4.1), and the route tag before it:
 * `header ‖ ciphertext ‖ AEAD tag ‖ [trailing byte] ‖ route tag ‖ field`. The packet's last byte tells the field's type.
 */
import { concat, readU16, readU32, writeU16, writeU32 } from '../base/bytes.js';
import { ok, type Result, refuse } from '../base/result.js';

export const ROUTE_TAG_BYTES = 10;
export const FIELD_SHORT = 0x00;
export const FIELD_FULL = 0x02;
/** SPI word (2), epoch (2), length (2), type (1). */
const FULL_REST_BYTES = 7;
/** RFC 8870 §4.1: a field of another type has content of at least one byte, a length (2) and its type. */
const MIN_OTHER_BYTES = 4;

/** SRTP suites whose keys ride in fields (WIRE.md 4.3). */
export type FieldSuite = 17 | 18;
/** Bytes of a sender key, and of the KEK. */
export const FIELD_KEY_BYTES: Readonly<Record<FieldSuite, 16 | 32>> = { 17: 16, 18: 32 };

/** Key length (1), key, SSRC (4) and ROC (4), wrapped by RFC 5649 §4.1: padded to 8 bytes, and 8 more. */
function wrappedBytes(suite: FieldSuite): number {
  return 8 * Math.ceil((1 + FIELD_KEY_BYTES[suite] + 4 + 4) / 8) + 8;
}

/** 47 with suite 17, 63 with suite 18. */
export function fullFieldBytes(suite: FieldSuite): number {
  return wrappedBytes(suite) + FULL_REST_BYTES;
}

interface FieldPlace {
  /** Offset of the route tag. */
  readonly at: number;
  readonly routeTag: Uint8Array;
  /** The whole field, as it goes into the route tag and onward. */
  readonly bytes: Uint8Array;
}

export interface FullField extends FieldPlace {
  readonly form: 'full';
  readonly wrapped: Uint8Array;
  /** All 16 bits are the SPI (WIRE.md 4.2). */
  readonly spiWord: number;
  readonly epoch: number;
}

/** `other`: a type that we do not know, skipped by its length; as far as keys go, it is a Short field. */
export interface KeylessField extends FieldPlace {
  readonly form: 'short' | 'other';
}

export type EktField = FullField | KeylessField;

/**
 * Reads route tag and field of a packet.
 * @param from the smallest offset at which the route tag may begin: behind header, AEAD tag and trailing byte
 * @param suite that of the conference: a Full field of another length is `malformed`
 */
export function splitEktField(packet: Uint8Array, from: number, suite: FieldSuite): Result<EktField, 'malformed'> {
  const end = packet.length;
  const type = packet[end - 1];
  if (type === undefined) return refuse('malformed', 'empty');
  const length = type === FIELD_SHORT ? 1 : end < 3 ? 0 : readU16(packet, end - 3);
  if (type === FIELD_FULL && length !== fullFieldBytes(suite)) return refuse('malformed', 'length of a Full field');
  if (type !== FIELD_SHORT && length < MIN_OTHER_BYTES) return refuse('malformed', 'length of a field');
  const at = end - length - ROUTE_TAG_BYTES;
  if (at < from) return refuse('malformed', 'field');
  const bytes = packet.subarray(end - length);
  const place = { at, routeTag: packet.subarray(at, at + ROUTE_TAG_BYTES), bytes };
  if (type !== FIELD_FULL) return ok({ ...place, form: type === FIELD_SHORT ? 'short' : 'other' });
  const rest = length - FULL_REST_BYTES;
  const wrapped = bytes.subarray(0, rest);
  return ok({ ...place, form: 'full', wrapped, spiWord: readU16(bytes, rest), epoch: readU16(bytes, rest + 2) });
}

export function shortField(): Uint8Array {
  return Uint8Array.of(FIELD_SHORT);
}

/** @param wrapped the plaintext of {@link fieldPlaintext}, wrapped with RFC 5649 under the set's KEK */
export function fullField(wrapped: Uint8Array, spiWord: number, epoch: number): Uint8Array {
  const rest = new Uint8Array(FULL_REST_BYTES);
  writeU16(rest, 0, spiWord);
  writeU16(rest, 2, epoch);
  writeU16(rest, 4, wrapped.length + FULL_REST_BYTES);
  rest[6] = FIELD_FULL;
  return concat(wrapped, rest);
}

/** Key length ‖ key ‖ SSRC ‖ ROC. It holds a key: the caller wipes it. */
export function fieldPlaintext(key: Uint8Array, ssrc: number, roc: number): Uint8Array {
  const plain = new Uint8Array(1 + key.length + 8);
  plain[0] = key.length;
  plain.set(key, 1);
  writeU32(plain, 1 + key.length, ssrc);
  writeU32(plain, 5 + key.length, roc);
  return plain;
}

/** What an unwrapped plaintext says, its key as a view; undefined when its lengths are not those of the suite. */
export function readFieldPlaintext(
  plain: Uint8Array,
  suite: FieldSuite,
): { readonly key: Uint8Array; readonly ssrc: number; readonly roc: number } | undefined {
  const keyBytes = FIELD_KEY_BYTES[suite];
  if (plain.length !== 1 + keyBytes + 8 || plain[0] !== keyBytes) return undefined;
  const key = plain.subarray(1, 1 + keyBytes);
  return { key, ssrc: readU32(plain, 1 + keyBytes), roc: readU32(plain, 5 + keyBytes) };
}
