/** `neighbour`: what a source at a hundred times its rate does to another conference on the same relay thread. */
import { RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND } from '../src/base/limits.js';
import type { GroupParameterSet, Relay } from '../src/relay/contract.js';
import { openRelay } from '../src/relay/relay.js';
import { percentilesOf } from './latency.js';
import { benchAddon, type NativeGround, type Paced } from './native.js';
import { furnish, type Room, randomSet, roomOf, routeAtOnce } from './room.js';
import { rounded, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES, Traffic } from './traffic.js';

export const NEIGHBOUR_DEFAULTS = { rounds: 5, ms: 2_000 } as const;
const MEDIA = 'audio';
const ADDRESS = '127.0.0.1';
const PORTS = { portMin: 10_000, portMax: 32_000 } as const;
const RECEIVERS = 20;
/** Of one audio source, and of the quiet conference's: some speakers' worth. */
const USUAL_PER_SECOND = 50;
const QUIET_PER_SECOND = 250;
export const FLOOD_FACTOR = 100;
/** The flood is over when nothing of it has come for so long: most of it never does. */
const FLOOD_SILENCE_MS = 100;
/** Of the quiet conference everything comes, if late on a busy machine; what has not come after so long is lost. */
const LOST_MS = 5_000;
/** The flood begins before the quiet conference is measured: its allowance for bursts is used up by then. */
const AHEAD_MS = 600;

export interface NeighbourRun {
  readonly suite: number;
  readonly receivers: number;
  /** Of the conference that is measured. */
  readonly packetsPerSecond: number;
  readonly floodPacketsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly lostPackets: number;
  readonly floodedP50Us: number;
  readonly floodedP99Us: number;
  readonly floodedLostPackets: number;
  readonly p99UsRange: readonly [number, number];
  readonly floodedP99UsRange: readonly [number, number];
  /** Of the flood: offered, and sent on to its own conference. */
  readonly floodOffered: number;
  readonly floodLetThrough: number;
  readonly rounds: number;
  readonly packetsPerRound: number;
}

export interface NeighbourOptions {
  readonly rounds: number;
  readonly ms: number;
  readonly suites: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

export interface NeighbourRound {
  readonly offered: number;
  readonly latenciesUs: Float64Array;
  readonly floodOffered: number;
  readonly floodLetThrough: number;
}

/** A packet is lost when its last copy did not come. */
export function neighbourRun(
  suite: number,
  quiet: readonly NeighbourRound[],
  flooded: readonly NeighbourRound[],
): NeighbourRun {
  const of = (rounds: readonly NeighbourRound[]) => {
    const each = rounds.map((r) => percentilesOf(r.latenciesUs));
    const p99 = summarise(each.map((p) => p.p99));
    return {
      p50: rounded(summarise(each.map((p) => p.p50)).median),
      p99: rounded(p99.median),
      range: [rounded(p99.min), rounded(p99.max)] as const,
      lost: rounds.reduce((sum, r) => sum + r.offered - r.latenciesUs.length, 0),
    };
  };
  const [before, during] = [of(quiet), of(flooded)];
  return {
    suite,
    receivers: RECEIVERS,
    packetsPerSecond: QUIET_PER_SECOND,
    floodPacketsPerSecond: USUAL_PER_SECOND * FLOOD_FACTOR,
    p50Us: before.p50,
    p99Us: before.p99,
    lostPackets: before.lost,
    floodedP50Us: during.p50,
    floodedP99Us: during.p99,
    floodedLostPackets: during.lost,
    p99UsRange: before.range,
    floodedP99UsRange: during.range,
    floodOffered: flooded.reduce((sum, r) => sum + r.floodOffered, 0),
    floodLetThrough: flooded.reduce((sum, r) => sum + r.floodLetThrough, 0),
    rounds: quiet.length,
    packetsPerRound: quiet[0]!.offered,
  };
}

/** A conference of one source, with a ground of its own. */
class Side {
  readonly #ground: NativeGround;
  readonly #traffic: Traffic;
  readonly #port: number;

