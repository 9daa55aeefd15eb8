/**
 * The conference as one transition function (DESIGN.md 3): `reduce(state, event, now)` gives a new state and effects, and
 * changes nothing it was given. `now` is in ms since the Unix epoch and never goes back; when {@link deadline} has passed,
 * the caller sends `tick`.
 */
import { ACTIVITY_WEIGH_DELAY_MS, MAX_PENDING_ACTIVITY_REPORTS } from '../base/limits.js';
import { ok, type Result, refuse, unreachable } from '../base/result.js';
import { atMost, type ProvenLevel } from '../security/levels.js';
import { checkPolicy, type PolicyProblem } from '../security/policy.js';
import type { ConferenceEvent, ConferenceOptions, Effect, IllegalReason, Reduced, State } from './contract.js';
import { flowDeadline } from './flow.js';
import { climb, ladderDeadline } from './ladder.js';
import { applySets, close } from './members.js';
import { acked, addChannels, drop, failed, join, keyed, leave, mute, negotiated, withoutTip } from './membership.js';
import { moved, moveRefused, notFollowed, notifyAcked } from './moves.js';
import { replan, weigh } from './plan.js';
import { askDue, refreshDeadline, sawRefresh, sawSwitch, wantRefresh } from './refresh.js';
import { applyRefresh, channelById, sendingChannel, transmitMask, updateFlow, type Work } from './routing.js';
import { claim, direction, rekeyed, removeChannels } from './session.js';
import { NO_SETS, rekey, setsDeadline, settle } from './sets.js';
import { DEFAULT_SPEAKER_PARAMETERS, SILENT, SPEAKING_POSITIONS, sourceKey } from './speaker.js';

const ALL_LEVELS: readonly ProvenLevel[] = ['none', 'hop-by-hop', 'end-to-end'];

/** SRTP suite and EKT cipher that fit each other (WIRE.md 4.3). */
const SUITES: readonly (readonly [suite: number, cipher: number])[] = [
  [1, 1],
  [1, 2],
  [17, 3],
  [18, 4],
];

/** A conference without members. Refuses an unknown policy, a level that does not fit it, an unknown suite. */
export function createConference(options: ConferenceOptions): Result<State, PolicyProblem | 'unknown-suite'> {
  const { suite = 1, cipher = 1, levels = ALL_LEVELS, onNegotiationFailure = 'end-call' } = options;
  const checked = checkPolicy(options.policy, options.requiredLevel, onNegotiationFailure);
  if (!checked.ok) return checked;
  const { policy, requiredLevel } = checked.value;
  const level = policy === 'best-effort' ? atMost('end-to-end', levels) : requiredLevel;
  if (!SUITES.some((pair) => pair[0] === suite && pair[1] === cipher)) {
    return refuse('unknown-suite', `SRTP suite ${suite} with EKT cipher ${cipher} is not defined`);
  }
  return ok({
    id: options.id,
    name: options.name,
    policy,
    requiredLevel,
    restore: options.restore ?? 'never',
    onNegotiationFailure,
    levels,
    target: level,
    mediaLevel: level,
    inForce: level,
    started: false,
    restoreAtMs: undefined,
    suite,
    cipher,
    speakerParameters: { ...DEFAULT_SPEAKER_PARAMETERS, ...options.speaker },
    phase: 'open',
    members: new Map(),
    owners: new Map(),
    nextJoinOrder: 1,
    sets: { ...NO_SETS, maxAgeMs: options.rekeyAfterMs ?? NO_SETS.maxAgeMs },
    speaker: SILENT,
    activity: { pending: undefined, count: 0, weighAtMs: undefined },
    refresh: new Map(),
    flow: new Map(),
    switching: options.switching ?? 'site',
    locked: false,
    routes: { audio: [], video: [] },
    level: 'unknown',
    shownSpeaker: undefined,
  });
}

/** One transition. An illegal event gives back the very same state and the single effect `illegal`. */
export function reduce(state: State, event: ConferenceEvent, now: number): Reduced {
  const work: Work = { state, effects: [], now };
  const why = state.phase === 'closed' && event.type !== 'join' ? closedTo(event) : step(work, event);
  if (why === undefined) return { state: work.state, effects: work.effects };
  const illegal: Effect = { type: 'illegal', event: event.type, why };
  return { state, effects: [illegal] };
}

