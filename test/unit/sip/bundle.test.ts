/** `a=group:BUNDLE` (RFC 9143) and `a=extmap` (RFC 8285) in offers and answers. */
import { describe, expect, it } from 'vitest';
import { MAX_MID_BYTES } from '../../../src/base/limits.js';
import { bundlesOf, chooseBundles } from '../../../src/sip/bundle.js';
import { answer, createOffer, readAnswer, readOffer } from '../../../src/sip/offer-answer.js';
import type { LocalOffer, Offer } from '../../../src/sip/offer-answer-types.js';
import { parseSdp } from '../../../src/wire/sdp.js';
import type { SdpFingerprint } from '../../../src/wire/sdp-types.js';

const FINGERPRINT: SdpFingerprint = { algorithm: 'sha-256', value: new Uint8Array(32).fill(7) };
const OURS = { sessionId: '1', sessionVersion: 1, address: '192.0.2.1', fingerprint: FINGERPRINT };
const HEAD = ['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', 'c=IN IP4 192.0.2.7', 't=0 0'];
const TRANSPORT = ['a=rtcp-mux', 'a=setup:actpass', `a=fingerprint:sha-256 ${Array(32).fill('07').join(':')}`];

/** An m-line of Opus or VP8 with this payload type. */
function line(media: 'audio' | 'video', port: number, type: number, ...attributes: readonly string[]): string[] {
  const map = media === 'audio' ? 'opus/48000/2' : 'VP8/90000';
  return [
    `m=${media} ${port} UDP/TLS/RTP/SAVPF ${type}`,
    `a=rtpmap:${type} ${map}`,
    ...attributes.map((a) => `a=${a}`),
  ];
}
function sdp(session: readonly string[], ...lines: readonly (readonly string[])[]): string {
  return `${[...HEAD, ...session.map((a) => `a=${a}`), ...lines.flat()].join('\n')}\n`;
}
function offerOf(text: string): Offer {
  const read = readOffer(text);
  if (!read.ok) throw new Error(`${read.reason} ${read.detail}`);
  return read.value;
}
const groupsOf = (text: string): readonly (readonly number[])[] => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return bundlesOf(parsed.value);
};
const audio = [...line('audio', 4000, 111, 'mid:a'), ...TRANSPORT];
const video = [...line('video', 4002, 96, 'mid:v'), ...TRANSPORT];
/** All that is carried, by m-line. */
const all = (offer: Offer) => (i: number) => offer.media[i]!.codecs.map(({ payloadType }) => payloadType);

describe('groups of a description', () => {
  it.each([
    ['in their own order', ['group:BUNDLE v a'], [[1, 0]]],
    ['of other semantics', ['group:LS a v'], []],
    ['with names of no m-line', ['group:BUNDLE a nobody v'], [[0, 1]]],
    ['without names', ['group:BUNDLE'], []],
    ['of names that are no tokens', ['group:BUNDLE \u00e4 a'], [[0]]],
    ['two, and a line in both', ['group:BUNDLE a', 'group:BUNDLE a v'], [[0], [1]]],
    ['a name twice', ['group:BUNDLE a a v'], [[0, 1]]],
  ])('%s', (_, session, expected) => {
    expect(groupsOf(sdp(session, audio, video))).toEqual(expected);
  });

  it('a mid of two m-lines names neither', () => {
    const twice = [...line('video', 4002, 96, 'mid:a'), ...TRANSPORT];
    expect(groupsOf(sdp(['group:BUNDLE a'], audio, twice))).toEqual([]);
  });
});

