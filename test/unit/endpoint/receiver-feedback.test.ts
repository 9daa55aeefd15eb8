/** What a receiver tells of streams whose packets say their sequence number only: hop-by-hop, and plain RTP. */
import { describe, expect, it } from 'vitest';
import { LOSS_REORDER_MS, SENDER_REPORT_INTERVAL_MS } from '../../../src/base/limits.js';
import { type FeedbackOutput, ReceiverFeedback } from '../../../src/endpoint/receiver-feedback.js';
import { parseRtcpPacket } from '../../../src/wire/rtcp.js';

const T0 = 1_700_000_000_000;
const SSRC = 0xa1;

class Receiver {
  readonly machine = new ReceiverFeedback({ controlSsrc: 0x100, clockRateHz: 90_000, nack: true, plain: false });
  readonly out: FeedbackOutput[] = [];
  now = T0;

  hear(known: 'index' | 'sequence', values: readonly number[]): void {
    for (const value of values) this.#to({ type: 'packet', ssrc: SSRC, known, value, timestamp: 0, sink: 1 });
  }

  pass(ms: number): void {
    this.now += ms;
    this.#to({ type: 'tick' });
  }

  /** Sequence numbers that were asked for. */
  asked(): number[] {
    const packets = this.out.flatMap((o) => (o.type === 'control' ? o.packets : []));
    return packets.flatMap((bytes) => {
      const nack = parseRtcpPacket(bytes);
      if (!nack.ok || nack.value.type !== 'nack') throw new Error('not a NACK');
      return nack.value.lost.flatMap(({ pid, blp }) => [
        pid,
        ...Array.from({ length: 16 }, (_, i) => i).flatMap((i) => ((blp >> i) & 1 ? [(pid + 1 + i) & 0xffff] : [])),
      ]);
    });
  }

  #to(input: Parameters<ReceiverFeedback['receive']>[0]): void {
    this.machine.receive(input, this.now);
    for (let o = this.machine.poll(); o !== undefined; o = this.machine.poll()) this.out.push(o);
  }
}

describe('across the turn of the sequence number', () => {
  it('what is lost is asked for, before it, at it and after it', () => {
    const receiver = new Receiver();
    receiver.hear('sequence', [65_530, 65_532, 65_533, 65_534, 1, 3, 4]);
    receiver.pass(LOSS_REORDER_MS);
    expect(receiver.asked()).toEqual([65_531, 65_535, 0, 2]);
    expect(receiver.out.some((o) => o.type === 'picture-lost')).toBe(false);
  });

  it('the report goes on counting, with one cycle more', () => {
    const receiver = new Receiver();
    receiver.hear('sequence', [65_530, 65_531, 65_533, 0, 1, 2]);
    receiver.pass(SENDER_REPORT_INTERVAL_MS);
    const reports = receiver.out.flatMap((o) => (o.type === 'control' ? o.reports : []));
    expect(reports).toMatchObject([{ ssrc: SSRC, highestSequence: 0x10002, cumulativeLost: 3 }]);
  });

  it('a stream whose cycles were known goes on in the cycle that it was in', () => {
    const receiver = new Receiver();
    receiver.hear('index', [0x7fff0, 0x7fff1]);
    receiver.hear('sequence', [0xfff2, 0xfff4, 0, 1]);
    receiver.pass(LOSS_REORDER_MS);
    expect(receiver.asked()[0]).toBe(0xfff3);
    receiver.pass(SENDER_REPORT_INTERVAL_MS);
    const reports = receiver.out.flatMap((o) => (o.type === 'control' ? o.reports : []));
    expect(reports.at(-1)).toMatchObject({ highestSequence: 0x80001 });
  });
});
