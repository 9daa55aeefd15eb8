/**
 * Members and channels: coming in, being proven, failing, leaving. A level is reached on proven facts only (C9); whatever is
 * below what the conference requires never becomes ready, so none of its media is relayed (C3).
 */
import type { ChannelId, MemberId } from '../base/ids.js';
import { MAX_MEMBERS_PER_CONFERENCE, RETRY_AFTER_SECONDS } from '../base/limits.js';
import type { SecurityEventCode } from '../security/events.js';
import { levelOfEndpoint, type ProvenLevel } from '../security/levels.js';
import { judgeFailure, judgeOffer, judgeProven, type ProvenVerdict } from '../security/policy.js';
import { safeText } from '../security/text.js';
import type { Channel, ConferenceEvent, IllegalReason, JoinChannel, Member, State } from './contract.js';
import { replan } from './plan.js';
import type { Work } from './routing.js';
import { ackSet, addTaker, awaitsAck, removeTakers, type SetStep } from './sets.js';

type EventOf<T extends ConferenceEvent['type']> = Extract<ConferenceEvent, { readonly type: T }>;
/** Each step says why it is illegal, or does its work and says nothing. */
type Refused = IllegalReason | undefined;

export function join(work: Work, event: EventOf<'join'>): Refused {
  const { state, effects } = work;
  const { member } = event;
  if (state.members.has(member)) return 'member-exists';
  const full = state.members.size >= MAX_MEMBERS_PER_CONFERENCE;
  if (state.phase === 'closed' || full) {
    effects.push({
      type: 'refuse',
      member,
      status: 503,
      reason: full ? 'member-limit' : 'closed',
      reasonText: full ? 'the conference is full' : 'the conference has ended',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
    return undefined;
  }
  if (state.locked) {
    effects.push({ type: 'refuse', member, status: 403, reason: 'locked', reasonText: 'the conference is locked' });
    return undefined;
  }
  const clash = clashOf(state, [], event.channels);
  if (clash !== undefined) return clash;
  const verdict = judgeOffer(state, event.channels);
  if (verdict.verdict === 'refuse') {
    const { status, reason, warning, reasonText } = verdict;
    raise(work, verdict.event, member, offender(event.channels, verdict.line), reasonText);
    effects.push({ type: 'refuse', member, status, reason, warning, reasonText });
    return undefined;
  }
  effects.push({ type: 'admit', member });
  const joined: Member = {
    id: member,
    name: event.name,
    joinOrder: state.nextJoinOrder,
    channels: event.channels.map((channel) => newChannel(channel, false)),
    ready: false,
    level: 'unknown',
    muted: { audio: false, video: false },
  };
  work.state = {
    ...state,
    nextJoinOrder: state.nextJoinOrder + 1,
    members: new Map(state.members).set(member, joined),
    owners: withOwners(state, member, event.channels),
  };
  provePlain(work, member, event.channels);
  return undefined;
}

export function addChannels(work: Work, event: EventOf<'add-channels'>): Refused {
  const { state, effects } = work;
  const member = state.members.get(event.member);
  if (member === undefined) return 'unknown-member';
  const clash = clashOf(state, member.channels, event.channels);
  if (clash !== undefined) return clash;
  const channels = event.channels.map(({ channel }) => channel);
  // The call as a whole is judged (an added video line does not make the audio line an audio-only call).
  const verdict = judgeOffer(state, [
    ...event.channels,
    ...member.channels.map(({ media, transport }) => ({ media, security: transport })),
  ]);
  if (verdict.verdict === 'refuse') {
    const { status, reason, warning, reasonText } = verdict;
    raise(work, verdict.event, member.id, offender(event.channels, verdict.line), reasonText);
    effects.push({ type: 'refuse-channels', member: member.id, channels, status, reason, warning, reasonText });
    return undefined;
  }
  effects.push({ type: 'admit-channels', member: member.id, channels });
  setMember(work, {
    ...member,
    channels: [...member.channels, ...event.channels.map((channel) => newChannel(channel, true))],
  });
  work.state = { ...work.state, owners: withOwners(work.state, member.id, event.channels) };
  provePlain(work, member.id, event.channels);
  return undefined;
}

export function keyed(work: Work, { channel: id, fingerprint }: EventOf<'channel-keyed'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') return 'plain-channel';
  if (channel.phase !== 'keying') return 'channel-phase';
  setChannel(work, member.id, { ...channel, phase: 'negotiating', fingerprint });
  return undefined;
}

export function negotiated(work: Work, { channel: id, tip }: EventOf<'channel-negotiated'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') {
    // It was proven at `none` by its offer; TIP tells its places only.
    setChannel(work, member.id, { ...channel, tip });
    parametersOf(work, member.id, [id]);
    replan(work);
    return undefined;
  }
  // TIP counts only under keys of a verified certificate: before `channel-keyed` it is nobody's word (C9).
  if (channel.phase === 'keying') return 'channel-phase';
  const verdict = judgeProven(work.state, { transport: 'dtls', tip });
  // What was proven does not outlive its taking back: the peer's later words can end a call, never raise or move it (C6).
  if (verdict.verdict !== 'end' && channel.phase !== 'negotiating') return 'channel-phase';
  if (verdict.verdict === 'end') {
    endBelow(work, member.id, id, verdict);
  } else if (verdict.level === 'end-to-end') {
    setChannel(work, member.id, { ...channel, tip, phase: 'distributing' });
    applySets(work, addTaker(work.state.sets, id, channel.fingerprint!, work.now));
  } else {
    setChannel(work, member.id, { ...channel, tip });
    prove(work, member.id, id, verdict.level);
  }
  return undefined;
}

export function acked(work: Work, { channel: id, spiWord }: EventOf<'set-acked'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const step = ackSet(work.state.sets, id, spiWord, work.now);
  if (step === undefined) return 'set-not-sent';
  if (found.channel.phase === 'distributing') prove(work, found.member.id, id, 'end-to-end');
  applySets(work, step);
  return undefined;
}

export function failed(work: Work, { channel: id, reason, detail }: EventOf<'channel-failed'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') return 'plain-channel';
  const { phase } = channel;
  const possible =
    reason === 'media-timeout'
      ? phase === 'keying' || phase === 'negotiating'
      : reason === 'spimap-timeout'
        ? awaitsAck(work.state.sets, id)
        : reason !== 'auth-failures' || phase !== 'keying';
  if (!possible) return 'channel-phase';
  const verdict = judgeFailure(reason);
  const cause = `${channel.media}: ${safeText(detail)}`;
  raise(work, verdict.event, member.id, id, cause);
  if (verdict.verdict === 'end') {
    const reasonText = `${verdict.reasonText} (${channel.media})`;
    work.effects.push({ type: 'end-call', member: member.id, status: verdict.status, reasonText });
    remove(work, member.id, false);
  }
  return undefined;
}

export function leave(work: Work, event: EventOf<'leave'>): Refused {
  if (!work.state.members.has(event.member)) return 'unknown-member';
  remove(work, event.member, event.cause === 'replaced');
  return undefined;
}

export function mute(work: Work, { member: id, media, muted }: EventOf<'mute'>): Refused {
  const member = work.state.members.get(id);
  if (member === undefined) return 'unknown-member';
  if (member.muted[media] === muted) return undefined;
  setMember(work, { ...member, muted: { ...member.muted, [media]: muted } });
  replan(work);
  return undefined;
}

export function drop(work: Work, { member }: EventOf<'drop'>): Refused {
  if (!work.state.members.has(member)) return 'unknown-member';
  work.effects.push({ type: 'end-call', member, status: 410, reasonText: 'dropped by the operator' });
  remove(work, member, false);
  return undefined;
}

/** Ends every call and all sets; the conference takes nothing in any more. */
export function close(work: Work, status: 410 | 503, reasonText: string): void {
  const { members, sets } = work.state;
  for (const member of members.keys()) work.effects.push({ type: 'end-call', member, status, reasonText });
  work.state = { ...work.state, phase: 'closed', members: new Map(), owners: new Map() };
  const step = removeTakers(sets, [...sets.takers.keys()], false, work.now);
  work.state = { ...work.state, sets: step.sets };
  replan(work);
  work.effects.push(...step.effects, { type: 'empty' });
}

/** Carries a step of the sets over. */
export function applySets(work: Work, step: SetStep): void {
  work.state = { ...work.state, sets: step.sets };
  work.effects.push(...step.effects);
  // Without a new set a member that left could go on reading: better no conference than that (WIRE.md 4.2, 10).
  if (step.exhausted) close(work, 503, 'the group parameter sets of the conference are used up: dial in again');
}

function remove(work: Work, id: MemberId, replaced: boolean): void {
  const member = work.state.members.get(id)!;
  const members = new Map(work.state.members);
  members.delete(id);
  const owners = new Map(work.state.owners);
  for (const channel of member.channels) owners.delete(channel.id);
  work.state = { ...work.state, members, owners };
  const channels = member.channels.map((channel) => channel.id);
  replan(work);
  applySets(work, removeTakers(work.state.sets, channels, replaced, work.now));
  if (work.state.members.size === 0 && work.state.phase === 'open') work.effects.push({ type: 'empty' });
}

/** A channel has reached a level that meets what the conference requires. */
function prove(work: Work, memberId: MemberId, id: ChannelId, level: ProvenLevel): void {
  const before = work.state.members.get(memberId)!;
  const channels = before.channels.map((channel) =>
    channel.id === id ? { ...channel, phase: 'proven' as const, level } : channel,
  );
  // An m-line added later is unknown by itself and does not make the endpoint unknown (WIRE.md 2).
  const counted = channels.filter((channel) => !channel.late || channel.phase === 'proven');
  const ready = counted.every((channel) => channel.phase === 'proven');
  setMember(work, {
    ...before,
    channels,
    ready,
    level: ready ? levelOfEndpoint(counted.map((channel) => channel.level)) : 'unknown',
  });
  const becameReady = ready && !before.ready;
  parametersOf(work, memberId, becameReady ? counted.map((channel) => channel.id) : [id]);
  if (ready) replan(work);
}

function parametersOf(work: Work, memberId: MemberId, ids: readonly ChannelId[]): void {
  const member = work.state.members.get(memberId)!;
  for (const { id, level, phase } of member.channels) {
    if (!ids.includes(id)) continue;
    const ready = member.ready && phase === 'proven';
    work.effects.push({ type: 'channel-parameters', channel: id, level, ready });
  }
}

function provePlain(work: Work, memberId: MemberId, channels: readonly JoinChannel[]): void {
  for (const { channel, security } of channels) {
    if (security !== 'plain') continue;
    const verdict = judgeProven(work.state, { transport: 'plain' });
    if (verdict.verdict === 'end') {
      endBelow(work, memberId, channel, verdict);
      return;
    }
    prove(work, memberId, channel, verdict.level);
  }
}

function endBelow(
  work: Work,
  member: MemberId,
  channel: ChannelId,
  { event, status, reasonText }: Extract<ProvenVerdict, { readonly verdict: 'end' }>,
): void {
  raise(work, event, member, channel, reasonText);
  work.effects.push({ type: 'end-call', member, status, reasonText });
  remove(work, member, false);
}

function raise(
  work: Work,
  code: SecurityEventCode | undefined,
  member: MemberId,
  channel: ChannelId | undefined,
  cause: string,
): void {
  if (code === undefined) return;
  work.effects.push({ type: 'security-event', code, member, ...(channel === undefined ? {} : { channel }), cause });
}

function find(state: State, id: ChannelId): { readonly member: Member; readonly channel: Channel } | undefined {
  const owner = state.owners.get(id);
  const member = owner === undefined ? undefined : state.members.get(owner);
  const channel = member?.channels.find((candidate) => candidate.id === id);
  return member === undefined || channel === undefined ? undefined : { member, channel };
}

/** One m-line a media kind in a call (WIRE.md 2), and no channel twice. */
function clashOf(state: State, present: readonly Channel[], channels: readonly JoinChannel[]): Refused {
  const media = [...present, ...channels].map((channel) => channel.media);
  if (new Set(media).size < media.length) return 'several-channels-of-one-media';
  const ids = channels.map(({ channel }) => channel);
  return new Set(ids).size < ids.length || ids.some((id) => state.owners.has(id)) ? 'channel-exists' : undefined;
}

function newChannel({ channel, media, security }: JoinChannel, late: boolean): Channel {
  return {
    id: channel,
    media,
    transport: security === 'plain' ? 'plain' : 'dtls',
    late,
    phase: 'keying',
    level: 'unknown',
    fingerprint: undefined,
    tip: undefined,
    notified: undefined,
  };
}

function withOwners(state: State, member: MemberId, channels: readonly JoinChannel[]): State['owners'] {
  return new Map([...state.owners, ...channels.map(({ channel }) => [channel, member] as const)]);
}

function offender(channels: readonly JoinChannel[], line: number | undefined): ChannelId | undefined {
  return line === undefined ? undefined : channels[line]?.channel;
}

function setMember(work: Work, member: Member): void {
  work.state = { ...work.state, members: new Map(work.state.members).set(member.id, member) };
}

function setChannel(work: Work, memberId: MemberId, channel: Channel): void {
  const member = work.state.members.get(memberId)!;
  setMember(work, {
    ...member,
    channels: member.channels.map((candidate) => (candidate.id === channel.id ? channel : candidate)),
  });
}
