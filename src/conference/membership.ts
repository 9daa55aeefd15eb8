/**
 * Members and channels: coming in, being proven, failing, leaving. A level is reached on proven facts only (C9); whatever is
 * below what a secure conference requires never becomes ready, so none of its media is relayed (C3). What a best-effort
 * conference makes of its endpoints is in ladder.ts.
 */
import type { ChannelId, MemberId } from '../base/ids.js';
import { MAX_MEMBERS_PER_CONFERENCE, RETRY_AFTER_SECONDS } from '../base/limits.js';
import { meets, type ProvenLevel } from '../security/levels.js';
import { capabilityOf, judgeFailure, judgeOffer, judgeProven, type ProvenVerdict } from '../security/policy.js';
import { safeText } from '../security/text.js';
import type { Channel, JoinChannel, Member } from './contract.js';
import { aim, assess, giveUpSecurity, remove, settle } from './ladder.js';
import {
  applySets,
  clashOf,
  type EventOf,
  find,
  giveSet,
  newChannel,
  type Refused,
  raise,
  setChannel,
  setMember,
  withOwners,
} from './members.js';
import { replan } from './plan.js';
import type { Work } from './routing.js';
import { ackSet, awaitsAck } from './sets.js';

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
  const joined: Member = {
    id: member,
    name: event.name,
    joinOrder: state.nextJoinOrder,
    channels: event.channels.map((channel) => newChannel(channel, false)),
    ready: false,
    level: 'unknown',
    capability: 'unknown',
    lack: undefined,
    tellByMs: undefined,
    move: undefined,
    deaf: false,
    muted: { audio: false, video: false },
  };
  work.state = {
    ...state,
    nextJoinOrder: state.nextJoinOrder + 1,
    members: new Map(state.members).set(member, joined),
    owners: withOwners(state, member, event.channels),
  };
  // The event of a change comes before anything is answered (C5).
  assess(work, member, joined.channels);
  aim(work);
  effects.push({ type: 'admit', member });
  settle(work);
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
  const added = event.channels.map((channel) => newChannel(channel, true));
  setMember(work, { ...member, channels: [...member.channels, ...added] });
  work.state = { ...work.state, owners: withOwners(work.state, member.id, event.channels) };
  assess(work, member.id, added);
  aim(work);
  effects.push({ type: 'admit-channels', member: member.id, channels });
  settle(work);
  return undefined;
}

export function withoutTip(work: Work, event: EventOf<'without-tip'>): Refused {
  const member = work.state.members.get(event.member);
  if (member === undefined) return 'unknown-member';
  // What was begun with TIP is not gone on with without (C6).
  if (member.channels.some(({ transport, phase }) => transport === 'dtls' && phase !== 'keying'))
    return 'channel-phase';
  const channels = member.channels.map((channel) => ({ ...channel, standard: channel.transport === 'dtls' }));
  setMember(work, { ...member, channels });
  assess(work, member.id, channels);
  settle(work);
  return undefined;
}

export function keyed(work: Work, { channel: id, fingerprint }: EventOf<'channel-keyed'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') return 'plain-channel';
  if (channel.phase !== 'keying') return 'channel-phase';
  setChannel(work, member.id, { ...channel, phase: 'negotiating', fingerprint });
  if (!channel.standard) return undefined;
  // Nothing else is to come.
  if (work.state.policy === 'best-effort') {
    settle(work);
    return undefined;
  }
  const verdict = judgeProven(work.state, { transport: 'dtls' });
  if (verdict.verdict === 'end') endBelow(work, member.id, id, verdict);
  else prove(work, member.id, id, verdict.level);
  return undefined;
}

export function negotiated(work: Work, { channel: id, tip }: EventOf<'channel-negotiated'>): Refused {
  const found = find(work.state, id);
  if (found === undefined) return 'unknown-channel';
  const { member, channel } = found;
  if (channel.transport === 'plain') {
    // It was proven at `none` by its offer; TIP tells its places only.
    setChannel(work, member.id, { ...channel, tip });
    work.effects.push({ type: 'channel-parameters', channel: id, ...channel.told });
    replan(work);
    return undefined;
  }
  // TIP counts only under keys of a verified certificate: before `channel-keyed` it is nobody's word (C9).
  if (channel.phase === 'keying') return 'channel-phase';
  if (work.state.policy === 'best-effort') return negotiatedBestEffort(work, member, { ...channel, tip });
  const verdict = judgeProven(work.state, { transport: 'dtls', tip });
  // What was proven does not outlive its taking back: the peer's later words can end a call, never raise or move it (C6).
  if (verdict.verdict !== 'end' && channel.phase !== 'negotiating') return 'channel-phase';
  if (verdict.verdict === 'end') {
    endBelow(work, member.id, id, verdict);
  } else if (verdict.level === 'end-to-end') {
    setChannel(work, member.id, { ...channel, tip, phase: 'distributing' });
    giveSet(work, member, channel);
  } else {
    setChannel(work, member.id, { ...channel, tip });
    prove(work, member.id, id, verdict.level);
  }
  return undefined;
}

function negotiatedBestEffort(work: Work, member: Member, channel: Channel): Refused {
  const { level } = capabilityOf({ transport: 'dtls', tip: channel.tip! });
  const known = member.channels.find(({ id }) => id === channel.id)?.tip !== undefined;
  // As in a secure conference: later words can only lower.
  if (known && (member.capability === 'unknown' || meets(level, member.capability))) return 'channel-phase';
  setChannel(work, member.id, channel);
  assess(work, member.id, [channel]);
  settle(work);
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
  // No negotiation that went wrong: it may happen at any time, to plain channels too.
  const gone = reason === 'consent-lost';
  if (channel.transport === 'plain' && !gone) return 'plain-channel';
  const { phase } = channel;
  const possible =
    reason === 'media-timeout'
      ? phase === 'keying' || phase === 'negotiating'
      : reason === 'spimap-timeout'
        ? awaitsAck(work.state.sets, id)
        : reason !== 'auth-failures' || phase !== 'keying';
  if (!gone && (!possible || (member.deaf && reason !== 'auth-failures'))) return 'channel-phase';
  const verdict = judgeFailure(reason);
  const cause = `${channel.media}: ${safeText(detail)}`;
  raise(work, verdict.event, member.id, id, cause);
  if (verdict.verdict === 'keep') return undefined;
  const reasonText = `${verdict.reasonText} (${channel.media})`;
  if (work.state.onNegotiationFailure === 'lower' && !gone) {
    giveUpSecurity(work, member.id, reasonText);
    return undefined;
  }
  work.effects.push({ type: 'end-call', member: member.id, status: verdict.status, reasonText });
  remove(work, member.id);
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
  remove(work, member);
  return undefined;
}

/** A channel has reached a level that meets what the conference requires. */
function prove(work: Work, memberId: MemberId, id: ChannelId, level: ProvenLevel): void {
  const channel = work.state.members.get(memberId)!.channels.find((candidate) => candidate.id === id)!;
  setChannel(work, memberId, { ...channel, phase: 'proven', level });
  settle(work);
}

function endBelow(
  work: Work,
  member: MemberId,
  channel: ChannelId,
  { event, status, reasonText }: Extract<ProvenVerdict, { readonly verdict: 'end' }>,
): void {
  raise(work, event, member, channel, reasonText);
  work.effects.push({ type: 'end-call', member, status, reasonText });
  remove(work, member);
}

function offender(channels: readonly JoinChannel[], line: number | undefined): ChannelId | undefined {
  return line === undefined ? undefined : channels[line]?.channel;
}
