import { timingSafeEqual } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import {
  ADMIN_MAX_BODY_BYTES,
  ADMIN_MAX_CONNECTIONS_PER_ADDRESS,
  ADMIN_REQUEST_BURST,
} from '../../../../src/base/limits.js';
import { createConference, reduce } from '../../../../src/conference/reduce.js';
import { createSelfSigned } from '../../../../src/dtls/certificate.js';
import { allows, ROLES } from '../../../../src/server/admin/credentials.js';
import { ROUTES } from '../../../../src/server/admin/routes.js';
import { problemSchema } from '../../../../src/server/admin/schemas.js';
import { VIDEO_CODECS } from '../../../../src/sip/codecs.js';
import { type Asked, ask, startApi, type TestApi } from '../../../support/admin-api.js';

let api: TestApi;
afterEach(() => api.close());

/** Every route with parameters that are valid; what is behind them need not exist. */
const paths = ROUTES.map((route) => ({
  route,
  path: route.path
    .replace('{conference}', 'board')
    .replace('{call}', '1')
    .replace(/\{\w+\}/g, '7'),
}));

async function get(path: string, asked: Asked = { token: api.tokens.admin }) {
  return ask(api.port, 'GET', path, asked);
}

/** A problem that names exactly these fields. */
function named(answer: { readonly status: number; readonly json: unknown }): readonly string[] {
  const found = problemSchema.parse(answer.json);
  expect(found.status).toBe(answer.status);
  return (found.errors ?? []).map((error) => error.field);
}

describe('who may', () => {
  it('without a token, with a wrong one or with another scheme: 401 on every route, and on paths that there are not', async () => {
    api = await startApi();
    const bodies = new Set<string>();
    for (const { route, path } of [...paths, { route: { method: 'GET' }, path: '/no/such/path' }]) {
      for (const headers of [
        {},
        { authorization: 'Bearer clv_wrong' },
        { authorization: `Basic ${api.tokens.admin}` },
      ]) {
        const answer = await ask(api.port, route.method, path, { headers });
        expect([path, answer.status, answer.headers['www-authenticate']]).toEqual([
          path,
          401,
          'Bearer realm="claviger"',
        ]);
        expect(answer.headers['content-type']).toBe('application/problem+json');
        bodies.add(answer.text);
        api.clock.now += 10_000; // the address's bucket fills again
      }
    }
    expect(bodies.size).toBe(1);
    expect(api.commands).toEqual([]);
  });

  it('attack: guessing by the time of an answer - the same work is done for a missing, malformed, wrong and right token', async () => {
    const compared: number[] = [];
    api = await startApi({
      compare: (a, b) => {
        compared.push(a.length + b.length);
        return timingSafeEqual(a, b);
      },
    });
    const work: number[][] = [];
    for (const token of [undefined, 'x', 'clv_wrong', '"', 'a'.repeat(4_000), api.tokens.viewer, api.tokens.admin]) {
      await get('/whoami', { token });
      work.push(compared.splice(0));
    }
    for (const done of work) expect(done).toEqual([64, 64, 64]);
  });

  it('each role what it may, and 403 where it may not, before the request is looked at', async () => {
    api = await startApi();
    for (const { route, path } of paths) {
      if (route.answers[200]?.mediaType !== undefined) continue; // the stream does not end
      for (const role of ROLES) {
        const { status } = await ask(api.port, route.method, path, { token: api.tokens[role] });
        expect([route.operationId, role, status === 403]).toEqual([route.operationId, role, !allows(role, route.role)]);
        api.clock.now += 1_000;
      }
    }
  });

  it('a client certificate counts by its subject, one of another issuer does not', async () => {
    const pemOf = async (name: string) => {
      const { certificatePem, privateKeyPem } = await createSelfSigned(name, Date.now());
      return { cert: certificatePem, key: privateKeyPem.use((bytes) => Buffer.from(bytes).toString()) };
    };
    const ann = await pemOf('ann.example');
    api = await startApi({ clientCaPem: ann.cert, certificates: [{ subject: 'ann.example', role: 'operator' }] });
    const known = await get('/whoami', { tls: ann });
    expect([known.status, known.json]).toEqual([200, { name: 'ann.example', role: 'operator' }]);
    expect((await get('/whoami', { tls: await pemOf('ann.example') })).status).toBe(401);
    expect((await get('/whoami', {})).status).toBe(401);
    expect((await get('/whoami', { token: api.tokens.viewer })).status).toBe(200);
  });

  it('over plain HTTP: health and metrics for everybody, the API only where it is configured', async () => {
    api = await startApi();
    const plain = async (path: string, method = 'GET') =>
      (await ask(api.port, method, path, { plain: true, token: api.tokens.admin })).status;
    expect([await plain('/health/live'), await plain('/health/ready'), await plain('/metrics')]).toEqual([
      200, 200, 200,
    ]);
    expect([await plain('/whoami'), await plain('/openapi.json'), await plain('/health/live', 'POST')]).toEqual([
      403, 403, 403,
    ]);
    api.ready = false;
    expect([await plain('/health/live'), await plain('/health/ready')]).toEqual([200, 503]);
    expect((await get('/health/ready', {})).status).toBe(503);
    await api.close();
    api = await startApi({ plain: true });
    expect(await plain('/whoami')).toBe(200);
  });

  it('an address that asks too often: 429 with Retry-After, until its bucket has filled again', async () => {
    api = await startApi();
    const statuses: number[] = [];
    for (let i = 0; i <= ADMIN_REQUEST_BURST; i++) statuses.push((await get('/whoami')).status);
    expect(statuses.indexOf(429)).toBe(ADMIN_REQUEST_BURST);
    expect((await get('/whoami')).headers['retry-after']).toBe('1');
    api.clock.now += 1_000;
    expect((await get('/whoami')).status).toBe(200);
  });
});

