/** Our own INVITE against a peer that misbehaves (RFC 3261 §9.1, §12.2.1.2, §13.2.2). */
import { describe, expect, it } from 'vitest';
import { SIP_MAX_FORKS, SIP_MAX_TRANSACTIONS_PER_CONNECTION } from '../../../src/base/limits.js';
import { Bench, headerOf, reply, SDP_A, SDP_B, wire } from './support.js';

const TARGET = 'sip:8000@switch.example';
const FROM = 'sip:ann@client.example';

function invite(bench: Bench, call: number, target = TARGET, from = FROM): void {
  bench.put({ type: 'invite', call, connection: 1, target, from, sdp: SDP_A });
}

const CONTACT = '\nContact: <sip:8000@192.0.2.7>';

function called(): { bench: Bench; request: string } {
  const bench = new Bench();
  invite(bench, 1);
  return { bench, request: bench.take()[0]! };
}

function answered(): Bench {
  const { bench, request } = called();
  bench.feed(reply(request, '200 OK', 'b', CONTACT, SDP_B));
  bench.take();
  bench.takeEvents();
  return bench;
}

describe('a call out', () => {
  it('fails with 408 when nobody answers at all', () => {
    const { bench } = called();
    bench.advance(31_999);
    expect(bench.takeEvents()).toEqual([]);
    bench.advance(1);
    expect(bench.takeEvents()).toMatchObject([{ type: 'failed', call: 1, status: 408 }]);
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
  });

  it('fails at once with a bad target, a bad sender, or sips: without TLS', () => {
    const bench = new Bench({}, 'tcp');
    invite(bench, 1, 'tel:+1');
    invite(bench, 2, `${TARGET}\r\nEvil: 1`);
    invite(bench, 3, TARGET, `${FROM}>\r\nEvil: 1`);
    invite(bench, 4, 'sips:8000@switch.example');
    bench.put({ type: 'invite', call: 5, connection: 9, target: TARGET, from: FROM, sdp: SDP_A });
    expect(bench.takeEvents().map((e) => e.type === 'failed' && e.status)).toEqual([400, 400, 400, 403, 503]);
    expect(bench.take()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('the number of a live call is refused loudly', () => {
    const { bench } = called();
    expect(() => invite(bench, 1)).toThrow('call 1 exists');
  });

  it('a 2xx that comes again gets the same ACK, a forked one its own ACK and BYE', () => {
    const { bench, request } = called();
    const ok = reply(request, '200 OK', 'b', CONTACT, SDP_B);
    bench.feed(ok);
    const [ack] = bench.take();
    bench.feed(ok);
    expect(bench.take()).toEqual([ack]);
    bench.feed(reply(request, '200 OK', 'fork', '\nContact: <sip:fork@192.0.2.7>'));
    const [ack2, bye] = bench.take();
    expect(ack2).toMatch(/^ACK sip:fork@192.0.2.7 /);
    expect(bye).toMatch(/^BYE sip:fork@192.0.2.7 /);
    expect(headerOf(bye!, 'To')).toMatch(/tag=fork$/);
    bench.feed(reply(bye!, '200 OK', ''));
    expect(bench.takeEvents()).toEqual([{ type: 'answered', call: 1, sdp: SDP_B, tip: false }]);
    expect(bench.ua.counts.calls).toBe(1);
  });

  it('memory exhaustion: endless forks are answered up to a limit', () => {
    const { bench, request } = called();
    for (let i = 0; i < 100; i++) bench.feed(reply(request, '200 OK', `f${i}`, CONTACT));
    expect(bench.lines().filter((l) => l.startsWith('ACK'))).toHaveLength(SIP_MAX_FORKS + 1);
  });

  it('spoofed response: another Call-ID, From tag, CSeq or a second Via is not ours', () => {
    const { bench, request } = called();
    const swap = (from: RegExp, to: string) => bench.feed(reply(request.replace(from, to), '486 Busy', 'b'));
    swap(/Call-ID: .*/, 'Call-ID: other');
    swap(/From: .*/, `From: <${FROM}>;tag=other`);
    swap(/CSeq: 1/, 'CSeq: 2');
    swap(/Via: (.*)/, 'Via: $1, SIP/2.0/TLS b.example;branch=z9hG4bKx');
    expect(bench.takeEvents()).toEqual([]);
    swap(/^/, '');
    expect(bench.takeEvents()).toMatchObject([{ type: 'failed', status: 486 }]);
  });

  it('a 2xx without Contact makes no call', () => {
    const { bench, request } = called();
    bench.feed(reply(request, '200 OK', 'b'));
    expect(bench.takeEvents()).toMatchObject([{ type: 'failed', status: 500 }]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('a cancelled call ends when even CANCEL brings no answer', () => {
    const { bench, request } = called();
    bench.feed(reply(request, '180 Ringing', 'b'));
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines()).toEqual([`CANCEL ${TARGET} SIP/2.0`]);
    bench.takeEvents();
    bench.advance(32_000);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'local', cause: 'no answer to CANCEL' }]);
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
  });

  it('a BYE without answer ends the call after 64*T1', () => {
    const bench = answered();
    bench.put({ type: 'hangup', call: 1 });
    bench.advance(32_000);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'local', cause: 'no answer to BYE' }]);
  });

  it('at the limit of transactions an INVITE fails and a BYE still goes out', () => {
    const bench = answered();
    for (let call = 2; call <= SIP_MAX_TRANSACTIONS_PER_CONNECTION; call++) invite(bench, call);
    expect(bench.takeEvents()).toEqual([]);
    invite(bench, 9_999);
    expect(bench.takeEvents()).toMatchObject([{ type: 'failed', call: 9_999, status: 503 }]);
    bench.take();
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines()).toEqual([expect.stringMatching(/^BYE /)]);
  });

  it('speaks through a strict router as RFC 3261 §12.2.1.1 says', () => {
    const { bench, request } = called();
    const route = '\nRecord-Route: <sip:far.example;lr>, <sip:strict.example>';
    bench.feed(reply(request, '200 OK', 'b', CONTACT + route));
    const [ack] = bench.take();
    expect(ack).toMatch(/^ACK sip:strict.example SIP/);
    expect(ack!.split('\r\n').filter((l) => l.startsWith('Route'))).toEqual([
      'Route: <sip:far.example;lr>',
      'Route: <sip:8000@192.0.2.7>',
    ]);
  });
});

