/** What members answer while a best-effort conference changes its level (REQUIREMENTS C5, C7). */
import { lose, refuseRestore, settle } from './ladder.js';
import {
  applySets,
  clashOf,
  type EventOf,
  find,
  newChannel,
  type Refused,
  setChannel,
  takeOut,
  withOwners,
} from './members.js';
import type { Work } from './routing.js';
import { removeTakers } from './sets.js';

export function notifyAcked(work: Work, { channel: id, secure }: EventOf<'notify-acked'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  // An ACK of what was said before the last word says nothing about that.
  if (found.channel.notified !== secure) return 'not-notified';
  if (found.channel.confirmed === secure) return undefined;
  setChannel(work, found.member.id, { ...found.channel, confirmed: secure });
  settle(work);
  return undefined;
}

export function moved(work: Work, { member: id, channels }: EventOf<'moved'>): Refused {
  const member = work.state.members.get(id);
  if (member === undefined) return 'unknown-member';
  const { move } = member;
  if (move === undefined || channels.some(({ security }) => security !== move.to)) return 'not-moving';
  const clash = clashOf(work.state, [], channels);
  if (clash !== undefined) return clash;
  const old = takeOut(work, id);
  // In its old place: the order is that of joining.
  const members = new Map<typeof id, typeof member>();
  const next = { ...member, channels: channels.map((channel) => newChannel(channel, false)), move: undefined };
  for (const each of [...work.state.members.values(), next].sort((a, b) => a.joinOrder - b.joinOrder)) {
    members.set(each.id, each);
  }
  work.state = { ...work.state, members, owners: withOwners(work.state, id, channels) };
  settle(work);
  applySets(work, removeTakers(work.state.sets, old, 'lowered', work.now));
  return undefined;
}

export function notFollowed(work: Work, { channel: id, detail }: EventOf<'not-followed'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  lose(work, found.member.id, `it did not follow the change of level: ${detail}`);
  return undefined;
}

export function moveRefused(work: Work, { member: id, detail }: EventOf<'move-refused'>): Refused {
  const member = work.state.members.get(id);
  if (member === undefined) return 'unknown-member';
  if (member.move === undefined) return 'not-moving';
  // Down it has to go or leave; up nobody has to go.
  if (member.move.to === 'plain') lose(work, id, `the re-INVITE to plain RTP was refused: ${detail}`);
  else refuseRestore(work, id, `the re-INVITE to DTLS was refused: ${detail}`);
  return undefined;
}
