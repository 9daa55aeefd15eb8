/** Index, ROC, key slots and sets (WIRE.md 9 steps 4 to 8, 10). */
import { describe, expect, it } from 'vitest';
import type { RelayCore } from '../../../src/relay/harness.js';
import { bytesOf, CONFERENCE, installSet, room, testSet, WORD } from './room.js';
import { TestSender } from './sender.js';

const full = { word: WORD, trailing: 0, full: true };
const short = { word: WORD, trailing: 0 };

function feed(core: RelayCore, bytes: Uint8Array, now = 0): string {
  const before = core.stateHash();
  const { drop, outputs } = core.feed(1, bytes, now);
  if (drop !== undefined) expect(core.stateHash()).toBe(before);
  return drop ?? `to ${outputs.map((o) => o.receiver).join(' ')}`;
}
const BOTH = 'to 2 3';

describe('the index', () => {
  it('runs over the wrap of the sequence number, in order and out of order', () => {
    const { core, sender } = room();
    const order: [number, number][] = [
      [0, 65_533],
      [1, 0],
      [0, 65_534],
      [1, 2],
      [0, 65_535],
      [1, 1],
    ];
    for (const [i, [roc, sequence]] of order.entries()) {
      expect(feed(core, sender.rtp({ ...(i === 0 ? full : short), roc, sequence, isn: 65_000 }))).toBe(BOTH);
    }
    expect(feed(core, sender.rtp({ ...short, roc: 0, sequence: 65_535 }))).toBe('replayed');
    expect(feed(core, sender.rtp({ ...full, roc: 0, sequence: 65_532, isn: 65_000 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...full, roc: 1, sequence: 3 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, roc: 1, sequence: 4 }))).toBe(BOTH);
  });

  it('jumps with a Full tag after a long loss, and a ROC once known is never lowered', () => {
    const { core, sender } = room();
    expect(feed(core, sender.rtp({ ...full, roc: 5, sequence: 100 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...full, roc: 7, sequence: 50 }))).toBe(BOTH);
    for (const roc of [0, 5, 6]) expect(feed(core, sender.rtp({ ...full, roc, sequence: 200 }))).toBe('too_old');
    expect(feed(core, sender.rtp({ ...short, roc: 7, sequence: 51 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, roc: 6, sequence: 52 }))).toBe('auth_failed');
  });

  it('a packet from before the first one of a stream is too old', () => {
    const { core, sender } = room();
    expect(feed(core, sender.rtp({ ...full, sequence: 5, isn: 5 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 65_000 }))).toBe('too_old');
  });

  it('with a ROC from media RTCP only: it, one more and one less are tried', () => {
    for (const [roc, expected] of [
      [5, BOTH],
      [6, BOTH],
      [4, BOTH],
      [3, 'auth_failed'],
      [7, 'auth_failed'],
    ] as const) {
      const { core, sender } = room();
      expect(feed(core, sender.rtcp({ roc: 5, isn: 0 }))).toBe(BOTH);
      expect(feed(core, sender.rtp({ ...short, roc, sequence: 300 }))).toBe(expected);
    }
  });

  it('a Full tag below a ROC from media RTCP is a late packet at most', () => {
    const { core, sender } = room();
    expect(feed(core, sender.rtcp({ roc: 5, isn: 0 }))).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...full, roc: 3, sequence: 300 }))).toBe('too_old');
  });
});

