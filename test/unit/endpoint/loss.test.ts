import { describe, expect, it } from 'vitest';
import {
  LOSS_GIVE_UP_MS,
  LOSS_MAX_MISSING_PER_STREAM,
  LOSS_MAX_NACKS,
  LOSS_NACK_INTERVAL_MS,
  LOSS_REORDER_MS,
  LOSS_SWITCH_REORDER_MS,
  MAX_REPORTED_STREAMS,
} from '../../../src/base/limits.js';
import { LossDetector, type LossOutput, nackEntries } from '../../../src/endpoint/loss.js';

const T0 = 1_700_000_000_000;
const A = 0xa1;
const B = 0xb1;

/** The machine under a clock of its own. */
class Solo {
  readonly machine = new LossDetector();
  now = T0;
  readonly log: { at: number; out: LossOutput }[] = [];

  packets(ssrc: number, indices: readonly number[], sink = 1): this {
    for (const index of indices) this.machine.receive({ type: 'packet', ssrc, index, sink }, this.now);
    this.#take();
    return this;
  }

  /** Wakes the machine when it wants to be woken, up to and including `ms` from now. */
  advance(ms: number): this {
    const end = this.now + ms;
    for (let at = this.machine.deadline(); at !== undefined && at <= end; at = this.machine.deadline()) {
      if (at < this.now) throw new Error('a deadline in the past');
      this.now = at;
      this.machine.receive({ type: 'tick' }, at);
      this.#take();
      if (this.log.length > 1_000) throw new Error('the machine never rests');
    }
    this.now = end;
    return this;
  }

  /** Since the last call, times from T0; NACKs as the sequence numbers that they ask for. */
  told(): [number, string, number, ...number[]][] {
    return this.log
      .splice(0)
      .map(({ at, out }) =>
        out.type === 'nack' ? [at, 'nack', out.ssrc, ...asked(out)] : [at, 'lost', out.ssrc, out.sink],
      );
  }

  #take(): void {
    for (let out = this.machine.poll(); out !== undefined; out = this.machine.poll())
      this.log.push({ at: this.now - T0, out });
  }
}

function asked({ lost }: Extract<LossOutput, { type: 'nack' }>): number[] {
  return lost.flatMap(({ pid, blp }) => [
    pid,
    ...Array.from({ length: 16 }, (_, i) => i).flatMap((i) => (((blp >> i) & 1) === 1 ? [(pid + 1 + i) & 0xffff] : [])),
  ]);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a gap', () => {
  it('is asked for after three later packets, or after 20 ms', () => {
    const solo = new Solo().packets(A, [1, 2, 4, 5]);
    expect(solo.told()).toEqual([]);
    expect(solo.packets(A, [6]).told()).toEqual([[0, 'nack', A, 3]]);
    const slow = new Solo().packets(A, [1, 2, 4]).advance(LOSS_REORDER_MS - 1);
    expect(slow.told()).toEqual([]);
    expect(slow.advance(1).told()).toEqual([[LOSS_REORDER_MS, 'nack', A, 3]]);
  });

  it('that closes in time is none: packets that only overtook one another are never asked for', () => {
    const solo = new Solo().packets(A, [1, 4, 2, 3, 7, 6, 5]).advance(2 * LOSS_GIVE_UP_MS);
    expect(solo.told()).toEqual([]);
    expect(solo.machine.deadline()).toBeUndefined();
  });

  it('is asked for so often and no more, then the picture is lost', () => {
    const solo = new Solo().packets(A, [1, 3]);
    // The stream goes on, or there would be no picture to repair.
    for (let index = 4; index <= 70; index++) solo.advance(10).packets(A, [index]);
    const told = solo.told();
    const nacks = Array.from({ length: LOSS_MAX_NACKS }, (_, i) => [20 + i * LOSS_NACK_INTERVAL_MS, 'nack', A, 2]);
    expect(told).toEqual([...nacks, [LOSS_GIVE_UP_MS, 'lost', A, 1]]);
    expect(solo.machine.deadline()).toBeUndefined();
  });

  it('is forgotten as soon as the packet comes, retransmitted or late', () => {
    const solo = new Solo().packets(A, [1, 3, 4, 5]);
    expect(solo.told()).toHaveLength(1);
    solo.advance(30).packets(A, [2]).advance(LOSS_GIVE_UP_MS);
    expect(solo.told()).toEqual([]);
  });

  it('across a wrap is asked for under the sequence numbers of the wire', () => {
    const solo = new Solo().packets(A, [0x1fffc, 0x20003, 0x20004, 0x20005]);
    expect(solo.told()).toEqual([[0, 'nack', A, 0xfffd, 0xfffe, 0xffff, 0, 1, 2]]);
  });

  it('that is too wide to be asked for is a lost picture at once, at most one in 500 ms', () => {
    const solo = new Solo().packets(A, [1, 2 + LOSS_MAX_MISSING_PER_STREAM]).advance(LOSS_REORDER_MS);
    expect(asked(solo.log[0]!.out as Extract<LossOutput, { type: 'nack' }>)).toEqual(
      range(2, 1 + LOSS_MAX_MISSING_PER_STREAM),
    );
    const wide = new Solo().packets(A, [1, 3 + LOSS_MAX_MISSING_PER_STREAM]);
    expect(wide.told()).toEqual([[0, 'lost', A, 1]]);
    wide.advance(499).packets(A, [1_000]);
    expect(wide.told()).toEqual([]);
    wide.advance(1).packets(A, [2_000]);
    expect(wide.told()).toEqual([[500, 'lost', A, 1]]);
    expect(wide.machine.deadline()).toBeUndefined();
  });

  it('after a silence in which the switch has forgotten the packets is a lost picture, not a request', () => {
    const solo = new Solo().packets(A, [1, 2]).advance(LOSS_GIVE_UP_MS).packets(A, [9]).advance(1_000);
    expect(solo.told()).toEqual([[LOSS_GIVE_UP_MS, 'lost', A, 1]]);
  });

  it('at the end of a stream is given up silently', () => {
    const solo = new Solo().packets(A, [1, 3]).advance(10_000);
    const told = solo.told();
    expect(told).toHaveLength(LOSS_MAX_NACKS);
    expect(told.every(([, what]) => what === 'nack')).toBe(true);
  });
});

