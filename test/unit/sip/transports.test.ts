/** What differs from TLS to TCP to UDP: timers, where things are sent, who can reach a transaction. */
import { describe, expect, it } from 'vitest';
import type { Send } from '../../../src/sip/contract.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { Bench, counter, drain, headerOf, parse, req, SDP_A, SDP_B, text, wire } from './support.js';

const peer = { address: '192.0.2.7', port: 40_001 };
const us = { address: '192.0.2.100', port: 5_060 };

/** A user agent with one UDP peer; gives what was sent since the last question. */
function datagrams() {
  const ua = new UserAgent({ random: counter('t') });
  let now = 1_000_000;
  const put = (input: Parameters<UserAgent['receive']>[0]): Send[] => {
    ua.receive(input, now);
    return drain(ua).filter((o) => o.type === 'send');
  };
  put({ type: 'connected', connection: 1, remote: peer, local: us, transport: 'udp' });
  return {
    put,
    feed: (bytes: Uint8Array, connection = 1) => put({ type: 'message', connection, message: parse(bytes) }),
    /** To the next deadline. */
    wait: () => {
      const at = ua.deadline();
      if (at === undefined) throw new Error('nothing is waited for');
      const waited = at - now;
      now = at;
      return { waited, sent: put({ type: 'tick' }) };
    },
    counts: () => ua.counts,
  };
}

const firstLine = (sent: Send): string => text(sent.bytes).split('\r\n')[0]!;
const udp = (fields: Parameters<typeof req>[0], via = '192.0.2.7:5062'): Uint8Array =>
  new TextEncoder().encode(text(req(fields)).replace('SIP/2.0/TLS client.example:5061', `SIP/2.0/UDP ${via}`));

