/** Hostile input by a mutator that repeats with its seed: no exception, bounded state, well-framed output. */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SIP_MAX_MESSAGE_BYTES, SIP_MAX_TRANSACTIONS_PER_CONNECTION } from '../../../src/base/limits.js';
import { answer, createOffer, readAnswer, readOffer } from '../../../src/sip/offer-answer.js';
import { parseSdp, writeSdp } from '../../../src/wire/sdp.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { parseSipMessage, writeSipMessage } from '../../../src/wire/sip-message.js';
import { Bench, SDP_A, SDP_B, seeded, text, wire } from './support.js';

const ITERATIONS = 20_000;
const encoder = new TextEncoder();

const PIECES = [
  '\r\n',
  '\r',
  '\n',
  '\0',
  ' ',
  '\t',
  ';',
  ',',
  '"',
  '<',
  '>',
  ':',
  '@',
  '%',
  '[',
  ']',
  '=',
  '/',
  '*',
  '\\',
  'é',
  '\xff',
  'tag=',
  ';tag=a1',
  'z9hG4bK',
  ';branch=z9hG4bKc',
  'sip:',
  'sips:',
  'tel:+1',
  'SIP/2.0',
  '0',
  '1',
  '2147483648',
  '-1',
  'INVITE',
  'ACK',
  'BYE',
  'CANCEL',
  'OPTIONS',
  'Content-Length: 5',
  'l: 0',
  'm=audio 9 RTP/AVP 0',
  'a=setup:active',
  'c=IN IP4 0.0.0.0',
  'a=fingerprint:',
  '\r\n\r\n',
  'Require: x\r\n',
  'Route: <sip:a@b>\r\n',
  'toString',
  '__proto__',
].map((s) => encoder.encode(s));

type Random = () => number;
const below = (random: Random, n: number) => Math.floor(random() * n);

type Bytes = Uint8Array<ArrayBuffer>;

function splice(bytes: Uint8Array, at: number, cut: number, put: Uint8Array): Bytes {
  const out = new Uint8Array(bytes.length - cut + put.length);
  out.set(bytes.subarray(0, at));
  out.set(put, at);
  out.set(bytes.subarray(at + cut), at + put.length);
  return out;
}

function mutate(random: Random, corpus: readonly Uint8Array[]): Bytes {
  let bytes: Bytes = Uint8Array.from(corpus[below(random, corpus.length)]!);
  for (let n = below(random, 4); n > 0; n--) {
    const at = below(random, bytes.length + 1);
    const length = Math.min(below(random, 20), bytes.length - at);
    const kind = below(random, 6);
    if (kind === 0 && at < bytes.length) bytes[at] = below(random, 256);
    else if (kind === 1) bytes = splice(bytes, at, length, new Uint8Array(0));
    else if (kind === 2) bytes = splice(bytes, at, 0, bytes.slice(at, at + length));
    else if (kind === 3) bytes = splice(bytes, at, 0, PIECES[below(random, PIECES.length)]!);
    else if (kind === 4) bytes = splice(bytes, at, length, PIECES[below(random, PIECES.length)]!);
    else {
      const other = corpus[below(random, corpus.length)]!;
      const from = below(random, other.length);
      bytes = splice(bytes, at, length, other.slice(from, from + below(random, 200)));
    }
  }
  return bytes;
}

/** As `expect(a).toEqual(b)`, which is too slow to be asked in a loop of this length unless it has something to show. */
function same(a: unknown, b: unknown): void {
  if (!isDeepStrictEqual(a, b)) expect(a).toEqual(b);
}

const request = (method: string, cseq: number, branch: string, to = '', body = '') =>
  wire(
    `${method} sip:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bK${branch};rport, SIP/2.0/TLS [2001:db8::1];branch=z9hG4bKx
Record-Route: <sip:p.example;lr>
Max-Forwards: 70
From: "Ann" <sip:ann@client.example>;tag=a1
To: <sip:8000@switch.example>${to}
Call-ID: call-1@client.example
CSeq: ${cseq} ${method}
Contact: <sip:ann@client.example:5061;transport=tls>
Supported: timer, replaces`,
    body,
  );

