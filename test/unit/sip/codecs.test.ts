/** Which codecs are carried, when two descriptions are the same codec, and what a conference is held in. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConferenceCodecs } from '../../../src/control/conference-codecs.js';
import { ALL_CODECS, answeredFmtp, carriedCodec, chooseCodec, offeredCodec } from '../../../src/sip/codecs.js';
import { MediaSession } from '../../../src/sip/media-session.js';
import { createOffer, readAnswer, readOffer } from '../../../src/sip/offer-answer.js';
import type { SdpCodec } from '../../../src/wire/sdp-types.js';

const GOLDEN = new URL('./golden/offer-answer.txt', import.meta.url);

const codec = (rtpmap: string, fmtp = '', payloadType = 96): SdpCodec => {
  const [name, rate, channels = '1'] = rtpmap.split('/') as [string, string, string?];
  return { payloadType, name, clockRateHz: Number(rate), channels: Number(channels), fmtp, feedback: [] };
};
const AAC =
  'profile-level-id=16;streamtype=5;mode=AAC-hbr;config=B98C00;sizeLength=13;indexLength=3;indexDeltaLength=3;constantDuration=480';

describe('what a payload type is', () => {
  it.each([
    ['audio', 'opus/48000/2', '', 'opus/2', ''],
    ['audio', 'OPUS/48000/2', 'useinbandfec=1', 'opus/2', ''],
    ['audio', 'opus/48000', '', undefined, ''],
    ['audio', 'opus/16000/2', '', undefined, ''],
    ['audio', 'mpeg4-generic/48000', AAC, 'AAC-LD/1 config b98c00 duration 480', AAC],
    [
      'audio',
      'mpeg4-generic/48000/2',
      AAC.replace('B98C00', 'b98c20'),
      'AAC-LD/2 config b98c20 duration 480',
      AAC.replace('B98C00', 'b98c20'),
    ],
    ['audio', 'mpeg4-generic/48000', AAC.replace('B98C00', '1190'), undefined, ''], // object type 2: AAC-LC
    ['audio', 'mpeg4-generic/48000', AAC.replace('AAC-hbr', 'AAC-lbr'), undefined, ''],
    ['audio', 'mpeg4-generic/48000', AAC.replace('config=B98C00;', ''), undefined, ''],
    ['audio', 'G722/8000', '', 'G722/1', ''],
    ['audio', 'G722/16000', '', undefined, ''],
    ['audio', 'PCMU/8000', '', 'PCMU/1', ''],
    ['audio', 'PCMA/8000', '', 'PCMA/1', ''],
    ['audio', 'G729/8000', '', undefined, ''],
    ['audio', 'telephone-event/8000', '0-15', undefined, ''],
    ['audio', 'H264/90000', 'packetization-mode=1', undefined, ''],
    ['video', 'H264/90000', 'packetization-mode=1', 'H264/1 baseline', 'packetization-mode=1'],
    [
      'video',
      'H264/90000',
      'profile-level-id=42801F; packetization-mode=1;max-mbps=3600',
      'H264/1 baseline',
      'packetization-mode=1;profile-level-id=42801F',
    ],
    [
      'video',
      'H264/90000',
      'packetization-mode=1;profile-level-id=64001f;level-asymmetry-allowed=1',
      'H264/1 high',
      'packetization-mode=1;profile-level-id=64001f;level-asymmetry-allowed=1',
    ],
    [
      'video',
      'H264/90000',
      'packetization-mode=1;profile-level-id=4d001f;level-asymmetry-allowed=0',
      'H264/1 main',
      'packetization-mode=1;profile-level-id=4d001f',
    ],
    ['video', 'H264/90000', 'packetization-mode=0;profile-level-id=42e01f', undefined, ''],
    ['video', 'H264/90000', 'profile-level-id=42e01f', undefined, ''],
    ['video', 'H264/90000', 'packetization-mode=1;profile-level-id=42e0', undefined, ''],
    ['video', 'H265/90000', '', 'H265/1 profile 1 tier 0', ''],
    [
      'video',
      'H265/90000',
      'profile-id=2;tier-flag=1;level-id=93;max-lsr=1',
      'H265/1 profile 2 tier 1',
      'profile-id=2;tier-flag=1;level-id=93',
    ],
    ['video', 'H265/90000', 'tx-mode=MRST', undefined, ''],
    ['video', 'VP8/90000', 'max-fs=3600', 'VP8/1', ''],
    ['video', 'VP9/90000', '', 'VP9/1 profile 0', ''],
    ['video', 'VP9/90000', 'profile-id=2', 'VP9/1 profile 2', 'profile-id=2'],
    ['video', 'AV1/90000', 'profile=0;level-idx=8', 'AV1/1 profile 0', 'profile=0;level-idx=8'],
    ['video', 'AV1/90000', 'profile=1', 'AV1/1 profile 1', 'profile=1'],
    ['text', 't140/1000', '', undefined, ''],
  ])('%s %s "%s" is %s', (media, rtpmap, fmtp, key, answered) => {
    const described = codec(rtpmap, fmtp);
    expect(carriedCodec(media, described)?.key).toBe(key);
    expect(answeredFmtp(media, described)).toBe(answered);
  });

  it('our own offers are what we carry', () => {
    for (const media of ['audio', 'video'] as const) {
      for (const name of ALL_CODECS[media]) expect(carriedCodec(media, offeredCodec(name, 96, []))?.name).toBe(name);
    }
  });
});

describe('what a conference is held in', () => {
  const opus = codec('opus/48000/2', '', 111);
  const pcmu = codec('PCMU/8000', '', 0);
  const g722 = codec('G722/8000', '', 9);

  it('the first member and the preference decide, in the member’s order where both say the same codec', () => {
    expect(chooseCodec('audio', [pcmu, g722, opus], ALL_CODECS)?.codec).toBe(opus);
    expect(chooseCodec('audio', [pcmu, g722], ALL_CODECS)?.codec).toBe(g722);
    expect(chooseCodec('audio', [pcmu, opus], { ...ALL_CODECS, audio: ['PCMA', 'PCMU'] })?.codec).toBe(pcmu);
    expect(chooseCodec('audio', [opus], { ...ALL_CODECS, audio: ['PCMU'] })).toBeUndefined();
    const high = codec('H264/90000', 'packetization-mode=1;profile-level-id=64001f', 97);
    const base = codec('H264/90000', 'packetization-mode=1;profile-level-id=42e01f', 98);
    expect(chooseCodec('video', [high, base], ALL_CODECS)?.codec).toBe(high);
  });

  it('later members have that one, under whatever number, or none; when the last has gone another may begin', () => {
    const codecs = new ConferenceCodecs(ALL_CODECS);
    expect(codecs.choose('audio', [pcmu, g722])).toBe(g722);
    codecs.use('audio', g722);
    const other = { ...g722, payloadType: 109 };
    expect(codecs.choose('audio', [opus, other])).toBe(other);
    expect(codecs.choose('audio', [opus, pcmu])).toBeUndefined();
    expect(codecs.offered('audio', []).map((c) => [c.name, c.payloadType])).toEqual([['G722', 9]]);
    codecs.use('audio', opus); // nothing that a later member says changes it
    expect(codecs.choose('audio', [opus, g722])).toBe(g722);
    codecs.release('audio');
    expect(codecs.choose('audio', [opus, g722])).toBe(opus);
  });

  it('is one number in the relay, under the payload types of each member; another variant is another number', () => {
    const codecs = new ConferenceCodecs(ALL_CODECS);
    codecs.use('video', codec('H264/90000', 'packetization-mode=1;profile-level-id=42e01f'));
    const numbers = (...list: SdpCodec[]) =>
      codecs.payloadTypes('video', false, list).map((p) => [p.payloadType, p.codec]);
    expect(numbers(codec('H264/90000', 'packetization-mode=1;profile-level-id=428014', 99))).toEqual([[99, 0]]);
    expect(numbers(codec('H264/90000', 'packetization-mode=1;profile-level-id=64001f', 100))).toEqual([[100, 1]]);
    // An answer may number anew what we offered (RFC 3264 §6.1): sent under the first, taken under both.
    expect(numbers(codec('VP8/90000', '', 120), codec('VP8/90000', '', 98), codec('G729/8000', '', 18))).toEqual([
      [120, 2],
      [98, 2],
    ]);
  });

  it('takes of each member what the others can take', () => {
    const codecs = new ConferenceCodecs(ALL_CODECS);
    codecs.limit('video', 1, 2_000_000);
    codecs.limit('video', 2, 500_000);
    codecs.limit('audio', 3, 64_000);
    expect([codecs.sayLimit('video', 1), codecs.sayLimit('video', 2), codecs.sayLimit('video', 9)]).toEqual([
      500_000, 2_000_000, 500_000,
    ]);
    codecs.limit('video', 2, undefined);
    expect(codecs.sayLimit('video', 1)).toBeUndefined();
  });
});

const PRINT = `a=fingerprint:sha-256 ${'1A:'.repeat(31)}1A`;
const dtls = (media: string, port: number, formats: string, ...lines: string[]) =>
  [`m=${media} ${port} UDP/TLS/RTP/SAVPF ${formats}`, ...lines, 'a=setup:actpass', 'a=rtcp-mux', PRINT].join('\n');
const HEAD = 'v=0\no=- 7 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\n';
const H264 = [
  'a=rtpmap:97 H264/90000',
  'a=fmtp:97 packetization-mode=1;profile-level-id=42e01f',
  'a=rtcp-fb:* nack pli',
];

/** Each is offered in turn, in one session. */
const SESSIONS: Readonly<Record<string, readonly string[]>> = {
  'a call manager: slides, a line that is no media, bandwidth': [
    `${HEAD}${dtls('audio', 20000, '96 101', 'b=TIAS:64000', `a=rtpmap:96 mpeg4-generic/48000`, `a=fmtp:96 ${AAC}`, 'a=rtpmap:101 telephone-event/8000', 'a=mid:1')}\n${dtls('video', 20002, '97', 'b=AS:4000', ...H264, 'a=content:main', 'a=mid:2')}\n${dtls('video', 20004, '97', ...H264, 'a=content:slides', 'a=mid:3')}\nm=application 5070 UDP/BFCP *\na=mid:4\n`,
  ],
  'plain telephony: the most preferred, and the others are not named': [
    `${HEAD}m=audio 4000 RTP/AVP 0 8 9 18\na=ptime:20\nm=video 0 RTP/AVP 31\n`,
  ],
  'hold in the new way and in the old, and resume': [
    `${HEAD}m=audio 4000 RTP/AVP 0\n`,
    `${HEAD}m=audio 4000 RTP/AVP 0\na=sendonly\n`,
    `${HEAD}m=audio 4000 RTP/AVP 0\na=inactive\n`,
    `${HEAD.replace('c=IN IP4 192.0.2.7', 'c=IN IP4 0.0.0.0')}m=audio 4000 RTP/AVP 0\n`,
    `${HEAD}m=audio 4000 RTP/AVP 0\n`,
  ],
  'a line added, and one taken out': [
    `${HEAD}m=audio 4000 RTP/AVP 0\n`,
    `${HEAD}m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVPF 97\n${H264.join('\n')}\n`,
    `${HEAD}m=audio 0 RTP/AVP 0\nm=video 4002 RTP/AVPF 97\n${H264.join('\n')}\n`,
  ],
  'another certificate, by tls-id': [
    `${HEAD}${dtls('audio', 20000, '111', 'a=rtpmap:111 opus/48000/2', 'a=tls-id:aaaaaaaaaaaaaaaaaaaaaaaa')}\n`,
    `${HEAD}${dtls('audio', 20000, '111', 'a=rtpmap:111 opus/48000/2', 'a=tls-id:bbbbbbbbbbbbbbbbbbbbbbbb')}\n`,
  ],
};

