/** SIP over TLS at its edge: limits, framing, keep-alive, certificates. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serverCertificate } from '../../src/server/certificates.js';
import { literalAddress, SipListener, type SipListenerOptions } from '../../src/server/sip-listener.js';
import type { UserAgentInput } from '../../src/sip/contract.js';
import { until } from '../support/running-switch.js';

const OPTIONS = `OPTIONS sips:switch SIP/2.0\r
Via: SIP/2.0/TLS a.example;branch=z9hG4bK1\r
From: <sips:a@a.example>;tag=1\r
To: <sips:switch>\r
Call-ID: 1\r
CSeq: 1 OPTIONS\r
Max-Forwards: 70\r
Content-Length: 0\r
\r
`;

let folder = '';
let listener: SipListener;
let port = 0;
let ca = '';
let inputs: UserAgentInput[];
let problems: string[];
let refused: string[];
const sockets: TLSSocket[] = [];

async function listen(options: Partial<SipListenerOptions> = {}): Promise<void> {
  const certificate = await serverCertificate(folder, 'switch', Date.now());
  ca = readFileSync(certificate.caFile!, 'utf8');
  listener = new SipListener({
    address: '127.0.0.1',
    port: 0,
    certificatePem: certificate.certificatePem,
    keyPem: certificate.keyPem,
    inUse: () => new Set(),
    onInput: (input) => void inputs.push(input),
    onRefused: (reason) => void refused.push(reason),
    onProblem: (kind) => void problems.push(kind),
    ...options,
  });
  port = (await listener.listen()).port;
}

function dial(): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca }, () => resolve(socket));
    sockets.push(socket);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
  });
}

const messages = (): number => inputs.filter((i) => i.type === 'message').length;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  inputs = [];
  problems = [];
  refused = [];
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the SIP listener', () => {
  it('hands on whole messages, however the bytes come, and answers keep-alive', async () => {
    await listen();
    const socket = await dial();
    let answered = '';
    socket.on('data', (chunk) => {
      answered += chunk.toString('latin1');
    });
    for (const byte of OPTIONS) socket.write(byte);
    await until('one message', () => messages() === 1);
    socket.write(OPTIONS + OPTIONS);
    await until('three messages', () => messages() === 3);
    socket.write('\r\n\r\n');
    await until('a pong', () => answered === '\r\n');
    listener.send(1, new TextEncoder().encode('SIP/2.0 200 OK\r\n\r\n'));
    await until('an answer', () => answered.endsWith('200 OK\r\n\r\n'));
    socket.destroy();
    await until('the end', () => inputs.at(-1)?.type === 'disconnected');
  });

  it('a flood of connections: the limit an address and in all, and room again when one closes', async () => {
    await listen({ maxConnections: 3, maxConnectionsPerAddress: 2 });
    const first = await dial();
    await dial();
    await expect(dial()).rejects.toThrow();
    expect(problems).toContain('connection-limit');
    first.destroy();
    await until('one is gone', () => inputs.some((i) => i.type === 'disconnected'));
    await dial();
  });

  it('garbage that has no end of message: closed, and nothing is handed on', async () => {
    await listen();
    const socket = await dial();
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.removeAllListeners('error');
    socket.on('error', () => undefined);
    socket.write('x'.repeat(100_000));
    await closed;
    expect(messages()).toBe(0);
    expect(problems).toContain('framing');
    expect(refused).toEqual(['too-large']);
  });

  it('a peer that never reads is cut off instead of remembered for ever', async () => {
    await listen();
    const socket = await dial();
    socket.pause();
    await until('connected', () => inputs.some((i) => i.type === 'connected'));
    const chunk = new Uint8Array(256 * 1024);
    for (let i = 0; i < 64 && !problems.includes('socket'); i++) listener.send(1, chunk);
    expect(problems).toContain('socket');
    await until('disconnected', () => inputs.some((i) => i.type === 'disconnected'));
  });

  it('a caller without the certificate that is asked for does not get in', async () => {
    const certificate = await serverCertificate(folder, 'switch', Date.now());
    await listen({ clientCaPem: readFileSync(certificate.caFile!, 'utf8') });
    const socket = await dial().catch(() => undefined);
    socket?.write(OPTIONS);
    await until('the handshake was refused', () => problems.includes('tls-handshake'));
    expect(inputs).toEqual([]);
  });

  it('plain bytes instead of TLS: refused, and the next caller is served', async () => {
    await listen();
    const { connect: plain } = await import('node:net');
    const raw = plain({ host: '127.0.0.1', port });
    raw.on('error', () => undefined);
    raw.write(OPTIONS);
    await until('refused', () => problems.includes('tls-handshake'));
    const socket = await dial();
    socket.write(OPTIONS);
    await until('served', () => messages() === 1);
  });
});

describe('attack: all connections held by peers that say nothing', () => {
  it('a connection without a call is closed when no whole message came for long; one with a call may be silent', async () => {
    await listen({ idleMs: 200, inUse: () => new Set([2]) });
    const mute = await dial();
    const calling = await dial();
    const drip = await dial();
    const talking = await dial();
    const timers = [setInterval(() => drip.write('\r\n\r\n'), 20), setInterval(() => talking.write(OPTIONS), 20)];
    drip.on('close', () => clearInterval(timers[0]));
    await until('both closed', () => mute.destroyed && drip.destroyed);
    expect([calling.destroyed, talking.destroyed]).toEqual([false, false]);
    clearInterval(timers[1]);
    await until('the last without a call is closed', () => talking.destroyed);
    expect(calling.destroyed).toBe(false);
  });
});

describe('addresses as signalling writes them', () => {
  it('IPv4 through an IPv6 socket is IPv4: a media address ::ffff:127.0.0.1 in SDP is of no use to an IPv4 caller', async () => {
    await listen({ address: '::' });
    await dial();
    const connected = (): UserAgentInput | undefined => inputs.find((i) => i.type === 'connected');
    await until('connected', () => connected() !== undefined);
    expect(connected()).toMatchObject({ local: { address: '127.0.0.1' }, remote: { address: '127.0.0.1' } });
  });

  it('attack: an INVITE from a link-local neighbour ends the process - a zone is no part of an SDP address', () => {
    expect(literalAddress('fe80::fc:ff:fe00:1%eth0')).toBe('fe80::fc:ff:fe00:1');
    expect(literalAddress('::ffff:192.0.2.7')).toBe('192.0.2.7');
    expect(literalAddress('2001:db8::1')).toBe('2001:db8::1');
    expect(literalAddress(undefined)).toBe('');
  });
});
