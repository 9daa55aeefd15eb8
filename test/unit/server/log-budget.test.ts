import { describe, expect, it } from 'vitest';
import { LogBudget } from '../../../src/server/log.js';

describe('attack: calls that fill the log', () => {
  it('so many lines of each kind an interval, then a count of those left out; other kinds have their own', () => {
    const budget = new LogBudget(1_000, 3);
    const admitted = (kind: string, now: number) => budget.admit(kind, now);
    expect([0, 1, 2, 3, 4].map((now) => admitted('call admitted', now))).toEqual([0, 0, 0, undefined, undefined]);
    expect(admitted('call ended', 5)).toBe(0);
    expect(admitted('call admitted', 999)).toBeUndefined();
    expect(admitted('call admitted', 1_000)).toBe(3);
    expect(admitted('call admitted', 1_001)).toBe(0);
  });
});
