import { describe, expect, it } from 'vitest';
import {
  SIP_LOCATE_MAX_HOPS,
  SIP_LOCATE_MAX_LOOKUPS,
  SIP_LOCATE_MAX_RECORDS,
  SIP_LOCATE_TIMEOUT_MS,
} from '../../../src/base/limits.js';
import type { ServerTransport } from '../../../src/sip/contract.js';
import { type DnsRecords, type Hop, Locator } from '../../../src/sip/locate.js';
import { parseSipUri } from '../../../src/wire/sip-uri.js';
import { seeded } from './support.js';

type Zone = Readonly<Record<string, DnsRecords['records']>>;
const ALL: readonly ServerTransport[] = ['tls', 'tcp', 'udp'];

/** What is found and what was asked, `naptr example.com`. */
function locate(uri: string, zone: Zone, transports = ALL, random = () => 0) {
  const locator = new Locator(random);
  const asked: string[] = [];
  let hops: readonly Hop[] | undefined;
  locator.receive({ type: 'locate', lookup: 1, uri: parseSipUri(uri)!, transports }, 0);
  for (let out = locator.poll(); out !== undefined; out = locator.poll()) {
    if (out.type === 'located') hops = out.hops;
    else {
      const question = `${out.kind} ${out.name}`;
      asked.push(question);
      const answer = { kind: out.kind, records: zone[question] ?? [] } as DnsRecords;
      locator.receive({ type: 'answer', query: out.query, answer }, 0);
    }
  }
  if (hops === undefined) throw new Error('no end');
  return { asked, found: hops.map((h) => `${h.transport} ${h.address} ${h.port}`), names: hops.map((h) => h.name) };
}

const naptr = (order: number, preference: number, service: string, replacement: string) => ({
  order,
  preference,
  flags: 's',
  service,
  replacement,
});
const srv = (priority: number, weight: number, port: number, target: string) => ({ priority, weight, port, target });

const EXAMPLE: Zone = {
  'naptr example.com': [
    naptr(50, 50, 'SIPS+D2T', '_sips._tcp.example.com'),
    naptr(90, 50, 'SIP+D2T', '_sip._tcp.example.com'),
    naptr(100, 50, 'SIP+D2U', '_sip._udp.example.com'),
  ],
  'srv _sips._tcp.example.com': [srv(0, 1, 5_061, 'server1.example.com'), srv(1, 2, 5_063, 'server2.example.com')],
  'srv _sip._tcp.example.com': [srv(0, 1, 5_060, 'server1.example.com')],
  'address server1.example.com': ['192.0.2.1', '2001:db8::1'],
  'address server2.example.com': ['192.0.2.2'],
};

describe('a request goes to (RFC 3263 §4)', () => {
  it('a literal address without asking anybody', () => {
    expect(locate('sips:a@192.0.2.9', {})).toEqual({ asked: [], found: ['tls 192.0.2.9 5061'], names: ['192.0.2.9'] });
    expect(locate('sip:a@[2001:db8::9]:6060', {}, ['udp']).found).toEqual(['udp 2001:db8::9 6060']);
    expect(locate('sip:a@192.0.2.9;transport=tcp', {}).found).toEqual(['tcp 192.0.2.9 5060']);
    expect(locate('sip:a@example.com;maddr=192.0.2.9', {}, ['tcp']).found).toEqual(['tcp 192.0.2.9 5060']);
  });

  it('the servers that NAPTR and SRV name, best first, all of their addresses', () => {
    const { asked, found, names } = locate('sips:a@Example.com', EXAMPLE);
    expect(asked).toEqual([
      'naptr example.com',
      'srv _sips._tcp.example.com',
      'address server1.example.com',
      'address server2.example.com',
    ]);
    expect(found).toEqual(['tls 192.0.2.1 5061', 'tls 2001:db8::1 5061', 'tls 192.0.2.2 5063']);
    expect(new Set(names)).toEqual(new Set(['example.com'])); // what the certificate must name
  });

  it('the domain’s preference among the transports that we may use', () => {
    expect(locate('sip:a@example.com', EXAMPLE, ['udp', 'tcp']).found[0]).toBe('tcp 192.0.2.1 5060');
    const reversed: Zone = {
      ...EXAMPLE,
      'naptr example.com': [
        naptr(1, 9, 'SIPS+D2T', '_sips._tcp.example.com'),
        naptr(1, 2, 'SIP+D2T', '_sip._tcp.example.com'),
      ],
    };
    expect(locate('sip:a@example.com', reversed).found[0]).toBe('tcp 192.0.2.1 5060');
  });

  it('SRV of what we may use where there is no NAPTR, and of the transport that the URI names', () => {
    const { 'naptr example.com': _, ...zone } = EXAMPLE;
    expect(locate('sip:a@example.com', zone, ['tcp', 'udp']).asked.slice(0, 3)).toEqual([
      'naptr example.com',
      'srv _sip._tcp.example.com',
      'srv _sip._udp.example.com',
    ]);
    expect(locate('sip:a@example.com;transport=tcp', zone).asked).toEqual([
      'srv _sip._tcp.example.com',
      'address server1.example.com',
    ]);
  });

  it('the name itself where there is no SRV either, or where a port is given', () => {
    const zone = { 'address host.example': ['192.0.2.3'] };
    expect(locate('sip:a@host.example', zone, ['udp']).found).toEqual(['udp 192.0.2.3 5060']);
    expect(locate('sips:a@host.example', zone).found).toEqual(['tls 192.0.2.3 5061']);
    const withPort = locate('sip:a@host.example:5070', zone, ['tcp']);
    expect(withPort).toMatchObject({ asked: ['address host.example'], found: ['tcp 192.0.2.3 5070'] });
  });

  it('nowhere where nothing is there, and asks the name only once', () => {
    const { asked, found } = locate('sip:a@host.example', {}, ['udp']);
    expect(found).toEqual([]);
    expect(asked).toEqual(['naptr host.example', 'srv _sip._udp.host.example', 'address host.example']);
    expect(
      locate('sip:a@example.com', { 'srv _sip._udp.example.com': [srv(0, 0, 5_060, '.')] }, ['udp']).asked,
    ).toContain('address example.com');
  });

  it('servers of one priority by weight (RFC 2782)', () => {
    const zone: Zone = {
      'srv _sip._udp.e.example': [srv(0, 75, 1, 'a.example'), srv(0, 25, 2, 'b.example'), srv(0, 0, 3, 'c.example')],
      'address a.example': ['192.0.2.1'],
      'address b.example': ['192.0.2.2'],
      'address c.example': ['192.0.2.3'],
    };
    const random = seeded(7);
    const first: Record<string, number> = {};
    for (let i = 0; i < 2_000; i++) {
      const { found } = locate('sip:a@e.example;transport=udp', zone, ['udp'], random);
      expect(found).toHaveLength(3);
      first[found[0]!] = (first[found[0]!] ?? 0) + 1;
    }
    expect(first['udp 192.0.2.1 1']! / 2_000).toBeCloseTo(0.75, 1);
    expect(first['udp 192.0.2.2 2']! / 2_000).toBeCloseTo(0.25, 1);
  });
});

