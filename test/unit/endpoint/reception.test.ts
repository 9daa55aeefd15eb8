/** The arithmetic of RFC 3550 §6.4.1, A.3 and A.8, on the same worked examples as the relay's (native/test/report_test.cc). */
import { describe, expect, it } from 'vitest';
import { MAX_REPORT_BLOCKS, MAX_REPORTED_STREAMS } from '../../../src/base/limits.js';
import { Reception, ReceptionLog } from '../../../src/endpoint/reception.js';

function received(indices: readonly number[], clockRateHz = 90_000): Reception {
  const r = new Reception(0xa1, clockRateHz);
  for (const index of indices) r.packet(index, 0, 0);
  return r;
}
function more(r: Reception, indices: readonly number[]): Reception {
  for (const index of indices) r.packet(index, 0, 0);
  return r;
}

describe('loss', () => {
  it('is a fraction of the interval in 256ths, and cumulative over all', () => {
    const r = received([10, 11, 12, 15, 16, 17, 18, 19]);
    expect(r.heard).toBe(true);
    expect(r.report(0)).toMatchObject({ ssrc: 0xa1, cumulativeLost: 2, fractionLost: 51, highestSequence: 19 });
    expect(r.heard).toBe(false);
    expect(more(r, [20, 21, 22]).report(0)).toMatchObject({ cumulativeLost: 2, fractionLost: 0 });
    expect(more(r, [13, 14, 23]).report(0)).toMatchObject({ cumulativeLost: 0, fractionLost: 0 });
    expect(more(r, [1_023]).report(0)).toMatchObject({ cumulativeLost: 999, fractionLost: 255 });
  });

  it('is negative with duplicates, and stops at 24 bits', () => {
    expect(received([5, 6, 6, 6, 7]).report(0)).toMatchObject({ cumulativeLost: -2, fractionLost: 0 });
    const lossy = new Reception(1, 90_000);
    for (let i = 1; i < 10_000_000; i += 2_999) lossy.packet(i, 0, 0);
    expect(lossy.report(0).cumulativeLost).toBe(0x7fffff);
  });

  it('is counted across a wrap, with cycles in the highest sequence number', () => {
    expect(received([0x1fffe, 0x1ffff, 0x20001, 0x20000]).report(0)).toMatchObject({
      highestSequence: 0x20001,
      cumulativeLost: 0,
    });
    expect(received([0x1234_5678_9abc]).report(0).highestSequence).toBe(0x5678_9abc);
    const plain = new Reception(1, 8_000);
    for (const s of [65_534, 65_535, 1, 0, 2]) plain.sequence(s, 0, 0);
    expect(plain.report(0)).toMatchObject({ highestSequence: 0x10002, cumulativeLost: 0 });
  });

  it('begins anew with a sender that begins anew', () => {
    expect(received([50_000, 50_001, 7, 8]).report(0)).toMatchObject({ highestSequence: 8, cumulativeLost: 0 });
    expect(received([7, 8, 50_000, 50_001]).report(0)).toMatchObject({ highestSequence: 50_001, cumulativeLost: 0 });
  });
});

describe('jitter', () => {
  it('follows RFC 3550 A.8', () => {
    const r = new Reception(1, 8_000);
    for (const [i, at] of [0, 20, 45, 60].entries()) r.packet(i + 1, i * 160, at);
    expect(r.report(0).jitter).toBe(4);
    // Once 24 units late, then steady: in sixteenths 24, 22, 21, ... 15, for each step takes (jitter + 8) >> 4 away.
    const settling = new Reception(1, 8_000);
    for (let i = 0; i < 10; i++) settling.packet(i + 1, i * 160, i * 20 + (i === 0 ? 0 : 3));
    expect(settling.report(0).jitter).toBe(0);
    const alternating = new Reception(1, 90_000);
    for (let i = 0; i < 2_000; i++) alternating.packet(i + 1, i * 3_600, i * 40 + (i % 2) * 10);
    expect(Math.abs(alternating.report(0).jitter - 895)).toBeLessThanOrEqual(5);
  });

  it('is none with a constant delay, over wraps of the timestamp and with today’s clock', () => {
    const r = new Reception(1, 90_000);
    for (let i = 0; i < 50; i++) r.packet(i + 1, (0xffffff00 + i * 3_600) >>> 0, 1_753_000_000_000 + i * 40);
    expect(r.report(0).jitter).toBeLessThanOrEqual(1);
  });
});

it('LSR and DLSR are the figures of RFC 3550, figure 2', () => {
  const r = received([1]);
  expect(r.report(500)).toMatchObject({ lastSr: 0, delaySinceLastSr: 0 });
  r.senderReport(0xb44db705_20000000n, 1_000);
  expect(r.report(6_250)).toMatchObject({ lastSr: 0xb7052000, delaySinceLastSr: 0x00054000 });
});

describe('a channel’s reports', () => {
  it('name who was heard, 31 at most, the others next time', () => {
    const log = new ReceptionLog(90_000);
    for (let ssrc = 1; ssrc <= 40; ssrc++) log.packet(ssrc, 'index', 5, 0, ssrc);
    expect(log.report(100).map((b) => b.ssrc)).toEqual(Array.from({ length: MAX_REPORT_BLOCKS }, (_, i) => i + 1));
    expect(log.report(100)).toHaveLength(40 - MAX_REPORT_BLOCKS);
    expect(log.report(100)).toEqual([]);
  });

  it('forget the stream that was silent the longest when there are too many', () => {
    const log = new ReceptionLog(90_000);
    for (let ssrc = 1; ssrc <= MAX_REPORTED_STREAMS + 1; ssrc++) log.packet(ssrc, 'index', 5, 0, ssrc);
    for (let i = 0; i < 3; i++) log.report(100);
    log.packet(1, 'index', 9, 0, 200); // anew: nothing is known to be lost
    log.packet(3, 'index', 9, 0, 200);
    expect(log.report(300).map((b) => [b.ssrc, b.cumulativeLost])).toEqual([
      [3, 3],
      [1, 0],
    ]);
  });
});