function replay(): string {
  const out: string[] = [];
  for (const [name, offers] of Object.entries(SESSIONS)) {
    const fingerprint = { algorithm: 'sha-256' as const, value: new Uint8Array(32).fill(0xab) };
    const session = new MediaSession({ sessionId: '42', address: '192.0.2.100', fingerprint });
    out.push(`##### ${name}`);
    for (const [round, text] of offers.entries()) {
      const offer = readOffer(text);
      if (!offer.ok) throw new Error(`${name}: ${offer.reason}`);
      const answered = session.answer(
        offer.value,
        offer.value.media.map((m, i) => {
          if (m.content === 'slides') return { port: 9, direction: 'inactive' as const };
          if (m.media === 'other') return undefined;
          const chosen = chooseCodec(m.media, m.codecs, ALL_CODECS);
          const tlsId = `${'0123456789abcdef'.repeat(2)}${round}`;
          return chosen && { port: 30_000 + 2 * i, payloadTypes: [chosen.codec.payloadType], tlsId };
        }),
      );
      out.push('>>> offered', text.trimEnd(), '<<< answered');
      out.push(answered.ok ? answered.value.sdp.replaceAll('\r', '').trimEnd() : answered.reason);
    }
    out.push('<<< offered by us then');
    const lines = session.lines.map((line, i) => {
      const { media, security, protocol, mid, tlsId } = line.remote;
      if (line.port === 0 || security === 'unsupported' || security === 'sdes') return undefined;
      const own = tlsId === undefined ? {} : { tlsId: 'ours'.repeat(6) };
      const { received: codecs, direction } = line;
      return { media, security, protocol, port: 30_000 + 2 * i, codecs, direction, ...(mid && { mid }), ...own };
    });
    out.push(session.offer(lines).replaceAll('\r', '').trimEnd(), '');
  }
  return `${out.join('\n')}\n`;
}

