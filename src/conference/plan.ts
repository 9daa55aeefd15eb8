/**
 * What follows from who is there: the level shown, the icons, the speaker, the routes, the refresh requests. Everything is
 * derived anew from the members; an effect goes out only for what changed.
 */
import type { ChannelId, Media, MemberId } from '../base/ids.js';
import { levelOfConference } from '../security/levels.js';
import type { Channel, Edge, Effect, Member, State } from './contract.js';
import {
  type ForwardedAudio,
  indexSources,
  layoutAudio,
  layoutSite,
  placesOf,
  sameEdges,
  sortEdges,
  type VideoSource,
} from './layout.js';
import { forgetRefresh, type RefreshStep, wantRefresh } from './refresh.js';
import {
  type ActivityReport,
  channelOf,
  choose,
  listen,
  type Participant,
  PRESENTATION_POSITION,
  type SourceKey,
  SPEAKING_POSITIONS,
  sourceKey,
} from './speaker.js';

/** One transition under way: the state so far and the effects so far. */
export interface Work {
  state: State;
  readonly effects: Effect[];
  readonly now: number;
}

/** An endpoint without TIP has one place, center (S2). */
const CENTER_ONLY = 1 << 1;

/** The channel of a kind that may carry media now: proven, of a ready member. */
export function liveChannel(member: Member, media: Media): Channel | undefined {
  if (!member.ready) return undefined;
  return member.channels.find((channel) => channel.media === media && channel.phase === 'proven');
}

export function transmitMask(channel: Channel): number {
  return channel.tip?.transmitMask ?? CENTER_ONLY;
}

function receiveMask(channel: Channel): number {
  return channel.tip?.receiveMask ?? CENTER_ONLY;
}

/** After members, channels or their parameters changed. */
export function replan(work: Work): void {
  const level = levelOfConference([...work.state.members.values()].map((member) => member.level));
  if (level !== work.state.level) {
    work.state = { ...work.state, level };
    work.effects.push({ type: 'level', level });
  }
  notifyAll(work);
  speakAndRoute(work, true);
}

/** Weighs the activity reports that have come in since the last time. */
export function weigh(work: Work): void {
  const reports: ActivityReport[] = [];
  for (let item = work.state.activity.pending; item !== undefined; item = item.next) reports.push(item.report);
  reports.reverse();
  const known = new Set<SourceKey>();
  for (const { audio } of participantsOf(work.state)) {
    for (const position of audio?.positions ?? []) known.add(sourceKey(audio!.channel, position));
  }
  const { speakerParameters, speaker } = work.state;
  work.state = {
    ...work.state,
    activity: { pending: undefined, count: 0, weighAtMs: undefined },
    speaker: listen(speaker, reports, known, speakerParameters, work.now),
  };
  speakAndRoute(work, false);
}

/** Carries a step of the refresh requests over. */
export function applyRefresh(work: Work, { requests, ask }: RefreshStep): void {
  work.state = { ...work.state, refresh: requests };
  for (const source of ask) work.effects.push({ type: 'request-refresh', ...source });
}

/** SECURITYICON to every TIP endpoint whose icon is not right (C6); version 6 knows no NOTIFY (WIRE.md 4). */
function notifyAll(work: Work): void {
  const secure = work.state.level === 'end-to-end';
  const members = new Map(work.state.members);
  for (const member of members.values()) {
    const stale = (channel: Channel) =>
      member.ready &&
      channel.phase === 'proven' &&
      channel.notified !== secure &&
      channel.tip !== undefined &&
      channel.tip.version >= 7;
    if (!member.channels.some(stale)) continue;
    const channels = member.channels.map((channel) => {
      if (!stale(channel)) return channel;
      work.effects.push({ type: 'notify', channel: channel.id, secure });
      return { ...channel, notified: secure };
    });
    members.set(member.id, { ...member, channels });
  }
  work.state = { ...work.state, members };
}

