/** A relay thread, bare replicators and a copying relay side by side, fed by the same sources, in front of the same N sinks. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Media } from '../src/base/ids.js';
import type { GroupParameterSet } from '../src/relay/contract.js';
import { writeRtpHeader } from '../src/wire/rtp.js';
import { benchAddon, MANNERS, type Manner, type NativeLoad, type NativeReplicator } from './native.js';
import { randomSet } from './room.js';
import { RTPENGINE_ADDED_BYTES, RTPENGINE_PAYLOAD_TYPE, RtpEngine, rtpenginePath } from './rtpengine.js';
import { Stage } from './stage.js';
import { SHAPES, Switcher, switchedBytes, Traffic } from './traffic.js';

const WARM_UP_BURSTS = 12;
/** Setting up a subscription takes it a while, and its figure does not change with their number. */
export const RTPENGINE_MAX_RECEIVERS = 200;
const RTPENGINE_FIRST_SSRC = 0x51000000;
/** The last copy arrives before its sender has counted it. */
const COUNTING_MS = 500;

/** Who is measured: our relay, or one of the threads beside it. */
export const CONTENDERS = ['relay', ...MANNERS] as const;
export type Contender = (typeof CONTENDERS)[number];

/** What one round's sending came to. Everything but the last three must be what the number of packets says (see {@link lossOf}). */
export interface Count {
  readonly packets: number;
  readonly receivers: number;
  /** Taken by the kernel from the source. */
  readonly sent: number;
  /** Read from its socket by the relay or replicator. */
  readonly ingress: number;
  /** Copies that it handed to the kernel. */
  readonly egress: number;
  /** Copies that reached the sinks. */
  readonly arrived: number;
  /** Datagrams that it refused by name; none for a replicator. */
  readonly drops: number;
  /** Of its thread, from before the first packet to after the last copy. */
  readonly cpuNs: number;
  readonly elapsedMs: number;
  /** System calls that sent something; 0: not known. */
  readonly calls: number;
}

/** Why a round cannot be used; undefined: nothing was lost and nothing came on top. */
export function lossOf(c: Count): string | undefined {
  const copies = c.packets * c.receivers;
  if (c.sent !== c.packets) return `${c.sent} of ${c.packets} packets sent`;
  if (c.ingress !== c.packets) return `${c.ingress} of ${c.packets} packets received`;
  if (c.drops !== 0) return `${c.drops} packets refused`;
  if (c.egress !== copies) return `${c.egress} of ${copies} copies sent`;
  if (c.arrived !== copies) return `${c.arrived} of ${copies} copies arrived`;
  return undefined;
}

/** A program of others' in a process of its own, fed as the others are. */
export interface Outside {
  /** Of all its threads. */
  idleNsPerMs(ms: number): Promise<number>;
  round(packets: number): Promise<Count>;
}

export class FanoutRig {
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  readonly #stage: Stage;
  readonly #set: GroupParameterSet;
  readonly #traffic: Traffic;
  readonly #replicators = new Map<Manner, NativeReplicator>();
  /** What replicators are sent; they do not mind a packet that they have had before. */
  readonly #loads = new Map<string, NativeLoad>();
  /** rtpengine, where it is installed. */
  #engine: RtpEngine | undefined;
  /** Why it is installed and yet not there. */
  engineFault: string | undefined;
  #engineSequence = 0;

  private constructor(suite: number, set: GroupParameterSet, stage: Stage) {
    this.suite = suite;
    this.media = stage.options.media;
    this.receivers = stage.options.receivers;
    this.#set = set;
    this.#stage = stage;
    this.#traffic = new Traffic(this.media, set);
    MANNERS.forEach((manner, i) => {
      this.#replicators.set(manner, benchAddon().startReplicator(stage.ground, i));
    });
  }

