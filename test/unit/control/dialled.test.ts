/** Whom the switch calls: an endpoint with TIP, or a standard one, by what its answer says of itself. */
import { describe, expect, it } from 'vitest';
import { TIP_NEGOTIATION_TIMEOUT_MS } from '../../../src/base/limits.js';
import type { ConferenceSettings } from '../../../src/control/contract.js';
import { answer, readOffer } from '../../../src/sip/offer-answer.js';
import { Bench, CLIENT_HELLO, FINGERPRINT, keysReport, SIGNALLED, TipPeer } from './harness.js';

const BEST_EFFORT: ConferenceSettings = { policy: 'best-effort', requiredLevel: 'none' };
const HOP: ConferenceSettings = { policy: 'secure', requiredLevel: 'hop-by-hop' };
const END: ConferenceSettings = { policy: 'secure', requiredLevel: 'end-to-end' };

/** The switch calls, the callee answers, both handshakes are done. @returns the opened channels. */
function called(
  adHoc: ConferenceSettings,
  tip: boolean,
): { readonly bench: Bench; readonly channels: readonly number[] } {
  const bench = new Bench({ adHoc }, tip);
  const [conference, target] = ['8000', 'sips:4711@192.0.2.7'];
  bench.receive({ type: 'dial', dial: 1, conference, connection: 1, target, trunk: undefined });
  const invite = bench.heard.find((out) => out.type === 'incoming');
  if (invite?.type !== 'incoming' || invite.offer === undefined) throw new Error('no INVITE with an offer');
  const offer = readOffer(invite.offer);
  if (!offer.ok) throw new Error(offer.reason);
  const media = offer.value.media.map((_, i) => ({ port: SIGNALLED.port + 2 * i, role: 'client' as const }));
  const session = { sessionId: '1', sessionVersion: 1, address: SIGNALLED.address, fingerprint: FINGERPRINT };
  const answered = answer(offer.value, { ...session, media });
  if (!answered.ok) throw new Error(answered.reason);
  bench.callerDoes({ type: 'accept', call: invite.call, sdp: answered.value.sdp });
  const channels = bench.called('openChannel').map(([{ channel }]) => channel);
  for (const [i, channel] of channels.entries()) {
    const from = { ...SIGNALLED, port: SIGNALLED.port + 2 * i };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
  }
  return { bench, channels };
}
const told = (bench: Bench) => bench.called('setParameters').map(([, parameters]) => parameters);

describe('whom the switch calls', () => {
  it.each([
    ['best-effort', BEST_EFFORT, ['endpoint-not-capable', 'conference-started-low']],
    ['secure at hop-by-hop', HOP, []],
  ])('an answer whose Contact does not name TIP: hop-by-hop in a %s conference', (_, adHoc, events) => {
    const { bench, channels } = called(adHoc, false);
    expect(bench.taken('dial-ended').at(-1)?.outcome).toEqual({ type: 'answered' });
    expect(bench.called('setChannelKeys').map(([, keys]) => keys.forMedia)).toEqual([true, true]);
    for (const channel of channels) {
      const last = bench
        .called('setParameters')
        .filter(([id]) => id === channel)
        .at(-1)![1];
      expect(last).toMatchObject({ level: 'hop-by-hop', ready: true, tip: false });
      expect(last.endsHere?.seed).toBeGreaterThan(0);
    }
    expect(bench.called('sendControl')).toEqual([]); // no TIP
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
    expect(bench.events()).toEqual(events);
    bench.advance(TIP_NEGOTIATION_TIMEOUT_MS + 1);
    expect(bench.control.conferenceLevel('8000')).toBe('hop-by-hop');
  });

  it('an answer that names TIP: end-to-end, as before', () => {
    const { bench, channels } = called(BEST_EFFORT, true);
    const [audio, video] = [new TipPeer(bench, channels[0]!, 'audio'), new TipPeer(bench, channels[1]!, 'video')];
    for (const peer of [audio, video, audio]) peer.run();
    expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
    expect(bench.events()).toEqual([]);
  });

  it('downgrade on the path: who names TIP and is silent is not taken for one without; its call ends (C10)', () => {
    const { bench } = called(BEST_EFFORT, true);
    bench.advance(TIP_NEGOTIATION_TIMEOUT_MS + 1);
    expect(bench.events()).toEqual(['media-timeout']);
    expect(told(bench).some(({ ready }) => ready)).toBe(false);
    expect(bench.heard.at(-1)).toMatchObject({ type: 'ended', by: 'peer' });
  });

  it('one without TIP has no place in an end-to-end conference: never a key for media, an event, and BYE', () => {
    const { bench } = called(END, false);
    expect(bench.called('setChannelKeys').map(([, keys]) => keys.forMedia)).toEqual([false, false]);
    bench.advance(TIP_NEGOTIATION_TIMEOUT_MS + 1);
    expect(bench.events()).toEqual(['media-timeout']);
    expect(told(bench).some(({ ready, endsHere }) => ready || endsHere !== undefined)).toBe(false);
    expect(bench.heard.at(-1)).toMatchObject({ type: 'ended', by: 'peer' });
    expect(bench.control.conferenceLevel('8000')).toBeUndefined();
  });
});
