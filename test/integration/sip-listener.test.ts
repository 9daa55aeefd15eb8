/** SIP over TLS, TCP and UDP at its edge: limits, framing, keep-alive, certificates. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SIP_MAX_DATAGRAM_PEERS } from '../../src/base/limits.js';
import { serverCertificate } from '../../src/server/certificates.js';
import { LargeRequests } from '../../src/server/large-requests.js';
import { literalAddress, SipConnections, type SipConnectionsOptions } from '../../src/server/sip-connections.js';
import { DatagramListener, localAddressFor } from '../../src/server/sip-datagrams.js';
import { listenConflict, SipTransports } from '../../src/server/sip-transports.js';
import type { UserAgentInput } from '../../src/sip/contract.js';
import { freePort } from '../support/configured-switch.js';
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
let listener: SipTransports;
let port = 0;
let ca = '';
let inputs: UserAgentInput[];
let problems: string[];
let refused: string[];
const sockets: (TLSSocket | Socket)[] = [];
const datagramSockets: DatagramSocket[] = [];

interface Listening extends Partial<SipConnectionsOptions> {
  readonly address?: string;
  readonly clientCaPem?: string;
  readonly transport?: 'tls' | 'tcp' | 'udp';
}

async function listen({ address = '127.0.0.1', clientCaPem, transport = 'tls', ...more }: Listening = {}) {
  const certificate = await serverCertificate(folder, 'switch', Date.now());
  ca = readFileSync(certificate.caFile!, 'utf8');
  // What comes late from the listener of an earlier test is not for this one.
  const [toInputs, toRefused, toProblems] = [inputs, refused, problems];
  listener = new SipTransports({
    inUse: () => new Set(),
    onInput: (input) => void toInputs.push(input),
    onRefused: (reason) => void toRefused.push(reason),
    onProblem: (kind) => void toProblems.push(kind),
    ...more,
  });
  const mutual = clientCaPem === undefined ? {} : { ca: clientCaPem, requestCert: true, rejectUnauthorized: true };
  const tls = { cert: certificate.certificatePem, key: certificate.keyPem, ...mutual };
  const wanted = { address, port: 0 };
  port = (await listener.listen(transport === 'tls' ? { ...wanted, transport, tls } : { ...wanted, transport })).port;
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
  for (const socket of datagramSockets.splice(0)) socket.close();
  await listener?.close();
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
    listener.send({ type: 'send', connection: 1, bytes: new TextEncoder().encode('SIP/2.0 200 OK\r\n\r\n') });
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
    for (let i = 0; i < 64 && !problems.includes('socket'); i++)
      listener.send({ type: 'send', connection: 1, bytes: chunk });
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

it('a request that is too large for UDP goes by UDP at once where TCP is refused, and does not try TCP again', async () => {
  await listen();
  const inUse = (): ReadonlySet<number> => new Set();
  const nothing = (): void => undefined;
  const connections = new SipConnections({ inUse, onInput: nothing, onRefused: nothing, onProblem: nothing });
  const sent: number[] = [];
  const large = new LargeRequests(connections, (bytes) => void sent.push(bytes[0]!));
  const to = { address: '127.0.0.1', port: await freePort() };
  const send = (n: number): void => large.send(to, Uint8Array.of(n), Uint8Array.of(n), {});
  send(1);
  send(2);
  await until('both went by UDP', () => sent.length === 2);
  send(3);
  expect(sent).toEqual([1, 2, 3]);
  connections.close();
});

describe('over TCP', () => {
  it('a registered flow that is silent for longer than it may be is dead, keep-alives keep it (RFC 5626 §5.4)', async () => {
    const all = new Set([1, 2, 3]);
    await listen({
      transport: 'tcp',
      idleMs: 40,
      flowSilenceMs: 1_000,
      inUse: () => all,
      flows: () => new Set([1, 2]),
    });
    const [speaking, silent, other] = [await tcp(), await tcp(), await tcp()];
    speaking.write('\r\n\r\n');
    speaking.on('data', () => setTimeout(() => speaking.write('\r\n\r\n'), 20));
    await until('the silent flow is closed', () => silent.readyState !== 'open');
    expect([speaking.readyState, other.readyState]).toEqual(['open', 'open']);
    expect(inputs.filter((i) => i.type === 'disconnected').map((i) => i.connection)).toEqual([2]);
  });

  const tcp = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connectTcp({ host: '127.0.0.1', port }, () => resolve(socket));
      socket.on('error', () => undefined);
      sockets.push(socket);
    });

  it('messages come and go as over TLS, on a connection that says that it is TCP', async () => {
    await listen({ transport: 'tcp' });
    const socket = await tcp();
    let answered = '';
    socket.on('data', (chunk) => {
      answered += chunk.toString('latin1');
    });
    for (const byte of OPTIONS) socket.write(byte);
    await until('one message', () => messages() === 1);
    expect(inputs[0]).toMatchObject({ type: 'connected', transport: 'tcp', remote: { address: '127.0.0.1' } });
    listener.send({ type: 'send', connection: 1, bytes: new TextEncoder().encode('hello') });
    await until('an answer', () => answered === 'hello');
  });

  it('we connect to a peer, and hear of a refusal', async () => {
    await listen({ transport: 'tcp' });
    const connection = await listener.connect({ transport: 'tcp', address: '127.0.0.1', port, timeoutMs: 5_000 });
    listener.send({ type: 'send', connection, bytes: new TextEncoder().encode(OPTIONS) });
    await until('our own listener has it', () => messages() === 1);
    const nobody = { transport: 'tcp', address: '127.0.0.1', port: 1, timeoutMs: 5_000 } as const;
    await expect(listener.connect(nobody)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('attack: half-open connections in numbers - the oldest silent one gives way, who has spoken stays', async () => {
    await listen({ transport: 'tcp', maxConnections: 20, maxConnectionsPerAddress: 100 });
    const speaker = await tcp();
    speaker.write(OPTIONS);
    await until('it has spoken', () => messages() === 1);
    for (let i = 0; i < 100; i++) await tcp();
    await until('all but 20 are gone', () => inputs.filter((i) => i.type === 'disconnected').length === 81);
    expect(listener.open).toBe(20);
    speaker.write(OPTIONS);
    await until('it still speaks', () => messages() === 2);
    const late = await tcp();
    late.write(OPTIONS);
    await until('a caller who comes after the flood is heard', () => messages() === 3);
  });
});

describe('over UDP', () => {
  const udp = (): DatagramSocket => {
    const socket = createSocket('udp4');
    datagramSockets.push(socket);
    return socket;
  };
  const options = OPTIONS.replace('TLS', 'UDP');

  it('a datagram is a message; what is sent goes to where it came from, or to another port of the peer', async () => {
    await listen({ transport: 'udp' });
    const [a, b] = [udp(), udp()];
    const heard: string[] = [];
    b.on('message', (bytes) => heard.push(`b ${bytes}`));
    a.on('message', (bytes) => heard.push(`a ${bytes}`));
    await new Promise<void>((resolve) => b.bind(0, '127.0.0.1', resolve));
    for (const text of ['\r\n\r\n', '\0stun', options, `${options}trailing`, options]) a.send(text, port, '127.0.0.1');
    await until('three messages', () => messages() === 3);
    expect(inputs.filter((i) => i.type === 'connected')).toMatchObject([{ connection: 1, transport: 'udp' }]);
    expect(refused).toEqual([]);
    const bytes = new TextEncoder().encode('x');
    listener.send({ type: 'send', connection: 1, bytes });
    listener.send({ type: 'send', connection: 1, bytes, port: b.address().port });
    await until('both', () => heard.length === 2);
    expect(heard.sort()).toEqual(['a x', 'b x']);
  });

  it('we speak first to a peer', async () => {
    await listen({ transport: 'udp' });
    const peer = udp();
    let heard = '';
    peer.on('message', (bytes) => {
      heard += bytes.toString();
    });
    await new Promise<void>((resolve) => peer.bind(0, '127.0.0.1', resolve));
    const to = { transport: 'udp', address: '127.0.0.1', port: peer.address().port } as const;
    const connection = await listener.connect({ ...to, localPort: port });
    listener.send({ type: 'send', connection, bytes: new TextEncoder().encode('INVITE') });
    await until('it hears us', () => heard === 'INVITE');
    await expect(listener.connect({ ...to, localPort: 1 })).rejects.toThrow(/no UDP listener on port 1/);
  });

  it('attack: forged senders without end - who was silent the longest gives way, a call keeps its place', () => {
    const gone: number[] = [];
    const connections = new SipConnections({
      inUse: () => new Set([1]),
      onInput: (input) => input.type === 'disconnected' && gone.push(input.connection),
      onRefused: () => undefined,
      onProblem: () => undefined,
    });
    return DatagramListener.open(connections, '127.0.0.1', 0).then(async (udpListener) => {
      for (let i = 0; i < 2 * SIP_MAX_DATAGRAM_PEERS; i++) {
        udpListener.connect({ address: `192.0.2.${i % 250}`, port: 1_024 + i });
      }
      expect(connections.open).toBe(SIP_MAX_DATAGRAM_PEERS);
      expect(gone).toHaveLength(SIP_MAX_DATAGRAM_PEERS);
      expect(gone.slice(0, 3)).toEqual([2, 3, 4]);
      await udpListener.close();
      connections.close();
    });
  });

  it('names an address of ours that the peer can reach, also where it listens on all', () => {
    expect(localAddressFor('192.0.2.1', '192.0.2.9')).toBe('192.0.2.1');
    expect(localAddressFor('0.0.0.0', '127.0.0.9')).toBe('127.0.0.1');
    expect(localAddressFor('0.0.0.0', '203.0.113.9')).not.toBe('0.0.0.0');
  });
});

describe('ports', () => {
  it('are TLS or not, never both; TCP and UDP may share one', () => {
    const tls = { transport: 'tls', port: 5_061 } as const;
    expect(listenConflict([tls, { transport: 'tcp', port: 5_060 }, { transport: 'udp', port: 5_060 }])).toBeUndefined();
    expect(listenConflict([tls, { transport: 'tcp', port: 5_061 }])).toBe('SIP port 5061 cannot be TLS and tcp');
    expect(listenConflict([{ transport: 'udp', port: 5_061 }, tls])).toBe('SIP port 5061 cannot be TLS and udp');
    expect(listenConflict([tls, tls])).toBe('two SIP listeners on tls port 5061');
  });

  it('a listener that would share one is refused', async () => {
    await listen();
    await expect(listener.listen({ transport: 'udp', address: '127.0.0.1', port })).rejects.toThrow(/cannot be TLS/);
  });
});

describe('attack: as many addresses as one likes', () => {
  it('all of a /64 have the places of one address, and others have theirs', () => {
    const connections = new SipConnections({
      maxConnections: 10,
      maxConnectionsPerAddress: 2,
      inUse: () => new Set(),
      onInput: () => undefined,
      onRefused: () => undefined,
      onProblem: (_, detail) => void problems.push(detail),
    });
    const admitted = (address: string): boolean => connections.admit(address, () => undefined) !== undefined;
    expect(['2001:db8::1', '2001:db8::2', '2001:db8::3:3', '2001:db8:0:1::1'].map(admitted)).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(problems).toEqual(['2 open from 20010db800000000/64, 2 in all']);
    connections.close();
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
