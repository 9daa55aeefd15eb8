import { describe, expect, it } from 'vitest';
import { fanout, fanoutRun, fanoutTable, measure, packetsFor, type Rig, usPerEgress } from '../../../bench/fanout.js';
import { type Count, FanoutRig, lossOf } from '../../../bench/fanout-rig.js';
import { benchAddon } from '../../../bench/native.js';
import { RECEIVER_PAYLOAD_TYPE, randomSet, SINK, SOURCE_POSITION } from '../../../bench/room.js';
import { SHAPES, Switcher, TrafficSource } from '../../../bench/traffic.js';
import type { Media } from '../../../src/base/ids.js';
import { parseRtpHeader } from '../../../src/wire/rtp.js';

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
};
const forever = new AbortController().signal;

/** Gives the counts in turn and remembers who was asked. */
class PlannedRig implements Rig {
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

  relayRound(): Promise<Count> {
    return this.#next('relay');
  }

  bareRound(): Promise<Count> {
    return this.#next('bare');
  }

  abort(): void {
    this.asked.push('abort');
  }

  close(): void {
    this.asked.push('close');
  }

  async #next(kind: string): Promise<Count> {
    this.asked.push(kind);
    return this.#counts.shift() ?? whole;
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
  it('takes medians, and efficiency is bare / relay', () => {
    const counts = (...us: number[]): Count[] => us.map((n) => ({ ...whole, cpuNs: n * 60_000, elapsedMs: 0 }));
    const of = { media: 'audio', receivers: 3 } as const;
    expect(fanoutRun(of, { relay: counts(2, 9, 1), bare: counts(1, 0.5, 4) }, 0.1234567, 2)).toEqual({
      suite: 1,
      media: 'audio',
      receivers: 3,
      usPerEgress: 2,
      bareUsPerEgress: 1,
      relayEfficiency: 0.5,
      usPerEgressRange: [1, 9],
      bareUsPerEgressRange: [0.5, 4],
      idleUsPerSecond: 0.1235,
      rounds: 3,
      egressPerRound: 60,
      lostRounds: 2,
    });
  });

  it('alternates, and who goes first alternates too', async () => {
    const rig = new PlannedRig([]);
    await measure(rig, { rounds: 3, packets: 60, signal: forever, progress: () => undefined });
    expect(rig.asked).toEqual(['relay', 'bare', 'bare', 'relay', 'relay', 'bare']);
  });

  it('names a round with loss, repeats it and never uses it', async () => {
    const lossy = { ...whole, egress: 57, cpuNs: 1_000_000 };
    const rig = new PlannedRig([whole, lossy, whole, whole]);
    const lines: string[] = [];
    const run = await measure(rig, { rounds: 2, packets: 60, signal: forever, progress: (line) => lines.push(line) });
    expect(rig.asked).toEqual(['relay', 'bare', 'bare', 'bare', 'relay']);
    expect(run).toMatchObject({ rounds: 2, lostRounds: 1, usPerEgressRange: [1, 1], bareUsPerEgress: 1.017 });
    expect(lines.filter((line) => line.includes('repeated'))).toEqual([
      'fanout: video, 3 receivers: a bare round is repeated: 57 of 60 copies sent',
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
    rig.relayRound = async () => {
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
      expect(r.bareUsPerEgress).toBeGreaterThan(0);
    }
    expect(fanoutTable(runs).split('\n')[2]).toContain('audio');
  });

  it('counts the same for relay and replicator, round after round', async () => {
    const rig = await FanoutRig.open('audio', 4);
    try {
      for (const count of [await rig.relayRound(9), await rig.bareRound(9), await rig.relayRound(9)]) {
        expect(count).toMatchObject({ packets: 9, sent: 9, ingress: 9, egress: 36, arrived: 36, drops: 0 });
        expect(count.cpuNs).toBeGreaterThan(0);
      }
    } finally {
      rig.close();
    }
  });
});

describe('the ground', () => {
  it('does not call a load complete that nobody forwards', async () => {
    const ground = benchAddon().createGround(2);
    try {
      // A sink takes it, but it is not the last one: one of the two sinks has the packet, the other never gets it.
      const first = benchAddon().groundPorts(ground).sinks[0]!;
      const sent = await benchAddon().send(ground, first, new Uint8Array(200), 100, 1, 20);
      expect(sent).toEqual({ sent: 1, arrived: 1, complete: false });
    } finally {
      benchAddon().closeGround(ground);
    }
  });

  it('ends a load early on request', async () => {
    const ground = benchAddon().createGround(1);
    try {
      const first = benchAddon().groundPorts(ground).source;
      const sending = benchAddon().send(ground, first, new Uint8Array(100), 100, 1, 3_600_000);
      benchAddon().abort(ground);
      expect(await sending).toMatchObject({ arrived: 0, complete: false });
    } finally {
      benchAddon().closeGround(ground);
    }
  });

  it('refuses a closed handle, one of another kind, and packets that do not fit', () => {
    const ground = benchAddon().createGround(1);
    const replicator = benchAddon().startReplicator(ground);
    expect(() => benchAddon().arrivals(replicator as never)).toThrow('handle');
    expect(() => benchAddon().send(ground, 9, new Uint8Array(10), 3, 1, 1)).toThrow('fit');
    benchAddon().closeReplicator(replicator);
    benchAddon().closeGround(ground);
    expect(() => benchAddon().arrivals(ground)).toThrow('handle');
    expect(() => benchAddon().createGround(0)).toThrow('receivers');
  });
});

describe('the traffic', () => {
  it.each(['audio', 'video'] as const)('of %s has one length, and is what the core makes of it', (media) => {
    const { bytes } = SHAPES[media];
    const set = randomSet();
    const source = new TrafficSource(media, bytes, set);
    const switcher = new Switcher(media, bytes, set);
    const packets = source.packets(12);
    const copies = switcher.switch(packets);
    expect(packets.length).toBe(12 * bytes);
    expect(copies.length).toBe(12 * (bytes - 1));
    const sequences = new Set<number>();
    for (let i = 0; i < 12; i++) {
      const copy = parseRtpHeader(copies.subarray(i * (bytes - 1), (i + 1) * (bytes - 1)));
      if (!copy.ok) throw new Error(copy.reason);
      sequences.add(copy.value.sequence);
      expect(copy.value.payloadType).toBe(RECEIVER_PAYLOAD_TYPE);
      expect(copy.value.csrcs).toEqual([(SOURCE_POSITION << 4) | SINK]);
    }
    expect(sequences.size).toBe(12);
    expect(() => switcher.switch(packets)).toThrow('replayed');
    switcher.close();
    source.wipe();
  });
});
