/** Handshake messages out of fragments, in the order of message_seq (RFC 6347 §4.2.2, §4.2.3), in bounded memory. */
import { concat, readU16, writeU16 } from '../../base/bytes.js';
import {
  DTLS_MAX_HANDSHAKE_MESSAGE_BYTES,
  DTLS_MAX_MESSAGES_AHEAD,
  DTLS_MAX_RANGES_PER_MESSAGE,
} from '../../base/limits.js';

export const HANDSHAKE_HEADER_BYTES = 12;

export const HANDSHAKE = {
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

export interface HandshakeMessage {
  readonly type: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

export interface Fragment {
  readonly type: number;
  readonly sequence: number;
  /** Bytes of the whole message. */
  readonly length: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

function readU24(b: Uint8Array, at: number): number {
  return (b[at]! << 16) | readU16(b, at + 1);
}

function writeU24(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 16;
  writeU16(b, at + 1, value);
}

/** The fragments in a handshake record's plaintext; a malformed one ends the walk. */
export function splitFragments(payload: Uint8Array): Fragment[] {
  const fragments: Fragment[] = [];
  let at = 0;
  while (payload.length - at >= HANDSHAKE_HEADER_BYTES) {
    const length = readU24(payload, at + 1);
    const offset = readU24(payload, at + 6);
    const end = at + HANDSHAKE_HEADER_BYTES + readU24(payload, at + 9);
    if (end > payload.length || length > DTLS_MAX_HANDSHAKE_MESSAGE_BYTES) break;
    const bytes = payload.subarray(at + HANDSHAKE_HEADER_BYTES, end);
    if (offset + bytes.length > length) break;
    fragments.push({ type: payload[at]!, length, sequence: readU16(payload, at + 4), offset, bytes });
    at = end;
  }
  return fragments;
}

/** A fragment with its header; a whole message (`offset` 0, all bytes) is the form the transcript takes (RFC 6347 §4.2.6). */
export function frameFragment(fragment: Fragment): Uint8Array {
  const header = new Uint8Array(HANDSHAKE_HEADER_BYTES);
  header[0] = fragment.type;
  writeU24(header, 1, fragment.length);
  writeU16(header, 4, fragment.sequence);
  writeU24(header, 6, fragment.offset);
  writeU24(header, 9, fragment.bytes.length);
  return concat(header, fragment.bytes);
}

export function frameMessage(message: HandshakeMessage): Uint8Array {
  return frameFragment({ ...message, length: message.body.length, offset: 0, bytes: message.body });
}

interface Slot {
  readonly type: number;
  readonly body: Uint8Array;
  /** Disjoint [start, end) of what has come, sorted. */
  ranges: Range[];
}

/**
 * Collects the fragments of the next message and of a few behind it. Everything here is plaintext that anybody could have
 * sent, so a message is only given up by `take`, and `refuse` makes room for the genuine one.
 */
export class Reassembler {
  #next = 0;
  readonly #slots = new Map<number, Slot>();

  get next(): number {
    return this.#next;
  }

  /** Bytes held, at most two whole messages. */
  get heldBytes(): number {
    let bytes = 0;
    for (const slot of this.#slots.values()) bytes += slot.body.length;
    return bytes;
  }

  get heldMessages(): number {
    return this.#slots.size;
  }

  add(fragment: Fragment): void {
    const ahead = fragment.sequence - this.#next;
    if (ahead < 0 || ahead > DTLS_MAX_MESSAGES_AHEAD) return;
    let slot = this.#slots.get(fragment.sequence);
    // A fragment that contradicts what is held starts anew: else one forged fragment would shut out the genuine message.
    if (slot === undefined || slot.type !== fragment.type || slot.body.length !== fragment.length) {
      this.#slots.delete(fragment.sequence);
      // The next message always finds room; those behind it share the room of one.
      if (ahead > 0 && this.#bytesAhead() + fragment.length > DTLS_MAX_HANDSHAKE_MESSAGE_BYTES) return;
      slot = { type: fragment.type, body: new Uint8Array(fragment.length), ranges: [] };
      this.#slots.set(fragment.sequence, slot);
    }
    if (fragment.bytes.length === 0) return;
    const range = [fragment.offset, fragment.offset + fragment.bytes.length] as const;
    slot.body.set(fragment.bytes, fragment.offset);
    slot.ranges = merge(slot.ranges, range);
    // Nobody honest cuts so small; forgetting what came before lets the genuine pieces in.
    if (slot.ranges.length > DTLS_MAX_RANGES_PER_MESSAGE) slot.ranges = [range];
  }

  /** The message numbered `sequence` (by default the next one) if it is complete; it stays until `advance` or `refuse`. */
  peek(sequence = this.#next): HandshakeMessage | undefined {
    const slot = this.#slots.get(sequence);
    if (slot === undefined) return undefined;
    const range = slot.ranges[0];
    const complete = slot.body.length === 0 || (range !== undefined && range[0] === 0 && range[1] === slot.body.length);
    return complete ? { type: slot.type, sequence, body: slot.body } : undefined;
  }

  /** Drops what came as `sequence`, which was no message of use; the number stays open for the genuine one. */
  refuse(sequence = this.#next): void {
    this.#slots.delete(sequence);
  }

  /** Goes on to the message behind `sequence`. */
  advance(sequence = this.#next): void {
    this.#next = sequence + 1;
    for (const held of this.#slots.keys()) if (held <= sequence) this.#slots.delete(held);
  }

  clear(): void {
    this.#slots.clear();
  }

  #bytesAhead(): number {
    return this.heldBytes - (this.#slots.get(this.#next)?.body.length ?? 0);
  }
}

type Range = readonly [start: number, end: number];

function merge(ranges: readonly Range[], added: Range): Range[] {
  const out: Range[] = [];
  let [from, to] = added;
  for (const range of ranges) {
    if (range[1] < from || range[0] > to) out.push(range);
    else [from, to] = [Math.min(from, range[0]), Math.max(to, range[1])];
  }
  out.push([from, to]);
  return out.sort((a, b) => a[0] - b[0]);
}
