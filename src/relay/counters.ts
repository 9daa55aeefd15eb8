/** Reads the counters that the relay threads keep in shared memory (schema.ts has the layout). */
import { MAX_CHANNELS } from '../base/limits.js';
import type { Slot } from './commands.js';
import { type ChannelCounters, DROP_NAMES, type DropName, type RelayCounters } from './contract.js';
import { CHANNEL_COUNTERS, CHANNEL_WORDS, THREAD_COUNTERS, THREAD_WORDS } from './schema.js';

export const THREAD_REGION_WORDS = THREAD_WORDS + MAX_CHANNELS * CHANNEL_WORDS;

function dropsFrom(word: (at: number) => number, first: number): Record<DropName, number> {
  return Object.fromEntries(DROP_NAMES.map((name, i) => [name, word(first + i)])) as Record<DropName, number>;
}

export class CounterMemory {
  readonly #words: BigUint64Array;
  readonly #threads: number;

  constructor(memory: ArrayBuffer, threads: number) {
    this.#words = new BigUint64Array(memory);
    this.#threads = threads;
  }

  /** Sums over the threads; each word is read once, the words of one sum not at the same instant. */
  total(): RelayCounters {
    const word = (at: number): number => {
      let sum = 0n;
      for (let t = 0; t < this.#threads; t++) sum += Atomics.load(this.#words, t * THREAD_REGION_WORDS + at);
      return Number(sum);
    };
    return {
      ingress: word(THREAD_COUNTERS.ingress),
      verified: word(THREAD_COUNTERS.verified),
      egress: word(THREAD_COUNTERS.egress),
      variants: word(THREAD_COUNTERS.variants),
      unsegmented: word(THREAD_COUNTERS.unsegmented),
      retransmitted: word(THREAD_COUNTERS.retransmitted),
      retransmitUnknown: word(THREAD_COUNTERS.retransmitUnknown),
      retransmitLimited: word(THREAD_COUNTERS.retransmitLimited),
      handedOver: word(THREAD_COUNTERS.handedOver),
      drops: dropsFrom(word, THREAD_COUNTERS.drops),
    };
  }

  /** Share of a core that the thread took of late, in thousandths. */
  loadPermille(thread: number): number {
    return Number(Atomics.load(this.#words, thread * THREAD_REGION_WORDS + THREAD_COUNTERS.loadPermille));
  }

  /** Of one channel; see {@link channel}. */
  bytes(channel: number, slots: readonly Slot[]): { readonly in: number; readonly out: number } {
    const word = this.#sumOver(channel, slots);
    return { in: word(CHANNEL_COUNTERS.bytesIn), out: word(CHANNEL_COUNTERS.bytesOut) };
  }

  /**
   * Of a channel, over its slots: each thread that works for it counts for itself. All zero while no thread has taken its
   * slot over yet.
   */
  channel(channel: number, slots: readonly Slot[]): ChannelCounters {
    const word = this.#sumOver(channel, slots);
    return {
      packetsIn: word(CHANNEL_COUNTERS.packetsIn),
      bytesIn: word(CHANNEL_COUNTERS.bytesIn),
      packetsOut: word(CHANNEL_COUNTERS.packetsOut),
      bytesOut: word(CHANNEL_COUNTERS.bytesOut),
      retransmitted: word(CHANNEL_COUNTERS.retransmitted),
      drops: dropsFrom(word, CHANNEL_COUNTERS.drops),
    };
  }

  #sumOver(channel: number, slots: readonly Slot[]): (at: number) => number {
    const bases = slots
      .map(({ thread, slot }) => thread * THREAD_REGION_WORDS + THREAD_WORDS + slot * CHANNEL_WORDS)
      .filter((base) => Atomics.load(this.#words, base + CHANNEL_COUNTERS.owner) === BigInt(channel) + 1n);
    return (at) => Number(bases.reduce((sum, base) => sum + Atomics.load(this.#words, base + at), 0n));
  }
}
