/**
 * Who is loud (REQUIREMENTS S1, S2). Reports of the relay are smoothed a source; three elections follow, all with the same
 * hysteresis: the loudest audio sources of the conference, the loudest endpoint, and the loudest place within an endpoint.
 * Pure: time comes in, nothing is kept outside the state.
 */
import type { ChannelId, MemberId } from '../base/ids.js';
import {
  ACTIVITY_STALE_MS,
  AUDIO_HOLD_MS,
  ENERGY_ATTACK,
  ENERGY_DECAY,
  ENERGY_OF_PACKETS_MAX,
  ENERGY_PER_PACKET,
  LOUDEST_AUDIO_SOURCES,
  SPEECH_ENERGY,
  SPEECH_MARGIN,
  VIDEO_HOLD_MS,
} from '../base/limits.js';

/** Places that take part (WIRE.md 8): 1 center, 2 left, 3 right. */
export const SPEAKING_POSITIONS: readonly number[] = [1, 2, 3];
/** Audio of a presentation: always forwarded, never takes part (S1). */
export const PRESENTATION_POSITION = 4;

/** Channel and position in one number. */
export type SourceKey = number;

export function sourceKey(channel: ChannelId, position: number): SourceKey {
  return channel * 16 + position;
}

export function channelOf(key: SourceKey): ChannelId {
  return Math.floor(key / 16);
}

export function positionOf(key: SourceKey): number {
  return key % 16;
}

/** What the relay measured on one source over one interval. */
export interface ActivityReport {
  readonly channel: ChannelId;
  readonly position: number;
  /** 0 (silence) to 100, the highest of the interval; -1: the stream has no energy byte. */
  readonly energy: number;
  readonly packets: number;
}

export interface SpeakerParameters {
  /** Share (0-1] of the way towards a louder report, and towards a softer one. */
  readonly attack: number;
  readonly decay: number;
  /** Smoothed energy below which nobody speaks. */
  readonly speechEnergy: number;
  /** By how much smoothed energy a challenger must exceed whom it replaces, and for how long. */
  readonly margin: number;
  readonly audioHoldMs: number;
  readonly videoHoldMs: number;
  /** How many audio sources everybody hears. */
  readonly audioSources: number;
}

export const DEFAULT_SPEAKER_PARAMETERS: SpeakerParameters = {
  attack: ENERGY_ATTACK,
  decay: ENERGY_DECAY,
  speechEnergy: SPEECH_ENERGY,
  margin: SPEECH_MARGIN,
  audioHoldMs: AUDIO_HOLD_MS,
  videoHoldMs: VIDEO_HOLD_MS,
  audioSources: LOUDEST_AUDIO_SOURCES,
};

/** Seats, and since when (ms) each challenger has been loud enough for one. */
export interface Election<K> {
  readonly incumbents: readonly K[];
  readonly since: ReadonlyMap<K, number>;
}

/** Who has the floor: of the whole conference, or of one place (segment switching). */
export interface Floor {
  /** Since when each challenger has been louder than the speaker. */
  readonly speaking: ReadonlyMap<MemberId, number>;
  /** Who has been the speaker and spoke, the latest first. */
  readonly spoken: readonly MemberId[];
  /** Everybody: the speaker first, then earlier speakers, then by joining. */
  readonly ranking: readonly MemberId[];
}

export interface SpeakerState extends Floor {
  readonly loudness: ReadonlyMap<SourceKey, Loudness>;
  /** The audio sources that everybody hears. */
  readonly audio: Election<SourceKey>;
  /** The loudest place of each endpoint that has several. */
  readonly places: ReadonlyMap<MemberId, Election<number>>;
  /** The floor of each camera place; only while segments are switched (S2). */
  readonly segments: ReadonlyMap<number, Floor>;
}

export interface Loudness {
  /** Smoothed, 0 to 100. */
  readonly energy: number;
  /** As last reported, 0 to 100. */
  readonly latest: number;
  readonly atMs: number;
}

