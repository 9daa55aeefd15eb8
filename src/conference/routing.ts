/**
 * The routes of both media kinds from who is there and who speaks, and what follows from new ones: refresh requests and the
 * flow of cameras. Media goes between channels of the same level only: while a conference changes its level, those who have
 * changed and those who have not are apart (REQUIREMENTS C5).
 */
import type { ChannelId, Media, MemberId } from '../base/ids.js';
import type { ProvenLevel } from '../security/levels.js';
import type { Channel, Edge, Effect, Member, State } from './contract.js';
import { controlFlow } from './flow.js';
import {
  type ForwardedAudio,
  indexSources,
  layoutAudio,
  layoutSegment,
  layoutSite,
  placesOf,
  sameEdges,
  sortEdges,
  type VideoSource,
} from './layout.js';
import { forgetRefresh, type RefreshStep, wantRefresh } from './refresh.js';
import { channelOf, PRESENTATION_POSITION, type SourceKey, SPEAKING_POSITIONS, sourceKey } from './speaker.js';

/** One transition under way: the state so far and the effects so far. */
export interface Work {
  state: State;
  readonly effects: Effect[];
  readonly now: number;
}

/** An endpoint without TIP has one place, center (S2). */
const CENTER_ONLY = 1 << 1;
const LEVELS: readonly ProvenLevel[] = ['end-to-end', 'hop-by-hop', 'none'];

/** The channel of a kind that may carry media now: proven, of a ready member. */
export function liveChannel(member: Member, media: Media): Channel | undefined {
  if (!member.ready) return undefined;
  return member.channels.find((channel) => channel.media === media && channel.phase === 'proven');
}

/** The same as a source: nothing comes from who is muted or has us on hold. */
export function sendingChannel(member: Member, media: Media): Channel | undefined {
  const channel = member.muted[media] ? undefined : liveChannel(member, media);
  return channel?.sends === true ? channel : undefined;
}

/** The same as a receiver: who is on hold gets nothing. */
function receivingChannel(member: Member, media: Media): Channel | undefined {
  const channel = liveChannel(member, media);
  return channel?.receives === true ? channel : undefined;
}

export function transmitMask(channel: Channel): number {
  return channel.tip?.transmitMask ?? CENTER_ONLY;
}

function receiveMask(channel: Channel): number {
  return channel.tip?.receiveMask ?? CENTER_ONLY;
}

export function channelById(state: State, id: ChannelId): Channel | undefined {
  const owner = state.owners.get(id);
  return owner === undefined ? undefined : state.members.get(owner)?.channels.find((channel) => channel.id === id);
}

/** Lays everything out anew. */
export function route(work: Work): void {
  setRoutes(work, 'audio', sortEdges(LEVELS.flatMap((level) => audioEdges(work.state, level))));
  const shown = shownOf(work.state);
  const edges = sortEdges(LEVELS.flatMap((level) => videoEdges(work.state, level, shown)));
  // Whoever is about to be shown has to be sending by then.
  updateFlow(work, edges);
  setRoutes(work, 'video', edges);
  refreshNewEdges(work, shown);
}

/** Carries a step of the refresh requests over. */
export function applyRefresh(work: Work, { requests, ask }: RefreshStep): void {
  work.state = { ...work.state, refresh: requests };
  for (const source of ask) work.effects.push({ type: 'request-refresh', ...source });
}

/**
 * Starts and stops cameras (S4). Wanted are those of the plan, and those of whoever is loud enough to be shown next: they
 * have the hold time to begin.
 */
export function updateFlow(work: Work, planned: readonly Edge[] = work.state.routes.video): void {
  const { state, now } = work;
  const wanted = new Set(planned.map((edge) => sourceKey(edge.source, edge.position)));
  const challengers = new Set(
    [state.speaker, ...state.speaker.segments.values()].flatMap((f) => [...f.speaking.keys()]),
  );
  const cameras: SourceKey[] = [];
  for (const member of state.members.values()) {
    const channel = liveChannel(member, 'video');
    if (channel?.tip === undefined) continue;
    for (const place of placesOf(transmitMask(channel))) {
      const camera = sourceKey(channel.id, place);
      cameras.push(camera);
      if (challengers.has(member.id) && !member.muted.video) wanted.add(camera);
    }
  }
  const held = [...state.refresh.values()].some((request) => request.waiting.size > 0);
  const { flow, effects } = controlFlow(state.flow, cameras, wanted, held, now);
  work.effects.push(...effects);
  work.state = { ...state, flow };
}

/** Where nothing is secured any more, endpoints that stay on SRTP are with those in clear. */
function atLevel(channel: Channel | undefined, level: ProvenLevel, mediaLevel: ProvenLevel): Channel | undefined {
  const among = channel?.standard === true && mediaLevel === 'none' ? 'none' : channel?.level;
  return among === level ? channel : undefined;
}

