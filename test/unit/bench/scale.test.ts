import { beforeAll, describe, expect, it } from 'vitest';
import { Disturbance } from '../../../bench/disturbance.js';
import { type CostRun, memoryRun, plan, scale, scaleTable, threadsRuns } from '../../../bench/scale.js';
import { ensureBuilt } from '../dtls/built.js';

const forever = new AbortController().signal;

describe('scale', () => {
  it('gives every conference its turn as often, in bursts that make about as many copies', () => {
    expect(plan(1_000, 3, 20_000)).toEqual({ packets: 10_000, burst: 32 });
    expect(plan(1, 1_000, 20_000)).toEqual({ packets: 21, burst: 1 });
    expect(plan(10, 3, 1)).toEqual({ packets: 10, burst: 32 });
  });

  it('takes the speed-up from medians', () => {
    const speeds = (...k: number[]) => k.map((n) => ({ perSecond: n * 1_000, cpuUsPerEgress: 2 }));
    const runs = threadsRuns(1, { 1: speeds(100, 90, 400), 2: speeds(190, 10, 200) });
    expect(runs.map((r) => [r.threads, r.kppsEgress, r.speedUp, r.kppsEgressRange, r.cpuUsPerEgress])).toEqual([
      [1, 100, 1, [90, 400], 2],
      [2, 190, 1.9, [10, 200], 2],
    ]);
  });

  it('takes the memory of a channel and of a conference without what is fixed', () => {
    const cost = (conferences: number, members: number, heapBytes: number): CostRun => ({
      kind: 'cost',
      suite: 1,
      conferences,
      members,
      channels: conferences * members,
      usPerEgress: 1,
      usPerEgressRange: [1, 1],
      heapBytes,
      residentBytes: 0,
      lostRounds: 0,
    });
    const runs = [
      cost(1, 3, 9_000),
      cost(10, 3, 900_000),
      cost(100, 3, 990_000),
      cost(1, 10, 50_000),
      cost(1, 30, 70_000),
    ];
    expect(memoryRun(1, runs)).toMatchObject({
      kind: 'memory',
      suite: 1,
      bytesPerChannel: 1_000,
      bytesPerConference: 1_000,
    });
    const { storeBytesPerStream, storeBytesPerPacket } = memoryRun(1, runs);
    expect(storeBytesPerStream).toBeGreaterThan(1_024);
    expect(storeBytesPerPacket).toBeGreaterThanOrEqual(1_500);
    expect(memoryRun(1, [cost(1, 3, 5)])).toMatchObject({ bytesPerChannel: 0, bytesPerConference: 0 });
  });

  it('runs on real sockets: every packet and copy accounted for, with one thread and two', async () => {
    const runs = await scale({
      rounds: 5,
      packets: 60,
      ms: 20,
      suites: [1],
      shapes: [
        [1, 3],
        [4, 3],
      ],
      signal: forever,
      progress: () => undefined,
    });
    expect(runs.map((r) => r.kind)).toEqual(['cost', 'cost', 'memory', 'threads', 'threads']);
    expect(runs.slice(0, 2)).toMatchObject([
      { conferences: 1, members: 3, channels: 3 },
      { conferences: 4, members: 3, channels: 12 },
    ]);
    expect(runs.slice(3)).toMatchObject([
      { threads: 1, speedUp: 1 },
      { threads: 2, conferences: 4, receivers: 50 },
    ]);
    expect(scaleTable(runs)).toContain('speed-up');
  });
});

describe('the disturbance', () => {
  beforeAll(ensureBuilt);

  it('completes handshakes and collects garbage, and stops', async () => {
    const trouble = await Disturbance.make();
    try {
      trouble.start();
      await expect
        .poll(() => trouble.soFar().handshakes > 2 && trouble.soFar().collections > 1, { timeout: 10_000 })
        .toBe(true);
      trouble.stop();
      const { collections, failedHandshakes, seconds } = trouble.soFar();
      expect(failedHandshakes).toBe(0);
      expect(seconds).toBeGreaterThan(0);
      expect(trouble.soFar().collections).toBe(collections);
    } finally {
      await trouble.close();
    }
  });
});