function speakAndRoute(work: Work, membersChanged: boolean): void {
  const before = work.state.speaker;
  const speaker = choose(before, participantsOf(work.state), work.state.speakerParameters, work.now);
  const shownSpeaker = speaker.ranking[0];
  if (shownSpeaker !== work.state.shownSpeaker) work.effects.push({ type: 'speaker', member: shownSpeaker });
  work.state = { ...work.state, speaker, shownSpeaker };
  const changed =
    membersChanged ||
    !sameItems(before.audio.incumbents, speaker.audio.incumbents) ||
    !sameItems(before.ranking, speaker.ranking) ||
    [...speaker.places].some(([member, { incumbents }]) => {
      return incumbents[0] !== before.places.get(member)?.incumbents[0];
    });
  if (!changed) return;
  setRoutes(work, 'audio', audioEdges(work.state));
  routeVideo(work);
}

function participantsOf(state: State): Participant[] {
  const participants: Participant[] = [];
  for (const member of state.members.values()) {
    if (!member.ready) continue;
    const channel = liveChannel(member, 'audio');
    const positions = channel === undefined ? [] : placesOf(transmitMask(channel), SPEAKING_POSITIONS);
    participants.push({
      member: member.id,
      audio: channel === undefined || positions.length === 0 ? undefined : { channel: channel.id, positions },
    });
  }
  return participants;
}

function audioEdges(state: State): Edge[] {
  const loudest = new Set(state.speaker.audio.incumbents);
  const forwarded: ForwardedAudio[] = [];
  for (const member of state.members.values()) {
    const channel = liveChannel(member, 'audio');
    if (channel === undefined) continue;
    for (const position of placesOf(transmitMask(channel), [...SPEAKING_POSITIONS, PRESENTATION_POSITION])) {
      if (position === PRESENTATION_POSITION || loudest.has(sourceKey(channel.id, position))) {
        forwarded.push({ member: member.id, channel: channel.id, position });
      }
    }
  }
  const edges: Edge[] = [];
  for (const member of state.members.values()) {
    const channel = liveChannel(member, 'audio');
    if (channel === undefined) continue;
    edges.push(
      ...layoutAudio({ member: member.id, channel: channel.id, receiveMask: receiveMask(channel) }, forwarded),
    );
  }
  return sortEdges(edges);
}

function routeVideo(work: Work): void {
  const { state } = work;
  const ranking: VideoSource[] = [];
  for (const id of state.speaker.ranking) {
    const channel = liveChannel(state.members.get(id)!, 'video');
    if (channel === undefined) continue;
    const cameras = placesOf(transmitMask(channel));
    if (cameras.length === 0) continue;
    ranking.push({ member: id, channel: channel.id, cameras, loudestPlace: placeOf(state, id) });
  }
  const shown = new Map<ChannelId, Map<number, SourceKey>>();
  for (const edge of state.routes.video) {
    const sinks = shown.get(edge.receiver) ?? new Map<number, SourceKey>();
    shown.set(edge.receiver, sinks.set(edge.sink, sourceKey(edge.source, edge.position)));
  }
  const sources = indexSources(ranking);
  const edges: Edge[] = [];
  for (const member of state.members.values()) {
    const channel = liveChannel(member, 'video');
    if (channel === undefined) continue;
    const displays = placesOf(receiveMask(channel));
    edges.push(
      ...layoutSite(
        { member: member.id, channel: channel.id, displays, shown: shown.get(channel.id) ?? new Map() },
        sources,
      ),
    );
  }
  setRoutes(work, 'video', sortEdges(edges));
  refreshNewEdges(work, shown);
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
    // Without a refresh flag the relay changes over at once and nobody reports a refresh point: one request, no repeats.
    if (channelById(work.state, edge.source)?.tip?.trailingByte === true) sinks.push(sink);
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

export function channelById(state: State, id: ChannelId): Channel | undefined {
  const owner = state.owners.get(id);
  return owner === undefined ? undefined : state.members.get(owner)?.channels.find((channel) => channel.id === id);
}

function placeOf(state: State, member: MemberId): number {
  return state.speaker.places.get(member)?.incumbents[0] ?? 1;
}

function setRoutes(work: Work, media: Media, edges: readonly Edge[]): void {
  if (sameEdges(work.state.routes[media], edges)) return;
  work.state = { ...work.state, routes: { ...work.state.routes, [media]: edges } };
  work.effects.push({ type: 'routes', media, edges });
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
