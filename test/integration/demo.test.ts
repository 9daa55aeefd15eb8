import { afterEach, describe, expect, it } from 'vitest';
import { type DemoReport, faultsOf } from '../../src/cli/demo.js';
import { type DowngradeReport, downgradeFaults } from '../../src/cli/demo-downgrade.js';
import { type MixedReport, mixedFaults } from '../../src/cli/demo-mixed.js';
import { claviger, killAll } from '../support/cli.js';

afterEach(killAll);

describe('claviger demo', () => {
  it('ends with one JSON object in which every wrong count is 0', async () => {
    const { exit, output } = claviger(['demo', '--seconds', '4', '--json']);
    expect(await exit).toBe(0);
    const report = JSON.parse(output.text.trim().split('\n').at(-1)!) as DemoReport;
    expect(Object.keys(report)).toEqual(['conference', 'level', 'seconds', 'endpoints', 'switch', 'speakerChanges']);
    expect(report).toMatchObject({ level: 'end-to-end', seconds: 4 });
    expect(report.endpoints.map((e) => e.screens).sort()).toEqual([1, 1, 3]);
    expect(report.speakerChanges).toBeGreaterThan(0);
    for (const e of report.endpoints) {
      expect(e.decrypted).toBe(e.received.audio + e.received.video);
      expect(e.received.video).toBeGreaterThan(50);
      expect(e).toMatchObject({ authFailures: 0, replayed: 0, payloadMismatches: 0, wrongSink: 0 });
    }
    expect(report.switch.egress).toBeGreaterThan(500);
    expect(report.switch.drops).toMatchObject({ auth_failed: 0, below_level: 0, ssrc_owned: 0, bad_position: 0 });
  }, 40_000);

  it('--downgrade: who was told when, and nothing that could be read before; with events and timeline', async () => {
    const { exit, output } = claviger(['demo', '--downgrade', '--seconds', '6', '--json']);
    expect(await exit, output.text).toBe(0);
    const report = JSON.parse(output.text.trim().split('\n').at(-1)!) as DowngradeReport;
    expect(report).toMatchObject({ conference: 'demo', levelBefore: 'end-to-end', level: 'none', seconds: 6 });
    expect(report.events).toHaveLength(1);
    expect(report.events[0]).toMatchObject({
      ...{ code: 'conference-downgraded', from: 'end-to-end', to: 'none', severity: 'warn' },
      cause: expect.stringContaining('plain RTP'),
      remedy: expect.stringContaining('no longer'),
    });
    const at = (who: string, what: string) => report.timeline.find((e) => e.who === who && e.what.includes(what))!.atMs;
    for (const name of ['room', 'alice', 'bob']) {
      const member = report.endpoints.find((e) => e.name === name)!;
      expect(member).toMatchObject({ clearBefore: 0, payloadMismatches: 0, wrongSink: 0 });
      expect(member.clearAfter).toBeGreaterThan(20);
      expect(at('switch', 'conference-downgraded')).toBeLessThanOrEqual(at(name, 'not secure'));
      expect(at(name, 'not secure')).toBeLessThanOrEqual(at(name, 're-INVITE'));
    }
    expect(report.switch.drops).toMatchObject({ below_level: 0 });
  }, 60_000);

  it('--mixed: the level of the weakest who is there, back up or not, and what each heard of whom', async () => {
    const demos = ['automatic', 'never'].map((restore) =>
      claviger(['demo', '--mixed', '--restore', restore, '--seconds', '2', '--json']),
    );
    for (const { exit, output } of demos) expect(await exit, output.text).toBe(0);
    const [up, down] = demos.map(({ output }) => JSON.parse(output.text.trim().split('\n').at(-1)!) as MixedReport);
    const levels = (report: MixedReport) => report.steps.map(({ level }) => level);
    const joined = ['end-to-end', 'hop-by-hop', 'hop-by-hop', 'none'];
    expect(levels(up!)).toEqual([...joined, 'hop-by-hop', 'hop-by-hop', 'end-to-end']);
    expect(levels(down!)).toEqual([...joined, 'none', 'none', 'none']);
    const lowered = ['endpoint-not-capable', 'conference-downgraded', 'conference-downgraded'];
    expect(up!.events.map((e) => e.code)).toEqual([...lowered, 'conference-restored', 'conference-restored']);
    expect(down!.events.map((e) => e.code)).toEqual(lowered);
    for (const report of [up!, down!]) {
      const all = report.steps.find((step) => step.heard.length === 4)!;
      expect(all.heard.map(({ name }) => name)).toEqual(['ekt', 'dtls-srtp', 'sdes', 'rtp']);
      for (const one of all.heard) {
        expect(one).toMatchObject({ altered: 0, echoed: 0, notAuthentic: 0 });
        expect(Object.values(one.audioFrom).reduce((sum, count) => sum + count, 0)).toBe(one.audio);
      }
      const at = (who: string, what: string) =>
        report.timeline.find((e) => e.who === who && e.what.includes(what))!.atMs;
      expect(at('switch', 'from hop-by-hop to none')).toBeLessThanOrEqual(at('ekt', 'plain RTP'));
      expect(at('switch', 'from end-to-end to hop-by-hop')).toBeLessThanOrEqual(at('ekt', 'not secure'));
    }
  }, 120_000);

  it('finds every kind of fault in a mixed conference', () => {
    const heard = (name: string) => ({
      ...{ name, audioFrom: {}, audio: 1, video: 1, altered: 0, echoed: 0, notAuthentic: 0 },
    });
    const step = { change: '', level: 'none', expected: 'none', heard: [heard('ekt'), heard('rtp')] };
    const good = {
      ...{ conference: 'demo', restore: 'never', seconds: 2, timeline: [], steps: [step] },
      events: [{ code: 'conference-downgraded' }],
      switch: { ingress: 1, egress: 1, variants: 1, drops: { auth_failed: 0, below_level: 0 } },
    } as unknown as MixedReport;
    expect(mixedFaults(good)).toEqual([]);
    const drops = (name: string) => ({ switch: { ...good.switch, drops: { [name]: 1 } } });
    const missing = { restore: 'automatic' as const };
    for (const wrong of [missing, { events: [] }, drops('auth_failed'), drops('below_level')]) {
      expect(mixedFaults({ ...good, ...wrong })).toHaveLength(1);
    }
    expect(mixedFaults({ ...good, steps: [{ ...step, level: 'hop-by-hop' }] })).toHaveLength(1);
    for (const wrong of [{ audio: 0 }, { altered: 1 }, { echoed: 1 }, { notAuthentic: 1 }]) {
      const steps = [{ ...step, heard: [{ ...heard('ekt'), ...wrong }, heard('rtp')] }];
      expect(mixedFaults({ ...good, steps })).toHaveLength(1);
    }
  });

  it('finds every kind of fault in a downgrade', () => {
    const counts = { authFailures: 0, replayed: 0, payloadMismatches: 0, wrongSink: 0, decrypted: 2, screens: 1 };
    const alice = {
      ...{ name: 'alice', sent: { audio: 1, video: 1 }, received: { audio: 1, video: 1 }, ...counts },
      ...{ toldMs: 5, movedMs: 9, clearBefore: 0, clearAfter: 3 },
    };
    const good = {
      ...{ conference: 'demo', level: 'none', levelBefore: 'end-to-end', seconds: 4, timeline: [] },
      endpoints: [alice],
      events: [{ code: 'conference-downgraded' }],
      switch: { ingress: 1, egress: 1, variants: 1, drops: { below_level: 0 } },
    } as unknown as DowngradeReport;
    expect(downgradeFaults(good)).toEqual([]);
    for (const wrong of [
      { level: 'end-to-end' },
      { levelBefore: 'none' },
      { events: [] },
      { switch: { ...good.switch, drops: { below_level: 1 } } },
    ]) {
      expect(downgradeFaults({ ...good, ...wrong })).toHaveLength(1);
    }
    for (const wrong of [
      { toldMs: null },
      { movedMs: 4 },
      { clearBefore: 1 },
      { clearAfter: 0 },
      { payloadMismatches: 1 },
      { received: { audio: 1, video: 0 } },
    ]) {
      expect(downgradeFaults({ ...good, endpoints: [{ ...alice, ...wrong }] })).toHaveLength(1);
    }
  });

  it('finds every kind of fault in a report', () => {
    const good: DemoReport = {
      conference: 'demo',
      level: 'end-to-end',
      suite: 1,
      seconds: 1,
      endpoints: [
        {
          name: 'alice',
          screens: 1,
          sent: { audio: 1, video: 1 },
          received: { audio: 1, video: 1 },
          decrypted: 2,
          authFailures: 0,
          replayed: 0,
          payloadMismatches: 0,
          wrongSink: 0,
        },
      ],
      switch: { ingress: 2, egress: 2, variants: 2, drops: {} },
      speakerChanges: 1,
    };
    const alice = good.endpoints[0]!;
    expect(faultsOf(good)).toEqual([]);
    expect(faultsOf({ ...good, level: 'none' })).toHaveLength(1);
    expect(faultsOf({ ...good, speakerChanges: 0 })).toHaveLength(1);
    for (const wrong of [
      { authFailures: 1 },
      { replayed: 1 },
      { payloadMismatches: 1 },
      { wrongSink: 1 },
      { sent: { audio: 0, video: 1 } },
      { received: { audio: 1, video: 0 } },
    ]) {
      expect(faultsOf({ ...good, endpoints: [{ ...alice, ...wrong }] })).toHaveLength(1);
    }
  });
});
