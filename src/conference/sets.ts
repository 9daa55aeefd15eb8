/**
 * Group parameter sets of a conference (WIRE.md 4.2, 10): when a new one is made, to whom it goes, when old ones end.
 * Only SPI words are known here; control makes the keys. Pure.
 *
 * A member that held the newest set and leaves makes it due for replacement. New sets are MIN_SET_INTERVAL_MS apart, but
 * for a returning endpoint (its certificate was seen on a channel that closed since the newest set was made), and when
 * nobody holds a set, so that nobody is hurried by it. At most MAX_LIVE_SETS are alive; a returning endpoint waits for a
 * place. An operator may ask for a new set at any time, and a set that is older than `maxAgeMs` is due as well. An old set ends SWITCH_OLD_SET_GRACE_MS after everybody has the newer one, SWITCH_OLD_SET_LIMIT_MS after it was
 * sent at most: together with the interval, 30 s after a member left nothing that it can decrypt is relayed.
 */
import type { ChannelId } from '../base/ids.js';
import {
  MAX_LIVE_SETS,
  MAX_REMEMBERED_FINGERPRINTS,
  MIN_SET_INTERVAL_MS,
  SWITCH_OLD_SET_GRACE_MS,
  SWITCH_OLD_SET_LIMIT_MS,
} from '../base/limits.js';

export interface LiveSet {
  readonly spiWord: number;
  readonly madeMs: number;
  /** Channels that were sent it and have not ACKed. */
  readonly pending: ReadonlySet<ChannelId>;
  /** When the relay stops accepting it; undefined while it is the newest. */
  readonly dropMs: number | undefined;
}

export interface Taker {
  /** SHA-256 of its DTLS certificate, hex. */
  readonly fingerprint: string;
  /** The newest set it was sent, 0 before the first. */
  readonly spiWord: number;
  /** Its endpoint's old channel closed after that set was made: it needs a newer one at once. */
  readonly needsNewer: boolean;
}

export interface GroupSets {
  /** The last SPI word given out, 0 before the first: they rise by 2 and stay odd, and are never used twice. */
  readonly lastSpiWord: number;
  /** Oldest first. */
  readonly live: readonly LiveSet[];
  /** Channels that take sets. */
  readonly takers: ReadonlyMap<ChannelId, Taker>;
  /** Somebody who held the newest set has left, or the operator wants a new one. */
  readonly rekeyWanted: boolean;
  /** Certificates of takers that left since the newest set was made, oldest first. */
  readonly departed: readonly string[];
  /** A newest set that is older is replaced. */
  readonly maxAgeMs: number;
}

export const NO_SETS: GroupSets = {
  lastSpiWord: 0,
  live: [],
  takers: new Map(),
  rekeyWanted: false,
  departed: [],
  maxAgeMs: Number.POSITIVE_INFINITY,
};

/** The highest SPI word that can be given out: 16 bits, lowest bit 1. */
export const LAST_SPI_WORD = 0xffff;

export type SetEffect =
  | { readonly type: 'make-set'; readonly spiWord: number }
  | { readonly type: 'send-set'; readonly channel: ChannelId; readonly spiWord: number }
  | { readonly type: 'drop-set'; readonly spiWord: number };

export interface SetStep {
  readonly sets: GroupSets;
  readonly effects: readonly SetEffect[];
  /** A set was due and all SPI words are used: the conference cannot go on. */
  readonly exhausted: boolean;
}

/**
 * A channel has proven that it can take sets: it gets the newest, or a new one.
 * @param returning another call of the same endpoint is still there: what it sent under the sets so far counts against it
 */
export function addTaker(
  sets: GroupSets,
  channel: ChannelId,
  fingerprint: string,
  now: number,
  returning = false,
): SetStep {
  const takers = new Map(sets.takers).set(channel, {
    fingerprint,
    spiWord: 0,
    needsNewer: returning || sets.departed.includes(fingerprint),
  });
  return settle({ ...sets, takers }, now);
}

/**
 * `left`: its member is gone. `replaced`: its endpoint has taken over with a new call, and channels with the same certificate
 * need a newer set at once. `lowered`: the member stays, at a level that has no sets; nobody is there who must not read on.
 */
export type Departure = 'left' | 'replaced' | 'lowered';

/** Channels that take sets no longer; others are ignored. */
export function removeTakers(
  sets: GroupSets,
  channels: readonly ChannelId[],
  departure: Departure,
  now: number,
): SetStep {
  const takers = new Map(sets.takers);
  const newest = sets.live.at(-1)?.spiWord;
  const departed: string[] = [];
  /** They may have sent under the newest set. */
  const hadNewest: string[] = [];
  let { live, rekeyWanted } = sets;
  for (const channel of channels) {
    const leaving = takers.get(channel);
    if (leaving === undefined) continue;
    takers.delete(channel);
    if (live.at(-1)?.pending.has(channel) === false) hadNewest.push(leaving.fingerprint);
    live = live.map((set) => acknowledge(set, channel));
    if (leaving.spiWord === 0 || departure === 'lowered') continue;
    rekeyWanted ||= leaving.spiWord === newest;
    departed.push(leaving.fingerprint);
  }
  for (const [channel, taker] of takers) {
    if (departure === 'replaced' && hadNewest.includes(taker.fingerprint))
      takers.set(channel, { ...taker, needsNewer: true });
  }
  return settle(
    {
      ...sets,
      takers,
      live,
      rekeyWanted,
      departed: [...new Set([...sets.departed, ...departed])].slice(-MAX_REMEMBERED_FINGERPRINTS),
    },
    now,
  );
}

