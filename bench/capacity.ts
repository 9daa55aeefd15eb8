/** `capacity`: the most copies a second that one relay thread sends with hardly a loss, beside a bare replicator. */
import type { Media } from '../src/base/ids.js';
import { CapacityRig, type Step } from './capacity-rig.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES } from './traffic.js';

export const CAPACITY_RECEIVERS: readonly number[] = [10, 50, 200];
export const CAPACITY_DEFAULTS = { rounds: 5, ms: 150 } as const;
/** Of the copies of a step. */
export const LOSS_LIMIT = 0.001;
/** A step whose copies came slower than this share of what was offered has lived on its buffers: nothing faster can pass. */
export const KEPT_PACE = 0.95;
const GUESSES = 8;
const FIRST_STEPS = 5;
const LATER_STEPS = 4;
const FIRST_BRACKET = [0.5, 2] as const;
const LATER_BRACKET = [0.75, 1.6] as const;
/** Once may have been somebody else on the core. */
const GUESS_FAILURES = 2;

export type Side = 'relay' | 'bare';

export interface CapacityRun {
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  readonly kppsEgress: number;
  readonly bareKppsEgress: number;
  /** kppsEgress / bareKppsEgress. */
  readonly relativeCapacity: number;
  readonly kppsEgressRange: readonly [number, number];
  readonly bareKppsEgressRange: readonly [number, number];
  readonly rounds: number;
  readonly stepMs: number;
  /** Steps in which the sources themselves fell behind: the figure may be theirs. */
  readonly sourceLimited: number;
}

export interface CapacityOptions {
  readonly rounds: number;
  /** Of one step. */
  readonly ms: number;
  readonly suites: readonly number[];
  readonly media: readonly Media[];
  readonly receivers: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** Copies a second that arrived, up to the last of them. */
export function arrivalRate(step: Step): number {
  return step.drainedNs > 0 ? (step.arrived / step.drainedNs) * 1e9 : 0;
}

/** Hardly a copy was lost, and none came that is not this step's. */
export function passes(step: Step): boolean {
  const copies = step.offered * step.receivers;
  return step.arrived <= copies && copies - step.arrived < copies * LOSS_LIMIT;
}

/** It passed, and its copies came as fast as its packets. */
export function keepsPace(step: Step): boolean {
  return passes(step) && arrivalRate(step) >= KEPT_PACE * step.rate * step.receivers;
}

/**
 * Bisects between two rates (packets a second). Gives the greatest arrival rate of a step that passed (copies a second),
 * 0 when none did. `at` is asked `steps` times at most.
 */
export async function search(
  bracket: readonly [number, number],
  steps: number,
  at: (rate: number) => Promise<Step>,
): Promise<number> {
  let [low, high] = bracket;
  let best = 0;
  for (let i = 0; i < steps; i++) {
    const rate = Math.sqrt(low * high);
    const step = await at(rate);
    if (passes(step)) best = Math.max(best, arrivalRate(step));
    if (keepsPace(step)) low = rate;
    else high = rate;
  }
  return best;
}

/** What the bench asks of a rig; a test gives another one. */
export type Rig = Pick<CapacityRig, 'suite' | 'media' | 'receivers' | 'step' | 'abort' | 'close'>;

/** A first guess of copies a second, from steps that get faster until the copies no longer keep up. */
async function guess(receivers: number, at: (rate: number) => Promise<Step>): Promise<number> {
  let rate = 20_000 / receivers;
  let best = rate * receivers;
  let failures = 0;
  for (let i = 0; i < GUESSES; i++, rate *= 2) {
    const step = await at(rate);
    best = Math.max(best, arrivalRate(step));
    if (!keepsPace(step) && ++failures === GUESS_FAILURES) break;
  }
  return best;
}

async function wideSearch(receivers: number, at: (rate: number) => Promise<Step>): Promise<number> {
  const around = (await guess(receivers, at)) / receivers;
  return search([around * FIRST_BRACKET[0], around * FIRST_BRACKET[1]], FIRST_STEPS, at);
}

/** The median of `rounds` searches of each side, in turn; the first searches wide, the later ones around what it found. */
export async function measureCapacity(
  rig: Rig,
  options: Pick<CapacityOptions, 'rounds' | 'ms' | 'signal' | 'progress'>,
  sides: readonly Side[] = ['relay', 'bare'],
): Promise<CapacityRun> {
  const found: Record<Side, number[]> = { relay: [], bare: [] };
  let sourceLimited = 0;
  const { signal } = options;
  const onAbort = (): void => rig.abort();
  signal.addEventListener('abort', onAbort);
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const at = async (rate: number): Promise<Step> => {
          signal.throwIfAborted();
          const step = await rig.step(side, rate, options.ms);
          signal.throwIfAborted();
          if (step.sourceLate) sourceLimited++;
          return step;
        };
        const known = (found[side].at(-1) ?? 0) / rig.receivers;
        const [below, above] = LATER_BRACKET;
        const near = known > 0 ? await search([known * below, known * above], LATER_STEPS, at) : 0;
        found[side].push(near > 0 ? near : await wideSearch(rig.receivers, at));
      }
    }
    const of = (side: Side): Summary => summarise(found[side].length > 0 ? found[side] : [0]);
    const kpps = (n: number): number => rounded(n / 1_000);
    const [relay, bare] = [of('relay'), of('bare')];
    return {
      suite: rig.suite,
      media: rig.media,
      receivers: rig.receivers,
      kppsEgress: kpps(relay.median),
      bareKppsEgress: kpps(bare.median),
      relativeCapacity: bare.median === 0 ? 0 : rounded(relay.median / bare.median),
      kppsEgressRange: [kpps(relay.min), kpps(relay.max)],
      bareKppsEgressRange: [kpps(bare.min), kpps(bare.max)],
      rounds: options.rounds,
      stepMs: options.ms,
      sourceLimited,
    };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export async function capacity(options: CapacityOptions): Promise<CapacityRun[]> {
  const runs: CapacityRun[] = [];
  for (const suite of options.suites) {
    for (const media of options.media) {
      for (const receivers of options.receivers) {
        options.signal.throwIfAborted();
        options.progress(
          `capacity: suite ${suite}, ${media}, ${receivers} receivers: ${options.rounds} searches a side`,
        );
        const rig = await CapacityRig.open(suite, media, receivers);
        try {
          runs.push(await measureCapacity(rig, options));
        } finally {
          rig.close();
        }
      }
    }
  }
  return runs;
}

