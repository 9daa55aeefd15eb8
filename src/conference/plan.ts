/**
 * What follows from who is there: the level shown, the icons, the speaker, the routes, the refresh requests. Everything is
 * derived anew from the members; an effect goes out only for what changed.
 */
import { atMost, type Level, levelOfConference, lower } from '../security/levels.js';
import type { Channel, State } from './contract.js';
import { placesOf } from './layout.js';
import { route, sendingChannel, transmitMask, updateFlow, type Work } from './routing.js';
import {
  type ActivityReport,
  choose,
  listen,
  type Participant,
  type SourceKey,
  SPEAKING_POSITIONS,
  sourceKey,
} from './speaker.js';

/** After members, channels or their parameters changed. */
export function replan(work: Work): void {
  const level = shownLevel(work.state);
  if (level !== work.state.level) {
    work.state = { ...work.state, level };
    work.effects.push({ type: 'level', level });
  }
  notifyAll(work);
  speakAndRoute(work, true);
}

/** C6. A level that is being left counts no more, one that is being gone back to does not count yet. */
function shownLevel({ policy, inForce, levels, started, members }: State): Level {
  const level = levelOfConference([...members.values()].map((member) => member.level));
  const top = atMost('end-to-end', levels);
  if (policy !== 'best-effort' || !started || members.size === 0 || inForce === top) return level;
  return level === 'unknown' ? inForce : lower(level, inForce);
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
      return { ...channel, notified: secure, confirmed: undefined };
    });
    members.set(member.id, { ...member, channels });
  }
  work.state = { ...work.state, members };
}

function speakAndRoute(work: Work, membersChanged: boolean): void {
  const before = work.state.speaker;
  const { speakerParameters, switching } = work.state;
  const participants = participantsOf(work.state);
  const speaker = choose(before, participants, speakerParameters, work.now, switching === 'segment');
  const shownSpeaker = speaker.ranking[0];
  if (shownSpeaker !== work.state.shownSpeaker) work.effects.push({ type: 'speaker', member: shownSpeaker });
  work.state = { ...work.state, speaker, shownSpeaker };
  const changed =
    membersChanged ||
    !sameItems(before.audio.incumbents, speaker.audio.incumbents) ||
    !sameItems(before.ranking, speaker.ranking) ||
    [...speaker.places].some(([member, { incumbents }]) => {
      return incumbents[0] !== before.places.get(member)?.incumbents[0];
    }) ||
    [...speaker.segments].some(
      ([place, { ranking }]) => !sameItems(before.segments.get(place)?.ranking ?? [], ranking),
    );
  if (changed) route(work);
  else if (speaker.speaking.size > 0 || speaker.segments.size > 0) updateFlow(work);
}

function participantsOf(state: State): Participant[] {
  const participants: Participant[] = [];
  for (const member of state.members.values()) {
    if (!member.ready) continue;
    const channel = sendingChannel(member, 'audio');
    const video = sendingChannel(member, 'video');
    const positions = channel === undefined ? [] : placesOf(transmitMask(channel), SPEAKING_POSITIONS);
    participants.push({
      member: member.id,
      cameras: video === undefined ? [] : placesOf(transmitMask(video)),
      audio: channel === undefined || positions.length === 0 ? undefined : { channel: channel.id, positions },
    });
  }
  return participants;
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
