/** `scale`: cost of a copy and memory against the number of conferences and members; one relay thread and two. */

import type { GroupParameterSet } from '../src/relay/contract.js';
import { exposeCollector } from './disturbance.js';
import { benchAddon, type NativeLoad } from './native.js';
import { randomSet } from './room.js';
import { type Count, lossOf } from './rounds.js';
import { Stage } from './stage.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES, Traffic } from './traffic.js';

/** Conferences, and members of each: one speaks, the others hear. */
export const SCALE_SHAPES: readonly (readonly [number, number])[] = [
  [1, 3],
  [10, 3],
  [100, 3],
  [1_000, 3],
  [1, 10],
  [1, 100],
  [1, 1_000],
];
export const SCALE_DEFAULTS = { rounds: 5, packets: 20_000, ms: 500 } as const;
/** Packets back to back, of as many conferences as there are: the cost of waking up is the same everywhere. */
const BURST_COPIES = 64;
const IDLE_MS = 300;
const THREADS = [1, 2] as const;
/** Conferences, and receivers of each: they are placed on the threads as wholes, and one is spread over both. */
export const THREAD_SHAPES: readonly (readonly [number, number])[] = [
  [100, 9],
  [1, 999],
];
const THREAD_LOAD_PACKETS = 15_000;
/** More than a lane can be rid of: 40,000 packets a second make 2 million copies. */
const LANE_PACKETS_PER_MS = 40;
const WINDOW_BURSTS = 3;

export interface CostRun {
  readonly kind: 'cost';
  readonly suite: number;
  readonly conferences: number;
  /** Of each conference. */
  readonly members: number;
  readonly channels: number;
  readonly usPerEgress: number;
  readonly usPerEgressRange: readonly [number, number];
  /** What opening everything and a first packet of each conference took: from malloc, and of the resident set. */
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly lostRounds: number;
}

export interface ThreadsRun {
  readonly kind: 'threads';
  readonly suite: number;
  readonly threads: number;
  readonly conferences: number;
  readonly receivers: number;
  readonly kppsEgress: number;
  readonly kppsEgressRange: readonly [number, number];
  /** kppsEgress / that of one thread. */
  readonly speedUp: number;
  readonly cpuUsPerEgress: number;
  /** Of the thread that had the most to do, per copy of all threads. */
  readonly busiestUsPerEgress: number;
  /** One thread's CPU a copy / that of the busiest of these: the speed-up where every thread has a core to itself. */
  readonly speedUpByCpu: number;
}

/** What one more channel takes in a big conference, and one more conference of three with its channels. */
export interface MemoryRun {
  readonly kind: 'memory';
  readonly suite: number;
  readonly bytesPerChannel: number;
  readonly bytesPerConference: number;
  /** Video has these besides, for retransmission; a packet is kept for 500 ms. */
  readonly storeBytesPerStream: number;
  readonly storeBytesPerReceiver: number;
  readonly storeBytesPerPacket: number;
}

export type ScaleRun = CostRun | MemoryRun | ThreadsRun;

