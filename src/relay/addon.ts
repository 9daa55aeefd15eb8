/** Finds and loads native/build/Release/claviger.node, and gives its functions types. Nothing else knows the addon. */
import { createRequire } from 'node:module';

declare const relayTag: unique symbol;
declare const coreTag: unique symbol;
/** The native relay: threads, sockets, shared counters. */
export interface NativeRelay {
  readonly [relayTag]: true;
}
/** One native switching core without threads or sockets, for tests. */
export interface NativeCore {
  readonly [coreTag]: true;
}

export interface Addon {
  /** Starts the threads. `onEvents` gets one batch of events at a time on the caller's thread. Packets a second, 0: any number. */
  createRelay(
    threads: number,
    bindAddress: string,
    onEvents: (batch: Uint8Array) => void,
    audioPacketsPerSecond: number,
    videoPacketsPerSecond: number,
  ): NativeRelay;
  /**
   * Binds a UDP socket to the first free port from `first` up to `last`, with `pair` 1 to an even one whose neighbour `above`
   * is free too; gives descriptors and port, or -1 (none free) or -2.
   */
  bindSocket(
    relay: NativeRelay,
    first: number,
    last: number,
    pair: 0 | 1,
  ): { readonly socket: number; readonly port: number; readonly above: number };
  /** Hands a command (schema.ts) to a thread; false when the thread's bounded inbox is full. */
  post(relay: NativeRelay, thread: number, command: Uint8Array): boolean;
  /** The counters' memory; it outlives the relay. To be called once a relay. */
  counterMemory(relay: NativeRelay): ArrayBuffer;
  threadCpuNs(relay: NativeRelay): bigint[];
  closeRelay(relay: NativeRelay): void;

  createCore(): NativeCore;
  /** False when the command was refused. */
  coreApply(core: NativeCore, command: Uint8Array, nowMs: number): boolean;
  /** Drop index of contract.ts's DROP_NAMES, -1 when the datagram was accepted. `from`: address and port, or '' for the peer. */
  coreFeed(core: NativeCore, channel: number, bytes: Uint8Array, nowMs: number, from: string, port: number): number;
  coreTick(core: NativeCore, nowMs: number): void;
  /** Events since the last call. */
  coreEvents(core: NativeCore): Uint8Array;
  /** Datagrams sent since the last call: {receiver u32, length u16, bytes}. */
  coreOutputs(core: NativeCore): Uint8Array;
  /** A digest of everything that a packet may change, counters and rate limits excepted. */
  coreStateHash(core: NativeCore): bigint;
  coreCounters(core: NativeCore): ArrayBuffer;
  closeCore(core: NativeCore): void;

  /** native/core/limits.h and schema.h as the compiler saw them. */
  constants(): Record<string, number>;
  dropNames(): string[];
}

let loaded: Addon | undefined;

/** Loads the addon on first use. Works from src/relay (tests) and dist/src/relay. Throws when it has not been built. */
export function addon(): Addon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const root = import.meta.url.includes('/dist/src/relay/') ? '../../..' : '../..';
  loaded = require(`${root}/native/build/Release/claviger.node`) as Addon;
  return loaded;
}
