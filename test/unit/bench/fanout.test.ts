import { describe, expect, it } from 'vitest';
import { fanout, fanoutRun, fanoutTable, measure, packetsFor, type Rig, usPerEgress } from '../../../bench/fanout.js';
import { CONTENDERS, type Contender, FanoutRig } from '../../../bench/fanout-rig.js';
import { type Count, lossOf } from '../../../bench/rounds.js';
import type { Media } from '../../../src/base/ids.js';

const whole: Count = {
  packets: 20,
  receivers: 3,
  sent: 20,
  ingress: 20,
  egress: 60,
  arrived: 60,
  drops: 0,
  cpuNs: 61_000,
  elapsedMs: 10,
  calls: 6,
};
const forever = new AbortController().signal;

/** Gives the counts in turn and remembers who was asked. */
class PlannedRig implements Rig {
  readonly suite = 1;
  readonly media: Media = 'video';
  readonly receivers = 3;
  readonly asked: string[] = [];
  readonly #counts: Count[];

  constructor(counts: readonly Count[]) {
    this.#counts = [...counts];
  }

  async idleNsPerMs(): Promise<number> {
    return 100;
  }

  async round(contender: Contender): Promise<Count> {
    this.asked.push(contender);
    return this.#counts.shift() ?? whole;
  }

  abort(): void {
    this.asked.push('abort');
  }

  close(): void {
    this.asked.push('close');
  }
}

describe('a round of fanout', () => {
  it('is whole when all numbers fit', () => {
    expect(lossOf(whole)).toBeUndefined();
  });

  it.each([
    ['sent', 19, '19 of 20 packets sent'],
    ['ingress', 19, '19 of 20 packets received'],
    ['ingress', 21, '21 of 20 packets received'],
    ['drops', 1, '1 packets refused'],
    ['egress', 57, '57 of 60 copies sent'],
    ['arrived', 59, '59 of 60 copies arrived'],
    ['arrived', 61, '61 of 60 copies arrived'],
  ] as const)('is not when %s is %i', (field, value, reason) => {
    expect(lossOf({ ...whole, [field]: value })).toBe(reason);
  });

  it('has whole bursts, and as many copies as were asked for', () => {
    expect(packetsFor(100_000, 50, 10)).toBe(2000);
    expect(packetsFor(1, 50, 10)).toBe(10);
    expect(packetsFor(101, 10, 1)).toBe(11);
  });

  it('costs its CPU time without the idle time, divided by the copies', () => {
    expect(usPerEgress(whole, 100)).toBeCloseTo(1, 12);
    expect(usPerEgress(whole, 0)).toBeCloseTo(61 / 60, 12);
  });
});

