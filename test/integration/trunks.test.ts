/** Trunks over real TLS: who is let in, what an operator hears of those who are not, and certificates that change (T3, X1 to X4). */
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SecurityEvent } from '../../src/security/events.js';
import type { Switch } from '../../src/server/switch.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { type Identity, issue, put, revocationList } from '../support/pki.js';
import { until } from '../support/running-switch.js';

let place: Place;
let peer: Identity;
let running: Switch;
let events: readonly SecurityEvent[];
const sockets: TLSSocket[] = [];
const file = (name: string): string => place.file(name);

beforeEach(async () => {
  place = await makePlace();
  peer = await issue(place.root, { cn: 'peer.example' });
  events = place.events;
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await place.close();
});

const TRUNK = `
[[trunks]]
name = "cucm"
x509Names = ["other.example", "PEER.example"]
peers = ["peer.example"]
`;

async function start(toml = TRUNK, tls = ''): Promise<number> {
  running = await place.start(`[conferences]\npolicy = "non-secure"\n${toml}`, tls);
  return running.sip.port;
}

interface Client {
  readonly socket: TLSSocket;
  readonly text: () => string;
}

/** Connects with this certificate and waits for the handshake; what the switch thinks of it shows later. */
function dial(port: number, identity?: Identity, session?: Buffer): Promise<Client> {
  return new Promise((resolve, reject) => {
    let text = '';
    const own = identity === undefined ? {} : { cert: identity.pem, key: identity.keyPem };
    const again = session === undefined ? {} : { session };
    const socket = connect({ host: '127.0.0.1', port, ca: place.root.pem, ...own, ...again }, () =>
      resolve({ socket, text: () => text }),
    );
    sockets.push(socket);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', reject);
  });
}

