import { describe, expect, it } from 'vitest';
import { isIpv4, isIpv6, parseHostPort, writeHostPort } from '../../../src/wire/sip-address.js';
import {
  parseNameAddr,
  parseReason,
  parseRetryAfter,
  parseWarning,
  writeReason,
  writeWarning,
} from '../../../src/wire/sip-headers.js';
import { parseSipUri, userText, writeSipUri } from '../../../src/wire/sip-uri.js';

describe('literal addresses', () => {
  it.each(['0.0.0.0', '255.255.255.255', '192.0.2.1'])('%s is IPv4', (t) => expect(isIpv4(t)).toBe(true));
  it.each(['1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.', ' 1.2.3.4', '1.2.3.4x'])('%s is not IPv4', (t) =>
    expect(isIpv4(t)).toBe(false),
  );
  it.each(['::', '::1', '2001:db8::1', '1:2:3:4:5:6:7:8', '::ffff:192.0.2.1', '1::', '1:2:3:4:5:6:7::'])(
    '%s is IPv6',
    (t) => expect(isIpv6(t)).toBe(true),
  );
  it.each([
    '',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    'g::',
    '12345::',
    '::1.2.3',
    '1.2.3.4::',
    'fe80::1%eth0',
  ])('%s is not IPv6', (t) => expect(isIpv6(t)).toBe(false));
  it('host and port are read and written with brackets', () => {
    expect(parseHostPort('[2001:DB8::1]:5061')).toEqual({ host: '2001:db8::1', port: 5061 });
    expect(writeHostPort('2001:db8::1', 5061)).toBe('[2001:db8::1]:5061');
    expect(parseHostPort('2001:db8::1')).toBeUndefined();
    expect(parseHostPort('a.example:')).toBeUndefined();
  });
});

describe('sip: URIs', () => {
  it.each([
    'sip:alice@example.com',
    'sips:8000@192.0.2.1:5061;transport=tls;lr',
    'sip:[2001:db8::1]',
    "sip:a;b=c?/$&+,%20-_.!~*'()@host.example",
    'sip:+1-212-555-1212@gateway.example;user=phone',
  ])('%s is written as it was read', (text) => {
    expect(writeSipUri(parseSipUri(text)!)).toBe(text);
  });
  it.each([
    'sip:',
    'sip:@host',
    'tel:+1',
    'sip:a@b@c',
    'sip:a b@c',
    'sip:a@b;',
    'sip:a@b;=x',
    'sip:a@b;x=',
    'sip:a@b:port',
    'sip:a@1.2.3',
    'sip:a@b_c',
    'sip:<a@b>',
    'sip:a@[::1',
    'sip:a%@b',
    'sip:é@b',
  ])('%s is refused', (text) => expect(parseSipUri(text)).toBeUndefined());
  it('a user is unescaped, but never to a control character or broken UTF-8', () => {
    expect(userText(parseSipUri('sip:caf%C3%A9@b.example')!)).toBe('café');
    expect(userText(parseSipUri('sip:b.example')!)).toBe('');
    expect(userText(parseSipUri('sip:a%00@b.example')!)).toBeUndefined();
    expect(userText(parseSipUri('sip:a%0d%0aX@b.example')!)).toBeUndefined();
    expect(userText(parseSipUri('sip:a%ff@b.example')!)).toBeUndefined();
  });
});

describe('structured values', () => {
  it('name-addr in its forms', () => {
    expect(parseNameAddr('<sip:a@b.example;x=y>;z="<,>"')).toMatchObject({ uriText: 'sip:a@b.example;x=y' });
    expect(parseNameAddr('sip:a@b.example;tag="<')).toBeUndefined();
    expect(parseNameAddr('sip:a@b.example;tag=1;x="<"')?.params.get('x')).toBe('<');
    expect(parseNameAddr('<tel:+1212>;tag=1')).toMatchObject({ uriText: 'tel:+1212' });
    expect(parseNameAddr('<sip:bad host>;tag=1')).toBeUndefined();
  });
  it('Reason and Warning survive their own writer, whatever the text', () => {
    const text = 'needs "end-to-end"; \\ m-line 1';
    expect(parseReason(writeReason(488, text))).toEqual({ protocol: 'SIP', cause: 488, text });
    expect(parseWarning(writeWarning(305, 'switch.example:5061', text))).toEqual({
      code: 305,
      agent: 'switch.example:5061',
      text,
    });
    expect(parseReason('SIP;cause=x')).toBeUndefined();
    expect(parseWarning('305 host unquoted')).toBeUndefined();
    expect(parseWarning('99 host "x"')).toBeUndefined();
  });
  it('Retry-After with comment and parameters', () => {
    expect(parseRetryAfter('120 (in a meeting);duration=60')).toBe(120);
    expect(parseRetryAfter('5')).toBe(5);
    expect(parseRetryAfter('5x')).toBeUndefined();
    expect(parseRetryAfter('-5')).toBeUndefined();
  });
});
