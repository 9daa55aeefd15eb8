import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { EktReceiver } from '../../../src/srtp/ekt-receiver.js';
import type { OracleVerdict } from '../../../src/srtp/relay-oracle.js';
import { classify } from '../../../src/wire/demux.js';
import { COMPLETE_MEMBER, oracleFor, type Step, scenario } from '../../support/packets.js';
import type { Truth } from '../../support/scenario-sender.js';

/** Runs a scenario; `check` sees every packet with its verdict. Returns how often each verdict came. */
function run(
  seed: number,
  comparing: boolean,
  packets: number,
  check: (step: Step & { type: 'packet' }, verdict: OracleVerdict, unchanged: () => boolean) => void,
  onSet: (step: Exclude<Step, { type: 'packet' }>) => void = () => undefined,
): Map<string, number> {
  const s = scenario(seed);
  const oracle = oracleFor(s);
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const step of s.steps(packets)) {
    if (step.type === 'packet') {
      oracle.expire(step.now);
      const before = comparing ? oracle.describe() : '';
      const verdict = oracle.feed(step.channel, step.bytes, step.now);
      check(step, verdict, () => oracle.describe() === before);
      count(verdict.drop ?? (verdict.control ? 'control' : classify(step.bytes)));
      for (const { drop } of verdict.withheld) count(`withheld ${drop}`);
    } else {
      if (step.type === 'installSet') expect(oracle.installSet(s.conference, step.set).ok).toBe(true);
      else if (step.type === 'acked') oracle.setAcked(step.channel, step.spiWord);
      else oracle.dropSet(s.conference, step.spiWord);
      onSet(step);
    }
  }
  return counts;
}

describe('random traffic', () => {
  it('what the switch sends on decrypts at a receiver to what its sender sealed', () => {
    const receivers = new Map<number, EktReceiver>();
    const truths = new Map<string, Truth>();
    const own = scenario(7).channels.filter((c) => c.member === COMPLETE_MEMBER);
    for (const { channel } of own) receivers.set(channel, new EktReceiver());
    let compared = 0;
    const counts = run(
      7,
      false,
      5_000,
      (step, { outputs }) => {
        const kind = classify(step.bytes);
        const text = Buffer.from(step.bytes).toString('latin1');
        if (step.truth) truths.set(text, step.truth);
        for (const { receiver, bytes } of outputs) {
          const endpoint = receivers.get(receiver);
          if (endpoint === undefined) continue;
          // A packet that comes again is known by its bytes.
          const truth = step.truth ?? truths.get(text);
          if (kind === 'rtp') {
            const got = endpoint.receiveRtp(bytes, step.now);
            expect(got).toMatchObject({ ok: true, value: { ssrc: truth?.ssrc, index: truth?.index } });
            if (got.ok) expect(toHex(got.value.payload)).toBe(toHex(truth!.plain));
            expect(endpoint.receiveRtp(bytes, step.now)).toMatchObject({ ok: false, reason: 'replayed' });
          } else {
            const got = endpoint.receiveRtcp(bytes, step.now);
            expect(got).toMatchObject({ ok: true, value: { ssrc: truth?.ssrc } });
            if (got.ok) expect(toHex(got.value.compound)).toBe(toHex(truth!.plain));
          }
          compared++;
        }
      },
      (step) => {
        for (const endpoint of receivers.values()) {
          if (step.type === 'installSet') expect(endpoint.addSet(step.set).ok).toBe(true);
          if (step.type === 'dropSet') endpoint.dropSet(step.spiWord);
        }
      },
    );
    expect(compared).toBeGreaterThan(1_500);
    expect(counts.get('rtp')).toBeGreaterThan(2_500);
    expect(counts.get('rtcp')).toBeGreaterThan(100);
    expect(counts.get('control')).toBeGreaterThan(30);
  });

  it('a refused packet leaves the state as it was, whatever refused it', () => {
    const counts = run(11, true, 5_000, (_step, verdict, unchanged) => {
      if (verdict.drop !== undefined) expect(unchanged()).toBe(true);
    });
    const seen = [...counts.keys()];
    expect(seen).toEqual(
      expect.arrayContaining([
        'unknown_protocol',
        'malformed',
        'no_multiplex_word',
        'not_ready',
        'unknown_spi',
        'no_key',
        'replayed',
        'too_old',
        'auth_failed',
        'ssrc_owned',
        'bad_position',
        'withheld below_level',
        'withheld set_not_installed',
        'withheld no_payload_type',
      ]),
    );
  });
});