export const SILENT: SpeakerState = {
  loudness: new Map(),
  audio: { incumbents: [], since: new Map() },
  speaking: new Map(),
  spoken: [],
  ranking: [],
  places: new Map(),
  segments: new Map(),
};
const NO_FLOOR: Floor = { speaking: new Map(), spoken: [], ranking: [] };

/** A ready member; `positions` are its audio places among {@link SPEAKING_POSITIONS}, none when it has no audio. */
export interface Participant {
  readonly member: MemberId;
  /** Camera places that compete for the displays of the same place; left out: none. */
  readonly cameras?: readonly number[];
  readonly audio: { readonly channel: ChannelId; readonly positions: readonly number[] } | undefined;
}

/** Takes reports in, oldest first. Reports about sources that `known` does not have are dropped. */
export function listen(
  state: SpeakerState,
  reports: readonly ActivityReport[],
  known: ReadonlySet<SourceKey>,
  parameters: SpeakerParameters,
  now: number,
): SpeakerState {
  const loudness = new Map(state.loudness);
  for (const report of reports) {
    const key = sourceKey(report.channel, report.position);
    if (!known.has(key)) continue;
    const measured =
      report.energy >= 0
        ? Math.min(100, report.energy)
        : Math.min(ENERGY_OF_PACKETS_MAX, Math.max(0, report.packets) * ENERGY_PER_PACKET);
    const before = loudnessAt(state.loudness, key, now).energy;
    const share = measured > before ? parameters.attack : parameters.decay;
    loudness.set(key, { energy: before + (measured - before) * share, latest: measured, atMs: now });
  }
  return { ...state, loudness };
}

/**
 * Holds all elections.
 * @param participants the ready members in the order of joining.
 * @param segments also one for each camera place.
 */
export function choose(
  state: SpeakerState,
  participants: readonly Participant[],
  parameters: SpeakerParameters,
  now: number,
  segments = false,
): SpeakerState {
  const sources: Candidate<SourceKey>[] = [];
  const voices = new Map<MemberId, { readonly whole: Loudness; readonly at: ReadonlyMap<number, Loudness> }>();
  const places = new Map<MemberId, Election<number>>();
  for (const { member, audio } of participants) {
    const at = new Map<number, Loudness>();
    for (const position of audio?.positions ?? []) {
      const key = sourceKey(audio!.channel, position);
      const loudness = loudnessAt(state.loudness, key, now);
      sources.push({ key, ...loudness });
      at.set(position, loudness);
    }
    voices.set(member, { whole: [...at.values()].reduce(louder, SILENCE), at });
    if (at.size > 1) {
      const own = [...at].map(([key, loudness]) => ({ key, ...loudness }));
      const before = state.places.get(member) ?? { incumbents: [own[0]!.key], since: new Map() };
      places.set(member, elect(before, own, 1, parameters, parameters.videoHoldMs, now));
    }
  }
  const known = new Set(sources.map((source) => source.key));
  const audio = elect(state.audio, sources, parameters.audioSources, parameters, parameters.audioHoldMs, now);
  const everybody = participants.map(({ member }) => ({ key: member, ...voices.get(member)!.whole }));
  const floors = new Map<number, Floor>();
  for (const place of segments ? SPEAKING_POSITIONS : []) {
    // A camera without a microphone of its own speaks with the voice of its endpoint.
    const candidates = participants
      .filter(({ cameras }) => cameras?.includes(place))
      .map(({ member }) => ({ key: member, ...(voices.get(member)!.at.get(place) ?? voices.get(member)!.whole) }));
    if (candidates.length === 0) continue;
    floors.set(place, takeFloor(state.segments.get(place) ?? NO_FLOOR, candidates, parameters, now));
  }
  return {
    loudness: new Map([...state.loudness].filter(([key]) => known.has(key))),
    audio,
    ...takeFloor(state, everybody, parameters, now),
    places,
    segments: floors,
  };
}

