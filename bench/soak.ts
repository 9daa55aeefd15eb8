/** `soak`: a conference with joins, leaves and rekeys for as long as is wished; what the switch holds afterwards, and before. */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readAsset } from '../src/endpoint/assets/assets.js';
import { type Call, type CallOptions, call, openAudioSource, openVideoSource } from '../src/endpoint/index.js';
import type { RelayCounters } from '../src/relay/contract.js';
import { rounded } from './statistics.js';
import { table } from './table.js';

export const SOAK_DEFAULTS = { rounds: 5, seconds: 3_600 } as const;
const CONFERENCE = 'soak';
/** Always there; the first has three screens. */
const RESIDENTS = 3;
/** Those who come and go: one joins every so often and stays for so long, and so many hang up before they are ready. */
const JOIN_EVERY_MS = 1_500;
const STAY_MS = 5_000;
const EARLY_LEAVER = 4;
const REKEY_EVERY_MS = 40_000;
const PROGRESS_EVERY_MS = 15_000;
/** The first time round, memory is taken that is kept for good: threads, compiled code, pools. */
const WARM_UP_SHARE = 0.2;
const WARM_UP_MAX_MS = 60_000;
/** SIP transactions live for 32 s, older group parameter sets for 15 s. */
const SETTLE_MS = 40_000;
const READY_MS = 20_000;

/** Of the switch's process. */
export interface Footprint {
  readonly residentBytes: number;
  /** JavaScript's, buffers among it, after a garbage collection. */
  readonly heapBytes: number;
  /** From malloc. */
  readonly nativeBytes: number;
  readonly descriptors: number;
}

/** What may be left over of an hour: a collector and an allocator keep some slack, a leak grows with every call. */
export const GROWTH_LIMITS: Footprint = {
  residentBytes: 48 << 20,
  heapBytes: 6 << 20,
  nativeBytes: 8 << 20,
  descriptors: 0,
};

export type SwitchRequest = 'state' | 'rekey' | 'stop';
export type SwitchAnswer =
  | { readonly type: 'ready'; readonly port: number; readonly caPem: string }
  | {
      readonly type: 'state';
      readonly footprint: Footprint;
      /** Undefined: nobody is there. */
      readonly level: string | undefined;
      readonly sets: number;
      readonly counters: RelayCounters;
    };
type State = Extract<SwitchAnswer, { type: 'state' }>;

export interface SoakRun {
  readonly suite: number;
  readonly seconds: number;
  readonly joins: number;
  /** Hung up before they were ready. */
  readonly earlyLeaves: number;
  /** Were refused, or not ready in time. */
  readonly failedJoins: number;
  /** Group parameter sets of the conference while it was measured. */
  readonly sets: number;
  readonly received: number;
  /** Packets that an endpoint could not verify. */
  readonly authFailures: number;
  readonly kpackets: number;
  readonly lowLevels: number;
  readonly begin: Footprint;
  readonly end: Footprint;
  /** Why it failed; empty when it did not. */
  readonly faults: readonly string[];
}

export interface SoakOptions {
  readonly seconds: number;
  readonly suites: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
  /** The longest that is waited for everything to be given back. */
  readonly settleMs?: number;
}

const MB = 1 << 20;
const NAMES: Readonly<Record<keyof Footprint, string>> = {
  residentBytes: 'resident set',
  heapBytes: 'JavaScript heap',
  nativeBytes: 'malloc',
  descriptors: 'descriptors',
};
const shown = (key: keyof Footprint, n: number): string =>
  key === 'descriptors' ? `${n}` : `${(n / MB).toFixed(1)} MB`;

/** What is wrong with a run, with figures. */
export function faultsOf(run: Omit<SoakRun, 'faults'>): string[] {
  const faults: string[] = [];
  for (const key of Object.keys(GROWTH_LIMITS) as (keyof Footprint)[]) {
    const grown = run.end[key] - run.begin[key];
    if (grown <= GROWTH_LIMITS[key]) continue;
    const [was, is, limit] = [run.begin[key], run.end[key], GROWTH_LIMITS[key]].map((n) => shown(key, n));
    faults.push(`${NAMES[key]}: ${is} at the end, ${was} at the beginning, ${limit} more are allowed`);
  }
  if (run.joins === 0) faults.push('nobody joined');
  if (run.failedJoins > 0) faults.push(`${run.failedJoins} joins failed`);
  if (run.received === 0) faults.push('no media arrived');
  if (run.authFailures > 0) faults.push(`${run.authFailures} packets did not verify at an endpoint`);
  if (run.lowLevels > 0) faults.push(`the conference was seen below end-to-end ${run.lowLevels} times`);
  return faults;
}

/** The switch's process. */
class Host {
  readonly #child: ChildProcess;
  #waiting: ((answer: SwitchAnswer) => void)[] = [];
  #ended: Error | undefined;

