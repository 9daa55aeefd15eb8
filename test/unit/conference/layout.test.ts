import { describe, expect, it } from 'vitest';
import type { Edge } from '../../../src/conference/contract.js';
import {
  type ForwardedAudio,
  indexSources,
  layoutAudio,
  layoutSegment,
  layoutSite,
  placesOf,
  sameEdges,
  type VideoSource,
} from '../../../src/conference/layout.js';
import { channelOf, positionOf, type SourceKey, sourceKey } from '../../../src/conference/speaker.js';
import { seeded } from './helpers.js';

const PLACE = ['', 'center', 'left', 'right', 'presentation'];
const NAMES = ['', 'Ann', 'Ben', 'Cleo', 'Dan', 'Eve', 'Fay'];
const source = (member: number, cameras: number[], loudestPlace = 1): VideoSource => ({
  member,
  channel: member * 10,
  cameras,
  loudestPlace,
});
const show = (edges: readonly Edge[]) =>
  [2, 1, 3]
    .map((sink) => edges.find((edge) => edge.sink === sink))
    .map((edge) => (edge === undefined ? '-' : `${NAMES[edge.source / 10]} ${PLACE[edge.position]}`))
    .map((cell) => cell.padEnd(12))
    .join('| ')
    .trimEnd();
const shownBy = (edges: readonly Edge[]): Map<number, SourceKey> =>
  new Map(edges.map((edge) => [edge.sink, sourceKey(edge.source, edge.position)]));

/** A story: who is loudest, step by step, and what one receiver (Eve) has on her displays. */
interface Story {
  readonly title: string;
  readonly displays: readonly number[];
  readonly rankings: readonly (readonly VideoSource[])[];
}

const ann = (place = 1) => source(1, [1, 2, 3], place);
const ben = source(2, [1]);
const cleo = source(3, [1]);
const dan = source(4, [1, 2]);
const eve = source(5, [1, 2, 3]);
const STORIES: readonly Story[] = [
  { title: 'nobody else', displays: [1, 2, 3], rankings: [[], [eve]] },
  { title: 'three cameras on three displays', displays: [1, 2, 3], rankings: [[ann(), ben]] },
  {
    title: 'three cameras on one display: where the talker is',
    displays: [1],
    rankings: [[ann()], [ann(2)], [ann(3), ben], [ben, ann(3)]],
  },
  {
    title: 'one camera on three displays: center; the sides keep what they show',
    displays: [1, 2, 3],
    rankings: [
      [ann(), ben, cleo],
      [ben, ann(), cleo],
      [cleo, ben, ann()],
      [ben, cleo],
      [ann(), ben, cleo],
    ],
  },
  {
    title: 'three single cameras: whoever moves to center leaves a side to the speaker before',
    displays: [1, 2, 3],
    rankings: [
      [ben, cleo, source(1, [1])],
      [cleo, ben, source(1, [1])],
      [source(1, [1]), cleo, ben],
    ],
  },
  { title: 'two cameras on three displays', displays: [1, 2, 3], rankings: [[dan, ann(), ben], [dan, ben], [dan]] },
  {
    title: 'two displays',
    displays: [1, 3],
    rankings: [
      [ann(), ben],
      [dan, ben],
      [ben, ann(2)],
    ],
  },
  { title: 'a display that is not at center', displays: [2], rankings: [[ann(3)], [ben]] },
  { title: 'no display', displays: [], rankings: [[ann()]] },
  { title: 'the loudest sees the one before', displays: [1, 2, 3], rankings: [[eve, ben, ann()]] },
  { title: 'cameras without a display of their place', displays: [2, 3], rankings: [[source(1, [1, 4]), ben]] },
];

