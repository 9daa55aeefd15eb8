/** REFER and Replaces where a trunk may ask for them, reliable provisional responses. */
import { describe, expect, it } from 'vitest';
import { Bench, confirmed, headerOf, reply, req, SDP_A, SDP_B } from './support.js';

const ALLOWED = { transfers: () => ({ acceptRefer: true, acceptReplaces: true }) };
const refer = (extra = 'Refer-To: <sip:carol@c.example>', cseq = '2', branch = 'r') =>
  req({ method: 'REFER', branch, to: 't1', cseq, extra });

describe('REFER in a call', () => {
  it('is not allowed unless the trunk says so', () => {
    const bench = confirmed();
    bench.feed(refer());
    const [refused] = bench.take();
    expect(refused).toMatch(/^SIP\/2.0 405 /);
    expect(headerOf(refused!, 'Allow')).not.toContain('REFER');
    expect(bench.takeEvents()).toEqual([]);
  });

  it('is accepted, carried out by our user, and its outcome is told in NOTIFYs', () => {
    const bench = confirmed(ALLOWED);
    bench.feed(refer('Refer-To: Carol <sip:carol@c.example>\nReferred-By: <sip:ann@client.example>'));
    expect(bench.lines()).toEqual(['SIP/2.0 202 Accepted']);
    expect(bench.takeEvents()).toEqual([
      { type: 'refer', call: 1, connection: 1, target: 'sip:carol@c.example', referredBy: 'sip:ann@client.example' },
    ]);
    bench.put({ type: 'refer-status', call: 1, status: 100 });
    bench.advance(10_000);
    bench.put({ type: 'refer-status', call: 1, status: 200 });
    bench.put({ type: 'refer-status', call: 1, status: 500 }); // it is over already
    const notified = bench.take();
    expect(notified.map((m) => headerOf(m, 'Subscription-State'))).toEqual([
      'active;expires=60',
      'terminated;reason=noresource',
    ]);
    expect(notified.map((m) => m.split('\r\n\r\n')[1])).toEqual(['SIP/2.0 100 Trying\r\n', 'SIP/2.0 200 OK\r\n']);
    expect(headerOf(notified[0]!, 'Event')).toBe('refer;id=2');
    expect(headerOf(notified[0]!, 'Content-Type')).toBe('message/sipfrag;version=2.0');
    for (const notify of notified) bench.feed(reply(notify, '200 OK', ''));
    expect(bench.ua.counts.calls).toBe(1);
  });

  it('that nobody finishes ends with 408 after a minute; a second one meanwhile gets 491', () => {
    const bench = confirmed(ALLOWED);
    bench.feed(refer());
    bench.feed(refer(undefined, '3', 'r2'));
    expect(bench.lines()).toEqual(['SIP/2.0 202 Accepted', 'SIP/2.0 491 Request Pending']);
    bench.advance(60_000);
    expect(bench.take().map((m) => m.split('\r\n\r\n')[1])).toEqual(['SIP/2.0 408 Request Timeout\r\n']);
  });

  it.each([
    ['no Refer-To', ''],
    ['two of them', 'Refer-To: <sip:a@b.example>\nRefer-To: <sip:c@d.example>'],
    ['another scheme', 'Refer-To: <tel:+1>'],
    ['nonsense', 'Refer-To: <sip:'],
  ])('with %s is refused', (_, extra) => {
    const bench = confirmed(ALLOWED);
    bench.feed(refer(extra));
    expect(bench.lines()).toEqual(['SIP/2.0 400 Bad Request']);
    expect(bench.takeEvents()).toEqual([]);
  });
});

