/**
 * Asking cameras for refresh points (REQUIREMENTS S3): at most one request a source in REFRESH_MIN_INTERVAL_MS, and again
 * after REFRESH_REPEAT_MS without an answer while a sink still waits, REFRESH_MAX_REQUESTS times at most.
 */
import type { ChannelId } from '../base/ids.js';
import { REFRESH_MAX_REQUESTS, REFRESH_MIN_INTERVAL_MS, REFRESH_REPEAT_MS } from '../base/limits.js';
import { channelOf, positionOf, type SourceKey } from './speaker.js';

export interface RefreshRequest {
  readonly lastRequestMs: number;
  /** When the source last had a refresh point since; a sink that missed it is helped REFRESH_REPEAT_MS later. */
  readonly lastRefreshMs: number;
  /** Requests since a sink last began to wait. */
  readonly requests: number;
  /** A request that had to wait for the minimum interval. */
  readonly owed: boolean;
  /** Sinks (receiver channel and sink in one key) that still show something else. */
  readonly waiting: ReadonlySet<SourceKey>;
}

export type RefreshRequests = ReadonlyMap<SourceKey, RefreshRequest>;

export interface RefreshStep {
  readonly requests: RefreshRequests;
  /** Sources to ask now. */
  readonly ask: readonly { readonly channel: ChannelId; readonly position: number }[];
}

const NEVER = Number.NEGATIVE_INFINITY;
const FRESH: RefreshRequest = {
  lastRequestMs: NEVER,
  lastRefreshMs: NEVER,
  requests: 0,
  owed: false,
  waiting: new Set(),
};

/** A picture of `source` is wanted; `waiting` are sinks that will tell (`switched`) when they have it. */
export function wantRefresh(
  requests: RefreshRequests,
  source: SourceKey,
  waiting: readonly SourceKey[],
  now: number,
): RefreshStep {
  const before = requests.get(source) ?? FRESH;
  const entry = {
    ...before,
    owed: true,
    requests: waiting.length > 0 ? 0 : before.requests,
    waiting: waiting.length > 0 ? new Set([...before.waiting, ...waiting]) : before.waiting,
  };
  return askDue(new Map(requests).set(source, entry), [source], now);
}

/** The source had a refresh point: who waits has 1 s to tell before the source is asked again. */
export function sawRefresh(requests: RefreshRequests, source: SourceKey, now: number): RefreshRequests {
  const entry = requests.get(source);
  if (entry === undefined || entry.waiting.size === 0) return requests;
  return new Map(requests).set(source, { ...entry, lastRefreshMs: now });
}

/** `sink` has changed over to `source`. */
export function sawSwitch(requests: RefreshRequests, source: SourceKey, sink: SourceKey): RefreshRequests {
  const entry = requests.get(source);
  if (entry === undefined || !entry.waiting.has(sink)) return requests;
  const waiting = new Set(entry.waiting);
  waiting.delete(sink);
  return new Map(requests).set(source, { ...entry, waiting, owed: entry.owed && waiting.size > 0 });
}

/**
 * Forgets sinks that no longer want their source, and sources of no interest.
 * @param planned the source planned for each sink.
 * @param exists whether the source's channel is still there: its last request is remembered while the interval runs.
 */
export function forgetRefresh(
  requests: RefreshRequests,
  planned: ReadonlyMap<SourceKey, SourceKey>,
  exists: (source: SourceKey) => boolean,
  now: number,
): RefreshRequests {
  if (requests.size === 0) return requests;
  const watched = new Set(planned.values());
  const kept = new Map<SourceKey, RefreshRequest>();
  for (const [source, entry] of requests) {
    if (!exists(source)) continue;
    const waiting = new Set([...entry.waiting].filter((sink) => planned.get(sink) === source));
    const owed = entry.owed && watched.has(source);
    if (waiting.size === 0 && !owed && now >= entry.lastRequestMs + REFRESH_MIN_INTERVAL_MS) continue;
    kept.set(source, { ...entry, waiting, owed });
  }
  return kept;
}

/** Asks what is due at `now`. */
export function askDue(requests: RefreshRequests, sources: Iterable<SourceKey>, now: number): RefreshStep {
  const ask: { channel: ChannelId; position: number }[] = [];
  let next: Map<SourceKey, RefreshRequest> | undefined;
  for (const source of sources) {
    const entry = requests.get(source);
    if (entry === undefined || (dueAt(entry) ?? Number.POSITIVE_INFINITY) > now) continue;
    next ??= new Map(requests);
    next.set(source, { ...entry, owed: false, requests: entry.requests + 1, lastRequestMs: now });
    ask.push({ channel: channelOf(source), position: positionOf(source) });
  }
  return { requests: next ?? requests, ask };
}

/** When the next request is due, ms. */
export function refreshDeadline(requests: RefreshRequests): number | undefined {
  let deadline: number | undefined;
  for (const entry of requests.values()) {
    const due = dueAt(entry);
    if (due !== undefined && (deadline === undefined || due < deadline)) deadline = due;
  }
  return deadline;
}

function dueAt(entry: RefreshRequest): number | undefined {
  if (entry.owed) return entry.lastRequestMs + REFRESH_MIN_INTERVAL_MS;
  if (entry.waiting.size === 0 || entry.requests >= REFRESH_MAX_REQUESTS) return undefined;
  return Math.max(entry.lastRequestMs, entry.lastRefreshMs) + REFRESH_REPEAT_MS;
}
