/** Endpoints without TIP and EKT over real sockets: keys of DTLS (RFC 5764) or of signalling (RFC 4568), hop by hop. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import { audioInput, dial, videoInput } from '../support/caller.js';
import { claviger, killAll } from '../support/cli.js';
import { hears } from '../support/hears.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  killAll();
  await host?.stop();
  host = undefined;
});

type Kind = Pick<CallOptions, 'security' | 'sdesSuite'>;
const DTLS: Kind = { security: 'dtls-srtp' };
const SDES: Kind = { security: 'sdes' };
const SDES_GCM: Kind = { security: 'sdes', sdesSuite: 'AEAD_AES_128_GCM' };

describe('standard endpoints in a best-effort conference', () => {
  it.each([
    ['DTLS-SRTP and SDES', DTLS, SDES],
    ['SDES with AES-GCM and DTLS-SRTP', SDES_GCM, DTLS],
  ])(
    '%s: each has what the other sent, without CSRC and with no packet refused',
    async (_, a, b) => {
      host = await startSwitch({ 'conferences-policy': 'best-effort' });
      const to = { target: host.target('8000'), caPem: host.caPem };
      const firstBytes = new Set<number>(); // of RTP both ways: version and CSRC count
      const ann = await dial(to, {
        ...{ name: 'ann', ...a },
        onDatagram: (_, __, [first = 0, type = 0]) => {
          if (first >> 6 === 2 && (type < 192 || type > 223)) firstBytes.add(first);
        },
      });
      const ben = await dial(to, {
        ...{ name: 'ben', ...b },
        audio: [audioInput(1, undefined, 'noise.opus')],
        video: [videoInput(1, 'testsrc2.h264')],
      });
      await Promise.all([ann.call.ready, ben.call.ready]);
      for (const media of ['audio', 'video'] as const) {
        await until(`Ann has Ben's ${media}`, () => hears(ann, ben, media));
        await until(`Ben has Ann's ${media}`, () => hears(ben, ann, media));
      }
      expect(host.running.conferenceLevel('8000')).toBe('hop-by-hop');
      expect(ann.received.every(({ csrcs, sink }) => csrcs.length === 0 && sink === 1)).toBe(true);
      expect([...firstBytes]).toEqual([0x80]);
      for (const { call } of [ann, ben]) expect(call.status().drops.auth_failed ?? 0).toBe(0);
      const { drops } = host.running.counters();
      expect([drops.auth_failed, drops.below_level]).toEqual([0, 0]);
      await ann.call.direct('sendrecv'); // the same keys again change nothing
      const since = ann.received.length;
      await until('Ann hears on', () => hears(ann, ben, 'audio', since));
    },
    60_000,
  );

  it.each(['dtls-srtp', 'sdes'])(
    'claviger call --security %s joins, is heard, and says what it received',
    async (kind) => {
      host = await startSwitch({ 'conferences-policy': 'best-effort' });
      const to = { target: host.target('8000'), caPem: host.caPem };
      const ann = await dial(to, { name: 'ann', ...SDES });
      const folder = mkdtempSync(join(tmpdir(), 'claviger-standard-'));
      const ca = join(folder, 'ca.pem');
      writeFileSync(ca, host.caPem);
      const { exit, output } = claviger(['call', to.target, '--ca', ca, '--security', kind, '--seconds', '2']);
      expect(await exit, output.text).toBe(0);
      rmSync(folder, { recursive: true });
      expect(output.text).toMatch(/received [1-9]\d+ audio, [1-9]\d+ video; nothing refused/);
      expect(ann.received.filter(({ media }) => media === 'audio').length).toBeGreaterThan(20);
    },
    60_000,
  );

  it('an end-to-end conference refuses keys in SDP', async () => {
    host = await startSwitch({});
    await expect(dial({ target: host.target('8000'), caPem: host.caPem }, SDES)).rejects.toThrow(/488.*keys in SDP/);
  });
});
