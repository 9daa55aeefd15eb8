/** `retag`: what one packet costs the switching core, beside the digests that it cannot do without. */
import { setImmediate as turn } from 'node:timers/promises';
import { benchAddon, type NativeRetag, WORKS, type Work } from './native.js';
import { CommandList, furnish, randomSet, roomOf, routeAtOnce } from './room.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { TrafficSource } from './traffic.js';

export const RETAG_SIZES: readonly number[] = [172, 1_200];
export const RETAG_DEFAULTS = { rounds: 15, packets: 20_480 } as const;
/** Few enough for the second-level cache: a real packet has just been copied there by the kernel. */
export const PASS_PACKETS = 512;
const PROGRESS_ROUNDS = 5;
/** A header with one CSRC, and the parts of a packet of suites 17 and 18 (WIRE.md 6). */
const RTP_HEADER_BYTES = 16;
const AEAD_TAG_BYTES = 16;
const TRAILING_BYTES = 1;
const ROC_BYTES = 4;
const ROUTE_TAG_BYTES = 10;
const SHORT_FIELD_BYTES = 1;

export interface RetagRun {
  readonly suite: number;
  /** UDP payload of the packet as it arrives; also the length of its tag's input. */
  readonly bytes: number;
  readonly verifyNs: number;
  readonly rewriteNs: number;
  /** HMAC-SHA1 (suites 17 and 18: HMAC-SHA-256) with precomputed states. */
  readonly bareNs: number;
  readonly bareSha1Ns: number;
  readonly verifyRatio: number;
  readonly rewriteRatio: number;
  readonly verifyNsRange: readonly [number, number];
  readonly rewriteNsRange: readonly [number, number];
  readonly bareNsRange: readonly [number, number];
  /** From the heap, by the switching core, in all rounds. */
  readonly allocations: number;
  readonly rounds: number;
  readonly packetsPerRound: number;
}

export interface RetagOptions {
  readonly rounds: number;
  /** Of each size and kind of work in one round; rounded up to whole passes. */
  readonly packets: number;
  readonly sizes: readonly number[];
  readonly suites: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** Nanoseconds a packet in one round, and heap allocations of all its packets. */
export type RetagRound = Readonly<Record<Work, number>> & { readonly allocations: number };

/** The medians of what was measured; the cost of a variant is what a round's passes with a route took more than without. */
export function retagRun(
  suite: number,
  bytes: number,
  packetsPerRound: number,
  rounds: readonly RetagRound[],
): RetagRun {
  const verify = summarise(rounds.map((r) => r.verify));
  const rewrite = summarise(rounds.map((r) => r.variant - r.verify));
  const hmac = summarise(rounds.map((r) => r.hmac));
  const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];
  return {
    suite,
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
    allocations: rounds.reduce((sum, r) => sum + r.allocations, 0),
    rounds: rounds.length,
    packetsPerRound,
  };
}

/** WIRE.md 6, ROC 0 and Short field: header, AEAD tag, trailing byte, ROC, field of each packet. */
export function routeTagInputsOf(packets: Uint8Array, bytes: number): Uint8Array {
  const around = AEAD_TAG_BYTES + TRAILING_BYTES;
  const each = RTP_HEADER_BYTES + around + ROC_BYTES + SHORT_FIELD_BYTES;
  const out = new Uint8Array((packets.length / bytes) * each);
  for (let i = 0; i * bytes < packets.length; i++) {
    const packet = packets.subarray(i * bytes, (i + 1) * bytes);
    const end = bytes - ROUTE_TAG_BYTES - SHORT_FIELD_BYTES;
    out.set(packet.subarray(0, RTP_HEADER_BYTES), i * each);
    out.set(packet.subarray(end - around, end), i * each + RTP_HEADER_BYTES);
  }
  return out;
}

