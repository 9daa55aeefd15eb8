import { afterEach, describe, expect, it } from 'vitest';
import { type DemoReport, faultsOf } from '../../src/cli/demo.js';
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
