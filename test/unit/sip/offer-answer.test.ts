import { describe, expect, it } from 'vitest';
import { answer, createOffer, readAnswer, readOffer } from '../../../src/sip/offer-answer.js';
import type { LocalOffer, LocalSession, Offer } from '../../../src/sip/offer-answer-types.js';
import { offerProblem, refusalHeaders } from '../../../src/sip/refusal.js';

const PRINT = Array.from({ length: 32 }, (_, i) => (i + 16).toString(16))
  .join(':')
  .toUpperCase();
const OURS: LocalSession = {
  sessionId: '42',
  sessionVersion: 1,
  address: '192.0.2.100',
  fingerprint: { algorithm: 'sha-256', value: new Uint8Array(32).fill(0xab) },
};
const OUR_PRINT = `sha-256 ${'AB:'.repeat(31)}AB`;

const SECURE = `v=0
o=- 1 1 IN IP4 192.0.2.7
s=-
c=IN IP4 192.0.2.7
t=0 0
a=fingerprint:sha-256 ${PRINT}
m=audio 20000 UDP/TLS/RTP/SAVPF 111 18 101
a=rtpmap:111 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=fmtp:111 minptime=10
a=setup:actpass
a=rtcp-mux
a=mid:a1
m=video 20002 UDP/TLS/RTP/SAVPF 99 98 97 66
a=rtpmap:99 H264/90000
a=fmtp:99 profile-level-id=640c1f;packetization-mode=1;level-asymmetry-allowed=1
a=rtcp-fb:* nack
a=rtcp-fb:99 nack pli
a=rtcp-fb:99 ccm fir
a=rtpmap:98 H264/90000
a=fmtp:98 profile-level-id=640c1f;packetization-mode=0
a=rtpmap:97 H263-1998/90000
a=rtpmap:66 H264/90000
a=fmtp:66 packetization-mode=1
a=setup:active
a=rtcp-mux
a=sendonly
a=content:main
`;

function read(text: string, rules = {}): Offer {
  const result = readOffer(text, rules);
  if (!result.ok) throw new Error(JSON.stringify(result));
  return result.value;
}

describe('reading an offer', () => {
  it('gives the channels with what can be carried', () => {
    const { media } = read(SECURE);
    expect(media.map((m) => m.problem)).toEqual([undefined, undefined]);
    expect(media[0]).toMatchObject({
      media: 'audio',
      security: 'dtls',
      setup: 'actpass',
      rtcpMux: true,
      address: { address: '192.0.2.7', port: 20000 },
      direction: 'sendrecv',
      mid: 'a1',
    });
    expect(media[0]?.fingerprints).toHaveLength(1);
    expect(media[0]?.codecs.map((c) => c.payloadType)).toEqual([111]);
    // 98 has packetization-mode 0, 97 is H.263, 66 lies where RTCP does (RFC 5761 §4).
    expect(media[1]?.codecs.map((c) => c.payloadType)).toEqual([99]);
    expect(media[1]).toMatchObject({ direction: 'sendonly', content: 'main', setup: 'active' });
  });

  const line = 'm-line 1 (audio)';
  const problems: readonly (readonly [what: string, from: string | RegExp, to: string, code: number, text: string])[] =
    [
      ['no rtcp-mux', /a=rtcp-mux\n/, '', 306, `${line}: a=rtcp-mux is required`],
      ['no fingerprint', /a=fingerprint.*\n/, '', 306, `${line}: a=fingerprint is missing`],
      [
        'weak digest: sha-1 only',
        /a=fingerprint.*\n/,
        `a=fingerprint:sha-1 ${'00:'.repeat(19)}00\n`,
        306,
        `${line}: fingerprint sha-1 is too weak; sha-256 or better`,
      ],
      ['malformed fingerprint', PRINT, 'AB', 306, `${line}: a=fingerprint is malformed`],
      [
        'setup passive',
        'setup:actpass',
        'setup:passive',
        306,
        `${line}: a=setup must be actpass or active, not passive`,
      ],
      [
        'setup holdconn',
        'setup:actpass',
        'setup:holdconn',
        306,
        `${line}: a=setup must be actpass or active, not holdconn`,
      ],
      ['no setup', /a=setup:actpass\n/, '', 306, `${line}: a=setup must be actpass or active, not missing`],
      ['no codec', 'opus/48000/2', 'opus/48000', 305, `${line}: no codec in common`],
      [
        'unknown transport',
        'UDP/TLS/RTP/SAVPF 111',
        'TCP/TLS/RTP/SAVPF 111',
        302,
        `${line}: transport TCP/TLS/RTP/SAVPF is not supported`,
      ],
      [
        'SRTP without keys',
        'UDP/TLS/RTP/SAVPF 111',
        'RTP/SAVP 111',
        306,
        `${line}: no a=crypto that can be taken (RFC 4568)`,
      ],
      [
        'keys in SDP',
        /UDP\/TLS\/RTP\/SAVPF 111 18 101\n/,
        'RTP/SAVP 111\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n',
        306,
        `${line}: no a=crypto that can be taken (RFC 4568)`,
      ],
      ['other media', 'm=audio', 'm=text', 304, 'm-line 1 (text): only audio and video are carried'],
    ];
  it.each(problems)('says what is wrong: %s', (_, from, to, warnCode, text) => {
    expect(read(SECURE.replace(from, to)).media[0]?.problem).toEqual({ warnCode, text });
  });

  it.each(['plain', 'dtls'] as const)('takes telephony codecs: %s', (security) => {
    const line = `m=audio 4000 ${security === 'plain' ? 'RTP/AVP' : 'UDP/TLS/RTP/SAVP'} 0 8 9 18\na=setup:actpass\na=rtcp-mux\n`;
    const head = SECURE.slice(0, SECURE.indexOf('m='));
    const [m] = read(head + line).media;
    expect(m).toMatchObject({ security, direction: 'sendrecv' });
    expect(m?.codecs.map((c) => c.name)).toEqual(['PCMU', 'PCMA', 'G722']);
    expect(m?.problem).toBeUndefined();
  });

  it('an offer without anything acceptable has one reason for Warning and Reason', () => {
    const offer = read(SECURE.replaceAll('a=rtcp-mux\n', ''));
    const problem = offerProblem(offer);
    expect(refusalHeaders(488, 'switch.example', problem!)).toEqual([
      { name: 'warning', value: '306 switch.example "m-line 1 (audio): a=rtcp-mux is required"' },
      { name: 'reason', value: 'SIP;cause=488;text="m-line 1 (audio): a=rtcp-mux is required"' },
    ]);
    expect(offerProblem(read(SECURE))).toBeUndefined();
    expect(
      offerProblem(read(SECURE.replace(/m=audio 20000/, 'm=audio 0').replace('m=video 20002', 'm=video 0'))),
    ).toEqual({
      warnCode: 304,
      text: 'the offer enables no media',
    });
  });
});

