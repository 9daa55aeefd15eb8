/** Conferences and members on relay threads: by what a thread has to do, not by counts alone. */
import { describe, expect, it } from 'vitest';
import { leastLoaded, Placement } from '../../../src/relay/placement.js';

function placement(threads: number, membersBeforeSpreading = 100, permille: number[] = []) {
  return new Placement({ threads, membersBeforeSpreading, measuredPermille: (thread) => permille[thread] ?? 0 });
}

describe('placement', () => {
  it('a thread that is busy gets nothing, though it has fewer members than one that is idle', () => {
    const idle = { measuredPermille: 10, channels: 200, conferences: 60 };
    const busy = { measuredPermille: 700, channels: 3, conferences: 1 };
    expect(leastLoaded([busy, idle])).toBe(1);
    expect(leastLoaded([idle, busy])).toBe(0);
    expect(leastLoaded([busy, { ...busy, measuredPermille: 699 }])).toBe(1);
  });

  it('conferences that have not begun yet are spread evenly, and each stays where it is', () => {
    const p = placement(3);
    const homes = [1, 2, 3, 4, 5, 6].map((conference) => p.settle(conference));
    expect(homes.toSorted()).toEqual([0, 0, 1, 1, 2, 2]);
    expect([1, 2, 3, 4, 5, 6].map((conference) => p.settle(conference))).toEqual(homes);
  });

  it('measured load counts: a new conference goes past a thread that has become busy', () => {
    const permille = [0, 0];
    const p = placement(2, 100, permille);
    expect(p.settle(1)).toBe(0);
    permille[1] = 300;
    expect([2, 3, 4].map((conference) => p.settle(conference))).toEqual([0, 0, 0]);
    permille[0] = 500;
    expect(p.settle(5)).toBe(1);
  });

  it('a conference stays whole up to the limit; beyond it members go wherever the load is least', () => {
    const p = placement(2, 4);
    const where = Array.from({ length: 12 }, (_, member) => p.add(1, member));
    expect(where.slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect(where.slice(4, 9)).toEqual([1, 1, 1, 1, 1]);
    expect(p.loads().map((load) => load.channels)).toEqual([6, 6]);
    const small = placement(2, 100);
    for (let member = 0; member < 100; member++) expect(small.add(1, member)).toBe(small.home(1));
    expect(small.add(1, 100)).not.toBe(small.home(1));
  });

  it('one thread alone has everything', () => {
    const p = placement(1, 2);
    for (let member = 0; member < 20; member++) expect(p.add(1, member)).toBe(0);
  });

  it('all channels of a member are on one thread, and a member that left and returns is placed anew', () => {
    const permille = [0, 0];
    const p = placement(2, 1, permille);
    expect([p.add(1, 1), p.add(1, 2)]).toEqual([0, 1]);
    permille[1] = 500;
    expect([p.add(1, 2), p.add(1, 2)]).toEqual([1, 1]);
    expect(p.loads().map((load) => load.channels)).toEqual([1, 3]);
    for (let i = 0; i < 4; i++) p.remove(1, 2);
    p.remove(9, 2);
    expect(p.loads().map((load) => load.channels)).toEqual([1, 0]);
    expect(p.add(1, 2)).toBe(0);
  });

  it('what a conference that closes had is free again', () => {
    const p = placement(2, 1);
    for (let member = 0; member < 5; member++) p.add(1, member);
    p.close(1);
    p.close(1);
    expect(p.loads()).toEqual([0, 1].map(() => ({ measuredPermille: 0, channels: 0, conferences: 0 })));
    expect(p.home(1)).toBeUndefined();
  });
});
