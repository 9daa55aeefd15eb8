/** What a request gets that is no ordinary call (RFC 3261 §8.2, §12.2.2, §14.2). */
import { describe, expect, it } from 'vitest';
import { Bench, confirmed, type Fields, headerOf, req, SDP_A, SDP_B, wire } from './support.js';

const refused: readonly (readonly [what: string, fields: Fields, line: string, header?: string, value?: string])[] = [
  [
    'REGISTER',
    { method: 'REGISTER' },
    '405 Method Not Allowed',
    'Allow',
    'INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK',
  ],
  [
    'an unknown method',
    { method: 'NEWMETHOD' },
    '405 Method Not Allowed',
    'Allow',
    'INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK',
  ],
  ['another URI scheme', { uri: 'tel:+12125551212' }, '416 Unsupported URI Scheme'],
  ['an extension we lack', { extra: 'Require: 100rel, gruu, path' }, '420 Bad Extension', 'Unsupported', 'gruu, path'],
  ['a body that only we would know', { extra: 'Accept: text/plain, application/x-sdp' }, '406 Not Acceptable'],
  [
    'a body of another type',
    { extra: 'Content-Encoding: gzip', body: 'x' },
    '415 Unsupported Media Type',
    'Accept-Encoding',
    'identity',
  ],
  [
    'no Contact',
    { contact: '*' },
    '400 Bad Request',
    'Warning',
    '399 192.0.2.100 "INVITE needs one sip: or sips: Contact"',
  ],
  ['a Contact that smuggles headers', { contact: '<sip:a@b.example?Route=x>' }, '400 Bad Request'],
  ['two Contacts', { contact: '<sip:a@b.example>, <sip:c@d.example>' }, '400 Bad Request'],
  [
    'a sip: Contact for a sips: request',
    { uri: 'sips:8000@switch.example' },
    '400 Bad Request',
    'Warning',
    '399 192.0.2.100 "Contact must be sips:"',
  ],
  ['a user that hides NUL', { uri: 'sip:80%0000@switch.example' }, '404 Not Found'],
  ['an INVITE in an unknown dialog', { to: 'nobody' }, '481 Call/Transaction Does Not Exist'],
  ['a BYE in an unknown dialog', { method: 'BYE', to: 'nobody' }, '481 Call/Transaction Does Not Exist'],
  ['a BYE without a dialog', { method: 'BYE' }, '481 Call/Transaction Does Not Exist'],
  ['a CANCEL of nothing', { method: 'CANCEL' }, '481 Call/Transaction Does Not Exist'],
];