describe('INVITE with Replaces', () => {
  const replacing = (value: string) =>
    req({ callId: 'call-2', branch: 'n', from: 'n1', body: SDP_A, extra: `Replaces: ${value}` });
  const RIGHT = 'call-1;to-tag=t1;from-tag=a1';

  it('takes the place of the call it names: that one gets BYE when the new one is answered', () => {
    const bench = confirmed(ALLOWED);
    bench.feed(replacing(RIGHT));
    expect(bench.takeEvents()).toMatchObject([{ type: 'incoming', call: 2, replaces: 1 }]);
    bench.take();
    bench.put({ type: 'accept', call: 2, sdp: SDP_B });
    const [ok, bye] = bench.take();
    expect(ok).toMatch(/^SIP\/2.0 200 /);
    expect(bye).toMatch(/^BYE [\s\S]*Call-ID: call-1[\s\S]*Reason: SIP;cause=200;text="replaced"/);
    bench.feed(reply(bye!, '200 OK', ''));
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
  });

  it('is an ordinary call where the trunk may not replace', () => {
    const bench = confirmed();
    bench.feed(replacing(RIGHT));
    const [incoming] = bench.takeEvents();
    expect(incoming).toMatchObject({ type: 'incoming', call: 2 });
    expect(incoming).not.toHaveProperty('replaces');
  });

  it.each([
    ['of another Call-ID', 'call-9;to-tag=t1;from-tag=a1', '481'],
    ['with the tags the wrong way round', 'call-1;to-tag=a1;from-tag=t1', '481'],
    ['of an early dialog only', `${RIGHT};early-only`, '486'],
    ['without a tag', 'call-1;to-tag=t1', '400'],
    ['of nothing', ';', '400'],
  ])('%s: %s gets %s', (_, value, status) => {
    const bench = confirmed(ALLOWED);
    bench.feed(replacing(value));
    expect(bench.lines()).toEqual([expect.stringContaining(`SIP/2.0 ${status}`)]);
    expect(bench.takeEvents()).toEqual([]);
  });

  it('hijack: from a peer that is not the call’s own gets 403, and the call goes on', () => {
    const bench = confirmed(ALLOWED);
    const remote = { address: '198.51.100.9', port: 1 };
    const local = { address: '192.0.2.100', port: 5061 };
    bench.put({ type: 'connected', connection: 2, remote, local, transport: 'tls' });
    bench.feed(replacing(RIGHT), 2);
    expect(bench.lines()).toEqual(['SIP/2.0 403 Forbidden']);
    expect(bench.takeEvents()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(1);
  });
});

describe('reliable provisional responses to our INVITE (RFC 3262)', () => {
  const RELIABLE = (sequence: number) => `\nContact: <sip:b@192.0.2.7>\nRequire: 100rel\nRSeq: ${sequence}`;
  const called = () => {
    const bench = new Bench();
    const target = 'sip:8000@switch.example';
    bench.put({ type: 'invite', call: 1, connection: 1, target, from: 'sip:ann@client.example', sdp: SDP_A });
    return { bench, invite: bench.take()[0]! };
  };

  it('get a PRACK each, once and in order, and what follows in the dialog takes the next number', () => {
    const { bench, invite } = called();
    expect(headerOf(invite, 'Supported')).toContain('100rel');
    bench.feed(reply(invite, '180 Ringing', 'b', RELIABLE(900)));
    bench.feed(reply(invite, '180 Ringing', 'b', RELIABLE(900)));
    bench.feed(reply(invite, '183 Progress', 'b', RELIABLE(902))); // 901 is missing: not yet
    bench.feed(reply(invite, '183 Progress', 'b', RELIABLE(901), SDP_B));
    const pracks = bench.take();
    expect(pracks.map((m) => [m.split(' ')[0], headerOf(m, 'RAck'), headerOf(m, 'CSeq')])).toEqual([
      ['PRACK', '900 1 INVITE', '2 PRACK'],
      ['PRACK', '901 1 INVITE', '3 PRACK'],
    ]);
    expect(bench.takeEvents()).toEqual([
      { type: 'progress', call: 1, status: 180 },
      { type: 'progress', call: 1, status: 183, sdp: SDP_B },
    ]);
    for (const prack of pracks) bench.feed(reply(prack, '200 OK', ''));
    bench.feed(reply(invite, '200 OK', 'b', '\nContact: <sip:b@192.0.2.7>'));
    expect(bench.takeEvents()).toEqual([{ type: 'answered', call: 1, sdp: SDP_B, tip: false }]);
    bench.take();
    bench.put({ type: 'hangup', call: 1 });
    expect(headerOf(bench.take()[0]!, 'CSeq')).toBe('4 BYE');
  });

  it('of several forks are acknowledged in their own dialogs, a bounded number of them', () => {
    const { bench, invite } = called();
    for (let i = 0; i < 50; i++) bench.feed(reply(invite, '180 Ringing', `f${i}`, RELIABLE(1)));
    const pracks = bench.take();
    expect(pracks.length).toBeLessThan(12);
    expect(new Set(pracks.map((m) => headerOf(m, 'To'))).size).toBe(pracks.length);
  });

  it('an INVITE that requires them is answered at once, which needs none; a PRACK for nothing gets 481', () => {
    const bench = confirmed({}, { extra: 'Require: 100rel' });
    expect(bench.ua.counts.calls).toBe(1);
    bench.feed(req({ method: 'PRACK', branch: 'p', to: 't1', cseq: '2', extra: 'RAck: 1 1 INVITE' }));
    expect(bench.lines()).toEqual(['SIP/2.0 481 Call/Transaction Does Not Exist']);
  });
});
