/** `latency`: from a packet's arrival at the relay to the arrival of its last copy, quiet and disturbed. */
import type { Media } from '../src/base/ids.js';
import { measureCapacity } from './capacity.js';
import { CapacityRig, type Step } from './capacity-rig.js';
import { COLLECTIONS_PER_SECOND, Disturbance, HANDSHAKES_PER_SECOND } from './disturbance.js';
import { percentile, rounded, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES } from './traffic.js';

export const LATENCY_LOADS: readonly number[] = [10, 50, 80];
export const LATENCY_MEDIA: readonly Media[] = ['audio', 'video'];
export const LATENCY_RECEIVERS = 50;
export const LATENCY_DEFAULTS = { rounds: 5, ms: 700 } as const;
const CAPACITY_ROUNDS = 3;
const CAPACITY_STEP_MS = 150;
const TRIES = 3;

export interface LatencyRun {
  /** Per cent of the thread's capacity. */
  readonly load: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly disturbed: boolean;
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  /** Of the thread, in this run, and what was offered of it. */
  readonly kppsCapacity: number;
  readonly kppsEgress: number;
  readonly p99UsRange: readonly [number, number];
  readonly packetsPerRound: number;
  readonly lostPackets: number;
  /** While it was measured; 0 when undisturbed. */
  readonly handshakesPerSecond: number;
  readonly collectionsPerSecond: number;
}

export interface LatencyOptions {
  readonly rounds: number;
  readonly ms: number;
  readonly suites: readonly number[];
  readonly media: readonly Media[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export function percentilesOf(latenciesUs: Float64Array): Percentiles {
  const sorted = Float64Array.from(latenciesUs).sort();
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), p999: percentile(sorted, 0.999) };
}

/** The rounds of one load, quiet or disturbed. */
export function latencyRun(
  of: Pick<LatencyRun, 'load' | 'disturbed' | 'suite' | 'media' | 'receivers'>,
  rounds: readonly Step[],
  capacity: number,
  during: { readonly handshakes: number; readonly collections: number; readonly seconds: number },
): LatencyRun {
  const each = rounds.map((step) => percentilesOf(step.latenciesUs));
  const p99 = summarise(each.map((p) => p.p99));
  const perSecond = (n: number): number => (during.seconds > 0 ? rounded(n / during.seconds) : 0);
  return {
    load: of.load,
    p50Us: rounded(summarise(each.map((p) => p.p50)).median),
    p99Us: rounded(p99.median),
    p999Us: rounded(summarise(each.map((p) => p.p999)).median),
    disturbed: of.disturbed,
    suite: of.suite,
    media: of.media,
    receivers: of.receivers,
    kppsCapacity: rounded(capacity / 1_000),
    kppsEgress: rounded((rounds[0]!.rate * of.receivers) / 1_000),
    p99UsRange: [rounded(p99.min), rounded(p99.max)],
    packetsPerRound: rounds[0]!.offered,
    lostPackets: rounds.reduce((sum, step) => sum + step.offered - step.latenciesUs.length, 0),
    handshakesPerSecond: perSecond(during.handshakes),
    collectionsPerSecond: perSecond(during.collections),
  };
}

/** What the bench asks of a rig; a test gives another one. */
export type Rig = Pick<CapacityRig, 'suite' | 'media' | 'receivers' | 'step' | 'abort' | 'close'>;
export type Trouble = Pick<Disturbance, 'start' | 'stop' | 'soFar'>;

export async function measureLatency(
  rig: Rig,
  capacity: number,
  trouble: Trouble,
  options: Pick<LatencyOptions, 'rounds' | 'ms' | 'signal'>,
): Promise<LatencyRun[]> {
  const cases = LATENCY_LOADS.flatMap((load) =>
    [false, true].map((disturbed) => ({
      load,
      disturbed,
      rounds: [] as Step[],
      handshakes: 0,
      collections: 0,
      seconds: 0,
    })),
  );
  const onAbort = (): void => rig.abort();
  options.signal.addEventListener('abort', onAbort);
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (const one of round % 2 === 0 ? cases : [...cases].reverse()) {
        const before = trouble.soFar();
        if (one.disturbed) trouble.start();
        try {
          one.rounds.push(await measured(rig, (capacity / rig.receivers) * (one.load / 100), options));
        } finally {
          if (one.disturbed) trouble.stop();
        }
        const after = trouble.soFar();
        one.handshakes += after.handshakes - before.handshakes;
        one.collections += after.collections - before.collections;
        one.seconds += after.seconds - before.seconds;
      }
    }
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
  return cases.map((one) => {
    const { suite, media, receivers } = rig;
    return latencyRun({ load: one.load, disturbed: one.disturbed, suite, media, receivers }, one.rounds, capacity, one);
  });
}

