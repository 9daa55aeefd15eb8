/** The real resolver against a DNS server of the test's own. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locate, systemResolver } from '../../src/server/resolver.js';
import { parseSipUri } from '../../src/wire/sip-uri.js';
import { a, aaaa, type DnsServer, naptr, openDnsServer, srv } from '../support/dns-server.js';

let server: DnsServer;
beforeEach(async () => {
  server = await openDnsServer();
  server.zone.set('NAPTR example.com', [naptr(1, 'SIPS+D2T', '_alt._tcp.example.com')]);
  server.zone.set('SRV _alt._tcp.example.com', [srv(0, 0, 5_071, 'one.example.com')]);
  server.zone.set('A one.example.com', [a('192.0.2.1')]);
  server.zone.set('AAAA one.example.com', [aaaa('20010db8000000000000000000000001')]);
});
afterEach(() => server.close());

describe('the resolver of the switch', () => {
  it('asks NAPTR, SRV, AAAA and A of a DNS server', async () => {
    const resolve = systemResolver([server.address]);
    expect(await locate(resolve, parseSipUri('sips:8000@example.com')!, ['tls'])).toEqual([
      { transport: 'tls', address: '2001:db8::1', port: 5_071, name: 'example.com' },
      { transport: 'tls', address: '192.0.2.1', port: 5_071, name: 'example.com' },
    ]);
    expect(await locate(resolve, parseSipUri('sips:8000@nowhere.example')!, ['tls'])).toEqual([]);
  });

  it('chooses among servers of equal priority by the chance that it is given (RFC 2782)', async () => {
    const resolve = systemResolver([server.address]);
    server.zone.set('SRV _alt._tcp.example.com', [
      srv(0, 1, 5_071, 'one.example.com'),
      srv(0, 3, 5_072, 'one.example.com'),
    ]);
    const ports = async (chance: number): Promise<number[]> => {
      const hops = await locate(resolve, parseSipUri('sips:8000@example.com')!, ['tls'], () => chance);
      return hops.filter((hop) => hop.address === '192.0.2.1').map((hop) => hop.port);
    };
    expect(await ports(0.2)).toEqual([5_071, 5_072]);
    expect(await ports(0.3)).toEqual([5_072, 5_071]);
  });

  it('needs none for an address, and knows this machine’s hosts', async () => {
    const nobody = systemResolver();
    const hop = { transport: 'tcp', address: '192.0.2.9', port: 5_060, name: '192.0.2.9' };
    expect(await locate(nobody, parseSipUri('sip:8000@192.0.2.9')!, ['tcp'])).toEqual([hop]);
    const local = await locate(nobody, parseSipUri('sip:8000@localhost:5060')!, ['tcp']);
    expect(local.map((h) => h.address)).toContain('127.0.0.1');
  });
});
