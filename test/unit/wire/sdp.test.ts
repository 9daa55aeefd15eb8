import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { SDP_MAX_LINES, SDP_MAX_MEDIA } from '../../../src/base/limits.js';
import { parseSdp, writeSdp } from '../../../src/wire/sdp.js';
import {
  codecs,
  direction,
  fingerprints,
  fmtpParameter,
  mediaAttribute,
  setup,
  writeFingerprint,
} from '../../../src/wire/sdp-attributes.js';
import type { Sdp, SdpRefusalReason } from '../../../src/wire/sdp-types.js';

const SHA256 = Array.from({ length: 32 }, (_, i) => (i + 160).toString(16)).join(':');

const FULL = `v=0
o=jdoe 3724394400 18446744073709551616 IN IP6 2001:db8::2
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
b=CT:1000
t=0 0
r=7d 1h 0 25h
z=0 0
a=recvonly
a=fingerprint:SHA-256 ${SHA256}
a=setup:actpass
m=audio 49170 UDP/TLS/RTP/SAVPF 96 0 97
i=main
c=IN IP6 2001:db8::7
b=TIAS:64000
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1;stereo=0
a=rtpmap:97 broken
a=rtcp-mux
a=ptime:20
a=sendrecv
m=video 0 RTP/AVP 99
a=rtpmap:99 H264/90000
a=fmtp:99 profile-level-id=42e01f; Packetization-Mode=1
a=rtcp-fb:* nack
a=rtcp-fb:99 nack pli
a=content:slides
`;

function sdp(text: string): Sdp {
  const result = parseSdp(text);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
  return result.value;
}

describe('a session description', () => {
  it('is read with every kind of line, and with LF or CRLF', () => {
    const s = sdp(FULL);
    expect(sdp(FULL.replaceAll('\n', '\r\n'))).toEqual(s);
    expect(parseSdp(new TextEncoder().encode(FULL))).toEqual({ ok: true, value: s });
    expect(s.origin).toMatchObject({ sessionVersion: '18446744073709551616', family: 6 });
    expect(s.connection).toEqual({ family: 4, address: '198.51.100.1' });
    expect(s.bandwidth).toEqual([{ type: 'CT', value: 1000 }]);
    const [audio, video] = s.media;
    expect(audio).toMatchObject({ port: 49170, connection: { family: 6, address: '2001:db8::7' } });
    expect(codecs(audio!)).toEqual([
      { payloadType: 96, name: 'opus', clockRateHz: 48000, channels: 2, fmtp: 'useinbandfec=1;stereo=0', feedback: [] },
      { payloadType: 0, name: 'PCMU', clockRateHz: 8000, channels: 1, fmtp: '', feedback: [] },
    ]);
    expect(codecs(video!)[0]?.feedback).toEqual(['nack', 'nack pli']);
    expect(fmtpParameter(codecs(video!)[0]!.fmtp, 'packetization-mode')).toBe('1');
    expect([direction(s, audio!), direction(s, video!)]).toEqual(['sendrecv', 'recvonly']);
    expect(setup(s, audio!)).toBe('actpass');
    expect(mediaAttribute(audio!, 'rtcp-mux')).toBe('');
    expect(mediaAttribute(video!, 'rtcp-mux')).toBeUndefined();
  });

  it('is read again as it was written', () => {
    const s = sdp(FULL);
    const written = writeSdp(s);
    expect(sdp(written)).toEqual(s);
    expect(written.split('\r\n').length).toBe(written.split('\n').length);
  });
});

const MINIMAL = 'v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 9 RTP/AVP 0\n';
const change = (from: string, to: string) => MINIMAL.replace(from, to);

