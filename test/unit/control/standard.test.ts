/** Standard endpoints: SRTP that the switch ends itself (hop-by-hop), with keys of DTLS or of signalling, without TIP. */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { TIP_NEGOTIATION_TIMEOUT_MS } from '../../../src/base/limits.js';
import type { ConferenceSettings } from '../../../src/control/contract.js';
import { parseSdp } from '../../../src/wire/sdp.js';
import { cryptos, type SdesCrypto } from '../../../src/wire/sdp-crypto.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED } from './harness.js';

const BEST_EFFORT: ConferenceSettings = { policy: 'best-effort', requiredLevel: 'none' };
const HOP: ConferenceSettings = { policy: 'secure', requiredLevel: 'hop-by-hop' };
const KEY = Buffer.from(Uint8Array.from({ length: 30 }, (_, i) => i)).toString('base64');
const OTHER_KEY = Buffer.from(Uint8Array.from({ length: 30 }, (_, i) => 99 - i)).toString('base64');
const FINGERPRINT = `sha-256 ${Array(32).fill('07').join(':')}`;

function offer(protocol: string, ...attributes: readonly string[]): string {
  const lines = ['a=rtpmap:0 PCMU/8000', 'a=rtcp-mux', ...attributes.map((a) => `a=${a}`)];
  return `v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\nm=audio 40000 ${protocol} 0\n${lines.join('\n')}\n`;
}
const sdes = (key = KEY, suite = 'AES_CM_128_HMAC_SHA1_80', tag = 1) => `crypto:${tag} ${suite} inline:${key}`;

function answerOf(bench: Bench): {
  readonly protocol: string;
  readonly crypto: SdesCrypto | undefined;
  readonly text: string;
} {
  const answered = bench.heard.filter((o) => o.type === 'answered').at(-1);
  if (answered?.type !== 'answered') throw new Error(`no answer: ${JSON.stringify(bench.heard)}`);
  const sdp = parseSdp(answered.sdp);
  if (!sdp.ok) throw new Error(sdp.reason);
  const media = sdp.value.media[0]!;
  return { protocol: media.protocol, crypto: cryptos(media)[0], text: answered.sdp };
}
const refused = (bench: Bench) => bench.heard.find((o) => o.type === 'failed');
const lastParameters = (bench: Bench) => bench.called('setParameters').at(-1)![1];

describe('keys in SDP (RFC 4568)', () => {
  it.each([
    ['best-effort', BEST_EFFORT],
    ['secure at hop-by-hop', HOP],
  ])('%s: both keys reach the relay, for media, and the channel is hop-by-hop', (_, adHoc) => {
    const bench = new Bench({ adHoc }, false);
    bench.dialSdp(offer('RTP/SAVP', sdes(KEY, 'UNKNOWN_SUITE', 4), sdes()));
    const { protocol, crypto } = answerOf(bench);
    expect([protocol, crypto?.tag, crypto?.suite]).toEqual(['RTP/SAVP', 1, 'AES_CM_128_HMAC_SHA1_80']);
    expect(bench.called('openChannel')[0]![0]).toMatchObject({ transport: 'sdes', peer: SIGNALLED });
    const keys = bench.called('setChannelKeys');
    expect(keys).toHaveLength(1);
    expect(keys[0]![1]).toMatchObject({ profile: 1, forMedia: true });
    expect(keys[0]![1].remote.use(toHex)).toBe(Buffer.from(KEY, 'base64').toString('hex'));
    expect(keys[0]![1].local.use(toHex)).toBe(crypto!.keyAndSalt.use(toHex));
    expect(lastParameters(bench)).toMatchObject({ level: 'hop-by-hop', ready: true, tip: false });
    expect(lastParameters(bench).endsHere?.seed).toBeGreaterThan(0);
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
    expect(bench.called('sendControl')).toEqual([]); // no TIP
  });

  it('both keys are wiped when the call ends', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    const call = bench.dialSdp(offer('RTP/SAVP', sdes()));
    const keys = bench.called('setChannelKeys')[0]![1];
    bench.callerDoes({ type: 'hangup', call });
    expect([keys.local.wiped, keys.remote.wiped]).toEqual([true, true]);
  });

  it('an end-to-end conference refuses it, with a reason and without a socket (C3)', () => {
    const bench = new Bench({}, false);
    bench.dialSdp(offer('RTP/SAVP', sdes()));
    expect(refused(bench)).toMatchObject({ status: 488, warning: expect.stringMatching(/keys in SDP/) });
    expect(bench.called('openChannel')).toEqual([]);
    expect(bench.events()).toEqual(['security-mismatch']);
  });

  it('a non-secure conference refuses it', () => {
    const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } }, false);
    bench.dialSdp(offer('RTP/SAVP', sdes()));
    expect(refused(bench)).toMatchObject({ status: 488 });
  });

  it('downgrade: parameters that take protection away are not answered', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    bench.dialSdp(offer('RTP/SAVP', `${sdes()} UNENCRYPTED_SRTP`));
    expect(refused(bench)).toMatchObject({ status: 488, warning: expect.stringMatching(/a=crypto/) });
  });

  it('the same offer again changes no key; another key does, and ours with it', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    const call = bench.dialSdp(offer('RTP/SAVP', sdes()));
    const first = answerOf(bench).crypto!.keyAndSalt.use(toHex);
    const again = (text: string) => bench.callerDoes({ type: 'reinvite', call, sdp: text.replaceAll('\n', '\r\n') });
    again(offer('RTP/SAVP', sdes()).replace('o=- 1 1', 'o=- 1 2'));
    expect(answerOf(bench).crypto!.keyAndSalt.use(toHex)).toBe(first);
    expect(bench.called('setChannelKeys')).toHaveLength(1);
    again(offer('RTP/SAVP', sdes(OTHER_KEY)).replace('o=- 1 1', 'o=- 1 3'));
    expect(answerOf(bench).crypto!.keyAndSalt.use(toHex)).not.toBe(first);
    const [before, after] = bench.called('setChannelKeys').map(([, keys]) => keys);
    expect(after!.remote.use(toHex)).toBe(Buffer.from(OTHER_KEY, 'base64').toString('hex'));
    expect(before!.local.wiped).toBe(true);
  });

  it('downgrade: a re-INVITE cannot take the keys away', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    const call = bench.dialSdp(offer('RTP/SAVP', sdes()));
    bench.callerDoes({ type: 'reinvite', call, sdp: offer('RTP/AVP').replaceAll('\n', '\r\n') });
    expect(bench.heard.at(-1)).toMatchObject({ type: 'offer-refused', status: 488 });
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });
});

