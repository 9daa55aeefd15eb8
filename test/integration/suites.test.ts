/** Conferences of suites 17 and 18 (WIRE.md 4.3, 6) from SIP to decrypted payloads, over sockets. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.js';
import { type Caller, dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

/** Two callers until each has 30 packets of the other's video and audio, every one as its sender put it in. */
async function exchange(conference: string): Promise<void> {
  const to = { target: host!.target(conference), caPem: host!.caPem };
  const callers: Caller[] = [await dial(to, { name: 'a' }), await dial(to, { name: 'b' })];
  await Promise.all(callers.map((c) => c.call.ready));
  const count = (c: Caller, media: 'audio' | 'video') => c.received.filter((r) => r.media === media).length;
  await until('media both ways', () => callers.every((c) => count(c, 'audio') >= 30 && count(c, 'video') >= 30));
  expect(host!.running.conferenceLevel(conference)).toBe('end-to-end');
  const sent = new Map(callers.flatMap((c) => c.sent.map((p) => [`${p.ssrc} ${p.sequence}`, toHex(p.payload)])));
  for (const { received, call } of callers) {
    for (const { ssrc, sequence, payload } of received) expect(toHex(payload)).toBe(sent.get(`${ssrc} ${sequence}`));
    expect(call.status().drops.auth_failed ?? 0).toBe(0);
  }
  for (const { call } of callers) await call.hangup();
  expect(host!.running.counters().drops).toMatchObject({ auth_failed: 0, malformed: 0, unknown_spi: 0 });
}

describe('a conference of suite', () => {
  it.each(['17', '18'])(
    '%s is end-to-end, and payloads arrive as they were sent',
    async (suite) => {
      host = await startSwitch({ 'conferences-suite': suite });
      await exchange('8000');
    },
    30_000,
  );

  it('18 beside one of suite 1: each has its own, and the same endpoint can do both', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'claviger-suites-')), 'claviger.toml');
    writeFileSync(file, '[[conferences.fixed]]\nname = "board"\nsuite = 18\n[[conferences.fixed]]\nname = "lobby"\n');
    host = await startSwitch({}, file);
    await exchange('board');
    await exchange('lobby');
  }, 30_000);
});