describe('what a bundled line does not say itself', () => {
  it('bundle-only: port, address and transport are the first enabled line of the group has', () => {
    const only = line('video', 0, 96, 'mid:v', 'bundle-only');
    const { media } = offerOf(sdp(['group:BUNDLE a v'], audio, only));
    expect(media[1]).toMatchObject({
      ...{ port: 4000, bundleOnly: true, rtcpMux: true, setup: 'actpass' },
      address: { address: '192.0.2.7', port: 4000 },
      fingerprints: media[0]!.fingerprints,
    });
    expect(media[1]!.problem).toBeUndefined();
  });

  it('with another port of its own it says everything itself', () => {
    const bare = line('video', 4002, 96, 'mid:v');
    expect(offerOf(sdp(['group:BUNDLE a v'], audio, bare)).media[1]!.problem).toMatchObject({ warnCode: 306 });
  });

  it('port 0 without bundle-only, or outside of a group, stays disabled', () => {
    expect(offerOf(sdp(['group:BUNDLE a v'], audio, line('video', 0, 96, 'mid:v'))).media[1]!.port).toBe(0);
    expect(offerOf(sdp([], audio, line('video', 0, 96, 'mid:v', 'bundle-only'))).media[1]!.port).toBe(0);
  });

  it('nobody in the group has a port: none is enabled', () => {
    const none = [line('audio', 0, 111, 'mid:a', 'bundle-only'), line('video', 0, 96, 'mid:v', 'bundle-only')] as const;
    expect(offerOf(sdp(['group:BUNDLE a v'], ...none)).media.map(({ port }) => port)).toEqual([0, 0]);
  });
});

describe('which lines share a transport', () => {
  it('all that are accepted; the first with a port has it', () => {
    const only = line('audio', 0, 111, 'mid:a', 'bundle-only');
    const offer = offerOf(sdp(['group:BUNDLE a v'], only, video));
    expect(chooseBundles(offer, all(offer))).toEqual([[1, 0]]);
    expect(chooseBundles(offer, (i) => (i === 0 ? [111] : undefined))).toEqual([]);
  });

  it('only DTLS: plain RTP and keys in SDP stay on their own', () => {
    const plain = ['m=video 4002 RTP/AVP 96', 'a=rtpmap:96 VP8/90000', 'a=mid:v', 'a=rtcp-mux'];
    const offer = offerOf(sdp(['group:BUNDLE a v'], audio, plain));
    expect(chooseBundles(offer, all(offer))).toEqual([[0]]);
  });

  it('payload types that clash among those answered take the later line out; clashes that nobody answers do not count', () => {
    const clash = [
      'm=video 4002 UDP/TLS/RTP/SAVPF 111 96',
      ...['a=rtpmap:111 H264/90000', 'a=fmtp:111 packetization-mode=1', 'a=rtpmap:96 VP8/90000', 'a=mid:v'],
      ...TRANSPORT,
    ];
    const offer = offerOf(sdp(['group:BUNDLE a v'], audio, clash));
    expect(chooseBundles(offer, (i) => (i === 0 ? [111] : [111]))).toEqual([[0]]);
    expect(chooseBundles(offer, (i) => (i === 0 ? [111] : [96]))).toEqual([[0, 1]]);
  });
});

describe('header extensions', () => {
  const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
  const LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
  const idsOf = (audioMore: readonly string[], videoMore: readonly string[], session = ['group:BUNDLE a v']) => {
    const lines = [
      [...line('audio', 4000, 111, 'mid:a', ...audioMore), ...TRANSPORT],
      [...line('video', 4002, 96, 'mid:v', ...videoMore), ...TRANSPORT],
    ];
    return offerOf(sdp(session, ...lines)).media.map(({ audioLevelId, midId }) => [audioLevelId, midId]);
  };

  it.each([
    [
      'ids as offered',
      [`extmap:1 ${LEVEL}`, `extmap:4 ${MID}`],
      [`extmap:4 ${MID}`],
      [
        [1, 4],
        [undefined, 4],
      ],
    ],
    [
      'ids of the two-byte form',
      [`extmap:200 ${LEVEL}`],
      [`extmap:201 ${MID}`],
      [
        [200, undefined],
        [undefined, 201],
      ],
    ],
    [
      '15 and what is above 255 are none',
      [`extmap:15 ${LEVEL}`],
      [`extmap:256 ${MID}`],
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    ],
    [
      'what is not sent to us',
      [`extmap:1/recvonly ${LEVEL}`],
      [`extmap:4/inactive ${MID}`],
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    ],
    [
      'an id with two meanings is not taken',
      [`extmap:4 ${LEVEL}`],
      [`extmap:4 ${MID}`],
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    ],
    [
      'a level of video is none',
      [],
      [`extmap:1 ${LEVEL}`],
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    ],
  ])('%s', (_, a, v, expected) => {
    expect(idsOf(a, v)).toEqual(expected);
  });

  it('names of lines are for bundles, and no longer than can be looked for', () => {
    expect(idsOf([], [`extmap:4 ${MID}`], [])[1]).toEqual([undefined, undefined]);
    const mid = 'x'.repeat(MAX_MID_BYTES + 1);
    const long = [...line('audio', 4000, 111, `mid:${mid}`, `extmap:4 ${MID}`), ...TRANSPORT];
    expect(offerOf(sdp([`group:BUNDLE ${mid}`], long)).media[0]!.midId).toBeUndefined();
  });
});

