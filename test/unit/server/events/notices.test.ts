import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTls, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { SYSLOG_MAX_QUEUED, WEBHOOK_MAX_ATTEMPTS, WEBHOOK_MAX_QUEUED } from '../../../../src/base/limits.js';
import { Secret } from '../../../../src/base/secret.js';
import { makeEvent } from '../../../../src/security/events.js';
import { serverCertificate } from '../../../../src/server/certificates.js';
import type { EventRecord } from '../../../../src/server/events/record.js';
import { Syslog, syslogMessage } from '../../../../src/server/events/syslog.js';
import { Webhook } from '../../../../src/server/events/webhook.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const record = (n: number, endpoint = 'ann'): EventRecord => ({
  id: String(n),
  time: '2030-01-01T00:00:00.000Z',
  ...makeEvent('fingerprint-mismatch', {
    conference: 'board',
    endpoint,
    channel: 7,
    source: '192.0.2.1',
    cause: 'seen',
  }),
});

interface Post {
  readonly body: string;
  readonly signature: string;
}

/** Answers with the statuses given, then with 204. */
async function receiver(statuses: number[]): Promise<{ readonly url: URL; readonly posts: Post[] }> {
  const posts: Post[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      posts.push({ body, signature: String(request.headers['claviger-signature']) });
      response.writeHead(statuses.shift() ?? 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
  );
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`), posts };
}

function webhook(url: URL, lost: string[] = []): Webhook {
  const made = new Webhook({
    ...{ url, secret: new Secret(Uint8Array.from(Buffer.from('a secret of the test'))), now: () => 1_893_456_000_000 },
    onLost: (detail) => void lost.push(detail),
    retryInitialMs: 1,
  });
  ends.push(() => made.close());
  return made;
}

describe('the webhook', () => {
  it('posts each event once, in order, signed; what is not taken is posted again', async () => {
    const { url, posts } = await receiver([500, 503]);
    const hook = webhook(url);
    for (const n of [1, 2, 3]) hook.send(record(n));
    await expect.poll(() => posts.map((post) => JSON.parse(post.body).id)).toEqual(['1', '1', '1', '2', '3']);
    for (const { body, signature } of posts) {
      const expected = createHmac('sha256', 'a secret of the test').update(`1893456000.${body}`).digest('hex');
      expect(signature).toBe(`t=1893456000,v1=${expected}`);
    }
    expect(JSON.parse(posts[0]!.body)).toEqual(record(1));
    await expect.poll(() => hook.queued).toBe(0);
  });

  it('gives an event up after so many attempts, says so, and goes on with the next', async () => {
    const { url, posts } = await receiver(Array.from({ length: WEBHOOK_MAX_ATTEMPTS }, () => 500));
    const lost: string[] = [];
    const hook = webhook(url, lost);
    hook.send(record(1));
    hook.send(record(2));
    await expect.poll(() => posts.at(-1) && JSON.parse(posts.at(-1)!.body).id, { timeout: 10_000 }).toBe('2');
    expect(posts).toHaveLength(WEBHOOK_MAX_ATTEMPTS + 1);
    expect(lost).toEqual([`event 1: status 500, ${WEBHOOK_MAX_ATTEMPTS} attempts`]);
  });

  it('keeps so many for a receiver that is not there, and no more', async () => {
    const { url } = await receiver([]);
    url.port = '9'; // discard: nobody listens there
    const lost: string[] = [];
    const hook = webhook(url, lost);
    for (let n = 0; n < WEBHOOK_MAX_QUEUED + 5; n++) hook.send(record(n));
    expect([hook.queued, lost.length]).toEqual([WEBHOOK_MAX_QUEUED, 5]);
  });
});

describe('syslog', () => {
  it('is RFC 5424 with the event as structured data, whatever is in a name', () => {
    expect(syslogMessage(record(5), 'host', 42)).toBe(
      '<106>1 2030-01-01T00:00:00.000Z host claviger 42 fingerprint-mismatch [event@32473 id="5" code="fingerprint-mismatch" ' +
        'conference="board" endpoint="ann" source="192.0.2.1" channel="7" remedy="somebody may be in the middle: check the ' +
        'path of signalling and media before the endpoint dials again"] the DTLS certificate of ann on channel 7 is not the ' +
        'one announced in its SDP: seen',
    );
    expect(syslogMessage({ ...record(5), endpoint: 'a"] [x\\' }, 'host', 42)).toContain('endpoint="a\\"\\] [x\\\\"');
  });

  it('goes over TLS, one counted frame a message, also after the connection was lost', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const { certificatePem, keyPem, caFile } = await serverCertificate(folder, 'log', Date.now());
    const sockets: TLSSocket[] = [];
    let text = '';
    const server: TlsServer = createTls({ cert: certificatePem, key: keyPem }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    const lost: string[] = [];
    const make = (caPem: string, reconnectMs: number): Syslog => {
      const made = new Syslog({
        host: '127.0.0.1',
        port,
        caPem,
        onLost: (detail) => void lost.push(detail),
        reconnectMs,
      });
      ends.push(() => made.close());
      return made;
    };
    const syslog = make(readFileSync(caFile!, 'utf8'), 1);
    const ids = (): string[] => {
      const found: string[] = [];
      let rest = text;
      for (let at = rest.indexOf(' '); at > 0; at = rest.indexOf(' ')) {
        const length = Number(rest.slice(0, at));
        found.push(/ id="(\d+)"/.exec(rest.slice(at + 1, at + 1 + length))![1]!);
        rest = rest.slice(at + 1 + length);
      }
      return found;
    };
    syslog.send(record(1));
    syslog.send(record(2, 'room é'));
    await expect.poll(ids).toEqual(['1', '2']);
    sockets[0]!.destroy();
    await expect.poll(() => sockets.length).toBe(2);
    syslog.send(record(3));
    await expect.poll(ids).toEqual(['1', '2', '3']);

    // Attack: somebody else's server. It gets nothing.
    const stranger = await serverCertificate(join(folder, 'other'), 'log', Date.now());
    const before = text;
    const wary = make(readFileSync(stranger.caFile!, 'utf8'), 60_000);
    wary.send(record(4));
    await expect.poll(() => lost.filter((detail) => /certificate|verify/.test(detail)).length).toBe(1);
    expect([text, wary.queued]).toEqual([before, 1]);
    for (let n = 0; n < SYSLOG_MAX_QUEUED + 3; n++) wary.send(record(n));
    expect(wary.queued).toBe(SYSLOG_MAX_QUEUED);
  });
});