/** When a `tick` is wanted, ms; undefined: only events move the conference. */
export function deadline(state: State): number | undefined {
  if (state.phase === 'closed') return undefined;
  const times = [
    setsDeadline(state.sets),
    refreshDeadline(state.refresh),
    flowDeadline(state.flow),
    state.activity.weighAtMs,
  ];
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function closedTo(event: ConferenceEvent): IllegalReason | undefined {
  return event.type === 'tick' ? undefined : 'closed';
}

function step(work: Work, event: ConferenceEvent): IllegalReason | undefined {
  switch (event.type) {
    case 'join':
      return join(work, event);
    case 'add-channels':
      return addChannels(work, event);
    case 'remove-channels':
      return removeChannels(work, event);
    case 'without-tip':
      return withoutTip(work, event);
    case 'channel-direction':
      return direction(work, event);
    case 'channel-rekeyed':
      return rekeyed(work, event);
    case 'claim':
      return claim(work, event);
    case 'channel-keyed':
      return keyed(work, event);
    case 'channel-negotiated':
      return negotiated(work, event);
    case 'set-acked':
      return acked(work, event);
    case 'channel-failed':
      return failed(work, event);
    case 'leave':
      return leave(work, event);
    case 'notify-acked':
      return notifyAcked(work, event);
    case 'moved':
      return moved(work, event);
    case 'move-refused':
      return moveRefused(work, event);
    case 'not-followed':
      return notFollowed(work, event);
    case 'activity':
      return activity(work, event);
    case 'refresh':
      if (!work.state.owners.has(event.channel)) return 'unknown-channel';
      setRefresh(work, sawRefresh(work.state.refresh, sourceKey(event.channel, event.position), work.now));
      return undefined;
    case 'refresh-wanted':
      return refreshWanted(work, event.receiver, event.sink);
    case 'switched': {
      if (!work.state.owners.has(event.receiver) || !work.state.owners.has(event.source)) return 'unknown-channel';
      const source = sourceKey(event.source, event.position);
      setRefresh(work, sawSwitch(work.state.refresh, source, sourceKey(event.receiver, event.sink)));
      return undefined;
    }
    case 'set-switching':
      if (event.mode === work.state.switching) return undefined;
      work.state = { ...work.state, switching: event.mode };
      replan(work);
      return undefined;
    case 'lock':
      if (event.locked !== work.state.locked) work.state = { ...work.state, locked: event.locked };
      return undefined;
    case 'mute':
      return mute(work, event);
    case 'drop':
      return drop(work, event);
    case 'rekey':
      applySets(work, rekey(work.state.sets, work.now));
      return undefined;
    case 'tick':
      tick(work);
      return undefined;
    case 'close':
      if (event.reason === 'stopping') close(work, 503, 'the switch is stopping');
      else close(work, 410, 'the conference was ended by its operator');
      return undefined;
    default:
      return unreachable(event, 'conference');
  }
}

/** Reports come in bursts, one a source: they are kept and weighed together, so that a report costs no copy of a table. */
function activity(work: Work, report: Extract<ConferenceEvent, { type: 'activity' }>): IllegalReason | undefined {
  const { state, now } = work;
  const owner = state.owners.get(report.channel);
  if (owner === undefined) return 'unknown-channel';
  const channel = sendingChannel(state.members.get(owner)!, 'audio');
  // Video, a place that was not negotiated, an endpoint that is not ready or is muted: nothing that anybody could be
  // speaking from.
  const spoken = SPEAKING_POSITIONS.includes(report.position);
  if (!spoken || channel?.id !== report.channel) return undefined;
  if ((transmitMask(channel) & (1 << report.position)) === 0) return undefined;
  const { pending, count, weighAtMs } = state.activity;
  work.state = {
    ...state,
    activity: {
      pending: { report, next: pending },
      count: count + 1,
      weighAtMs: weighAtMs ?? now + ACTIVITY_WEIGH_DELAY_MS,
    },
  };
  if (count + 1 >= MAX_PENDING_ACTIVITY_REPORTS) weigh(work);
  return undefined;
}

function refreshWanted(work: Work, receiver: number, sink: number): IllegalReason | undefined {
  if (!work.state.owners.has(receiver)) return 'unknown-channel';
  const edge = work.state.routes.video.find((candidate) => candidate.receiver === receiver && candidate.sink === sink);
  if (edge === undefined || channelById(work.state, edge.source) === undefined) return undefined;
  applyRefresh(work, wantRefresh(work.state.refresh, sourceKey(edge.source, edge.position), [], work.now));
  return undefined;
}

function setRefresh(work: Work, refresh: State['refresh']): void {
  if (refresh !== work.state.refresh) work.state = { ...work.state, refresh };
}

function tick(work: Work): void {
  const { now } = work;
  const due = (time: number | undefined) => time !== undefined && time <= now;
  if (due(ladderDeadline(work.state))) climb(work);
  if (due(setsDeadline(work.state.sets))) applySets(work, settle(work.state.sets, now));
  if (work.state.phase === 'closed') return;
  if (due(work.state.activity.weighAtMs)) weigh(work);
  if (due(refreshDeadline(work.state.refresh))) {
    applyRefresh(work, askDue(work.state.refresh, work.state.refresh.keys(), now));
  }
  if (due(flowDeadline(work.state.flow))) updateFlow(work);
}