  constructor(relay: Relay, set: GroupParameterSet, room: Room, timed: boolean) {
    this.#ground = benchAddon().createGround(1, RECEIVERS, timed);
    this.#traffic = new Traffic(MEDIA, set, 1);
    const { sources, sinks } = benchAddon().groundPorts(this.#ground);
    const at = (port: number) => ({ address: ADDRESS, port });
    const [source] = furnish(relay, room, set, { sources: sources.map(at), receivers: sinks.map(at) });
    if (!source!.ok) throw new Error(`the relay opened no channel: ${source!.reason}`);
    this.#port = source!.value.port;
    routeAtOnce(relay, room);
  }

  /** Fresh packets, evenly spaced. Over when all have come or nothing has for `silenceMs`. */
  async pace(packetsPerSecond: number, ms: number, silenceMs: number): Promise<Paced & { readonly offered: number }> {
    const offered = Math.max(1, Math.round((packetsPerSecond * ms) / 1_000));
    const load = benchAddon().createLoad(this.#traffic.streams(offered), this.#traffic.bytes);
    const { burst } = SHAPES[MEDIA];
    try {
      const course = { load, ports: [this.#port], count: offered, burst, run: burst };
      return { ...(await benchAddon().pace(this.#ground, course, packetsPerSecond, silenceMs)), offered };
    } finally {
      benchAddon().closeLoad(load);
    }
  }

  abort(): void {
    benchAddon().abort(this.#ground);
  }

  close(): void {
    benchAddon().closeGround(this.#ground);
    this.#traffic.wipe();
  }
}

async function measure(suite: number, options: NeighbourOptions): Promise<NeighbourRun> {
  const set = randomSet(suite);
  const relay = openRelay({ threads: 1, bindAddress: ADDRESS, ...PORTS }, () => undefined);
  const sides: Side[] = [];
  const onAbort = (): void => {
    for (const side of sides) side.abort();
  };
  options.signal.addEventListener('abort', onAbort);
  try {
    const rooms = [roomOf(MEDIA, 1, RECEIVERS), roomOf(MEDIA, 1, RECEIVERS, { conference: 2, channel: 2 + RECEIVERS })];
    rooms.forEach((room, i) => {
      sides.push(new Side(relay, set, room, i === 0));
    });
    const [measured, flooding] = sides as [Side, Side];
    await measured.pace(QUIET_PER_SECOND, AHEAD_MS, LOST_MS); // keys, caches; not counted
    await flooding.pace(USUAL_PER_SECOND, AHEAD_MS, LOST_MS);
    const quietRound = async (): Promise<NeighbourRound> => ({
      ...(await measured.pace(QUIET_PER_SECOND, options.ms, LOST_MS)),
      floodOffered: 0,
      floodLetThrough: 0,
    });
    const floodedRound = async (): Promise<NeighbourRound> => {
      const flood = flooding.pace(USUAL_PER_SECOND * FLOOD_FACTOR, options.ms + 2 * AHEAD_MS, FLOOD_SILENCE_MS);
      await new Promise((resolve) => setTimeout(resolve, AHEAD_MS));
      const round = await measured.pace(QUIET_PER_SECOND, options.ms, LOST_MS);
      const { offered, arrived } = await flood;
      return { ...round, floodOffered: offered, floodLetThrough: Math.round(arrived / RECEIVERS) };
    };
    const rounds: Record<'quiet' | 'flooded', NeighbourRound[]> = { quiet: [], flooded: [] };
    for (let i = 0; i < options.rounds; i++) {
      for (const kind of i % 2 === 0 ? (['quiet', 'flooded'] as const) : (['flooded', 'quiet'] as const)) {
        const round = await (kind === 'quiet' ? quietRound() : floodedRound());
        options.signal.throwIfAborted();
        if (round.latenciesUs.length === 0) throw new Error('no packet reached the last receiver');
        rounds[kind].push(round);
      }
    }
    return neighbourRun(suite, rounds.quiet, rounds.flooded);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    relay.close();
    for (const side of sides) side.close();
    set.kek.wipe();
    set.masterSalt.wipe();
  }
}

export async function neighbour(options: NeighbourOptions): Promise<NeighbourRun[]> {
  const runs: NeighbourRun[] = [];
  for (const suite of options.suites) {
    options.progress(`neighbour: suite ${suite}: ${options.rounds} rounds without a flood and with one, in turn`);
    runs.push(await measure(suite, options));
  }
  return runs;
}

export const NEIGHBOUR_COUNTED = `Two audio conferences of one source and ${RECEIVERS} receivers each, on one relay thread with the limits that it has by default. One
  sends ${QUIET_PER_SECOND} packets a second and is measured: microseconds from before a packet's \`send\` to the arrival of its last copy,
  percentiles of each round, medians of alternating rounds; and packets whose last copy never came, in all rounds. In
  every other round the other one's source sends ${USUAL_PER_SECOND * FLOOD_FACTOR} packets a second, ${FLOOD_FACTOR} times what an audio source sends, all of them valid.
  let through  of the flood, to its own receivers: ${RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND} a second and what may come at once after a pause.`;

export function neighbourTable(runs: readonly NeighbourRun[]): string {
  const header = ['suite', 'neighbour', 'p50 µs', 'p99 µs', '', 'lost', 'of', 'flood', 'let through'];
  const range = ([min, max]: readonly [number, number]): string => `[${min.toFixed(0)} ${max.toFixed(0)}]`;
  const rows = runs.flatMap((r) => {
    const of = String(r.rounds * r.packetsPerRound);
    const quiet = [r.p50Us.toFixed(0), r.p99Us.toFixed(0), range(r.p99UsRange), String(r.lostPackets), of, '0', '0'];
    const flooded = [r.floodedP50Us.toFixed(0), r.floodedP99Us.toFixed(0), range(r.floodedP99UsRange)];
    const flood = [String(r.floodedLostPackets), of, String(r.floodOffered), String(r.floodLetThrough)];
    return [
      [String(r.suite), 'quiet', ...quiet],
      [String(r.suite), 'flooding', ...flooded, ...flood],
    ];
  });
  return table(header, rows, NEIGHBOUR_COUNTED);
}