export const CAPACITY_COUNTED = `Thousands of copies a second of one thread: medians of alternating searches, in brackets lowest and highest.
  The sources send at a rate, whatever becomes of it (${SHAPES.video.sources} video sources, ${SHAPES.video.burst} packets of ${SHAPES.video.bytes} bytes at a time; ${SHAPES.audio.sources} audio sources, single packets
  of ${SHAPES.audio.bytes} bytes; evenly spaced), for a fixed time a step; the rate is bisected. A step passes when less than ${LOSS_LIMIT * 100} % of its
  copies is missing at the sinks (counted exactly, sk_drops). Its figure is copies arrived / time from the first packet to
  the last arrival: what waited in socket buffers when sending ended does not count as speed.
  relay      one relay thread, real sockets on 127.0.0.1, fresh packets.
  bare       a replicator (recvmmsg, then for each receiver one sendmsg with UDP_SEGMENT of all that waited), given the
             packets as the relay sends them on.
  source     steps in which the sources fell behind their own rate; when there are many, the figure may be theirs. They
             take the other core: with less than two free cores both sides lose.
  Copies are delivered to the sinks by the thread that sends them (loopback).`;

export function capacityTable(runs: readonly CapacityRun[]): string {
  const header = ['suite', 'media', 'N', 'relay kpps', '', 'bare kpps', '', 'relay/bare', 'source'];
  const range = ([min, max]: readonly [number, number]): string => `[${min.toFixed(0)} ${max.toFixed(0)}]`;
  const rows = runs.map((r) => [
    String(r.suite),
    r.media,
    String(r.receivers),
    r.kppsEgress.toFixed(0),
    range(r.kppsEgressRange),
    r.bareKppsEgress.toFixed(0),
    range(r.bareKppsEgressRange),
    r.relativeCapacity.toFixed(2),
    String(r.sourceLimited),
  ]);
  return table(header, rows, CAPACITY_COUNTED);
}
