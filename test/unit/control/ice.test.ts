/** ICE-lite and consent on the main thread: credentials to the relay, DTLS from where checks come, and calls that end. */
import { describe, expect, it } from 'vitest';
import type { Address } from '../../../src/base/ids.js';
import { DTLS_HANDSHAKE_TIMEOUT_MS, ICE_CONSENT_PATIENCE_MS } from '../../../src/base/limits.js';
import type { ConferenceSettings } from '../../../src/control/contract.js';
import type { IceNews } from '../../../src/relay/contract.js';
import { clientHello } from '../../support/hello.js';
import { Bench, keysReport } from './harness.js';

const BEST_EFFORT: ConferenceSettings = { policy: 'best-effort', requiredLevel: 'none' };
const PLAIN: ConferenceSettings = { policy: 'non-secure', requiredLevel: 'none' };
const KEY = Buffer.from(Uint8Array.from({ length: 30 }, (_, i) => i)).toString('base64');
const HOME: Address = { address: '198.51.100.7', port: 4_001 };
const MOVED: Address = { address: '198.51.100.8', port: 4_002 };
const ELSEWHERE: Address = { address: '203.0.113.9', port: 6_666 };

const SECURITY = {
  plain: ['RTP/AVP'],
  sdes: ['RTP/SAVP', `crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${KEY}`],
  dtls: ['UDP/TLS/RTP/SAVP', `fingerprint:sha-256 ${Array(32).fill('07').join(':')}`, 'setup:actpass'],
} as const;

function offer(security: keyof typeof SECURITY, ufrag: string | undefined, version = 1): string {
  const [protocol, ...attributes] = SECURITY[security];
  const ice = [`ice-ufrag:${ufrag}`, `ice-pwd:${'p'.repeat(22)}`, 'candidate:1 1 udp 5 192.0.2.7 40000 typ host'];
  const lines = ['rtpmap:0 PCMU/8000', 'rtcp-mux', ...attributes, ...(ufrag === undefined ? [] : ice)];
  const head = `v=0\no=- 1 ${version} IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\nm=audio 40000 ${protocol} 0\n`;
  return `${head}${lines.map((line) => `a=${line}\n`).join('')}`;
}

function dialled(security: keyof typeof SECURITY) {
  const bench = new Bench({ adHoc: security === 'plain' ? PLAIN : BEST_EFFORT }, false);
  const call = bench.dialSdp(offer(security, 'peer'));
  const [channel] = bench.called('openChannel').map(([{ channel: id }]) => id);
  const ice = (what: IceNews, address = HOME) =>
    bench.relay({ type: 'relay', events: [{ type: 'ice', channel: channel!, what, address }] });
  const dtls = (from: Address, bytes = clientHello(new Uint8Array(20))) =>
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel: channel!, from, bytes }] });
  const known = bench.events().length;
  const events = () => bench.events().slice(known);
  const again = (text: string) => bench.callerDoes({ type: 'reinvite', call, sdp: text.replaceAll('\n', '\r\n') });
  return { bench, call, ice, dtls, again, events };
}
const credentials = (bench: Bench) => bench.called('setIce').map(([, ice]) => ice);
const lastAnswer = (bench: Bench) => bench.heard.findLast((o) => o.type === 'answered');
const byes = (bench: Bench) => bench.texts.filter((text) => text.startsWith('BYE '));

