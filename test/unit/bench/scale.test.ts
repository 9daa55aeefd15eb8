import { beforeAll, describe, expect, it } from 'vitest';
import { Disturbance } from '../../../bench/disturbance.js';
import { benchAddon } from '../../../bench/native.js';
import { randomSet } from '../../../bench/room.js';
import { type CostRun, memoryRun, plan, scale, scaleTable, threadsRuns } from '../../../bench/scale.js';
import { Stage } from '../../../bench/stage.js';
import { Traffic } from '../../../bench/traffic.js';
import { ensureBuilt } from '../dtls/built.js';

const forever = new AbortController().signal;

describe('scale', () => {
  it('gives every conference its turn as often, in bursts that make about as many copies', () => {
    expect(plan(1_000, 3, 20_000)).toEqual({ packets: 10_000, burst: 32 });
    expect(plan(1, 1_000, 20_000)).toEqual({ packets: 21, burst: 1 });
    expect(plan(10, 3, 1)).toEqual({ packets: 10, burst: 32 });
  });

  it('takes the speed-up from medians', () => {
    const speeds = (busiestUsPerEgress: number, ...k: number[]) =>
      k.map((n) => ({ perSecond: n * 1_000, cpuUsPerEgress: 2, busiestUsPerEgress }));
    const runs = threadsRuns(1, [1, 999], { 1: speeds(2, 100, 90, 400), 2: speeds(1.25, 190, 10, 200) });
    expect(runs.map((r) => [r.threads, r.kppsEgress, r.speedUp, r.kppsEgressRange, r.cpuUsPerEgress])).toEqual([
      [1, 100, 1, [90, 400], 2],
      [2, 190, 1.9, [10, 200], 2],
    ]);
    expect(runs.map((r) => [r.conferences, r.receivers, r.busiestUsPerEgress, r.speedUpByCpu])).toEqual([
      [1, 999, 2, 1],
      [1, 999, 1.25, 1.6],
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
      threadShapes: [
        [4, 5],
        [1, 150],
      ],
      signal: forever,
      progress: () => undefined,
    });
    expect(runs.map((r) => r.kind)).toEqual(['cost', 'cost', 'memory', 'threads', 'threads', 'threads', 'threads']);
    expect(runs.slice(0, 2)).toMatchObject([
      { conferences: 1, members: 3, channels: 3 },
      { conferences: 4, members: 3, channels: 12 },
    ]);
    expect(runs.slice(3)).toMatchObject([
      { threads: 1, speedUp: 1, speedUpByCpu: 1 },
      { threads: 2, conferences: 4, receivers: 5 },
      { threads: 1, speedUp: 1, speedUpByCpu: 1 },
      { threads: 2, conferences: 1, receivers: 150 },
    ]);
    expect(scaleTable(runs)).toContain('speed-up');
  });
});

describe('many and large', () => {
  it.each([
    { rooms: 1_000, receivers: 2, spread: false },
    { rooms: 1, receivers: 999, spread: true },
  ])(
    'conferences of $receivers receivers, $rooms of them: every copy of every packet arrives, on two threads',
    async ({ rooms, receivers, spread }) => {
      const set = randomSet(1);
      const traffic = new Traffic('audio', set, 1);
      const stage = await Stage.open({ media: 'audio', set, rooms, sources: 1, receivers, threads: 2 });
      try {
        const each = 2;
        const load = benchAddon().createLoad(traffic.streams(each), traffic.bytes);
        const { sent, complete } = await stage.send(load, rooms * each, 1, 1);
        benchAddon().closeLoad(load);
        expect([sent, complete]).toEqual([rooms * each, true]);
        await expect.poll(() => stage.counters().egress, { timeout: 20_000 }).toBe(sent * receivers);
        const { verified, variants, handedOver } = stage.counters();
        expect([stage.drops(), verified, variants]).toEqual([0, sent, sent]);
        expect(handedOver > 0).toBe(spread);
        // Members are placed by load: how many go where depends on it, but neither thread has them all.
        if (spread) expect(handedOver).toBeLessThan(sent * (receivers - 50));
        expect(stage.cpuNsByThread().every((ns) => ns > 0)).toBe(true);
      } finally {
        stage.close();
        traffic.wipe();
      }
    },
  );
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
