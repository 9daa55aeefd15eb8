/** The real resolver against a DNS server of the test's own. */
import { createSocket, type Socket } from 'node:dgram';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locate, systemResolver } from '../../src/server/resolver.js';
import { parseSipUri } from '../../src/wire/sip-uri.js';

const name = (text: string): Buffer =>
  Buffer.concat([...text.split('.').flatMap((l) => [Buffer.of(l.length), Buffer.from(l)]), Buffer.of(0)]);
const text = (t: string): Buffer => Buffer.concat([Buffer.of(t.length), Buffer.from(t)]);
const u16 = (...n: number[]): Buffer => Buffer.from(n.flatMap((v) => [v >> 8, v & 255]));

/** Questions `type name` to record data. */
const ZONE: Readonly<Record<string, readonly Buffer[]>> = {
  '35 example.com': [Buffer.concat([u16(1, 1), text('s'), text('SIPS+D2T'), text(''), name('_alt._tcp.example.com')])],
  '33 _alt._tcp.example.com': [Buffer.concat([u16(0, 0, 5_071), name('one.example.com')])],
  '1 one.example.com': [Buffer.of(192, 0, 2, 1)],
  '28 one.example.com': [Buffer.from('20010db8000000000000000000000001', 'hex')],
};

function reply(query: Buffer): Buffer {
  let at = 12;
  const labels: string[] = [];
  while (query[at] !== 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
    at += 1 + query[at]!;
  }
  const question = query.subarray(12, at + 5);
  const type = query.readUInt16BE(at + 1);
  const answers = ZONE[`${type} ${labels.join('.').toLowerCase()}`] ?? [];
  const flags = answers.length === 0 ? 0x8583 : 0x8580; // NXDOMAIN, no error
  const header = Buffer.concat([query.subarray(0, 2), u16(flags, 1, answers.length, 0, 0)]);
  const records = answers.map((data) => Buffer.concat([u16(0xc00c, type, 1, 0, 60, data.length), data]));
  return Buffer.concat([header, question, ...records]);
}

let server: Socket;
beforeEach(async () => {
  server = createSocket('udp4');
  server.on('message', (query, from) => server.send(reply(query), from.port, from.address));
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.close();
});

describe('the resolver of the switch', () => {
  it('asks NAPTR, SRV, AAAA and A of a DNS server', async () => {
    const resolve = systemResolver([`127.0.0.1:${server.address().port}`]);
    expect(await locate(resolve, parseSipUri('sips:8000@example.com')!, ['tls'])).toEqual([
      { transport: 'tls', address: '2001:db8::1', port: 5_071, name: 'example.com' },
      { transport: 'tls', address: '192.0.2.1', port: 5_071, name: 'example.com' },
    ]);
    expect(await locate(resolve, parseSipUri('sips:8000@nowhere.example')!, ['tls'])).toEqual([]);
  });

  it('needs none for an address, and knows this machine’s hosts', async () => {
    const nobody = systemResolver();
    const hop = { transport: 'tcp', address: '192.0.2.9', port: 5_060, name: '192.0.2.9' };
    expect(await locate(nobody, parseSipUri('sip:8000@192.0.2.9')!, ['tcp'])).toEqual([hop]);
    const local = await locate(nobody, parseSipUri('sip:8000@localhost:5060')!, ['tcp']);
    expect(local.map((h) => h.address)).toContain('127.0.0.1');
  });
});