const refusals: readonly (readonly [what: string, text: string, reason: SdpRefusalReason])[] = [
  ['nothing', '', 'version'],
  ['another version', change('v=0', 'v=1'), 'version'],
  ['no origin', change('o=- 1 1 IN IP4 192.0.2.1\n', ''), 'origin'],
  ['an origin with too few words', change('o=- 1 1', 'o=- 1'), 'origin'],
  ['an origin number that is none', change('o=- 1 1', 'o=- x 1'), 'origin'],
  ['an origin address of the other family', change('IN IP4 192.0.2.1\ns', 'IN IP6 192.0.2.1\ns'), 'origin'],
  ['no session name', change('s=-\n', ''), 'line-order'],
  ['no timing', change('t=0 0\n', ''), 'timing'],
  ['bad timing', change('t=0 0', 't=0'), 'timing'],
  ['no connection', change('c=IN IP4 192.0.2.1\n', ''), 'connection'],
  ['a name as connection', change('c=IN IP4 192.0.2.1', 'c=IN IP4 host.example'), 'connection'],
  ['a multicast connection', change('c=IN IP4 192.0.2.1', 'c=IN IP4 224.2.1.1'), 'connection'],
  ['a connection with TTL', change('c=IN IP4 192.0.2.1', 'c=IN IP4 224.2.1.1/127'), 'connection'],
  ['IPv6 multicast', change('c=IN IP4 192.0.2.1', 'c=IN IP6 ff02::1'), 'connection'],
  ['IPv4 under IP6', change('c=IN IP4 192.0.2.1', 'c=IN IP6 192.0.2.1'), 'connection'],
  ['bandwidth without a number', change('t=0 0', 'b=AS:x\nt=0 0'), 'bandwidth'],
  ['lines out of order', change('t=0 0\n', 'a=x\nt=0 0\n'), 'timing'],
  ['a line behind the attributes', `${MINIMAL}a=x\nc=IN IP4 192.0.2.1\n`, 'line-order'],
  ['an unknown type', `${MINIMAL}x=1\n`, 'line-order'],
  ['an upper case type', `${MINIMAL}A=1\n`, 'line-syntax'],
  ['a line without =', `${MINIMAL}a\n`, 'line-syntax'],
  ['an empty line', `${MINIMAL}\na=x\n`, 'line-syntax'],
  ['a bare CR', change('s=-', 's=a\rb'), 'control-character'],
  ['NUL', change('s=-', 's=\0'), 'control-character'],
  ['an attribute without a name', `${MINIMAL}a=:x\n`, 'attribute'],
  ['a port above 65535', change('audio 9', 'audio 65536'), 'media-line'],
  ['a port count', change('audio 9', 'audio 9/2'), 'media-line'],
  ['no formats', change('RTP/AVP 0', 'RTP/AVP'), 'media-line'],
  ['two spaces in the m-line', change('audio 9', 'audio  9'), 'media-line'],
  ['too many m-lines', MINIMAL + 'm=audio 9 RTP/AVP 0\n'.repeat(SDP_MAX_MEDIA), 'too-many-media'],
  ['too many lines', MINIMAL + 'a=x\n'.repeat(SDP_MAX_LINES), 'too-many-lines'],
  ['too many bytes', `${MINIMAL}a=${'x'.repeat(33_000)}\n`, 'too-large'],
];

describe('a malformed description is refused with its reason', () => {
  it.each(refusals)('%s', (_, text, reason) => {
    expect(parseSdp(text)).toMatchObject({ ok: false, reason });
  });
  it('bytes that are not UTF-8', () => {
    expect(parseSdp(Uint8Array.of(0xff))).toMatchObject({ ok: false, reason: 'not-utf8' });
  });
});

describe('fingerprints', () => {
  const of = (lines: string) => {
    const s = sdp(`${MINIMAL}${lines}`);
    return fingerprints(s, s.media[0]!);
  };

  it('are read without regard to case and written in upper case', () => {
    const lower = of(`a=fingerprint:sha-256 ${SHA256}\n`)?.accepted[0];
    const upper = of(`a=fingerprint:SHA-256 ${SHA256.toUpperCase()}\n`)?.accepted[0];
    expect(lower).toEqual(upper);
    expect(toHex(lower!.value)).toBe(SHA256.replaceAll(':', ''));
    expect(writeFingerprint(lower!)).toBe(`sha-256 ${SHA256.toUpperCase()}`);
  });

  it('of the m-line replace those of the session', () => {
    const s = sdp(FULL.replace('a=rtcp-mux', `a=fingerprint:sha-384 ${`00:`.repeat(47)}01`));
    expect(fingerprints(s, s.media[0]!)?.accepted.map((f) => f.algorithm)).toEqual(['sha-384']);
    expect(fingerprints(s, s.media[1]!)?.accepted.map((f) => f.algorithm)).toEqual(['sha-256']);
  });

  it('weak digest: sha-1 and md5 are reported, never accepted', () => {
    const weak = of(`a=fingerprint:SHA-1 ${'00:'.repeat(19)}00\na=fingerprint:md5 ${'00:'.repeat(15)}00\n`);
    expect(weak).toEqual({ accepted: [], tooWeak: ['sha-1', 'md5'] });
  });

  it.each([
    'sha-256',
    'sha-256 AB',
    `sha-256 ${SHA256}:00`,
    `sha-256 ${SHA256.slice(0, -1)}`,
    `sha-256 ${SHA256.replace(':', '-')}`,
    `sha-256 ${SHA256.replace('a', 'g')}`,
    `sha-256  ${SHA256}`,
    SHA256,
  ])('malformed: %s', (value) => {
    expect(of(`a=fingerprint:${value}\n`)).toBeUndefined();
  });
});
