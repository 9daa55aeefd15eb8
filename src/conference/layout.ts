/**
 * Which source is shown where (REQUIREMENTS S1, S2; positions of WIRE.md 8). Pure; the same input gives the same plan,
 * sorted.
 */
import type { ChannelId, MemberId } from '../base/ids.js';
import type { Edge } from './contract.js';
import { channelOf, PRESENTATION_POSITION, positionOf, type SourceKey, sourceKey } from './speaker.js';

const CENTER = 1;
/** Cameras and displays that take part in switching, center first. */
const PLACES: readonly number[] = [1, 2, 3];

/** The places of a mask (1 << position) that `among` names, in its order. */
export function placesOf(mask: number, among: readonly number[] = PLACES): number[] {
  return among.filter((position) => (mask & (1 << position)) !== 0);
}

export interface VideoSource {
  readonly member: MemberId;
  readonly channel: ChannelId;
  /** Cameras among 1 center, 2 left, 3 right; never empty. */
  readonly cameras: readonly number[];
  /** The place where its talker is, by audio. */
  readonly loudestPlace: number;
}

export interface VideoReceiver {
  readonly member: MemberId;
  readonly channel: ChannelId;
  /** Displays among 1 center, 2 left, 3 right. */
  readonly displays: readonly number[];
  /** What each display shows by the plan so far. */
  readonly shown: ReadonlyMap<number, SourceKey>;
}

/** All video sources of a conference, indexed once for all receivers. */
export interface VideoSources {
  /** The loudest first, then earlier speakers. */
  readonly ranking: readonly VideoSource[];
  readonly owners: ReadonlyMap<SourceKey, MemberId>;
}

export function indexSources(ranking: readonly VideoSource[]): VideoSources {
  const owners = new Map<SourceKey, MemberId>();
  for (const { member, channel, cameras } of ranking) {
    for (const camera of cameras) owners.set(sourceKey(channel, camera), member);
  }
  return { ranking, owners };
}

/**
 * Site switching. The first of the ranking that is not the receiver itself (so the loudest sees the one before it) takes the
 * displays: each camera at its own place; a single camera at center; of several cameras on a single display the one
 * where the talker is. Displays that it leaves free keep what they show; empty ones go to earlier speakers.
 */
export function layoutSite(receiver: VideoReceiver, { ranking, owners }: VideoSources): Edge[] {
  const displays = placesOf(maskOf(receiver.displays));
  const first = ranking[0]?.member === receiver.member ? ranking[1] : ranking[0];
  if (first === undefined || displays.length === 0) return [];

  const plan = new Map<number, SourceKey>();
  if (displays.length === 1 || first.cameras.length === 1) {
    plan.set(displays[0]!, sourceKey(first.channel, talkingCamera(first)));
  } else {
    for (const place of displays) if (first.cameras.includes(place)) plan.set(place, sourceKey(first.channel, place));
    if (plan.size === 0) plan.set(displays[0]!, sourceKey(first.channel, talkingCamera(first)));
  }

  return fillDisplays(plan, displays, receiver, { ranking, owners }, first.member);
}

/**
 * Segment switching: each display shows the loudest of the others' cameras for its own place. A single display has no places
 * to tell apart and shows the loudest camera of all. Displays for whose place nobody has a camera are filled as by site.
 * @param floors the members that have a camera at a place, the loudest there first.
 */
export function layoutSegment(
  receiver: VideoReceiver,
  sources: VideoSources,
  floors: ReadonlyMap<number, readonly MemberId[]>,
): Edge[] {
  const displays = placesOf(maskOf(receiver.displays));
  if (displays.length <= 1) return layoutSite(receiver, sources);
  const channels = new Map(sources.ranking.map(({ member, channel }) => [member, channel]));
  const plan = new Map<number, SourceKey>();
  for (const place of displays) {
    const loudest = floors.get(place)?.find((member) => member !== receiver.member && channels.has(member));
    if (loudest !== undefined) plan.set(place, sourceKey(channels.get(loudest)!, place));
  }
  return fillDisplays(plan, displays, receiver, sources, undefined);
}

/** Displays that the plan leaves free keep what they show; empty ones go to earlier speakers. */
function fillDisplays(
  plan: Map<number, SourceKey>,
  displays: readonly number[],
  receiver: VideoReceiver,
  { ranking, owners }: VideoSources,
  placed: MemberId | undefined,
): Edge[] {
  const used = new Set(plan.values());
  const put = (display: number, key: SourceKey) => {
    plan.set(display, key);
    used.add(key);
  };
  for (const display of displays) {
    const kept = receiver.shown.get(display);
    if (plan.has(display) || kept === undefined || used.has(kept)) continue;
    const owner = owners.get(kept);
    if (owner !== undefined && owner !== receiver.member) put(display, kept);
  }
  for (const display of displays) {
    if (plan.has(display)) continue;
    const seen = new Set([...plan.values()].map(channelOf));
    for (const source of ranking) {
      if (source.member === receiver.member || source.member === placed) continue;
      // An endpoint with a camera for this very place may take several displays, any other only one.
      const camera = source.cameras.includes(display)
        ? display
        : seen.has(source.channel)
          ? undefined
          : talkingCamera(source);
      if (camera === undefined || used.has(sourceKey(source.channel, camera))) continue;
      put(display, sourceKey(source.channel, camera));
      break;
    }
  }
  return sortEdges(
    [...plan].map(([sink, key]) => ({
      source: channelOf(key),
      position: positionOf(key),
      receiver: receiver.channel,
      sink,
    })),
  );
}

export interface AudioReceiver {
  readonly member: MemberId;
  readonly channel: ChannelId;
  /** 1 << position of its loudspeaker places. */
  readonly receiveMask: number;
}

/** An audio source that is forwarded: one of the loudest, or a presentation. */
export interface ForwardedAudio {
  readonly member: MemberId;
  readonly channel: ChannelId;
  readonly position: number;
}

/** Everybody hears all forwarded sources but its own, each at its own place if the receiver has it, else at center. */
export function layoutAudio(receiver: AudioReceiver, forwarded: readonly ForwardedAudio[]): Edge[] {
  const places = placesOf(receiver.receiveMask, [...PLACES, PRESENTATION_POSITION]);
  if (places.length === 0) return [];
  const fallback = places.includes(CENTER) ? CENTER : places[0]!;
  return sortEdges(
    forwarded
      .filter((source) => source.member !== receiver.member)
      .map(({ channel, position }) => ({
        source: channel,
        position,
        receiver: receiver.channel,
        sink: places.includes(position) ? position : fallback,
      })),
  );
}

/** By receiver, sink, source, position. */
export function sortEdges(edges: Edge[]): Edge[] {
  return edges.sort(
    (a, b) => a.receiver - b.receiver || a.sink - b.sink || a.source - b.source || a.position - b.position,
  );
}

export function sameEdges(a: readonly Edge[], b: readonly Edge[]): boolean {
  return (
    a.length === b.length &&
    a.every((edge, index) => {
      const other = b[index]!;
      return (
        edge.receiver === other.receiver &&
        edge.sink === other.sink &&
        edge.source === other.source &&
        edge.position === other.position
      );
    })
  );
}

function talkingCamera(source: VideoSource): number {
  if (source.cameras.includes(source.loudestPlace)) return source.loudestPlace;
  return source.cameras.includes(CENTER) ? CENTER : source.cameras[0]!;
}

function maskOf(positions: readonly number[]): number {
  return positions.reduce((mask, position) => mask | (1 << position), 0);
}
