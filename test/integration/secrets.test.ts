/** Key material that leaks: nothing that the switch says while it runs holds a key that the run used. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyLogEntry } from '../../src/endpoint/index.js';
import { SipConnection } from '../../src/endpoint/sip-connection.js';
import { ROUTES } from '../../src/server/admin/routes.js';
import { parseSipUri } from '../../src/wire/sip-uri.js';
import { ask } from '../support/admin-api.js';
import { dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
const ends: (() => void)[] = [];
afterEach(async () => {
  await host?.stop();
  host = undefined;
  for (const end of ends.splice(0)) end();
});

/** A secret in the spellings in which it could slip into text. */
function spellings(bytes: Buffer): string[] {
  const hex = bytes.toString('hex');
  return [
    ...[hex, hex.toUpperCase(), bytes.toString('base64'), bytes.toString('base64url'), [...bytes].join(',')],
    bytes.toString('latin1'),
  ];
}

/** Everything that a webhook gets. */
async function receiver(): Promise<{ readonly url: string; readonly heard: () => string }> {
  let heard = '';
  const server = createServer((request, response) => {
    heard += JSON.stringify(request.headers);
    request.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
    });
    request.on('end', () => response.writeHead(204).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => void server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, heard: () => heard };
}

/** Every answer of the API that there is, those to wrong requests too. */
async function askEverything(port: number, token: string, conference: string): Promise<string[]> {
  const answers: string[] = [];
  const add = async (method: string, path: string, asked: Parameters<typeof ask>[3]): Promise<void> => {
    const { headers, text } = await ask(port, method, path, asked);
    answers.push(JSON.stringify(headers), text);
  };
  for (const { method, path, answers: expected } of ROUTES) {
    // Not what ends the run, and not the stream, which does not end.
    if (method === 'DELETE' || method === 'PUT' || expected[200]?.mediaType !== undefined) continue;
    const filled = path.replace('{conference}', conference).replace(/\{\w+\}/g, '1');
    await add(method, filled, { token, body: {} });
    await add(method, filled, { token: `${token}x` });
    await add(method, `${filled}?token=${token}`, {});
  }
  await add('POST', '/configuration/check', { token, body: { toml: '[tls]\nkey = 7\n' } });
  for (const path of ['/metrics', '/health/ready', '/openapi.json', '/', '/no/such/path'])
    await add('GET', path, { token });
  return answers;
}

/** An offer with keys in SDP that nobody takes; gives the status of the refusal. */
async function refusedOffer(to: { readonly target: string; readonly caPem: string }, crypto: string): Promise<string> {
  const { host: name, port } = parseSipUri(to.target)!;
  return new Promise((resolve, reject) => {
    SipConnection.open({
      ...{ host: name, port: port!, caPem: to.caPem, timeoutMs: 10_000, tip: false },
      onOutput: (output) => {
        if (output.type === 'failed') resolve(JSON.stringify(output));
        if (output.type === 'answered') reject(new Error('it was taken'));
      },
    }).then((connection) => {
      ends.push(() => connection.close());
      const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
      lines.push('m=audio 40000 RTP/SAVP 0', `a=crypto:${crypto}`, 'a=rtcp-mux');
      connection.invite(to.target, 'sips:mallory@127.0.0.1', `${lines.join('\r\n')}\r\n`);
    }, reject);
  });
}

