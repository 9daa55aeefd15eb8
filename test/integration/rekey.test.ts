/** Channel keys renewed in a running call, and endpoints that come back under the same SSRC (WIRE.md 10). */
import { afterEach, describe, expect, it } from 'vitest';
import { type Caller, dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

const heard = (by: Caller, of: Caller, media: 'audio' | 'video' = 'audio') => {
  const ssrcs = new Set(of.sent.map((p) => p.ssrc));
  return by.received.filter((rtp) => rtp.media === media && ssrcs.has(rtp.ssrc));
};

/** Packets of a stream that were sent between the first and the last one that arrived, and did not arrive. */
function missing(by: Caller, of: Caller): number {
  const arrived = new Set(heard(by, of).map((rtp) => rtp.sequence));
  const sent = of.sent.filter((p) => heard(by, of).some((rtp) => rtp.ssrc === p.ssrc)).map((p) => p.sequence);
  const first = sent.findIndex((s) => arrived.has(s));
  const last = sent.findLastIndex((s) => arrived.has(s));
  return sent.slice(first, last + 1).filter((s) => !arrived.has(s)).length;
}

describe('a long call', () => {
  it('has its channel keys renewed by a new association, again and again, without a packet of media missing', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const alice = await dial(to, { name: 'alice', energy: () => 80, video: [] });
    const bob = await dial(to, { name: 'bob', energy: () => 60, video: [] });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('both hear each other', () => heard(alice, bob).length > 20 && heard(bob, alice).length > 20);
    for (const round of [1, 2]) {
      await alice.call.renew();
      await until('both channels have new keys', () => alice.call.status().keyed === 2 + 2 * round);
      const mark = [heard(alice, bob).length, heard(bob, alice).length] as const;
      await until(
        'media goes on',
        () => heard(alice, bob).length > mark[0] + 25 && heard(bob, alice).length > mark[1] + 25,
      );
    }
    expect([missing(bob, alice), missing(alice, bob)]).toEqual([0, 0]);
    // Control RTCP goes both ways under the new keys: a set that is made now reaches alice and is acknowledged.
    const sets = host.running.groupSetsMade('8000');
    const carol = await dial(to, { name: 'carol' });
    await carol.call.ready;
    await carol.call.hangup();
    const again = await dial(to, { name: 'carol', remembered: carol.call.remembered });
    await again.call.ready;
    expect(host.running.groupSetsMade('8000')).toBeGreaterThan(sets);
    const later = heard(bob, alice).length;
    await until('alice is heard under it', () => heard(bob, alice).length > later + 150);
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    expect(host.running.counters().drops.auth_failed).toBe(0);
    expect(host.events).toEqual([]);
  });

  it('renews them by itself when they are old enough', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const alice = await dial(to, { name: 'alice', renewAfterMs: 300 });
    await alice.call.ready;
    await until('three generations of keys', () => alice.call.status().keyed >= 6);
    expect(host.events).toEqual([]);
  });
});

describe('an endpoint that restarts', () => {
  it('and calls again with its certificate and SSRC while the old call lives is heard at once, and the old call ends', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const bob = await dial(to, { name: 'bob', energy: () => 10 });
    const alice = await dial(to, { name: 'alice', energy: () => 80 });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('bob hears alice', () => heard(bob, alice).length > 20 && heard(bob, alice, 'video').length > 20);
    const again = await dial(to, { name: 'alice', energy: () => 80, remembered: alice.call.remembered });
    expect((await alice.call.ended).cause).toContain('replaced');
    await again.call.ready;
    const ssrc = again.call.remembered.ssrcs.get('audio 1');
    expect(ssrc).toBe(alice.call.remembered.ssrcs.get('audio 1'));
    const payloads = () => {
      const sent = new Map(again.sent.map((p) => [`${p.ssrc}/${p.sequence}`, p.payload]));
      return bob.received.filter((rtp) => sent.get(`${rtp.ssrc}/${rtp.sequence}`)?.length === rtp.payload.length);
    };
    await until('bob hears the new call', () => payloads().some((rtp) => rtp.media === 'audio'));
    // At once: of the audio that the new call sent, hardly anything had to be given up for the change.
    const first = payloads().find((rtp) => rtp.media === 'audio')!;
    const sent = again.sent.filter((p) => p.ssrc === ssrc);
    expect(sent.findIndex((p) => p.sequence === first.sequence)).toBeLessThan(25);
    await until('and sees it', () => payloads().filter((rtp) => rtp.media === 'video').length > 20);
    expect(host.events.map((e) => e.code)).toEqual([]);
  });

  it('attack: somebody with another certificate cannot take the SSRC over, and chooses another', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const bob = await dial(to, { name: 'bob', energy: () => 10 });
    const alice = await dial(to, { name: 'alice', energy: () => 80 });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('bob hears alice', () => heard(bob, alice).length > 20);
    const { ssrcs } = alice.call.remembered;
    const mallory = await dial(to, { name: 'mallory', energy: () => 60, remembered: { identity: undefined, ssrcs } });
    await mallory.call.ready;
    await until('the switch has refused her', () => host!.running.counters().drops.ssrc_owned > 0);
    await until('an event tells of it', () => host!.events.some((e) => e.code === 'ssrc-conflict'));
    const mark = heard(bob, alice).length;
    await until('alice goes on', () => heard(bob, alice).length > mark + 50);
    const stolen = new Set(alice.sent.map((p) => `${p.ssrc}/${p.sequence}/${p.payload.length}`));
    const owned = bob.received.filter((rtp) => ssrcs.get('audio 1') === rtp.ssrc);
    expect(owned.filter((rtp) => !stolen.has(`${rtp.ssrc}/${rtp.sequence}/${rtp.payload.length}`))).toEqual([]);
    const own = () => mallory.sent.filter((p) => ![...ssrcs.values()].includes(p.ssrc));
    await until('mallory is heard under an SSRC of her own', () => {
      const ssrcsOfHers = new Set(own().map((p) => p.ssrc));
      return bob.received.some((rtp) => ssrcsOfHers.has(rtp.ssrc));
    });
    expect([alice.call.status().ready, bob.call.status().ready]).toEqual([true, true]);
  });
});

describe('hold', () => {
  it('stops what is sent to the endpoint, and brings it back', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const alice = await dial(to, { name: 'alice', energy: () => 80 });
    const bob = await dial(to, { name: 'bob', energy: () => 10 });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('both are heard', () => heard(bob, alice).length > 10 && heard(alice, bob).length > 10);
    await bob.call.direct('sendonly');
    const mark = heard(alice, bob).length;
    const held = bob.received.length;
    await until('bob is still heard', () => heard(alice, bob).length > mark + 50);
    // What was under way when the answer came may still have arrived.
    expect(bob.received.length - held).toBeLessThan(20);
    await bob.call.direct('inactive');
    const silent = heard(alice, bob).length;
    const sent = bob.sent.length;
    await until('bob sends on', () => bob.sent.length > sent + 50);
    expect(heard(alice, bob).length - silent).toBeLessThan(20);
    await bob.call.direct('sendrecv');
    const back = [bob.received.length, heard(alice, bob).length] as const;
    await until(
      'everything is back',
      () => bob.received.length > back[0] + 50 && heard(alice, bob).length > back[1] + 25,
    );
    expect(host.events).toEqual([]);
  });
});