function audioEdges(state: State, level: ProvenLevel): Edge[] {
  const loudest = new Set(state.speaker.audio.incumbents);
  const forwarded: ForwardedAudio[] = [];
  for (const member of state.members.values()) {
    const channel = atLevel(sendingChannel(member, 'audio'), level, state.mediaLevel);
    if (channel === undefined) continue;
    for (const position of placesOf(transmitMask(channel), [...SPEAKING_POSITIONS, PRESENTATION_POSITION])) {
      if (position === PRESENTATION_POSITION || loudest.has(sourceKey(channel.id, position))) {
        forwarded.push({ member: member.id, channel: channel.id, position });
      }
    }
  }
  const edges: Edge[] = [];
  for (const member of forwarded.length === 0 ? [] : state.members.values()) {
    const channel = atLevel(receivingChannel(member, 'audio'), level, state.mediaLevel);
    if (channel === undefined) continue;
    const receiver = { member: member.id, channel: channel.id, receiveMask: receiveMask(channel) };
    const heard = hasOneStream(state, channel) ? loudestOf(state, member.id, forwarded) : forwarded;
    edges.push(...layoutAudio(receiver, heard));
  }
  return edges;
}

/** A receiver without TIP cannot tell several sources apart: it has one stream, of the switch's own (see {@link Channel}). */
function hasOneStream({ policy, requiredLevel }: State, { tip }: Channel): boolean {
  return tip === undefined && (policy === 'best-effort' || requiredLevel === 'hop-by-hop');
}

function loudestOf(state: State, receiver: MemberId, forwarded: readonly ForwardedAudio[]): readonly ForwardedAudio[] {
  const others = forwarded.filter(({ member, position }) => member !== receiver && position !== PRESENTATION_POSITION);
  const first = state.speaker.ranking.find((id) => others.some(({ member }) => member === id));
  const loudest = others.find(({ member }) => member === first) ?? others[0];
  return loudest === undefined ? [] : [loudest];
}

/** What each display shows by the plan so far. */
function shownOf(state: State): Map<ChannelId, Map<number, SourceKey>> {
  const shown = new Map<ChannelId, Map<number, SourceKey>>();
  for (const edge of state.routes.video) {
    const sinks = shown.get(edge.receiver) ?? new Map<number, SourceKey>();
    shown.set(edge.receiver, sinks.set(edge.sink, sourceKey(edge.source, edge.position)));
  }
  return shown;
}

function videoEdges(
  state: State,
  level: ProvenLevel,
  shown: ReadonlyMap<ChannelId, ReadonlyMap<number, SourceKey>>,
): Edge[] {
  const ranking: VideoSource[] = [];
  for (const id of state.speaker.ranking) {
    const channel = atLevel(sendingChannel(state.members.get(id)!, 'video'), level, state.mediaLevel);
    if (channel === undefined) continue;
    const cameras = placesOf(transmitMask(channel));
    if (cameras.length === 0) continue;
    ranking.push({ member: id, channel: channel.id, cameras, loudestPlace: placeOf(state, id) });
  }
  if (ranking.length === 0) return [];
  const sources = indexSources(ranking);
  const floors = new Map([...state.speaker.segments].map(([place, floor]) => [place, floor.ranking]));
  const edges: Edge[] = [];
  for (const member of state.members.values()) {
    const channel = atLevel(receivingChannel(member, 'video'), level, state.mediaLevel);
    if (channel === undefined) continue;
    const displays = placesOf(receiveMask(channel));
    const receiver = { member: member.id, channel: channel.id, displays, shown: shown.get(channel.id) ?? new Map() };
    edges.push(
      ...(state.switching === 'segment' ? layoutSegment(receiver, sources, floors) : layoutSite(receiver, sources)),
    );
  }
  return edges;
}

function placeOf(state: State, member: MemberId): number {
  return state.speaker.places.get(member)?.incumbents[0] ?? 1;
}

/** Every sink that is to change over needs a refresh point of its new source (S3). */
function refreshNewEdges(work: Work, shown: ReadonlyMap<ChannelId, ReadonlyMap<number, SourceKey>>): void {
  const planned = new Map<SourceKey, SourceKey>();
  const fresh = new Map<SourceKey, SourceKey[]>();
  for (const edge of work.state.routes.video) {
    const source = sourceKey(edge.source, edge.position);
    const sink = sourceKey(edge.receiver, edge.sink);
    planned.set(sink, source);
    if (shown.get(edge.receiver)?.get(edge.sink) === source) continue;
    const sinks = fresh.get(source) ?? [];
    // Where nothing marks them the relay changes over at once and nobody reports a refresh point: one request, no repeats.
    if (marksRefresh(work.state, channelById(work.state, edge.source))) sinks.push(sink);
    fresh.set(source, sinks);
  }
  const exists = (source: SourceKey) => work.state.owners.has(channelOf(source));
  let refresh = forgetRefresh(work.state.refresh, planned, exists, work.now);
  for (const [source, sinks] of fresh) {
    const step = wantRefresh(refresh, source, sinks, work.now);
    applyRefresh(work, step);
    refresh = step.requests;
  }
  work.state = { ...work.state, refresh };
}

/** By a trailing byte, or because the relay sees key frames in a payload that it can read. */
function marksRefresh({ policy, requiredLevel }: State, source: Channel | undefined): boolean {
  if (source === undefined) return false;
  const readable = source.level !== 'end-to-end' && (policy === 'best-effort' || requiredLevel === 'hop-by-hop');
  return source.tip?.trailingByte === true || readable;
}

function setRoutes(work: Work, media: Media, edges: readonly Edge[]): void {
  if (sameEdges(work.state.routes[media], edges)) return;
  work.state = { ...work.state, routes: { ...work.state.routes, [media]: edges } };
  work.effects.push({ type: 'routes', media, edges });
}