describe('what is not valid', () => {
  it.each([
    [{}, ['name']],
    [{ name: 'a/b' }, ['name']],
    [{ name: 'x'.repeat(65) }, ['name']],
    [{ name: 'a', policy: 'lax' }, ['policy']],
    [{ name: 'a', requiredLevel: 'unknown' }, ['requiredLevel']],
    [{ name: 'a', policy: 'non-secure', requiredLevel: 'end-to-end' }, ['requiredLevel']],
    [{ name: 'a', suite: 2 }, ['suite']],
    [{ name: 'a', suite: '1' }, ['suite']],
    [{ name: 'a', codecs: { audio: ['opus', 'mp3'] } }, ['codecs.audio.1']],
    [{ name: 'a', codecs: { video: [] } }, ['codecs.video']],
    [{ name: 'a', polcy: 'secure', __proto__x: 1 }, ['polcy', '__proto__x']],
    [{ name: 1, policy: 2, suite: 3 }, ['name', 'policy', 'suite']],
    [[], ['']],
    ['null', ['']],
    ['{"name":', ['']],
  ])('a conference made with %j: 400 that names %j', async (body, fields) => {
    api = await startApi();
    const answer = await ask(api.port, 'POST', '/conferences', { token: api.tokens.operator, body });
    expect(answer.status).toBe(400);
    expect(named(answer)).toEqual(fields);
    expect(answer.json.errors[0].pointer).toBe(fields[0] === '' ? '#' : `#/${fields[0]!.replaceAll('.', '/')}`);
    expect(api.commands).toEqual([]);
  });

  it.each([
    ['/events?limit=0', 'limit'],
    ['/events?limit=1e3', 'limit'],
    ['/events?limit=1&limit=2', 'limit'],
    ['/events?since=yesterday', 'since'],
    ['/events?code=no-such', 'code'],
    ['/events?servity=warn', 'servity'],
    ['/conferences?level=high', 'level'],
    ['/whoami?x=1', 'x'],
    ['/conferences/a%20b', 'conference'],
    ['/conferences/board/members/0', 'member'],
  ])('%s: 400 that names %s', async (path, field) => {
    api = await startApi();
    const method = path.includes('/members/') ? 'DELETE' : 'GET';
    const answer = await ask(api.port, method, path, { token: api.tokens.admin });
    expect(answer.status).toBe(400);
    expect(named(answer)).toEqual([field]);
  });

  it('another media type 415, a body that is too large 413, a wrong method 405 with Allow, an unknown path 404', async () => {
    api = await startApi();
    const { admin: token } = api.tokens;
    const post = (asked: Asked) => ask(api.port, 'POST', '/conferences', { token, ...asked });
    expect((await post({ body: 'name=a', headers: { 'content-type': 'text/plain' } })).status).toBe(415);
    expect((await post({})).status).toBe(415);
    expect((await post({ body: { name: 'a'.repeat(ADMIN_MAX_BODY_BYTES) } })).status).toBe(413);
    const wrong = await ask(api.port, 'PATCH', '/conferences', { token });
    expect([wrong.status, wrong.headers.allow]).toEqual([405, 'GET, POST']);
    expect((await get('/no/such/path')).status).toBe(404);
    expect((await get('/conferences/%zz')).status).toBe(404);
    expect(api.problems).toEqual([]);
  });

  it('attack: holding all connections - one address gets its share, and what says nothing is closed', async () => {
    api = await startApi();
    const { connect } = await import('node:net');
    let closed = 0;
    const sockets = Array.from({ length: ADMIN_MAX_CONNECTIONS_PER_ADDRESS + 20 }, () => {
      const socket = connect(api.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => closed++);
      socket.resume();
      return socket;
    });
    await expect.poll(() => closed).toBe(20);
    sockets[0]!.destroy();
    await expect
      .poll(() =>
        get('/whoami').then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
    await expect.poll(() => closed).toBe(sockets.length);
  });

  it('attack: whatever is said to the port, it goes on', async () => {
    api = await startApi();
    const { connect } = await import('node:net');
    for (const bytes of [
      '',
      '\x00',
      '\x16',
      '\x16\x03\x01\xff\xff',
      'GET',
      'GET / HTTP/1.1\r\n\r\n\r\n',
      '\r\n\r\n\r\n',
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(api.port, '127.0.0.1', () => socket.end(Buffer.from(bytes, 'latin1')));
        socket.resume();
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
      });
    }
    expect((await get('/whoami')).status).toBe(200);
  });
});

