/** An endpoint that registers over TLS is called on that connection, and is remembered over a restart. */
import { readFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.js';
import { hashCredentials } from '../../src/sip/digest.js';
import { answerChallenge } from '../../src/sip/digest-client.js';
import { parseDigest } from '../../src/wire/sip-auth.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { until } from '../support/running-switch.js';

let place: Place;
const sockets: TLSSocket[] = [];

beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await place.close();
});

const SHA256 = hashCredentials('SHA-256', 'ann', 'claviger', 'pw');
const CONFIG = `[registrar]\nenabled = true\n[[digest.users]]\nname = "ann"\nsha256 = "${SHA256}"\n`;

interface Endpoint {
  readonly socket: TLSSocket;
  readonly text: () => string;
}

async function endpoint(port: number): Promise<Endpoint> {
  let text = '';
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const made = connect({ host: '127.0.0.1', port, ca: place.root.pem }, () => resolve(made));
    made.on('error', reject);
  });
  sockets.push(socket);
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  return { socket, text: () => text };
}

function say({ socket }: Endpoint, sequence: number, extra = ''): void {
  socket.write(
    `REGISTER sip:switch.example SIP/2.0\r\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK${sequence}\r\nFrom: <sip:ann@switch.example>;tag=1\r\n` +
      `To: <sip:ann@switch.example>\r\nCall-ID: r\r\nCSeq: ${sequence} REGISTER\r\nMax-Forwards: 70\r\nSupported: outbound\r\n` +
      `Contact: <sip:ann@192.0.2.1:5099;transport=tls>;reg-id=1;+sip.instance="<urn:uuid:7>"\r\n${extra}Content-Length: 0\r\n\r\n`,
  );
}

async function register(ann: Endpoint, sequence = 1): Promise<void> {
  say(ann, sequence);
  await until('a challenge', () => ann.text().includes('401 Unauthorized'));
  const value = /^WWW-Authenticate: (.*)\r$/m.exec(ann.text())![1]!;
  expect(parseDigest(value)?.get('algorithm')).toBe('SHA-256');
  const response = { status: 401, headers: [{ name: 'www-authenticate', value }] } as unknown as Parameters<
    typeof answerChallenge
  >[1];
  const account = { user: 'ann', hashed: { 'SHA-256': new Secret(new TextEncoder().encode(SHA256)) } };
  const draft = { method: 'REGISTER', uri: 'sip:switch.example', headers: [] };
  const again = answerChallenge(draft, response, () => account, { attempt: 0, sequence: 2, cnonce: 'c' })!;
  const answer = again.headers.find((h) => h.name === 'authorization')!.value;
  say(ann, sequence + 1, `Authorization: ${answer}\r\n`);
  await until('200', () => ann.text().includes('SIP/2.0 200 OK'));
}

it('is called on its own connection, with its Contact as Request-URI, also after a restart when it has registered again', async () => {
  let running = await place.start(CONFIG);
  const ann = await endpoint(running.sip.port);
  await register(ann);
  expect(ann.text()).toContain('reg-id=1');
  const stored = JSON.parse(readFileSync(place.file('data/registrations.json'), 'utf8'));
  expect(stored).toMatchObject([{ user: 'ann', flow: { instance: '<urn:uuid:7>', id: 1 } }]);
  expect(readFileSync(place.file('data/registrations.json'), 'utf8')).not.toContain(SHA256);
  expect(running.dial({ conference: 'board', target: 'ann' }).ok).toBe(true);
  await until('INVITE', () => ann.text().includes('INVITE sip:ann@192.0.2.1:5099;transport=tls SIP/2.0'));
  expect(running.dial({ conference: 'board', target: 'bob' })).toMatchObject({ ok: false, reason: 'trunk' });

  await running.stop();
  expect(JSON.parse(readFileSync(place.file('data/registrations.json'), 'utf8'))).toHaveLength(1);
  running = await place.start(CONFIG);
  // Its connection is gone, so it cannot be called yet.
  expect(running.dial({ conference: 'board', target: 'ann' }).ok).toBe(false);
  const back = await endpoint(running.sip.port);
  await register(back, 10);
  expect(running.dial({ conference: 'board', target: 'ann' }).ok).toBe(true);
  await until('INVITE', () => back.text().includes('INVITE sip:ann@192.0.2.1:5099'));
  back.socket.destroy();
  await until('the flow is over', () => !running.dial({ conference: 'board', target: 'ann' }).ok);
});
