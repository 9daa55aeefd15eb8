/**
 * How a conference gets to a level and from one to another (REQUIREMENTS C3 to C10). A secure and a non-secure conference
 * stay at theirs. A best-effort one has a `target`, what its weakest endpoint can, and every member is led there: on the way
 * down it is told first (NOTIFY, ACKed), then offered what goes with the level (a re-INVITE), and only when everybody was told
 * does media of the lower level flow to anybody (`mediaLevel`). Nothing here waits: {@link settle} does what is possible now.
 */
import type { MemberId } from '../base/ids.js';
import { LEVEL_CHANGE_ANSWER_TIMEOUT_MS, NOTIFY_TOLD_TIMEOUT_MS, RESTORE_DELAY_MS } from '../base/limits.js';
import { atMost, levelOfEndpoint, lower, meets, type ProvenLevel } from '../security/levels.js';
import { AUDIO_ONLY, capabilityOf, type RefusalReason } from '../security/policy.js';
import type { Channel, Member, State, Transport } from './contract.js';
import { applySets, countedChannels, giveSet, raise, setChannel, setMember, takeOut } from './members.js';
import { replan } from './plan.js';
import type { Work } from './routing.js';
import { rekey, removeTakers } from './sets.js';

/** What follows from the members as they are now. */
export function settle(work: Work): void {
  if (work.state.policy === 'best-effort') {
    aim(work);
    for (const id of work.state.members.keys()) lead(work, id);
    openLower(work);
    markReady(work);
    finishRestore(work);
  } else markReady(work);
  replan(work);
}

/** A member is gone, by its own will or not. @param replaced its endpoint has taken over with a new call (WIRE.md 10). */
export function remove(work: Work, id: MemberId, replaced = false): void {
  const channels = takeOut(work, id);
  settle(work);
  applySets(work, removeTakers(work.state.sets, channels, replaced ? 'replaced' : 'left', work.now));
  if (work.state.members.size === 0 && work.state.phase === 'open') work.effects.push({ type: 'empty' });
}

/** The member could not follow the change of level (C5). */
export function lose(work: Work, id: MemberId, cause: string): void {
  raise(work, 'member-lost', id, undefined, cause);
  work.effects.push({ type: 'end-call', member: id, status: 488, reasonText: cause });
  remove(work, id);
}

/**
 * What `channels` of a member have shown counts for what it can (best-effort): what one of them lacks at once, what all of
 * its m-lines have when the last has shown it. An offer alone may lower, never raise (C9).
 */
export function assess(work: Work, id: MemberId, channels: readonly Channel[]): void {
  const member = work.state.members.get(id)!;
  if (member.deaf || work.state.policy !== 'best-effort') return;
  const shown = (channel: Channel) => channel.transport === 'plain' || channel.standard || channel.tip !== undefined;
  let { capability, lack } = member;
  const note = (level: ProvenLevel, reason: RefusalReason, text: string, channel?: Channel) => {
    if (capability !== 'unknown' && meets(level, capability)) return;
    capability = level;
    lack = { reason, text, channel: channel?.id };
  };
  for (const channel of channels.filter(shown)) {
    const { transport, tip, media } = channel;
    const can = capabilityOf({ transport, ...(tip === undefined ? {} : { tip }) });
    if (can.lack !== undefined) note(can.level, can.lack.reason, `${media}: ${can.lack.text}`, channel);
  }
  const complete = member.channels.every((channel) => channel.late || shown(channel));
  if (complete && capability === 'unknown') capability = 'end-to-end';
  if (capability === 'end-to-end' && member.channels.every(({ media }) => media === 'audio')) {
    note('hop-by-hop', AUDIO_ONLY.reason, AUDIO_ONLY.text);
  }
  if (capability === member.capability) return;
  setMember(work, { ...member, capability, lack });
  // C8: kept low by what it is, not by its user's choice of plain RTP.
  if (capability === 'hop-by-hop' && !meets(capability, work.state.target)) {
    raise(work, 'endpoint-not-capable', id, lack?.channel, lack!.text);
  }
}

/** Its negotiation failed, and the operator wants the conference lowered rather than the call ended (C10). */
export function giveUpSecurity(work: Work, id: MemberId, text: string): void {
  const member = work.state.members.get(id)!;
  setMember(work, {
    ...member,
    capability: 'none',
    lack: { reason: 'negotiation-failed', text, channel: undefined },
    deaf: true,
    tellByMs: undefined,
  });
  settle(work);
}

/** It stays as it is, and so does the conference (C7). */
export function refuseRestore(work: Work, id: MemberId, text: string): void {
  const member = work.state.members.get(id)!;
  setMember(work, {
    ...member,
    capability: 'none',
    lack: { reason: 'restore-refused', text, channel: undefined },
    move: undefined,
  });
  settle(work);
}

