/** `fanout`: what one copy for one receiver costs the relay's thread, beside a thread that does nothing but receive and send. */
import type { Media } from '../src/base/ids.js';
import { type Count, FanoutRig, lossOf } from './fanout-rig.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES } from './traffic.js';

export const FANOUT_RECEIVERS: readonly number[] = [10, 50, 200];
export const FANOUT_MEDIA: readonly Media[] = ['video', 'audio'];
export const FANOUT_DEFAULTS = { rounds: 9, packets: 100_000 } as const;
const IDLE_MS = 300;

export interface FanoutRun {
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  readonly usPerEgress: number;
  readonly bareUsPerEgress: number;
  /** bareUsPerEgress / usPerEgress. */
  readonly relayEfficiency: number;
  readonly usPerEgressRange: readonly [number, number];
  readonly bareUsPerEgressRange: readonly [number, number];
  /** Of the relay's thread, taken off its cost. */
  readonly idleUsPerSecond: number;
  readonly rounds: number;
  readonly egressPerRound: number;
  /** Rounds that lost a packet, of either kind; they were repeated. */
  readonly lostRounds: number;
}

export interface FanoutOptions {
  readonly rounds: number;
  /** Egress packets of a round, at least. */
  readonly packets: number;
  readonly media: readonly Media[];
  readonly receivers: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** What {@link FanoutRig} does for the bench; a test gives another one. */
export type Rig = Pick<
  FanoutRig,
  'media' | 'receivers' | 'idleNsPerMs' | 'relayRound' | 'bareRound' | 'abort' | 'close'
>;

/** Packets of the source that make at least `egress` copies, in whole bursts. */
export function packetsFor(egress: number, receivers: number, burst: number): number {
  return Math.ceil(egress / (receivers * burst)) * burst;
}

/** CPU microseconds a copy, without what the thread takes when nothing comes. */
export function usPerEgress(count: Count, idleNsPerMs: number): number {
  return (count.cpuNs - idleNsPerMs * count.elapsedMs) / count.egress / 1_000;
}

export function fanoutRun(
  of: { readonly media: Media; readonly receivers: number },
  rounds: { readonly relay: readonly Count[]; readonly bare: readonly Count[] },
  idleNsPerMs: number,
  lostRounds: number,
): FanoutRun {
  const relay = summarise(rounds.relay.map((c) => usPerEgress(c, idleNsPerMs)));
  const bare = summarise(rounds.bare.map((c) => usPerEgress(c, 0)));
  const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];
  return {
    suite: 1,
    media: of.media,
    receivers: of.receivers,
    usPerEgress: rounded(relay.median),
    bareUsPerEgress: rounded(bare.median),
    relayEfficiency: rounded(bare.median / relay.median),
    usPerEgressRange: range(relay),
    bareUsPerEgressRange: range(bare),
    idleUsPerSecond: rounded(idleNsPerMs),
    rounds: rounds.relay.length,
    egressPerRound: rounds.relay[0]?.egress ?? 0,
    lostRounds,
  };
}

/** Alternating rounds, the first turn alternating too. Throws when more rounds are lost than are wanted. */
export async function measure(
  rig: Rig,
  options: Pick<FanoutOptions, 'rounds' | 'packets' | 'signal' | 'progress'>,
): Promise<FanoutRun> {
  const packets = packetsFor(options.packets, rig.receivers, SHAPES[rig.media].burst);
  const title = `fanout: ${rig.media}, ${rig.receivers} receivers`;
  const done: { readonly relay: Count[]; readonly bare: Count[] } = { relay: [], bare: [] };
  let lost = 0;
  options.progress(`${title}: ${options.rounds} alternating rounds of ${packets} packets`);
  const onAbort = (): void => rig.abort();
  options.signal.addEventListener('abort', onAbort);
  try {
    const idleNsPerMs = await rig.idleNsPerMs(IDLE_MS);
    const one = async (kind: 'relay' | 'bare'): Promise<void> => {
      for (;;) {
        options.signal.throwIfAborted();
        const count = await (kind === 'relay' ? rig.relayRound(packets) : rig.bareRound(packets));
        options.signal.throwIfAborted();
        const loss = lossOf(count);
        if (loss === undefined) {
          done[kind].push(count);
          return;
        }
        lost++;
        options.progress(`${title}: a ${kind} round is repeated: ${loss}`);
        if (lost > options.rounds) throw new Error(`${title}: ${lost} rounds lost packets; the last: ${loss}`);
      }
    };
    for (let i = 0; i < options.rounds; i++) {
      for (const kind of i % 2 === 0 ? (['relay', 'bare'] as const) : (['bare', 'relay'] as const)) await one(kind);
    }
    return fanoutRun(rig, done, idleNsPerMs, lost);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
}

export async function fanout(options: FanoutOptions): Promise<FanoutRun[]> {
  const runs: FanoutRun[] = [];
  for (const media of options.media) {
    for (const receivers of options.receivers) {
      options.signal.throwIfAborted();
      const rig = await FanoutRig.open(media, receivers);
      try {
        runs.push(await measure(rig, options));
      } finally {
        rig.close();
      }
    }
  }
  return runs;
}

export const FANOUT_COUNTED = `CPU microseconds of one thread (its own clock) a copy sent: medians of alternating rounds, in brackets lowest and highest.
  relay      all that one relay thread does for a round, divided by its copies: epoll_wait and recvmmsg, verify, one variant
             a packet, N sends, events, counters; less what it takes when idle (its tick). Real sockets on 127.0.0.1.
  bare       a thread that does recv once a packet and send on N connected sockets, given the packets as the relay sends
             them on: the same bytes in the same bursts to the same sinks. Without keys, routes and counters.
  efficiency bare / relay.
  A send on the loopback takes the copy to the sink within the same call, so both columns contain the delivery up to the
  sink's socket filter, which refuses it (unless the kernel is built with CONFIG_IRQ_TIME_ACCOUNTING: then both lack it).
  The source's sending is charged to the source.
  Video: ${SHAPES.video.bytes} bytes of UDP payload, ${SHAPES.video.burst} packets back to back (a frame), the first with a Full tag.
  Audio: ${SHAPES.audio.bytes} bytes, one packet at a time, every third with a Full tag. A copy is one byte shorter (trailing byte).
  The next burst leaves when the last sink has all copies of the one before: nothing queues up, and both threads go to
  sleep between bursts. A round counts only if packets sent = received and N times as many copies sent = arrived;
  else it is named and repeated.`;

export function fanoutTable(runs: readonly FanoutRun[]): string {
  const header = ['suite', 'media', 'receivers', 'relay µs', '', 'bare µs', '', 'efficiency', 'lost rounds'];
  const range = ([min, max]: readonly [number, number]): string => `[${min.toFixed(2)} ${max.toFixed(2)}]`;
  const rows = runs.map((r) => [
    String(r.suite),
    r.media,
    String(r.receivers),
    r.usPerEgress.toFixed(3),
    range(r.usPerEgressRange),
    r.bareUsPerEgress.toFixed(3),
    range(r.bareUsPerEgressRange),
    r.relayEfficiency.toFixed(2),
    String(r.lostRounds),
  ]);
  return table(header, rows, FANOUT_COUNTED);
}