describe('over UDP', () => {
  it('a response goes to the port of Via, and with rport to where the request came from', () => {
    const ua = datagrams();
    expect(ua.feed(udp({ method: 'OPTIONS' }))).toMatchObject([{ port: 5_062 }]);
    expect(ua.feed(udp({ method: 'OPTIONS', branch: 'd' }, '192.0.2.7'))).toMatchObject([{ port: 5_060 }]);
    const [sent] = ua.feed(udp({ method: 'OPTIONS', branch: 'e;rport' }));
    expect(sent).not.toHaveProperty('port');
    expect(headerOf(text(sent!.bytes), 'Via')).toBe(
      'SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKe;rport=40001;received=192.0.2.7',
    );
  });

  it('attack: reflection - no Via and no maddr takes a response to another address', () => {
    const ua = datagrams();
    const victim = 'SIP/2.0/UDP 203.0.113.9:53;maddr=203.0.113.9';
    const spoofed = text(udp({ method: 'OPTIONS' })).replace('SIP/2.0/UDP 192.0.2.7:5062', victim);
    // A Send names a connection, whose address is the one that the request came from, and at most a port of it.
    for (const sent of ua.feed(new TextEncoder().encode(spoofed))) expect(sent.connection).toBe(1);
  });

  it('attack: reflection - a Contact elsewhere is named, but nothing is sent there', () => {
    const ua = datagrams();
    ua.feed(udp({ body: SDP_A, contact: '<sip:a@203.0.113.9:53>', branch: 'i;rport' }));
    ua.put({ type: 'accept', call: 1, sdp: SDP_B });
    ua.feed(udp({ method: 'ACK', branch: 'k', to: 't1' }));
    const [bye] = ua.put({ type: 'hangup', call: 1 });
    expect(firstLine(bye!)).toBe('BYE sip:a@203.0.113.9:53 SIP/2.0');
    expect(bye).not.toHaveProperty('port');
  });

  it('a request in a dialog goes to the port of Contact, or of the first Route, on the peer’s own address', () => {
    for (const [extra, port] of [
      ['', 5_070],
      ['Record-Route: <sip:192.0.2.7:5090;lr>\n', 5_090],
      ['Record-Route: <sip:192.0.2.7:5091>\n', 5_091],
      ['Record-Route: <sip:198.51.100.1:5090;lr>\n', undefined],
    ] as const) {
      const ua = datagrams();
      ua.feed(udp({ body: SDP_A, contact: '<sip:a@192.0.2.7:5070>', extra }));
      ua.put({ type: 'accept', call: 1, sdp: SDP_B });
      ua.feed(udp({ method: 'ACK', branch: 'k', to: 't1' }));
      expect(ua.put({ type: 'hangup', call: 1 })[0]?.port).toBe(port);
    }
  });

  it('an answered non-INVITE is answered again for 32 s, then forgotten (timer J)', () => {
    const ua = datagrams();
    const [first] = ua.feed(udp({ method: 'OPTIONS' }));
    expect(ua.feed(udp({ method: 'OPTIONS' }))).toEqual([first]);
    expect(ua.wait().waited).toBe(32_000);
    expect(ua.counts().transactions).toBe(0);
  });

  it('a refusal is sent again until its ACK (timer G), and the ACK again is absorbed (timer I)', () => {
    const ua = datagrams();
    ua.feed(udp({ body: SDP_A }));
    ua.put({ type: 'reject', call: 1, status: 486 });
    const waits = [ua.wait(), ua.wait(), ua.wait(), ua.wait(), ua.wait()];
    expect(waits.map((w) => w.waited)).toEqual([500, 1_000, 2_000, 4_000, 4_000]);
    for (const { sent } of waits) expect(sent.map(firstLine)).toEqual(['SIP/2.0 486 Busy Here']);
    for (let i = 0; i < 2; i++) expect(ua.feed(udp({ method: 'ACK', to: 't1' }))).toEqual([]);
    expect(ua.wait().waited).toBe(5_000);
    expect(ua.counts()).toEqual({ calls: 0, transactions: 0 });
  });

  it('a 2xx is sent again to the same port until its ACK', () => {
    const ua = datagrams();
    ua.feed(udp({ body: SDP_A }));
    ua.put({ type: 'accept', call: 1, sdp: SDP_B });
    const again = ua.wait();
    expect(again.waited).toBe(500);
    expect(again.sent.map((s) => [firstLine(s), s.port])).toEqual([['SIP/2.0 200 OK', 5_062]]);
  });

  it('our INVITE is sent again at 0.5, 1, 2, ... s and given up after 32 s (timers A, B)', () => {
    const ua = datagrams();
    ua.put({ type: 'invite', call: 1, connection: 1, target: 'sip:b@192.0.2.7', from: 'sip:us@us', sdp: SDP_A });
    let total = 0;
    const waits: number[] = [];
    while (ua.counts().calls > 0) {
      const { waited } = ua.wait();
      waits.push(waited);
      total += waited;
    }
    expect(waits.slice(0, 6)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000]);
    expect(total).toBe(32_000);
  });

  it('a response is ours also when it comes from another port of the peer, but not from another address', () => {
    const answer = (branch: string) =>
      wire(`SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.100:5060;branch=${branch};rport=5060
From: <sip:us@us>;tag=t2
To: <sip:b@b>;tag=b
Call-ID: t3
CSeq: 1 OPTIONS`);
    for (const [address, answered] of [
      ['192.0.2.7', 1],
      ['192.0.2.8', 0],
    ] as const) {
      const ua = new UserAgent({ random: counter('t') });
      const connected = { type: 'connected', local: us, transport: 'udp' } as const;
      ua.receive({ ...connected, connection: 1, remote: peer }, 0);
      ua.receive({ ...connected, connection: 2, remote: { address, port: 5_060 } }, 0);
      ua.receive({ type: 'options', probe: 1, connection: 1, target: 'sip:b@b', from: 'sip:us@us' }, 0);
      const [sent] = drain(ua).filter((o) => o.type === 'send');
      const message = parse(sent!.bytes);
      const bytes = text(answer(message.via[0]!.params.get('branch')!))
        .replace('tag=t2', `tag=${message.from.params.get('tag')}`)
        .replace('Call-ID: t3', `Call-ID: ${message.callId}`);
      ua.receive({ type: 'message', connection: 2, message: parse(new TextEncoder().encode(bytes)) }, 1);
      expect(drain(ua).filter((o) => o.type === 'options-answered')).toHaveLength(answered);
    }
  });
});

