import { describe, expect, it } from 'vitest';
import { SIP_MAX_HEADERS, SIP_MAX_MESSAGE_BYTES } from '../../../src/base/limits.js';
import { headerValue, headerValues, parseSipMessage, writeSipMessage } from '../../../src/wire/sip-message.js';
import type { SipRefusalReason, SipRequest, SipResponse } from '../../../src/wire/sip-types.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const crlf = (text: string) => text.replaceAll('\n', '\r\n');

const BASE: Readonly<Record<string, string>> = {
  start: 'OPTIONS sips:8000@switch.example SIP/2.0',
  Via: 'SIP/2.0/TLS a.example:5061;branch=z9hG4bK776',
  'Max-Forwards': '70',
  From: '"A" <sips:a@a.example>;tag=1928',
  To: '<sips:8000@switch.example>',
  'Call-ID': 'a84b4c76e66710@a.example',
  CSeq: '63104 OPTIONS',
  'Content-Length': '0',
};

/** The base request with some lines replaced (undefined: left out) and some added. */
function request(changes: Readonly<Record<string, string | undefined>> = {}, extra = '', body = ''): Uint8Array {
  const lines = { ...BASE, ...changes };
  let text = `${lines.start}\n`;
  for (const [name, value] of Object.entries(lines)) {
    if (name !== 'start' && value !== undefined) text += `${name}: ${value}\n`;
  }
  return bytes(crlf(`${text}${extra}\n${body}`));
}

function parsed(input: Uint8Array): SipRequest {
  const result = parseSipMessage(input);
  if (!result.ok || result.value.kind !== 'request') throw new Error(`refused: ${JSON.stringify(result)}`);
  return result.value;
}

describe('a valid SIP message', () => {
  it('is read with folding, compact forms, odd spacing, several values and escapes', () => {
    const m = parsed(
      bytes(
        crlf(`INVITE sips:vivek%20s@8.example;unknownparam SIP/2.0
TO :
 sip:vivek@example.com ;   tag    = 1918181833n
f   : "J Rosenberg \\\\\\"" <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
i: wsinv.ndaksdj@192.0.2.1
Content-Length   : 2
cseq: 0009
  INVITE
v:   SIP  / 2.0
 /TCP     a.example : 5070 ;branch=z9hG4bK9ikj8 , SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bKx
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
c: application/sdp;charset=utf-8
Record-Route: <sips:p1.example;lr>, "p, 2" <sips:p2.example;lr>
Route:
 <sips:services.example;lr;unknownwith=value>
m:"Quoted string \\"\\"" <sips:jdrosen@a.example> ; newparam = newvalue ; q = 0.33

hi`),
      ),
    );
    expect(m.method).toBe('INVITE');
    expect(m.uri).toMatchObject({ scheme: 'sips', user: 'vivek%20s', host: '8.example' });
    expect(m.from.display).toBe('J Rosenberg \\"');
    expect(m.from.params.get('tag')).toBe('98asjd8');
    expect(m.to.params.get('tag')).toBe('1918181833n');
    expect(m.cseq).toEqual({ number: 9, method: 'INVITE' });
    expect(m.maxForwards).toBe(68);
    expect(m.via).toMatchObject([
      { transport: 'TCP', host: 'a.example', port: 5070 },
      { transport: 'TLS', host: '2001:db8::9', port: 5061 },
    ]);
    expect(m.contact).toMatchObject([{ uriText: 'sips:jdrosen@a.example' }]);
    expect(m.recordRoute.map((r) => r.uri?.host)).toEqual(['p1.example', 'p2.example']);
    expect(m.route[0]?.uri?.params.get('unknownwith')).toBe('value');
    expect(m.contentType).toBe('application/sdp');
    expect(headerValue(m, 'newfangledheader')).toBe('newfangled value continued newfangled value');
    expect(new TextDecoder().decode(m.body)).toBe('hi');
  });

  it('is read as a response with an empty phrase and a UTF-8 phrase', () => {
    for (const phrase of ['', '不可']) {
      const r = parseSipMessage(request({ start: `SIP/2.0 488 ${phrase}`, Require: '100rel, Timer' }));
      expect(r.ok && r.value.kind === 'response' && r.value).toMatchObject({ status: 488, phrase });
      expect(r.ok && r.value.require).toEqual(['100rel', 'timer']);
    }
  });

  it('drops bytes behind the announced body of a datagram (RFC 3261 §18.3)', () => {
    expect(parsed(request({ 'Content-Length': '0' }, '', 'tail')).body).toHaveLength(0);
  });

  it('lists the values of a header over all of its lines', () => {
    const m = parsed(request({}, 'Supported: a, b\nk: c\n'));
    expect(headerValues(m, 'supported')).toEqual(['a', 'b', 'c']);
  });
});