describe('offers and answers as a person reads them', () => {
  it('are those of golden/offer-answer.txt', () => {
    const replayed = replay();
    if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(GOLDEN, replayed);
    expect(replayed).toBe(readFileSync(GOLDEN, 'utf8'));
  });
});

describe('a session over its life (RFC 3264 §8)', () => {
  const local = { sessionId: '42', address: '192.0.2.100' };
  const plain = (lines: string) => {
    const offer = readOffer(HEAD + lines);
    if (!offer.ok) throw new Error(offer.reason);
    return offer.value;
  };
  const versionOf = (sdp: string) => /^o=- 42 (\d+)/m.exec(sdp)?.[1];

  it('the version rises by one with each change, and stays where nothing changes', () => {
    const session = new MediaSession(local);
    const say = (lines: string, port: number) => {
      const answered = session.answer(plain(lines), [{ port }]);
      return answered.ok ? versionOf(answered.value.sdp) : answered.reason;
    };
    const line = 'm=audio 4000 RTP/AVP 0\n';
    expect([
      say(line, 30_000),
      say(line, 30_000),
      say(`${line}a=sendonly\n`, 30_000),
      say(`${line}a=sendonly\n`, 30_002),
    ]).toEqual(['1', '1', '2', '3']);
  });

  it('our offer is in force with its answer only: refused, things are as before', () => {
    const session = new MediaSession(local);
    session.answer(plain('m=audio 4000 RTP/AVP 0\n'), [{ port: 30_000 }]);
    const before = session.sdp;
    const codecs = session.lines[0]!.received;
    const hold = {
      media: 'audio' as const,
      port: 30_000,
      security: 'plain' as const,
      codecs,
      direction: 'inactive' as const,
    };
    expect(versionOf(session.offer([hold]))).toBe('2');
    expect(session.sdp).toBe(before);
    session.withdraw();
    expect(session.takeAnswer('v=0')).toEqual({ ok: false, reason: 'no-offer' });
    const offered = session.offer([hold]);
    const misfit = createOffer({
      ...local,
      sessionVersion: 1,
      media: [{ media: 'video', port: 1, security: 'plain', codecs: [] }],
    });
    expect(session.takeAnswer(misfit)).toMatchObject({ ok: false });
    expect(session.sdp).toBe(before);
    session.offer([hold]);
    const fits = offered.replace('o=- 42 2', 'o=- 7 2');
    expect(readAnswer(offered, fits).ok).toBe(true);
    expect(session.takeAnswer(fits)).toMatchObject({ ok: true });
    expect(session.lines[0]?.direction).toBe('inactive');
    expect(versionOf(session.sdp!)).toBe('2');
  });

  it('lines never go away, and one in use keeps its kind', () => {
    const session = new MediaSession(local);
    session.answer(plain('m=audio 4000 RTP/AVP 0\nm=video 0 RTP/AVP 31\n'), [{ port: 30_000 }, undefined]);
    expect(session.misfit(plain('m=audio 4000 RTP/AVP 0\n'))).toContain('missing');
    expect(session.misfit(plain('m=video 4000 RTP/AVP 97\nm=video 0 RTP/AVP 31\n'))).toContain('m-line 1');
    expect(session.misfit(plain('m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 0\n'))).toBeUndefined();
    expect(() => session.offer([])).toThrow('every m-line');
  });
});
