import { describe, expect, it } from 'vitest';
import {
  MAX_LIVE_SETS,
  SPIMAP_TIMEOUT_MS,
  TIP_MAX_QUEUED_PER_TYPE,
  TIP_RETRANSMIT_INTERVAL_MS,
  TIP_RETRANSMIT_LIMIT,
} from '../../../src/base/limits.js';
import type { TipInput, TipOutput } from '../../../src/tip/index.js';
import { options, parameterSet, Solo, summary, T0 } from './harness.js';

/** Lets the machine wake itself until it is at rest; every wake-up with its time from T0 and what it did. */
function wakeUps(solo: Solo): { at: number; out: TipOutput[] }[] {
  const log: { at: number; out: TipOutput[] }[] = [];
  for (let at = solo.machine.deadline(); at !== undefined; at = solo.machine.deadline()) {
    solo.now = at;
    log.push({ at: at - T0, out: solo.do({ type: 'tick' }) });
    if (log.length > 1_000) throw new Error('the machine never rests');
  }
  return log;
}

describe('an unanswered request', () => {
  it('MUXCTRL repeats every 250 ms, unchanged, and at 10 s it is media-timeout', () => {
    const solo = new Solo(options('switch'));
    const [first] = solo.do({ type: 'start' });
    const log = wakeUps(solo);
    const end = log.pop();
    expect(end).toEqual({ at: 10_000, out: [{ type: 'failed', reason: 'media-timeout' }] });
    expect(log.map((w) => w.at)).toEqual(Array.from({ length: 39 }, (_, i) => 250 * (i + 1)));
    expect(log.every((w) => w.out.length === 1)).toBe(true);
    for (const { out } of log) expect(out[0]).toEqual(first);
    expect(log.length).toBeLessThanOrEqual(TIP_RETRANSMIT_LIMIT);
    expect(solo.machine.state).toBe('ended');
  });

  it('an unfinished negotiation ends at 10 s from the start, however far it came', () => {
    const solo = new Solo(options('endpoint'));
    solo.do({ type: 'start' });
    solo.at(9_000).hear(solo.muxctrl());
    solo.at(9_900).ack('muxctrl');
    expect(solo.tick(9_999)).toEqual([]);
    expect(summary(solo.tick(10_000))).toEqual(['failed media-timeout']);
  });

  it('what comes at the very moment of the timeout comes too late', () => {
    const solo = new Solo(options('endpoint'));
    solo.do({ type: 'start' });
    solo.hear(solo.muxctrl());
    solo.hear(solo.mediaopts());
    solo.ack('muxctrl');
    solo.at(10_000);
    expect(summary(solo.ack('mediaopts'))).toEqual(['failed media-timeout', 'dropped not-running']);
  });

  it('SPIMAP is spimap-timeout 10 s after its first sending, and nothing follows', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    solo.at(5_000).do({ type: 'spimap', set: parameterSet(0x0101) });
    solo.at(5_100).do({ type: 'spimap', set: parameterSet(0x0103) });
    const log = wakeUps(solo);
    expect(log.pop()).toEqual({ at: 5_000 + SPIMAP_TIMEOUT_MS, out: [{ type: 'failed', reason: 'spimap-timeout' }] });
    expect(log.map((w) => w.at - 5_000)).toEqual(Array.from({ length: 39 }, (_, i) => 250 * (i + 1)));
    expect(solo.sent.filter((p) => p.type === 'spimap' && p.spiWord === 0x0103)).toEqual([]);
    expect(solo.machine.state).toBe('ended');
  });

  it('the second of two sets has its own 10 s', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    solo.at(1_000).do({ type: 'spimap', set: parameterSet(0x0101) });
    solo.at(1_000).do({ type: 'spimap', set: parameterSet(0x0103) });
    solo.at(10_900);
    expect(summary(solo.ack('spimap'))).toEqual(['send spimap', 'spimap-acked', 'send spimap']);
    expect(wakeUps(solo).pop()?.at).toBe(20_900);
  });

  it('NOTIFY is unanswered at 10 s, and the channel goes on: what it means is for the conference to say', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    solo.at(1_000).do({ type: 'notify', secure: false });
    expect(wakeUps(solo).pop()).toEqual({ at: 11_000, out: [{ type: 'unanswered', kind: 'notify' }] });
  });

  for (const [input, kind] of [
    [{ type: 'refresh', targetCsrc: 1, flags: 0 }, 'refresh'],
    [{ type: 'flow', direction: 'transmit', opcode: 0, targetCsrc: 1 }, 'txflowctrl'],
    [{ type: 'flow', direction: 'receive', opcode: 0, targetCsrc: 1 }, 'rxflowctrl'],
    [{ type: 'request-to-send', start: true, videoMask: 1, audioMask: 0 }, 'reqtosend'],
    [{ type: 'echo' }, 'echo'],
  ] as const satisfies readonly (readonly [TipInput, string])[])
    it(`${kind} is given up at 10 s, which ends nothing`, () => {
      const solo = new Solo(options('switch'));
      solo.negotiate();
      solo.at(1_000).do(input);
      const log = wakeUps(solo);
      expect(log.pop()).toEqual({ at: 11_000, out: [{ type: 'unanswered', kind }] });
      expect(log).toHaveLength(39);
      expect(solo.machine.state).toBe('done');
    });

  it('does not burst when the machine is woken late', () => {
    const solo = new Solo(options('switch'));
    solo.do({ type: 'start' });
    expect(summary(solo.tick(2_600))).toEqual(['send muxctrl']);
    expect(solo.machine.deadline()).toBe(T0 + 2_600 + TIP_RETRANSMIT_INTERVAL_MS);
  });

  it('keeps no deadline before the start and after the end', () => {
    const solo = new Solo(options('switch'));
    solo.do({ type: 'notify', secure: true });
    expect(solo.machine.deadline()).toBeUndefined();
    solo.do({ type: 'start' });
    solo.do({ type: 'stop' });
    expect(solo.machine.deadline()).toBeUndefined();
    expect(solo.tick(60_000)).toEqual([]);
  });
});