describe('a new sender key', () => {
  const rekeyed = () => {
    const made = room();
    const next = new TestSender(0xa1, bytesOf(9, 16), made.set);
    expect(feed(made.core, made.sender.rtp({ ...full, sequence: 100, isn: 100 }))).toBe(BOTH);
    expect(feed(made.core, made.sender.rtp({ ...short, sequence: 101 }))).toBe(BOTH);
    return { ...made, next };
  };

  it('comes with a Full packet; the old one serves what is late for 2 s, and only below the change', () => {
    const { core, sender, next } = rekeyed();
    expect(feed(core, next.rtp({ ...full, sequence: 110, isn: 110 }), 5_000)).toBe(BOTH);
    expect(feed(core, next.rtp({ ...short, sequence: 111 }), 5_000)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 105 }), 6_999)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...full, sequence: 106, isn: 100 }), 6_999)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 112 }), 6_999)).toBe('auth_failed');
    expect(feed(core, sender.rtp({ ...full, sequence: 112, isn: 100 }), 6_999)).toBe('too_old');
    expect(feed(core, sender.rtp({ ...short, sequence: 107 }), 7_000)).toBe('auth_failed');
    core.tick(7_001);
    expect(feed(core, sender.rtp({ ...full, sequence: 108, isn: 100 }), 7_001)).toBe('too_old');
    expect(feed(core, next.rtp({ ...short, sequence: 113 }), 7_001)).toBe(BOTH);
  });

  it('does not open the window for what was seen under the old one', () => {
    const { core, sender, next } = rekeyed();
    const seen = sender.rtp({ ...short, sequence: 105 });
    expect(feed(core, seen)).toBe(BOTH);
    expect(feed(core, next.rtp({ ...full, sequence: 110, isn: 110 }))).toBe(BOTH);
    expect(feed(core, seen)).toBe('replayed');
  });

  it('an old key held back does not come into force again: Full packet and media RTCP', () => {
    const { core, sender, next } = rekeyed();
    expect(feed(core, next.rtp({ ...full, sequence: 110, isn: 110 }), 0)).toBe(BOTH);
    const third = new TestSender(0xa1, bytesOf(10, 16), next.set);
    expect(feed(core, third.rtp({ ...full, sequence: 120, isn: 120 }), 0)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...full, sequence: 109, isn: 100 }), 1)).toBe('too_old');
    expect(feed(core, sender.rtcp({ isn: 100 }), 1)).toBe('too_old');
    expect(feed(core, third.rtp({ ...short, sequence: 121 }), 1)).toBe(BOTH);
  });

  it('announced by media RTCP with its ISN ahead, comes into force there', () => {
    const { core, sender, next } = rekeyed();
    expect(feed(core, next.rtcp({ isn: 110, index: 50 }))).toBe(BOTH);
    expect(feed(core, next.rtp({ ...short, sequence: 109 }))).toBe('auth_failed');
    // However long it takes to get there: the key in force is not the replaced one yet.
    expect(feed(core, sender.rtp({ ...short, sequence: 109 }), 60_000)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 110 }), 60_000)).toBe('auth_failed');
    expect(feed(core, next.rtp({ ...short, sequence: 112 }), 60_000)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 108 }), 61_999)).toBe(BOTH);
    expect(feed(core, sender.rtp({ ...short, sequence: 107 }), 62_000)).toBe('auth_failed');
    expect(feed(core, next.rtp({ ...short, sequence: 111 }), 62_000)).toBe(BOTH);
  });

  it('never resets the SRTCP index', () => {
    const { core, sender, next } = rekeyed();
    expect(feed(core, sender.rtcp({ isn: 100, index: 40 }))).toBe(BOTH);
    expect(feed(core, next.rtcp({ isn: 110, index: 40 }))).toBe('replayed');
    expect(feed(core, next.rtcp({ isn: 110, index: 41 }))).toBe(BOTH);
    expect(feed(core, next.rtcp({ full: false, index: 42 }))).toBe(BOTH);
    expect(feed(core, next.rtcp({ full: false, index: 42 }))).toBe('replayed');
  });
});