describe('fanout', () => {
  const counts = (...us: number[]): Count[] => us.map((n) => ({ ...whole, cpuNs: n * 60_000, elapsedMs: 0 }));
  const rounds = {
    relay: counts(2, 9, 1),
    send: counts(1, 0.5, 4),
    sendmmsg: counts(3, 3, 3),
    segment: counts(0.2, 0.4, 0.4),
    copies: counts(8, 6, 20),
  };

  it('takes medians; efficiency is bare / relay and versus is copies / relay', () => {
    const of = { suite: 1, media: 'audio', receivers: 3 } as const;
    expect(fanoutRun(of, rounds, 0.1234567, 2)).toEqual({
      suite: 1,
      media: 'audio',
      receivers: 3,
      usPerEgress: 2,
      bareUsPerEgress: 1,
      copiesUsPerEgress: 8,
      relayEfficiency: 0.5,
      versusCopies: 4,
      sendUsPerEgress: 1,
      sendmmsgUsPerEgress: 3,
      segmentUsPerEgress: 0.4,
      rtpengineUsPerEgress: null,
      segmentCopiesPerCall: 10,
      usPerEgressRange: [1, 9],
      bareUsPerEgressRange: [0.5, 4],
      copiesUsPerEgressRange: [6, 20],
      idleUsPerSecond: 0.1235,
      rounds: 3,
      egressPerRound: 60,
      lostRounds: 2,
    });
  });

  it('measures video by the replicator with UDP_SEGMENT', () => {
    const run = fanoutRun({ suite: 1, media: 'video', receivers: 3 }, rounds, 0, 0);
    expect(run).toMatchObject({ bareUsPerEgress: 0.4, bareUsPerEgressRange: [0.2, 0.4], relayEfficiency: 0.2 });
  });

  it('alternates, and who goes first moves on', async () => {
    const rig = new PlannedRig([]);
    await measure(rig, { rounds: 2, packets: 60, signal: forever, progress: () => undefined });
    const [first, ...rest] = CONTENDERS;
    expect(rig.asked).toEqual([first, ...rest, ...rest, first]);
  });

  it('asks a program of others in every round, where there is one, and takes its idle time off', async () => {
    const asked: number[] = [];
    const outside = {
      idleNsPerMs: async () => 1_000,
      round: async (packets: number) => {
        asked.push(packets);
        return { ...whole, cpuNs: 130_000 };
      },
    };
    const rig = Object.assign(new PlannedRig([]), { outside });
    const run = await measure(rig, { rounds: 2, packets: 60, signal: forever, progress: () => undefined });
    expect(asked).toEqual([20, 20]);
    expect(run).toMatchObject({ rtpengineUsPerEgress: 2, sendUsPerEgress: 1.017 });
  });

  it('names a round with loss, repeats it and never uses it', async () => {
    const lossy = { ...whole, egress: 57, cpuNs: 1_000_000 };
    const rig = new PlannedRig([whole, lossy, whole]);
    const lines: string[] = [];
    const run = await measure(rig, { rounds: 2, packets: 60, signal: forever, progress: (line) => lines.push(line) });
    expect(rig.asked.slice(0, 4)).toEqual(['relay', 'send', 'send', 'sendmmsg']);
    expect(run).toMatchObject({ rounds: 2, lostRounds: 1, usPerEgressRange: [1, 1], sendUsPerEgress: 1.017 });
    expect(lines.filter((line) => line.includes('repeated'))).toEqual([
      'fanout: suite 1, video, 3 receivers: a round of send is repeated: 57 of 60 copies sent',
    ]);
  });

  it('gives up when rounds are lost again and again', async () => {
    const rig = new PlannedRig(Array.from({ length: 10 }, () => ({ ...whole, arrived: 0 })));
    const options = { rounds: 2, packets: 60, signal: forever, progress: () => undefined };
    await expect(measure(rig, options)).rejects.toThrow('3 rounds lost packets; the last: 0 of 60 copies arrived');
    expect(rig.asked).toHaveLength(3);
  });

  it('ends a round that is under way when it is interrupted', async () => {
    const interrupt = new AbortController();
    const rig = new PlannedRig([]);
    rig.round = async () => {
      interrupt.abort();
      return { ...whole, sent: 1 };
    };
    const options = { rounds: 5, packets: 60, signal: interrupt.signal, progress: () => undefined };
    await expect(measure(rig, options)).rejects.toThrow();
    expect(rig.asked).toEqual(['abort']);
  });

  it('runs on real sockets: every packet and copy accounted for', async () => {
    const runs = await fanout({
      rounds: 5,
      packets: 100,
      suites: [1],
      media: ['video', 'audio'],
      receivers: [3],
      signal: forever,
      progress: () => undefined,
    });
    expect(runs.map((r) => [r.suite, r.media, r.receivers, r.rounds, r.egressPerRound])).toEqual([
      [1, 'video', 3, 5, 120],
      [1, 'audio', 3, 5, 102],
    ]);
    for (const r of runs) {
      expect(r.relayEfficiency).toBeCloseTo(r.bareUsPerEgress / r.usPerEgress, 2);
      expect(r.versusCopies).toBeCloseTo(r.copiesUsPerEgress / r.usPerEgress, 1);
      expect(r.bareUsPerEgress).toBeGreaterThan(0);
    }
    expect(fanoutTable(runs).split('\n')[2]).toContain('audio');
  });

  it('counts the same for the relay and everybody beside it, round after round', async () => {
    const rig = await FanoutRig.open(1, 'video', 4);
    try {
      for (const contender of [...CONTENDERS, ...CONTENDERS]) {
        const count = await rig.round(contender, 20);
        expect(count).toMatchObject({ packets: 20, sent: 20, ingress: 20, egress: 80, arrived: 80, drops: 0 });
        expect(count.cpuNs).toBeGreaterThan(0);
        if (contender === 'send' || contender === 'copies') expect(count.calls).toBe(80);
        if (contender === 'segment' || contender === 'sendmmsg') expect(count.calls).toBeLessThanOrEqual(80);
      }
    } finally {
      rig.close();
    }
  });
});
