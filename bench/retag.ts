/** `retag`: what one packet costs the switching core, beside the digests that it cannot do without. */
import { setImmediate as turn } from 'node:timers/promises';
import { benchAddon, type NativeRetag, WORKS, type Work } from './native.js';
import { CommandList, furnish, randomSet, routeAtOnce, SOURCE } from './room.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { TrafficSource } from './traffic.js';

export const RETAG_SIZES: readonly number[] = [172, 1_200];
export const RETAG_DEFAULTS = { rounds: 15, packets: 20_480 } as const;
/** Few enough for the second-level cache: a real packet has just been copied there by the kernel. */
export const PASS_PACKETS = 512;
const PROGRESS_ROUNDS = 5;

export interface RetagRun {
  readonly suite: number;
  /** UDP payload of the packet as it arrives; also the length of its tag's input. */
  readonly bytes: number;
  readonly verifyNs: number;
  readonly rewriteNs: number;
  /** HMAC-SHA1 with precomputed states. */
  readonly bareNs: number;
  readonly bareSha1Ns: number;
  readonly verifyRatio: number;
  readonly rewriteRatio: number;
  readonly verifyNsRange: readonly [number, number];
  readonly rewriteNsRange: readonly [number, number];
  readonly bareNsRange: readonly [number, number];
  readonly rounds: number;
  readonly packetsPerRound: number;
}

export interface RetagOptions {
  readonly rounds: number;
  /** Of each size and kind of work in one round; rounded up to whole passes. */
  readonly packets: number;
  readonly sizes: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** Nanoseconds a packet in one round. */
export type RetagRound = Readonly<Record<Work, number>>;

/** The medians of what was measured; the cost of a variant is what a round's passes with a route took more than without. */
export function retagRun(bytes: number, packetsPerRound: number, rounds: readonly RetagRound[]): RetagRun {
  const verify = summarise(rounds.map((r) => r.verify));
  const rewrite = summarise(rounds.map((r) => r.variant - r.verify));
  const hmac = summarise(rounds.map((r) => r.hmac));
  const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];
  return {
    suite: 1,
    bytes,
    verifyNs: rounded(verify.median),
    rewriteNs: rounded(rewrite.median),
    bareNs: rounded(hmac.median),
    bareSha1Ns: rounded(summarise(rounds.map((r) => r.sha1)).median),
    verifyRatio: rounded(verify.median / hmac.median),
    rewriteRatio: rounded(rewrite.median / hmac.median),
    verifyNsRange: range(verify),
    rewriteNsRange: range(rewrite),
    bareNsRange: range(hmac),
    rounds: rounds.length,
    packetsPerRound,
  };
}

function prepare(bytes: number): NativeRetag {
  const set = randomSet();
  const source = new TrafficSource('video', bytes, set);
  const room = new CommandList();
  const peer = { address: '127.0.0.1', port: 9 };
  furnish(room, 'video', set, { source: peer, receivers: [peer] });
  const routing = new CommandList();
  routeAtOnce(routing, 'video', 1);
  const first = source.tagged(1, 'full');
  const packets = source.tagged(PASS_PACKETS, 'short');
  const made = source.senderKey.use((key) =>
    set.masterSalt.use((salt) =>
      benchAddon().createRetag(room.list, routing.list, SOURCE, first, packets, bytes, key, salt),
    ),
  );
  source.wipe();
  return made;
}

/** Every kind of work takes every place in the order equally often. */
function round(retag: NativeRetag, passes: number): RetagRound {
  const ns = { verify: 0, variant: 0, hmac: 0, sha1: 0 };
  for (let pass = 0; pass < passes; pass++) {
    for (let i = 0; i < WORKS.length; i++) {
      const index = (pass + i) % WORKS.length;
      const work = WORKS[index]!;
      const done = benchAddon().retagPass(retag, index);
      if (done.packets !== PASS_PACKETS || done.right !== done.packets) {
        throw new Error(`${work}: ${done.right} of ${done.packets} packets came out right`);
      }
      ns[work] += done.ns / (passes * PASS_PACKETS);
    }
  }
  return ns;
}

export async function retag(options: RetagOptions): Promise<RetagRun[]> {
  const passes = Math.ceil(options.packets / PASS_PACKETS);
  const rigs: { bytes: number; native: NativeRetag; rounds: RetagRound[] }[] = [];
  try {
    for (const bytes of options.sizes) rigs.push({ bytes, native: prepare(bytes), rounds: [] });
    for (const rig of rigs) round(rig.native, 1); // caches and branch predictors; not counted
    for (let i = 0; i < options.rounds; i++) {
      for (const rig of rigs) {
        await turn();
        options.signal.throwIfAborted();
        rig.rounds.push(round(rig.native, passes));
      }
      if ((i + 1) % PROGRESS_ROUNDS === 0) options.progress(`retag: round ${i + 1} of ${options.rounds}`);
    }
    return rigs.map((rig) => retagRun(rig.bytes, passes * PASS_PACKETS, rig.rounds));
  } finally {
    for (const rig of rigs) benchAddon().closeRetag(rig.native);
  }
}

export const RETAG_COUNTED = `CPU nanoseconds a packet (the thread's own clock, medians of alternating rounds; in brackets lowest and highest).
  bytes    UDP payload as it arrives: header, one CSRC, payload, trailing byte, Short tag. A tag's input is as long.
  verify   all that the switching core of a relay thread does with a packet of a known stream that nobody receives:
           address and header checks, replay window, key choice, HMAC, commit, trailing byte, counters. No sockets.
  rewrite  what one variant costs besides: route, copy, sink and payload type, HMAC, queue, hand-over to a transport that
           only counts. Passes with one receiver less passes without, round by round.
  HMAC     bare HMAC-SHA1 over the same bytes with states computed beforehand: OpenSSL's SHA1_Update and SHA1_Final only.
  SHA-1    bare SHA1_Init, SHA1_Update, SHA1_Final over the same bytes: one compression less.`;

export function retagTable(runs: readonly RetagRun[]): string {
  const header = [
    'suite',
    'bytes',
    'verify ns',
    '',
    'rewrite ns',
    '',
    'HMAC ns',
    '',
    'SHA-1 ns',
    'verify/HMAC',
    'rewrite/HMAC',
  ];
  const range = ([min, max]: readonly [number, number]): string => `[${min.toFixed(0)} ${max.toFixed(0)}]`;
  const rows = runs.map((r) => [
    String(r.suite),
    String(r.bytes),
    r.verifyNs.toFixed(0),
    range(r.verifyNsRange),
    r.rewriteNs.toFixed(0),
    range(r.rewriteNsRange),
    r.bareNs.toFixed(0),
    range(r.bareNsRange),
    r.bareSha1Ns.toFixed(0),
    r.verifyRatio.toFixed(2),
    r.rewriteRatio.toFixed(2),
  ]);
  return table(header, rows, RETAG_COUNTED);
}
