/** A conference's suite (WIRE.md 4.3): what is listed, over which channel, and who is below end-to-end for it. */
import { describe, expect, it } from 'vitest';
import { splitCompound } from '../../../src/wire/rtcp.js';
import { parseTip, type Suite } from '../../../src/wire/tip.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED, TipPeer } from './harness.js';

const ONE: Suite = { suite: 1, cipher: 1 };
const SEVENTEEN: Suite = { suite: 17, cipher: 3 };
const EIGHTEEN: Suite = { suite: 18, cipher: 4 };

/** A call into a conference of `suite`, by a peer that lists `peer` over DTLS of `profile`. */
function dialled(suite: 1 | 17 | 18, peer: readonly Suite[] | undefined, profile = 1): Bench {
  const bench = new Bench({ adHoc: { policy: 'secure', requiredLevel: 'end-to-end', suite } });
  bench.dial();
  for (const [i, [{ channel, media }]] of bench.called('openChannel').entries()) {
    const from = { address: SIGNALLED.address, port: SIGNALLED.port + 2 * i };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
    const opened = bench.taken('association-open')[i];
    if (opened === undefined) break; // the first line has ended the call
    bench.association(opened.association, keysReport(profile));
    new TipPeer(bench, channel, media, 8, peer).run();
  }
  return bench;
}

/** The suites of the switch's first MUXCTRL. */
function listed(bench: Bench): readonly Suite[] | undefined {
  for (const [, compound] of bench.called('sendControl')) {
    const packets = splitCompound(compound);
    if (!packets.ok) continue;
    for (const bytes of packets.value) {
      const tip = parseTip(bytes);
      if (tip.ok && tip.value.type === 'muxctrl') return tip.value.suites;
    }
  }
  throw new Error('no MUXCTRL');
}

const profiles = (bench: Bench) => bench.taken('association-open').map((o) => o.profiles);

describe('a conference of suite 17', () => {
  it('lists it, and gives a peer that lists it a set of that suite', () => {
    const bench = dialled(17, [ONE, SEVENTEEN]);
    expect(listed(bench)).toEqual([SEVENTEEN]);
    expect(profiles(bench)).toEqual([[1], [1]]);
    const set = bench.called('installSet')[0]![1];
    expect([set.suite, set.cipher, set.kek.length, set.masterSalt.length]).toEqual([17, 3, 16, 14]);
    expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
  });

  it.each<[string, readonly Suite[] | undefined]>([
    ['lists nothing', undefined],
    ['lists others', [ONE, EIGHTEEN]],
    ['lists it with another cipher', [{ suite: 17, cipher: 4 }]],
  ])('a peer that %s is below end-to-end: no set, no media, the call ends', (_name, peer) => {
    const bench = dialled(17, peer);
    expect(bench.called('installSet')).toEqual([]);
    expect(bench.called('setAcked')).toEqual([]);
    expect(bench.events()).toEqual(['endpoint-not-capable']);
    expect(bench.called('setParameters').filter(([, p]) => p.ready)).toEqual([]);
    expect(bench.heard.at(-1)).toMatchObject({ type: 'ended' });
  });
});

describe('a conference of suite 18', () => {
  it('asks for DTLS profile 0x0008 first, and hands its KEK of 32 bytes over such a channel', () => {
    const bench = dialled(18, [ONE, EIGHTEEN], 8);
    expect(profiles(bench)).toEqual([
      [8, 1],
      [8, 1],
    ]);
    expect(listed(bench)).toEqual([EIGHTEEN]);
    const set = bench.called('installSet')[0]![1];
    expect([set.suite, set.cipher, set.kek.length]).toEqual([18, 4, 32]);
    expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
  });

  it('a strong key over a weaker channel: not even to a peer that asks for it', () => {
    const bench = dialled(18, [ONE, EIGHTEEN], 1);
    expect(listed(bench)).toEqual([]);
    expect(bench.called('installSet')).toEqual([]);
    expect(bench.events()).toEqual(['endpoint-not-capable']);
    expect(bench.heard.at(-1)).toMatchObject({ type: 'ended' });
  });
});

describe('a conference of suite 1', () => {
  it('lists nothing, asks for the profile that all have, and is not raised by what a peer lists', () => {
    const bench = dialled(1, [ONE, SEVENTEEN, EIGHTEEN], 1);
    expect(listed(bench)).toBeUndefined();
    expect(profiles(bench)).toEqual([[1], [1]]);
    expect(bench.called('installSet')[0]![1]).toMatchObject({ suite: 1, cipher: 1 });
    expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
  });
});