/** Drops who has not answered in time, and goes back up when it is time. */
export function climb(work: Work): void {
  const due = (at: number | undefined) => at !== undefined && at <= work.now;
  for (const { id, tellByMs, move } of [...work.state.members.values()]) {
    if (due(tellByMs)) lose(work, id, 'the security icon was not acknowledged in time');
    else if (due(move?.byMs)) lose(work, id, 'the re-INVITE to the new level was not answered in time');
  }
  if (due(work.state.restoreAtMs)) settle(work);
}

/** When {@link climb} has something to do, ms. */
export function ladderDeadline(state: State): number | undefined {
  if (state.policy !== 'best-effort') return undefined;
  const times = [...state.members.values()].flatMap(({ tellByMs, move }) => [tellByMs ?? [], move?.byMs ?? []].flat());
  if (state.restoreAtMs !== undefined) times.push(state.restoreAtMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Fixes the target: down at once, up only where the operator wants it and when it has been possible for a while. */
export function aim(work: Work): void {
  const { state, now } = work;
  if (state.policy !== 'best-effort') return;
  const known = [...state.members.values()].filter(({ capability }) => capability !== 'unknown');
  if (known.length === 0) return;
  const can = (member: Member) => atMost(member.capability as ProvenLevel, state.levels);
  const possible = known.map(can).reduce(lower);
  const higher = !meets(state.target, possible);
  if (!meets(possible, state.target)) lowerTo(work, possible, known.find((member) => can(member) === possible)!);
  else if (!higher || state.restore === 'never') work.state = { ...state, restoreAtMs: undefined };
  else if (state.restoreAtMs === undefined) work.state = { ...state, restoreAtMs: now + RESTORE_DELAY_MS };
  else if (state.restoreAtMs <= now) {
    work.state = { ...state, target: possible, restoreAtMs: undefined };
    // Who never went down still holds a set; nobody is to be read under one that was in use before (C7).
    if (possible === 'end-to-end') applySets(work, rekey(work.state.sets, now));
  }
}

function lowerTo(work: Work, target: ProvenLevel, culprit: Member): void {
  const { state } = work;
  const next: State = { ...state, target, started: true, restoreAtMs: undefined };
  if (state.started && meets(target, state.inForce)) {
    // Only the way back up is given up, which nobody was told of.
    work.state = next;
    return;
  }
  const text = culprit.lack?.text ?? 'it is below the level of the conference';
  const concerned = [...state.members.values()].filter((member) => member.ready && member.id !== culprit.id);
  const change = { from: state.started ? state.inForce : ('unknown' as const), to: target };
  raise(
    work,
    state.started ? 'conference-downgraded' : 'conference-started-low',
    culprit.id,
    culprit.lack?.channel,
    `from ${change.from} to ${target}: ${text}`,
    { ...change, members: concerned.map(({ id }) => id) },
  );
  // What was said of an earlier change says nothing of this one: everybody is told anew.
  const untold = (channel: Channel): Channel => ({ ...channel, notified: undefined, confirmed: undefined });
  const members = [...state.members].map(
    ([id, member]) => [id, { ...member, channels: member.channels.map(untold), tellByMs: undefined }] as const,
  );
  work.state = { ...next, inForce: target, members: new Map(members) };
}

/** Channels above the target, which have to come down. */
function above({ channels }: Member, target: ProvenLevel): readonly Channel[] {
  if (target === 'end-to-end') return [];
  return channels.filter(({ transport, standard, level }) => {
    // The switch reads what comes from a standard endpoint anyway; its line to the switch need not become clear for others.
    if (transport === 'plain' || standard) return false;
    return target === 'none' || level === 'end-to-end';
  });
}

/** Those on which a member can be told; version 6 knows no NOTIFY (WIRE.md 4). */
function tellable(member: Member, target: ProvenLevel): readonly Channel[] {
  if (member.deaf) return [];
  return above(member, target).filter(({ tip }) => tip !== undefined && tip.version >= 7);
}

function isTold(member: Member, target: ProvenLevel): boolean {
  return tellable(member, target).every(({ confirmed }) => confirmed === false);
}

/** One member's next step towards the target. */
function lead(work: Work, id: MemberId): void {
  const { target } = work.state;
  const member = work.state.members.get(id);
  if (member === undefined || member.capability === 'unknown' || member.move !== undefined) return;
  if (!meets(member.capability, target)) return;
  for (const channel of member.channels) {
    if (channel.standard && channel.phase === 'negotiating')
      setChannel(work, id, { ...channel, phase: 'proven', level: 'hop-by-hop' });
  }
  if (above(member, target).length > 0) lowerMember(work, member);
  else if (member.tellByMs !== undefined) setMember(work, { ...member, tellByMs: undefined });
  if (target === 'none' || above(member, target).length > 0) return;
  if (member.channels.some(({ transport }) => transport === 'plain')) return startMove(work, id, 'dtls');
  for (const channel of member.channels) if (!channel.standard) raiseChannel(work, id, channel, target);
}

function lowerMember(work: Work, member: Member): void {
  const { target } = work.state;
  const channels = tellable(member, target);
  for (const channel of channels) {
    if (channel.notified === false) continue;
    work.effects.push({ type: 'notify', channel: channel.id, secure: false });
    setChannel(work, member.id, { ...channel, notified: false, confirmed: undefined });
  }
  const current = work.state.members.get(member.id)!;
  if (!isTold(current, target)) {
    setMember(work, { ...current, tellByMs: current.tellByMs ?? work.now + NOTIFY_TOLD_TIMEOUT_MS });
    return;
  }
  setMember(work, { ...current, tellByMs: undefined });
  if (target === 'none') return startMove(work, member.id, 'plain');
  const leaving = above(current, target);
  for (const channel of leaving) setChannel(work, member.id, { ...channel, phase: 'proven', level: target });
  const ids = leaving.map(({ id }) => id);
  applySets(work, removeTakers(work.state.sets, ids, 'lowered', work.now));
}

function startMove(work: Work, id: MemberId, to: Transport): void {
  const member = work.state.members.get(id)!;
  setMember(work, { ...member, move: { to, byMs: work.now + LEVEL_CHANGE_ANSWER_TIMEOUT_MS } });
  work.effects.push({ type: 'move', member: id, to });
}

/** A channel of DTLS whose TIP is done, to a level above none. */
function raiseChannel(work: Work, id: MemberId, channel: Channel, target: ProvenLevel): void {
  const waiting = channel.phase === 'negotiating' && channel.tip !== undefined;
  if (target === 'hop-by-hop') {
    if (!waiting && channel.phase !== 'distributing') return;
    setChannel(work, id, { ...channel, phase: 'proven', level: target });
    applySets(work, removeTakers(work.state.sets, [channel.id], 'lowered', work.now));
  } else if (waiting || (channel.phase === 'proven' && channel.level === 'hop-by-hop')) {
    setChannel(work, id, { ...channel, phase: 'distributing', level: 'unknown' });
    giveSet(work, work.state.members.get(id)!, channel);
  }
}

/** Everybody who was there was told, or is gone: the lower level's media may flow (C5). */
function openLower(work: Work): void {
  const { target, mediaLevel, members } = work.state;
  if (meets(target, mediaLevel)) return;
  const waiting = [...members.values()].some((member) => {
    if (!member.ready || above(member, target).length === 0) return false;
    // Who cannot be told by NOTIFY is told by the re-INVITE that it answers.
    return tellable(member, target).length === 0 || !isTold(member, target);
  });
  if (!waiting) setMediaLevel(work, target);
}

/** Everybody is back where the conference was before (C7). */
function finishRestore(work: Work): void {
  const { target, inForce: from, mediaLevel, members } = work.state;
  if (meets(from, target)) return;
  const known = [...members.values()].filter(({ capability }) => capability !== 'unknown');
  const there = ({ ready, level, move }: Member) => ready && level === target && move === undefined;
  if (known.length === 0 || !known.every(there)) return;
  work.effects.push({
    type: 'security-event',
    code: 'conference-restored',
    cause: `from ${from} to ${target}: every endpoint is capable of it again`,
    members: known.map(({ id }) => id),
    from,
    to: target,
  });
  work.state = { ...work.state, inForce: target };
  if (mediaLevel !== target) setMediaLevel(work, target);
}

function setMediaLevel(work: Work, level: ProvenLevel): void {
  work.state = { ...work.state, mediaLevel: level };
  work.effects.push({ type: 'media-level', level });
}

/** Who is ready, and what the relay has to know of their channels. */
function markReady(work: Work): void {
  const { mediaLevel } = work.state;
  // One copy of the table for all of them: every event comes through here.
  let members: Map<MemberId, Member> | undefined;
  for (const member of work.state.members.values()) {
    const counted = countedChannels(member);
    const level = levelOfEndpoint(counted.map((channel) => channel.level));
    const ready = meets(level, mediaLevel) && counted.every((each) => each.phase === 'proven' && each.level === level);
    let changed = ready !== member.ready;
    const channels = member.channels.map((channel) => {
      const told = { level: channel.level, ready: ready && channel.phase === 'proven' };
      if (told.level === channel.told.level && told.ready === channel.told.ready) return channel;
      changed = true;
      work.effects.push({ type: 'channel-parameters', channel: channel.id, ...told });
      return { ...channel, told };
    });
    if (!changed && (!ready || level === member.level)) continue;
    members ??= new Map(work.state.members);
    members.set(member.id, { ...member, channels, ready, level: ready ? level : 'unknown' });
  }
  if (members === undefined) return;
  const started = work.state.started || [...members.values()].some((member) => member.ready);
  work.state = { ...work.state, members, started };
}
