/** A relay with conferences that are open and routed, sources in front of it and sinks behind it: what every bench runs on. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Address, ChannelId, Media } from '../src/base/ids.js';
import type { GroupParameterSet, Relay, RelayCounters } from '../src/relay/contract.js';
import { openRelay } from '../src/relay/relay.js';
import { buildControlCompound } from '../src/wire/rtcp-write.js';
import { benchAddon, type NativeGround, type NativeLoad, type Paced, type Saturated, type Sent } from './native.js';
import { furnish, openReady, type Room, roomOf, routeAtOnce } from './room.js';
import { difference32 } from './statistics.js';
import { SHAPES } from './traffic.js';

const ADDRESS = '127.0.0.1';
const PORTS = { portMin: 10_000, portMax: 32_000 } as const;
const SETTLE_MS = 10_000;
const BURST_TIMEOUT_MS = 5_000;
const COUNTING_MS = 500;
const CONTROL_SSRC = 0x100;

/** Where the members of a conference are. */
export interface Peers {
  readonly sources: readonly Address[];
  readonly receivers: readonly Address[];
}

export interface StageOptions {
  readonly media: Media;
  readonly set: GroupParameterSet;
  /** Conferences, all alike. */
  readonly rooms?: number;
  /** Of each conference. */
  readonly sources: number;
  readonly receivers: number;
  readonly threads?: number;
  /** Every conference has sinks of its own; else they share theirs. */
  readonly ownSinks?: boolean;
  readonly timed?: boolean;
  /** Opens and routes each conference in its own way; else all are end-to-end under `set`, every source to all receivers. */
  readonly furnish?: (relay: Relay, room: Room, peers: Peers) => ReturnType<Relay['openChannel']>[];
}

export class Stage {
  readonly options: StageOptions;
  readonly ground: NativeGround;
  readonly #relay: Relay;
  readonly #sourcePorts: readonly number[];
  readonly #sinkPorts: readonly number[];
  #rooms: Room[] = [];
  #lanes: number[] = [];
  #nextChannel: ChannelId = 1;

