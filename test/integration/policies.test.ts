import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type CallOptions, CallRefused } from '../../src/endpoint/index.js';
import { dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

async function refusal(options: Partial<CallOptions>, conference = '8000'): Promise<CallRefused> {
  const { target, caPem } = { target: host!.target(conference), caPem: host!.caPem };
  const outcome = await dial({ target, caPem }, options).then(
    () => 'accepted' as const,
    (error: unknown) => error,
  );
  if (!(outcome instanceof CallRefused)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
}

describe('what a switch refuses', () => {
  it('plain RTP in a secure conference: 488 with Warning, Reason and an event, before any media (C3)', async () => {
    host = await startSwitch();
    const refused = await refusal({ security: 'plain' });
    expect(refused.status).toBe(488);
    expect(refused.warning).toMatch(/^30\d claviger ".*plain RTP.*"$/);
    expect(refused.reason).toMatch(/^SIP;cause=488;text=".*plain RTP.*"$/);
    expect(host.events.map((e) => e.code)).toEqual(['security-mismatch']);
    expect(host.running.conferenceLevel('8000')).toBeUndefined();
  });

  it('DTLS in a non-secure conference: 488', async () => {
    host = await startSwitch({ 'conferences-policy': 'non-secure' });
    expect((await refusal({})).status).toBe(488);
  });

  it('a TIP version 6 endpoint in a secure conference: the call is ended with 488 in its Reason (C3, C8)', async () => {
    host = await startSwitch();
    const old = await dial({ target: host.target('8000'), caPem: host.caPem }, { tipVersion: 6 });
    const end = await old.call.ended;
    expect(end.by).toBe('peer');
    expect(end.cause).toMatch(/^SIP;cause=488;text="/);
    expect(host.events.map((e) => e.code)).toEqual(['endpoint-not-capable']);
    expect(old.received).toEqual([]);
  });

  it('a conference that does not exist, where none is made when dialled: 404', async () => {
    host = await startSwitch({ 'conferences-ad-hoc': 'false' });
    expect((await refusal({})).status).toBe(404);
  });

  it('one conference or member too many: 503 with Retry-After', async () => {
    host = await startSwitch({ 'conferences-max': '1', 'conferences-max-members': '2' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    await dial(to, { name: 'a' });
    await dial(to, { name: 'b' });
    expect((await refusal({})).status).toBe(503);
    expect((await refusal({}, '8001')).status).toBe(503);
  });
});

describe('a non-secure conference', () => {
  it('relays plain RTP between endpoints and puts it where it belongs', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'claviger-test-')), 'claviger.toml');
    writeFileSync(file, '[conferences]\nadHoc = false\n[[conferences.fixed]]\nname = "lobby"\npolicy = "non-secure"\n');
    host = await startSwitch({}, file);
    const to = { target: host.target('lobby'), caPem: host.caPem };
    const room = await dial(to, { name: 'room', security: 'plain', screens: 3 });
    const guest = await dial(to, { name: 'guest', security: 'plain' });
    await Promise.all([room.call.ready, guest.call.ready]);
    await until('video both ways', () =>
      [room, guest].every((c) => c.received.filter((r) => r.media === 'video').length > 50),
    );
    await until('audio both ways', () =>
      [room, guest].every((c) => c.received.filter((r) => r.media === 'audio').length > 20),
    );
    expect(host.running.conferenceLevel('lobby')).toBe('none');
    const guestVideo = guest.received.filter((r) => r.media === 'video').slice(-20);
    expect(new Set(guestVideo.map((r) => r.sink))).toEqual(new Set([1]));
  });
});