/** A round in which no packet came back says nothing. */
async function measured(rig: Rig, rate: number, options: Pick<LatencyOptions, 'ms' | 'signal'>): Promise<Step> {
  for (let i = 0; i < TRIES; i++) {
    options.signal.throwIfAborted();
    const step = await rig.step('relay', rate, options.ms);
    options.signal.throwIfAborted();
    if (step.latenciesUs.length > 0) return step;
  }
  throw new Error('no packet reached the last receiver');
}

export async function latency(options: LatencyOptions): Promise<LatencyRun[]> {
  const runs: LatencyRun[] = [];
  const trouble = await Disturbance.make();
  try {
    for (const suite of options.suites) {
      for (const media of options.media) {
        options.signal.throwIfAborted();
        const title = `latency: suite ${suite}, ${media}, ${LATENCY_RECEIVERS} receivers`;
        options.progress(`${title}: looking for the thread's capacity`);
        const rig = await CapacityRig.open(suite, media, LATENCY_RECEIVERS, { timed: true });
        try {
          const { kppsEgress } = await measureCapacity(
            rig,
            { rounds: CAPACITY_ROUNDS, ms: CAPACITY_STEP_MS, signal: options.signal, progress: options.progress },
            ['relay'],
          );
          options.progress(`${title}: ${options.rounds} rounds of each load of ${kppsEgress} thousand copies a second`);
          runs.push(...(await measureLatency(rig, kppsEgress * 1_000, trouble, options)));
        } finally {
          rig.close();
        }
      }
    }
    return runs;
  } finally {
    await trouble.close();
  }
}

export const LATENCY_COUNTED = `Microseconds from just before a packet's \`send\` (on the loopback it arrives within that call) to the kernel's time of
  arrival of its copy at the receiver that is served last: percentiles of each round, medians of alternating rounds.
  load       per cent of the capacity that was found just before, as the bench \`capacity\` finds it, N = ${LATENCY_RECEIVERS}. Packets are
             evenly spaced. Audio: single packets. Video: ${SHAPES.video.burst} at once, so that the last of them waits for all copies of the
             others: ${SHAPES.video.burst} x ${LATENCY_RECEIVERS} copies leave before its last one.
  disturbed  with ${HANDSHAKES_PER_SECOND} DTLS handshakes a second (both ends in one worker thread; what was reached is shown) and ${COLLECTIONS_PER_SECOND} forced
             garbage collections a second in the main thread.
  The capacity is that of drains which find several packets: one packet alone takes about three times as long a copy. At
             half of it a packet meets a drain that is under way more often than not and then waits for its own: with N = ${LATENCY_RECEIVERS}
             and 3 µs a send that alone is 150 to 300 µs for the last copy. 10 % shows what a packet takes by itself.
  lost       packets whose last copy never came, in all rounds.
  Sources, relay, worker and main thread share the cores: with fewer free cores than four, waiting for one is in the figures.`;

export function latencyTable(runs: readonly LatencyRun[]): string {
  const header = [
    'suite',
    'media',
    'load',
    'disturbed',
    'p50 µs',
    'p99 µs',
    '',
    'p99.9 µs',
    'kpps',
    'lost',
    'handshakes/s',
    'gc/s',
  ];
  const rows = runs.map((r) => [
    String(r.suite),
    r.media,
    `${r.load} %`,
    r.disturbed ? 'yes' : 'no',
    r.p50Us.toFixed(0),
    r.p99Us.toFixed(0),
    `[${r.p99UsRange[0].toFixed(0)} ${r.p99UsRange[1].toFixed(0)}]`,
    r.p999Us.toFixed(0),
    r.kppsEgress.toFixed(0),
    String(r.lostPackets),
    r.handshakesPerSecond.toFixed(0),
    r.collectionsPerSecond.toFixed(0),
  ]);
  return table(header, rows, LATENCY_COUNTED);
}