describe('a call with ICE', () => {
  it.each(['plain', 'sdes', 'dtls'] as const)(
    '%s: the relay has the credentials before the answer is sent',
    (security) => {
      const { bench } = dialled(security);
      const [ice, ...more] = credentials(bench);
      expect(more).toEqual([]);
      expect(ice).toMatchObject({ peerUfrag: 'peer', ufrag: expect.stringMatching(/^[A-Za-z0-9+/]{8}$/) });
      const pwd = ice!.pwd.use((bytes) => Buffer.from(bytes).toString('latin1'));
      expect(pwd).toMatch(/^[A-Za-z0-9+/]{24}$/);
      const { sdp } = lastAnswer(bench) as { sdp: string };
      expect(sdp).toContain(`a=ice-ufrag:${ice!.ufrag}\r\na=ice-pwd:${pwd}\r\n`);
      // Nobody's word counts but that of its checks.
      expect(bench.called('provePeer')).toEqual([]);
      for (const [, signalled, calls] of bench.called('awaitPeer'))
        expect([signalled, calls]).toEqual([undefined, false]);
    },
  );

  it('the password is in the answer and in the relay, and nowhere else; it is wiped with the call', () => {
    const { bench, call, ice } = dialled('sdes');
    const [own] = credentials(bench);
    const pwd = own!.pwd.use((bytes) => Buffer.from(bytes).toString('latin1'));
    ice('nominated');
    ice('consent-lost');
    const told = bench.outputs.filter(({ type }) => type !== 'sip');
    expect(told.length).toBeGreaterThan(0);
    expect(JSON.stringify(told)).not.toContain(pwd);
    bench.callerDoes({ type: 'hangup', call });
    expect(own!.pwd.wiped).toBe(true);
  });

  it('an ICE restart: new credentials of ours for new ones of the peer; the same offer again changes nothing', () => {
    const { bench, again } = dialled('sdes');
    again(offer('sdes', 'peer', 2));
    expect(credentials(bench)).toHaveLength(1);
    again(offer('sdes', 'other', 3));
    const [before, after, ...more] = credentials(bench);
    expect(more).toEqual([]);
    expect(after).toMatchObject({ peerUfrag: 'other' });
    expect(after!.ufrag).not.toBe(before!.ufrag);
    expect(before!.pwd.wiped).toBe(true);
    expect((lastAnswer(bench) as { sdp: string }).sdp).toContain(`a=ice-ufrag:${after!.ufrag}\r\n`);
  });

  it('a later offer without ICE ends it, and one on plain RTP says where media goes', () => {
    const { bench, again } = dialled('plain');
    again(offer('plain', undefined, 2));
    expect(credentials(bench).at(-1)).toBeUndefined();
    expect(credentials(bench)).toHaveLength(2);
    expect((lastAnswer(bench) as { sdp: string }).sdp).not.toContain('ice');
  });
});

describe('consent (RFC 7675)', () => {
  it.each(['plain', 'sdes'] as const)(
    '%s: a peer that has stopped checking is sent a BYE that says why',
    (security) => {
      const { bench, ice, events } = dialled(security);
      ice('nominated');
      ice('consent-lost');
      bench.advance(ICE_CONSENT_PATIENCE_MS - 1);
      expect(byes(bench)).toEqual([]);
      bench.advance(1);
      expect(byes(bench)).toHaveLength(1);
      expect(byes(bench)[0]).toMatch(
        /^Reason: SIP;cause=408;text="the ICE checks of the endpoint have ended \(audio\)"\r$/m,
      );
      expect(events()).toEqual(['consent-lost']);
      expect(bench.control.conferenceLevel('8000')).toBeUndefined();
    },
  );

  it('checks that come back in time save the call', () => {
    const { bench, ice, events } = dialled('sdes');
    ice('consent-lost');
    bench.advance(ICE_CONSENT_PATIENCE_MS - 1);
    ice('consent-back');
    bench.advance(10 * ICE_CONSENT_PATIENCE_MS);
    expect([byes(bench), events()]).toEqual([[], []]);
  });

  it('a later offer without ICE needs no checks', () => {
    const { bench, ice, again, events } = dialled('sdes');
    ice('consent-lost');
    again(offer('sdes', undefined, 2));
    bench.advance(10 * ICE_CONSENT_PATIENCE_MS);
    expect([byes(bench), events()]).toEqual([[], []]);
  });
});

