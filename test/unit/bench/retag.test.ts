import { describe, expect, it } from 'vitest';
import { benchAddon, WORKS, type Work } from '../../../bench/native.js';
import { PASS_PACKETS, retag, retagRun, retagTable } from '../../../bench/retag.js';
import { CommandList, furnish, randomSet, routeAtOnce, SOURCE } from '../../../bench/room.js';
import { TrafficSource } from '../../../bench/traffic.js';

const BYTES = 172;
const PACKETS = 6;
const PEER = { address: '127.0.0.1', port: 9 };

/** One pass of each kind over packets that `spoil` may have changed: how many came out right. */
function rights(spoil: (packets: Uint8Array) => void, receivers = 1): Record<Work, number> {
  const set = randomSet();
  const source = new TrafficSource('video', BYTES, set);
  const room = new CommandList();
  furnish(room, 'video', set, { source: PEER, receivers: Array.from({ length: receivers }, () => PEER) });
  const routing = new CommandList();
  routeAtOnce(routing, 'video', receivers);
  const first = source.tagged(1, 'full');
  const packets = source.tagged(PACKETS, 'short');
  spoil(packets);
  const native = benchAddon().createRetag(
    room.list,
    routing.list,
    SOURCE,
    first,
    packets,
    BYTES,
    source.senderKey.copyOut(),
    set.masterSalt.copyOut(),
  );
  try {
    const passes = WORKS.map((work, i) => {
      const pass = benchAddon().retagPass(native, i);
      expect(pass.packets).toBe(PACKETS);
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

  it('takes medians over rounds, of the variant after taking off what verifying took in that round', () => {
    const rounds = [
      { verify: 100, variant: 190, hmac: 80, sha1: 60 },
      { verify: 500, variant: 580, hmac: 85, sha1: 61 },
      { verify: 90, variant: 160, hmac: 100, sha1: 90 },
    ];
    expect(retagRun(172, 1024, rounds)).toEqual({
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
    }
    expect(lines).toEqual(['retag: round 5 of 5']);
    expect(retagTable(runs).split('\n')[1]).toContain(' 60 ');
  });

  it('ends when it is interrupted', async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    const options = { rounds: 5, packets: 1, sizes: [BYTES], signal: interrupt.signal, progress: () => undefined };
    await expect(retag(options)).rejects.toThrow();
  });
});
