/** TLS options at three levels, their files, the names in a certificate, and files that change (REQUIREMENTS X1 to X4). */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateNames, namesHost } from '../../../src/server/tls-names.js';
import { chooseLevel, expiriesOf, readTlsSet, type TlsLevel, type TlsSettings } from '../../../src/server/tls-set.js';
import { TlsStore } from '../../../src/server/tls-store.js';
import { type Identity, issue, put, revocationList } from '../../support/pki.js';
import { until } from '../../support/running-switch.js';

const level = (where: string, settings: TlsSettings): TlsLevel => ({ where, settings });
const WHOLE = { certificate: 'c', key: 'k' };

describe('the level that supplies the set (X1)', () => {
  it.each<[string, readonly TlsLevel[], string | undefined]>([
    [
      'the port before the application before the host',
      [level('port', WHOLE), level('sip.tls', WHOLE), level('tls', WHOLE)],
      'port',
    ],
    [
      'the application where the port says nothing',
      [level('port', {}), level('sip.tls', WHOLE), level('tls', WHOLE)],
      'sip.tls',
    ],
    ['the host where nobody else does', [level('port', {}), level('sip.tls', {}), level('tls', WHOLE)], 'tls'],
    ['nobody', [level('port', {}), level('tls', { ca: [] })], undefined],
  ])('is %s', (_, levels, where) => {
    const chosen = chooseLevel(levels);
    expect(chosen.ok && chosen.value?.where).toBe(where);
  });

  it.each<[string, readonly TlsLevel[], string]>([
    [
      'a key from elsewhere',
      [level('tls.ports 5071', { certificate: 'c' }), level('tls', WHOLE)],
      'tls.ports 5071 sets certificate but not key, which tls sets: one place supplies the whole set',
    ],
    [
      'a CA above a certificate',
      [level('sip.tls', { ca: 'a' }), level('tls', WHOLE)],
      'sip.tls sets ca but not certificate and key, which tls sets: one place supplies the whole set',
    ],
    [
      'half a set alone',
      [level('tls', { key: 'k' })],
      'tls sets key but not certificate: certificate and key go together',
    ],
  ])('a mixture names both places: %s', (_, levels, detail) => {
    expect(chooseLevel(levels)).toEqual({ ok: false, reason: 'mixture', detail });
  });
});

let folder = '';
let root: Identity;
let middle: Identity;
let leaf: Identity;
let stranger: Identity;
const file = (name: string): string => join(folder, name);
const der = (identity: Identity): Buffer => new X509Certificate(identity.pem).raw;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  root = await issue(undefined, { cn: 'root' });
  middle = await issue(root, { cn: 'middle', authority: true });
  leaf = await issue(middle, { cn: 'leaf', names: ['leaf.example'] });
  stranger = await issue(undefined, { cn: 'stranger' });
  put(folder, 'leaf.pem', leaf.pem);
  put(folder, 'leaf.der', der(leaf));
  put(folder, 'middle.der', der(middle));
  put(folder, 'middle.pem', middle.pem);
  put(folder, 'key.pem', leaf.keyPem);
  put(folder, 'key.der', Buffer.from(leaf.keyPem.replace(/-----.*-----|\n/g, ''), 'base64'));
  put(folder, 'other-key.pem', stranger.keyPem);
  put(folder, 'shuffled.pem', `a comment\n${root.pem}${leaf.pem}${middle.pem}`);
  put(folder, 'cas.pem', `${stranger.pem}\n${root.pem}`);
  put(folder, 'crl.pem', (await revocationList(root, [])) + (await revocationList(middle, [leaf], 3)));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function chainOf(settings: TlsSettings): string[] | string {
  const absolute = (v: string | readonly string[] | undefined) => (v === undefined ? undefined : [v].flat().map(file));
  const set = readTlsSet(
    level('tls', {
      ...settings,
      certificate: absolute(settings.certificate),
      key: file(settings.key ?? ''),
      ca: absolute(settings.ca),
      crl: absolute(settings.crl),
    }),
  );
  if (!set.ok) return `${set.reason}: ${set.detail?.replaceAll(folder, '')}`;
  return set.value.chainPem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .map((pem) => new X509Certificate(pem).subject.slice('CN='.length));
}