describe('a leak of keys', () => {
  it('into log, events, API, metrics, audit store, webhook or errors: none, in a run with joins, refusals and leaves', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const data = join(folder, 'data');
    const webhookSecret = 'kept between the two of us';
    writeFileSync(join(folder, 'secret'), webhookSecret);
    const webhook = await receiver();
    const configuration = join(folder, 'claviger.toml');
    writeFileSync(configuration, '[[conferences.fixed]]\nname = "lobby"\npolicy = "best-effort"\n');
    host = await startSwitch(
      {
        'data-dir': data,
        'events-webhook-url': webhook.url,
        'events-webhook-secret-file': join(folder, 'secret'),
      },
      configuration,
    );
    const to = { target: host.target('8000'), caPem: host.caPem };
    const keys: KeyLogEntry[] = [];
    const errors: unknown[] = [];
    const onKeys = (_: unknown, entry: KeyLogEntry): void => void keys.push(entry);
    const alice = await dial(to, { name: 'alice', onKeys });
    const bob = await dial(to, { name: 'bob', onKeys });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await dial(to, { name: 'plain', security: 'plain' }).catch((error: unknown) => errors.push(error));
    errors.push(await dial(to, { name: 'old', tipVersion: 6 }).then((c) => c.call.ended));
    await until('media flows', () => bob.received.length > 50);
    // Keys in SDP: in force, renewed, refused, malformed.
    const lobby = { target: host.target('lobby'), caPem: host.caPem };
    const inSdp = await Promise.all(['carol', 'dave'].map((name) => dial(lobby, { name, security: 'sdes', onKeys })));
    await inSdp[0]!.call.renew();
    await until('media flows there too', () => inSdp[0]!.received.length > 50);
    const inline = [30, 30, 31].map((length, i) => Buffer.alloc(length, `offered ${i} in vain`));
    for (const [i, suite] of ['_80', '_80 UNENCRYPTED_SRTP', '_32'].entries()) {
      const [name, parameter = ''] = suite.split(' ');
      const crypto = `1 AES_CM_128_HMAC_SHA1${name} inline:${inline[i]!.toString('base64')} ${parameter}`;
      errors.push(await refusedOffer(to, crypto));
    }
    const token = readFileSync(host.running.adminTokenFile!, 'utf8').trim();
    const { port } = host.running.admin;
    const answers = [...(await askEverything(port, token, '8000')), ...(await askEverything(port, token, 'lobby'))];
    for (const { call } of inSdp) await call.hangup();
    await alice.call.hangup();
    await bob.call.hangup();
    await until(
      'the webhook has all of them',
      () => webhook.heard().split('"code":').length - 1 === host!.events.length,
    );

    const stored = readdirSync(data).filter((name) => name.startsWith('audit.db') && !name.endsWith('.lock'));
    const said = [
      ...host.log,
      ...host.events.map((e) => JSON.stringify(e)),
      ...answers,
      ...errors.map((e) => `${JSON.stringify(e)} ${e instanceof Error ? `${e.message} ${e.stack}` : ''}`),
      webhook.heard(),
      ...stored.map((name) => readFileSync(join(data, name), 'latin1')),
    ].join('\n');
    expect(host.events.length).toBeGreaterThanOrEqual(2);
    expect(said).toContain('security-mismatch');
    expect(stored).toContain('audit.db-wal');
    const hex = keys.flatMap((k) =>
      k.kind === 'channel-keys'
        ? [k.local, k.remote]
        : k.kind === 'group-parameter-set'
          ? [k.kek, k.masterSalt]
          : [k.key],
    );
    expect(hex.length).toBeGreaterThanOrEqual(24);
    // Halves too: of channel keys, the key without its salt.
    const all = [...hex, ...inline.map((key) => key.toString('hex'))];
    const secrets = new Set(all.flatMap((s) => [s, s.slice(0, 32)]));
    for (const secret of secrets) {
      for (const spelling of spellings(Buffer.from(secret, 'hex'))) expect(said.includes(spelling)).toBe(false);
    }
    const pem = ['ca-key.pem', 'server-key.pem'].map((name) => readFileSync(join(data, name), 'utf8'));
    // Each line of a private key by itself; the first and the last say only what it is.
    const lines = pem.flatMap((text) => text.split('\n').filter((line) => line.length > 20 && !line.startsWith('-')));
    expect(lines.length).toBeGreaterThanOrEqual(4);
    for (const line of [...lines, webhookSecret, token]) expect(said.includes(line)).toBe(false);
  });
});