describe('a request that cannot be served gets its status', () => {
  const cases = refused.map(([what, fields, line, header, value]) => ({ what, fields, line, header, value }));
  it.each(cases)('$what', ({ fields, line, header, value }) => {
    const bench = new Bench();
    bench.feed(req(fields));
    const [sent, ...more] = bench.take();
    expect(more).toEqual([]);
    expect(sent).toMatch(`SIP/2.0 ${line}\r\n`);
    if (header !== undefined) expect(headerOf(sent!, header)).toBe(value);
    if (fields.to === undefined) expect(headerOf(sent!, 'To')).toMatch(/;tag=/);
    expect(bench.takeEvents()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('a body that is no SDP', () => {
    const bench = new Bench();
    const text = new TextDecoder().decode(req({ body: 'x' })).replace('application/sdp', 'multipart/mixed');
    bench.feed(new TextEncoder().encode(text));
    const [sent] = bench.take();
    expect(sent).toMatch(/^SIP\/2.0 415/);
    expect(headerOf(sent!, 'Accept')).toBe('application/sdp');
  });

  it('SDP that is not UTF-8', () => {
    const bytes = req({ body: `${SDP_A}#` });
    bytes[bytes.length - 1] = 0xff;
    const bench = new Bench();
    bench.feed(bytes);
    const [sent] = bench.take();
    expect(sent).toMatch(/^SIP\/2.0 400/);
    expect(headerOf(sent!, 'Warning')).toBe('399 192.0.2.100 "SDP is not UTF-8"');
    expect(bench.takeEvents()).toEqual([]);
  });

  it('a malformed message gets 400 with its reason, another version 505, a malformed ACK nothing', () => {
    const bench = new Bench();
    bench.feed(req({ cseq: 'x' }));
    bench.feed(
      wire(
        new TextDecoder()
          .decode(req())
          .replaceAll('\r\n', '\n')
          .replace('SIP/2.0\n', 'SIP/9.0\n')
          .replace(/Content-Length.*\n/, ''),
      ),
    );
    bench.feed(req({ method: 'ACK', cseq: 'x' }));
    const sent = bench.take();
    expect(sent.map((m) => m.slice(0, 11))).toEqual(['SIP/2.0 400', 'SIP/2.0 505']);
    expect(headerOf(sent[0]!, 'Warning')).toBe('399 192.0.2.100 "cseq"');
    expect(headerOf(sent[0]!, 'Via')).toBe('SIP/2.0/TLS client.example:5061;branch=z9hG4bKc');
  });

  it('OPTIONS gets what we can do, in and out of a dialog', () => {
    const bench = confirmed();
    bench.feed(req({ method: 'OPTIONS', branch: 'o1', callId: 'other' }));
    bench.feed(req({ method: 'OPTIONS', branch: 'o2', to: 't1', cseq: '2' }));
    for (const sent of bench.take()) {
      expect(sent).toMatch(/^SIP\/2.0 200 OK/);
      expect(headerOf(sent, 'Allow')).toBe('INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK');
      expect(headerOf(sent, 'Accept')).toBe('application/sdp');
    }
  });

  it('sips: over an insecure connection is refused', () => {
    const bench = new Bench({}, 'tcp');
    bench.feed(req({ uri: 'sips:8000@switch.example', contact: '<sips:a@b.example>' }));
    expect(bench.lines()).toEqual(['SIP/2.0 400 Bad Request']);
  });
});

describe('an INVITE', () => {
  it('that comes again is not a second call', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A }));
    bench.feed(req({ body: SDP_A }));
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 100 Trying']);
    expect(bench.takeEvents()).toHaveLength(1);
  });

  it('that comes again by another way is a loop: 482, and a new one afterwards is not', () => {
    const bench = new Bench();
    bench.feed(req());
    bench.feed(req({ branch: 'd' }));
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 482 Loop Detected']);
    bench.put({ type: 'reject', call: 1, status: 486 });
    bench.feed(req({ method: 'ACK', to: 't1' }));
    bench.feed(req({ branch: 'e' }));
    expect(bench.lines()).toEqual(['SIP/2.0 486 Busy Here', 'SIP/2.0 100 Trying']);
  });

  it.each(['OPTIONS', 'BYE', 'MESSAGE'])('nor is %s answered twice that comes by two ways (§8.2.2.2)', (method) => {
    const bench = new Bench({}, 'udp');
    const again = (branch: string): string => {
      bench.feed(req({ method, branch }));
      return bench.lines()[0]!.split(' ')[1]!;
    };
    const first = again('one');
    expect(first).not.toBe('482');
    expect(again('one')).toBe(first);
    expect(again('two')).toBe('482');
    bench.advance(32_000); // timer J: the transaction is over
    expect(again('three')).toBe(first);
  });

  it('without an offer is answered by ours, and the answer comes with the ACK', () => {
    const bench = new Bench();
    bench.feed(req());
    expect(bench.takeEvents()).toMatchObject([{ type: 'incoming', offer: undefined }]);
    bench.put({ type: 'accept', call: 1, sdp: SDP_A });
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1', body: SDP_B }));
    expect(bench.takeEvents()).toEqual([{ type: 'confirmed', call: 1, sdp: SDP_B }]);
  });

  it('to a stopped server gets 503 with Retry-After, and calls go on', () => {
    const bench = confirmed();
    bench.put({ type: 'stop', retryAfterSeconds: 30 });
    bench.feed(req({ branch: 'n', callId: 'new', body: SDP_A }));
    bench.feed(req({ method: 'OPTIONS', branch: 'o', callId: 'o' }));
    for (const sent of bench.take()) {
      expect(sent).toMatch(/^SIP\/2.0 503/);
      expect(headerOf(sent, 'Retry-After')).toBe('30');
    }
    bench.feed(req({ branch: 'r', to: 't1', cseq: '2', body: SDP_A }));
    expect(bench.takeEvents()).toMatchObject([{ type: 'offer-again' }]);
  });
});

it('a reject that would accept is turned into a refusal', () => {
  const bench = new Bench();
  bench.feed(req({ body: SDP_A }));
  bench.put({ type: 'reject', call: 1, status: 200 });
  expect(bench.lines().at(-1)).toBe('SIP/2.0 500 Server Internal Error');
});

