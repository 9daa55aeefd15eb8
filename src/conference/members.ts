/** The members of a conference and their channels: looking them up, changing them, taking them out. */
import type { ChannelId, MemberId } from '../base/ids.js';
import type { SecurityEventCode } from '../security/events.js';
import type { Channel, ConferenceEvent, Effect, IllegalReason, JoinChannel, Member, State } from './contract.js';
import { replan } from './plan.js';
import type { Work } from './routing.js';
import { addTaker, removeTakers, type SetStep } from './sets.js';

export type EventOf<T extends ConferenceEvent['type']> = Extract<ConferenceEvent, { readonly type: T }>;
/** Each step says why it is illegal, or does its work and says nothing. */
export type Refused = IllegalReason | undefined;

export function find(state: State, id: ChannelId): { readonly member: Member; readonly channel: Channel } | undefined {
  const owner = state.owners.get(id);
  const member = owner === undefined ? undefined : state.members.get(owner);
  const channel = member?.channels.find((candidate) => candidate.id === id);
  return member === undefined || channel === undefined ? undefined : { member, channel };
}

export function setMember(work: Work, member: Member): void {
  work.state = { ...work.state, members: new Map(work.state.members).set(member.id, member) };
}

export function setChannel(work: Work, memberId: MemberId, channel: Channel): void {
  const member = work.state.members.get(memberId)!;
  setMember(work, {
    ...member,
    channels: member.channels.map((candidate) => (candidate.id === channel.id ? channel : candidate)),
  });
}

export function newChannel({ channel, media, security, tip }: JoinChannel, late: boolean): Channel {
  const plain = security === 'plain';
  return {
    id: channel,
    media,
    transport: plain ? 'plain' : 'dtls',
    standard: !plain && (security === 'sdes' || tip === false),
    late,
    phase: plain ? 'proven' : 'keying',
    level: plain ? 'none' : 'unknown',
    told: { level: 'unknown', ready: false },
    fingerprint: undefined,
    tip: undefined,
    notified: undefined,
    confirmed: undefined,
    sends: true,
    receives: true,
  };
}

export function withOwners(state: State, member: MemberId, channels: readonly JoinChannel[]): State['owners'] {
  return new Map([...state.owners, ...channels.map(({ channel }) => [channel, member] as const)]);
}

/** One m-line a media kind in a call (WIRE.md 2), and no channel twice. */
export function clashOf(state: State, present: readonly Channel[], channels: readonly JoinChannel[]): Refused {
  const media = [...present, ...channels].map((channel) => channel.media);
  if (new Set(media).size < media.length) return 'several-channels-of-one-media';
  const ids = channels.map(({ channel }) => channel);
  return new Set(ids).size < ids.length || ids.some((id) => state.owners.has(id)) ? 'channel-exists' : undefined;
}

/** Channels that count for whether an endpoint is proven: an m-line added later is unknown by itself (WIRE.md 2). */
export function countedChannels(member: Member): readonly Channel[] {
  return member.channels.filter((channel) => !channel.late || channel.phase === 'proven');
}

type SecurityEventEffect = Extract<Effect, { readonly type: 'security-event' }>;

export function raise(
  work: Work,
  code: SecurityEventCode | undefined,
  member: MemberId,
  channel: ChannelId | undefined,
  cause: string,
  change: Pick<SecurityEventEffect, 'from' | 'to' | 'members'> = {},
): void {
  if (code === undefined) return;
  const at = channel === undefined ? {} : { channel };
  const lack = change.to === undefined ? undefined : work.state.members.get(member)?.lack;
  const why = lack === undefined ? {} : { reason: lack.reason };
  work.effects.push({ type: 'security-event', code, member, ...at, cause, ...change, ...why });
}

/** Takes a member and its channels out; what follows from it is for the caller. @returns its channels. */
export function takeOut(work: Work, id: MemberId): readonly ChannelId[] {
  const members = new Map(work.state.members);
  const channels = members.get(id)!.channels.map((channel) => channel.id);
  members.delete(id);
  const owners = new Map(work.state.owners);
  for (const channel of channels) owners.delete(channel);
  work.state = { ...work.state, members, owners };
  return channels;
}

/** Ends every call and all sets; the conference takes nothing in any more. */
export function close(work: Work, status: 410 | 503, reasonText: string): void {
  const { members, sets } = work.state;
  for (const member of members.keys()) work.effects.push({ type: 'end-call', member, status, reasonText });
  work.state = { ...work.state, phase: 'closed', members: new Map(), owners: new Map() };
  const step = removeTakers(sets, [...sets.takers.keys()], 'left', work.now);
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

/** The channel takes sets from now on. */
export function giveSet(work: Work, member: Member, { id, fingerprint }: Channel): void {
  const returning = returns(work.state, member, fingerprint!);
  applySets(work, addTaker(work.state.sets, id, fingerprint!, work.now, returning));
}

/** Another call of the same endpoint holds a set, and this one was given none since it came. */
function returns({ members, sets }: State, member: Member, fingerprint: string): boolean {
  const newest = sets.live.at(-1)?.spiWord;
  if (member.channels.some(({ id }) => sets.takers.get(id)?.spiWord === newest)) return false;
  return [...members.values()].some(
    ({ id, channels }) =>
      id !== member.id &&
      channels.some((other) => other.fingerprint === fingerprint && (sets.takers.get(other.id)?.spiWord ?? 0) !== 0),
  );
}
