import { describe, expect, it } from 'vitest';
import {
  type ActivityReport,
  channelOf,
  choose,
  DEFAULT_SPEAKER_PARAMETERS,
  type Election,
  elect,
  listen,
  type Participant,
  positionOf,
  SILENT,
  type SpeakerState,
  sourceKey,
} from '../../../src/conference/speaker.js';

const RULE = { speechEnergy: 15, margin: 10 };
const vote = (before: Election<string>, energies: Readonly<Record<string, number>>, seats: number, now: number) =>
  elect(
    before,
    Object.entries(energies).map(([key, energy]) => ({ key, energy })),
    seats,
    RULE,
    200,
    now,
  );
const empty: Election<string> = { incumbents: [], since: new Map() };

describe('an election with hysteresis', () => {
  it('fills empty seats with the loudest at once, the earlier of equals first', () => {
    expect(vote(empty, { a: 0, b: 0, c: 7, d: 0 }, 3, 0).incumbents).toEqual(['c', 'a', 'b']);
    expect(vote(empty, { a: 3 }, 3, 0).incumbents).toEqual(['a']);
    expect(vote(empty, { a: 3 }, 0, 0).incumbents).toEqual([]);
  });

  it('changes a seat only after the margin was exceeded for the hold time', () => {
    let e = vote({ ...empty, incumbents: ['a'] }, { a: 20, b: 31 }, 1, 0);
    expect(e).toEqual({ incumbents: ['a'], since: new Map([['b', 0]]) });
    e = vote(e, { a: 20, b: 31 }, 1, 199);
    expect(e.incumbents).toEqual(['a']);
    e = vote(e, { a: 20, b: 31 }, 1, 200);
    expect(e).toEqual({ incumbents: ['b'], since: new Map() });
  });

  it('begins anew when the challenger falls back', () => {
    let e = vote({ ...empty, incumbents: ['a'] }, { a: 20, b: 31 }, 1, 0);
    e = vote(e, { a: 20, b: 30 }, 1, 100);
    expect(e.since.size).toBe(0);
    e = vote(e, { a: 20, b: 31 }, 1, 200);
    expect(e.incumbents).toEqual(['a']);
  });

  it('takes no notice of noise below speech', () => {
    expect(vote({ ...empty, incumbents: ['a'] }, { a: 0, b: 14.9 }, 1, 0).since.size).toBe(0);
    expect(vote({ ...empty, incumbents: ['a'] }, { a: 0, b: 15 }, 1, 0).since.size).toBe(1);
  });

  it('is not won by who is silent again, however much the smoothing keeps', () => {
    const before = { incumbents: ['a'], since: new Map([['b', 0]]) };
    const candidates = (latest: number) => [
      { key: 'a', energy: 0 },
      { key: 'b', energy: 90, latest },
    ];
    expect(elect(before, candidates(14), 1, RULE, 200, 500).incumbents).toEqual(['a']);
    expect(elect(before, candidates(15), 1, RULE, 200, 500).incumbents).toEqual(['b']);
  });

  it('replaces the softest, and two at once if two are due', () => {
    const before = {
      incumbents: ['a', 'b', 'c'],
      since: new Map([
        ['d', 0],
        ['e', 0],
      ] as const),
    };
    expect(vote(before, { a: 50, b: 2, c: 5, d: 60, e: 40 }, 3, 200).incumbents).toEqual(['a', 'd', 'e']);
  });

  it('forgets who is no candidate any more', () => {
    expect(vote({ incumbents: ['a', 'x'], since: new Map([['y', 0]]) }, { a: 0, b: 0 }, 2, 500)).toEqual({
      incumbents: ['a', 'b'],
      since: new Map(),
    });
  });
});

const P = DEFAULT_SPEAKER_PARAMETERS;
const people = (...members: readonly number[]): Participant[] =>
  members.map((member) => ({ member, audio: { channel: member, positions: [1] } }));
const report = (channel: number, energy: number, packets = 5, position = 1): ActivityReport => ({
  channel,
  position,
  energy,
  packets,
});
const energyOf = (state: SpeakerState, channel: number, position = 1) =>
  state.loudness.get(sourceKey(channel, position))?.energy;

function run(state: SpeakerState, who: readonly Participant[], from: number, ms: number, reports: ActivityReport[]) {
  const known = new Set(who.flatMap((p) => (p.audio?.positions ?? []).map((at) => sourceKey(p.audio!.channel, at))));
  let s = state;
  for (let now = from; now < from + ms; now += 100) s = choose(listen(s, reports, known, P, now), who, P, now);
  return s;
}