describe('attack: DNS is a stranger’s', () => {
  it('downgrade - sips: and transport=tls never lead to anything but TLS', () => {
    const zone: Zone = { ...EXAMPLE, 'naptr example.com': [naptr(1, 1, 'SIP+D2U', '_sip._udp.example.com')] };
    for (const uri of ['sips:a@example.com', 'sip:a@example.com;transport=tls', 'sips:a@example.com;transport=tcp']) {
      for (const hop of locate(uri, zone).found) expect(hop).toMatch(/^tls /);
      expect(locate(uri, zone, ['tcp', 'udp']).found).toEqual([]);
    }
  });

  it('a NAPTR record that leads TLS out of the domain is not followed', () => {
    const zone: Zone = {
      'naptr example.com': [
        naptr(1, 1, 'SIPS+D2T', '_sips._tcp.evil-example.com'),
        naptr(1, 2, 'SIPS+D2T', '_sips._tcp.evil'),
      ],
      'srv _sips._tcp.evil-example.com': [srv(0, 0, 5_061, 'evil.example')],
      'address example.com': ['192.0.2.1'],
    };
    expect(locate('sips:a@example.com', zone).found).toEqual(['tls 192.0.2.1 5061']);
  });

  it('answers without end: a bounded number of records, servers and questions', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => srv(0, 1, 5_060, `s${i}.example`));
    const zone: Record<string, DnsRecords['records']> = { 'srv _sip._udp.e.example': many };
    for (let i = 0; i < 1_000; i++) zone[`address s${i}.example`] = Array.from({ length: 1_000 }, () => '192.0.2.1');
    const { asked, found } = locate('sip:a@e.example;transport=udp', zone, ['udp']);
    expect(found).toHaveLength(SIP_LOCATE_MAX_HOPS);
    expect(asked.length).toBeLessThanOrEqual(SIP_LOCATE_MAX_RECORDS + 1);
  });

  it('no answer: over after its time; an answer that nobody asked for, or that is of another kind, changes nothing', () => {
    const locator = new Locator(() => 0);
    const uri = parseSipUri('sip:a@e.example')!;
    locator.receive({ type: 'locate', lookup: 1, uri, transports: ['udp'] }, 1_000);
    locator.receive({ type: 'answer', query: 99, answer: { kind: 'address', records: ['192.0.2.66'] } }, 1_000);
    expect(locator.poll()).toMatchObject({ type: 'query', kind: 'naptr' });
    expect(locator.poll()).toBeUndefined();
    expect(locator.deadline()).toBe(1_000 + SIP_LOCATE_TIMEOUT_MS);
    locator.receive({ type: 'tick' }, 1_000 + SIP_LOCATE_TIMEOUT_MS);
    expect(locator.poll()).toEqual({ type: 'located', lookup: 1, hops: [] });
    locator.receive({ type: 'answer', query: 1, answer: { kind: 'address', records: ['192.0.2.66'] } }, 9_999);
    expect(locator.poll()).toBeUndefined();
    expect(locator.deadline()).toBeUndefined();
  });

  it('lookups without end: those beyond the limit find nothing at once', () => {
    const locator = new Locator(() => 0);
    const uri = parseSipUri('sip:a@e.example')!;
    for (let lookup = 0; lookup <= SIP_LOCATE_MAX_LOOKUPS; lookup++) {
      locator.receive({ type: 'locate', lookup, uri, transports: ['udp'] }, 0);
    }
    const located = [];
    for (let out = locator.poll(); out !== undefined; out = locator.poll())
      if (out.type === 'located') located.push(out);
    expect(located).toEqual([{ type: 'located', lookup: SIP_LOCATE_MAX_LOOKUPS, hops: [] }]);
  });
});