describe('writing an answer', () => {
  it('is passive, keeps the order, and echoes the profile', () => {
    const offer = read(SECURE);
    const result = answer(offer, { ...OURS, media: [{ port: 30000 }, { port: 30002, address: '2001:db8::9' }] });
    expect(result.ok && result.value.sdp.split('\r\n')).toEqual([
      'v=0',
      'o=- 42 1 IN IP4 192.0.2.100',
      's=-',
      'c=IN IP4 192.0.2.100',
      't=0 0',
      'm=audio 30000 UDP/TLS/RTP/SAVPF 111',
      'a=mid:a1',
      'a=rtpmap:111 opus/48000/2',
      'a=sendrecv',
      'a=rtcp-mux',
      'a=setup:passive',
      `a=fingerprint:${OUR_PRINT}`,
      'm=video 30002 UDP/TLS/RTP/SAVPF 99',
      'c=IN IP6 2001:db8::9',
      'a=rtpmap:99 H264/90000',
      'a=fmtp:99 packetization-mode=1;profile-level-id=640c1f;level-asymmetry-allowed=1',
      'a=rtcp-fb:99 nack',
      'a=rtcp-fb:99 nack pli',
      'a=rtcp-fb:99 ccm fir',
      'a=recvonly',
      'a=rtcp-mux',
      'a=setup:passive',
      `a=fingerprint:${OUR_PRINT}`,
      '',
    ]);
    expect(result.ok && result.value.media).toMatchObject([
      { accepted: true, role: 'server', direction: 'sendrecv' },
      { accepted: true, role: 'server', direction: 'recvonly' },
    ]);
  });

  it('names generic NACK where lost packets are sent again: on secured video, not on audio and not on plain RTP', () => {
    const fed = SECURE.replace('a=mid:a1', 'a=rtcp-fb:111 nack').replace('setup:active', 'setup:actpass');
    const lines = (text: string): string[] => {
      const result = answer(read(text), { ...OURS, media: [{ port: 30000 }, { port: 30002 }] });
      return result.ok ? result.value.sdp.split('\r\n').filter((l) => l.startsWith('a=rtcp-fb')) : [result.reason];
    };
    expect(lines(fed)).toEqual(['a=rtcp-fb:99 nack', 'a=rtcp-fb:99 nack pli', 'a=rtcp-fb:99 ccm fir']);
    const plain = fed.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVPF').replaceAll(/a=(setup|fingerprint).*\n/g, '');
    expect(lines(plain)).toEqual(['a=rtcp-fb:99 nack pli', 'a=rtcp-fb:99 ccm fir']);
  });

  it('refuses single m-lines with port 0 and their own formats', () => {
    const offer = read(SECURE.replace('a=rtcp-mux\n', ''));
    const result = answer(offer, { ...OURS, media: [{ port: 30000 }, { port: 30002 }] });
    expect(result.ok && result.value.sdp).toContain(
      'm=audio 0 UDP/TLS/RTP/SAVPF 111 18 101\r\na=mid:a1\r\nm=video 30002',
    );
    expect(result.ok && result.value.media[0]).toMatchObject({ accepted: false });
  });

  it('accepts nothing that has a problem, is disabled, or that the caller refuses', () => {
    const nothing = { ok: false, reason: 'nothing-accepted' };
    const both = [{ port: 30000 }, { port: 30002 }];
    expect(answer(read(SECURE.replaceAll('a=rtcp-mux\n', '')), { ...OURS, media: both })).toEqual(nothing);
    expect(answer(read(SECURE), { ...OURS, media: [undefined, undefined] })).toEqual(nothing);
    expect(answer(read(SECURE), { ...OURS, media: [{ port: 1, payloadTypes: [18] }, undefined] })).toEqual(nothing);
    expect(answer(read(SECURE), { ...OURS, media: [] })).toEqual({ ok: false, reason: 'media-count' });
  });

  it('is active only towards a passive offerer and by choice', () => {
    const offer = read(SECURE.replace('setup:actpass', 'setup:passive'), { acceptPassive: true });
    const result = answer(offer, { ...OURS, media: [{ port: 30000 }, undefined] });
    expect(result.ok && result.value.media[0]?.role).toBe('client');
    expect(result.ok && result.value.sdp).toContain('a=setup:active');
  });

  it.each([
    ['sendrecv', 'sendrecv', 'sendrecv'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['recvonly', 'sendrecv', 'sendonly'],
    ['inactive', 'sendrecv', 'inactive'],
    ['sendrecv', 'recvonly', 'recvonly'],
    ['sendonly', 'sendonly', 'inactive'],
  ] as const)('direction: offered %s, wanted %s, answered %s', (offered, wanted, answered) => {
    const offer = read(SECURE.replace('a=mid:a1', `a=${offered}`));
    const result = answer(offer, { ...OURS, media: [{ port: 30000, direction: wanted }, undefined] });
    expect(result.ok && result.value.media[0]?.direction).toBe(answered);
  });
});

const CLIENT: LocalOffer = {
  ...OURS,
  media: [
    { media: 'audio', port: 40000, security: 'dtls', codecs: [{ name: 'opus', payloadType: 111 }] },
    { media: 'video', port: 40002, security: 'dtls', codecs: [{ name: 'H264', payloadType: 99 }], content: 'main' },
  ],
};

describe('our offer and the answer to it', () => {
  const offerText = createOffer(CLIENT);
  const answered = answer(read(offerText), { ...OURS, media: [{ port: 30000 }, { port: 30002 }] });
  const answerText = answered.ok ? answered.value.sdp : '';

  it('our own offer is acceptable to us, and our own answer fits it', () => {
    expect(read(offerText).media.map((m) => m.problem)).toEqual([undefined, undefined]);
    const result = readAnswer(offerText, answerText);
    expect(result.ok && result.value.media).toMatchObject([
      { accepted: true, role: 'client', port: 30000 },
      { accepted: true, role: 'client', port: 30002 },
    ]);
  });

  it('a refused m-line is no error', () => {
    const half = answer(read(offerText), { ...OURS, media: [{ port: 30000 }, undefined] });
    const result = readAnswer(offerText, half.ok ? half.value.sdp : '');
    expect(result.ok && result.value.media.map((m) => m.accepted)).toEqual([true, false]);
  });

  const misfits: readonly (readonly [what: string, from: string | RegExp, to: string, reason: string])[] = [
    ['an m-line fewer', /m=video.*/s, '', 'media-count'],
    ['another kind of media', 'm=video', 'm=audio', 'media-type'],
    ['security downgrade: plain RTP in answer to DTLS', 'UDP/TLS/RTP/SAVPF', 'RTP/AVP', 'protocol'],
    ['a codec that was not offered', 'rtpmap:111 opus/48000/2', 'rtpmap:111 PCMU/8000', 'codec'],
    ['a further codec', 'SAVPF 111', 'SAVPF 111 0', 'codec'],
    ['setup actpass', 'setup:passive', 'setup:actpass', 'setup'],
    ['no setup', /a=setup:passive\r\n/, '', 'setup'],
    ['security downgrade: no fingerprint', /a=fingerprint.*\r\n/, '', 'fingerprint'],
    ['security downgrade: a weak fingerprint', /sha-256 .*\r\n/, `sha-1 ${'00:'.repeat(19)}00\r\n`, 'fingerprint'],
    ['no rtcp-mux', /a=rtcp-mux\r\n/, '', 'rtcp-mux'],
    ['no SDP', /^v=0/, 'v=x', 'version'],
  ];
  it.each(misfits)('refuses %s', (_, from, to, reason) => {
    expect(answerText).not.toBe(answerText.replace(from, to));
    expect(readAnswer(offerText, answerText.replace(from, to))).toMatchObject({ ok: false, reason });
  });

  it('refuses a direction that the offer does not allow', () => {
    const text = createOffer({ ...CLIENT, media: CLIENT.media.map((m) => ({ ...m, direction: 'sendonly' as const })) });
    expect(readAnswer(text, answerText)).toMatchObject({ ok: false, reason: 'direction' });
    expect(readAnswer(text, answerText.replaceAll('a=sendrecv', 'a=recvonly'))).toMatchObject({ ok: true });
  });
});