  /** Ready to be measured. Throws when the system refuses a socket or the relay does not come up. */
  static async open(suite: number, media: Media, receivers: number): Promise<FanoutRig> {
    const set = randomSet(suite);
    const stage = await Stage.open({ media, set, sources: SHAPES[media].sources, receivers });
    const rig = new FanoutRig(suite, set, stage);
    try {
      for (const contender of CONTENDERS) {
        const loss = lossOf(await rig.round(contender, WARM_UP_BURSTS * SHAPES[media].burst));
        if (loss !== undefined) throw new Error(`warming up ${contender}: ${loss}`);
      }
      await rig.#invite();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  /** What the relay's thread takes in a second without a packet: its tick every 100 ms. */
  idleNsPerMs(ms: number): Promise<number> {
    return this.#stage.idleNsPerMs(ms);
  }

  /** `packets` packets through one of them: fresh ones through the relay, the same as it sends them on through the others. */
  round(contender: Contender, packets: number): Promise<Count> {
    return contender === 'relay' ? this.#relayRound(packets) : this.#replicatorRound(contender, packets);
  }

  /** Undefined: it is not installed, or there are more than {@link RTPENGINE_MAX_RECEIVERS}. */
  get outside(): Outside | undefined {
    const engine = this.#engine;
    if (engine === undefined) return undefined;
    return {
      idleNsPerMs: (ms) => engine.idleNsPerMs(ms),
      round: (packets) => this.#engineRound(engine, packets),
    };
  }

  /** Ends a round that is under way. */
  abort(): void {
    this.#stage.abort();
  }

  /** Not while a round is under way. */
  async close(): Promise<void> {
    await this.#engine?.close();
    for (const replicator of this.#replicators.values()) benchAddon().closeReplicator(replicator);
    for (const load of this.#loads.values()) benchAddon().closeLoad(load);
    this.#stage.close();
    this.#traffic.wipe();
    this.#set.kek.wipe();
    this.#set.masterSalt.wipe();
  }

  async #relayRound(packets: number): Promise<Count> {
    const stage = this.#stage;
    const load = benchAddon().createLoad(this.#traffic.streams(this.#perSource(packets)), this.#traffic.bytes);
    const before = stage.counters();
    const dropsBefore = stage.drops();
    const cpuBefore = stage.cpuNs();
    const began = performance.now();
    try {
      const { burst } = SHAPES[this.media];
      const { sent, arrived } = await stage.send(load, packets, burst, burst);
      await stage.settled(before.egress + sent * this.receivers);
      const elapsedMs = performance.now() - began;
      const cpuNs = stage.cpuNs() - cpuBefore;
      const after = stage.counters();
      const variants = after.variants - before.variants;
      const verified = after.verified - before.verified;
      if (variants !== verified)
        throw new Error(`${variants} variants of ${verified} packets: not what is to be measured`);
      return {
        packets,
        receivers: this.receivers,
        sent,
        ingress: after.ingress - before.ingress,
        egress: after.egress - before.egress,
        arrived,
        drops: stage.drops() - dropsBefore,
        cpuNs,
        elapsedMs,
        calls: 0,
      };
    } finally {
      benchAddon().closeLoad(load);
    }
  }

  async #replicatorRound(manner: Manner, packets: number): Promise<Count> {
    const replicator = this.#replicators.get(manner)!;
    const load = this.#loadFor(manner, packets);
    const state = () => benchAddon().replicatorState(replicator);
    const before = state();
    const began = performance.now();
    const { burst, sources } = SHAPES[this.media];
    const ports = Array.from({ length: sources }, () => before.port);
    const { sent, arrived } = await this.#stage.send(load, packets, burst, burst, ports);
    await counted(
      () => state().sent - before.sent >= sent * this.receivers && state().received - before.received >= sent,
    );
    const elapsedMs = performance.now() - began;
    const after = state();
    return {
      packets,
      receivers: this.receivers,
      sent,
      ingress: after.received - before.received,
      egress: after.sent - before.sent,
      arrived,
      drops: 0,
      cpuNs: after.cpuNs - before.cpuNs,
      elapsedMs,
      calls: after.calls - before.calls,
    };
  }

  async #invite(): Promise<void> {
    const path = rtpenginePath();
    if (path === undefined || this.receivers > RTPENGINE_MAX_RECEIVERS) return;
    const { sources, sinks } = benchAddon().groundPorts(this.#stage.ground);
    try {
      this.#engine = await RtpEngine.start(path, sources, sinks);
      const loss = lossOf(await this.#engineRound(this.#engine, WARM_UP_BURSTS * SHAPES[this.media].burst));
      if (loss !== undefined) throw new Error(`warming up: ${loss}`);
    } catch (error) {
      // Not ours to mend: the bench goes on without it, and says so.
      this.engineFault = `rtpengine is left out: ${error instanceof Error ? error.message : String(error)}`;
      await this.#engine?.close();
      this.#engine = undefined;
    }
  }

  /** RTP that it encrypts for each receiver; its copies are as long as the relay's. */
  async #engineRound(engine: RtpEngine, packets: number): Promise<Count> {
    const { burst, sources } = SHAPES[this.media];
    const bytes = switchedBytes(this.#traffic.bytes) - RTPENGINE_ADDED_BYTES;
    const count = this.#perSource(packets);
    const streams = Array.from({ length: sources }, (_, i) =>
      plainStream(RTPENGINE_FIRST_SSRC + i, this.#engineSequence, count, bytes, RTPENGINE_PAYLOAD_TYPE),
    );
    this.#engineSequence += count;
    const load = benchAddon().createLoad(streams, bytes);
    const cpuBefore = engine.cpuNs();
    const began = performance.now();
    try {
      const { sent, arrived } = await this.#stage.send(load, packets, burst, burst, engine.ports);
      const elapsedMs = performance.now() - began;
      // It tells nobody what it has read and sent: what arrived is counted.
      const told = { ingress: sent, egress: arrived, drops: 0, calls: 0 };
      return {
        packets,
        receivers: this.receivers,
        sent,
        arrived,
        ...told,
        cpuNs: engine.cpuNs() - cpuBefore,
        elapsedMs,
      };
    } finally {
      benchAddon().closeLoad(load);
    }
  }

  #perSource(packets: number): number {
    const { burst, sources } = SHAPES[this.media];
    return Math.ceil(packets / (burst * sources)) * burst;
  }

  #loadFor(manner: Manner, packets: number): NativeLoad {
    const name = `${manner === 'copies' ? manner : 'switched'} ${packets}`;
    const known = this.#loads.get(name);
    if (known !== undefined) return known;
    const bytes = switchedBytes(this.#traffic.bytes);
    const switched = switchedStreams(this.media, this.#set, this.#perSource(packets));
    const streams =
      manner === 'copies'
        ? switched.map((s) => benchAddon().protectForCopies(this.#replicators.get('copies')!, s, bytes))
        : switched;
    const load = benchAddon().createLoad(streams, bytes);
    this.#loads.set(name, load);
    return load;
  }
}

/** RTP packets of `bytes`, without protection. */
export function plainStream(
  ssrc: number,
  first: number,
  count: number,
  bytes: number,
  payloadType: number,
): Uint8Array {
  const out = new Uint8Array(count * bytes).fill(0x5a);
  for (let i = 0; i < count; i++) {
    const sequence = (first + i) & 0xffff;
    const fields = {
      marker: false,
      payloadType,
      sequence,
      timestamp: (first + i) * 160,
      ssrc,
      csrcs: [],
    };
    out.set(writeRtpHeader(fields), i * bytes);
  }
  return out;
}

/** `count` packets of each source as the relay sends them on. */
export function switchedStreams(media: Media, set: GroupParameterSet, count: number): Uint8Array[] {
  const { sources, bytes } = SHAPES[media];
  const traffic = new Traffic(media, set);
  const switcher = new Switcher(media, bytes, set, sources);
  try {
    return traffic.streams(count).map((stream, i) => switcher.switch(stream, i));
  } finally {
    switcher.close();
    traffic.wipe();
  }
}

/** Returns when `complete` or when there is no more hope of it; the caller compares the numbers. */
export async function counted(complete: () => boolean): Promise<void> {
  const deadline = performance.now() + COUNTING_MS;
  while (!complete() && performance.now() < deadline) await pause(1);
}
