import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN_MAX_EVENT_STREAMS, ADMIN_MAX_UNREAD_STREAM_BYTES } from '../../../../src/base/limits.js';
import { makeEvent, type SecurityEventCode } from '../../../../src/security/events.js';
import { ask, startApi, type TestApi } from '../../../support/admin-api.js';

let api: TestApi;
const open: { destroy(): unknown }[] = [];
beforeEach(async () => {
  api = await startApi({ plain: true });
});
afterEach(async () => {
  for (const stream of open.splice(0)) stream.destroy();
  await api.close();
});

/** A second apart: below the rate at which a cause is suppressed. */
function happen(code: SecurityEventCode, conference: string, cause = 'seen'): string {
  api.clock.now += 1_000;
  return api.journal.record(makeEvent(code, { conference, cause }), api.clock.now)!.id;
}

/** Ids of the events that a listener has been given so far. */
async function listen(
  query = '',
  lastEventId?: string,
): Promise<{ readonly ids: string[]; readonly closed: () => boolean }> {
  const ids: string[] = [];
  let text = '';
  let closed = false;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${api.tokens.viewer}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    };
    request({ host: '127.0.0.1', port: api.port, path: `/events/stream${query}`, headers, agent: false }, resolve)
      .on('error', reject)
      .end();
  });
  open.push(response);
  expect(response.headers['content-type']).toBe('text/event-stream');
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const id = lines.find((line) => line.startsWith('id: '))?.slice(4);
      if (id === undefined) continue;
      expect(JSON.parse(lines.find((line) => line.startsWith('data: '))!.slice(6)).id).toBe(id);
      ids.push(id);
    }
  });
  response.on('close', () => {
    closed = true;
  });
  return { ids, closed: () => closed };
}

describe('the live stream of events', () => {
  it('brings what happens, of the severity and conference asked for', async () => {
    const all = await listen();
    const bad = await listen('?severity=error');
    const board = await listen('?conference=board');
    const ids = [
      happen('conference-started-low', 'board'),
      happen('dtls-failed', 'lobby'),
      happen('fingerprint-mismatch', 'board'),
    ];
    await expect.poll(() => all.ids).toEqual(ids);
    await expect.poll(() => bad.ids).toEqual([ids[1], ids[2]]);
    await expect.poll(() => board.ids).toEqual([ids[0], ids[2]]);
  });

  it('resumes after the last event that was seen: none twice, none lost', async () => {
    const ids = Array.from({ length: 2_500 }, () => happen('dtls-failed', 'board'));
    const resumed = await listen('', ids[99]);
    await expect.poll(() => resumed.ids.length).toBe(2_400);
    ids.push(happen('dtls-failed', 'board'));
    await expect.poll(() => resumed.ids.length).toBe(2_401);
    expect(resumed.ids).toEqual(ids.slice(100));
    const wrong = await ask(api.port, 'GET', '/events/stream', {
      ...{ plain: true, token: api.tokens.viewer },
      headers: { 'last-event-id': '1 or 1' },
    });
    expect([wrong.status, wrong.json.errors[0].field]).toEqual([400, 'Last-Event-ID']);
  });

  it('attack: a listener that does not read - it is cut, the others get everything', async () => {
    const reader = await listen();
    const deaf: Socket = connect(api.port, '127.0.0.1');
    open.push(deaf);
    deaf.pause();
    deaf.write(`GET /events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.tokens.viewer}\r\n\r\n`);
    await expect.poll(() => api.journal.listeners).toBe(2);
    const cause = 'x'.repeat(250);
    let sent = 0;
    // The kernel's buffers take some megabytes before anything waits here.
    while (api.journal.listeners === 2 && sent < 200_000) {
      for (let i = 0; i < 200; i++, sent++) happen('dtls-failed', 'board', cause);
      await expect.poll(() => reader.ids.length).toBe(sent);
    }
    expect(api.journal.listeners).toBe(1);
    expect(sent * 250).toBeGreaterThan(ADMIN_MAX_UNREAD_STREAM_BYTES);
    expect(reader.closed()).toBe(false);
  });

  it('has so many listeners and no more', async () => {
    const stops = Array.from({ length: ADMIN_MAX_EVENT_STREAMS }, () => api.journal.listen(() => undefined));
    const one = { plain: true, token: api.tokens.viewer };
    expect((await ask(api.port, 'GET', '/events/stream', one)).status).toBe(503);
    for (const stop of stops) stop();
    await listen();
  });
});

describe('the list of events', () => {
  it('is the newest first, filtered and paged', async () => {
    const ids: string[] = [];
    for (const code of ['dtls-failed', 'conference-started-low', 'fingerprint-mismatch', 'dtls-failed'] as const) {
      ids.unshift(happen(code, code === 'dtls-failed' ? 'lobby' : 'board'));
      api.clock.now += 59_000;
    }
    const list = async (query: string): Promise<string[]> =>
      (await ask(api.port, 'GET', `/events${query}`, { plain: true, token: api.tokens.viewer })).json.map(
        (event: { id: string }) => event.id,
      );
    expect(await list('')).toEqual(ids);
    expect(await list('?limit=2')).toEqual(ids.slice(0, 2));
    expect(await list(`?limit=2&before=${ids[1]}`)).toEqual(ids.slice(2));
    expect(await list('?severity=critical')).toEqual([ids[1]]);
    expect(await list('?code=dtls-failed&conference=lobby')).toEqual([ids[0], ids[3]]);
    expect(await list('?since=2030-01-01T00:01:00Z&until=2030-01-01T00:03:00Z')).toEqual([ids[1], ids[2]]);
  });
});