const refusals: readonly (readonly [what: string, input: Uint8Array, reason: SipRefusalReason, answerable: boolean])[] =
  [
    ['two spaces in the request line', request({ start: 'OPTIONS  sip:a@b.example SIP/2.0' }), 'start-line', true],
    ['a space behind the version', request({ start: 'OPTIONS sip:a@b.example SIP/2.0 ' }), 'start-line', true],
    ['a Request-URI in angle brackets', request({ start: 'OPTIONS <sip:a@b.example> SIP/2.0' }), 'start-line', true],
    ['a Request-URI with a space', request({ start: 'OPTIONS sip:a@b.example; lr SIP/2.0' }), 'start-line', true],
    ['a Request-URI with headers', request({ start: 'OPTIONS sip:a@b.example?Route=x SIP/2.0' }), 'start-line', true],
    ['a bad host', request({ start: 'OPTIONS sip:a@-b-.example SIP/2.0' }), 'start-line', true],
    ['a bad IPv4 host', request({ start: 'OPTIONS sip:a@1.2.3.400 SIP/2.0' }), 'start-line', true],
    ['port 0', request({ start: 'OPTIONS sip:a@b.example:0 SIP/2.0' }), 'start-line', true],
    ['a truncated escape', request({ start: 'OPTIONS sip:a%4@b.example SIP/2.0' }), 'start-line', true],
    ['a URI parameter twice', request({ start: 'OPTIONS sip:a@b.example;lr;lr SIP/2.0' }), 'start-line', true],
    ['no version', request({ start: 'OPTIONS sip:a@b.example' }), 'start-line', false],
    ['another version', request({ start: 'OPTIONS sip:a@b.example SIP/7.0' }), 'sip-version', true],
    ['a status below 100', request({ start: 'SIP/2.0 099 Low' }), 'start-line', false],
    ['a status above 699', request({ start: 'SIP/2.0 4294967301 Better' }), 'start-line', false],
    ['no space behind the status', request({ start: 'SIP/2.0 200' }), 'start-line', false],
    ['no Via', request({ Via: undefined }), 'missing-header', false],
    ['no From', request({ From: undefined }), 'missing-header', true],
    ['no CSeq', request({ CSeq: undefined }), 'missing-header', true],
    ['an unknown protocol in Via', request({ Via: 'SIP/3.0/TLS a.example;branch=z9hG4bKa' }), 'via', true],
    ['an empty Via element', request({ Via: 'SIP/2.0/TLS a.example;branch=z9hG4bKa,,' }), 'via', true],
    ['a Date in another zone', request({}, 'Date: Fri, 01 Jan 2010 16:00:00 EST\n'), 'date', true],
    ['an unquoted control character in a name', request({ To: '"a\\\\\x07" <sip:a@b.example>' }), 'to', true],
    ['a branch that is the cookie', request({ Via: 'SIP/2.0/TLS a.example;branch=z9hG4bK' }), 'via', true],
    ['a Via port that is none', request({ Via: 'SIP/2.0/TLS a.example:65536;branch=z9hG4bKa' }), 'via', true],
    ['From without a tag', request({ From: '<sip:a@a.example>' }), 'from', true],
    ['From with an empty tag', request({ From: '<sip:a@a.example>;tag=' }), 'from', true],
    ['From with two tags', request({ From: '<sip:a@a.example>;tag=1;tag=2' }), 'from', true],
    ['an unclosed quote', request({ To: '"Mr. <sip:a@a.example>' }), 'to', true],
    ['an unclosed bracket', request({ To: '<sip:a@a.example' }), 'to', true],
    ['words that need quotes', request({ To: 'Bell, Alexander <sip:a@a.example>' }), 'to', true],
    ['a bare URI with a question mark', request({ To: 'sip:a@a.example?Subject=x' }), 'to', true],
    ['From twice', request({}, 'f: <sip:b@a.example>;tag=3\n'), 'duplicate-header', true],
    ['CSeq twice', request({}, 'CSeq: 8 OPTIONS\n'), 'duplicate-header', true],
    ['a CSeq number of 2^31', request({ CSeq: '2147483648 OPTIONS' }), 'cseq', true],
    ['a negative CSeq', request({ CSeq: '-1 OPTIONS' }), 'cseq', true],
    ['a huge CSeq', request({ CSeq: '36893488147419103232 OPTIONS' }), 'cseq', true],
    ['CSeq of another method', request({ CSeq: '1 INVITE' }), 'cseq-method', true],
    ['a Call-ID with a space', request({ 'Call-ID': 'a b' }), 'call-id', true],
    ['a negative Content-Length', request({ 'Content-Length': '-999' }), 'content-length', true],
    ['a hexadecimal Content-Length', request({ 'Content-Length': '0x0' }), 'content-length', true],
    ['two Content-Lengths', request({}, 'l: 0\n'), 'duplicate-header', true],
    ['a body shorter than announced', request({ 'Content-Length': '9' }, '', 'short'), 'content-length', true],
    ['a body without a type', request({ 'Content-Length': '2' }, '', 'hi'), 'missing-header', true],
    ['a bad Content-Type', request({}, 'Content-Type: text\n'), 'content-type', true],
    ['Max-Forwards of 256', request({ 'Max-Forwards': '256' }), 'max-forwards', true],
    ['Contact with a bad URI', request({}, 'Contact: <sip:@a.example>\n'), 'contact', true],
    ['* among other Contacts', request({}, 'Contact: *, <sip:a@a.example>\n'), 'contact', true],
    ['Route without a URI', request({}, 'Route: <>\n'), 'route', true],
    ['Require that is no token', request({}, 'Require: a b\n'), 'require', true],
    ['a line without a colon', request({}, 'garbage\n'), 'header-syntax', true],
    ['a name with a space', request({}, 'Bad Name: x\n'), 'header-syntax', true],
    ['NUL in a value', request({}, 'Subject: a\0b\n'), 'control-character', true],
    ['DEL in a value', request({}, 'Subject: a\x7fb\n'), 'control-character', true],
    ['an ACK, which is never answered', request({ start: 'ACK sip:a@b.example SIP/2.0' }), 'cseq-method', false],
  ];