  private constructor(options: StageOptions) {
    this.options = options;
    const rooms = options.rooms ?? 1;
    const sinks = options.receivers * (options.ownSinks === true ? rooms : 1);
    this.ground = benchAddon().createGround(options.sources * rooms, sinks, options.timed === true);
    const ports = benchAddon().groundPorts(this.ground);
    this.#sourcePorts = ports.sources;
    this.#sinkPorts = ports.sinks;
    // A source that is a whole bench would hit the limit of a channel; here it is not what is measured.
    const ingressPacketsPerSecond = { audio: 0, video: 0 };
    this.#relay = openRelay(
      { threads: options.threads ?? 1, bindAddress: ADDRESS, ...PORTS, ingressPacketsPerSecond },
      () => undefined,
    );
  }

  /** All channels are open and routed. Throws when the system refuses a socket or the relay does not come up. */
  static async open(options: StageOptions): Promise<Stage> {
    const stage = new Stage(options);
    try {
      for (let i = 0; i < (options.rooms ?? 1); i++) stage.#furnish(i);
      await stage.#commandsTaken();
      return stage;
    } catch (error) {
      stage.close();
      throw error;
    }
  }

  /** The relay's port of each source, conference by conference. */
  get lanes(): readonly number[] {
    return this.#lanes;
  }

  counters(): RelayCounters {
    return this.#relay.counters();
  }

  /** Datagrams refused by name. */
  drops(): number {
    return Object.values(this.#relay.counters().drops).reduce((sum, n) => sum + n, 0);
  }

  /** Of all relay threads. */
  cpuNs(): number {
    return this.cpuNsByThread().reduce((sum, ns) => sum + ns, 0);
  }

  cpuNsByThread(): number[] {
    return this.#relay.threadCpuNs().map(Number);
  }

  /** What the relay's threads take without a packet: their tick every 100 ms. */
  async idleNsPerMs(ms: number): Promise<number> {
    const began = performance.now();
    const before = this.cpuNs();
    await pause(ms);
    return (this.cpuNs() - before) / (performance.now() - began);
  }

  /** Returns when `egress` copies are counted, or when there is no more hope of it: the last copy arrives before that. */
  async settled(egress: number): Promise<void> {
    const deadline = performance.now() + COUNTING_MS;
    while (this.counters().egress < egress && performance.now() < deadline) await pause(1);
  }

  /** To the relay, or to `ports`. */
  send(load: NativeLoad, count: number, burst: number, run: number, ports = this.lanes): Promise<Sent> {
    return benchAddon().send(this.ground, { load, ports, count, burst, run }, BURST_TIMEOUT_MS);
  }

  pace(
    load: NativeLoad,
    count: number,
    rate: { readonly packetsPerSecond: number; readonly silenceMs: number },
    ports = this.lanes,
  ): Promise<Paced> {
    const { burst } = SHAPES[this.options.media];
    const course = { load, ports, count, burst, run: burst };
    return benchAddon().pace(this.ground, course, rate.packetsPerSecond, rate.silenceMs);
  }

  saturate(load: NativeLoad, perLane: number, window: number, ms: number): Promise<Saturated> {
    const { burst } = SHAPES[this.options.media];
    return benchAddon().saturate(
      this.ground,
      { load, ports: this.lanes, count: perLane, burst, run: burst },
      window,
      ms,
    );
  }

  /** Sources that nobody has heard of: what others have sent before them may be sent again. */
  async renewSources(): Promise<void> {
    const lanes: number[] = [];
    this.#rooms = this.#rooms.map((old, r) => {
      for (const channel of old.sources) this.#relay.closeChannel(channel);
      const room = { ...old, sources: old.sources.map(() => this.#nextChannel++) };
      room.sources.forEach((channel, i) => {
        const peer = at(this.#sourcePorts[r * room.sources.length + i]!);
        lanes.push(portOf(openReady(this.#relay, room, channel, peer, this.options.set)));
      });
      routeAtOnce(this.#relay, room);
      return room;
    });
    this.#lanes = lanes;
    await this.#commandsTaken();
  }

  /** Ends what is being sent. */
  abort(): void {
    benchAddon().abort(this.ground);
  }

  /** Not while something is being sent. */
  close(): void {
    this.#relay.close();
    benchAddon().closeGround(this.ground);
  }

  #furnish(index: number): void {
    const { media, sources, receivers, set, ownSinks } = this.options;
    const room = roomOf(media, sources, receivers, { conference: index + 1, channel: this.#nextChannel });
    this.#nextChannel += sources + receivers;
    const firstSink = ownSinks === true ? index * receivers : 0;
    const peers: Peers = {
      sources: this.#sourcePorts.slice(index * sources, (index + 1) * sources).map(at),
      receivers: this.#sinkPorts.slice(firstSink, firstSink + receivers).map(at),
    };
    const own = this.options.furnish;
    const opened = own === undefined ? furnish(this.#relay, room, set, peers) : own(this.#relay, room, peers);
    for (const channel of opened) portOf(channel);
    for (const channel of opened.slice(0, sources)) this.#lanes.push(portOf(channel));
    if (own === undefined) routeAtOnce(this.#relay, room);
    this.#rooms.push(room);
  }

  /** Commands are carried out in order: once a conference's control packet has arrived, all before it are in force. */
  async #commandsTaken(): Promise<void> {
    const before = benchAddon().arrivals(this.ground);
    const compound = buildControlCompound({ ssrc: CONTROL_SSRC, cname: 'bench' }, []);
    for (const room of this.#rooms) this.#relay.sendControl(room.receivers[0]!, compound);
    const deadline = performance.now() + SETTLE_MS;
    while (difference32(benchAddon().arrivals(this.ground), before) < this.#rooms.length) {
      if (performance.now() > deadline) throw new Error('the relay has not taken its commands');
      await pause(1);
    }
  }
}

function at(port: number): { address: string; port: number } {
  return { address: ADDRESS, port };
}

function portOf(opened: ReturnType<Relay['openChannel']>): number {
  if (!opened.ok) throw new Error(`the relay opened no channel: ${opened.reason}`);
  return opened.value.port;
}
