import { describe, expect, it } from 'vitest';
import {
  arrivalRate,
  capacity,
  capacityTable,
  keepsPace,
  measureCapacity,
  passes,
  type Rig,
  search,
} from '../../../bench/capacity.js';
import { CapacityRig, type Step } from '../../../bench/capacity-rig.js';
import {
  latency,
  latencyRun,
  latencyTable,
  measureLatency,
  percentilesOf,
  type Trouble,
} from '../../../bench/latency.js';
import type { Media } from '../../../src/base/ids.js';

const forever = new AbortController().signal;
const progress = (): void => undefined;

/** A relay that sends up to `limit` copies a second and loses the rest. */
function stepOf(rate: number, limit: number, o: Partial<Step> = {}): Step {
  const receivers = 10;
  const offered = 1_000;
  const arrived = Math.min(offered * receivers, Math.floor((limit / rate / receivers) * offered * receivers));
  const drainedNs = (offered / rate) * 1e9;
  return { rate, offered, receivers, arrived, drainedNs, sourceLate: false, latenciesUs: new Float64Array(0), ...o };
}

class PlannedRig implements Rig {
  readonly suite = 1;
  readonly media: Media = 'audio';
  readonly receivers = 10;
  readonly asked: string[] = [];
  readonly #limits: Readonly<Record<'relay' | 'bare', number>>;

  constructor(relay: number, bare: number) {
    this.#limits = { relay, bare };
  }

  async step(side: 'relay' | 'bare', rate: number, ms: number): Promise<Step> {
    this.asked.push(`${side} ${ms}`);
    return stepOf(rate, this.#limits[side], { latenciesUs: Float64Array.of(rate, rate + 1, rate + 2) });
  }

  abort(): void {
    this.asked.push('abort');
  }

  close(): void {}
}

describe('a step of capacity', () => {
  const good = stepOf(100, 1e6);

  it('passes with less than a thousandth lost, and never with more than were sent', () => {
    expect(passes(good)).toBe(true);
    expect(passes({ ...good, arrived: 9_991 })).toBe(true);
    expect(passes({ ...good, arrived: 9_990 })).toBe(false);
    expect(passes({ ...good, arrived: 10_001 })).toBe(false);
  });

  it('is as fast as its copies came, not as its packets went', () => {
    expect(arrivalRate(good)).toBeCloseTo(1_000, 6);
    const slow = { ...good, drainedNs: good.drainedNs * 2 };
    expect(arrivalRate(slow)).toBeCloseTo(500, 6);
    expect([passes(slow), keepsPace(slow), keepsPace(good)]).toEqual([true, false, true]);
    expect(arrivalRate({ ...good, drainedNs: 0 })).toBe(0);
  });
});

describe('capacity', () => {
  it('is found by bisection', async () => {
    const best = await search([100, 10_000], 12, async (rate) => stepOf(rate, 30_000));
    expect(best).toBeGreaterThan(29_900);
    expect(best).toBeLessThanOrEqual(30_030);
  });

  it('is 0 when no step passes', async () => {
    expect(await search([100, 1_000], 3, async (rate) => stepOf(rate, 0))).toBe(0);
  });

  it('is searched in turns, and its medians make the ratio', async () => {
    const rig = new PlannedRig(100_000, 200_000);
    const run = await measureCapacity(rig, { rounds: 5, ms: 20, signal: forever, progress });
    expect(run.kppsEgress).toBeGreaterThan(90);
    expect(run.kppsEgress).toBeLessThanOrEqual(100.1);
    expect(run.bareKppsEgress).toBeGreaterThan(180);
    expect(run.relativeCapacity).toBeCloseTo(run.kppsEgress / run.bareKppsEgress, 2);
    expect(run).toMatchObject({ suite: 1, media: 'audio', receivers: 10, rounds: 5, stepMs: 20, sourceLimited: 0 });
    expect(rig.asked.filter((a, i) => a !== rig.asked[i - 1])).toEqual(
      ['relay', 'bare', 'relay', 'bare', 'relay', 'bare'].map((side) => `${side} 20`),
    );
  });

  it('runs on real sockets, and a new source may send what another has sent', async () => {
    const rig = await CapacityRig.open(1, 'audio', 3, { loadPackets: 20, silenceMs: 5_000 });
    try {
      for (const side of ['relay', 'relay', 'bare', 'relay'] as const) {
        const step = await rig.step(side, 1_000, 20);
        expect(step).toMatchObject({ rate: 1_000, offered: 20, receivers: 3, arrived: 60 });
      }
    } finally {
      rig.close();
    }
  });

  it('ends when it is interrupted', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    const options = { rounds: 5, ms: 20, suites: [1], media: ['audio'] as const, receivers: [2], progress };
    await expect(capacity({ ...options, signal: interrupt.signal })).rejects.toThrow();
    await expect(latency({ ...options, signal: interrupt.signal })).rejects.toThrow();
  });

  it('has a table', async () => {
    const run = await measureCapacity(new PlannedRig(1e5, 1e5), { rounds: 5, ms: 20, signal: forever, progress });
    expect(capacityTable([run]).split('\n')[1]).toContain('audio');
  });
});