function send({ socket }: Client, method: string, callId: string, body = ''): void {
  const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
  socket.write(
    `${method} sip:8000@switch.example SIP/2.0\r\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK${callId}\r\n` +
      `From: <sip:a@a.example>;tag=1\r\nTo: <sip:8000@switch.example>\r\nCall-ID: ${callId}\r\nCSeq: 1 ${method}\r\n` +
      `Contact: <sip:a@a.example>\r\nMax-Forwards: 70\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}

const codes = (): string[] => events.map((e) => e.code);
const answers = (client: Client): string[] => [...client.text().matchAll(/^SIP\/2.0 (\d+)/gm)].map((m) => m[1]!);

describe('a port with a trunk (T3)', () => {
  it('takes the peer by a name of its certificate', async () => {
    const client = await dial(await start(), peer);
    send(client, 'OPTIONS', 'one');
    await until('an answer', () => answers(client).length > 0);
    expect(answers(client)).toEqual(['200']);
    expect(events).toEqual([]);
  });

  it('answers a certificate with another name 403, and says so once with its names', async () => {
    const client = await dial(await start(), await issue(place.root, { cn: 'stranger.example' }));
    for (const id of ['one', 'two']) send(client, 'OPTIONS', id);
    await until('two answers', () => answers(client).length > 1);
    expect(answers(client)).toEqual(['403', '403']);
    expect(codes()).toEqual(['tls-verify-failed']);
    expect(events[0]!.cause).toContain('stranger.example');
    expect(events[0]!.remedy).toContain('subject name');
  });

  it.each<[string, () => Promise<Identity | undefined>, RegExp]>([
    [
      'of an authority that nobody knows',
      async () => issue(await issue(undefined, { cn: 'evil' }), { cn: 'peer.example' }),
      /UNABLE_TO_(VERIFY_LEAF|GET_ISSUER)/,
    ],
    ['signed by itself', () => issue(undefined, { cn: 'peer.example', authority: false }), /SELF_SIGNED/],
    ['that has expired', () => issue(place.root, { cn: 'peer.example', days: -1 }), /CERT_HAS_EXPIRED/],
    ['that is not there', async () => undefined, /no certificate was shown/],
  ])('ends the connection of a certificate %s, and says why', async (_, make, cause) => {
    const port = await start();
    const client = await dial(port, await make()).catch(() => undefined);
    await until('the event', () => events.length > 0);
    await until('the end of the connection', () => client === undefined || client.socket.destroyed);
    expect(codes()).toEqual(['tls-verify-failed']);
    expect(events[0]!.cause).toMatch(cause);
  });

  it('a secure offer over a trunk without SRTP gets 488 (T6)', async () => {
    const client = await dial(await start(`${TRUNK}security = "authenticated"\nsrtp = false\n`), peer);
    const sdp = `v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 UDP/TLS/RTP/SAVP 96\r\na=rtpmap:96 opus/48000/2\r\na=setup:actpass\r\na=rtcp-mux\r\na=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}\r\n`;
    send(client, 'INVITE', 'one', sdp);
    await until('a final answer', () => answers(client).some((s) => Number(s) >= 200));
    expect(answers(client).at(-1)).toBe('488');
    expect(client.text()).toContain('SRTP is not allowed on trunk cucm');
  });
});

describe('revocation lists (X2)', () => {
  it('a certificate that is listed is refused, and the expiry of a list is reported at the start', async () => {
    put(place.folder, 'tls/crl.pem', await revocationList(place.root, [peer], 3));
    const port = await start(TRUNK, `crl = "${file('tls/crl.pem')}"`);
    expect(events.map((e) => `${e.code}: ${e.cause}`).join('\n')).toMatch(
      /certificate-expiring: .*revocation list of CN=root \(tls\) ends at/,
    );
    await dial(port, peer).catch(() => undefined);
    await until('the event', () => codes().includes('tls-verify-failed'));
    expect(events.at(-1)!.cause).toContain('CERT_REVOKED');
  });

  it('attack: a revoked peer cannot come back on the TLS session of before', async () => {
    put(place.folder, 'tls/crl.pem', await revocationList(place.root, []));
    const port = await start(TRUNK, `crl = "${file('tls/crl.pem')}"`);
    const before = await dial(port, peer);
    const session = await new Promise<Buffer>((resolve) => before.socket.once('session', resolve));
    put(place.folder, 'tls/crl.pem', await revocationList(place.root, [peer]));
    expect(running.reloadCertificates()).toBe(true);
    const after = await dial(port, peer, session).catch(() => undefined);
    await until('the event', () => codes().includes('tls-verify-failed'));
    expect(after === undefined || !after.socket.isSessionReused()).toBe(true);
    expect(events.at(-1)!.cause).toContain('CERT_REVOKED');
  });
});

describe('TLS levels and what they refuse', () => {
  it('a port with its own set shows its own certificate', async () => {
    const own = await issue(place.root, { cn: 'own', names: ['127.0.0.1'] });
    put(place.folder, 'tls/own.pem', own.pem + place.root.pem);
    put(place.folder, 'tls/own-key.pem', own.keyPem);
    const port = await start(
      '',
      `[sip.tls]\ncertificate = "${file('tls/own.pem')}"\nkey = "${file('tls/own-key.pem')}"`,
    );
    const { socket } = await dial(port);
    expect(socket.getPeerCertificate().subject.CN).toBe('own');
    expect(socket.getPeerCertificate(true).issuerCertificate.subject.CN).toBe('root');
  });

  it.each<
    [
      string,
      { minVersion?: 'TLSv1'; maxVersion: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'; ciphers?: string },
      string | undefined,
    ]
  >([
    ['TLS 1.3', { maxVersion: 'TLSv1.3' }, 'TLSv1.3'],
    ['TLS 1.2', { maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
    ['TLS 1.2 without forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }, undefined],
    ['TLS 1.2 with CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }, undefined],
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, undefined],
  ])('%s', async (_, offer, protocol) => {
    const port = await start('');
    const spoken = await new Promise<string | undefined>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, ca: place.root.pem, ...offer }, () =>
        resolve(socket.getProtocol() ?? ''),
      );
      sockets.push(socket);
      socket.on('error', () => resolve(undefined));
    });
    expect(spoken).toBe(protocol);
  });
});

describe('files that change (X4)', () => {
  it('come into force for new connections while old ones go on, and a key that does not fit leaves all as it was', async () => {
    const port = await start();
    const before = await dial(port, peer);
    const renewed = await issue(place.root, { cn: 'renewed', names: ['127.0.0.1'] });
    put(place.folder, 'tls/server.pem', renewed.pem);
    expect(running.reloadCertificates()).toBe(false);
    expect(codes()).toEqual(['tls-key-invalid']);
    expect((await dial(port, peer)).socket.getPeerCertificate().subject.CN).toBe('switch');
    put(place.folder, 'tls/key.pem', renewed.keyPem);
    let shown = '';
    // By the watch alone: nobody calls reload.
    for (let i = 0; i < 100 && shown !== 'renewed'; i++) {
      shown = String((await dial(port, peer)).socket.getPeerCertificate().subject.CN);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(shown).toBe('renewed');
    send(before, 'OPTIONS', 'still-here');
    await until('an answer on the old connection', () => answers(before).length > 0);
    expect(answers(before)).toEqual(['200']);
  });
});