  constructor(suite: number) {
    const script = fileURLToPath(new URL('./soak-switch.js', import.meta.url));
    this.#child = fork(script, [String(suite), CONFERENCE], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (answer: SwitchAnswer) => this.#waiting.shift()?.(answer));
    this.#child.once('exit', (code) => {
      this.#ended = new Error(`the switch's process ended with ${code}`);
    });
  }

  async answer<T extends SwitchAnswer['type']>(type: T): Promise<Extract<SwitchAnswer, { type: T }>> {
    const exited = new Promise<never>((_, reject) => {
      if (this.#ended !== undefined) reject(this.#ended);
      this.#child.once('exit', () => reject(this.#ended));
    });
    const answer = await Promise.race([new Promise<SwitchAnswer>((resolve) => this.#waiting.push(resolve)), exited]);
    if (answer.type !== type) throw new Error(`${answer.type} is no answer to this`);
    return answer as Extract<SwitchAnswer, { type: T }>;
  }

  state(): Promise<State> {
    this.#child.send('state' satisfies SwitchRequest);
    return this.answer('state');
  }

  rekey(): void {
    this.#child.send('rekey' satisfies SwitchRequest);
  }

  async stop(): Promise<void> {
    if (this.#ended !== undefined || !this.#child.connected) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.send('stop' satisfies SwitchRequest);
    await exited;
  }
}

/** Everybody who dials. */
class Crowd {
  joins = 0;
  earlyLeaves = 0;
  failedJoins = 0;
  received = 0;
  authFailures = 0;
  readonly #present = new Set<Call>();
  readonly #to: { readonly target: string; readonly caPem: string };
  #number = 0;

  constructor(port: number, caPem: string) {
    this.#to = { target: `sips:${CONFERENCE}@127.0.0.1:${port}`, caPem };
  }

  get present(): number {
    return this.#present.size;
  }

  async join(screens: 1 | 3, early = false): Promise<Call | undefined> {
    try {
      const made = await call(this.#options(screens));
      this.#present.add(made);
      if (early) {
        this.earlyLeaves++;
        await this.leave(made);
        return undefined;
      }
      const isReady = await Promise.race([made.ready.then(() => true), pause(READY_MS, false, { ref: false })]);
      if (isReady) this.joins++;
      else this.failedJoins++;
      return made;
    } catch {
      this.failedJoins++; // refused, or no connection: the run fails for it
      return undefined;
    }
  }

  async leave(one: Call): Promise<void> {
    if (!this.#present.delete(one)) return;
    this.authFailures += one.status().drops.auth_failed ?? 0;
    await one.hangup();
  }

  async leaveAll(): Promise<void> {
    await Promise.all([...this.#present].map((one) => this.leave(one)));
  }

  #options(screens: 1 | 3): CallOptions {
    const name = `endpoint${++this.#number}`;
    const loud = this.#number;
    const places = screens === 3 ? [1, 2, 3] : [1];
    return {
      ...this.#to,
      name,
      screens,
      // Everybody is the loudest once in a while.
      audio: places.map((position) => {
        const energy = (ms: number): number => (Math.floor(ms / 3_000) % 5 === loud % 5 ? 80 : 10);
        const source = openAudioSource(readAsset('tone.opus'), { energy });
        if (!source.ok) throw new Error(source.reason);
        return { position, source: source.value };
      }),
      video: places.map((position) => {
        const source = openVideoSource(readAsset('bars.h264'));
        if (!source.ok) throw new Error(source.reason);
        return { position, source: source.value };
      }),
      onReceived: () => void this.received++,
    };
  }
}

const rows = (f: Footprint): string =>
  (Object.keys(NAMES) as (keyof Footprint)[]).map((key) => `${NAMES[key]} ${shown(key, f[key])}`).join(', ');

/** The conference for `ms`; gives how often it was seen below end-to-end, and its last state with people in it. */
async function live(
  host: Host,
  crowd: Crowd,
  ms: number,
  options: SoakOptions,
): Promise<{ lowLevels: number; sets: number }> {
  const { signal } = options;
  const began = performance.now();
  const elapsed = (): number => performance.now() - began;
  const seen = { lowLevels: 0, sets: 0 };
  const visits = new Set<Promise<void>>();
  let next = { join: 0, rekey: REKEY_EVERY_MS, progress: PROGRESS_EVERY_MS };
  let visitor = 0;
  const visit = async (early: boolean): Promise<void> => {
    const one = await crowd.join(1, early);
    if (one === undefined) return;
    await pause(STAY_MS, undefined, { signal }).catch(() => undefined);
    await crowd.leave(one);
  };
  const look = async (): Promise<State> => {
    const state = await host.state();
    if (state.level !== 'end-to-end') seen.lowLevels++;
    seen.sets = state.sets;
    return state;
  };
  for (let i = 0; i < RESIDENTS; i++) await crowd.join(i === 0 ? 3 : 1);
  while (elapsed() < ms && !signal.aborted) {
    await pause(100, undefined, { signal }).catch(() => undefined);
    if (elapsed() >= next.join) {
      next = { ...next, join: next.join + JOIN_EVERY_MS };
      const one = visit(++visitor % EARLY_LEAVER === 0).finally(() => visits.delete(one));
      visits.add(one);
    }
    if (elapsed() >= next.rekey) {
      next = { ...next, rekey: next.rekey + REKEY_EVERY_MS };
      host.rekey();
    }
    if (elapsed() >= next.progress) {
      next = { ...next, progress: next.progress + PROGRESS_EVERY_MS };
      const { footprint, counters } = await look();
      options.progress(
        `soak: ${Math.round(elapsed() / 1_000)} s, ${crowd.present} present, ${crowd.joins} joins, ${seen.sets} sets, ` +
          `${rounded(counters.egress / 1_000)} thousand packets sent; ${rows(footprint)}`,
      );
    }
  }
  await look();
  await Promise.all(visits);
  await crowd.leaveAll();
  return seen;
}

/** Once everybody has left and nothing is given back any more. */
async function settled(host: Host, options: SoakOptions): Promise<Footprint> {
  const deadline = performance.now() + (options.settleMs ?? SETTLE_MS);
  while (performance.now() < deadline) {
    await pause(500);
    options.signal.throwIfAborted();
  }
  const state = await host.state();
  if (state.level !== undefined) throw new Error('the conference goes on without anybody in it');
  return state.footprint;
}

async function soakOne(suite: number, options: SoakOptions): Promise<SoakRun> {
  const host = new Host(suite);
  try {
    const { port, caPem } = await host.answer('ready');
    const warmUpMs = Math.min(options.seconds * 1_000 * WARM_UP_SHARE, WARM_UP_MAX_MS);
    options.progress(`soak: suite ${suite}: ${Math.round(warmUpMs / 1_000)} s to warm up, then ${options.seconds} s`);
    await live(host, new Crowd(port, caPem), warmUpMs, options);
    const begin = await settled(host, options);
    options.progress(`soak: at the beginning: ${rows(begin)}`);
    const before = (await host.state()).counters.egress;
    const crowd = new Crowd(port, caPem);
    const { lowLevels, sets } = await live(host, crowd, options.seconds * 1_000, options);
    options.signal.throwIfAborted();
    const end = await settled(host, options);
    options.progress(`soak: at the end: ${rows(end)}`);
    const after = (await host.state()).counters.egress;
    const { joins, earlyLeaves, failedJoins, received, authFailures } = crowd;
    const run = {
      suite,
      seconds: options.seconds,
      joins,
      earlyLeaves,
      failedJoins,
      sets,
      received,
      authFailures,
      kpackets: rounded((after - before) / 1_000),
      lowLevels,
      begin,
      end,
    };
    return { ...run, faults: faultsOf(run) };
  } finally {
    await host.stop();
  }
}

export async function soak(options: SoakOptions): Promise<SoakRun[]> {
  const runs: SoakRun[] = [];
  for (const suite of options.suites) runs.push(await soakOne(suite, options));
  return runs;
}

export const SOAK_COUNTED = `A switch in a process of its own, on 127.0.0.1, and a conference: ${RESIDENTS} members stay (one has three screens), another one
  joins every ${JOIN_EVERY_MS / 1_000} s and leaves ${STAY_MS / 1_000} s after it is ready, every ${EARLY_LEAVER}th hangs up as soon as it is answered; a rekey every ${REKEY_EVERY_MS / 1_000} s
  besides those that leaving brings. First the same for a shorter time, so that what is taken once is there; then everybody
  leaves, ${SETTLE_MS / 1_000} s are waited, and the process is measured; after the run the same.
  resident, heap, malloc  of the switch's process, after a garbage collection; descriptors: open ones.
  It fails (exit status 1) when there are more of them at the end than slack explains (${(Object.keys(GROWTH_LIMITS) as (keyof Footprint)[]).map((key) => `${NAMES[key]} ${shown(key, GROWTH_LIMITS[key])}`).join(', ')}),
  when a join fails, a packet does not verify or the conference is seen below end-to-end.`;

export function soakTable(runs: readonly SoakRun[]): string {
  const header = ['suite', 'seconds', 'joins', 'early', 'failed', 'sets', 'k packets', 'unverified'];
  const of = (r: SoakRun): string[] =>
    [r.suite, r.seconds, r.joins, r.earlyLeaves, r.failedJoins, r.sets, r.kpackets, r.authFailures].map(String);
  const lines = runs.flatMap((r) => [
    `suite ${r.suite}, at the beginning: ${rows(r.begin)}`,
    `suite ${r.suite}, at the end:       ${rows(r.end)}`,
    ...(r.faults.length === 0
      ? [`suite ${r.suite}: as it began`]
      : r.faults.map((f) => `suite ${r.suite}: wrong: ${f}`)),
  ]);
  return `${table(header, runs.map(of), SOAK_COUNTED)}\n\n${lines.join('\n')}`;
}
