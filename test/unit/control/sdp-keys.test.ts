/** Trunks whose keys travel in SDP (T2): what the switch offers on them, which answers it takes, and which secrets stay. */
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import type { ConferenceSettings } from '../../../src/control/contract.js';
import type { Access, TrunkProfile } from '../../../src/sip/trunk.js';
import { parseSdp } from '../../../src/wire/sdp.js';
import { cryptos, SDES_SUITES, type SdesCrypto } from '../../../src/wire/sdp-crypto.js';
import { Bench, FINGERPRINT, Offerless, testRandom } from './harness.js';

const TRUNK: TrunkProfile = {
  name: 'sbc',
  description: '',
  security: 'encrypted',
  incoming: ['tls'],
  outgoing: 'tls',
  x509Names: ['sbc.example'],
  peers: [],
  digest: false,
  nonceValidityMs: 600_000,
  applicationAuthorization: false,
  accept: [],
  transmitSecurityStatus: false,
  srtp: true,
  keying: 'sdp-keys',
  sdpKeySuites: ['AEAD_AES_256_GCM', 'AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32'],
};
const ACCESS: Access = { type: 'trunk', trunk: 'sbc' };
const HOP: ConferenceSettings = { policy: 'secure', requiredLevel: 'hop-by-hop' };
const BEST_EFFORT: ConferenceSettings = { policy: 'best-effort', requiredLevel: 'none' };

const bench = (adHoc: ConferenceSettings, trunk: Partial<TrunkProfile> = {}): Bench =>
  new Bench({ adHoc, trunks: [{ ...TRUNK, ...trunk }] }, false, ACCESS);