describe('what is answered', () => {
  it('fits its schema on every route that answers with a body', async () => {
    api = await startApi();
    const state = createConference({ id: 1, name: 'board', policy: 'secure', requiredLevel: 'end-to-end' });
    if (!state.ok) throw new Error(state.reason);
    const settings = { policy: 'secure', requiredLevel: 'end-to-end', suite: 1 } as const;
    api.views.set('board', { name: 'board', origin: 'dialled', settings, state: state.value });
    const bodies: Readonly<Record<string, unknown>> = {
      createConference: { name: 'new' },
      startDrain: {},
      dial: { target: '4711' },
      controlConference: { locked: true },
      checkConfiguration: { toml: '[sip]\nport = 1\n' },
    };
    let seen = 0;
    for (const { route, path } of paths) {
      const [status, answer] = Object.entries(route.answers)[0]!;
      if (answer.schema === undefined || path.includes('/members/')) continue;
      const given = await ask(api.port, route.method, path, {
        token: api.tokens.admin,
        body: bodies[route.operationId],
      });
      expect([route.operationId, given.status]).toEqual([route.operationId, Number(status)]);
      answer.schema.parse(given.json);
      seen++;
    }
    expect(seen).toBeGreaterThanOrEqual(10);
  });

  it('a conference is made once, shown, and ended', async () => {
    api = await startApi();
    const token = api.tokens.operator;
    const more = { policy: 'non-secure', codecs: { audio: ['PCMU'] }, switching: 'segment', suite: 1 };
    const make = (name: string) => ask(api.port, 'POST', '/conferences', { token, body: { name, ...more } });
    const made = await make('lobby');
    expect([made.status, made.headers.location]).toEqual([201, '/conferences/lobby']);
    expect(made.json).toMatchObject({ name: 'lobby', origin: 'created', policy: 'non-secure', requiredLevel: 'none' });
    expect(api.commands[0]).toMatchObject({
      type: 'create-conference',
      settings: { ...more, requiredLevel: 'none', codecs: { audio: ['PCMU'], video: [...VIDEO_CODECS] } },
    });
    expect((await make('lobby')).status).toBe(409);
    expect((await get('/conferences/lobby')).json).toMatchObject({ level: 'unknown', members: [] });
    expect((await get('/conferences/none')).status).toBe(404);
    expect((await ask(api.port, 'DELETE', '/conferences/lobby', { token })).status).toBe(204);
    expect((await ask(api.port, 'DELETE', '/conferences/lobby/members/3', { token })).status).toBe(404);
    expect(api.commands.map(({ type }) => type)).toEqual(['create-conference', 'end-conference']);
    await make('b');
    await make('c');
    expect((await make('d')).status).toBe(503);
  });

  it('in-meeting controls reach the conference, and only one in which somebody is', async () => {
    api = await startApi();
    const token = api.tokens.operator;
    const patch = (path: string, body: unknown) => ask(api.port, 'PATCH', path, { token, body });
    const settings = { policy: 'secure', requiredLevel: 'end-to-end' } as const;
    api.views.set('empty', { name: 'empty', origin: 'created', settings, state: undefined });
    expect((await patch('/conferences/empty', { locked: true })).status).toBe(409);
    const created = createConference({ id: 1, name: 'board', ...settings });
    if (!created.ok) throw new Error(created.reason);
    const { state } = reduce(
      created.value,
      { type: 'join', member: 4, name: 'ann', channels: [{ channel: 5, media: 'video', security: 'dtls' }] },
      0,
    );
    api.views.set('board', { name: 'board', origin: 'dialled', settings, state });
    expect((await patch('/conferences/board', { locked: true, switching: 'segment' })).status).toBe(200);
    expect((await patch('/conferences/board/members/4', { muted: { audio: true, video: false } })).status).toBe(204);
    expect((await patch('/conferences/board/members/5', { muted: { audio: true } })).status).toBe(404);
    expect((await ask(api.port, 'POST', '/conferences/board/rekey', { token })).status).toBe(202);
    expect((await ask(api.port, 'DELETE', '/conferences/board/members/4', { token })).status).toBe(204);
    for (const body of [{}, { locked: 'yes' }, { mode: 'site' }])
      expect((await patch('/conferences/board', body)).status).toBe(400);
    for (const body of [{}, { muted: {} }, { muted: { audio: 1 } }])
      expect(named(await patch('/conferences/board/members/4', body))[0]).toMatch(/^muted/);
    expect(api.operated.every(({ conference }) => conference === 'board')).toBe(true);
    expect(api.operated.map(({ event }) => event)).toEqual([
      { type: 'lock', locked: true },
      { type: 'set-switching', mode: 'segment' },
      { type: 'mute', member: 4, media: 'audio', muted: true },
      { type: 'mute', member: 4, media: 'video', muted: false },
      { type: 'rekey' },
      { type: 'drop', member: 4 },
    ]);
  });

  it('draining refuses new conferences, and can be taken back', async () => {
    api = await startApi();
    const { admin: token } = api.tokens;
    const drain = await ask(api.port, 'PUT', '/drain', { token, body: { deadlineSeconds: 3_600 } });
    expect(drain.json).toEqual({ draining: true, deadline: '2030-01-01T01:00:00.000Z', conferences: 0 });
    expect((await ask(api.port, 'POST', '/conferences', { token, body: { name: 'a' } })).status).toBe(503);
    expect((await ask(api.port, 'DELETE', '/drain', { token })).json).toMatchObject({
      draining: false,
      deadline: null,
    });
    expect((await ask(api.port, 'POST', '/conferences', { token, body: { name: 'a' } })).status).toBe(201);
    expect(api.drained).toEqual(['on', 'off']);
    await ask(api.port, 'PUT', '/drain', { token, body: { deadlineSeconds: 0 } });
    await expect.poll(() => api.drained).toEqual(['on', 'off', 'on', 'end']);
  });

  it('a configuration is checked with path and what is allowed, and nothing is changed', async () => {
    api = await startApi();
    const check = async (toml: string) =>
      (await ask(api.port, 'POST', '/configuration/check', { token: api.tokens.admin, body: { toml } })).json;
    expect(await check('[sip]\nport = 5071\n')).toEqual({ valid: true, problems: [] });
    const wrong = await check('[sip]\nport = 99999\n');
    expect(wrong.valid).toBe(false);
    expect(wrong.problems[0]).toContain('sip.port: not allowed here; allowed: a whole number from 0 to 65535');
  });
});