describe('a stream that was never meant for us in the meantime', () => {
  it('is not asked for once another is at its display, and begins afresh when it comes back', () => {
    const solo = new Solo().packets(A, [1, 2, 4]).packets(B, [700, 701]).advance(100).packets(B, [702]).advance(900);
    expect(solo.told()).toEqual([]);
    solo.packets(A, [40, 41, 42, 43]).advance(100);
    expect(solo.told()).toEqual([]);
    // And what is lost from then on counts.
    expect(solo.packets(A, [45, 46, 47]).told()).toEqual([[1_100, 'nack', A, 44]]);
  });

  it('does not lose its losses when packets of both overtake one another at the switch-over', () => {
    const solo = new Solo().packets(A, [1, 2]).packets(B, [700]).packets(A, [3]).advance(LOSS_SWITCH_REORDER_MS);
    solo.packets(B, [702, 703, 704]);
    expect(solo.told()).toEqual([[LOSS_SWITCH_REORDER_MS, 'nack', B, 701]]);
    // A packet from before the switch-over that comes late changes nothing.
    const later = LOSS_SWITCH_REORDER_MS + 1;
    solo.packets(B, [701]).packets(A, [1]).advance(later).packets(B, [706, 707, 708]);
    expect(solo.told()).toEqual([[LOSS_SWITCH_REORDER_MS + later, 'nack', B, 705]]);
  });

  it('begins afresh at another display', () => {
    const solo = new Solo().packets(A, [1, 2], 1).packets(A, [9, 10, 11, 12], 2).advance(100);
    expect(solo.told()).toEqual([]);
    expect(solo.packets(A, [14, 15, 16], 2).told()).toEqual([[100, 'nack', A, 13]]);
  });

  it('does not touch its neighbours: three displays, one of them changes over', () => {
    const solo = new Solo().packets(A, [1], 1).packets(B, [1], 2).packets(0xc1, [1], 3);
    solo.packets(0xd1, [50], 2).packets(A, [3, 4, 5], 1).packets(0xc1, [3, 4, 5], 3);
    expect(solo.told()).toEqual([
      [0, 'nack', A, 2],
      [0, 'nack', 0xc1, 2],
    ]);
  });
});

describe('the memory', () => {
  it('holds so many streams; the one that was silent the longest gives way', () => {
    const solo = new Solo();
    for (let i = 0; i <= MAX_REPORTED_STREAMS; i++) solo.advance(1).packets(1 + i, [10], 1 + (i % 15));
    // Stream 1 is forgotten: what it left out is not known any more. Stream 2 is there.
    const last = 1 + MAX_REPORTED_STREAMS;
    expect(solo.machine.streams).toBe(MAX_REPORTED_STREAMS);
    solo.packets(last, [12, 13, 14], 1 + (MAX_REPORTED_STREAMS % 15)).packets(1, [12, 13, 14], 15);
    expect(solo.told().map(([, what, ssrc]) => [what, ssrc])).toEqual([['nack', last]]);
  });

  it('starts anew with a sender that begins anew', () => {
    const solo = new Solo().packets(A, [50_000, 50_002]).packets(A, [7, 8, 9, 10]).advance(1_000);
    expect(solo.told()).toEqual([]);
    expect(solo.packets(A, [12, 13, 14]).told()).toHaveLength(1);
  });
});

it('packs 17 packets into one entry of a NACK (RFC 4585 §6.2.1)', () => {
  expect(nackEntries(range(5, 21))).toEqual([{ pid: 5, blp: 0xffff }]);
  expect(nackEntries([5, 22, 23])).toEqual([
    { pid: 5, blp: 0 },
    { pid: 22, blp: 1 },
  ]);
  expect(nackEntries([65_535, 65_536, 65_551])).toEqual([{ pid: 65_535, blp: 0x8001 }]);
});

describe('random loss, reordering and repair', () => {
  it.each([1, 2, 3, 4, 5])('every packet that is lost is asked for, and no other, seed %i', (seed) => {
    let state = seed * 2_654_435_761;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) / 0x1000000;
    };
    const solo = new Solo();
    const lost = new Set<number>();
    const wanted = new Set<number>();
    let held: number | undefined;
    solo.packets(A, [1_000]);
    for (let index = 1_001; index < 4_000; index++) {
      if (index < 3_990 && random() < 0.05) lost.add(index);
      else if (held === undefined && index < 3_990 && random() < 0.1) held = index;
      else {
        solo.packets(A, [index]);
        if (held !== undefined) solo.packets(A, [held]); // overtaken by one
        held = undefined;
      }
      solo.advance(5);
      for (const [, what, , ...sequences] of solo.told()) {
        expect(what).toBe('nack');
        for (const s of sequences) {
          wanted.add(s);
          solo.packets(A, [s]);
        }
      }
    }
    expect([...wanted].sort((a, b) => a - b)).toEqual([...lost]);
    expect(solo.machine.deadline()).toBeUndefined();
  });
});