describe('a newer set', () => {
  const resettled = () => {
    const made = room();
    const newer = testSet(0x2001);
    expect(feed(made.core, made.sender.rtp({ ...full, roc: 3, sequence: 100, isn: 100 }))).toBe(BOTH);
    installSet(made.core, newer, [1, 2]);
    return { ...made, newer, again: new TestSender(0xa1, bytesOf(9, 16), newer) };
  };

  it('reaches only those that acknowledged it, and each key goes by its own set', () => {
    const { core, sender, again } = resettled();
    expect(feed(core, again.rtp({ ...full, roc: 3, sequence: 110, isn: 110 }))).toBe('to 2');
    expect(core.channelCounters(3)?.drops.set_not_installed).toBe(1);
    expect(feed(core, sender.rtp({ ...short, roc: 3, sequence: 105 }))).toBe(BOTH);
    core.setAcked(3, 0x2001);
    expect(feed(core, again.rtp({ ...short, roc: 3, sequence: 111 }))).toBe(BOTH);
    expect(feed(core, again.rtcp({ roc: 3, isn: 110 }))).toBe(BOTH);
  });

  it('lets a sender begin again with a lower index, which its older set does not', () => {
    const { core, sender, again } = resettled();
    expect(feed(core, sender.rtp({ ...full, roc: 0, sequence: 7, isn: 7 }))).toBe('too_old');
    expect(feed(core, again.rtp({ ...full, roc: 0, sequence: 7, isn: 7 }))).toBe('to 2');
    expect(feed(core, again.rtp({ ...short, roc: 0, sequence: 8 }))).toBe('to 2');
    expect(feed(core, again.rtp({ ...full, roc: 0, sequence: 7, isn: 7 }))).toBe('replayed');
    expect(feed(core, sender.rtp({ ...full, roc: 3, sequence: 101, isn: 100 }))).toBe('unknown_spi');
  });

  it('does not let in again what was seen under the older one when the index runs on', () => {
    const { core, sender, again } = resettled();
    const seen = sender.rtp({ ...short, roc: 3, sequence: 101 });
    expect(feed(core, seen)).toBe(BOTH);
    expect(feed(core, again.rtp({ ...full, roc: 3, sequence: 110, isn: 110 }))).toBe('to 2');
    expect(feed(core, seen)).toBe('replayed');
  });

  it('refuses a key under the older set once the stream has moved on', () => {
    const { core, set, again } = resettled();
    expect(feed(core, again.rtp({ ...full, roc: 3, sequence: 110, isn: 110 }))).toBe('to 2');
    const old = new TestSender(0xa1, bytesOf(11, 16), set);
    expect(feed(core, old.rtp({ ...full, roc: 3, sequence: 120, isn: 120 }))).toBe('unknown_spi');
    expect(feed(core, old.rtcp({ roc: 3, isn: 120 }))).toBe('unknown_spi');
  });

  it('begun again by media RTCP drops the index, not the SRTCP list', () => {
    const { core, sender, again } = resettled();
    expect(feed(core, sender.rtcp({ roc: 3, isn: 100, index: 9 }))).toBe(BOTH);
    expect(feed(core, again.rtcp({ roc: 0, isn: 5, index: 9 }))).toBe('replayed');
    expect(feed(core, again.rtcp({ roc: 0, isn: 5, index: 10 }))).toBe('to 2');
    expect(feed(core, again.rtp({ ...short, roc: 0, sequence: 6 }))).toBe('to 2');
  });

  it('must rise: an SPI used before, a lower one, a fifth live one and unknown suites are refused', () => {
    const { core } = room();
    const refusedSet = (spiWord: number): boolean => {
      const before = core.stateHash();
      installSet(core, testSet(spiWord), []);
      const known = core.setAcked(1, spiWord);
      if (!known) expect(core.stateHash()).toBe(before);
      return !known;
    };
    expect(refusedSet(0x1233)).toBe(true);
    for (const spiWord of [0x1237, 0x1239, 0x123b]) expect(refusedSet(spiWord)).toBe(false);
    expect(refusedSet(0x123d)).toBe(true);
    core.dropSet(CONFERENCE, 0x1237);
    expect(refusedSet(0x1237)).toBe(true);
    expect(refusedSet(0x123d)).toBe(false);
  });
});