describe('listening', () => {
  it('rises faster than it falls', () => {
    const known = new Set([sourceKey(1, 1)]);
    let s = listen(SILENT, [report(1, 50)], known, P, 0);
    expect(energyOf(s, 1)).toBeCloseTo(35);
    s = listen(s, [report(1, 0)], known, P, 100);
    expect(energyOf(s, 1)).toBeCloseTo(17.5);
  });

  it('counts packets where there is no energy byte, 100 and no more where a number is out of range', () => {
    const known = new Set([sourceKey(1, 1), sourceKey(2, 1), sourceKey(3, 1)]);
    const s = listen(SILENT, [report(1, -1, 3), report(2, -1, 900), report(3, 4_000)], known, P, 0);
    expect([1, 2, 3].map((channel) => energyOf(s, channel))).toEqual([21, 35, 70]);
  });

  it('takes a source that is no longer reported for silent', () => {
    const known = new Set([sourceKey(1, 1)]);
    const loud = listen(SILENT, [report(1, 100)], known, P, 0);
    expect(energyOf(listen(loud, [report(1, 10)], known, P, 1_000), 1)).toBeCloseTo(7);
  });

  it('drops reports about sources it does not know', () => {
    expect(listen(SILENT, [report(9, 80), report(1, 80, 5, 4)], new Set([sourceKey(1, 1)]), P, 0).loudness.size).toBe(
      0,
    );
  });

  it('keys of sources go there and back', () => {
    const key = sourceKey(0xffff_ffff, 15);
    expect([channelOf(key), positionOf(key)]).toEqual([0xffff_ffff, 15]);
  });
});

describe('choosing', () => {
  it('the first that joined is the speaker until somebody spoke', () => {
    expect(run(SILENT, people(3, 1, 2), 0, 100, []).ranking).toEqual([3, 1, 2]);
    expect(run(SILENT, people(3, 1, 2), 0, 300, [report(1, 60)]).ranking).toEqual([3, 1, 2]);
    expect(run(SILENT, people(3, 1, 2), 0, 400, [report(1, 60)]).ranking).toEqual([1, 3, 2]);
  });

  it('a cough changes nothing', () => {
    const s = run(SILENT, people(1, 2), 0, 300, [report(2, 100)]);
    expect(run(s, people(1, 2), 300, 3_000, [report(2, 0)]).ranking).toEqual([1, 2]);
  });

  it('the ranking remembers who spoke before, the latest first', () => {
    const who = people(1, 2, 3, 4);
    let s = run(SILENT, who, 0, 1_500, [report(3, 60)]);
    s = run(s, who, 1_500, 2_000, [report(4, 60), report(3, 0)]);
    expect(s.ranking).toEqual([4, 3, 1, 2]);
    expect(choose(s, people(1, 2, 3), P, 4_000).ranking).toEqual([3, 1, 2]);
  });

  it('a speaker that leaves hands over to the one before it, not to the loudest noise', () => {
    const who = people(1, 2, 3);
    let s = run(SILENT, who, 0, 1_500, [report(2, 60)]);
    s = run(s, who, 1_500, 2_000, [report(3, 60), report(2, 0)]);
    s = run(s, people(1, 2), 3_500, 100, [report(1, 12), report(2, 0)]);
    expect(s.ranking).toEqual([2, 1]);
  });

  it('everybody is heard while there are no more sources than seats; the fourth needs a voice', () => {
    const who = people(1, 2, 3, 4);
    let s = run(SILENT, who, 0, 100, []);
    expect(s.audio.incumbents.map(channelOf)).toEqual([1, 2, 3]);
    s = run(s, who, 100, 500, [report(1, 60), report(2, 50), report(4, 50)]);
    expect(s.audio.incumbents.map(channelOf)).toEqual([1, 2, 4]);
  });

  it('finds the place of the talker within an endpoint of three', () => {
    const room: Participant = { member: 7, audio: { channel: 70, positions: [1, 2, 3] } };
    let s = run(SILENT, [room], 0, 100, []);
    expect(s.places.get(7)?.incumbents).toEqual([1]);
    s = run(s, [room], 100, 1_500, [report(70, 60, 5, 3), report(70, 20, 5, 2)]);
    expect(s.places.get(7)?.incumbents).toEqual([3]);
    expect(run(s, people(7), 2_000, 100, []).places.size).toBe(0);
  });

  it('keeps nothing about sources that are gone', () => {
    const s = run(SILENT, people(1, 2), 0, 2_000, [report(1, 60), report(2, 90)]);
    const left = choose(s, [], P, 3_000);
    expect(left).toEqual(SILENT);
  });
});