it('a number that the caller chose for a call out is not given to a call in', () => {
  const bench = new Bench();
  const [target, from] = ['sip:a@b.example', 'sip:c@d.example'];
  bench.put({ type: 'invite', call: 1, connection: 1, target, from, sdp: SDP_A });
  bench.feed(req({ body: SDP_A }));
  expect(bench.takeEvents()).toMatchObject([{ type: 'incoming', call: 2 }]);
});

describe('inside a dialog', () => {
  it('replay: an old or equal sequence number gets 500 and changes nothing', () => {
    const bench = confirmed();
    bench.feed(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '1' }));
    expect(bench.lines()).toEqual(['SIP/2.0 500 Server Internal Error']);
    expect(bench.takeEvents()).toEqual([]);
  });

  it('our 2xx is sent again until its ACK, and after 64*T1 the call is ended', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A }));
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.take();
    bench.advance(8_000);
    expect(bench.lines()).toEqual(Array(4).fill('SIP/2.0 200 OK')); // at 0.5, 1.5, 3.5 and 7.5 s
    bench.takeEvents();
    bench.advance(24_000);
    expect(bench.lines().at(-1)).toMatch(/^BYE sip:ann@client.example:5061 /);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'timeout', cause: 'no ACK' }]);
    bench.advance(100_000);
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
    expect(bench.ua.deadline()).toBeUndefined();
  });

  it('an ACK with another number does not confirm', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A }));
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.takeEvents();
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1', cseq: '2' }));
    expect(bench.takeEvents()).toEqual([]);
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines().filter((l) => l.startsWith('BYE'))).toEqual([]); // §15: no BYE before the ACK
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1', cseq: '1' }));
    expect(bench.lines()).toEqual([expect.stringMatching(/^BYE /)]);
  });

  it('a re-INVITE is offered, answered, and moves the remote target', () => {
    const bench = confirmed();
    bench.feed(req({ branch: 'r', to: 't1', cseq: '2', body: SDP_A, contact: '<sip:new@192.0.2.8>' }));
    expect(bench.takeEvents()).toEqual([{ type: 'offer-again', call: 1, offer: SDP_A }]);
    bench.feed(req({ branch: 's', to: 't1', cseq: '3', body: SDP_A }));
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 500 Server Internal Error']); // §14.2
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.feed(req({ method: 'ACK', branch: 'k2', to: 't1', cseq: '2' }));
    expect(bench.takeEvents()).toEqual([{ type: 'confirmed', call: 1 }]);
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines()).toEqual(['SIP/2.0 200 OK', 'BYE sip:new@192.0.2.8 SIP/2.0']);
  });

  it('a refused or cancelled re-INVITE leaves the call as it was', () => {
    const bench = confirmed();
    bench.feed(req({ branch: 'r', to: 't1', cseq: '2', body: SDP_A }));
    bench.put({ type: 'reject', call: 1, status: 488 });
    bench.feed(req({ method: 'ACK', branch: 'r', to: 't1', cseq: '2' }));
    bench.feed(req({ branch: 's', to: 't1', cseq: '3', body: SDP_A }));
    bench.feed(req({ method: 'CANCEL', branch: 's', to: 't1', cseq: '3' }));
    expect(bench.lines()).toEqual([
      'SIP/2.0 100 Trying',
      'SIP/2.0 488 Not Acceptable Here',
      'SIP/2.0 100 Trying',
      'SIP/2.0 200 OK',
      'SIP/2.0 487 Request Terminated',
    ]);
    expect(bench.takeEvents().map((e) => e.type)).toEqual(['offer-again', 'offer-again', 'offer-withdrawn']);
    expect(bench.ua.counts.calls).toBe(1);
  });

  it('a BYE during a re-INVITE ends both', () => {
    const bench = confirmed();
    bench.feed(req({ branch: 'r', to: 't1', cseq: '2', body: SDP_A }));
    bench.feed(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '3' }));
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 200 OK', 'SIP/2.0 487 Request Terminated']);
    expect(bench.takeEvents().at(-1)).toEqual({ type: 'ended', call: 1, by: 'peer' });
  });
});

describe('a CANCEL that comes too late', () => {
  it('is answered with the tag of the INVITE’s answer and changes nothing', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A }));
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.take();
    bench.feed(req({ method: 'CANCEL' }));
    const [answer] = bench.take();
    expect(answer).toMatch(/^SIP\/2.0 200 OK/);
    expect(headerOf(answer!, 'To')).toBe('<sip:8000@switch.example>;tag=t1');
    expect(bench.takeEvents().map((e) => e.type)).toEqual(['incoming']);
  });
});
