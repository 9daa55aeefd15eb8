import { describe, expect, it } from 'vitest';
import { MAX_LIVE_SETS, MAX_REMEMBERED_FINGERPRINTS, MIN_SET_INTERVAL_MS } from '../../../src/base/limits.js';
import type { Effect } from '../../../src/conference/contract.js';
import {
  ackSet,
  addTaker,
  awaitsAck,
  type GroupSets,
  LAST_SPI_WORD,
  NO_SETS,
  removeTakers,
  type SetEffect,
  type SetStep,
  setsDeadline,
  settle,
} from '../../../src/conference/sets.js';
import { Driver, ofType } from './helpers.js';

/** Effects in short: `make 1`, `send 1>7`, `drop 1`. */
const short = (effects: readonly SetEffect[]) =>
  effects.map((effect) =>
    effect.type === 'send-set'
      ? `send ${effect.spiWord}>${effect.channel}`
      : `${effect.type.slice(0, 4)} ${effect.spiWord}`,
  );

class Keys {
  sets: GroupSets = NO_SETS;
  now = 0;
  #take(step: SetStep): string[] {
    this.sets = step.sets;
    return short(step.effects);
  }
  add(channel: number, fingerprint = `certificate ${channel}`) {
    return this.#take(addTaker(this.sets, channel, fingerprint, this.now));
  }
  remove(channels: number[], replaced = false) {
    return this.#take(removeTakers(this.sets, channels, replaced ? 'replaced' : 'left', this.now));
  }
  ack(channel: number, spiWord: number) {
    const step = ackSet(this.sets, channel, spiWord, this.now);
    return step === undefined ? 'refused' : this.#take(step);
  }
  at(now: number) {
    this.now = now;
    return this.#take(settle(this.sets, now));
  }
}

/** Channels 1, 2 and 3 have set 1, made at 0. */
function three(): Keys {
  const keys = new Keys();
  for (const channel of [1, 2, 3]) {
    keys.add(channel);
    keys.ack(channel, 1);
  }
  return keys;
}

