/** Calls by SIP over secure WebSocket into a running switch, played by hand: called and calling, and how they end. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.js';
import type { Switch } from '../../src/server/switch.js';
import { hashCredentials } from '../../src/sip/digest.js';
import { answerChallenge } from '../../src/sip/digest-client.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { until } from '../support/running-switch.js';
import { openWebSocket, type WebSocketPeer } from '../support/websocket-peer.js';

let place: Place;
const peers: WebSocketPeer[] = [];

beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.terminate();
  await place.close();
});

const HOST = 'df7jal23ls0d.invalid';
const SDP = `v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n`;
const POLICY = '[conferences]\npolicy = "non-secure"\n';
const start = (toml = ''): Promise<Switch> => place.start(`${POLICY}${toml}`, '', 'wssPort = 0');

async function open(running: Switch): Promise<WebSocketPeer> {
  const peer = await openWebSocket(running.sip.wssPort!, place.root.pem);
  peers.push(peer);
  return peer;
}

/** A request as a browser writes it: no address anywhere, no Content-Length. */
function request(
  method: string,
  sequence: number,
  fields: { uri?: string; to?: string; extra?: string; body?: string } = {},
) {
  const { uri = 'sip:lobby@switch.example', to = `<${uri}>`, extra = '', body = '' } = fields;
  const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
  return (
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/WSS ${HOST};branch=z9hG4bK${method}${sequence}\r\nFrom: <sip:ann@switch.example>;tag=1\r\n` +
    `To: ${to}\r\nCall-ID: r\r\nCSeq: ${sequence} ${method}\r\nMax-Forwards: 70\r\nSupported: outbound, path\r\n` +
    `Contact: <sip:ann@${HOST};transport=ws>;reg-id=1;+sip.instance="<urn:uuid:7>"\r\n${extra}${type}\r\n${body}`
  );
}

const lineOf = (message: string, name: string): string => new RegExp(`^${name}: (.*)\\r$`, 'm').exec(message)![1]!;

async function calls(peer: WebSocketPeer): Promise<string> {
  peer.say(request('INVITE', 1, { body: SDP }));
  const ok = await peer.expect('SIP/2.0 200');
  peer.say(request('ACK', 1, { to: lineOf(ok, 'To') }));
  return ok;
}

it('calls, is answered, re-invited and hung up on over its own connection', async () => {
  const running = await start();
  const ann = await open(running);
  const ok = await calls(ann);
  expect(lineOf(ok, 'Via')).toMatch(new RegExp(`^SIP/2.0/WSS ${HOST};branch=z9hG4bKINVITE1`));
  expect(lineOf(ok, 'Contact')).toContain(`<sip:127.0.0.1:${running.sip.wssPort};transport=ws>`);
  expect(ok).toMatch(/m=audio \d+ RTP\/AVP/);
  await until('a member', () => running.conferenceLevel('lobby') === 'none');
  await running.stop();
  const bye = await ann.expect(`BYE sip:ann@${HOST};transport=ws SIP/2.0`);
  expect(lineOf(bye, 'Via')).toContain(`SIP/2.0/WSS 127.0.0.1:${running.sip.wssPort}`);
  await until('closed', () => ann.ended.code === 1_001);
});

it('a connection that is closed, or breaks, ends its call', async () => {
  const running = await start();
  for (const end of ['close', 'terminate'] as const) {
    const ann = await open(running);
    await calls(ann);
    await until('a member', () => running.conferenceLevel('lobby') === 'none');
    ann.socket[end]();
    await until('nobody', () => running.conferenceLevel('lobby') === undefined);
  }
});

it('two of them talk SIP at once, each on its own connection; nobody reaches the other’s call', async () => {
  const running = await start();
  const [ann, eve] = [await open(running), await open(running)];
  const ok = await calls(ann);
  const to = lineOf(ok, 'To');
  eve.say(request('BYE', 2, { to: to.replace(/tag=.*/, 'tag=guessed') }));
  expect(await eve.expect('SIP/2.0')).toContain('481');
  ann.say(request('BYE', 2, { to }));
  await ann.expect('SIP/2.0 200 OK', 2);
  expect(eve.heard).toHaveLength(1);
});

it('registers with digest, is called on its connection, and not any more when that is closed', async () => {
  const sha256 = hashCredentials('SHA-256', 'ann', 'claviger', 'pw');
  const running = await start(`[registrar]\nenabled = true\n[[digest.users]]\nname = "ann"\nsha256 = "${sha256}"\n`);
  const ann = await open(running);
  const self = { uri: 'sip:switch.example', to: '<sip:ann@switch.example>' };
  ann.say(request('REGISTER', 1, self));
  const challenge = await ann.expect('SIP/2.0 401');
  const response = {
    status: 401,
    headers: [{ name: 'www-authenticate', value: lineOf(challenge, 'WWW-Authenticate') }],
  };
  const account = { user: 'ann', hashed: { 'SHA-256': new Secret(new TextEncoder().encode(sha256)) } };
  const again = answerChallenge(
    { method: 'REGISTER', uri: self.uri, headers: [] },
    response as unknown as Parameters<typeof answerChallenge>[1],
    () => account,
    { attempt: 0, sequence: 2, cnonce: 'c' },
  )!;
  const authorization = again.headers.find((h) => h.name === 'authorization')!.value;
  ann.say(request('REGISTER', 2, { ...self, extra: `Authorization: ${authorization}\r\n` }));
  expect(await ann.expect('SIP/2.0 200 OK')).toContain('Require: outbound');
  expect(running.dial({ conference: 'board', target: 'ann' }).ok).toBe(true);
  const invite = await ann.expect(`INVITE sip:ann@${HOST};transport=ws SIP/2.0`);
  expect(lineOf(invite, 'Via')).toContain('SIP/2.0/WSS ');
  ann.socket.close();
  await until('the flow is over', () => !running.dial({ conference: 'board', target: 'ann' }).ok);
});

it('attack: cross-site WebSocket hijacking - the switch refuses, and an event tells which page it was', async () => {
  const running = await start();
  const origin = 'https://evil.example';
  await expect(openWebSocket(running.sip.wssPort!, place.root.pem, { origin })).rejects.toThrow('HTTP 403');
  const told = place.events.filter(({ code }) => code === 'origin-refused');
  expect(told).toMatchObject([{ cause: expect.stringContaining(origin) }]);
});

it('attack: a client without a certificate where one is asked for does not come in by WebSocket', async () => {
  const running = await place.start(POLICY, '', 'wssPort = 0\nclientCertificates = true');
  await expect(openWebSocket(running.sip.wssPort!, place.root.pem)).rejects.toThrow();
});
