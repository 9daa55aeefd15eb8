/**
 * The EKT tag at the end of an SRTP or SRTCP packet (WIRE.md 5). A tag's input and the tag itself have the same layout
 * behind the authenticated portion: the "tail". Its first 10 bytes go into the hash as they are here and are then replaced
 * by the base tag.
 */
import { readU16, readU32, writeU16, writeU32 } from '../base/bytes.js';
import { ok, type Result, refuse } from '../base/result.js';

export const BASE_TAG_BYTES = 10;
export const SHORT_TAG_BYTES = BASE_TAG_BYTES + 1;
/** EKT ciphers that ride in a tag (WIRE.md 4.3): 1 is AES-128 ECB, 2 is AES-128 key wrap (RFC 3394). */
export type TagCipher = 1 | 2;
export const WRAPPED_KEY_BYTES: Readonly<Record<TagCipher, number>> = { 1: 16, 2: 24 };
/** ROC (4), ISN (2), SPI word (2). */
const FULL_FIELDS_BYTES = 8;
/** The shortest Full tag; whether one is longer is known only when its SPI word has named a set. */
export const MIN_FULL_TAG_BYTES = BASE_TAG_BYTES + WRAPPED_KEY_BYTES[1] + FULL_FIELDS_BYTES;

export function fullTagBytes(cipher: TagCipher): number {
  return BASE_TAG_BYTES + WRAPPED_KEY_BYTES[cipher] + FULL_FIELDS_BYTES;
}

export interface FullTag {
  readonly form: 'full';
  /** Offset of the tag: the length of the authenticated portion. */
  readonly at: number;
  readonly baseTag: Uint8Array;
  readonly wrappedKey: Uint8Array;
  readonly roc: number;
  readonly isn: number;
  readonly spiWord: number;
}

export interface ShortTag {
  readonly form: 'short';
  readonly at: number;
  readonly baseTag: Uint8Array;
}

export type EktTag = FullTag | ShortTag;

/** Which form the packet's last bit names; an empty packet reads as Short and will not be long enough. */
export function tagForm(packet: Uint8Array): EktTag['form'] {
  return ((packet[packet.length - 1] ?? 0) & 1) === 1 ? 'full' : 'short';
}

/** The SPI word of a Full tag: its last 16 bits (WIRE.md 12 D2). The packet holds at least two bytes. */
export function spiWordOf(packet: Uint8Array): number {
  return readU16(packet, packet.length - 2);
}

/**
 * Reads the tag of a packet.
 * @param from the smallest offset at which a tag may begin: what lies before it is header (and trailing byte)
 * @param cipher that of the set which a Full tag's SPI word names; without meaning for a Short tag
 */
export function splitEktTag(packet: Uint8Array, from: number, cipher: TagCipher): Result<EktTag, 'malformed'> {
  const form = tagForm(packet);
  const at = packet.length - (form === 'full' ? fullTagBytes(cipher) : SHORT_TAG_BYTES);
  if (at < from) return refuse('malformed', 'tag');
  const baseTag = packet.subarray(at, at + BASE_TAG_BYTES);
  if (form === 'short') return ok({ form, at, baseTag });
  const fields = packet.length - FULL_FIELDS_BYTES;
  return ok({
    form,
    at,
    baseTag,
    wrappedKey: packet.subarray(at + BASE_TAG_BYTES, fields),
    roc: readU32(packet, fields),
    isn: readU16(packet, fields + 4),
    spiWord: readU16(packet, fields + 6),
  });
}

/** 10 zero bytes ‖ encrypted master key ‖ ROC ‖ ISN ‖ SPI word; for SRTP and SRTCP alike. */
export function fullTail(wrappedKey: Uint8Array, roc: number, isn: number, spiWord: number): Uint8Array {
  const tail = new Uint8Array(BASE_TAG_BYTES + wrappedKey.length + FULL_FIELDS_BYTES);
  tail.set(wrappedKey, BASE_TAG_BYTES);
  const fields = BASE_TAG_BYTES + wrappedKey.length;
  writeU32(tail, fields, roc);
  writeU16(tail, fields + 4, isn);
  writeU16(tail, fields + 6, spiWord);
  return tail;
}

/** ROC ‖ 6 zero bytes ‖ 0x00: Short tag of an SRTP packet. */
export function shortRtpTail(roc: number): Uint8Array {
  const tail = new Uint8Array(SHORT_TAG_BYTES);
  writeU32(tail, 0, roc);
  return tail;
}

/** 10 zero bytes ‖ 0x00: Short tag of an SRTCP packet, whose ROC is not part of its index. */
export function shortRtcpTail(): Uint8Array {
  return new Uint8Array(SHORT_TAG_BYTES);
}

/** Turns a tail into the tag, in place. */
export function putBaseTag(tail: Uint8Array, baseTag: Uint8Array): Uint8Array {
  tail.set(baseTag.subarray(0, BASE_TAG_BYTES));
  return tail;
}
