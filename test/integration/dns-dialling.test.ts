/** Trunk peers that are names: where DNS leads (RFC 3263), in which order, and what it cannot talk the switch into (RFC 5922). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { examine } from '../../src/server/doctor/doctor.js';
import { loadConfig } from '../../src/server/load-config.js';
import type { Switch } from '../../src/server/switch.js';
import { claviger, killAll } from '../support/cli.js';
import { freePort, makePlace, type Place } from '../support/configured-switch.js';
import { a, type DnsServer, naptr, openDnsServer, srv } from '../support/dns-server.js';
import { issue } from '../support/pki.js';
import { until } from '../support/running-switch.js';
import { openSipPeer, type SipPeer, type SipPeerOptions } from '../support/sip-peer.js';

let place: Place;
let dns: DnsServer;
let running: Switch;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  place = await makePlace();
  dns = await openDnsServer();
  dns.zone.set('A one.cucm.example', [a('127.0.0.1')]);
  dns.zone.set('A two.cucm.example', [a('127.0.0.1')]);
});
afterEach(async () => {
  killAll();
  for (const close of closing.splice(0)) await close();
  await place.close();
  await dns.close();
});

const BUSY: SipPeerOptions['reply'] = (request) => (request.startsWith('INVITE') ? 'SIP/2.0 486 Busy Here' : undefined);

async function peer(
  transport: SipPeerOptions['transport'],
  reply: SipPeerOptions['reply'] = BUSY,
  names: readonly string[] = ['cucm.example'],
): Promise<SipPeer> {
  const identity = await issue(place.root, { cn: 'cucm.example', names });
  const opened = await openSipPeer({ transport, tls: { identity, ca: place.root.pem }, reply });
  closing.push(() => opened.close());
  return opened;
}

async function config(peers: string, more = ''): Promise<string> {
  return `[dns]\nservers = ["${dns.address}"]\n[[trunks]]\nname = "peer"\nport = ${await freePort()}\nx509Names = ["cucm.example"]\npeers = ["${peers}"]\n${more}\n`;
}

async function outcome(): Promise<{ state: string; status?: number; reason?: string }> {
  const made = running.dial({ conference: 'board', target: '4711' });
  if (!made.ok) throw new Error(made.detail);
  await until('the outcome', () => running.dialled('board', made.value.id)?.state !== 'dialling', 30_000);
  return running.dialled('board', made.value.id)!;
}

const codes = (): string[] => place.events.map((e) => e.code).filter((code) => code !== 'certificate-expiring');
const invites = ({ requests }: SipPeer): string[] => requests.filter((r) => r.startsWith('INVITE'));

/** SRV records of TLS, the first the best. */
function servers(...ports: number[]): void {
  const targets = ['one.cucm.example', 'two.cucm.example'];
  dns.zone.set(
    'SRV _sips._tcp.cucm.example',
    ports.map((port, i) => srv(i, 0, port, targets[i]!)),
  );
}

describe('a call to a peer that is a name', () => {
  it('goes where NAPTR and SRV say, by priority, and on to the next server where one is not there', async () => {
    const second = await peer('tls');
    dns.zone.set('NAPTR cucm.example', [
      naptr(1, 'SIP+D2U', '_sip._udp.cucm.example'),
      naptr(2, 'SIPS+D2T', '_sips._tcp.cucm.example'),
    ]);
    servers(await freePort(), second.port);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ state: 'failed', status: 486 });
    expect(invites(second)).toHaveLength(1);
    expect(invites(second)[0]).toMatch(/^INVITE sip:4711@cucm.example;transport=tls SIP/);
    expect(dns.asked.slice(0, 2)).toEqual(['NAPTR cucm.example', 'SRV _sips._tcp.cucm.example']);
    expect(dns.asked).not.toContain('SRV _sip._udp.cucm.example');
    expect(codes()).toEqual(['peer-unreachable']);
    expect(place.events.at(-1)!.endpoint).toMatch(/^trunk peer \(cucm.example, 127.0.0.1:\d+\)$/);
  });

  it.each([
    ['503', (request: string) => (request.startsWith('INVITE') ? 'SIP/2.0 503 Full' : undefined)],
    ['408', (request: string) => (request.startsWith('INVITE') ? 'SIP/2.0 408 Late' : undefined)],
  ])('goes on to the next server after %s, and after a refusal to nobody', async (_, reply) => {
    const first = await peer('tls', reply);
    const second = await peer('tls');
    servers(first.port, second.port);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ status: 486 });
    expect([invites(first).length, invites(second).length]).toEqual([1, 1]);
    servers(second.port, first.port);
    expect(await outcome()).toMatchObject({ status: 486 });
    expect([invites(first).length, invites(second).length]).toEqual([1, 2]);
  });

  it('goes on where a server hangs up on the INVITE', async () => {
    const first: SipPeer = await peer('tls', () => {
      for (const socket of first.sockets) socket.destroy();
      return undefined;
    });
    const second = await peer('tls');
    servers(first.port, second.port);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ status: 486 });
  });

  it('with a port it asks for addresses only (§4.2)', async () => {
    const only = await peer('tls');
    dns.zone.set('A cucm.example', [a('127.0.0.1')]);
    running = await place.start(await config(`cucm.example:${only.port}`));
    expect(await outcome()).toMatchObject({ status: 486 });
    expect([...dns.asked].sort()).toEqual(['A cucm.example', 'AAAA cucm.example']);
    expect(invites(only)[0]).toMatch(new RegExp(`^INVITE sip:4711@cucm.example:${only.port};`));
  });

  it('without any record nobody is called, and the operator is told', async () => {
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect(codes()).toEqual(['peer-unreachable']);
    expect(place.events.at(-1)!.cause).toContain('DNS has no server for cucm.example over TLS');
  });

  it('can be given up while DNS is silent', async () => {
    dns.silent = true;
    running = await place.start(await config('cucm.example'));
    running.dial({ conference: 'board', target: '4711' });
    await until('a question', () => dns.asked.length > 0);
    running.cancelDial(1);
    await until('its end', () => running.dialled('board', 1)?.state === 'cancelled');
  });

  it('claviger doctor tries every server that DNS names', async () => {
    const second = await peer('tls');
    const gone = await freePort();
    servers(gone, second.port);
    const toml = await config('cucm.example');
    running = await place.start(toml);
    const loaded = loadConfig({ file: place.file('claviger.toml'), flags: {}, env: {} });
    if (!loaded.ok) throw new Error(loaded.detail);
    const trunks = async () => {
      const all = await examine(loaded.value, Date.now());
      return all.filter((f) => f.area === 'trunks').map((f) => `${f.state} ${f.what.split(': ').slice(1).join(': ')}`);
    };
    expect(await trunks()).toEqual([
      expect.stringMatching(new RegExp(`^fail TLS cucm.example, 127.0.0.1:${gone}: .*ECONNREFUSED`)),
      `ok TLS cucm.example, 127.0.0.1:${second.port} answers`,
    ]);
    dns.zone.clear();
    expect(await trunks()).toEqual(['fail TLS cucm.example: DNS has no server for it']);
  });
});

