/** What was received of each stream, as receiver reports tell it (RFC 3550 §6.4.1, A.1, A.3, A.8). Verified packets only. */
import { MAX_REPORT_BLOCKS, MAX_REPORTED_STREAMS, REPLAY_WINDOW_PACKETS } from '../base/limits.js';
import { estimateIndex } from '../srtp/index-estimate.js';
import type { ReportBlock } from '../wire/rtcp.js';

/** RFC 3550 A.1: a wider gap is a sender that began anew. */
const MAX_DROPOUT = 3_000;
const MAX_LOST = 0x7fffff;
const MIN_LOST = -0x800000;

/** One stream. Times in ms. */
export class Reception {
  lastAt = Number.NEGATIVE_INFINITY;
  readonly #ssrc: number;
  readonly #clockRateHz: number;
  #base = -1;
  #highest = -1;
  #received = 0;
  #expectedPrior = 0;
  #receivedPrior = 0;
  #transit: number | undefined;
  /** In 1/16 of a timestamp unit, whole: rounding then does not add up (RFC 3550 A.8). */
  #jitter = 0;
  #sr: { readonly ntp: number; readonly at: number } | undefined;

  constructor(ssrc: number, clockRateHz: number) {
    this.#ssrc = ssrc;
    this.#clockRateHz = clockRateHz;
  }

  get heard(): boolean {
    return this.#received !== this.#receivedPrior;
  }

  /** @param index ROC ‖ sequence number */
  packet(index: number, timestamp: number, now: number): void {
    const jump = index + REPLAY_WINDOW_PACKETS <= this.#highest || index > this.#highest + MAX_DROPOUT;
    if (this.#base < 0 || jump) {
      this.#base = this.#highest = index;
      this.#received = this.#expectedPrior = this.#receivedPrior = 0;
      this.#transit = undefined;
    }
    this.#highest = Math.max(this.#highest, index);
    this.#received++;
    this.lastAt = now;
    const transit = (Math.floor((now / 1000) * this.#clockRateHz) - timestamp) | 0;
    if (this.#transit !== undefined) {
      const change = Math.abs((transit - this.#transit) | 0);
      this.#jitter += change - ((this.#jitter + 8) >>> 4);
    }
    this.#transit = transit;
  }

  /** A packet whose cycle nobody says: it is estimated. @returns its index; undefined from before the first cycle */
  sequence(sequence: number, timestamp: number, now: number): number | undefined {
    const index = this.#base < 0 ? sequence : estimateIndex(this.#highest, sequence);
    if (index < 0) return undefined;
    this.packet(index, timestamp, now);
    return index;
  }

  senderReport(ntp: bigint, now: number): void {
    this.#sr = { ntp: Number((ntp >> 16n) & 0xffffffffn), at: now };
  }

  /** The block for the interval since the last one. */
  report(now: number): ReportBlock {
    const expected = this.#highest - this.#base + 1;
    const expectedNow = expected - this.#expectedPrior;
    const lostNow = expectedNow - (this.#received - this.#receivedPrior);
    this.#expectedPrior = expected;
    this.#receivedPrior = this.#received;
    const sr = this.#sr;
    return {
      ssrc: this.#ssrc,
      fractionLost: expectedNow <= 0 || lostNow <= 0 ? 0 : Math.min(255, Math.floor((lostNow * 256) / expectedNow)),
      cumulativeLost: Math.max(MIN_LOST, Math.min(MAX_LOST, expected - this.#received)),
      highestSequence: this.#highest % 0x1_0000_0000,
      jitter: this.#jitter >>> 4,
      lastSr: sr?.ntp ?? 0,
      delaySinceLastSr: sr === undefined ? 0 : Math.floor(((now - sr.at) / 1000) * 65_536) >>> 0,
    };
  }
}

/** All streams of a channel; of more than MAX_REPORTED_STREAMS the one that was silent the longest is forgotten. */
export class ReceptionLog {
  readonly #clockRateHz: number;
  readonly #streams = new Map<number, Reception>();

  constructor(clockRateHz: number) {
    this.#clockRateHz = clockRateHz;
  }

  /** @param known `index`: ROC ‖ sequence number; `sequence`: without cycles. @returns its index, see {@link Reception} */
  packet(ssrc: number, known: 'index' | 'sequence', value: number, timestamp: number, now: number): number | undefined {
    const stream = this.#streams.get(ssrc) ?? this.#add(ssrc);
    if (known === 'sequence') return stream.sequence(value, timestamp, now);
    stream.packet(value, timestamp, now);
    return value;
  }

  senderReport(ssrc: number, ntp: bigint, now: number): void {
    this.#streams.get(ssrc)?.senderReport(ntp, now);
  }

  /** Blocks of the streams heard since the last report, MAX_REPORT_BLOCKS at most; the others come next time. */
  report(now: number): readonly ReportBlock[] {
    const heard = [...this.#streams.values()].filter((stream) => stream.heard);
    return heard.slice(0, MAX_REPORT_BLOCKS).map((stream) => stream.report(now));
  }

  #add(ssrc: number): Reception {
    if (this.#streams.size >= MAX_REPORTED_STREAMS) {
      const [silent] = [...this.#streams].reduce((a, b) => (b[1].lastAt < a[1].lastAt ? b : a));
      this.#streams.delete(silent);
    }
    const stream = new Reception(ssrc, this.#clockRateHz);
    this.#streams.set(ssrc, stream);
    return stream;
  }
}