describe('the files of a set (X2)', () => {
  it.each<[string, TlsSettings]>([
    ['one PEM file in any order', { certificate: 'shuffled.pem', key: 'key.pem' }],
    ['several PEM files', { certificate: ['middle.pem', 'shuffled.pem'], key: 'key.pem' }],
    ['DER', { certificate: ['middle.der', 'leaf.der', 'shuffled.pem'], key: 'key.der' }],
  ])('a chain from %s is sorted, its end entity first, and complete', (_, settings) => {
    expect(chainOf(settings)).toEqual(['leaf', 'middle', 'root']);
  });

  it.each<[string, TlsSettings, RegExp]>([
    [
      'a key of another machine',
      { certificate: 'leaf.pem', key: 'other-key.pem' },
      /^key: tls: the key belongs to another certificate/,
    ],
    ['no key', { certificate: 'leaf.pem', key: 'leaf.pem' }, /^key: tls: \/leaf.pem holds no private key/],
    [
      'a certificate of another chain',
      { certificate: ['leaf.pem', 'cas.pem'], key: 'key.pem' },
      /^certificate: tls: the certificate of CN=(stranger|root) .* no part of the chain/,
    ],
    ['no certificate', { certificate: 'key.pem', key: 'key.pem' }, /^certificate: tls: \/key.pem holds no certificate/],
    ['a file that is not there', { certificate: 'none.pem', key: 'key.pem' }, /^file: tls: ENOENT/],
    [
      'a CA that is none',
      { certificate: 'leaf.pem', key: 'key.pem', ca: 'key.pem' },
      /^ca: tls: \/key.pem holds no certificate/,
    ],
    [
      'a list that is none',
      { certificate: 'leaf.pem', key: 'key.pem', ca: 'cas.pem', crl: 'cas.pem' },
      /^crl: tls: \/cas.pem holds no certificate revocation list/,
    ],
    [
      'a list without its authority',
      { certificate: 'leaf.pem', key: 'key.pem', crl: 'crl.pem' },
      /^crl: tls: crl needs ca/,
    ],
  ])('%s is refused with the place and the file', (_, settings, text) => {
    expect(chainOf(settings)).toMatch(text);
  });

  it('several authorities and several lists may stand in one file; what ends first is told first', () => {
    const settings = { certificate: file('leaf.pem'), key: file('key.pem'), ca: file('cas.pem'), crl: file('crl.pem') };
    const set = readTlsSet(level('tls', settings));
    if (!set.ok) throw new Error(set.detail);
    expect([set.value.caPem.length, set.value.crlPem.length]).toEqual([2, 2]);
    expect(
      expiriesOf(set.value)
        .map((e) => e.what)
        .slice(0, 2),
    ).toEqual(['revocation list of CN=middle', 'revocation list of CN=root']);
    expect(String(set.value.key)).toBe('[secret]');
  });
});

const shown = (cn: string | string[], san?: string): PeerCertificate =>
  ({ subject: { CN: cn }, ...(san === undefined ? {} : { subjectaltname: san }) }) as unknown as PeerCertificate;

describe('the target name check (X3)', () => {
  it.each<[string, PeerCertificate, boolean]>([
    ['SAN in another case', shown('x', 'DNS:PEER.Example'), true],
    ['the common name without SAN', shown('Peer.Example'), true],
    ['the common name beside a SAN that says otherwise', shown('peer.example', 'DNS:other.example'), false],
    ['a wildcard', shown('x', 'DNS:*.example'), false],
    ['a sip: URI of the domain (RFC 5922 §7.1)', shown('x', 'URI:sip:peer.example'), true],
    ['a sip: URI of somebody there', shown('x', 'URI:sip:ann@peer.example'), false],
    ['a URI of another scheme', shown('x', 'URI:https:peer.example'), false],
    ['a name within a name', shown('x', 'DNS:"a.example, DNS:peer.example"'), false],
    ['a longer name', shown('peer.example.evil'), false],
    ['nothing at all', shown([]), false],
  ])('%s', (_, certificate, expected) => {
    expect(namesHost(certificate, 'peer.example')).toBe(expected);
  });

  it('all names count for a trunk', () => {
    const certificate = shown(['a', 'b'], 'DNS:c, IP Address:192.0.2.1, URI:sip:d, DNS:"e, DNS:f"');
    expect(certificateNames(certificate)).toEqual(['a', 'b', 'c', '192.0.2.1', 'sip:d', 'e, DNS:f']);
  });
});

describe('files that change (X4)', () => {
  it('come into force by themselves; what does not fit leaves the old in place and is reported', async () => {
    const here = mkdtempSync(join(tmpdir(), 'claviger-test-'));
    put(here, 'c.pem', leaf.pem);
    put(here, 'k.pem', leaf.keyPem);
    const changes: string[] = [];
    const problems: string[] = [];
    const store = new TlsStore([
      { name: 'sip', levels: [level('tls', { certificate: join(here, 'c.pem'), key: join(here, 'k.pem') })] },
    ]);
    try {
      store.watch({
        onChange: (user) => void changes.push(user),
        onProblem: (_, problem, detail) => void problems.push(`${problem}: ${detail}`),
      });
      const other = await issue(root, { cn: 'other' });
      put(here, 'c.pem', other.pem);
      await until('the report of a key that does not fit', () => problems.length > 0, 10_000);
      expect(problems[0]).toMatch(/^key: tls: the key belongs to another certificate/);
      expect([store.set('sip').chainPem, changes]).toEqual([leaf.pem, []]);
      put(here, 'k.pem', other.keyPem);
      await until('the new set', () => changes.length > 0, 10_000);
      expect(store.set('sip').chainPem).toBe(other.pem);
      expect(store.reload()).toBe(true);
      expect(changes).toEqual(['sip']);
    } finally {
      store.close();
      rmSync(here, { recursive: true, force: true });
    }
  });
});