describe('offers of ours and their answers', () => {
  const codecs = { audio: [{ name: 'opus', payloadType: 111 }], video: [{ name: 'VP8', payloadType: 96 }] } as const;
  const offered = (ports: readonly [number, number]): LocalOffer => ({
    ...OURS,
    bundles: [[0, 1]],
    media: [
      { media: 'audio', port: ports[0], security: 'dtls', codecs: codecs.audio, mid: '0' },
      { media: 'video', port: ports[1], security: 'dtls', codecs: codecs.video, mid: '1' },
    ],
  });
  const answered = (offer: string, bundles: readonly (readonly number[])[], ports: readonly [number, number]) => {
    const made = answer(offerOf(offer), { ...OURS, bundles, media: ports.map((port) => ({ port })) });
    if (!made.ok) throw new Error(made.reason);
    return made.value.sdp;
  };

  it('at first without a port for the second line, later with the port of the first', () => {
    const first = createOffer(offered([30_000, 0]));
    expect(first).toMatch(/a=group:BUNDLE 0 1\r\n[\s\S]*m=video 0 [\s\S]*a=bundle-only/);
    const again = createOffer(offered([30_000, 30_000]));
    expect(again).not.toContain('bundle-only');
    for (const offer of [first, again])
      expect(readAnswer(offer, answered(offer, [[0, 1]], [4000, 4000])).ok).toBe(true);
  });

  it('an answer that takes a line out of the bundle leaves it without a transport, and does not fit', () => {
    for (const ports of [
      [30_000, 0],
      [30_000, 30_000],
    ] as const) {
      const offer = createOffer(offered(ports));
      // Written by hand: ours would refuse the line.
      const apart = answered(offer, [[0, 1]], [4000, 4000])
        .replace('BUNDLE 0 1', 'BUNDLE 0')
        .replace('m=video 4000', 'm=video 4002');
      expect(readAnswer(offer, apart)).toEqual({ ok: false, reason: 'bundle', detail: 'm-line 2' });
    }
    const balanced = createOffer(offered([30_000, 30_002]));
    expect(readAnswer(balanced, answered(balanced, [[0]], [4000, 4002])).ok).toBe(true);
  });

  it('the DTLS role of a line is that of the line whose transport it uses', () => {
    const offer = createOffer(offered([30_000, 30_002]));
    const media = [{ port: 4000, role: 'client' as const }, { port: 4000 }];
    const made = answer(offerOf(offer), { ...OURS, bundles: [[0, 1]], media });
    expect(made.ok && made.value.sdp.match(/a=setup:\w+/g)).toEqual(['a=setup:active', 'a=setup:active']);
  });

  it('a bundle-only line outside of the accepted bundles is refused, with its name', () => {
    const offer = createOffer(offered([30_000, 0]));
    expect(answered(offer, [[0]], [4000, 4000])).toMatch(/m=video 0 UDP\/TLS\/RTP\/SAVPF 96\r\na=mid:1/);
  });
});
