/** One round of a contender: what it came to, whether it counts, and what is sent for those that make SRTP of RTP. */
import { setTimeout as pause } from 'node:timers/promises';
import { writeRtpHeader } from '../src/wire/rtp.js';

/** The last copy arrives before its sender has counted it. */
const COUNTING_MS = 500;

/** What one round's sending came to. Everything but the last three must be what the number of packets says (see {@link lossOf}). */
export interface Count {
  readonly packets: number;
  readonly receivers: number;
  /** Taken by the kernel from the source. */
  readonly sent: number;
  /** Read from its socket by the relay or replicator. */
  readonly ingress: number;
  /** Copies that it handed to the kernel. */
  readonly egress: number;
  /** Copies that reached the sinks. */
  readonly arrived: number;
  /** Datagrams that it refused by name; none for a replicator. */
  readonly drops: number;
  /** Of its thread, from before the first packet to after the last copy. */
  readonly cpuNs: number;
  readonly elapsedMs: number;
  /** System calls that sent something; 0: not known. */
  readonly calls: number;
}

/** Why a round cannot be used; undefined: nothing was lost and nothing came on top. */
export function lossOf(c: Count): string | undefined {
  const copies = c.packets * c.receivers;
  if (c.sent !== c.packets) return `${c.sent} of ${c.packets} packets sent`;
  if (c.ingress !== c.packets) return `${c.ingress} of ${c.packets} packets received`;
  if (c.drops !== 0) return `${c.drops} packets refused`;
  if (c.egress !== copies) return `${c.egress} of ${copies} copies sent`;
  if (c.arrived !== copies) return `${c.arrived} of ${copies} copies arrived`;
  return undefined;
}

/** A program of others' in a process of its own, fed as the others are. */
export interface Outside {
  /** Of all its threads. */
  idleNsPerMs(ms: number): Promise<number>;
  round(packets: number): Promise<Count>;
}

export interface RoundsOptions {
  /** That are wanted of each contender; so many may be lost in all. */
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** Keeps the rounds that count: one that lost a packet is named and repeated. */
export class KeptRounds {
  lost = 0;
  readonly #title: string;
  readonly #options: RoundsOptions;

  constructor(title: string, options: RoundsOptions) {
    this.#title = title;
    this.#options = options;
  }

  /** Throws when more are lost than are wanted. */
  async one(contender: string, round: () => Promise<Count>): Promise<Count> {
    const { rounds, signal, progress } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      const count = await round();
      signal.throwIfAborted();
      const loss = lossOf(count);
      if (loss === undefined) return count;
      progress(`${this.#title}: a round of ${contender} is repeated: ${loss}`);
      if (++this.lost > rounds) throw new Error(`${this.#title}: ${this.lost} rounds lost packets; the last: ${loss}`);
    }
  }
}

/** RTP packets of `bytes`, without protection. */
export function plainStream(
  ssrc: number,
  first: number,
  count: number,
  bytes: number,
  payloadType: number,
): Uint8Array {
  const out = new Uint8Array(count * bytes).fill(0x5a);
  for (let i = 0; i < count; i++) {
    const sequence = (first + i) & 0xffff;
    const fields = {
      marker: false,
      payloadType,
      sequence,
      timestamp: (first + i) * 160,
      ssrc,
      csrcs: [],
    };
    out.set(writeRtpHeader(fields), i * bytes);
  }
  return out;
}

/** Returns when `complete` or when there is no more hope of it; the caller compares the numbers. */
export async function counted(complete: () => boolean): Promise<void> {
  const deadline = performance.now() + COUNTING_MS;
  while (!complete() && performance.now() < deadline) await pause(1);
}
