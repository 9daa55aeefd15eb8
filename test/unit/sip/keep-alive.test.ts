import { describe, expect, it } from 'vitest';
import { SIP_CRLF_INTERVAL_MS, SIP_CRLF_TIMEOUT_MS } from '../../../src/base/limits.js';
import { KeepAlive } from '../../../src/sip/keep-alive.js';

function advance(machine: KeepAlive, from: number, ms: number): [at: number, what: string][] {
  const out: [number, string][] = [];
  for (let at = machine.deadline(); at !== undefined && at <= from + ms; at = machine.deadline()) {
    machine.receive({ type: 'tick' }, at);
    for (let o = machine.poll(); o !== undefined; o = machine.poll()) out.push([at, o.type]);
  }
  return out;
}

describe('CRLF keep-alive (RFC 5626)', () => {
  it.each([
    [0, 0.8],
    [1, 1],
  ])(
    'pings at 80 to 100 %% of the interval (random %d), and without any word of the peer the connection is dead',
    (random, share) => {
      const machine = new KeepAlive({ random: () => random, answers: true });
      machine.receive({ type: 'opened' }, 1_000);
      const ping = 1_000 + SIP_CRLF_INTERVAL_MS * share;
      expect(advance(machine, 0, 10_000_000)).toEqual([
        [ping, 'ping'],
        [ping + SIP_CRLF_TIMEOUT_MS, 'dead'],
      ]);
      expect(machine.deadline()).toBeUndefined();
    },
  );

  it('lives as long as the peer says anything, and asks only when it has been quiet', () => {
    const machine = new KeepAlive({ random: () => 1, answers: true });
    machine.receive({ type: 'opened' }, 0);
    machine.receive({ type: 'heard' }, 60_000);
    expect(advance(machine, 0, SIP_CRLF_INTERVAL_MS)).toEqual([]);
    expect(advance(machine, 0, SIP_CRLF_INTERVAL_MS + 60_000)).toHaveLength(1);
    machine.receive({ type: 'heard' }, SIP_CRLF_INTERVAL_MS + 60_001);
    expect(advance(machine, 0, 2 * SIP_CRLF_INTERVAL_MS + 60_000)).toEqual([]);
    machine.receive({ type: 'closed' }, 0);
    expect(machine.deadline()).toBeUndefined();
  });

  it('a peer that has never answered a ping is asked again, not given up; one that has is', () => {
    const machine = new KeepAlive({ random: () => 1, intervalMs: 100, timeoutMs: 10 });
    machine.receive({ type: 'opened' }, 0);
    expect(advance(machine, 0, 330)).toEqual([
      [100, 'ping'],
      [210, 'ping'],
      [320, 'ping'],
    ]);
    machine.receive({ type: 'pong' }, 325);
    expect(advance(machine, 0, 1_000)).toEqual([
      [425, 'ping'],
      [435, 'dead'],
    ]);
  });
});