describe('opportunistic SRTP (RFC 8643)', () => {
  it('keys of an RTP/AVP offer are taken where SRTP may be', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    bench.dialSdp(offer('RTP/AVP', sdes()));
    expect(answerOf(bench)).toMatchObject({ protocol: 'RTP/AVP', crypto: { tag: 1 } });
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });

  it('DTLS before keys in SDP, where the line names a role', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    bench.dialSdp(offer('RTP/AVP', sdes(), `fingerprint:${FINGERPRINT}`, 'setup:actpass'));
    expect(answerOf(bench).text).toMatch(/m=audio \d+ RTP\/AVP 0[\s\S]*a=setup:passive/);
    expect(bench.called('openChannel')[0]![0].transport).toBe('dtls');
  });

  it('a non-secure conference answers it as the plain RTP that it says to be', () => {
    const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } }, false);
    bench.dialSdp(offer('RTP/AVP', sdes()));
    expect(answerOf(bench)).toMatchObject({ protocol: 'RTP/AVP', crypto: undefined });
    expect(bench.control.conferenceLevel('8000')).toBe('none');
  });
});

describe('DTLS-SRTP without TIP (RFC 5764)', () => {
  const dtls = offer('UDP/TLS/RTP/SAVP', `fingerprint:${FINGERPRINT}`, 'setup:actpass');
  const shake = (bench: Bench) => {
    const { channel } = bench.called('openChannel')[0]![0];
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
  };

  it('an endpoint whose Contact does not name TIP is hop-by-hop when the handshake is done, not before', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false);
    bench.dialSdp(dtls);
    answerOf(bench);
    expect(lastParameters(bench).ready).toBe(false);
    shake(bench);
    expect(bench.called('setChannelKeys')[0]![1].forMedia).toBe(true);
    expect(lastParameters(bench)).toMatchObject({ level: 'hop-by-hop', ready: true });
    expect(bench.called('sendControl')).toEqual([]);
  });

  it('downgrade on the path: who names TIP and is silent is not taken for one without; its call ends (C10)', () => {
    const bench = new Bench({ adHoc: BEST_EFFORT }, true);
    bench.dialSdp(dtls);
    shake(bench);
    bench.advance(TIP_NEGOTIATION_TIMEOUT_MS + 1);
    expect(bench.events()).toEqual(['media-timeout']);
    expect(bench.called('setParameters').some(([, p]) => p.ready)).toBe(false);
  });

  it('in an end-to-end conference its keys are never for media', () => {
    const bench = new Bench({}, false);
    bench.dial();
    shake(bench);
    expect(bench.called('setChannelKeys')[0]![1].forMedia).toBe(false);
    expect(bench.called('setParameters').every(([, p]) => p.endsHere === undefined)).toBe(true);
  });
});
