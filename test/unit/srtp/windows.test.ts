import { describe, expect, it } from 'vitest';
import { REPLAY_WINDOW_PACKETS } from '../../../src/base/limits.js';
import { estimateIndex, INDEX_LIMIT, packetIndex, rocOf } from '../../../src/srtp/index-estimate.js';
import { ReplayWindow } from '../../../src/srtp/replay-window.js';
import { Random } from '../../support/random.js';

describe('ReplayWindow', () => {
  it('agrees with a plain list of what was taken, on random indices near 0 and near 2^48', () => {
    for (const base of [0, 2 ** 32 - 3000, INDEX_LIMIT - 40_000]) {
      const random = new Random(base % 1000);
      const window = new ReplayWindow();
      const taken = new Set<number>();
      let highest = -1;
      for (let i = 0; i < 20_000; i++) {
        const near = highest < 0 ? base : highest;
        const leap = random.oneIn(500) ? 1500 : 6;
        const index = Math.min(
          INDEX_LIMIT - 1,
          Math.max(base, near + random.below(leap) - (random.oneIn(9) ? 1100 : 2)),
        );
        const old = highest - index >= REPLAY_WINDOW_PACKETS;
        const expected = old ? 'too_old' : taken.has(index) ? 'replayed' : 'new';
        expect(window.check(index)).toBe(expected);
        if (expected !== 'new' || random.oneIn(5)) continue;
        window.accept(index);
        taken.add(index);
        highest = Math.max(highest, index);
        expect(window.highest).toBe(highest);
      }
    }
  });

  it('begins empty, and again after a reset', () => {
    const window = new ReplayWindow();
    expect([window.empty, window.check(0), window.check(INDEX_LIMIT - 1)]).toEqual([true, 'new', 'new']);
    window.accept(0);
    expect([window.empty, window.check(0)]).toEqual([false, 'replayed']);
    window.reset();
    expect([window.empty, window.check(0)]).toEqual([true, 'new']);
  });
});

describe('estimateIndex (RFC 3711 §3.3.1)', () => {
  it.each([
    // highest, sequence, expected ROC
    [packetIndex(4, 0x7fff), 0xffff, 4],
    [packetIndex(4, 0x7ffe), 0xffff, 3],
    [packetIndex(4, 0), 0x8000, 4],
    [packetIndex(4, 0), 0x8001, 3],
    [packetIndex(4, 0x8000), 0, 4],
    [packetIndex(4, 0x8001), 0, 5],
    [packetIndex(4, 0xffff), 0x7ffe, 5],
    [packetIndex(4, 0xffff), 0x7fff, 4],
    [packetIndex(4, 100), 100, 4],
  ])('%i, %i: ROC %i', (highest, sequence, roc) => {
    expect(estimateIndex(highest, sequence)).toBe(packetIndex(roc, sequence));
    expect(rocOf(estimateIndex(highest, sequence))).toBe(roc);
  });

  it('leaves the range before the first cycle and after the last', () => {
    expect(estimateIndex(5, 0xffff)).toBeLessThan(0);
    expect(estimateIndex(INDEX_LIMIT - 1, 3)).toBeGreaterThanOrEqual(INDEX_LIMIT);
  });
});
