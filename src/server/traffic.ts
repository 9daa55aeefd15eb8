/** Bit rate and loss of channels, for those who look at them: nothing is measured while nobody looks. */
import { ADMIN_TRAFFIC_INTERVAL_MS, MAX_CHANNELS } from '../base/limits.js';
import type { ChannelCounters } from '../relay/contract.js';
import type { ReportBlock } from '../wire/rtcp.js';
import type { ChannelTraffic } from './admin/host.js';

interface Sample {
  readonly at: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly receivedBitsPerSecond: number;
  readonly sentBitsPerSecond: number;
}

export class TrafficMeter {
  readonly #counters: (channel: number) => ChannelCounters | undefined;
  readonly #samples = new Map<number, Sample>();
  readonly #losses = new Map<number, number>();

  constructor(counters: (channel: number) => ChannelCounters | undefined) {
    this.#counters = counters;
  }

  /** What the relay reports of the streams of a channel (RFC 3550 §6.4.1: 256ths); the worst one counts. */
  report(channel: number, blocks: readonly ReportBlock[]): void {
    this.#losses.delete(channel); // so that the oldest is the first
    this.#losses.set(channel, Math.max(0, ...blocks.map((block) => block.fractionLost)) / 256);
    if (this.#losses.size > MAX_CHANNELS) this.#losses.delete(this.#losses.keys().next().value!);
  }

  /** Rates over the time since somebody looked before, at least ADMIN_TRAFFIC_INTERVAL_MS; 0 at the first look. */
  read(channel: number, now: number): ChannelTraffic {
    const counters = this.#counters(channel);
    const refusedPackets = counters === undefined ? 0 : Object.values(counters.drops).reduce((a, b) => a + b, 0);
    const { receivedBitsPerSecond, sentBitsPerSecond } = this.#sample(channel, counters, now);
    return { receivedBitsPerSecond, sentBitsPerSecond, lossFraction: this.#losses.get(channel), refusedPackets };
  }

  #sample(channel: number, counters: ChannelCounters | undefined, now: number): Sample {
    const old = this.#samples.get(channel);
    if (old !== undefined && now - old.at < ADMIN_TRAFFIC_INTERVAL_MS) return old;
    const { bytesIn, bytesOut } = counters ?? { bytesIn: 0, bytesOut: 0 };
    const rate = (bytes: number, before: number): number =>
      old === undefined ? 0 : Math.max(0, Math.round(((bytes - before) * 8_000) / (now - old.at)));
    const sample = {
      ...{ at: now, bytesIn, bytesOut },
      receivedBitsPerSecond: rate(bytesIn, old?.bytesIn ?? 0),
      sentBitsPerSecond: rate(bytesOut, old?.bytesOut ?? 0),
    };
    this.#samples.delete(channel);
    this.#samples.set(channel, sample);
    if (this.#samples.size > MAX_CHANNELS) this.#samples.delete(this.#samples.keys().next().value!);
    return sample;
  }
}