const reply = (status: number, cseq: string, branch: string) =>
  wire(
    `SIP/2.0 ${status} Phrase
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bK${branch};rport=1
From: <sip:us@switch.example>;tag=t1
To: <sip:ann@client.example>;tag=b1
Call-ID: t2
CSeq: ${cseq}
Contact: <sip:ann@192.0.2.7>
Warning: 305 a "b"
Reason: SIP;cause=488;text="x"`,
    status === 200 ? SDP_B : '',
  );

const MESSAGES = [
  request('INVITE', 1, 'c', '', SDP_A),
  request('ACK', 1, 'c', ';tag=t1'),
  request('ACK', 1, 'k', ';tag=t1'),
  request('INVITE', 2, 'r', ';tag=t1', SDP_A),
  request('BYE', 3, 'b', ';tag=t1'),
  request('CANCEL', 1, 'c'),
  request('OPTIONS', 1, 'o'),
  ...[100, 180, 200, 302, 481, 491].map((s) => reply(s, '1 INVITE', 't3')),
  reply(200, '2 INVITE', 't5'),
  reply(200, '2 BYE', 't5'),
];

function callOut(bench: Bench): void {
  const call = bench.ua.newCall();
  const [target, from] = ['sip:ann@client.example', 'sip:us@switch.example'];
  bench.put({ type: 'invite', call, connection: 1, target, from, sdp: SDP_A });
}

/** A call out, one that waits for our answer, one whose ACK is missing, or one that is up. */
function begin(bench: Bench, random: Random): void {
  const phase = below(random, 4);
  if (phase === 0) callOut(bench);
  else bench.feed(MESSAGES[0]!);
  if (phase > 1) bench.put({ type: 'accept', call: 1, sdp: SDP_B });
  if (phase > 2) bench.feed(MESSAGES[2]!);
}

const OUR_OFFER = createOffer({
  sessionId: '1',
  sessionVersion: 1,
  address: '192.0.2.1',
  fingerprint: { algorithm: 'sha-256', value: new Uint8Array(32) },
  media: [
    { media: 'audio', port: 9, security: 'dtls', codecs: [{ name: 'opus', payloadType: 111 }] },
    { media: 'video', port: 9, security: 'dtls', codecs: [{ name: 'H264', payloadType: 99 }] },
  ],
});
const OUR_ANSWER = OUR_OFFER.replaceAll('actpass', 'passive');
const DESCRIPTIONS = [OUR_OFFER, OUR_ANSWER, SDP_A, `${SDP_A}m=audio 9 RTP/AVP 0 8 9\r\na=ptime:20\r\n`].map((s) =>
  encoder.encode(s),
);

