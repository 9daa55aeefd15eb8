/** A relay thread and a bare replicator that are sent packets at a rate. */
import type { Media } from '../src/base/ids.js';
import type { GroupParameterSet } from '../src/relay/contract.js';
import { switchedStreams } from './fanout-rig.js';
import { benchAddon, MANNERS, type NativeLoad, type NativeReplicator, type Paced } from './native.js';
import { randomSet } from './room.js';
import { Stage } from './stage.js';
import { SHAPES, switchedBytes, Traffic } from './traffic.js';

/** Packets of each source: the sequence number does not wrap, and a new source may send them all again. */
const LOAD_PACKETS = 12_000;
const SILENCE_MS = 60;
const BARE_PACKETS = 600;
/** Above this multiple of the time that was planned, the sources could not keep their own rate. */
const LATE = 1.05;
const CPU_NS = 1e9;

export interface Step {
  /** Packets a second that were asked for. */
  readonly rate: number;
  /** Packets that the sources had to send. */
  readonly offered: number;
  readonly receivers: number;
  readonly arrived: number;
  /** From the first packet to the last arrival. */
  readonly drainedNs: number;
  readonly sourceLate: boolean;
  readonly latenciesUs: Float64Array;
}

export interface RigOptions {
  /** Steps give latencies. */
  readonly timed?: boolean;
  /** Made for each source. */
  readonly loadPackets?: number;
  /** A step is over when nothing came for so long. */
  readonly silenceMs?: number;
}

export class CapacityRig {
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  readonly #set: GroupParameterSet;
  readonly #stage: Stage;
  readonly #loadPackets: number;
  readonly #silenceMs: number;
  readonly #load: NativeLoad;
  readonly #bareLoad: NativeLoad;
  readonly #replicator: NativeReplicator;

  private constructor(suite: number, set: GroupParameterSet, stage: Stage, options: RigOptions) {
    this.suite = suite;
    this.media = stage.options.media;
    this.receivers = stage.options.receivers;
    this.#set = set;
    this.#stage = stage;
    this.#loadPackets = options.loadPackets ?? LOAD_PACKETS;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    const traffic = new Traffic(this.media, set);
    this.#load = benchAddon().createLoad(traffic.streams(this.#loadPackets), traffic.bytes);
    traffic.wipe();
    const bare = switchedStreams(this.media, set, BARE_PACKETS);
    this.#bareLoad = benchAddon().createLoad(bare, switchedBytes(traffic.bytes));
    this.#replicator = benchAddon().startReplicator(stage.ground, MANNERS.indexOf('segment'));
  }

  static async open(suite: number, media: Media, receivers: number, options: RigOptions = {}): Promise<CapacityRig> {
    const set = randomSet(suite);
    const { sources } = SHAPES[media];
    const stage = await Stage.open({ media, set, sources, receivers, timed: options.timed === true });
    try {
      return new CapacityRig(suite, set, stage, options);
    } catch (error) {
      stage.close();
      throw error;
    }
  }

  /** `ms` of packets at `rate` a second; less when that is more than were made. */
  async step(side: 'relay' | 'bare', rate: number, ms: number): Promise<Step> {
    const { burst, sources } = SHAPES[this.media];
    const wanted = Math.max(1, Math.round((rate * ms) / 1_000 / burst)) * burst;
    const offered = Math.min(wanted, this.#loadPackets * sources);
    const paced = await (side === 'relay' ? this.#throughRelay(offered, rate) : this.#throughReplicator(offered, rate));
    return {
      rate,
      offered,
      receivers: this.receivers,
      arrived: paced.arrived,
      drainedNs: paced.drainedNs,
      sourceLate: paced.sendingNs > (offered / rate) * CPU_NS * LATE,
      latenciesUs: paced.latenciesUs,
    };
  }

  abort(): void {
    this.#stage.abort();
  }

  close(): void {
    benchAddon().closeReplicator(this.#replicator);
    benchAddon().closeLoad(this.#load);
    benchAddon().closeLoad(this.#bareLoad);
    this.#stage.close();
    this.#set.kek.wipe();
    this.#set.masterSalt.wipe();
  }

  async #throughRelay(count: number, rate: number): Promise<Paced> {
    await this.#stage.renewSources();
    return this.#stage.pace(this.#load, count, { packetsPerSecond: rate, silenceMs: this.#silenceMs });
  }

  #throughReplicator(count: number, rate: number): Promise<Paced> {
    const { port } = benchAddon().replicatorState(this.#replicator);
    const ports = Array.from({ length: SHAPES[this.media].sources }, () => port);
    return this.#stage.pace(this.#bareLoad, count, { packetsPerSecond: rate, silenceMs: this.#silenceMs }, ports);
  }
}
