import { describe, expect, it } from 'vitest';
import { type NeighbourRound, neighbour, neighbourRun, neighbourTable } from '../../../bench/neighbour.js';

const round = (latencies: readonly number[], flood = 0): NeighbourRound => ({
  offered: 4,
  latenciesUs: Float64Array.from(latencies),
  floodOffered: flood,
  floodLetThrough: flood / 10,
});

describe('neighbour', () => {
  it('takes medians of the rounds with a flood and of those without, and counts what did not come', () => {
    const quiet = [round([1, 1, 1, 2]), round([1, 1, 1, 4]), round([1, 1, 3])];
    const flooded = [round([5, 5, 5, 6], 100), round([5, 5], 100), round([5, 5, 5, 9], 200)];
    const run = neighbourRun(17, quiet, flooded);
    expect(run).toMatchObject({ suite: 17, p50Us: 1, p99Us: 3, p99UsRange: [2, 4], lostPackets: 1 });
    expect(run).toMatchObject({ floodedP50Us: 5, floodedP99Us: 6, floodedP99UsRange: [5, 9], floodedLostPackets: 2 });
    expect(run).toMatchObject({ floodOffered: 400, floodLetThrough: 40, rounds: 3, packetsPerRound: 4 });
    expect(neighbourTable([run])).toContain('flooding');
  });

  it('a source at a hundred times its rate is let through at its limit, and the other conference loses nothing', async () => {
    const options = {
      rounds: 1,
      ms: 200,
      suites: [1],
      signal: new AbortController().signal,
      progress: () => undefined,
    };
    const [run] = await neighbour(options);
    expect(run).toMatchObject({ lostPackets: 0, floodedLostPackets: 0, packetsPerRound: 50 });
    // How much of it is the business of native/test/rate_test.cc, where time is an argument.
    expect(run!.floodLetThrough).toBeGreaterThan(0);
    expect(run!.floodLetThrough).toBeLessThan(run!.floodOffered);
  }, 30_000);
});
