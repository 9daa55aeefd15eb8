/** The native relay against its oracle in TypeScript: the same 100,000 packets, the same verdicts, the same bytes. */
import { describe, expect, it } from 'vitest';
import { RelayCore } from '../../src/relay/harness.js';
import { compare } from '../support/compare.js';
import { scenario } from '../support/packets.js';

const SEEDS = [11, 22, 33, 44, 55, 66, 77, 88, 99, 110];
const PACKETS = 10_000;
/** The traffic must reach the cases that matter, or agreement means nothing. */
const REACHED =
  'malformed not_ready unknown_spi no_key replayed too_old auth_failed ssrc_owned bad_position control'.split(' ');

describe('the native relay and the TypeScript oracle', () => {
  it.each([
    [17, 1],
    [17, 2],
    [17, 3],
    [18, 4],
    [18, 5],
  ] as const)(`agree bit for bit on ${PACKETS} random packets of suite %i, seed %i`, (suite, seed) => {
    const core = new RelayCore();
    const result = compare(scenario(seed, suite), core, PACKETS);
    core.close();
    expect(result.differences).toEqual([]);
    expect(result.packets).toBe(PACKETS);
    expect(result.outputs).toBeGreaterThan(PACKETS);
    expect(REACHED.filter((name) => !result.verdicts.has(name))).toEqual([]);
  });

  it.each(SEEDS)(`agree bit for bit on ${PACKETS} random packets, seed %i, and a refusal changes no state`, (seed) => {
    const core = new RelayCore();
    const result = compare(scenario(seed), core, PACKETS);
    core.close();
    expect(result.differences).toEqual([]);
    expect(result.packets).toBe(PACKETS);
    expect(result.outputs).toBeGreaterThan(PACKETS);
    expect(REACHED.filter((name) => !result.verdicts.has(name))).toEqual([]);
  });
});
