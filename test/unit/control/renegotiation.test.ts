/** Offers in calls that are up: what changes in the relay, the conference and the answer. */
import { describe, expect, it } from 'vitest';
import type { UserAgentOutput } from '../../../src/sip/contract.js';
import { answer, readOffer } from '../../../src/sip/offer-answer.js';
import { Bench, CLIENT_HELLO, FINGERPRINT, keysReport, Offerless, SIGNALLED, secured } from './harness.js';

const answerOf = (bench: Bench): string => {
  const last = bench.heard.filter((o) => o.type === 'answered').at(-1);
  return last?.type === 'answered' ? last.sdp : '';
};

function reinvite(bench: Bench, call: number, sdp: string): UserAgentOutput | undefined {
  bench.heard.length = 0;
  bench.callerDoes({ type: 'reinvite', call, sdp });
  return bench.heard.find((o) => o.type === 'answered' || o.type === 'offer-refused');
}

const edgesOf = (bench: Bench, media: 'audio' | 'video') =>
  bench
    .called('setRoutes')
    .filter(([, kind]) => kind === media)
    .at(-1)?.[2] ?? [];

describe('a re-INVITE of the peer', () => {
  it('that repeats the offer gets the very same answer, version and all', () => {
    const bench = new Bench();
    const { call, offer } = secured(bench);
    const before = answerOf(bench);
    expect(reinvite(bench, call, offer)).toMatchObject({ type: 'answered', sdp: before });
    expect(bench.taken('association-open')).toHaveLength(2);
  });

  it('hold takes the member out of the routes as a receiver, resume brings it back', () => {
    const bench = new Bench();
    const first = secured(bench);
    const second = secured(bench);
    const receivers = () => new Set(edgesOf(bench, 'audio').map((e) => e.receiver));
    const both = new Set([first.channels[0], second.channels[0]]);
    expect(receivers()).toEqual(both);
    for (const hold of [
      second.offer.replaceAll('a=sendrecv', 'a=sendonly'),
      second.offer.replaceAll('c=IN IP4 192.0.2.7', 'c=IN IP4 0.0.0.0'),
    ]) {
      expect(reinvite(bench, second.call, hold)).toMatchObject({ type: 'answered' });
      expect(answerOf(bench).match(/a=recvonly/g)).toHaveLength(2);
      expect(receivers()).toEqual(new Set([first.channels[0]]));
      expect(edgesOf(bench, 'audio')).toHaveLength(1);
      reinvite(bench, second.call, second.offer);
      expect(answerOf(bench).match(/a=sendrecv/g)).toHaveLength(2);
      expect(receivers()).toEqual(both);
    }
    reinvite(bench, second.call, second.offer.replaceAll('a=sendrecv', 'a=inactive'));
    expect(edgesOf(bench, 'audio')).toEqual([]);
    expect(bench.taken('association-open')).toHaveLength(4); // hold is no reason for a new association
  });

  it('with a new fingerprint opens a new association, and the old keys stay until it is proven', () => {
    const bench = new Bench();
    const { call, offer, channels } = secured(bench);
    const print = /a=fingerprint:sha-256 .*/g;
    const other = offer.replace(print, `a=fingerprint:sha-256 ${'09:'.repeat(31)}09`);
    expect(reinvite(bench, call, other)).toMatchObject({ type: 'answered' });
    expect(
      bench
        .called('awaitPeer')
        .slice(-2)
        .map(([channel]) => channel),
    ).toEqual(channels);
    expect(bench.called('setChannelKeys')).toHaveLength(2);
    const [channel] = channels as [number];
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    const opened = bench.taken('association-open').at(-1)!;
    expect(opened.fingerprints[0]?.value).toEqual(new Uint8Array(32).fill(9));
    const ready = bench.called('setParameters').at(-1)?.[1].ready;
    bench.association(opened.association, keysReport());
    expect(bench.called('setChannelKeys')).toHaveLength(3);
    expect(bench.called('provePeer').at(-1)).toEqual([channel, SIGNALLED]);
    // Nothing of the call begins anew: it is as ready as before, and no second TIP negotiation starts.
    expect(bench.called('setParameters').at(-1)?.[1].ready).toBe(ready);
    expect(bench.events()).toEqual([]);
  });

  it('a new association that nobody proves ends the call: dtls-failed (C10)', () => {
    const bench = new Bench();
    const { call, offer } = secured(bench);
    reinvite(bench, call, offer.replace(/a=fingerprint:sha-256 .*/g, `a=fingerprint:sha-256 ${'09:'.repeat(31)}09`));
    bench.advance(15_000);
    expect(bench.events()).toEqual(['dtls-failed']);
    expect(bench.heard.find((o) => o.type === 'ended')).toMatchObject({ by: 'peer' });
  });

  it('security downgrade: plain RTP instead of DTLS is refused, and the call goes on', () => {
    const bench = new Bench();
    const { call, offer } = secured(bench);
    const plain = offer.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP');
    expect(reinvite(bench, call, plain)).toMatchObject({ type: 'offer-refused', status: 488 });
    expect(bench.called('closeChannel')).toEqual([]);
    expect(reinvite(bench, call, offer)).toMatchObject({ type: 'answered' });
  });

  it('without video is refused where audio alone is below the conference, and takes it out where it is not', () => {
    const bench = new Bench();
    const { call, offer } = secured(bench);
    expect(reinvite(bench, call, offer.replace(/m=video \d+/, 'm=video 0'))).toMatchObject({ type: 'offer-refused' });
    const plain = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } });
    const made = plain.dialWith('8000', 'plain');
    const [, video] = plain.called('openChannel').map(([o]) => o.channel);
    expect(reinvite(plain, made.call, made.offer.replace(/m=video \d+/, 'm=video 0'))).toMatchObject({
      type: 'answered',
    });
    expect(answerOf(plain)).toMatch(/m=video 0 RTP\/AVP/);
    expect(plain.called('closeChannel')).toEqual([[video]]);
    // The line stays in its place, and may come back.
    expect(reinvite(plain, made.call, made.offer)).toMatchObject({ type: 'answered' });
    expect(answerOf(plain)).toMatch(/m=audio \d{5} [\s\S]*m=video \d{5} /);
    expect(plain.called('openChannel')).toHaveLength(3);
  });

  it('with fewer m-lines, or another kind of media in a line that is used, is refused', () => {
    const bench = new Bench();
    const { call, offer } = secured(bench);
    const audioOnly = offer.slice(0, offer.indexOf('m=video'));
    expect(reinvite(bench, call, audioOnly)).toMatchObject({ type: 'offer-refused', status: 488 });
    expect(reinvite(bench, call, audioOnly + audioOnly.slice(audioOnly.indexOf('m=audio')))).toMatchObject({
      type: 'offer-refused',
    });
  });

  it('moves the numbers of the codecs: the relay is told of the new ones', () => {
    const bench = new Bench();
    const { call, offer, channels } = secured(bench);
    const moved = offer.replaceAll(/\b112\b/g, '120');
    reinvite(bench, call, moved);
    const last = bench
      .called('setParameters')
      .filter(([channel]) => channel === channels[1])
      .at(-1)?.[1];
    expect(last).toMatchObject({ ready: true, payloadTypes: [{ payloadType: 120 }] });
  });

  it('of plain RTP moves its address: the relay sends there', () => {
    const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } });
    const { call, offer } = bench.dialWith('8000', 'plain');
    const [audio] = bench.called('openChannel').map(([o]) => o.channel);
    reinvite(bench, call, offer.replace('m=audio 40000', 'm=audio 41000'));
    expect(bench.called('provePeer').at(-1)).toEqual([audio, { address: '192.0.2.7', port: 41_000 }]);
  });
});