describe('latency', () => {
  class PlannedTrouble implements Trouble {
    running = false;
    starts = 0;
    start(): void {
      this.running = true;
      this.starts++;
    }
    stop(): void {
      this.running = false;
    }
    soFar() {
      return {
        handshakes: 50 * this.starts,
        failedHandshakes: 0,
        collections: 5 * this.starts,
        seconds: this.starts / 2,
      };
    }
  }

  it('ranks without changing what it is given', () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => 1000 - i);
    expect(percentilesOf(values)).toEqual({ p50: 500, p99: 990, p999: 999 });
    expect(values[0]).toBe(1000);
  });

  it('takes medians of rounds, and counts what never came', () => {
    const of = { load: 50, disturbed: true, suite: 1, media: 'audio', receivers: 10 } as const;
    const rounds = [10, 30, 20].map((us) => stepOf(100, 1e9, { latenciesUs: new Float64Array(999).fill(us) }));
    expect(latencyRun(of, rounds, 2_000, { handshakes: 30, collections: 3, seconds: 0.5 })).toEqual({
      ...of,
      p50Us: 20,
      p99Us: 20,
      p999Us: 20,
      kppsCapacity: 2,
      kppsEgress: 1,
      p99UsRange: [10, 30],
      packetsPerRound: 1_000,
      lostPackets: 3,
      handshakesPerSecond: 60,
      collectionsPerSecond: 6,
    });
  });

  it('offers 10, 50 and 80 per cent, quiet and disturbed, with trouble only while it is disturbed', async () => {
    const rig = new PlannedRig(1e6, 0);
    const trouble = new PlannedTrouble();
    const seen: boolean[] = [];
    const step = rig.step.bind(rig);
    rig.step = (side, rate, ms) => {
      seen.push(trouble.running);
      return step(side, rate, ms);
    };
    const runs = await measureLatency(rig, 100_000, trouble, { rounds: 2, ms: 30, signal: forever });
    expect(runs.map((r) => [r.load, r.disturbed, r.kppsEgress, r.handshakesPerSecond])).toEqual([
      [10, false, 10, 0],
      [10, true, 10, 100],
      [50, false, 50, 0],
      [50, true, 50, 100],
      [80, false, 80, 0],
      [80, true, 80, 100],
    ]);
    const once = [false, true, false, true, false, true];
    expect(seen).toEqual([...once, ...once.reverse()]);
    expect(trouble.running).toBe(false);
    expect(latencyTable(runs).split('\n')[1]).toContain('10 %');
  });

  it('times every packet on real sockets', async () => {
    const rig = await CapacityRig.open(1, 'video', 3, { timed: true, loadPackets: 20, silenceMs: 5_000 });
    try {
      const step = await rig.step('relay', 2_000, 20);
      expect(step.offered).toBe(40);
      expect(step.latenciesUs).toHaveLength(40);
    } finally {
      rig.close();
    }
  });
});