describe('claviger call to a name', () => {
  it('goes where SRV says, on to the next where a server is not there, and to nobody with another name', async () => {
    running = await place.start('');
    const srvOf = (name: string): void => {
      dns.zone.set(`SRV _sips._tcp.${name}`, [
        srv(1, 0, gone, 'one.cucm.example'),
        srv(2, 0, running.sip.port, 'two.cucm.example'),
      ]);
    };
    const gone = await freePort();
    for (const name of ['switch.example', 'other.example']) srvOf(name);
    const call = async (name: string): Promise<[number | null, string]> => {
      const flags = ['--dns', dns.address, '--ca', place.file('tls/ca.pem'), '--seconds', '1'];
      const { exit, output } = claviger(['call', `sips:8000@${name}`, ...flags]);
      return [await exit, output.text];
    };
    const [code, text] = await call('switch.example');
    expect(text).toContain('media flows');
    expect(code).toBe(0);
    expect((await call('other.example'))[1]).toMatch(/other\.example.*cert|does not match/i);
    expect((await call('nowhere.example'))[1]).toContain('there is no server for nowhere.example');
  });
});

describe('attacks by DNS', () => {
  it('downgrade: records that offer TCP and UDP only lead a TLS trunk nowhere', async () => {
    const tcp = await peer('tcp');
    const udp = await peer('udp');
    dns.zone.set('NAPTR cucm.example', [
      naptr(1, 'SIP+D2T', '_sip._tcp.cucm.example'),
      naptr(2, 'SIP+D2U', '_sip._udp.cucm.example'),
    ]);
    dns.zone.set('SRV _sip._tcp.cucm.example', [srv(0, 0, tcp.port, 'one.cucm.example')]);
    dns.zone.set('SRV _sip._udp.cucm.example', [srv(0, 0, udp.port, 'one.cucm.example')]);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect([tcp.requests, udp.requests]).toEqual([[], []]);
    expect(tcp.sockets).toEqual([]);
    expect(codes()).toEqual(['peer-unreachable']);
  });

  it.each([
    ['another name', ['evil.example']],
    ['the name of the SRV target only', ['one.cucm.example']],
    ['its address only', ['127.0.0.1']],
  ])('redirection: a server with a valid certificate of %s is not the one that was configured', async (_, names) => {
    const evil = await peer('tls', BUSY, names);
    servers(evil.port);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect(evil.requests).toEqual([]);
    expect(codes()).toEqual(['tls-verify-failed']);
    expect(place.events.at(-1)!.cause).toContain('the certificate of cucm.example names');
  });

  it('redirection: NAPTR out of the domain is not followed for TLS', async () => {
    const evil = await peer('tls');
    dns.zone.set('NAPTR cucm.example', [naptr(1, 'SIPS+D2T', '_sips._tcp.evil.example')]);
    dns.zone.set('SRV _sips._tcp.evil.example', [srv(0, 0, evil.port, 'one.cucm.example')]);
    running = await place.start(await config('cucm.example'));
    expect(await outcome()).toMatchObject({ state: 'failed', reason: 'no peer could be reached' });
    expect(evil.requests).toEqual([]);
    expect(dns.asked).not.toContain('SRV _sips._tcp.evil.example');
  });
});
