import { describe, expect, it } from 'vitest';
import { benchAddon, WORKS, type Work } from '../../../bench/native.js';
import { PASS_PACKETS, retag, retagRun, retagTable, routeTagInputsOf } from '../../../bench/retag.js';
import { CommandList, furnish, randomSet, roomOf, routeAtOnce } from '../../../bench/room.js';
import { TrafficSource } from '../../../bench/traffic.js';

const BYTES = 172;
const PACKETS = 6;
const PEER = { address: '127.0.0.1', port: 9 };

/** One pass of each kind over packets that `spoil` may have changed: how many came out right. */
function rights(
  spoil: (packets: Uint8Array) => void,
  receivers = 1,
  routeTagInputs = new Uint8Array(0),
): Record<Work, number> {
  const set = randomSet();
  const source = new TrafficSource('video', BYTES, set);
  const room = roomOf('video', 1, receivers);
  const opening = new CommandList();
  furnish(opening, room, set, { sources: [PEER], receivers: room.receivers.map(() => PEER) });
  const routing = new CommandList();
  routeAtOnce(routing, room);
  const first = source.tagged(1, 'full');
  const packets = source.tagged(PACKETS, 'short');
  spoil(packets);
  const native = benchAddon().createRetag(
    opening.list,
    routing.list,
    room.sources[0]!,
    first,
    packets,
    BYTES,
    source.senderKey.copyOut(),
    set.masterSalt.copyOut(),
    routeTagInputs,
  );
  try {
    const passes = WORKS.map((work, i) => {
      const pass = benchAddon().retagPass(native, i);
      expect(pass.packets).toBe(PACKETS);
      // The counter counts: opening a core takes memory, and no packet does.
      if (work === 'verify' || work === 'variant') expect(pass.opening).toBeGreaterThan(10);
      expect(pass.allocations).toBe(0);
      return [work, pass.right] as const;
    });
    return Object.fromEntries(passes) as Record<Work, number>;
  } finally {
    benchAddon().closeRetag(native);
  }
}

describe('retag', () => {
  it('finds every packet accepted, forwarded once, and its tag equal to the bare HMAC', () => {
    expect(rights(() => undefined)).toEqual({ verify: PACKETS, variant: PACKETS, hmac: PACKETS, sha1: PACKETS });
  });

  it('notices a packet that the core refuses: it would be cheaper than a good one', () => {
    const spoilt = rights((packets) => {
      packets[BYTES - 2]! ^= 1;
    });
    expect(spoilt).toEqual({ verify: PACKETS - 1, variant: 0, hmac: PACKETS - 1, sha1: PACKETS });
  });

  it('notices a replay', () => {
    expect(rights((packets) => packets.copyWithin(BYTES, 0, BYTES)).verify).toBe(PACKETS - 1);
  });

  it('notices more copies than one a packet', () => {
    expect(rights(() => undefined, 2)).toMatchObject({ verify: PACKETS, variant: 0 });
  });

  it('hashes route tag inputs with SHA-256, right for each packet', () => {
    const inputs = new Uint8Array(PACKETS * 38).map((_, i) => i);
    expect(rights(() => undefined, 1, inputs)).toEqual({
      verify: PACKETS,
      variant: PACKETS,
      hmac: PACKETS,
      sha1: PACKETS,
    });
    expect(() => rights(() => undefined, 1, inputs.subarray(1))).toThrow('fit');
  });

  it('takes of a packet what its route tag is computed over', () => {
    const packet = Uint8Array.from({ length: 60 }, (_, i) => i);
    const span = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    const inputs = routeTagInputsOf(Uint8Array.from([...packet, ...packet]), 60);
    const one = [...span(0, 16), ...span(32, 49), 0, 0, 0, 0, 0];
    expect([...inputs]).toEqual([...one, ...one]);
  });

  it('takes medians over rounds, of the variant after taking off what verifying took in that round', () => {
    const rounds = [
      { verify: 100, variant: 190, hmac: 80, sha1: 60, allocations: 0 },
      { verify: 500, variant: 580, hmac: 85, sha1: 61, allocations: 2 },
      { verify: 90, variant: 160, hmac: 100, sha1: 90, allocations: 1 },
    ];
    expect(retagRun(1, 172, 1024, rounds)).toEqual({
      suite: 1,
      bytes: 172,
      verifyNs: 100,
      rewriteNs: 80,
      bareNs: 85,
      bareSha1Ns: 61,
      verifyRatio: 1.176,
      rewriteRatio: 0.9412,
      verifyNsRange: [90, 500],
      rewriteNsRange: [70, 90],
      bareNsRange: [80, 100],
      allocations: 3,
      rounds: 3,
      packetsPerRound: 1024,
    });
  });

  it('runs: whole passes, one line a size, every figure a number', async () => {
    const lines: string[] = [];
    const runs = await retag({
      rounds: 5,
      packets: PASS_PACKETS + 1,
      sizes: [60, BYTES],
      suites: [1],
      signal: new AbortController().signal,
      progress: (line) => lines.push(line),
    });
    expect(runs.map((r) => [r.suite, r.bytes, r.rounds, r.packetsPerRound])).toEqual([
      [1, 60, 5, 2 * PASS_PACKETS],
      [1, BYTES, 5, 2 * PASS_PACKETS],
    ]);
    for (const r of runs) {
      expect([r.verifyNs, r.rewriteNs, r.bareNs, r.bareSha1Ns].every(Number.isFinite)).toBe(true);
      expect(r.verifyNs).toBeGreaterThan(0);
      expect(r.allocations).toBe(0);
    }
    expect(lines).toEqual(['retag: round 5 of 5']);
    expect(retagTable(runs).split('\n')[1]).toContain(' 60 ');
  });

  it('ends when it is interrupted', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    const options = {
      rounds: 5,
      packets: 1,
      sizes: [BYTES],
      suites: [1],
      signal: interrupt.signal,
      progress: () => undefined,
    };
    await expect(retag(options)).rejects.toThrow();
  });
});
