/** Callers whose m-lines share one socket and one association (RFC 9143), beside others, over real sockets. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import { parseRtpHeader } from '../../src/wire/rtp.js';
import { audioInput, type Caller, dial, videoInput } from '../support/caller.js';
import { claviger, killAll } from '../support/cli.js';
import { hears } from '../support/hears.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  killAll();
  await host?.stop();
  host = undefined;
});

const BUNDLED: Pick<CallOptions, 'security' | 'bundle'> = { security: 'dtls-srtp', bundle: true };
const MEDIA = ['audio', 'video'] as const;

/** Ports of the switch that RTP and RTCP came from, and of what came the SSRCs and, by payload type, the names of lines. */
function watch(): {
  readonly ports: Set<number>;
  readonly ssrcs: Set<number>;
  readonly names: Set<string>;
  readonly onDatagram: NonNullable<CallOptions['onDatagram']>;
} {
  const ports = new Set<number>();
  const ssrcs = new Set<number>();
  const names = new Set<string>();
  let own: number | undefined;
  const onDatagram: CallOptions['onDatagram'] = (from, _, bytes) => {
    const [first = 0, second = 0] = bytes;
    own ??= from.port; // ours is the first word, a ClientHello
    if (from.port === own || first >> 6 !== 2) return;
    ports.add(from.port);
    if (second >= 192 && second <= 223) return;
    const header = parseRtpHeader(bytes);
    if (!header.ok) throw new Error(header.reason);
    const { ssrc, payloadType, extension } = header.value;
    ssrcs.add(ssrc);
    names.add(`${payloadType} ${Buffer.from(extension?.data ?? []).toString('hex')}`);
  };
  return { ports, ssrcs, names, onDatagram };
}

async function mutually(a: Caller, b: Caller): Promise<void> {
  for (const media of MEDIA) {
    await until(`the one has the other's ${media}`, () => hears(a, b, media));
    await until(`the other has the one's ${media}`, () => hears(b, a, media));
  }
}

describe('bundled callers in a best-effort conference', () => {
  it('two of them hear and see each other, each over one port, one association and two SSRCs', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const seen = watch();
    const ann = await dial(to, { name: 'ann', ...BUNDLED, onDatagram: seen.onDatagram });
    const ben = await dial(to, {
      ...{ name: 'ben', ...BUNDLED },
      audio: [audioInput(1, undefined, 'noise.opus')],
      video: [videoInput(1, 'testsrc2.h264')],
    });
    await Promise.all([ann.call.ready, ben.call.ready]);
    await mutually(ann, ben);
    expect(host.running.conferenceLevel('8000')).toBe('hop-by-hop');
    expect(seen.ports.size).toBe(1);
    expect(seen.ssrcs.size).toBe(2);
    // RFC 8285 §4.2: id 4, one byte, '0' or '1'; padding.
    expect([...seen.names].sort()).toEqual(['112 40310000', '96 40300000']);
    for (const { call } of [ann, ben]) {
      expect(call.status().keyed).toBe(2); // both lines, by one association
      expect(call.status().drops).toEqual({});
    }
    const { drops } = host.running.counters();
    expect([drops.auth_failed, drops.ssrc_owned, drops.no_payload_type]).toEqual([0, 0, 0]);
  }, 60_000);

  it("new keys are both lines', and media goes on under them", async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const ann = await dial(to, { name: 'ann', ...BUNDLED });
    const ben = await dial(to, {
      ...{ name: 'ben', ...BUNDLED },
      audio: [audioInput(1, undefined, 'noise.opus')],
      video: [videoInput(1, 'testsrc2.h264')],
    });
    await Promise.all([ann.call.ready, ben.call.ready]);
    await mutually(ann, ben);
    await ann.call.renew();
    await until('both lines have the new keys', () => ann.call.status().keyed === 4);
    const since = [ann.received.length, ben.received.length] as const;
    for (const media of MEDIA) {
      await until(`Ann has Ben's ${media} under the new keys`, () => hears(ann, ben, media, since[0]));
      await until(`Ben has Ann's ${media} under the new keys`, () => hears(ben, ann, media, since[1]));
    }
  }, 60_000);

  it('one beside an SDES and an EKT endpoint, none of which bundles', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const loudness = (loud: boolean) => () => (loud ? 60 : 1);
    const ekt = await dial(to, { name: 'ekt', energy: loudness(true) });
    await ekt.call.ready;
    const ann = await dial(to, {
      ...{ name: 'ann', ...BUNDLED },
      audio: [audioInput(1, undefined, 'noise.opus')],
      video: [videoInput(1, 'testsrc2.h264')],
    });
    await ann.call.ready;
    await mutually(ann, ekt);
    const sdes = await dial(to, { name: 'sdes', security: 'sdes' });
    await sdes.call.ready;
    await until('the SDES endpoint hears somebody', () => hears(sdes, ekt, 'audio') || hears(sdes, ann, 'audio'));
    await ekt.call.hangup();
    const since = sdes.received.length;
    await until('the SDES endpoint sees the bundled one', () => hears(sdes, ann, 'video', since));
    await until('the bundled one sees the SDES endpoint', () => hears(ann, sdes, 'video'));
  }, 60_000);

  it('claviger call --bundle joins, is heard, and says what it received', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const ann = await dial(to, { name: 'ann', security: 'sdes' });
    const folder = mkdtempSync(join(tmpdir(), 'claviger-bundle-'));
    const ca = join(folder, 'ca.pem');
    writeFileSync(ca, host.caPem);
    const flags = ['--ca', ca, '--security', 'dtls-srtp', '--bundle', '--seconds', '2'];
    const { exit, output } = claviger(['call', to.target, ...flags]);
    expect(await exit, output.text).toBe(0);
    rmSync(folder, { recursive: true });
    expect(output.text).toMatch(/received [1-9]\d+ audio, [1-9]\d+ video; nothing refused/);
    expect(ann.received.filter(({ media }) => media === 'video').length).toBeGreaterThan(5);
  }, 60_000);
});
