/** The administration API of a running switch, with endpoints in its conferences. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { CallRefused } from '../../src/endpoint/index.js';
import { ask } from '../support/admin-api.js';
import { dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

async function start(flags: Readonly<Record<string, string>> = {}) {
  const running = await startSwitch(flags);
  host = running;
  const token = readFileSync(running.running.adminTokenFile!, 'utf8').trim();
  const { port } = running.running.admin;
  return (method: string, path: string, body?: unknown) => ask(port, method, path, { token, body });
}

describe('the administration API', () => {
  it('makes a conference, shows its members with the level of each channel, drops one, and ends it', async () => {
    const api = await start({ 'conferences-ad-hoc': 'false' });
    expect((await api('POST', '/conferences', { name: 'board' })).status).toBe(201);
    const to = { target: host!.target('board'), caPem: host!.caPem };
    const ann = await dial(to, { name: 'ann' });
    const bob = await dial(to, { name: 'bob' });
    await Promise.all([ann.call.ready, bob.call.ready]);
    await until('both are heard', () => [ann, bob].every((c) => c.received.length > 20));

    const list = await api('GET', '/conferences?level=end-to-end');
    expect(list.json).toMatchObject([{ name: 'board', origin: 'created', policy: 'secure', members: 2 }]);
    await api('GET', '/conferences/board'); // rates are between two looks
    const before = ann.received.length;
    await until('more is heard', () => ann.received.length > before + 50);
    await expect
      .poll(async () => (await api('GET', '/conferences/board/members')).json[0].channels[0].receivedBitsPerSecond, {
        timeout: 10_000,
      })
      .toBeGreaterThan(0);
    const detail = (await api('GET', '/conferences/board')).json;
    for (const member of detail.members) {
      expect(member).toMatchObject({ level: 'end-to-end', ready: true });
      expect(member.channels.map((c: { media: string }) => c.media).sort()).toEqual(['audio', 'video']);
      for (const channel of member.channels)
        expect(channel).toMatchObject({ level: 'end-to-end', phase: 'proven', transport: 'dtls' });
    }
    expect(detail.history.map((h: { level: string }) => h.level)).toEqual(['end-to-end']);

    const [first] = detail.members;
    expect((await api('DELETE', `/conferences/board/members/${first.id}`)).status).toBe(204);
    expect((await ann.call.ended).cause).toBe('SIP;cause=410;text="dropped by the operator"');
    expect((await api('GET', '/conferences/board')).json.members).toHaveLength(1);
    expect((await api('DELETE', '/conferences/board')).status).toBe(204);
    expect((await bob.call.ended).cause).toMatch(/^SIP;cause=410;text="the conference was ended by its operator"/);
    expect((await api('GET', '/conferences/board')).status).toBe(404);
    await expect(dial(to)).rejects.toMatchObject({ status: 404 });
  });

  it('drains: no new conferences, who runs goes on and takes joiners; taken back, all is as before', async () => {
    const api = await start();
    const to = (name: string) => ({ target: host!.target(name), caPem: host!.caPem });
    const ann = await dial(to('8000'), { name: 'ann' });
    await ann.call.ready;
    expect((await api('PUT', '/drain', {})).json).toEqual({ draining: true, deadline: null, conferences: 1 });
    expect((await api('GET', '/health')).json).toMatchObject({ alive: true, ready: false, draining: true });
    expect((await api('GET', '/health/ready')).status).toBe(503);
    expect((await api('GET', '/health/live')).status).toBe(200);
    await expect(dial(to('8001'))).rejects.toMatchObject({ status: 503 });
    const bob = await dial(to('8000'), { name: 'bob' });
    await bob.call.ready;
    expect((await api('DELETE', '/drain')).json.draining).toBe(false);
    expect((await api('GET', '/health/ready')).status).toBe(200);
    await (await dial(to('8001'))).call.ready;
    await api('PUT', '/drain', { deadlineSeconds: 0 });
    await Promise.all([ann.call.ended, bob.call.ended]);
    await expect.poll(async () => (await api('GET', '/drain')).json.conferences).toBe(0);
  });

  it('tells who lowered a best-effort conference, from where to where, and why: event, metric and history agree', async () => {
    const api = await start();
    expect((await api('POST', '/conferences', { name: 'open', policy: 'best-effort' })).status).toBe(201);
    const to = { target: host!.target('open'), caPem: host!.caPem };
    const ann = await dial(to, { name: 'ann' });
    await ann.call.ready;
    await expect.poll(async () => (await api('GET', '/conferences/open')).json.level).toBe('end-to-end');
    await dial(to, { name: 'old', tipVersion: 6 });
    await expect.poll(async () => (await api('GET', '/events?code=conference-downgraded')).json.length).toBe(1);
    const [event] = (await api('GET', '/events?code=conference-downgraded')).json;
    expect(event).toMatchObject({ from: 'end-to-end', to: 'hop-by-hop', reason: 'tip-version', conference: 'open' });
    expect(event.endpoint).toContain('old');
    expect(event.members).toHaveLength(1);
    const { text } = await api('GET', '/metrics');
    expect(text).toContain('claviger_conference_downgrades_total{to="hop-by-hop",reason="tip-version"} 1');
    await expect.poll(async () => (await api('GET', '/conferences/open')).json.history.at(-1).level).toBe('hop-by-hop');
  });

  it('lists a refused endpoint as an event with cause and remedy', async () => {
    const api = await start();
    await expect(dial({ target: host!.target('8000'), caPem: host!.caPem }, { security: 'plain' })).rejects.toThrow(
      CallRefused,
    );
    const { json } = await api('GET', '/events?code=security-mismatch&conference=8000');
    expect(json).toHaveLength(1);
    expect(json[0].cause).toContain('plain RTP');
    expect(json[0].remedy).toContain('make the endpoint secure');
  });
});
