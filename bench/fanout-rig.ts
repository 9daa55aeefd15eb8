/** A relay thread, bare replicators and a copying relay side by side, fed by the same sources, in front of the same N sinks. */
import type { Media } from '../src/base/ids.js';
import type { GroupParameterSet } from '../src/relay/contract.js';
import { benchAddon, MANNERS, type Manner, type NativeLoad, type NativeReplicator } from './native.js';
import { randomSet } from './room.js';
import { type Count, counted, lossOf, type Outside } from './rounds.js';
import { RTPENGINE_ADDED_BYTES } from './rtpengine.js';
import { perSource, RtpEngineRig } from './rtpengine-rig.js';
import { Stage } from './stage.js';
import { SHAPES, Switcher, switchedBytes, Traffic } from './traffic.js';

const WARM_UP_BURSTS = 12;

/** Who is measured: our relay, or one of the threads beside it. */
export const CONTENDERS = ['relay', ...MANNERS] as const;
export type Contender = (typeof CONTENDERS)[number];

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
  /** rtpengine, where it is of use; a string: why it is not. */
  #engine: RtpEngineRig | string | undefined;

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
      rig.#engine = await RtpEngineRig.invite(stage, switchedBytes(rig.#traffic.bytes) - RTPENGINE_ADDED_BYTES);
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

  /** rtpengine; undefined: it is not there. */
  get outside(): Outside | undefined {
    return typeof this.#engine === 'string' ? undefined : this.#engine;
  }

  /** Why rtpengine is installed and yet not there. */
  get engineFault(): string | undefined {
    return typeof this.#engine === 'string' ? this.#engine : undefined;
  }

  /** Ends a round that is under way. */
  abort(): void {
    this.#stage.abort();
  }

  /** Not while a round is under way. */
  async close(): Promise<void> {
    if (typeof this.#engine === 'object') await this.#engine.close();
    for (const replicator of this.#replicators.values()) benchAddon().closeReplicator(replicator);
    for (const load of this.#loads.values()) benchAddon().closeLoad(load);
    this.#stage.close();
    this.#traffic.wipe();
    this.#set.kek.wipe();
    this.#set.masterSalt.wipe();
  }

  async #relayRound(packets: number): Promise<Count> {
    const stage = this.#stage;
    const load = benchAddon().createLoad(
      this.#traffic.streams(perSource(this.media, SHAPES[this.media].sources, packets)),
      this.#traffic.bytes,
    );
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

  #loadFor(manner: Manner, packets: number): NativeLoad {
    const name = `${manner === 'copies' ? manner : 'switched'} ${packets}`;
    const known = this.#loads.get(name);
    if (known !== undefined) return known;
    const bytes = switchedBytes(this.#traffic.bytes);
    const switched = switchedStreams(this.media, this.#set, perSource(this.media, SHAPES[this.media].sources, packets));
    const streams =
      manner === 'copies'
        ? switched.map((s) => benchAddon().protectForCopies(this.#replicators.get('copies')!, s, bytes))
        : switched;
    const load = benchAddon().createLoad(streams, bytes);
    this.#loads.set(name, load);
    return load;
  }
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