describe('over secure WebSocket', () => {
  /** A browser knows no address of its own: names that are never resolved stand in Via and Contact (RFC 7118 §5.2). */
  const browser = (fields: Parameters<typeof req>[0]): Uint8Array =>
    new TextEncoder().encode(
      text(req({ contact: '<sip:x@df7jal23ls0d.invalid;transport=ws>', ...fields })).replace(
        'SIP/2.0/TLS client.example:5061',
        'SIP/2.0/WSS df7jal23ls0d.invalid',
      ),
    );

  it('a call is taken and ended on its connection, whatever host its Via and Contact name', () => {
    const bench = new Bench({}, 'wss');
    bench.feed(browser({ body: SDP_A }));
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    const ok = bench.take().at(-1);
    expect(headerOf(ok!, 'Via')).toBe('SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKc;received=192.0.2.7');
    expect(headerOf(ok!, 'Contact')).toBe('<sip:192.0.2.100:5061;transport=ws>');
    bench.feed(browser({ method: 'ACK', branch: 'k', to: 't1' }));
    bench.put({ type: 'reinvite', call: 1, sdp: SDP_B });
    expect(bench.lines()).toEqual(['INVITE sip:x@df7jal23ls0d.invalid;transport=ws SIP/2.0']);
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines()).toEqual(['BYE sip:x@df7jal23ls0d.invalid;transport=ws SIP/2.0']);
  });

  it('it is as good as TLS for sips:', () => {
    const bench = new Bench({}, 'wss');
    bench.feed(browser({ method: 'OPTIONS', uri: 'sips:8000@switch.example' }));
    bench.put({ type: 'invite', call: 1, connection: 1, target: 'sips:b@x.invalid', from: 'sip:us@us', sdp: SDP_A });
    bench.put({ type: 'options', probe: 1, connection: 1, target: 'sips:b@x.invalid', from: 'sip:us@us' });
    expect(bench.lines()).toEqual([
      'SIP/2.0 200 OK',
      'INVITE sips:b@x.invalid SIP/2.0',
      'OPTIONS sips:b@x.invalid SIP/2.0',
    ]);
  });
});

describe('a request of our own that comes back', () => {
  it('is a loop: 482, and no call of ours', () => {
    const bench = new Bench();
    bench.put({ type: 'invite', call: 1, connection: 1, target: 'sip:b@b.example', from: 'sip:us@us', sdp: SDP_A });
    const [invite] = bench.take();
    const proxied = invite!.replace('Via: ', 'Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp, ');
    for (const back of [invite!, proxied]) {
      bench.feed(new TextEncoder().encode(back));
      expect(bench.lines()).toEqual(['SIP/2.0 482 Loop Detected']);
    }
    expect(bench.takeEvents()).toEqual([]);
  });
});

describe('Via and Contact', () => {
  it.each(['tls', 'tcp', 'udp'] as const)('name the transport: %s', (transport) => {
    const bench = new Bench({}, transport);
    bench.put({ type: 'invite', call: 1, connection: 1, target: 'sip:b@b.example', from: 'sip:us@us', sdp: SDP_A });
    const [invite] = bench.take();
    expect(headerOf(invite!, 'Via')).toContain(`SIP/2.0/${transport.toUpperCase()} 192.0.2.100:5061`);
    expect(headerOf(invite!, 'Contact')).toBe(`<sip:192.0.2.100:5061;transport=${transport}>`);
  });

  it.each([
    ['sip:b@x.invalid;transport=ws', '<sip:192.0.2.100:5061;transport=ws>'],
    ['sips:b@x.invalid;transport=ws', '<sips:192.0.2.100:5061;transport=ws>'],
  ])('over WebSocket to %s: WSS in Via, ws in Contact (RFC 7118 §5.2)', (target, contact) => {
    const bench = new Bench({}, 'wss');
    bench.put({ type: 'invite', call: 1, connection: 1, target, from: 'sip:us@us', sdp: SDP_A });
    const [invite] = bench.take();
    expect(invite).toMatch(new RegExp(`^INVITE ${target} SIP/2.0\r\n`));
    expect(headerOf(invite!, 'Via')).toContain('SIP/2.0/WSS 192.0.2.100:5061');
    expect(headerOf(invite!, 'Contact')).toBe(contact);
  });
});
