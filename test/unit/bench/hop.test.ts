import { describe, expect, it } from 'vitest';
import { hop, hopRun, hopTable } from '../../../bench/hop.js';
import { HOP_CONTENDERS, HOP_PROFILES, HopRig } from '../../../bench/hop-rig.js';
import { benchAddon } from '../../../bench/native.js';
import type { Count } from '../../../bench/rounds.js';

const count = (us: number): Count => ({
  packets: 20,
  receivers: 3,
  sent: 20,
  ingress: 20,
  egress: 60,
  arrived: 60,
  drops: 0,
  cpuNs: us * 60_000,
  elapsedMs: 0,
  calls: 0,
});
const of = { profile: 1, media: 'audio', receivers: 3 } as const;

describe('fanout to hop-by-hop receivers', () => {
  it('takes medians; versus is libsrtp / relay', () => {
    const rounds = {
      relay: [2, 9, 1].map(count),
      libsrtp: [5, 4, 8].map(count),
      protect: [300, 100, 200],
      libsrtpProtect: [700, 800, 900],
    };
    const outside = { rounds: [7, 6, 5].map(count), idleNsPerMs: 0 };
    expect(hopRun(of, rounds, 0, 2, outside)).toEqual({
      ...of,
      usPerEgress: 2,
      libsrtpUsPerEgress: 5,
      versusLibsrtp: 2.5,
      rtpengineUsPerEgress: 6,
      protectNs: 200,
      libsrtpProtectNs: 800,
      usPerEgressRange: [1, 9],
      libsrtpUsPerEgressRange: [4, 8],
      rounds: 3,
      egressPerRound: 60,
      lostRounds: 2,
    });
  });

  it('has no figures of a libsrtp that is not installed', () => {
    const run = hopRun(of, { relay: [count(2)], libsrtp: [], protect: [1], libsrtpProtect: [] }, 0, 0);
    expect(run).toMatchObject({
      usPerEgress: 2,
      libsrtpUsPerEgress: null,
      versusLibsrtp: null,
      rtpengineUsPerEgress: null,
      libsrtpProtectNs: null,
    });
    expect(hopTable([run]).split('\n')[1]).toContain(' - ');
  });

  it.each(HOP_PROFILES)(
    'protects packets of $name that open again, and libsrtp makes the same of them',
    ({ profile }) => {
      const addon = benchAddon();
      const native = addon.createProtect(profile, 172, 3, 10);
      try {
        for (let i = 0; i < 3; i++) {
          expect(addon.protectPass(native, false)).toMatchObject({ packets: 30, right: 30 });
          const library = addon.hasLibSrtp() ? 30 : 0;
          expect(addon.protectPass(native, true)).toMatchObject({ packets: 30, right: library });
        }
      } finally {
        addon.closeProtect(native);
      }
      expect(() => addon.createProtect(99, 172, 3, 10)).toThrow('profile');
      expect(() => addon.createProtect(profile, 20, 3, 10)).toThrow('fit');
    },
  );

  it.each(HOP_PROFILES)('$name: every packet and copy accounted for, of the relay and of libsrtp', async (profile) => {
    const rig = await HopRig.open(profile, 'video', 3);
    try {
      expect(rig.contenders).toEqual(benchAddon().hasLibSrtp() ? HOP_CONTENDERS : ['relay']);
      for (const contender of [...rig.contenders, ...rig.contenders]) {
        const done = await rig.round(contender, 20);
        expect(done).toMatchObject({ packets: 20, sent: 20, ingress: 20, egress: 60, arrived: 60, drops: 0 });
        expect(done.cpuNs).toBeGreaterThan(0);
      }
    } finally {
      await rig.close();
    }
  });

  it('runs on real sockets', async () => {
    const runs = await hop({
      rounds: 5,
      packets: 60,
      media: ['video', 'audio'],
      receivers: [3],
      signal: new AbortController().signal,
      progress: () => undefined,
    });
    expect(runs.map((r) => [r.profile, r.media, r.receivers, r.rounds, r.egressPerRound])).toEqual([
      [1, 'video', 3, 5, 60],
      [1, 'audio', 3, 5, 60],
      [7, 'video', 3, 5, 60],
      [7, 'audio', 3, 5, 60],
    ]);
    for (const r of runs) expect(r.protectNs).toBeGreaterThan(0);
    // rtpengine answers a subscription with one suite only.
    for (const r of runs.filter(({ profile }) => profile === 7)) expect(r.rtpengineUsPerEgress).toBeNull();
    expect(hopTable(runs)).toContain('AEAD_AES_128_GCM');
  });
});