describe('group parameter sets (WIRE.md 10)', () => {
  it('the first taker makes the first set; joiners get the newest there is', () => {
    const keys = new Keys();
    expect(keys.add(1)).toEqual(['make 1', 'send 1>1']);
    keys.now = 60_000;
    expect(keys.add(2)).toEqual(['send 1>2']);
    expect(setsDeadline(keys.sets)).toBeUndefined();
  });

  it('attack: a member that left goes on reading - a new set goes to all who stay', () => {
    const keys = three();
    keys.now = 20_000;
    expect(keys.remove([3])).toEqual(['make 3', 'send 3>1', 'send 3>2']);
    expect(keys.ack(1, 3)).toEqual([]);
    keys.now = 20_400;
    expect(keys.ack(2, 3)).toEqual([]);
    expect(setsDeadline(keys.sets)).toBe(25_400);
    expect(keys.at(25_399)).toEqual([]);
    expect(keys.at(25_400)).toEqual(['drop 1']);
  });

  it('attack: a member that left goes on reading because somebody never ACKs - the old set ends 15 s after SPIMAP', () => {
    const keys = three();
    keys.now = 20_000;
    keys.remove([3]);
    keys.ack(1, 3);
    expect(keys.at(34_999)).toEqual([]);
    expect(keys.at(35_000)).toEqual(['drop 1']);
  });

  it('attack: joining and leaving in a hurry - sets are 15 s apart, and every leaver is covered by the next', () => {
    const keys = three();
    keys.now = 1_000;
    expect(keys.remove([3])).toEqual([]);
    expect(setsDeadline(keys.sets)).toBe(MIN_SET_INTERVAL_MS);
    keys.now = 2_000;
    expect(keys.add(4)).toEqual(['send 1>4']);
    expect(keys.remove([4])).toEqual([]);
    expect(keys.at(14_999)).toEqual([]);
    expect(keys.at(15_000)).toEqual(['make 3', 'send 3>1', 'send 3>2']);
    expect(keys.sets.rekeyWanted).toBe(false);
  });

  it('all channels of a leaver go at once: none of them is sent the set that shuts it out', () => {
    const keys = three();
    keys.now = 20_000;
    expect(keys.remove([2, 3])).toEqual(['make 3', 'send 3>1']);
  });

  it('who never had a set leaves without a rekey', () => {
    const keys = three();
    keys.now = 20_000;
    expect(keys.remove([99])).toEqual([]);
    expect(keys.sets.rekeyWanted).toBe(false);
  });

  it('an old set ends at the time that its first successor set, though a second follows', () => {
    const keys = three();
    keys.now = 20_000;
    keys.remove([3]);
    keys.ack(1, 3);
    keys.now = 34_000;
    keys.add(4);
    keys.now = 34_500;
    keys.remove([4]);
    expect(keys.at(35_000)).toEqual(['drop 1', 'make 5', 'send 5>1', 'send 5>2']);
    expect(keys.at(50_000)).toEqual(['drop 3']);
  });

  it('a leaver that has not ACKed keeps the old set alive no longer than those who stay do', () => {
    const keys = three();
    keys.add(4);
    keys.ack(4, 1);
    keys.now = 20_000;
    keys.remove([3]);
    keys.ack(1, 3);
    keys.ack(2, 3);
    keys.now = 21_000;
    keys.remove([4]);
    expect(setsDeadline(keys.sets)).toBe(26_000);
    expect(keys.at(26_000)).toEqual(['drop 1']);
  });

  it('an ACK counts once, for a set that was sent there and lives; a newer one stands for the older', () => {
    const keys = three();
    expect(keys.ack(1, 1)).toBe('refused');
    expect(keys.ack(9, 1)).toBe('refused');
    expect(keys.ack(1, 3)).toBe('refused');
    keys.now = 20_000;
    keys.remove([3]);
    keys.now = 36_000;
    keys.at(36_000);
    keys.remove([2]);
    expect(awaitsAck(keys.sets, 1)).toBe(true);
    expect(keys.ack(1, 5)).toEqual([]);
    expect(keys.ack(1, 3)).toBe('refused');
    expect(awaitsAck(keys.sets, 1)).toBe(false);
  });

  it('when nobody holds a set any more, all end, and the next taker gets a new one', () => {
    const keys = three();
    keys.now = 1_000;
    expect(keys.remove([1, 2, 3])).toEqual(['drop 1']);
    expect(keys.add(4)).toEqual(['make 3', 'send 3>4']);
  });

  it('a returning endpoint gets a set made after its old channel closed, at once', () => {
    const keys = three();
    keys.now = 1_000;
    keys.remove([3]);
    keys.now = 2_000;
    expect(keys.add(30, 'certificate 3')).toEqual(['make 3', 'send 3>1', 'send 3>2', 'send 3>30']);
    keys.now = 3_000;
    expect(keys.add(31, 'certificate 3')).toEqual(['send 3>31']);
  });

  it('a call that replaces an old one of the same certificate gets a newer set when the old one has closed', () => {
    const keys = three();
    keys.now = 1_000;
    expect(keys.add(30, 'certificate 3')).toEqual(['send 1>30']);
    keys.now = 1_100;
    expect(keys.remove([3], true)).toEqual(['make 3', 'send 3>1', 'send 3>2', 'send 3>30']);
  });

  it('calls that share a certificate (a gateway) are not returning when one of them hangs up', () => {
    const keys = three();
    keys.add(30, 'certificate 3');
    keys.now = 1_100;
    expect(keys.remove([3])).toEqual([]);
    expect(setsDeadline(keys.sets)).toBe(MIN_SET_INTERVAL_MS);
  });

  it('attack: a returning endpoint floods the others with sets - at most 4 are alive, then it waits for a place', () => {
    const keys = three();
    const made: string[] = [];
    for (let call = 0; call < 8; call++) {
      keys.now += 100;
      keys.remove([3 + call]);
      made.push(...keys.add(4 + call, 'certificate 3').filter((effect) => effect.startsWith('make')));
      expect(keys.sets.live.length).toBeLessThanOrEqual(MAX_LIVE_SETS);
    }
    expect(made).toEqual(['make 3', 'make 5', 'make 7']);
    const waiting = [...keys.sets.takers].filter(([, taker]) => taker.needsNewer).map(([id]) => id);
    expect(waiting).toEqual([11]);
    expect(keys.at(setsDeadline(keys.sets)!)).toEqual(['drop 1', 'make 9', 'send 9>1', 'send 9>2', 'send 9>11']);
  });

  it('remembers a bounded number of certificates', () => {
    const keys = three();
    for (let i = 0; i < MAX_REMEMBERED_FINGERPRINTS + 10; i++) {
      keys.add(100 + i);
      keys.remove([100 + i]);
    }
    expect(keys.sets.departed).toHaveLength(MAX_REMEMBERED_FINGERPRINTS);
    expect(keys.sets.departed.at(-1)).toBe(`certificate ${100 + MAX_REMEMBERED_FINGERPRINTS + 9}`);
  });

  it('SPI words are odd, rise, and are never used twice; when they are used up no old one comes again', () => {
    let sets = NO_SETS;
    let last = -1;
    for (let round = 0; ; round++) {
      const step = addTaker(sets, 1, 'certificate', round);
      if (step.exhausted) break;
      const spiWord = step.sets.lastSpiWord;
      if (spiWord % 2 !== 1 || spiWord <= last) expect.fail(`SPI word ${spiWord} after ${last}`);
      last = spiWord;
      sets = removeTakers(step.sets, [1], 'left', round).sets;
    }
    expect(last).toBe(LAST_SPI_WORD);
  });
});

describe('rekeying without a leave (WIRE.md 10)', () => {
  const made = (effects: readonly Effect[]) => ofType(effects, 'make-set').map((effect) => effect.spiWord);

  it('on request: a new set for everybody, 15 s after the last one at the earliest', () => {
    const d = new Driver();
    expect(made(d.send({ type: 'rekey' }))).toEqual([]);
    d.enter(1);
    d.enter(2);
    d.advance(MIN_SET_INTERVAL_MS);
    const effects = d.send({ type: 'rekey' });
    expect(made(effects)).toEqual([3]);
    expect(ofType(effects, 'send-set').map((effect) => effect.channel)).toEqual([11, 12, 21, 22]);
    d.ackEverything();
    expect(made(d.send({ type: 'rekey' }))).toEqual([]);
    expect(made(d.advance(MIN_SET_INTERVAL_MS - 1))).toEqual([]);
    expect(made(d.advance(1))).toEqual([5]);
  });

  it('by age, again and again; not at all where no age is given', () => {
    const d = new Driver({ rekeyAfterMs: 60_000 });
    const forever = new Driver();
    for (const each of [d, forever]) {
      each.enter(1);
      each.enter(2);
    }
    const seen: number[] = [];
    for (let minute = 0; minute < 3; minute++) {
      seen.push(...made(d.advance(60_000)));
      d.ackEverything();
    }
    expect(seen).toEqual([3, 5, 7]);
    expect(made(forever.advance(24 * 3_600_000))).toEqual([]);
  });
});
