/** Finds and loads native/build/Release/claviger_bench.node, and gives its functions types. */
import { createRequire } from 'node:module';

declare const retagTag: unique symbol;
declare const groundTag: unique symbol;
declare const loadTag: unique symbol;
declare const protectTag: unique symbol;
declare const replicatorTag: unique symbol;
export interface NativeRetag {
  readonly [retagTag]: true;
}
/** Source sockets and N sinks on 127.0.0.1 (native/ground.h). */
export interface NativeGround {
  readonly [groundTag]: true;
}
/** Packets that were made beforehand (native/load.h). */
export interface NativeLoad {
  readonly [loadTag]: true;
}
export interface NativeReplicator {
  readonly [replicatorTag]: true;
}

/** Contexts of as many receivers, the switch's and libsrtp's (native/protect.h). */
export interface NativeProtect {
  readonly [protectTag]: true;
}

/** The kinds of work of native/retag.h, in its order. */
export const WORKS = ['verify', 'variant', 'hmac', 'sha1'] as const;
export type Work = (typeof WORKS)[number];

/** The first manners of native/replicator.h, in its order. */
export const MANNERS = ['send', 'sendmmsg', 'segment', 'copies'] as const;
export type Manner = (typeof MANNERS)[number];
/** Those that follow them: not without libsrtp. */
export const LIBRARY_MANNERS = ['libsrtpCm', 'libsrtpGcm'] as const;

export interface Pass {
  /** CPU time of the calling thread over all packets. */
  readonly ns: number;
  readonly packets: number;
  /** Packets whose outcome was the right one: anything but `packets` makes the pass worthless. */
  readonly right: number;
}

export interface RetagPass extends Pass {
  /** Heap allocations of the switching core: within the clock, and before it while it was opened. */
  readonly allocations: number;
  readonly opening: number;
}

/** What is sent where: lane i is the ground's source i, a port, and the load's stream i modulo the number of streams. */
export interface Course {
  readonly load: NativeLoad;
  /** One a lane. */
  readonly ports: readonly number[];
  /** Packets in all. */
  readonly count: number;
  /** Packets back to back. */
  readonly burst: number;
  /** Packets of one lane before the next lane's turn. */
  readonly run: number;
}

export interface Sent {
  /** Packets that the kernel took from the source. */
  readonly sent: number;
  /** Datagrams that arrived at all sinks. */
  readonly arrived: number;
  /** Every packet was sent and every burst reached the last sink in time. */
  readonly complete: boolean;
}

export interface Paced {
  readonly sent: number;
  readonly arrived: number;
  /** From the first packet's turn to the end of sending, and to the last arrival at the last sink. */
  readonly sendingNs: number;
  readonly drainedNs: number;
  /** A timed ground's: from before a packet's `send` to its arrival at the last sink. */
  readonly latenciesUs: Float64Array;
}

export interface Saturated {
  readonly sent: number;
  /** At all sinks within `ns`, and when all was through. */
  readonly arrived: number;
  readonly ns: number;
  readonly arrivedAfter: number;
}

export interface ReplicatorState {
  readonly port: number;
  readonly received: number;
  readonly sent: number;
  /** System calls that sent something. */
  readonly calls: number;
  readonly cpuNs: number;
}

export interface BenchAddon {
  /**
   * @param setup commands of src/relay/schema.ts; `routes` those that a `variant` pass has besides
   * @param first the packet that brings the key; `packets`: Short tags, ROC 0, `bytes` each, one after the other
   * @param routeTagInputs for suites 17 and 18: what each route tag is computed over, one after the other; else empty
   */
  createRetag(
    setup: readonly Uint8Array[],
    routes: readonly Uint8Array[],
    channel: number,
    first: Uint8Array,
    packets: Uint8Array,
    bytes: number,
    senderKey: Uint8Array,
    masterSalt: Uint8Array,
    routeTagInputs: Uint8Array,
  ): NativeRetag;
  /** All packets once, on the calling thread. `work` is an index of WORKS. */
  retagPass(retag: NativeRetag, work: number): RetagPass;
  closeRetag(retag: NativeRetag): void;

  /** Whether libsrtp2 is installed. */
  hasLibSrtp(): boolean;
  /** @param bytes of each protected packet; @param burst packets for every receiver in a pass */
  createProtect(profile: number, bytes: number, receivers: number, burst: number): NativeProtect;
  /** The next burst on the calling thread, protected by libsrtp (`library`) or by the switch's code. */
  protectPass(protect: NativeProtect, library: boolean): Pass;
  closeProtect(protect: NativeProtect): void;

  /** Bytes that the process has from malloc. */
  heapBytes(): number;
  /** What retransmission takes: of a video stream that is sent, of a video channel that may ask, of a packet that is kept. */
  storeBytes(): { readonly stream: number; readonly receiver: number; readonly packet: number };

  /** `timed`: the last sink lets datagrams in, and `pace` reads them. */
  createGround(sources: number, receivers: number, timed: boolean): NativeGround;
  groundPorts(ground: NativeGround): { readonly sources: readonly number[]; readonly sinks: readonly number[] };
  /** Datagrams that have arrived at all sinks, modulo 2^32. */
  arrivals(ground: NativeGround): number;
  /** Ends what is being sent, and all that is sent later. */
  abort(ground: NativeGround): void;
  /** Not while something is being sent. */
  closeGround(ground: NativeGround): void;

  /** Streams of equal length; packets of `bytes` one after the other. They are copied. */
  createLoad(streams: readonly Uint8Array[], bytes: number): NativeLoad;
  closeLoad(load: NativeLoad): void;

  /**
   * In bursts; each waits until the last sink has got all of the one before, `timeoutMs` at most. This and the next two
   * run on a thread of the pool, one at a time for a ground.
   */
  send(ground: NativeGround, course: Course, timeoutMs: number): Promise<Sent>;
  /** At a rate, whatever arrives; over when all has arrived or nothing came for `silenceMs`. */
  pace(ground: NativeGround, course: Course, packetsPerSecond: number, silenceMs: number): Promise<Paced>;
  /**
   * As fast as it goes with `window` packets of each lane under way; every lane has its own share of the sinks. Ends early
   * when a lane has sent `count`.
   */
  saturate(ground: NativeGround, course: Course, window: number, durationMs: number): Promise<Saturated>;

  /** A thread that sends to all sinks what comes to its port. `manner`: a place among MANNERS and then LIBRARY_MANNERS. */
  startReplicator(ground: NativeGround, manner: number): NativeReplicator;
  replicatorState(replicator: NativeReplicator): ReplicatorState;
  /** Manner `copies`: SRTP packets of its source, made of others of the same length. */
  protectForCopies(replicator: NativeReplicator, packets: Uint8Array, bytes: number): Uint8Array;
  /** Manner `copies`: the receiver's session key (16), salt (14), authentication key (20), its copy. Empty: refused. */
  copyFor(replicator: NativeReplicator, receiver: number, packet: Uint8Array): Uint8Array;
  closeReplicator(replicator: NativeReplicator): void;
}

let loaded: BenchAddon | undefined;

/** Works from bench (tests) and dist/bench. Throws when it has not been built. */
export function benchAddon(): BenchAddon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const root = import.meta.url.includes('/dist/bench/') ? '../..' : '..';
  loaded = require(`${root}/native/build/Release/claviger_bench.node`) as BenchAddon;
  return loaded;
}
