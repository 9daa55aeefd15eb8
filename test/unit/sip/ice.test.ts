/** ICE in offers and in our answers (RFC 8839): what a lite agent says, and what it does not take part in. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.js';
import { wantsNewAssociation } from '../../../src/sip/media-session.js';
import { answer, createOffer, readOffer } from '../../../src/sip/offer-answer.js';
import type { Offer } from '../../../src/sip/offer-answer-types.js';
import { offerProblem, refusalHeaders } from '../../../src/sip/refusal.js';

const PWD = 'pppppppppppppppppppppp';
const HOST = 'candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host';
const ICE = ['ice-ufrag:peer', `ice-pwd:${PWD}`, HOST];

interface Edits {
  readonly session?: readonly string[];
  readonly c?: string;
  readonly m?: string;
  readonly mux?: boolean;
}

function offer(media: readonly string[], { session = [], c = 'IN IP4 192.0.2.7', m, mux = true }: Edits = {}): Offer {
  const lines = [
    ...['v=0', 'o=- 1 1 IN IP4 192.0.2.7', 's=-', `c=${c}`, 't=0 0', ...session.map((a) => `a=${a}`)],
    ...[m ?? 'm=audio 40000 RTP/AVP 0', ...(mux ? ['a=rtcp-mux'] : []), ...media.map((a) => `a=${a}`)],
  ];
  const read = readOffer(`${lines.join('\n')}\n`);
  if (!read.ok) throw new Error(read.reason);
  return read.value;
}

const OURS = { sessionId: '1', sessionVersion: 1, address: '192.0.2.100' };
const own = () => ({ ufrag: 'Ours8765', pwd: new Secret(Buffer.from('switch+own/pwd')) });
function answered(to: Offer, address?: string): string {
  const line = { port: 20_000, ice: own(), ...(address === undefined ? {} : { address }) };
  const written = answer(to, { ...OURS, media: [line] });
  if (!written.ok) throw new Error(written.reason);
  return written.value.sdp;
}
const verdict = (to: Offer) => to.media[0]!.ice?.verdict;

describe('an offer with ICE', () => {
  it.each([
    ['on the m-line', offer(ICE)],
    ['of the session', offer([HOST], { session: ICE.slice(0, 2) })],
  ])('credentials %s: the answer is that of a lite agent with one host candidate', (_, to) => {
    expect(to.media[0]!.ice).toEqual({ ufrag: 'peer', consents: false, verdict: 'used' });
    const sdp = answered(to);
    const session = sdp.slice(0, sdp.indexOf('m='));
    expect(session).toContain('a=ice-lite\r\na=ice-options:ice2\r\n');
    expect(sdp.slice(sdp.indexOf('m='))).toContain(
      'a=ice-ufrag:Ours8765\r\na=ice-pwd:switch+own/pwd\r\n' +
        'a=candidate:1 1 UDP 2130706431 192.0.2.100 20000 typ host\r\na=end-of-candidates\r\n',
    );
    expect(JSON.stringify(to)).not.toMatch(/"pwd"/);
  });

  it.each([
    ['trickle', true],
    ['ice2 rtp+ecn', true],
    ['rtp+ecn', false],
  ])('ice-options %s: whether it is of the time of RFC 7675', (options, consents) => {
    expect(offer([...ICE, `ice-options:${options}`]).media[0]!.ice).toMatchObject({ consents });
    expect(offer(ICE, { session: [`ice-options:${options}`] }).media[0]!.ice).toMatchObject({ consents });
  });

  it('the candidate is where the m-line is, not where the session is', () => {
    expect(answered(offer(ICE), '2001:db8::9')).toContain(' 2001:db8::9 20000 typ host');
  });

  it('an offer without ICE is answered without', () => {
    const to = offer([]);
    expect(to.media[0]!.ice).toBeUndefined();
    expect(answered(to)).not.toMatch(/ice|candidate/);
  });

  it('our own offer repeats what is in force', () => {
    const sdp = createOffer({
      ...OURS,
      media: [
        { media: 'audio', port: 20_000, security: 'plain', codecs: [{ name: 'PCMU', payloadType: 0 }], ice: own() },
      ],
    });
    expect(sdp).toMatch(/^a=ice-lite\r$/m);
    expect(sdp).toMatch(/^a=ice-ufrag:Ours8765\r$/m);
  });

  it.each([
    ['no pwd', ['ice-ufrag:peer'], 'ice-pwd'],
    ['no ufrag', [`ice-pwd:${PWD}`], 'ice-ufrag'],
    ['a ufrag of 3', ['ice-ufrag:pee', `ice-pwd:${PWD}`], 'ice-ufrag'],
    ['a ufrag of 257', [`ice-ufrag:${'p'.repeat(257)}`, `ice-pwd:${PWD}`], 'ice-ufrag'],
    ['a ufrag with a colon', ['ice-ufrag:pe:er', `ice-pwd:${PWD}`], 'ice-ufrag'],
    ['a pwd of 21', ['ice-ufrag:peer', `ice-pwd:${PWD.slice(1)}`], 'ice-pwd'],
    ['a pwd with a space', ['ice-ufrag:peer', `ice-pwd:${PWD} x`], 'ice-pwd'],
    ['a candidate without a type', [...ICE.slice(0, 2), 'candidate:1 1 udp 5 192.0.2.7 40000'], 'candidate'],
    ['a candidate of component 0', [...ICE.slice(0, 2), HOST.replace(' 1 udp', ' 0 udp')], 'candidate'],
    ['a candidate beyond the ports', [...ICE.slice(0, 2), HOST.replace('40000', '70000')], 'candidate'],
  ])('%s is refused by name: 488 with a Warning', (_, attributes, name) => {
    const problem = offerProblem(offer(attributes));
    expect(problem).toMatchObject({ warnCode: 306, text: expect.stringContaining(`a=${name} `) });
    expect(refusalHeaders(488, 'claviger', problem!)[0]!.value).toMatch(new RegExp(`^306 claviger .*a=${name} `));
  });

  it.each([
    [
      'names and TCP are passed over',
      [HOST, 'candidate:2 1 udp 5 a1b2.local 5 typ host', 'candidate:3 1 TCP 5 192.0.2.7 9 typ host tcptype active'],
    ],
    [
      'a second component is passed over',
      [HOST, 'candidate:1 2 udp 5 192.0.2.7 40001 typ host generation 0 ufrag peer network-id 1'],
    ],
  ])('%s', (_, candidates) => expect(verdict(offer([...ICE.slice(0, 2), ...candidates]))).toBe('used'));

  it.each([
    ['another address in c=', offer(ICE, { c: 'IN IP4 203.0.113.5' })],
    ['another port in m=', offer(ICE, { m: 'm=audio 40002 RTP/AVP 0' })],
    ['only a TCP candidate there', offer([...ICE.slice(0, 2), HOST.replace('udp', 'tcp')])],
    ['only its RTCP there', offer([...ICE.slice(0, 2), HOST.replace(' 1 udp', ' 2 udp')])],
  ])('mismatch: %s, as an ALG would leave it: said so, and no ICE', (_, to) => {
    expect(verdict(to)).toBe('mismatch');
    const sdp = answered(to);
    expect(sdp).toMatch(/^a=ice-mismatch\r$/m);
    expect(sdp).not.toMatch(/ice-lite|ice-ufrag|candidate/);
  });

  it.each([
    ['no candidates yet', offer(ICE.slice(0, 2), { c: 'IN IP4 0.0.0.0', m: 'm=audio 9 RTP/AVP 0' })],
    [
      'names only',
      offer([...ICE.slice(0, 2), 'candidate:2 1 udp 5 a1b2.local 50000 typ host'], {
        c: 'IN IP4 0.0.0.0',
        m: 'm=audio 9 RTP/AVP 0',
      }),
    ],
  ])('trickle: %s and nowhere to send to is no mismatch, and no hold', (_, to) => {
    expect(verdict(to)).toBe('used');
    expect(to.media[0]).toMatchObject({ direction: 'sendrecv' });
    expect(to.media[0]!.address).toBeUndefined();
  });

  it('without ICE nowhere to send to is a hold as ever', () => {
    expect(offer([], { c: 'IN IP4 0.0.0.0' }).media[0]!.direction).toBe('sendonly');
  });

  it('another lite agent, which sends no checks either, and RTCP on a port of its own are answered without ICE', () => {
    const lite = offer(ICE, { session: ['ice-lite'] });
    const apart = offer(ICE, { mux: false });
    expect([verdict(lite), verdict(apart)]).toEqual(['both-lite', 'without-rtcp-mux']);
    for (const to of [lite, apart]) expect(answered(to)).not.toMatch(/a=ice|candidate/);
  });

  it('the address of a line with ICE says nothing about its association', () => {
    const dtls = { m: 'm=audio 40000 UDP/TLS/RTP/SAVP 0' };
    const [line] = offer(ICE, dtls).media;
    const moved = { ...line!, address: { address: '198.51.100.1', port: 1 } };
    expect(wantsNewAssociation(line!, moved)).toBe(false);
    const { ice: _, ...without } = line!;
    expect(wantsNewAssociation(without, { ...without, address: moved.address })).toBe(true);
  });
});