export interface ScaleOptions {
  readonly rounds: number;
  /** Egress packets of a round, at least. */
  readonly packets: number;
  readonly ms: number;
  readonly suites: readonly number[];
  readonly shapes?: readonly (readonly [number, number])[];
  readonly threadShapes?: readonly (readonly [number, number])[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

const MEDIA = 'audio';
const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];

interface Memory {
  readonly heap: number;
  readonly resident: number;
}

function memory(collect: () => void): Memory {
  collect();
  return { heap: benchAddon().heapBytes(), resident: process.memoryUsage.rss() };
}

/** Packets in all and at a time, so that every conference has its turn as often and `egress` copies are made at least. */
export function plan(conferences: number, members: number, egress: number): { packets: number; burst: number } {
  const each = Math.ceil(egress / (conferences * (members - 1)));
  return { packets: each * conferences, burst: Math.max(1, Math.ceil(BURST_COPIES / (members - 1))) };
}

async function cost(
  suite: number,
  conferences: number,
  members: number,
  options: ScaleOptions,
  collect: () => void,
): Promise<CostRun> {
  const set = randomSet(suite);
  const receivers = members - 1;
  const channels = conferences * members;
  const { bytes } = SHAPES[MEDIA];
  const { packets, burst } = plan(conferences, members, options.packets);
  const traffic = new Traffic(MEDIA, set, 1);
  const before = memory(collect);
  const stage = await Stage.open({ media: MEDIA, set, rooms: conferences, sources: 1, receivers });
  const onAbort = (): void => stage.abort();
  options.signal.addEventListener('abort', onAbort);
  try {
    const round = async (count: number): Promise<Count> => {
      options.signal.throwIfAborted();
      // Every conference gets the same packets: they know nothing of one another.
      const load = benchAddon().createLoad(traffic.streams(Math.ceil(count / conferences)), bytes);
      const [c, drops, cpu, began] = [stage.counters(), stage.drops(), stage.cpuNs(), performance.now()];
      const { sent, arrived } = await stage.send(load, count, burst, 1);
      benchAddon().closeLoad(load);
      options.signal.throwIfAborted();
      await stage.settled(c.egress + sent * receivers);
      const after = stage.counters();
      return {
        packets: count,
        receivers,
        sent,
        ingress: after.ingress - c.ingress,
        egress: after.egress - c.egress,
        arrived,
        drops: stage.drops() - drops,
        cpuNs: stage.cpuNs() - cpu,
        elapsedMs: performance.now() - began,
        calls: 0,
      };
    };
    const warmUp = lossOf(await round(conferences));
    if (warmUp !== undefined) throw new Error(`warming up: ${warmUp}`);
    const full = memory(collect);
    const idle = await stage.idleNsPerMs(IDLE_MS);
    const rounds: Count[] = [];
    let lostRounds = 0;
    while (rounds.length < options.rounds) {
      const count = await round(packets);
      const loss = lossOf(count);
      if (loss === undefined) rounds.push(count);
      else if (++lostRounds > options.rounds) throw new Error(`${lostRounds} rounds lost packets; the last: ${loss}`);
    }
    const us = summarise(rounds.map((r) => (r.cpuNs - idle * r.elapsedMs) / r.egress / 1_000));
    return {
      kind: 'cost',
      suite,
      conferences,
      members,
      channels,
      usPerEgress: rounded(us.median),
      usPerEgressRange: range(us),
      heapBytes: full.heap - before.heap,
      residentBytes: full.resident - before.resident,
      lostRounds,
    };
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    stage.close();
    traffic.wipe();
  }
}

/** The fixed tables of a relay fall out: the bytes that the largest case took more than the next smaller one. */
function slope(cases: readonly CostRun[], of: (run: CostRun) => number): number {
  const [largest, next] = [...cases].sort((a, b) => of(b) - of(a));
  if (largest === undefined || next === undefined || of(largest) === of(next)) return 0;
  return Math.round((largest.heapBytes - next.heapBytes) / (of(largest) - of(next)));
}

/** 0 where there are not two cases to compare. */
export function memoryRun(suite: number, runs: readonly CostRun[]): MemoryRun {
  const alone = runs.filter((run) => run.conferences === 1);
  const store = benchAddon().storeBytes();
  const many = runs.filter((run) => run.members === Math.min(...runs.map((r) => r.members)));
  return {
    kind: 'memory',
    suite,
    bytesPerChannel: slope(alone, (run) => run.channels),
    bytesPerConference: slope(many, (run) => run.conferences),
    storeBytesPerStream: store.stream,
    storeBytesPerReceiver: store.receiver,
    storeBytesPerPacket: store.packet,
  };
}

export interface Speed {
  readonly perSecond: number;
  readonly cpuUsPerEgress: number;
  readonly busiestUsPerEgress: number;
}

interface ThreadLoad {
  readonly set: GroupParameterSet;
  /** Every round has a relay of its own, which has not seen it yet. */
  readonly load: NativeLoad;
  readonly packets: number;
}

function threadLoad(suite: number, ms: number): ThreadLoad {
  const set = randomSet(suite);
  const traffic = new Traffic(MEDIA, set, 1);
  const packets = Math.min(THREAD_LOAD_PACKETS, ms * LANE_PACKETS_PER_MS);
  const load = benchAddon().createLoad(traffic.streams(packets), traffic.bytes);
  traffic.wipe();
  return { set, load, packets };
}

async function threadRound(
  threads: number,
  [conferences, receivers]: readonly [number, number],
  { set, load, packets }: ThreadLoad,
  options: ScaleOptions,
): Promise<Speed> {
  const rooms = { rooms: conferences, sources: 1, receivers, ownSinks: true };
  const stage = await Stage.open({ media: MEDIA, set, threads, ...rooms });
  const onAbort = (): void => stage.abort();
  options.signal.addEventListener('abort', onAbort);
  try {
    options.signal.throwIfAborted();
    const before = stage.cpuNsByThread();
    const window = SHAPES.video.burst * WINDOW_BURSTS;
    const done = await stage.saturate(load, packets, window, options.ms);
    options.signal.throwIfAborted();
    if (done.arrivedAfter !== done.sent * receivers) {
      throw new Error(`${done.arrivedAfter} of ${done.sent * receivers} copies arrived`);
    }
    await stage.settled(done.arrivedAfter);
    const us = stage.cpuNsByThread().map((ns, i) => (ns - before[i]!) / done.arrivedAfter / 1_000);
    return {
      perSecond: (done.arrived / done.ns) * 1e9,
      cpuUsPerEgress: us.reduce((sum, one) => sum + one, 0),
      busiestUsPerEgress: Math.max(...us),
    };
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    stage.close();
  }
}

export function threadsRuns(
  suite: number,
  [conferences, receivers]: readonly [number, number],
  speeds: Readonly<Record<number, readonly Speed[]>>,
): ThreadsRun[] {
  const one = summarise(speeds[THREADS[0]]!.map((s) => s.perSecond)).median;
  const oneUs = summarise(speeds[THREADS[0]]!.map((s) => s.busiestUsPerEgress)).median;
  return THREADS.map((threads) => {
    const all = speeds[threads]!;
    const perSecond = summarise(all.map((s) => s.perSecond / 1_000));
    const busiest = summarise(all.map((s) => s.busiestUsPerEgress)).median;
    return {
      kind: 'threads',
      suite,
      threads,
      conferences,
      receivers,
      kppsEgress: rounded(perSecond.median),
      kppsEgressRange: range(perSecond),
      speedUp: rounded((perSecond.median * 1_000) / one),
      cpuUsPerEgress: rounded(summarise(all.map((s) => s.cpuUsPerEgress)).median),
      busiestUsPerEgress: rounded(busiest),
      speedUpByCpu: rounded(oneUs / busiest),
    };
  });
}

export async function scale(options: ScaleOptions): Promise<ScaleRun[]> {
  const runs: ScaleRun[] = [];
  const collect = exposeCollector();
  for (const suite of options.suites) {
    const costs: CostRun[] = [];
    for (const [conferences, members] of options.shapes ?? SCALE_SHAPES) {
      options.progress(`scale: suite ${suite}, conferences of ${members}: ${conferences}`);
      costs.push(await cost(suite, conferences, members, options, collect));
    }
    runs.push(...costs, memoryRun(suite, costs));
    const load = threadLoad(suite, options.ms);
    try {
      for (const shape of options.threadShapes ?? THREAD_SHAPES) {
        const speeds: Record<number, Speed[]> = { 1: [], 2: [] };
        options.progress(
          `scale: suite ${suite}, one relay thread and two, conferences of ${shape[1] + 1}: ${shape[0]}`,
        );
        for (let round = 0; round < options.rounds; round++) {
          for (const threads of round % 2 === 0 ? THREADS : [...THREADS].reverse()) {
            speeds[threads]!.push(await threadRound(threads, shape, load, options));
          }
        }
        runs.push(...threadsRuns(suite, shape, speeds));
      }
    } finally {
      benchAddon().closeLoad(load.load);
    }
  }
  return runs;
}

export const SCALE_COUNTED = `Audio, ${SHAPES.audio.bytes} bytes, one source a conference; every other member of it is a receiver.
  µs         CPU microseconds of the one relay thread a copy, less its idle time: median and range of rounds. The conferences
             take turns, packet by packet, and each burst makes about ${BURST_COPIES} copies. With 3 members two copies pay for a
             packet's way in and its tag, with 1,000 members 999 do. In few conferences one recvmmsg takes several packets
             of a burst; in many it takes one. In a thousand, every packet finds its three sockets and channels gone
             from the caches: compare the column \`send\` of the bench fanout, which rises with its number of sockets too.
  heap       kilobytes from malloc that opening everything and a first packet of each conference took, the relay's fixed
             tables and the main thread's own among them (the first line's also what a process takes once).
  resident   the same by the growth of the resident set; memory that was free before is not seen.
  a channel, a conference   what the largest case took more than the next smaller one, per channel of one conference, per
             conference of three. The sockets' memory is the kernel's and not in it.
  store      a video channel has besides, for retransmission: bytes of index for each stream that it sends, bytes of limits
             for what it may ask, and for each packet of the last 500 ms a cell.
  threads    many conferences, which are placed on the threads as wholes, and one large one, which is spread over both; each
             with its sinks, as fast as it goes with ${SHAPES.video.burst * WINDOW_BURSTS} packets a conference under way: thousands of copies a
             second, median and range of alternating rounds; speed-up over one thread. The sources and the main thread
             need a core too: with two cores in all, two threads cannot have them to themselves.
  busiest    CPU of the thread that had the most to do, per copy of all threads; by CPU: one thread's CPU a copy over that,
             which is the speed-up where every thread has a core to itself, whatever else the machine does meanwhile.`;

export function scaleTable(runs: readonly ScaleRun[]): string {
  const pair = ([min, max]: readonly [number, number], digits: number): string =>
    `[${min.toFixed(digits)} ${max.toFixed(digits)}]`;
  const costs = runs.filter((r) => r.kind === 'cost');
  const threads = runs.filter((r) => r.kind === 'threads');
  const first = table(
    ['suite', 'conferences', 'members', 'channels', 'µs', '', 'heap kB', 'resident kB', 'lost'],
    costs.map((r) => [
      String(r.suite),
      String(r.conferences),
      String(r.members),
      String(r.channels),
      r.usPerEgress.toFixed(3),
      pair(r.usPerEgressRange, 2),
      (r.heapBytes / 1_000).toFixed(0),
      (r.residentBytes / 1_000).toFixed(0),
      String(r.lostRounds),
    ]),
    '',
  );
  const memories = table(
    ['suite', 'bytes a channel', 'bytes a conference', 'store: a stream', 'a receiver', 'a packet'],
    runs
      .filter((r) => r.kind === 'memory')
      .map((r) =>
        [
          r.suite,
          r.bytesPerChannel,
          r.bytesPerConference,
          r.storeBytesPerStream,
          r.storeBytesPerReceiver,
          r.storeBytesPerPacket,
        ].map(String),
      ),
    '',
  );
  const second = table(
    ['suite', 'conferences', 'members', 'threads', 'kpps', '', 'speed-up', 'CPU µs/copy', 'busiest', 'by CPU'],
    threads.map((r) => [
      String(r.suite),
      String(r.conferences),
      String(r.receivers + 1),
      String(r.threads),
      r.kppsEgress.toFixed(0),
      pair(r.kppsEgressRange, 0),
      r.speedUp.toFixed(2),
      r.cpuUsPerEgress.toFixed(3),
      r.busiestUsPerEgress.toFixed(3),
      r.speedUpByCpu.toFixed(2),
    ]),
    SCALE_COUNTED,
  );
  return `${first.trimEnd()}\n\n${memories.trimEnd()}\n\n${second}`;
}