function prepare(suite: number, bytes: number): NativeRetag {
  const set = randomSet(suite);
  const source = new TrafficSource('video', bytes, set);
  const room = roomOf('video', 1, 1);
  const opening = new CommandList();
  const peer = { address: '127.0.0.1', port: 9 };
  furnish(opening, room, set, { sources: [peer], receivers: [peer] });
  const routing = new CommandList();
  routeAtOnce(routing, room);
  const first = source.tagged(1, 'full');
  const packets = source.tagged(PASS_PACKETS, 'short');
  const routeTagInputs = suite === 1 ? new Uint8Array(0) : routeTagInputsOf(packets, bytes);
  const made = source.senderKey.use((key) =>
    set.masterSalt.use((salt) =>
      benchAddon().createRetag(
        opening.list,
        routing.list,
        room.sources[0]!,
        first,
        packets,
        bytes,
        key,
        salt,
        routeTagInputs,
      ),
    ),
  );
  source.wipe();
  return made;
}

/** Every kind of work takes every place in the order equally often. */
function round(retag: NativeRetag, passes: number): RetagRound {
  const ns = { verify: 0, variant: 0, hmac: 0, sha1: 0 };
  let allocations = 0;
  for (let pass = 0; pass < passes; pass++) {
    for (let i = 0; i < WORKS.length; i++) {
      const index = (pass + i) % WORKS.length;
      const work = WORKS[index]!;
      const done = benchAddon().retagPass(retag, index);
      if (done.packets !== PASS_PACKETS || done.right !== done.packets) {
        throw new Error(`${work}: ${done.right} of ${done.packets} packets came out right`);
      }
      ns[work] += done.ns / (passes * PASS_PACKETS);
      allocations += done.allocations;
    }
  }
  return { ...ns, allocations };
}

export async function retag(options: RetagOptions): Promise<RetagRun[]> {
  const passes = Math.ceil(options.packets / PASS_PACKETS);
  const rigs: { suite: number; bytes: number; native: NativeRetag; rounds: RetagRound[] }[] = [];
  try {
    for (const suite of options.suites) {
      for (const bytes of options.sizes) rigs.push({ suite, bytes, native: prepare(suite, bytes), rounds: [] });
    }
    for (const rig of rigs) round(rig.native, 1); // caches and branch predictors; not counted
    for (let i = 0; i < options.rounds; i++) {
      for (const rig of rigs) {
        await turn();
        options.signal.throwIfAborted();
        rig.rounds.push(round(rig.native, passes));
      }
      if ((i + 1) % PROGRESS_ROUNDS === 0) options.progress(`retag: round ${i + 1} of ${options.rounds}`);
    }
    return rigs.map((rig) => retagRun(rig.suite, rig.bytes, passes * PASS_PACKETS, rig.rounds));
  } finally {
    for (const rig of rigs) benchAddon().closeRetag(rig.native);
  }
}

export const RETAG_COUNTED = `CPU nanoseconds a packet (the thread's own clock, medians of alternating rounds; in brackets lowest and highest).
  bytes    UDP payload as it arrives: header, one CSRC, payload, trailing byte, Short tag. A tag's input is as long; that of
           a route tag (suite 17) is ${RTP_HEADER_BYTES + AEAD_TAG_BYTES + TRAILING_BYTES + ROC_BYTES + SHORT_FIELD_BYTES} bytes for any packet.
  verify   all that the switching core of a relay thread does with a packet of a known stream that nobody receives:
           address and header checks, replay window, key choice, HMAC, commit, trailing byte, counters. No sockets.
  rewrite  what one variant costs besides: route, sink and payload type where the packet lies, HMAC, store, queue, hand-over to a transport that
           only counts. Passes with one receiver less passes without, round by round.
  HMAC     bare HMAC-SHA1 over the same bytes with states computed beforehand: OpenSSL's SHA1_Update and SHA1_Final only.
  hash     bare SHA1_Init, SHA1_Update, SHA1_Final over the same bytes: one compression less.
           Suite 17: both with SHA-256 over the route tag's input.
  allocations  calls of operator new by the switching core for all packets of verify and rewrite.`;

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
    'hash ns',
    'verify/HMAC',
    'rewrite/HMAC',
    'allocations',
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
    String(r.allocations),
  ]);
  return table(header, rows, RETAG_COUNTED);
}
