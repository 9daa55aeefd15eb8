/** What a receiving channel tells the switch in its control RTCP: receiver reports, NACKs, and when a picture is broken. */
import type { Engine, Tick } from '../base/engine.js';
import { SENDER_REPORT_INTERVAL_MS } from '../base/limits.js';
import { parseCompound, type ReportBlock } from '../wire/rtcp.js';
import { writeNack } from '../wire/rtcp-write.js';
import { LossDetector } from './loss.js';
import { ReceptionLog } from './reception.js';

export type FeedbackInput =
  | {
      readonly type: 'packet';
      readonly ssrc: number;
      /** `index`: ROC ‖ sequence number; `sequence`: that alone, of what is not under EKT. */
      readonly known: 'index' | 'sequence';
      readonly value: number;
      readonly timestamp: number;
      readonly sink: number;
    }
  /** Media RTCP of a sender, decrypted. */
  | { readonly type: 'media-rtcp'; readonly compound: Uint8Array }
  | Tick;

export type FeedbackOutput =
  /** To go out as one control compound. */
  | {
      readonly type: 'control';
      readonly reports: readonly ReportBlock[];
      readonly packets: readonly Uint8Array[];
    }
  | { readonly type: 'picture-lost'; readonly sink: number };

export interface FeedbackOptions {
  readonly controlSsrc: number;
  readonly clockRateHz: number;
  /** The switch answers NACKs on this channel (`a=rtcp-fb:* nack`, RFC 4585 §4.2). */
  readonly nack: boolean;
  readonly plain: boolean;
}

export class ReceiverFeedback implements Engine<FeedbackInput, FeedbackOutput> {
  readonly #options: FeedbackOptions;
  readonly #log: ReceptionLog;
  readonly #loss: LossDetector | undefined;
  readonly #outputs: FeedbackOutput[] = [];
  #nextReport: number | undefined;

  constructor(options: FeedbackOptions) {
    this.#options = options;
    this.#log = new ReceptionLog(options.clockRateHz);
    this.#loss = options.nack && !options.plain ? new LossDetector() : undefined;
  }

  receive(input: FeedbackInput, now: number): void {
    switch (input.type) {
      case 'packet': {
        const { ssrc, known, value, timestamp, sink } = input;
        this.#nextReport ??= now + SENDER_REPORT_INTERVAL_MS;
        const index = this.#log.packet(ssrc, known, value, timestamp, now);
        if (index !== undefined) this.#loss?.receive({ type: 'packet', ssrc, index, sink }, now);
        break;
      }
      case 'media-rtcp': {
        const packets = parseCompound(input.compound);
        if (!packets.ok) break;
        for (const packet of packets.value)
          if (packet.type === 'sr') this.#log.senderReport(packet.ssrc, packet.ntp, now);
        break;
      }
      case 'tick':
        this.#loss?.receive(input, now);
        this.#report(now);
        break;
    }
    for (let out = this.#loss?.poll(); out !== undefined; out = this.#loss?.poll()) {
      if (out.type === 'picture-lost') this.#outputs.push({ type: 'picture-lost', sink: out.sink });
      else {
        const packets = [writeNack(this.#options.controlSsrc, out.ssrc, out.lost)];
        this.#outputs.push({ type: 'control', reports: [], packets });
      }
    }
  }

  poll(): FeedbackOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    const loss = this.#loss?.deadline();
    if (this.#nextReport === undefined) return loss;
    return loss === undefined ? this.#nextReport : Math.min(loss, this.#nextReport);
  }

  #report(now: number): void {
    if (this.#nextReport === undefined || now < this.#nextReport) return;
    const reports = this.#log.report(now);
    // Silence is not reported; the next packet starts the interval again.
    this.#nextReport = reports.length === 0 ? undefined : now + SENDER_REPORT_INTERVAL_MS;
    if (reports.length > 0) this.#outputs.push({ type: 'control', reports, packets: [] });
  }
}
