/** Reads the counters that the relay threads keep in shared memory (schema.ts has the layout). */
import { MAX_CHANNELS } from '../base/limits.js';
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
      drops: dropsFrom(word, THREAD_COUNTERS.drops),
    };
  }

  /** Of one channel; see {@link channel}. */
  bytes(thread: number, slot: number, channel: number): { readonly in: number; readonly out: number } {
    const base = thread * THREAD_REGION_WORDS + THREAD_WORDS + slot * CHANNEL_WORDS;
    if (Atomics.load(this.#words, base + CHANNEL_COUNTERS.owner) !== BigInt(channel) + 1n) return { in: 0, out: 0 };
    const word = (at: number): number => Number(Atomics.load(this.#words, base + at));
    return { in: word(CHANNEL_COUNTERS.bytesIn), out: word(CHANNEL_COUNTERS.bytesOut) };
  }

  /** All zero while the thread has not taken the channel's slot over yet. */
  channel(thread: number, slot: number, channel: number): ChannelCounters {
    const base = thread * THREAD_REGION_WORDS + THREAD_WORDS + slot * CHANNEL_WORDS;
    const owned = Atomics.load(this.#words, base + CHANNEL_COUNTERS.owner) === BigInt(channel) + 1n;
    const word = (at: number): number => (owned ? Number(Atomics.load(this.#words, base + at)) : 0);
    return {
      packetsIn: word(CHANNEL_COUNTERS.packetsIn),
      bytesIn: word(CHANNEL_COUNTERS.bytesIn),
      packetsOut: word(CHANNEL_COUNTERS.packetsOut),
      bytesOut: word(CHANNEL_COUNTERS.bytesOut),
      retransmitted: word(CHANNEL_COUNTERS.retransmitted),
      drops: dropsFrom(word, CHANNEL_COUNTERS.drops),
    };
  }
}