describe('site switching', () => {
  it('the golden layout', async () => {
    const lines: string[] = [];
    for (const { title, displays, rankings } of STORIES) {
      lines.push(`== ${title}`, `   ${'loudest first'.padEnd(32)}   left        | center      | right`);
      let shown = new Map<number, SourceKey>();
      for (const ranking of rankings) {
        const edges = layoutSite({ member: 5, channel: 50, displays, shown }, indexSources(ranking));
        shown = shownBy(edges);
        const who = ranking.map((s) => `${NAMES[s.member]}(${s.cameras.length})`).join(' ');
        lines.push(`   ${who.padEnd(32)} : ${show(edges)}`);
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/layout.txt');
  });

  it('is total: no display twice, no camera twice, never itself, only what there is, nothing free while there is a source', () => {
    const random = seeded(11);
    for (let round = 0; round < 3_000; round++) {
      const ranking = [1, 2, 3, 4, 5]
        .filter(() => random.next() < 0.6)
        .sort(() => random.next() - 0.5)
        .map((m) => source(m, placesOf(1 + random.int(15) * 2 || 2), 1 + random.int(3)))
        .filter((s) => s.cameras.length > 0);
      const displays = placesOf(random.int(8) * 2);
      const shown = new Map(displays.map((d) => [d, sourceKey(10 * (1 + random.int(6)), 1 + random.int(3))]));
      const receiver = { member: 5, channel: 50, displays, shown };
      const edges = layoutSite(receiver, indexSources(ranking));
      expect(layoutSite(receiver, indexSources(ranking))).toEqual(edges);
      const keys = edges.map((edge) => sourceKey(edge.source, edge.position));
      expect(new Set(keys).size).toBe(keys.length);
      expect(edges.map((edge) => edge.sink)).toEqual([...new Set(edges.map((edge) => edge.sink))].sort());
      for (const [i, key] of keys.entries()) {
        const from = ranking.find((s) => s.channel === channelOf(key));
        expect(from?.member).not.toBe(5);
        expect(from?.cameras).toContain(positionOf(key));
        expect(displays).toContain(edges[i]!.sink);
      }
      const others = ranking.filter((s) => s.member !== 5);
      if (others.length > 0 && displays.length > 0) expect(keys.map(channelOf)).toContain(others[0]!.channel);
      expect(edges.length).toBeGreaterThanOrEqual(Math.min(displays.length, others.length));
    }
  });
});

/** Who is loudest at each place; cameras as in the names. */
interface SegmentStory {
  readonly title: string;
  readonly displays: readonly number[];
  readonly steps: readonly {
    readonly ranking: readonly VideoSource[];
    readonly floors: Readonly<Record<number, readonly number[]>>;
  }[];
}
const SEGMENTS: readonly SegmentStory[] = [
  {
    title: 'three rooms: each display the loudest of its own place',
    displays: [1, 2, 3],
    steps: [
      { ranking: [ann(), source(6, [1, 2, 3])], floors: { 1: [1, 6], 2: [6, 1], 3: [1, 6] } },
      { ranking: [source(6, [1, 2, 3]), ann()], floors: { 1: [6, 1], 2: [6, 1], 3: [1, 6] } },
    ],
  },
  {
    title: 'one camera among rooms: at center when it is the loudest there, never on a side',
    displays: [1, 2, 3],
    steps: [
      { ranking: [ann(), ben], floors: { 1: [1, 2], 2: [1], 3: [1] } },
      { ranking: [ben, ann()], floors: { 1: [2, 1], 2: [1], 3: [1] } },
    ],
  },
  {
    title: 'single cameras only: center by loudness, the sides keep earlier speakers',
    displays: [1, 2, 3],
    steps: [
      { ranking: [ben, cleo], floors: { 1: [2, 3] } },
      { ranking: [cleo, ben], floors: { 1: [3, 2] } },
      { ranking: [source(6, [1]), cleo, ben], floors: { 1: [6, 3, 2] } },
    ],
  },
  {
    title: 'a room on one display: the loudest camera of the loudest endpoint',
    displays: [1],
    steps: [
      { ranking: [ann(2), ben], floors: { 1: [2, 1], 2: [1], 3: [1] } },
      { ranking: [ben, ann(2)], floors: { 1: [2, 1], 2: [1], 3: [1] } },
    ],
  },
  {
    title: 'the receiver itself is the loudest at a place: it sees the one before',
    displays: [1, 2, 3],
    steps: [{ ranking: [eve, ann(), ben], floors: { 1: [5, 2, 1], 2: [5, 1], 3: [1, 5] } }],
  },
  {
    title: 'two cameras, two displays',
    displays: [1, 3],
    steps: [{ ranking: [dan, ann()], floors: { 1: [4, 1], 2: [4, 1], 3: [1] } }],
  },
  { title: 'nobody else', displays: [1, 2, 3], steps: [{ ranking: [eve], floors: { 1: [5], 2: [5], 3: [5] } }] },
];

describe('segment switching', () => {
  it('the golden layout', async () => {
    const lines: string[] = [];
    for (const { title, displays, steps } of SEGMENTS) {
      lines.push(`== ${title}`, `   ${'loudest left, center, right'.padEnd(36)}   left        | center      | right`);
      let shown = new Map<number, SourceKey>();
      for (const { ranking, floors } of steps) {
        const at = new Map(Object.entries(floors).map(([place, members]) => [Number(place), members]));
        const edges = layoutSegment({ member: 5, channel: 50, displays, shown }, indexSources(ranking), at);
        shown = shownBy(edges);
        const who = [2, 1, 3].map((place) => (floors[place] ?? []).map((m) => NAMES[m]).join(' ') || '-').join(', ');
        lines.push(`   ${who.padEnd(36)} : ${show(edges)}`);
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/layout-segment.txt');
  });

  it('is total as well: no display twice, no camera twice, never itself', () => {
    const random = seeded(12);
    for (let round = 0; round < 3_000; round++) {
      const ranking = [1, 2, 3, 4, 5]
        .filter(() => random.next() < 0.6)
        .map((m) => source(m, placesOf(1 + random.int(15) * 2 || 2), 1 + random.int(3)))
        .filter((s) => s.cameras.length > 0);
      const floors = new Map(
        [1, 2, 3].map((place) => [
          place,
          ranking
            .filter((s) => s.cameras.includes(place))
            .map((s) => s.member)
            .sort(() => random.next() - 0.5),
        ]),
      );
      const displays = placesOf(random.int(8) * 2);
      const shown = new Map(displays.map((d) => [d, sourceKey(10 * (1 + random.int(6)), 1 + random.int(3))]));
      const edges = layoutSegment({ member: 5, channel: 50, displays, shown }, indexSources(ranking), floors);
      const keys = edges.map((edge) => sourceKey(edge.source, edge.position));
      expect(new Set(keys).size).toBe(keys.length);
      expect(new Set(edges.map((edge) => edge.sink)).size).toBe(edges.length);
      for (const edge of edges) {
        const from = ranking.find((s) => s.channel === edge.source);
        expect(from?.member).not.toBe(5);
        expect(from?.cameras).toContain(edge.position);
        if (displays.length < 2) continue;
        const loudest = floors.get(edge.sink)?.find((member) => member !== 5);
        if (loudest !== undefined) expect([edge.source, edge.position]).toEqual([loudest * 10, edge.sink]);
      }
    }
  });
});

describe('audio', () => {
  const heard: readonly ForwardedAudio[] = [
    { member: 1, channel: 10, position: 1 },
    { member: 1, channel: 10, position: 3 },
    { member: 2, channel: 20, position: 2 },
    { member: 3, channel: 30, position: 4 },
  ];
  const sinks = (member: number, receiveMask: number) =>
    layoutAudio({ member, channel: member * 10, receiveMask }, heard).map((e) => `${e.source}.${e.position}>${e.sink}`);

  it('keeps the place where the receiver has it, else center', () => {
    expect(sinks(5, 0b11110)).toEqual(['10.1>1', '20.2>2', '10.3>3', '30.4>4']);
    expect(sinks(5, 0b00010)).toEqual(['10.1>1', '10.3>1', '20.2>1', '30.4>1']);
    expect(sinks(5, 0b01010)).toEqual(['10.1>1', '20.2>1', '30.4>1', '10.3>3']);
  });

  it('without a center, the first place there is; without any place, nothing (position 0 is none)', () => {
    expect(sinks(5, 0b01100)).toEqual(['10.1>2', '20.2>2', '30.4>2', '10.3>3']);
    expect(sinks(5, 0b00001)).toEqual([]);
  });

  it('nobody hears itself', () => {
    expect(sinks(1, 0b11110)).toEqual(['20.2>2', '30.4>4']);
    expect(sinks(3, 0b11110)).toEqual(['10.1>1', '20.2>2', '10.3>3']);
  });
});

describe('plans', () => {
  it('are the same only when every edge is', () => {
    const edge: Edge = { source: 1, position: 1, receiver: 2, sink: 1 };
    expect(sameEdges([edge], [{ ...edge }])).toBe(true);
    expect(sameEdges([edge], [])).toBe(false);
    for (const key of ['source', 'position', 'receiver', 'sink'] as const) {
      expect(sameEdges([edge], [{ ...edge, [key]: 9 }])).toBe(false);
    }
  });
});