interface Line {
  readonly media: string;
  readonly protocol: string;
  readonly payloadType: string;
  readonly keys: readonly SdesCrypto[];
}
function linesOf(sdp: string): Line[] {
  const parsed = parseSdp(sdp);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value.media.map((m) => ({
    media: m.media,
    protocol: m.protocol,
    payloadType: m.formats[0]!,
    keys: cryptos(m),
  }));
}
const key = (fill: number, suite: SdesCrypto['suite']): string => {
  const { keyBytes, saltBytes } = SDES_SUITES[suite];
  return Buffer.alloc(keyBytes + saltBytes, fill).toString('base64');
};
/** An answer that takes the offered line at this place, under keys made of `fill`. */
function answerTo(offer: string, place = 1, change: (line: string) => string = (line) => line, fill = 9): string {
  const lines = ['v=0', 'o=- 5 5 IN IP4 192.0.2.7', 's=-', 'c=IN IP4 192.0.2.7', 't=0 0'];
  const rtpmaps = [...offer.matchAll(/a=rtpmap:(\d+) (.*)\r/g)];
  const fmtps = [...offer.matchAll(/a=fmtp:(\d+) (.*)\r/g)];
  for (const [i, { media, protocol, payloadType, keys }] of linesOf(offer).entries()) {
    lines.push(`m=${media} ${40_000 + 2 * i} ${protocol} ${payloadType}`, 'a=rtcp-mux');
    lines.push(`a=rtpmap:${payloadType} ${rtpmaps.find(([, pt]) => pt === payloadType)![2]}`);
    const fmtp = fmtps.find(([, pt]) => pt === payloadType);
    if (fmtp !== undefined) lines.push(`a=fmtp:${payloadType} ${fmtp[2]}`);
    const taken = keys[Math.min(place, keys.length - 1)];
    if (taken !== undefined)
      lines.push(change(`a=crypto:${taken.tag} ${taken.suite} inline:${key(fill + i, taken.suite)}`));
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** The switch dials; gives the offer that the callee hears. */
function dialled(b: Bench, conference = '8000'): { readonly call: number; readonly offer: string } | undefined {
  b.receive({ type: 'dial', dial: 1, conference, connection: 1, target: 'sips:bob@192.0.2.7', trunk: 'sbc' });
  const incoming = b.heard.find((o) => o.type === 'incoming');
  return incoming?.type === 'incoming' ? { call: incoming.call, offer: incoming.offer! } : undefined;
}
/** Every secret that an SDP brought, and every one that was made for one of ours. */
let copies: MockInstance<typeof Secret.copyOf>;
beforeEach(() => {
  copies = vi.spyOn(Secret, 'copyOf');
});
afterEach(() => copies.mockRestore());
const heardSecrets = (): Secret[] => copies.mock.results.map(({ value }) => value as Secret);
const alive = (): Secret[] => heardSecrets().filter((secret) => !secret.wiped);

describe('an offer of ours on a trunk with keys in SDP', () => {
  it.each([
    ['a call that the switch makes', (b: Bench) => dialled(b)!],
    ['a 200 to an INVITE without offer', (b: Bench) => ({ offer: new Offerless(b).invite() })],
  ])('%s: RTP/SAVP with the suites of the profile in its order, each with a key of its own', (_, make) => {
    const { offer } = make(bench(HOP));
    const lines = linesOf(offer);
    expect(lines.map(({ media, protocol }) => [media, protocol])).toEqual([
      ['audio', 'RTP/SAVP'],
      ['video', 'RTP/SAVP'],
    ]);
    for (const { keys } of lines) {
      expect(keys.map(({ tag, suite }) => [tag, suite])).toEqual(TRUNK.sdpKeySuites.map((suite, i) => [i + 1, suite]));
    }
    const all = lines.flatMap(({ keys }) => keys.map(({ keyAndSalt }) => keyAndSalt.use(toHex)));
    expect(new Set(all).size).toBe(6);
    expect(offer).not.toMatch(/fingerprint|setup/);
  });

  it.each([
    ['secure at hop-by-hop', HOP],
    ['best-effort', BEST_EFFORT],
  ])('%s: what the callee takes goes to the relay, for media, and it is in at hop-by-hop', (_, settings) => {
    const b = bench(settings);
    const { call, offer } = dialled(b)!;
    const ours = linesOf(offer).map(({ keys }) => keys[1]!.keyAndSalt.use(toHex));
    b.callerDoes({ type: 'accept', call, sdp: answerTo(offer) });
    const keys = b.called('setChannelKeys').map(([, k]) => k);
    expect(keys.map((k) => [k.profile, k.forMedia])).toEqual([
      [1, true],
      [1, true],
    ]);
    expect(keys.map((k) => k.local.use(toHex))).toEqual(ours);
    expect(keys.map((k) => k.remote.use(toHex))).toEqual(['09'.repeat(30), '0a'.repeat(30)]);
    expect(b.control.conferenceLevel('8000')).toBe('hop-by-hop');
    expect(b.taken('dial-ended').map(({ outcome }) => outcome.type)).toEqual(['answered']);
    expect(b.called('sendControl')).toEqual([]); // nobody waits for TIP
    // Where its answer says that it is, until it has shown itself.
    expect(b.called('awaitPeer').map(([, address]) => address?.port)).toEqual([40_000, 40_002]);
  });

  it('the answer to the offer of a 200 comes with the ACK', () => {
    const b = bench(HOP);
    const peer = new Offerless(b);
    peer.acknowledge(answerTo(peer.invite(), 2));
    expect(b.called('setChannelKeys').map(([, k]) => k.profile)).toEqual([2, 2]);
    expect(b.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });

  it('an end-to-end conference does not dial over it: refused before anybody is called, with the reason', () => {
    const b = bench({ policy: 'secure', requiredLevel: 'end-to-end' });
    expect(dialled(b)).toBeUndefined();
    expect(b.texts).toEqual([]);
    expect(b.taken('dial-ended')).toMatchObject([
      { outcome: { type: 'failed', status: 488, reason: expect.stringMatching(/sbc has keys in SDP.*end-to-end/) } },
    ]);
    expect(b.events()).toEqual(['security-mismatch']);
    expect(b.called('openChannel')).toEqual([]);
  });

  it('a non-secure conference dials it without keys', () => {
    const { offer } = dialled(bench({ policy: 'non-secure', requiredLevel: 'none' }))!;
    expect(linesOf(offer).map(({ protocol, keys }) => [protocol, keys.length])).toEqual([
      ['RTP/AVP', 0],
      ['RTP/AVP', 0],
    ]);
  });

  it('606 tells the operator that the peer takes no keys in SDP, in a best-effort conference too', () => {
    for (const settings of [HOP, BEST_EFFORT]) {
      const b = bench(settings);
      b.callerDoes({ type: 'reject', call: dialled(b)!.call, status: 606 });
      const event = b.taken('security-event').find((o) => o.event.code === 'trunk-keys-refused')?.event;
      expect(event).toMatchObject({ severity: 'error' });
      expect(event!.remedy).toMatch(/choose the keying mode without SDP keys/);
    }
  });
});

describe('attacks on the answer', () => {
  it.each<[string, (line: string) => string]>([
    ['keys under a tag that was not offered', (line) => line.replace(/crypto:\d/, 'crypto:7')],
    ['keys of another suite than the tag has', (line) => line.replace('_80', '_32')],
    ['no keys at all', () => 'a=sendrecv'],
    ['a parameter that takes protection away', (line) => `${line} UNENCRYPTED_SRTP`],
    ['two lines at once', (line) => `${line}\r\n${line.replace('crypto:2', 'crypto:3')}`],
  ])('%s: nothing of it is used, and the call ends', (_, change) => {
    const b = bench(HOP);
    const { call, offer } = dialled(b)!;
    b.callerDoes({ type: 'accept', call, sdp: answerTo(offer, 1, change) });
    expect(b.called('setChannelKeys')).toEqual([]);
    expect(b.taken('dial-ended')).toMatchObject([{ outcome: { type: 'failed', status: 488 } }]);
    expect(b.events()).toEqual(['security-mismatch']);
    expect(b.texts.at(-1)).toMatch(/^BYE[\s\S]*Reason: SIP;cause=488/);
  });

  it('reflection: an answer with the key that we offered', () => {
    const b = bench(HOP);
    const { call, offer } = dialled(b)!;
    const own = [...offer.matchAll(/a=crypto:2 .*inline:(\S+)/g)].map(([, text]) => text!);
    const sdp = answerTo(offer, 1, (line) => line.replace(/inline:.*/, `inline:${own[0]}`));
    b.callerDoes({ type: 'accept', call, sdp });
    expect(b.called('setChannelKeys')).toEqual([]);
    expect(b.taken('dial-ended')).toMatchObject([{ outcome: { type: 'failed', status: 488 } }]);
  });

  it('downgrade: keys in an RTP/AVP offer are not taken on a trunk without SRTP', () => {
    const b = bench(BEST_EFFORT, { security: 'authenticated', srtp: false, keying: 'dtls' });
    const sdp = `v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\nm=audio 40000 RTP/AVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key(3, 'AES_CM_128_HMAC_SHA1_80')}\n`;
    b.dialSdp(sdp);
    const answered = b.heard.find((o) => o.type === 'answered');
    expect(answered?.type === 'answered' && linesOf(answered.sdp)).toMatchObject([{ protocol: 'RTP/AVP', keys: [] }]);
    expect(b.control.conferenceLevel('8000')).toBe('none');
  });
});

describe('keys that nobody took', () => {
  const OFFER = (...keys: readonly string[]): string =>
    `v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\nm=audio 40000 RTP/SAVP 0\na=rtcp-mux\n${keys.map((k) => `a=crypto:${k}\n`).join('')}`;
  const [CM80, CM32] = ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32'] as const;
  const THREE = OFFER(
    `1 ${CM80} inline:${key(1, CM80)}`,
    `2 ${CM32} inline:${key(2, CM32)}`,
    `3 ${CM80} inline:${key(3, CM80)}`,
  );

  it('of a peer are wiped once the offer is answered; the one that was taken when the call ends', () => {
    const b = bench(HOP);
    const call = b.dialSdp(THREE);
    expect(heardSecrets().length).toBeGreaterThanOrEqual(3);
    expect(alive().map((s) => s.use(toHex))).toEqual(['01'.repeat(30)]);
    b.callerDoes({ type: 'reinvite', call, sdp: THREE.replace('o=- 1 1', 'o=- 1 2').replaceAll('\n', '\r\n') });
    expect(alive().map((s) => s.use(toHex))).toEqual(['01'.repeat(30)]);
    b.callerDoes({ type: 'hangup', call });
    expect(alive()).toEqual([]);
  });

  it.each<[string, ConferenceSettings, string]>([
    ['that the conference refuses', { policy: 'secure', requiredLevel: 'end-to-end' }, THREE],
    ['without a codec for us', HOP, THREE.replace('SAVP 0', 'SAVP 99')],
    ['on a disabled line', HOP, THREE.replace('audio 40000', 'audio 0')],
  ])('of an offer %s are wiped at once', (_, settings, sdp) => {
    const b = bench(settings);
    b.dialSdp(sdp);
    expect(heardSecrets().length).toBeGreaterThanOrEqual(3);
    expect(alive()).toEqual([]);
  });

  it('of a call to a conference that there is not, or a trunk without SRTP, are wiped at once', () => {
    const b = bench(HOP);
    b.dialSdp(THREE, 'no%20such');
    const forbidden = bench(HOP, { security: 'authenticated', srtp: false, keying: 'dtls' });
    forbidden.dialSdp(THREE);
    expect(heardSecrets().length).toBeGreaterThanOrEqual(6);
    expect(alive()).toEqual([]);
  });

  it('of a re-INVITE that is refused are wiped at once', () => {
    const b = bench(HOP);
    const call = b.dialSdp(OFFER(`1 ${CM80} inline:${key(1, CM80)}`));
    const moved = OFFER(`1 ${CM80} inline:${key(5, CM80)}`)
      .replace('SAVP 0', 'SAVP 99')
      .replace('o=- 1 1', 'o=- 1 2');
    b.callerDoes({ type: 'reinvite', call, sdp: moved.replaceAll('\n', '\r\n') });
    expect(b.heard.at(-1)).toMatchObject({ type: 'offer-refused', status: 488 });
    expect(alive().map((s) => s.use(toHex))).toEqual(['01'.repeat(30)]);
  });

  it('of our own offers are wiped with the answer, the rest when the call ends, all of them when nobody answers', () => {
    for (const how of ['answered', 'refused', 'given up'] as const) {
      const made: Uint8Array[] = [];
      const random = (bytes: number): Uint8Array => {
        const out = testRandom(bytes);
        made.push(out);
        return out;
      };
      const b = new Bench({ adHoc: HOP, trunks: [TRUNK], random }, false, ACCESS);
      const { call, offer } = dialled(b)!;
      const ours = linesOf(offer).map(({ keys }) => keys.map(({ keyAndSalt }) => keyAndSalt.use(toHex)));
      const kept = (line: number): number[] =>
        ours[line]!.flatMap((hex, i) => (arrays.get(hex)!.some((x) => x !== 0) ? [i] : []));
      const arrays = new Map(made.map((array) => [toHex(array), array]));
      expect([kept(0), kept(1)]).toEqual([
        [0, 1, 2],
        [0, 1, 2],
      ]);
      if (how === 'answered') {
        b.callerDoes({ type: 'accept', call, sdp: answerTo(offer) });
        expect([kept(0), kept(1)]).toEqual([[1], [1]]);
        b.callerDoes({ type: 'hangup', call });
      } else if (how === 'refused') b.callerDoes({ type: 'reject', call, status: 486 });
      else b.receive({ type: 'dial-cancel', dial: 1 });
      expect([kept(0), kept(1)]).toEqual([[], []]);
    }
  });
});

describe('a session that goes on (RFC 4568 §7.1.4)', () => {
  function up(): { readonly b: Bench; readonly peer: Offerless; readonly offer: string } {
    const b = bench(HOP);
    const peer = new Offerless(b);
    const offer = peer.invite();
    peer.acknowledge(answerTo(offer));
    expect(b.called('setChannelKeys')).toHaveLength(2);
    return { b, peer, offer };
  }

  it('our next offer repeats the key that is in force and no other, and a repeated answer changes nothing', () => {
    const { b, peer, offer } = up();
    const next = peer.invite();
    expect(linesOf(next).map(({ keys }) => keys.map((k) => [k.suite, k.keyAndSalt.use(toHex)]))).toEqual(
      linesOf(offer).map(({ keys }) => [[keys[1]!.suite, keys[1]!.keyAndSalt.use(toHex)]]),
    );
    peer.acknowledge(answerTo(next).replace('o=- 5 5', 'o=- 5 6'));
    expect(b.called('setChannelKeys')).toHaveLength(2);
    expect(b.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });

  it('an answer with another key: theirs changes, ours stays', () => {
    const { b, peer } = up();
    const next = peer.invite();
    const before = b.called('setChannelKeys').map(([, k]) => k.local.use(toHex));
    const seed = (): number | undefined =>
      b.called('setParameters').findLast(([, p]) => p.endsHere)?.[1].endsHere?.seed;
    const own = seed();
    peer.acknowledge(answerTo(next, 0, undefined, 40));
    const after = b.called('setChannelKeys').slice(2);
    expect(after.map(([, k]) => k.local.use(toHex))).toEqual(before);
    expect(after.map(([, k]) => k.remote.use(toHex))).toEqual(['28'.repeat(30), '29'.repeat(30)]);
    // The relay's own streams go on under it, and feedback about them is understood.
    expect(seed()).toBe(own);
  });

  it('DTLS is not affected: a trunk with keying dtls offers fingerprints', () => {
    const { offer } = dialled(bench(HOP, { keying: 'dtls' }))!;
    expect(linesOf(offer).map(({ protocol }) => protocol)).toEqual(['UDP/TLS/RTP/SAVPF', 'UDP/TLS/RTP/SAVPF']);
    expect(offer).toContain(Buffer.from(FINGERPRINT.value).toString('hex').slice(0, 2));
  });
});