describe('the OpenAPI document', () => {
  it('is 3.1, has every route with its role, and takes its schemas from the routes', async () => {
    api = await startApi();
    const { json: document } = await get('/openapi.json', {});
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.entries<Record<string, { operationId: string }>>(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })),
    );
    expect(operations.map((o) => o.operationId).sort()).toEqual(ROUTES.map((r) => r.operationId).sort());
    expect(new Set(operations.map((o) => o.operationId)).size).toBe(ROUTES.length);
    const create = document.paths['/conferences'].post;
    const body = create.requestBody.content['application/json'].schema;
    expect(body.properties.policy.enum).toEqual(['secure', 'best-effort', 'non-secure']);
    expect([body.required, body.additionalProperties]).toEqual([['name'], false]);
    expect(Object.keys(create.responses)).toEqual([
      '201',
      '400',
      '401',
      '403',
      '409',
      '413',
      '415',
      '429',
      '500',
      '503',
    ]);
    const limit = document.paths['/events'].get.parameters.find((p: { name: string }) => p.name === 'limit');
    expect(limit).toMatchObject({
      in: 'query',
      required: false,
      schema: { type: 'integer', minimum: 1, default: 100 },
    });
    for (const { path } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
      for (const item of Object.values<{ parameters: { in: string; name: string }[] }>(document.paths[path])) {
        expect(item.parameters.filter((p) => p.in === 'path').map((p) => p.name)).toEqual(inPath);
      }
    }
    expect(JSON.stringify(document)).not.toContain('"$ref":"#/$defs');
  });
});