describe('DTLS where its checks come from', () => {
  it('a handshake goes on from where the peer nominates while it runs', () => {
    const { bench, dtls, ice } = dialled('dtls');
    dtls(HOME);
    const [opened] = bench.taken('association-open');
    expect(opened).toMatchObject({ role: 'server', signalled: true });
    const { association } = opened!;
    ice('nominated', MOVED);
    const flight = Uint8Array.of(22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 5);
    dtls(MOVED, Uint8Array.of(22, ...flight.slice(1), 0, 0, 11));
    expect(bench.taken('association-data').map((o) => o.association)).toEqual([association, association]);
    bench.association(association, { type: 'datagram', bytes: flight });
    expect(bench.called('sendDatagram').at(-1)![1]).toEqual(MOVED);
    bench.association(association, keysReport());
    expect(bench.called('provePeer').map(([, address]) => address)).toEqual([MOVED]);
    // The peer's last flight, once more and from yet another of its addresses.
    dtls(ELSEWHERE, Uint8Array.of(20, 254, 253));
    expect(bench.taken('association-data')).toHaveLength(3);
    bench.association(association, { type: 'datagram', bytes: flight });
    expect(bench.called('sendDatagram').at(-1)![1]).toEqual(MOVED);
  });

  it('attack: who got in by a check that it had read fails its handshake, and the call goes on', () => {
    const { bench, dtls, events } = dialled('dtls');
    dtls(ELSEWHERE);
    dtls(HOME);
    const [attacker, peer] = bench.taken('association-open').map((o) => o.association);
    bench.association(attacker!, { type: 'failed', reason: 'fingerprint-mismatch', detail: 'another' });
    expect(byes(bench)).toEqual([]);
    expect(events()).toEqual(['fingerprint-mismatch']);
    bench.association(peer!, keysReport());
    expect(bench.called('provePeer').map(([, address]) => address)).toEqual([HOME]);
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });

  it('a peer that never proves itself ends its call as without ICE', () => {
    const { bench, dtls } = dialled('dtls');
    dtls(HOME);
    bench.advance(DTLS_HANDSHAKE_TIMEOUT_MS);
    expect(byes(bench)[0]).toMatch(/^Reason: SIP;cause=488;text="DTLS handshake failed/m);
  });
});

describe('a browser that the switch calls', () => {
  /** @param transport of the connection to it. @returns the m-line of our INVITE, and how to answer it. */
  function called(transport: 'tls' | 'wss') {
    const bench = new Bench({ adHoc: BEST_EFFORT }, false, undefined, transport);
    const [conference, target] = ['8000', 'sip:ann@x.invalid;transport=ws'];
    bench.receive({ type: 'dial', dial: 1, conference, connection: 1, target, trunk: undefined });
    const invite = bench.heard.find((out) => out.type === 'incoming');
    if (invite?.type !== 'incoming' || invite.offer === undefined) throw new Error('no INVITE with an offer');
    const accept = (ufrag: string | undefined): void => {
      const audio = offer('dtls', ufrag).replace('actpass', 'active');
      const codec = /^a=rtpmap:(\d+) opus/m.exec(invite.offer!)![1]!;
      const sdp = audio
        .replace('SAVP 0', `SAVPF ${codec}`)
        .replace('rtpmap:0 PCMU/8000', `rtpmap:${codec} opus/48000/2`);
      const text = `${sdp}m=video 0 UDP/TLS/RTP/SAVPF 97\n`.replaceAll('\n', '\r\n');
      bench.callerDoes({ type: 'accept', call: invite.call, sdp: text });
    };
    return { bench, offered: invite.offer, call: invite.call, accept };
  }
  const named = (sdp: string, name: string) => new RegExp(`^a=${name}:(.*)\\r$`, 'm').exec(sdp)?.[1];

  it('is offered ICE on each line; what it answers is in force', () => {
    const { bench, offered, accept } = called('wss');
    expect(offered).toContain('a=ice-lite\r\n');
    expect(offered.match(/^a=ice-ufrag:/gm)).toHaveLength(2);
    expect(credentials(bench)).toEqual([]);
    accept('peer');
    const [own, ...more] = credentials(bench);
    expect(more).toEqual([]);
    expect(own).toMatchObject({ peerUfrag: 'peer', ufrag: named(offered, 'ice-ufrag') });
    expect(own!.pwd.use((bytes) => Buffer.from(bytes).toString('latin1'))).toBe(named(offered, 'ice-pwd'));
  });

  it('may answer without', () => {
    const { bench, accept } = called('wss');
    accept(undefined);
    expect(bench.taken('dial-ended').at(-1)?.outcome).toEqual({ type: 'answered' });
    expect(credentials(bench)).toEqual([]);
  });

  it('others are not offered it', () => {
    expect(called('tls').offered).not.toContain('ice');
  });
});
