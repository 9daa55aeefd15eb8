/** A relay thread and a bare replicator side by side, fed by one source, in front of the same N sinks. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Media } from '../src/base/ids.js';
import type { GroupParameterSet, Relay, RelayCounters } from '../src/relay/contract.js';
import { openRelay } from '../src/relay/relay.js';
import { buildControlCompound } from '../src/wire/rtcp-write.js';
import { benchAddon, type NativeGround, type NativeReplicator, type Sent } from './native.js';
import { FIRST_RECEIVER, furnish, randomSet, routeAtOnce } from './room.js';
import { difference32 } from './statistics.js';
import { SHAPES, Switcher, switchedBytes, TrafficSource } from './traffic.js';

const ADDRESS = '127.0.0.1';
const PORTS = { portMin: 10_000, portMax: 32_000 } as const;
const SETTLE_MS = 5_000;
const BURST_TIMEOUT_MS = 5_000;
const WARM_UP_PACKETS = 30;
/** The last copy arrives before its sender has counted it. */
const COUNTING_MS = 500;
const CONTROL_SSRC = 0x100;

/** What one round's sending came to. Everything but `cpuNs` must be what the number of packets says (see {@link lossOf}). */
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

function dropSum(counters: RelayCounters): number {
  return Object.values(counters.drops).reduce((sum, n) => sum + n, 0);
}

export class FanoutRig {
  readonly media: Media;
  readonly receivers: number;
  readonly #set: GroupParameterSet = randomSet();
  readonly #relaySource: TrafficSource;
  /** A stream of its own, so that it brings its key to the switcher. */
  readonly #bareSource: TrafficSource;
  readonly #switcher: Switcher;
  readonly #ground: NativeGround;
  #relay: Relay | undefined;
  #replicator: NativeReplicator | undefined;
  #relayPort = 0;

  private constructor(media: Media, receivers: number) {
    this.media = media;
    this.receivers = receivers;
    const { bytes } = SHAPES[media];
    this.#relaySource = new TrafficSource(media, bytes, this.#set);
    this.#bareSource = new TrafficSource(media, bytes, this.#set);
    this.#switcher = new Switcher(media, bytes, this.#set);
    this.#ground = benchAddon().createGround(receivers);
  }

  /** Ready to be measured. Throws when the system refuses a socket or the relay does not come up. */
  static async open(media: Media, receivers: number): Promise<FanoutRig> {
    const rig = new FanoutRig(media, receivers);
    try {
      await rig.#start();
      return rig;
    } catch (error) {
      rig.close();
      throw error;
    }
  }

  /** What the relay's thread takes in a second without a packet: its tick every 100 ms. */
  async idleNsPerMs(ms: number): Promise<number> {
    const relay = this.#demandRelay();
    const began = performance.now();
    const before = cpuOf(relay);
    await pause(ms);
    return (cpuOf(relay) - before) / (performance.now() - began);
  }

  /** `packets` fresh packets through the relay. */
  async relayRound(packets: number): Promise<Count> {
    const relay = this.#demandRelay();
    const { bytes } = SHAPES[this.media];
    const load = this.#relaySource.packets(packets);
    const before = relay.counters();
    const cpuBefore = cpuOf(relay);
    const began = performance.now();
    const { sent, arrived } = await this.#send(this.#relayPort, load, bytes);
    await counted(() => relay.counters().egress - before.egress >= sent * this.receivers);
    const elapsedMs = performance.now() - began;
    const cpuNs = cpuOf(relay) - cpuBefore;
    const after = relay.counters();
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
      drops: dropSum(after) - dropSum(before),
      cpuNs,
      elapsedMs,
    };
  }

  /** `packets` packets, as the relay sends them on, through the replicator. */
  async bareRound(packets: number): Promise<Count> {
    const { bytes } = SHAPES[this.media];
    const load = this.#switcher.switch(this.#bareSource.packets(packets));
    const before = this.#bare();
    const began = performance.now();
    const { sent, arrived } = await this.#send(before.port, load, switchedBytes(bytes));
    await counted(() => this.#bare().sent - before.sent >= sent * this.receivers);
    const elapsedMs = performance.now() - began;
    const after = this.#bare();
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
    };
  }

  /** Ends a round that is under way. */
  abort(): void {
    benchAddon().abort(this.#ground);
  }

  /** Not while a round is under way. */
  close(): void {
    this.#relay?.close();
    if (this.#replicator !== undefined) benchAddon().closeReplicator(this.#replicator);
    benchAddon().closeGround(this.#ground);
    this.#switcher.close();
    this.#relaySource.wipe();
    this.#bareSource.wipe();
    this.#set.kek.wipe();
    this.#set.masterSalt.wipe();
  }

  async #start(): Promise<void> {
    const ports = benchAddon().groundPorts(this.#ground);
    this.#replicator = benchAddon().startReplicator(this.#ground);
    const relay = openRelay(
      { threads: 1, bindAddress: ADDRESS, ...PORTS, ingressPacketsPerSecond: { audio: 0, video: 0 } },
      () => undefined,
    );
    this.#relay = relay;
    const at = (port: number) => ({ address: ADDRESS, port });
    const peers = { source: at(ports.source), receivers: ports.sinks.map(at) };
    const opened = furnish(relay, this.media, this.#set, peers);
    for (const result of opened) {
      if (!result.ok) throw new Error(`the relay opened no channel: ${result.reason}`);
    }
    this.#relayPort = opened[0]?.ok ? opened[0].value.port : 0;
    routeAtOnce(relay, this.media, this.receivers);
    await this.#commandsTaken(relay);
    for (const warmUp of [await this.relayRound(WARM_UP_PACKETS), await this.bareRound(WARM_UP_PACKETS)]) {
      const loss = lossOf(warmUp);
      if (loss !== undefined) throw new Error(`warming up: ${loss}`);
    }
  }

  /** Commands are carried out in order: once the last sink has got a control packet, all before it are in force. */
  async #commandsTaken(relay: Relay): Promise<void> {
    const before = benchAddon().arrivals(this.#ground);
    const last = FIRST_RECEIVER + this.receivers - 1;
    relay.sendControl(last, buildControlCompound({ ssrc: CONTROL_SSRC, cname: 'bench' }, []));
    const deadline = performance.now() + SETTLE_MS;
    while (difference32(benchAddon().arrivals(this.#ground), before) === 0) {
      if (performance.now() > deadline) throw new Error('the relay has not taken its commands');
      await pause(5);
    }
  }

  #send(port: number, packets: Uint8Array, bytes: number): Promise<Sent> {
    return benchAddon().send(this.#ground, port, packets, bytes, SHAPES[this.media].burst, BURST_TIMEOUT_MS);
  }

  #bare(): ReturnType<ReturnType<typeof benchAddon>['replicatorState']> {
    if (this.#replicator === undefined) throw new Error('no replicator');
    return benchAddon().replicatorState(this.#replicator);
  }

  #demandRelay(): Relay {
    if (this.#relay === undefined) throw new Error('no relay');
    return this.#relay;
  }
}

/** Returns when `complete` or when there is no more hope of it; the caller compares the numbers. */
async function counted(complete: () => boolean): Promise<void> {
  const deadline = performance.now() + COUNTING_MS;
  while (!complete() && performance.now() < deadline) await pause(1);
}

function cpuOf(relay: Relay): number {
  return Number(relay.threadCpuNs()[0] ?? 0n);
}