describe(`${ITERATIONS} mutated inputs`, () => {
  it('parser: a message or a reason, and what it accepts survives the writer', () => {
    const random = seeded(1);
    let accepted = 0;
    for (let i = 0; i < ITERATIONS; i++) {
      const result = parseSipMessage(mutate(random, MESSAGES));
      if (!result.ok) continue;
      accepted++;
      const m = result.value;
      const startLine = m.kind === 'request' ? `${m.method} ${m.uriText} SIP/2.0` : `SIP/2.0 ${m.status} ${m.phrase}`;
      const headers = m.headers.filter((h) => h.name !== 'content-length');
      const again = parseSipMessage(writeSipMessage({ startLine, headers, body: m.body }));
      if (!again.ok) throw new Error(`iteration ${i}: ${again.reason}`);
      same({ ...again.value, headers: [] }, { ...m, headers: [] });
    }
    expect(accepted).toBeGreaterThan(ITERATIONS / 10);
    expect(accepted).toBeLessThan(ITERATIONS);
  });

  it('framer: the same events whether the stream comes whole or in pieces, and little is held', () => {
    const random = seeded(2);
    for (let i = 0; i < ITERATIONS / 4; i++) {
      const stream = splice(mutate(random, MESSAGES), 0, 0, mutate(random, MESSAGES));
      const whole = new StreamFramer().feed(stream);
      const framer = new StreamFramer();
      const pieces = [];
      for (let at = 0; at < stream.length; ) {
        const next = at + 1 + below(random, 60);
        pieces.push(...framer.feed(stream.slice(at, next)));
        at = next;
        if (framer.heldBytes > SIP_MAX_MESSAGE_BYTES) throw new Error(`holds ${framer.heldBytes}`);
      }
      same(pieces, whole);
    }
  });

  it('SDP: a description or a reason, and what it accepts survives the writer, offers and answers', () => {
    const random = seeded(3);
    let accepted = 0;
    const local = { sessionId: '1', sessionVersion: 1, address: '192.0.2.1' };
    const fingerprint = { algorithm: 'sha-256', value: new Uint8Array(32) } as const;
    for (let i = 0; i < ITERATIONS; i++) {
      const bytes = mutate(random, DESCRIPTIONS);
      const result = parseSdp(bytes);
      readAnswer(OUR_OFFER, bytes);
      if (!result.ok) continue;
      accepted++;
      const again = parseSdp(writeSdp(result.value));
      same(again.ok && again.value, result.value);
      const offer = readOffer(bytes, { acceptPassive: random() < 0.5 });
      if (!offer.ok) throw new Error(offer.reason);
      const written = answer(offer.value, { ...local, fingerprint, media: offer.value.media.map(() => ({ port: 9 })) });
      if (written.ok && !parseSdp(written.value.sdp).ok) throw new Error(written.value.sdp);
    }
    expect(accepted).toBeGreaterThan(ITERATIONS / 10);
  });

  it('user agent: no exception, bounded tables, well-framed output, and nothing left in the end', () => {
    const random = seeded(4);
    let bench = new Bench();
    let calls = 0;
    let events = 0;
    for (let i = 0; i < ITERATIONS; i++) {
      if (i % 25 === 0) {
        bench.put({ type: 'disconnected', connection: 1 });
        bench.advance(100_000);
        expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
        bench = new Bench();
        begin(bench, random);
      }
      // Framed afresh each time: a mutation that breaks the framing must not end the run.
      for (const event of new StreamFramer().feed(mutate(random, MESSAGES))) {
        if (event.type === 'message') bench.put({ type: 'message', connection: 1, message: event.message });
        else if (event.type === 'refused') bench.put({ ...event, connection: 1 });
      }
      const call = 1 + below(random, 2);
      const kind = below(random, 12);
      if (kind === 0) bench.put({ type: 'accept', call, sdp: SDP_B });
      else if (kind === 1) bench.put({ type: 'reject', call, status: 488 });
      else if (kind === 2) bench.put({ type: 'reinvite', call, sdp: SDP_A });
      else if (kind === 3) bench.put({ type: 'hangup', call, reason: 'SIP;cause=200' });
      else if (kind === 4 && random() < 0.2) callOut(bench);
      else if (kind === 6) bench.put({ type: 'provisional', call, status: 180 });
      else if (kind === 5) bench.advance(below(random, 5_000));
      for (const bytes of bench.sent.splice(0)) {
        const framed = new StreamFramer().feed(bytes);
        if (framed.length !== 1 || (framed[0]!.type !== 'message' && framed[0]!.type !== 'refused')) {
          throw new Error(`not one message: ${text(bytes)}`);
        }
      }
      const counts = bench.ua.counts;
      calls = Math.max(calls, counts.calls);
      events += bench.takeEvents().length;
      if (counts.transactions > 2 * SIP_MAX_TRANSACTIONS_PER_CONNECTION) throw new Error('too many transactions');
    }
    // The mutations must reach the calls, or nothing was tested.
    expect(calls).toBeGreaterThan(1);
    expect(events).toBeGreaterThan(1_000);
  });
});