describe('a malformed SIP message is refused with its reason', () => {
  it.each(refusals)('%s', (_, input, reason, answerable) => {
    const result = parseSipMessage(input);
    expect(result.ok).toBe(false);
    if (result.ok) return;
    expect(result.reason).toBe(reason);
    expect(result.answerable !== undefined).toBe(answerable);
  });

  it('bare CR, bare LF, bytes that are not UTF-8, no empty line, too large', () => {
    const text = new TextDecoder().decode(request());
    const reasonOf = (input: Uint8Array) => {
      const r = parseSipMessage(input);
      return r.ok ? 'ok' : r.reason;
    };
    expect(reasonOf(bytes(text.replace('Max-Forwards: 70\r\n', 'Max-Forwards: 70\n')))).toBe('bare-cr-or-lf');
    expect(reasonOf(bytes(text.replace('70\r\n', '70\r')))).toBe('bare-cr-or-lf');
    const broken = bytes(text.replace('Max', '#ax'));
    broken[broken.indexOf(35)] = 0xff;
    expect(reasonOf(broken)).toBe('not-utf8');
    expect(reasonOf(bytes(text.slice(0, -2)))).toBe('no-end-of-headers');
    expect(reasonOf(new Uint8Array(SIP_MAX_MESSAGE_BYTES + 1))).toBe('too-large');
    expect(reasonOf(request({}, `X: ${'x'.repeat(33_000)}\n`))).toBe('too-large');
    expect(reasonOf(request({}, 'Y-Z: y\n'.repeat(SIP_MAX_HEADERS)))).toBe('too-many-headers');
  });

  it('in a time that grows with its length only, whatever it repeats', () => {
    const pieces = [' ', ';', ',', '"', '<', '\\', ':', '=', 'a ', ';a', '%', '[', '\t', ', ,', '/ '];
    const start = performance.now();
    for (const piece of pieces) {
      const run = piece.repeat(Math.floor(30_000 / piece.length));
      for (const name of ['Via', 'From', 'Contact', 'Route', 'Content-Type', 'CSeq', 'Call-ID', 'Require', 'X']) {
        parseSipMessage(request({ [name]: `${run}x` }));
      }
      parseSipMessage(request({ start: `OPTIONS sip:${run} SIP/2.0` }));
    }
    // 150 messages of 30 KB: linear scanning needs well under a second, quadratic scanning minutes.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('the writer', () => {
  it('gives what the parser reads', () => {
    const body = bytes('v=0\r\n');
    const m = parsed(
      writeSipMessage({
        startLine: BASE.start!,
        headers: [
          { name: 'via', value: BASE.Via! },
          { name: 'from', value: BASE.From! },
          { name: 'to', value: BASE.To! },
          { name: 'call-id', value: 'x' },
          { name: 'cseq', value: '1 OPTIONS' },
          { name: 'content-type', value: 'application/sdp' },
        ],
        body,
      }),
    );
    expect(m.body).toEqual(body);
    expect(headerValue(m, 'content-length')).toBe('5');
  });

  it('header injection: a line break in a value cannot add a header', () => {
    const text = new TextDecoder().decode(
      writeSipMessage({
        startLine: 'SIP/2.0 400 Bad\r\nEvil: 1',
        headers: [{ name: 'reason', value: 'SIP;text="a\r\n\r\nINVITE\0"' }],
      }),
    );
    expect(text).toBe('SIP/2.0 400 Bad  Evil: 1\r\nReason: SIP;text="a    INVITE "\r\nContent-Length: 0\r\n\r\n');
  });
});

it('a response keeps its type', () => {
  const r = parseSipMessage(request({ start: 'SIP/2.0 200 OK' }));
  const response: SipResponse | undefined = r.ok && r.value.kind === 'response' ? r.value : undefined;
  expect(response?.status).toBe(200);
});