describe('our re-INVITE', () => {
  it('answered 481 or 408 or not at all ends the call', () => {
    for (const status of ['481 No', '408 Late', undefined]) {
      const bench = answered();
      bench.put({ type: 'reinvite', call: 1, sdp: SDP_B });
      const [request] = bench.take();
      if (status === undefined) bench.advance(32_000);
      else bench.feed(reply(request!, status, 'b'));
      expect(bench.lines().at(-1)).toMatch(/^BYE /);
      expect(bench.takeEvents()).toMatchObject([{ type: 'ended', by: status === undefined ? 'timeout' : 'peer' }]);
      expect(bench.ua.counts.calls).toBe(0);
    }
  });

  it('meets the peer’s BYE: its late 2xx is still acknowledged', () => {
    const bench = answered();
    bench.put({ type: 'reinvite', call: 1, sdp: SDP_B });
    const [request] = bench.take();
    const swapped = `BYE sip:x@192.0.2.100 SIP/2.0\nVia: SIP/2.0/TLS b.example;branch=z9hG4bKq
From: ${headerOf(request!, 'To')}\nTo: ${headerOf(request!, 'From')}\nCall-ID: ${headerOf(request!, 'Call-ID')}\nCSeq: 1 BYE`;
    bench.feed(wire(swapped));
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'peer' }]);
    bench.feed(reply(request!, '200 OK', 'b', CONTACT, SDP_B));
    expect(bench.lines()).toEqual(['SIP/2.0 200 OK', expect.stringMatching(/^ACK /)]);
    expect(bench.takeEvents()).toEqual([]);
  });
});
