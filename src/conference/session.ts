/** What a session's later SDP and its return change of channels that are there already. */
import { remove, settle } from './ladder.js';
import { applySets, type EventOf, find, type Refused, setChannel, setMember } from './members.js';
import { replan } from './plan.js';
import type { Work } from './routing.js';
import { rekeyTaker, releaseTakers } from './sets.js';

export function direction(work: Work, { channel: id, sends, receives }: EventOf<'channel-direction'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.sends === sends && channel.receives === receives) return undefined;
  setChannel(work, member.id, { ...channel, sends, receives });
  replan(work);
  return undefined;
}

export function removeChannels(work: Work, { member: id, channels }: EventOf<'remove-channels'>): Refused {
  const member = work.state.members.get(id);
  if (member === undefined) return 'unknown-member';
  const left = member.channels.filter((channel) => !channels.includes(channel.id));
  if (left.length === 0 || left.length + channels.length > member.channels.length) return 'unknown-channel';
  const owners = new Map(work.state.owners);
  for (const channel of channels) owners.delete(channel);
  work.state = { ...work.state, owners };
  setMember(work, { ...member, channels: left });
  settle(work);
  // The endpoint is still here, and so is what it knows: no set is due for it.
  applySets(work, releaseTakers(work.state.sets, channels, work.now));
  return undefined;
}

export function rekeyed(work: Work, { channel: id, fingerprint }: EventOf<'channel-rekeyed'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') return 'plain-channel';
  if (channel.phase === 'keying') return 'channel-phase';
  setChannel(work, member.id, { ...channel, fingerprint });
  work.state = { ...work.state, sets: rekeyTaker(work.state.sets, id, fingerprint) };
  return undefined;
}

/**
 * The certificate decides who an SSRC belongs to: the same one is the endpoint that has returned, and its old call ends;
 * another one gets nothing (WIRE.md 10).
 */
export function claim(work: Work, { channel: id, owner: ownerId }: EventOf<'claim'>): Refused {
  const claimant = find(work.state, id);
  const owner = find(work.state, ownerId);
  if (claimant === undefined || owner === undefined) return 'unknown-channel';
  const { fingerprint } = claimant.channel;
  const same = fingerprint !== undefined && fingerprint === owner.channel.fingerprint;
  if (!same || claimant.member.id === owner.member.id) return undefined; // the relay counts it, and its summary is the event
  const { id: member } = owner.member;
  work.effects.push({
    type: 'end-call',
    member,
    status: 410,
    reasonText: 'replaced by a new call of the same endpoint',
  });
  remove(work, member, true);
  return undefined;
}
