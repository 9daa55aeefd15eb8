import { describe, expect, it } from 'vitest';
import { REORDER_MAX_MISORDER_PACKETS, REORDER_MAX_PACKETS, REORDER_MAX_WAIT_MS } from '../../../src/base/limits.js';
import { ReorderBuffer } from '../../../src/endpoint/media/reorder.js';
import { seeded } from './random.js';

function drain(buffer: ReorderBuffer<number>): number[] {
  const out: number[] = [];
  for (let next = buffer.poll(); next !== undefined; next = buffer.poll()) out.push(next.item);
  return out;
}

function feed(buffer: ReorderBuffer<number>, sequences: readonly number[], now = 0): number[] {
  return sequences.flatMap((sequence) => {
    buffer.receive({ type: 'packet', sequence: sequence & 0xffff, item: sequence }, now);
    return drain(buffer);
  });
}

describe('reordering', () => {
  it('puts neighbours back in order over the wrap and drops duplicates', () => {
    const buffer = new ReorderBuffer<number>();
    expect(feed(buffer, [65_534, 65_536, 65_536, 65_535, 65_538, 65_537, 65_534])).toEqual([
      65_534, 65_535, 65_536, 65_537, 65_538,
    ]);
    expect(buffer.counters).toEqual({ duplicate: 1, late: 1, lost: 0, restarted: 0 });
    expect(buffer.deadline()).toBeUndefined();
  });

  it('waits for a missing packet until its deadline, and not a moment longer', () => {
    const buffer = new ReorderBuffer<number>();
    expect(feed(buffer, [1, 3, 4], 1000)).toEqual([1]);
    expect(buffer.deadline()).toBe(1000 + REORDER_MAX_WAIT_MS);
    buffer.receive({ type: 'tick' }, 1000 + REORDER_MAX_WAIT_MS - 1);
    expect(drain(buffer)).toEqual([]);
    buffer.receive({ type: 'tick' }, 1000 + REORDER_MAX_WAIT_MS);
    expect(drain(buffer)).toEqual([3, 4]);
    expect(feed(buffer, [2, 5], 1100)).toEqual([5]);
    expect(buffer.counters).toEqual({ duplicate: 0, late: 1, lost: 1, restarted: 0 });
  });

  it('holds at most its limit', () => {
    const buffer = new ReorderBuffer<number>({ maxWaitMs: 1e9 });
    const later = Array.from({ length: REORDER_MAX_PACKETS }, (_, i) => 12 + i);
    expect(feed(buffer, [10, ...later])).toEqual([10]);
    expect(feed(buffer, [12 + REORDER_MAX_PACKETS])).toEqual([...later, 12 + REORDER_MAX_PACKETS]);
    expect(buffer.counters.lost).toBe(1);
  });

  it('flush gives all that is held, in order', () => {
    const buffer = new ReorderBuffer<number>();
    expect(feed(buffer, [1, 9, 5, 3])).toEqual([1]);
    buffer.receive({ type: 'flush' }, 0);
    expect(drain(buffer)).toEqual([3, 5, 9]);
    expect(buffer.counters.lost).toBe(5);
  });

  it('one packet far behind changes nothing, two in a row are a sender that started anew', () => {
    const buffer = new ReorderBuffer<number>();
    expect(feed(buffer, [30_000, 30_001, 5_000, 30_002])).toEqual([30_000, 30_001, 30_002]);
    expect(feed(buffer, [5_000, 5_001, 5_002])).toEqual([5_001, 5_002]);
    expect(buffer.counters).toEqual({ duplicate: 0, late: 2, lost: 0, restarted: 1 });
  });

  it('replays of what was given a moment ago are late, however many in a row', () => {
    const buffer = new ReorderBuffer<number>();
    const run = Array.from({ length: REORDER_MAX_MISORDER_PACKETS + 1 }, (_, i) => 1000 + i);
    expect(feed(buffer, [...run, ...run.slice(1), 1000 + run.length])).toEqual([...run, 1000 + run.length]);
    expect(buffer.counters).toEqual({ duplicate: 0, late: run.length - 1, lost: 0, restarted: 0 });
  });

  it('numbers only rise, nothing comes twice and nothing within the window is lost, whatever the order', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = seeded(seed);
      const buffer = new ReorderBuffer<number>();
      const start = random.below(65_536);
      const order = Array.from({ length: 300 }, (_, i) => ({ sequence: start + i, at: i + random.below(20) }))
        .sort((a, b) => a.at - b.at)
        .filter((p) => p.sequence !== start);
      const out = [
        ...feed(buffer, [start]),
        ...feed(
          buffer,
          order.map((p) => p.sequence),
        ),
      ];
      expect(out).toEqual(Array.from({ length: 300 }, (_, i) => start + i));
    }
    const random = seeded(99);
    const buffer = new ReorderBuffer<number>();
    let last = -1;
    for (let i = 0; i < 20_000; i++) {
      const sequence = random.chance(0.01) ? random.below(65_536) : (i + random.below(80)) & 0xffff;
      buffer.receive({ type: 'packet', sequence, item: sequence }, i);
      for (let next = buffer.poll(); next !== undefined; next = buffer.poll()) {
        expect(next.extendedSequence).toBeGreaterThan(last);
        expect(next.extendedSequence & 0xffff).toBe(next.item);
        last = next.extendedSequence;
      }
    }
  });
});
