import { describe, expect, it } from 'vitest';
import { type Footprint, faultsOf, GROWTH_LIMITS, type SoakRun } from '../../../bench/soak.js';

const begin: Footprint = { residentBytes: 200e6, heapBytes: 40e6, nativeBytes: 50e6, descriptors: 50 };
const run: Omit<SoakRun, 'faults'> = {
  suite: 1,
  seconds: 60,
  joins: 30,
  earlyLeaves: 5,
  failedJoins: 0,
  sets: 4,
  received: 10_000,
  authFailures: 0,
  kpackets: 12,
  lowLevels: 0,
  begin,
  end: begin,
};

describe('the verdict of a soak', () => {
  it('is good when all is as it began, or within the slack', () => {
    const end = { ...begin, heapBytes: begin.heapBytes + GROWTH_LIMITS.heapBytes, residentBytes: 1e6 };
    expect(faultsOf({ ...run, end })).toEqual([]);
  });

  it.each(Object.keys(GROWTH_LIMITS) as (keyof Footprint)[])('names %s that has grown, with figures', (key) => {
    const faults = faultsOf({ ...run, end: { ...begin, [key]: begin[key] + GROWTH_LIMITS[key] + 1 } });
    expect(faults).toHaveLength(1);
    if (key === 'descriptors')
      expect(faults[0]).toBe('descriptors: 51 at the end, 50 at the beginning, 0 more are allowed');
    else
      expect(faults[0]).toMatch(
        /^[\w ]+: [\d.]+ MB at the end, [\d.]+ MB at the beginning, [\d.]+ MB more are allowed$/,
      );
  });

  it('is bad when a conference did not work, however little memory it took', () => {
    const bad = { joins: 0, failedJoins: 1, received: 0, authFailures: 2, lowLevels: 3 };
    for (const [key, value] of Object.entries(bad)) expect(faultsOf({ ...run, [key]: value })).toHaveLength(1);
  });
});
