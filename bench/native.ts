/** Finds and loads native/build/Release/claviger_bench.node, and gives its functions types. */
import { createRequire } from 'node:module';

declare const retagTag: unique symbol;
declare const groundTag: unique symbol;
declare const replicatorTag: unique symbol;
export interface NativeRetag {
  readonly [retagTag]: true;
}
/** A source socket and N sinks on 127.0.0.1 (native/ground.h). */
export interface NativeGround {
  readonly [groundTag]: true;
}
export interface NativeReplicator {
  readonly [replicatorTag]: true;
}

/** The kinds of work of native/retag.h, in its order. */
export const WORKS = ['verify', 'variant', 'hmac', 'sha1'] as const;
export type Work = (typeof WORKS)[number];

export interface Pass {
  /** CPU time of the calling thread over all packets. */
  readonly ns: number;
  readonly packets: number;
  /** Packets whose outcome was the right one: anything but `packets` makes the pass worthless. */
  readonly right: number;
}

export interface Sent {
  /** Packets that the kernel took from the source. */
  readonly sent: number;
  /** Datagrams that arrived at all sinks. */
  readonly arrived: number;
  /** Every packet was sent and every burst reached the last sink in time. */
  readonly complete: boolean;
}

export interface BenchAddon {
  /**
   * @param setup commands of src/relay/schema.ts; `routes` those that a `variant` pass has besides
   * @param first the packet that brings the key; `packets`: Short tags, ROC 0, `bytes` each, one after the other
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
  ): NativeRetag;
  /** All packets once, on the calling thread. `work` is an index of WORKS. */
  retagPass(retag: NativeRetag, work: number): Pass;
  closeRetag(retag: NativeRetag): void;

  createGround(receivers: number): NativeGround;
  groundPorts(ground: NativeGround): { readonly source: number; readonly sinks: readonly number[] };
  /** Datagrams that have arrived at all sinks, modulo 2^32. */
  arrivals(ground: NativeGround): number;
  /**
   * Sends packets of `bytes` from the source to 127.0.0.1:`port`, in bursts of `burst`; each waits until the last sink has
   * got all of the one before, `timeoutMs` at most. Runs on a thread of its own; one at a time.
   */
  send(
    ground: NativeGround,
    port: number,
    packets: Uint8Array,
    bytes: number,
    burst: number,
    timeoutMs: number,
  ): Promise<Sent>;
  /** Ends a `send` early, and every later one: they give `complete: false`. */
  abort(ground: NativeGround): void;
  /** Not while a `send` runs. */
  closeGround(ground: NativeGround): void;

  /** A thread that sends what the ground's source sends it to all sinks; it listens on `port`. */
  startReplicator(ground: NativeGround): NativeReplicator;
  replicatorState(replicator: NativeReplicator): {
    readonly port: number;
    readonly received: number;
    readonly sent: number;
    readonly cpuNs: number;
  };
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
