import { describe, expect, it } from 'vitest';
import { difference32, percentile, rounded, summarise } from '../../../bench/statistics.js';
import { table } from '../../../bench/table.js';

describe('the arithmetic of the benches', () => {
  it('takes the median of an odd and an even number of values in any order, and leaves the values alone', () => {
    const values = [9, 1, 5];
    expect(summarise(values)).toEqual({ median: 5, min: 1, max: 9 });
    expect(values).toEqual([9, 1, 5]);
    expect(summarise([10, 2, 100, 4])).toEqual({ median: 7, min: 2, max: 100 });
    expect(summarise([3])).toEqual({ median: 3, min: 3, max: 3 });
    expect(() => summarise([])).toThrow(RangeError);
  });

  it('rounds to significant digits', () => {
    expect(rounded(1234.567)).toBe(1235);
    expect(rounded(0.00123456)).toBe(0.001235);
  });

  it('ranks percentiles by nearest rank', () => {
    const sorted = Array.from({ length: 1000 }, (_, i) => i + 1);
    expect([0.5, 0.99, 0.999, 1].map((share) => percentile(sorted, share))).toEqual([500, 990, 999, 1000]);
    expect(percentile([7], 0.5)).toBe(7);
    expect(percentile([1, 2], 0)).toBe(1);
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });

  it('takes differences of counters that wrap at 2^32', () => {
    expect(difference32(5, 3)).toBe(2);
    expect(difference32(1, 0xffffffff)).toBe(2);
  });

  it('aligns a table', () => {
    expect(table(['a', 'long'], [['123', 'x']], 'caption').split('\n')).toEqual([
      '  a  long',
      '123     x',
      '',
      'caption',
    ]);
  });
});