describe('timestamps', () => {
  it('rise strictly within a type though the clock stands still', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    const stamps: bigint[] = [];
    for (let i = 0; i < 5; i++) {
      solo.do({ type: 'notify', secure: true });
      stamps.push(solo.last('notify').ntp);
      solo.ack('notify');
    }
    for (let i = 1; i < stamps.length; i++) expect(stamps[i]).toBe(stamps[i - 1]! + 1n);
  });
});

describe('queues', () => {
  it(`hold ${TIP_MAX_QUEUED_PER_TYPE} requests of a type behind the outstanding one, and refuse more`, () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    for (let i = 0; i <= TIP_MAX_QUEUED_PER_TYPE; i++)
      expect(solo.do({ type: 'refresh', targetCsrc: i, flags: 0 }).map((o) => o.type)).toEqual(i === 0 ? ['send'] : []);
    expect(solo.do({ type: 'refresh', targetCsrc: 999, flags: 0 })).toEqual([
      { type: 'refused', input: 'refresh', reason: 'queue-full' },
    ]);
    // A newer word on the same target takes the place of the waiting one.
    expect(solo.do({ type: 'refresh', targetCsrc: 3, flags: 2 })).toEqual([]);
    for (let i = 0; i < 3; i++) solo.ack('refresh');
    expect(solo.last('refresh')).toMatchObject({ targetCsrc: 3, flags: 2 });
  });

  it('hold more sets than can be alive, and refuse a flood of them', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    const results = Array.from({ length: TIP_MAX_QUEUED_PER_TYPE + 2 }, (_, i) =>
      summary(solo.do({ type: 'spimap', set: parameterSet(0x0101 + 2 * i) })),
    );
    expect(TIP_MAX_QUEUED_PER_TYPE).toBeGreaterThan(MAX_LIVE_SETS);
    expect(results.at(-2)).toEqual([]);
    expect(results.at(-1)).toEqual(['refused queue-full']);
  });
});
