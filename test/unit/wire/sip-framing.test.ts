import { describe, expect, it } from 'vitest';
import { SIP_MAX_HEADER_BYTES, SIP_MAX_MESSAGE_BYTES } from '../../../src/base/limits.js';
import { type FramerEvent, StreamFramer } from '../../../src/wire/sip-framing.js';

const bytes = (text: string) => new TextEncoder().encode(text.replaceAll('\n', '\r\n'));

function message(method: string, body = '', extra = ''): string {
  const type = body === '' ? '' : 'Content-Type: text/plain\n';
  return `${method} sip:a@b.example SIP/2.0
Via: SIP/2.0/TLS c.example;branch=z9hG4bK1
From: <sip:c@c.example>;tag=1
To: <sip:a@b.example>
Call-ID: 1
CSeq: 1 ${method}
${extra}${type}Content-Length: ${new TextEncoder().encode(body.replaceAll('\n', '\r\n')).length}

${body}`;
}

/** One word an event. */
function names(events: readonly FramerEvent[]): string[] {
  return events.map((e) => {
    if (e.type === 'message') return e.message.kind === 'request' ? e.message.method : String(e.message.status);
    return e.type === 'ping' || e.type === 'pong' ? e.type : `${e.type}:${e.reason}${'answerable' in e ? '+' : ''}`;
  });
}

function inOne(stream: Uint8Array): string[] {
  return names(new StreamFramer().feed(stream));
}

const streams: readonly (readonly [what: string, stream: Uint8Array, events: readonly string[]])[] = [
  ['messages back to back', bytes(message('INVITE', 'v=0\n\n\n') + message('BYE')), ['INVITE', 'BYE']],
  ['a ping, a lone CRLF, a message', bytes(`\n\n\n${message('BYE')}\n\n`), ['ping', 'BYE', 'ping']],
  [
    'a refused message does not stop the stream',
    bytes(message('A B') + message('BYE')),
    ['refused:start-line+', 'BYE'],
  ],
  [
    'a malformed header does not stop the stream',
    bytes(message('BYE', '', 'Max-Forwards: x\n') + message('BYE')),
    ['refused:max-forwards+', 'BYE'],
  ],
  [
    'no Content-Length',
    bytes(message('BYE').replace('Content-Length: 0\n', '')),
    ['refused:content-length+', 'fatal:content-length'],
  ],
  [
    'request smuggling: two Content-Lengths',
    bytes(message('BYE', 'xy', 'l: 0\n') + message('BYE')),
    ['refused:duplicate-header+', 'fatal:content-length'],
  ],
  [
    'request smuggling: a bare LF',
    new TextEncoder().encode(message('BYE').replaceAll('\n', '\r\n').replace('1\r\nCSeq', '1\nCSeq')),
    ['refused:bare-cr-or-lf+', 'fatal:bare-cr-or-lf'],
  ],
  ['a lone LF between messages', Uint8Array.of(10, 65), ['fatal:bare-cr-or-lf']],
  ['a lone CR between messages', Uint8Array.of(13, 65), ['fatal:bare-cr-or-lf']],
  [
    'a body over the limit',
    bytes(message('BYE').replace('Length: 0', `Length: ${SIP_MAX_MESSAGE_BYTES}`)),
    ['refused:too-large+', 'fatal:too-large'],
  ],
  ['something else than SIP', bytes('GET / HTTP/1.1\nHost: x\n\n'), ['refused:start-line', 'fatal:content-length']],
];

describe('a stream is cut alike wherever its bytes were split', () => {
  it.each(streams)('%s', (_, stream, expected) => {
    expect(inOne(stream)).toEqual(expected);
    for (let at = 0; at <= stream.length; at++) {
      const framer = new StreamFramer();
      const events = [...framer.feed(stream.slice(0, at)), ...framer.feed(stream.slice(at))];
      expect(names(events), `split at ${at}`).toEqual(expected);
    }
    const framer = new StreamFramer();
    const events = [...stream].flatMap((b) => framer.feed(Uint8Array.of(b)));
    expect(names(events), 'byte by byte').toEqual(expected);
  });
});

describe('memory exhaustion: a peer that never ends its message', () => {
  it('ends the stream when the head is over its limit, and holds nothing afterwards', () => {
    const framer = new StreamFramer();
    const piece = new TextEncoder().encode(`X: ${'x'.repeat(1_000)}\r\n`);
    const events: FramerEvent[] = [];
    for (let i = 0; i < 100; i++) {
      events.push(...framer.feed(piece));
      expect(framer.heldBytes).toBeLessThan(SIP_MAX_HEADER_BYTES);
    }
    expect(names(events)).toEqual(['fatal:too-large']);
    expect(framer.heldBytes).toBe(0);
    expect(framer.feed(bytes(message('BYE')))).toEqual([]);
  });

  it('a head of exactly the limit passes, one byte more does not', () => {
    const base = message('BYE', '', 'X: \n').replaceAll('\n', '\r\n').length;
    const exact = message('BYE', '', `X: ${'x'.repeat(SIP_MAX_HEADER_BYTES - base)}\n`);
    expect(bytes(exact)).toHaveLength(SIP_MAX_HEADER_BYTES);
    expect(inOne(bytes(exact))).toEqual(['BYE']);
    const over = bytes(exact.replace('X: ', 'X: x'));
    expect(inOne(over)).toEqual(['fatal:too-large']);
    const framer = new StreamFramer();
    expect(names([...framer.feed(over.slice(0, -1)), ...framer.feed(over.slice(-1))])).toEqual(['fatal:too-large']);
  });

  it('a message of exactly the limit passes', () => {
    const framer = new StreamFramer();
    const head = bytes(message('BYE', 'x')).length + 4; // four more digits of Content-Length
    const body = 'x'.repeat(SIP_MAX_MESSAGE_BYTES - head + 1);
    const whole = bytes(message('BYE', body));
    expect(whole).toHaveLength(SIP_MAX_MESSAGE_BYTES);
    expect(names(framer.feed(whole))).toEqual(['BYE']);
    expect(inOne(bytes(message('BYE', `${body}x`)))).toEqual(['refused:too-large+', 'fatal:too-large']);
  });

  it('takes the next CRLF for a pong where one is expected, once, and only between messages', () => {
    const framer = new StreamFramer();
    framer.expectPong();
    const stream = `${message('BYE', 'a\n\nb')}\n${message('BYE')}\n\n`;
    expect([...bytes(stream)].flatMap((byte) => names(framer.feed(Uint8Array.of(byte))))).toEqual([
      'BYE',
      'pong',
      'BYE',
      'ping',
    ]);
  });
});