/** These channels are closed, and their endpoint is still here: no set is due for what it knows. */
export function releaseTakers(sets: GroupSets, channels: readonly ChannelId[], now: number): SetStep {
  const takers = new Map(sets.takers);
  let { live } = sets;
  for (const channel of channels) {
    takers.delete(channel);
    live = live.map((set) => acknowledge(set, channel));
  }
  return settle({ ...sets, takers, live }, now);
}

/** The channel's endpoint has changed its certificate. */
export function rekeyTaker(sets: GroupSets, channel: ChannelId, fingerprint: string): GroupSets {
  const taker = sets.takers.get(channel);
  return taker === undefined ? sets : { ...sets, takers: new Map(sets.takers).set(channel, { ...taker, fingerprint }) };
}

/** A new set is wanted though nobody left; nothing while nobody holds one. */
export function rekey(sets: GroupSets, now: number): SetStep {
  return settle({ ...sets, rekeyWanted: sets.live.length > 0 }, now);
}

/** Undefined when the set was never sent to the channel, is gone, or was acknowledged already. */
export function ackSet(sets: GroupSets, channel: ChannelId, spiWord: number, now: number): SetStep | undefined {
  if (sets.live.find((set) => set.spiWord === spiWord)?.pending.has(channel) !== true) return undefined;
  // Newer includes older: an endpoint that has installed a set needs no acknowledgement of those before it.
  const live = sets.live.map((set) => (set.spiWord <= spiWord ? acknowledge(set, channel) : set));
  return settle({ ...sets, live }, now);
}

/** Whether any set sent to the channel is not acknowledged. */
export function awaitsAck(sets: GroupSets, channel: ChannelId): boolean {
  return sets.live.some((set) => set.pending.has(channel));
}

/** Does what is due at `now`: drops old sets, makes a new one, hands the newest to who has none. */
export function settle(before: GroupSets, now: number): SetStep {
  const effects: SetEffect[] = [];
  const takers = [...before.takers];
  const held = takers.some(([, taker]) => taker.spiWord !== 0);
  const live: LiveSet[] = [];
  for (const set of withGrace(before.live, now)) {
    if (held && (set.dropMs ?? Number.POSITIVE_INFINITY) > now) live.push(set);
    else effects.push({ type: 'drop-set', spiWord: set.spiWord });
  }
  let sets: GroupSets = { ...before, live };

  const newest = live.at(-1);
  const due =
    newest === undefined
      ? takers.length > 0
      : takers.some(([, taker]) => taker.needsNewer) || now >= rekeyAt(sets, newest);
  if (due && live.length < MAX_LIVE_SETS) {
    if (sets.lastSpiWord >= LAST_SPI_WORD) return { sets, effects, exhausted: true };
    const spiWord = sets.lastSpiWord === 0 ? 1 : sets.lastSpiWord + 2;
    effects.push({ type: 'make-set', spiWord });
    const limit = now + SWITCH_OLD_SET_LIMIT_MS;
    sets = {
      ...sets,
      lastSpiWord: spiWord,
      live: [
        ...live.map((set) => ({ ...set, dropMs: Math.min(set.dropMs ?? limit, limit) })),
        { spiWord, madeMs: now, pending: new Set(), dropMs: undefined },
      ],
      rekeyWanted: false,
      departed: [],
    };
    return { sets: send(sets, [...sets.takers.keys()], effects), effects, exhausted: false };
  }
  // A returning endpoint that found no place waits; an ordinary one gets the newest set there is.
  const ordinary = takers.filter(([, taker]) => taker.spiWord === 0 && !taker.needsNewer).map(([channel]) => channel);
  if (newest !== undefined && ordinary.length > 0) sets = send(sets, ordinary, effects);
  return { sets, effects, exhausted: false };
}

/** When `settle` has something to do, ms. */
export function setsDeadline(sets: GroupSets): number | undefined {
  const times = sets.live.flatMap((set) => set.dropMs ?? []);
  const newest = sets.live.at(-1);
  // While MAX_LIVE_SETS are alive, the first of them that ends makes place.
  if (newest !== undefined && sets.live.length < MAX_LIVE_SETS) times.push(rekeyAt(sets, newest));
  const earliest = Math.min(...times);
  return Number.isFinite(earliest) ? earliest : undefined;
}

function rekeyAt({ rekeyWanted, maxAgeMs }: GroupSets, newest: LiveSet): number {
  return newest.madeMs + (rekeyWanted ? MIN_SET_INTERVAL_MS : maxAgeMs);
}

function send(sets: GroupSets, channels: readonly ChannelId[], effects: SetEffect[]): GroupSets {
  const newest = sets.live.at(-1)!;
  const takers = new Map(sets.takers);
  for (const channel of channels) {
    takers.set(channel, { ...takers.get(channel)!, spiWord: newest.spiWord, needsNewer: false });
    effects.push({ type: 'send-set', channel, spiWord: newest.spiWord });
  }
  const pending = new Set([...newest.pending, ...channels]);
  return { ...sets, takers, live: [...sets.live.slice(0, -1), { ...newest, pending }] };
}

/** Once everybody has a set, those before it have SWITCH_OLD_SET_GRACE_MS left. */
function withGrace(live: readonly LiveSet[], now: number): readonly LiveSet[] {
  const complete = live.findLastIndex((set) => set.pending.size === 0);
  const limit = now + SWITCH_OLD_SET_GRACE_MS;
  return live.map((set, index) =>
    index < complete && (set.dropMs ?? limit) >= limit ? { ...set, dropMs: limit } : set,
  );
}

function acknowledge(set: LiveSet, channel: ChannelId): LiveSet {
  if (!set.pending.has(channel)) return set;
  const pending = new Set(set.pending);
  pending.delete(channel);
  return { ...set, pending };
}
