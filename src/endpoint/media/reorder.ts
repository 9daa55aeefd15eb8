/** Puts packets back into sequence order before they are depacketised, and gives lost ones up after a bounded wait. */
import type { Engine, Tick } from '../../base/engine.js';
import { REORDER_MAX_MISORDER_PACKETS, REORDER_MAX_PACKETS, REORDER_MAX_WAIT_MS } from '../../base/limits.js';

export type ReorderInput<T> =
  | { readonly type: 'packet'; readonly sequence: number; readonly item: T }
  /** The stream is over: what is held comes out, gaps and all. */
  | { readonly type: 'flush' }
  | Tick;

export interface Ordered<T> {
  /** u16 sequence number continued over wraps; strictly rising, a jump means loss. */
  readonly extendedSequence: number;
  readonly item: T;
}

export interface ReorderOptions {
  readonly maxPackets?: number;
  readonly maxWaitMs?: number;
}

interface Held<T> {
  readonly item: T;
  readonly since: number;
}

/**
 * The first packet sets the start. A missing packet is waited for until `maxWaitMs` have passed since a later one came or
 * `maxPackets` are held. Duplicates and packets that come after their place was given up are dropped and counted. A sender
 * that starts anew at a far lower number is believed when two packets in a row say so (as in RFC 3550 §A.1).
 */
export class ReorderBuffer<T> implements Engine<ReorderInput<T>, Ordered<T>> {
  readonly counters = { duplicate: 0, late: 0, lost: 0, restarted: 0 };
  readonly #maxPackets: number;
  readonly #maxWaitMs: number;
  readonly #held = new Map<number, Held<T>>();
  /** Extended number of the packet to give next; undefined: nothing has come yet. */
  #next: number | undefined;
  #highest = 0;
  /** Numbers below it are given up because of the limits; `#next` moves there as poll gives what is held. */
  #giveUpBelow = 0;
  #restartCandidate: number | undefined;
  #restart: number | undefined;

  constructor(options: ReorderOptions = {}) {
    this.#maxPackets = options.maxPackets ?? REORDER_MAX_PACKETS;
    this.#maxWaitMs = options.maxWaitMs ?? REORDER_MAX_WAIT_MS;
  }

  receive(input: ReorderInput<T>, now: number): void {
    if (input.type === 'packet') this.#insert(input.sequence & 0xffff, input.item, now);
    else if (input.type === 'flush') this.#giveUpBelow = this.#highest + 1;
    for (const [sequence, held] of this.#held) {
      if (now - held.since >= this.#maxWaitMs) this.#giveUpBelow = Math.max(this.#giveUpBelow, sequence);
    }
    if (this.#held.size > this.#maxPackets) {
      const sorted = [...this.#held.keys()].sort((a, b) => a - b);
      this.#giveUpBelow = Math.max(this.#giveUpBelow, sorted[sorted.length - this.#maxPackets - 1]!);
    }
  }

  poll(): Ordered<T> | undefined {
    if (this.#next === undefined) return undefined;
    let sequence = this.#next;
    if (!this.#held.has(sequence)) {
      if (this.#giveUpBelow <= sequence || this.#held.size === 0) return undefined;
      sequence = Math.min(...this.#held.keys());
      if (sequence > this.#giveUpBelow) return undefined;
      if (sequence !== this.#restart) this.counters.lost += sequence - this.#next;
    }
    const held = this.#held.get(sequence)!;
    this.#held.delete(sequence);
    this.#next = sequence + 1;
    return { extendedSequence: sequence, item: held.item };
  }

  deadline(): number | undefined {
    let earliest: number | undefined;
    for (const { since } of this.#held.values()) {
      if (earliest === undefined || since < earliest) earliest = since;
    }
    return earliest === undefined ? undefined : earliest + this.#maxWaitMs;
  }

  #insert(sequence: number, item: T, now: number): void {
    if (this.#next === undefined) {
      // A turn above zero, so that a packet from before the first one never gets a negative number.
      this.#next = this.#highest = 0x10000 + sequence;
    }
    let extended = this.#highest + ((((sequence - this.#highest) & 0xffff) ^ 0x8000) - 0x8000);
    if (extended < this.#next) {
      if (this.#next - extended <= REORDER_MAX_MISORDER_PACKETS || this.#restartCandidate !== sequence) {
        this.#restartCandidate = (sequence + 1) & 0xffff;
        this.counters.late++;
        return;
      }
      // The numbers go on one turn higher: still rising for the reader, and never continuous with what came before.
      this.counters.restarted++;
      extended += 0x10000;
      this.#giveUpBelow = this.#restart = extended;
    }
    this.#restartCandidate = undefined;
    if (this.#held.has(extended)) {
      this.counters.duplicate++;
      return;
    }
    this.#highest = Math.max(this.#highest, extended);
    this.#held.set(extended, { item, since: now });
  }
}
