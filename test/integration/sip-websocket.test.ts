/** SIP over secure WebSocket at its edge (RFC 7118, RFC 6455): handshake, messages, keep-alive, limits, strangers' pages. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClientOptions } from 'ws';
import { SIP_MAX_MESSAGE_BYTES, SIP_WEBSOCKET_MAX_FRAGMENTS } from '../../src/base/limits.js';
import { serverCertificate } from '../../src/server/certificates.js';
import type { SipConnectionsOptions } from '../../src/server/sip-connections.js';
import { SipTransports } from '../../src/server/sip-transports.js';
import type { WebSocketRules } from '../../src/server/sip-websockets.js';
import type { UserAgentInput } from '../../src/sip/contract.js';
import { until } from '../support/running-switch.js';
import { openWebSocket, type WebSocketPeer } from '../support/websocket-peer.js';

const OPTIONS = `OPTIONS sip:switch SIP/2.0\r
Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1\r
From: <sip:a@a.example>;tag=1\r
To: <sip:switch>\r
Call-ID: 1\r
CSeq: 1 OPTIONS\r
Max-Forwards: 70\r
\r
`;

let folder = '';
let transports: SipTransports | undefined;
let port = 0;
let ca = '';
let inputs: UserAgentInput[];
let problems: string[];
let refused: string[];
const peers: WebSocketPeer[] = [];
const sockets: TLSSocket[] = [];

async function listen(options: Partial<SipConnectionsOptions> & Partial<WebSocketRules> = {}): Promise<void> {
  const certificate = await serverCertificate(folder, 'switch', Date.now());
  ca = readFileSync(certificate.caFile!, 'utf8');
  const { origins = [], handshakeTimeoutMs = 10_000, pingIntervalMs = 25_000, ...more } = options;
  // What comes late from the listener of an earlier test is not for this one.
  const [toInputs, toRefused, toProblems] = [inputs, refused, problems];
  transports = new SipTransports({
    inUse: () => new Set(),
    onInput: (input) => void toInputs.push(input),
    onRefused: (reason) => void toRefused.push(reason),
    onProblem: (kind, detail) => void toProblems.push(`${kind}: ${detail}`),
    ...more,
  });
  const tls = { cert: certificate.certificatePem, key: certificate.keyPem };
  const rules = { origins, handshakeTimeoutMs, pingIntervalMs };
  port = (await transports.listen({ transport: 'wss', address: '127.0.0.1', port: 0, tls, rules })).port;
}

async function dial(options?: ClientOptions & { readonly protocols?: readonly string[] }): Promise<WebSocketPeer> {
  const peer = await openWebSocket(port, ca, options);
  peers.push(peer);
  return peer;
}

function dialTls(): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca }, () => resolve(socket));
    sockets.push(socket);
    socket.on('error', reject);
  });
}

const messages = (): number => inputs.filter((i) => i.type === 'message').length;
const send = (bytes: Uint8Array): void => transports!.send({ type: 'send', connection: 1, bytes });
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  [inputs, problems, refused] = [[], [], []];
});
afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.terminate();
  for (const socket of sockets.splice(0)) socket.destroy();
  await transports?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('SIP over WebSocket', () => {
  it('a message is a message, as text, as binary and in fragments; what we send is text where it can be', async () => {
    await listen();
    const peer = await dial();
    expect(peer.socket.protocol).toBe('sip');
    expect(inputs[0]).toMatchObject({ type: 'connected', transport: 'wss', remote: { address: '127.0.0.1' } });
    peer.say(OPTIONS);
    peer.say(bytesOf(OPTIONS));
    for (let i = 0; i < 200; i++) peer.socket.send(OPTIONS.slice(i, i + 1), { fin: false });
    peer.socket.send(OPTIONS.slice(200), { fin: true });
    await until('three messages', () => messages() === 3);
    expect(refused).toEqual([]);
    send(bytesOf('SIP/2.0 200 Größe\r\n\r\n'));
    send(Uint8Array.of(0x53, 0xff));
    await until('both', () => peer.heard.length === 2);
    expect(peer.heard[0]).toBe('SIP/2.0 200 Größe\r\n\r\n');
    expect(peer.binary).toEqual([false, true]);
    peer.socket.close(1_000);
    await until('the end', () => inputs.at(-1)?.type === 'disconnected');
    expect(problems).toEqual([]);
  });

  it('answers CRLF keep-alives and pings, and pings by itself; neither keeps a silent connection open', async () => {
    await listen({ idleMs: 400, pingIntervalMs: 50 });
    const peer = await dial();
    let [pings, pongs] = [0, 0];
    peer.socket.on('ping', () => pings++);
    peer.socket.on('pong', () => pongs++);
    peer.socket.ping();
    peer.say('\r\n\r\n');
    peer.say('\r\n');
    peer.say('');
    await until('a pong of each kind, and a ping', () => peer.heard.length === 1 && pings > 0 && pongs === 1);
    expect(peer.heard).toEqual(['\r\n']);
    const drip = setInterval(() => peer.say('\r\n\r\n'), 20);
    await until('closed', () => peer.ended.code !== undefined);
    clearInterval(drip);
    expect(peer.ended.code).toBe(1_001);
    expect([messages(), refused]).toEqual([0, []]);
  });

  it('what is no SIP is refused and the connection goes on; two messages in one are not two', async () => {
    await listen();
    const peer = await dial();
    peer.say('nonsense');
    peer.say(OPTIONS.replace('Call-ID: 1\r\n', ''));
    await until('both are refused', () => refused.length === 2);
    expect(inputs.filter((i) => i.type === 'refused')).toHaveLength(2);
    const withLength = OPTIONS.replace('\r\n\r\n', '\r\nContent-Length: 0\r\n\r\n');
    peer.say(withLength + withLength);
    peer.say(OPTIONS);
    await until('two of three', () => messages() === 2);
  });

  it('a peer that is gone without a word is found by its silence', async () => {
    await listen({ pingIntervalMs: 50 });
    const peer = await dial({ autoPong: false });
    await until('given up', () => inputs.at(-1)?.type === 'disconnected');
    await until('and told', () => peer.ended.code !== undefined);
  });

  it('new certificates are for new connections, and open ones go on', async () => {
    await listen();
    const old = await dial();
    const other = mkdtempSync(join(tmpdir(), 'claviger-test-'));
    const fresh = await serverCertificate(other, 'switch', Date.now());
    transports!.reload(port, { cert: fresh.certificatePem, key: fresh.keyPem });
    await expect(dial()).rejects.toThrow(/self.signed|unable to verify|signature/i);
    ca = readFileSync(fresh.caFile!, 'utf8');
    (await dial()).say(OPTIONS);
    old.say(OPTIONS);
    await until('both speak', () => messages() === 2);
    rmSync(other, { recursive: true });
  });
});

describe('handshakes that are refused', () => {
  it('another subprotocol or none: 400', async () => {
    await listen();
    await expect(dial({ protocols: ['xmpp', 'sips'] })).rejects.toThrow('HTTP 400');
    await expect(dial({ protocols: [] })).rejects.toThrow('HTTP 400');
    expect(problems).toEqual(Array(2).fill('websocket: the subprotocol sip is not offered'));
    const peer = await dial({ protocols: ['xmpp', 'sip'] });
    expect(peer.socket.protocol).toBe('sip');
  });

  it('no WebSocket: 426, and the connection is closed', async () => {
    await listen();
    const response = await new Promise<{ status: number | undefined; upgrade: string | undefined }>(
      (resolve, reject) => {
        get({ host: '127.0.0.1', port, ca }, (answer) => {
          answer.resume();
          answer.on('end', () => resolve({ status: answer.statusCode, upgrade: answer.headers.upgrade }));
        }).on('error', reject);
      },
    );
    expect(response).toEqual({ status: 426, upgrade: 'websocket' });
    await until('the place is free', () => transports!.open === 0);
  });

  it('compression is not agreed: a short message cannot become a long one', async () => {
    await listen();
    const peer = await dial({ perMessageDeflate: true });
    expect(peer.socket.extensions).toBe('');
  });
});

describe('attack: cross-site WebSocket hijacking', () => {
  it('a page of a stranger, of our host over http, or of no origin cannot call; ours and those allowed can', async () => {
    await listen({ origins: ['https://portal.example', 'http://localhost:3000'] });
    for (const origin of ['https://evil.example', 'http://127.0.0.1', 'null', 'https://portal.example.evil.example'])
      await expect(dial({ origin }), origin).rejects.toThrow('HTTP 403');
    expect(problems[0]).toBe('origin: a page of https://evil.example');
    expect(problems.every((text) => text.startsWith('origin: '))).toBe(true);
    expect(inputs).toEqual([]);
    for (const origin of [
      'https://portal.example',
      'http://localhost:3000',
      `https://127.0.0.1:${port}`,
      'https://127.0.0.1',
    ])
      await dial({ origin });
    expect(inputs).toHaveLength(4);
  });
});

describe('attack: more than is allowed', () => {
  it('a message above the limit closes its connection (1009), whole or in pieces, and nothing is handed on', async () => {
    await listen();
    const whole = await dial();
    whole.say('x'.repeat(SIP_MAX_MESSAGE_BYTES + 1));
    const pieces = await dial();
    for (let i = 0; i < 3; i++) pieces.socket.send('x'.repeat(SIP_MAX_MESSAGE_BYTES / 2), { fin: false });
    const crumbs = await dial();
    for (let i = 0; i <= SIP_WEBSOCKET_MAX_FRAGMENTS; i++) crumbs.socket.send('', { fin: false });
    await until('all are closed', () => [whole, pieces, crumbs].every(({ ended }) => ended.code !== undefined));
    expect([whole.ended.code, pieces.ended.code]).toEqual([1_009, 1_009]);
    expect(messages()).toBe(0);
    expect(problems.filter((text) => text.startsWith('websocket: '))).toHaveLength(3);
  });

  it('frames that break RFC 6455 (not masked, not UTF-8) close the connection', async () => {
    await listen();
    const bare = await dial();
    bare.socket.send(OPTIONS, { mask: false });
    const binary = await dial();
    binary.socket.send(Uint8Array.of(0xff, 0xfe), { binary: false });
    await until('both are closed', () => [bare, binary].every(({ ended }) => ended.code !== undefined));
    expect([bare.ended.code, binary.ended.code]).toEqual([1_002, 1_007]);
    expect(messages()).toBe(0);
  });

  it('a peer that never reads is cut off instead of remembered for ever', async () => {
    await listen();
    const peer = await dial();
    peer.socket.pause();
    const chunk = new Uint8Array(256 * 1_024).fill(0x41);
    for (let i = 0; i < 64 && problems.length === 0; i++) send(chunk);
    expect(problems).toEqual(['socket: peer does not read']);
    await until('disconnected', () => inputs.at(-1)?.type === 'disconnected');
  });

  it('a flood of connections: the limit an address, half-open ones count, and room again when one closes', async () => {
    await listen({ maxConnectionsPerAddress: 2 });
    const first = await dial();
    await dialTls();
    await expect(dial()).rejects.toThrow();
    expect(problems[0]).toMatch(/^connection-limit: 2 open from 127\.0\.0\.1/);
    first.socket.close();
    await until('one is gone', () => transports!.open === 1);
    await dial();
  });

  it('a handshake that takes its time is ended: silent after TLS, or a header a byte at a time', async () => {
    await listen({ handshakeTimeoutMs: 200 });
    const [mute, slow] = [await dialTls(), await dialTls()];
    const request = 'GET / HTTP/1.1\r\nHost: a\r\nX: ';
    slow.write(request);
    const drip = setInterval(() => slow.write('a'), 10);
    slow.on('close', () => clearInterval(drip));
    for (const socket of [mute, slow]) socket.resume();
    await until('both places are free', () => transports!.open === 0);
    expect(problems.filter((text) => text === 'websocket: no handshake within 200 ms')).toHaveLength(2);
    const peer = await dial();
    peer.say(OPTIONS);
    await until('who is quick is served', () => messages() === 1);
  });

  it('half-open connections in numbers: the oldest silent one gives way, who has spoken stays', async () => {
    await listen({ maxConnections: 4, maxConnectionsPerAddress: 100 });
    const speaker = await dial();
    speaker.say(OPTIONS);
    await until('it has spoken', () => messages() === 1);
    for (let i = 0; i < 12; i++) await dialTls();
    const late = await dial();
    late.say(OPTIONS);
    speaker.say(OPTIONS);
    await until('both are heard', () => messages() === 3);
    expect(transports!.open).toBe(4);
  });
});