/** @param candidates in the order of joining. */
function takeFloor(
  before: Floor,
  candidates: readonly Candidate<MemberId>[],
  parameters: SpeakerParameters,
  now: number,
): Floor {
  const byMember = new Map(candidates.map((candidate) => [candidate.key, candidate]));
  const joined = candidates.map(({ key }) => key);
  let spoken = before.spoken.filter((member) => byMember.has(member));
  // The speaker is always the first in rank, so a leaving speaker hands over to the one before it, not to background noise.
  const ranked = rank(spoken, joined);
  const { incumbents, since } = elect(
    { incumbents: ranked.slice(0, 1), since: before.speaking },
    ranked.map((key) => byMember.get(key)!),
    1,
    parameters,
    parameters.videoHoldMs,
    now,
  );
  const speaker = incumbents[0];
  if (speaker !== undefined && byMember.get(speaker)!.energy >= parameters.speechEnergy && spoken[0] !== speaker) {
    spoken = [speaker, ...spoken.filter((member) => member !== speaker)];
  }
  return { speaking: since, spoken, ranking: rank(spoken, joined) };
}

export interface Candidate<K> {
  readonly key: K;
  /** Smoothed. */
  readonly energy: number;
  /** As last reported; left out: as smoothed. */
  readonly latest?: number;
}

/**
 * One election with hysteresis. Empty seats go to the loudest at once; a taken seat changes hands only when a challenger
 * that speaks has been louder than the softest incumbent by the margin for `holdMs`, and speaks still: a cough is over by
 * then, whatever the smoothing keeps of it. Equal energies: the earlier candidate.
 */
export function elect<K>(
  before: Election<K>,
  candidates: readonly Candidate<K>[],
  seats: number,
  { speechEnergy, margin }: Pick<SpeakerParameters, 'speechEnergy' | 'margin'>,
  holdMs: number,
  now: number,
): Election<K> {
  const energyOf = new Map(candidates.map(({ key, energy }) => [key, energy]));
  const incumbents = before.incumbents.filter((key) => energyOf.has(key)).slice(0, seats);
  const seated = new Set(incumbents);
  // Array.sort is stable (ECMAScript 2019): ties keep the candidates' order.
  const others = candidates.filter(({ key }) => !seated.has(key)).sort((a, b) => b.energy - a.energy);
  const since = new Map<K, number>();
  for (const { key, energy, latest = energy } of others) {
    if (incumbents.length < seats) {
      incumbents.push(key);
      continue;
    }
    if (energy < speechEnergy) break;
    let softest = 0;
    for (let seat = 1; seat < incumbents.length; seat++) {
      if (energyOf.get(incumbents[seat]!)! <= energyOf.get(incumbents[softest]!)!) softest = seat;
    }
    if (seats === 0 || energy <= energyOf.get(incumbents[softest]!)! + margin) break;
    const start = before.since.get(key) ?? now;
    if (now - start >= holdMs && latest >= speechEnergy) incumbents[softest] = key;
    else since.set(key, start);
  }
  return { incumbents, since };
}

function rank(spoken: readonly MemberId[], joined: readonly MemberId[]): MemberId[] {
  const first = new Set(spoken);
  return [...spoken, ...joined.filter((member) => !first.has(member))];
}

const SILENCE: Loudness = { energy: 0, latest: 0, atMs: Number.NEGATIVE_INFINITY };

function loudnessAt(loudness: SpeakerState['loudness'], key: SourceKey, now: number): Loudness {
  const heard = loudness.get(key);
  return heard === undefined || now - heard.atMs > ACTIVITY_STALE_MS ? SILENCE : heard;
}

function louder(a: Loudness, b: Loudness): Loudness {
  return b.energy > a.energy ? b : a;
}