describe('an INVITE without an offer', () => {
  const answerTo = (sdp: string) => {
    const offer = readOffer(sdp);
    if (!offer.ok) throw new Error(offer.reason);
    const local = { sessionId: '1', sessionVersion: 1, address: '192.0.2.7', fingerprint: FINGERPRINT };
    const made = answer(offer.value, { ...local, media: [{ port: 40_000 }, { port: 40_002 }] });
    if (!made.ok) throw new Error(made.reason);
    return made.value.sdp;
  };

  it('is offered what the conference wants, and its answer in the ACK makes the channels expect its certificate', () => {
    const bench = new Bench();
    const peer = new Offerless(bench);
    const sdp = peer.invite();
    expect(sdp).toMatch(/m=audio 20002 UDP\/TLS\/RTP\/SAVPF 96 [\s\S]*a=setup:actpass[\s\S]*m=video 20004/);
    const { channel } = bench.called('openChannel')[0]![0];
    const hello = { type: 'dtls' as const, channel, from: SIGNALLED, bytes: CLIENT_HELLO };
    bench.relay({ type: 'relay', events: [hello] });
    expect(bench.taken('association-open')).toEqual([]); // nobody is named yet
    const answered = answerTo(sdp).replaceAll('a=setup:passive', 'a=setup:active');
    peer.acknowledge(answered);
    bench.relay({ type: 'relay', events: [hello] });
    expect(bench.taken('association-open')).toMatchObject([{ role: 'server', fingerprints: [FINGERPRINT] }]);
  });

  it('whose answer is passive is called by us, as DTLS client, at the address it names', () => {
    const bench = new Bench();
    const peer = new Offerless(bench);
    const sdp = peer.invite();
    peer.acknowledge(answerTo(sdp));
    expect(bench.taken('association-open').map((o) => o.role)).toEqual(['client', 'client']);
    const { association } = bench.taken('association-open')[0]!;
    bench.association(association, { type: 'datagram', bytes: CLIENT_HELLO });
    expect(bench.called('sendDatagram')[0]?.slice(1)).toEqual([SIGNALLED, CLIENT_HELLO]);
  });

  it.each([
    ['no answer at all', () => ''],
    ['another transport', (sdp: string) => sdp.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP')],
  ])('ends with BYE when the ACK brings %s', (_, change) => {
    const bench = new Bench();
    const peer = new Offerless(bench);
    const sdp = peer.invite();
    peer.acknowledge(change(answerTo(sdp)));
    expect(bench.texts.at(-1)).toMatch(/^BYE [\s\S]*Reason: SIP;cause=488/);
    expect(bench.control.views()).toEqual([]);
  });
});
