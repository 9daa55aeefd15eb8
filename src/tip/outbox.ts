/**
 * Requests on their way: one outstanding for each packet type, repeated until ACKed, the rest of the type behind it. Two at
 * a time would not do, because a receiver drops the older of two that arrive in the wrong order and never ACKs it.
 */
import {
  NOTIFY_TOLD_TIMEOUT_MS,
  SPIMAP_TIMEOUT_MS,
  TIP_MAX_QUEUED_PER_TYPE,
  TIP_RETRANSMIT_INTERVAL_MS,
  TIP_RETRANSMIT_LIMIT,
} from '../base/limits.js';
import type { TipKind, TipRequest } from '../wire/tip.js';
import { ntpOf } from './ntp.js';

type WithoutNtp<T> = T extends unknown ? Omit<T, 'ntp'> : never;
/** A request that has no timestamp yet. */
export type Unstamped = WithoutNtp<TipRequest>;
export type UnstampedOf<K extends TipKind> = Extract<Unstamped, { readonly type: K }>;

interface Outstanding {
  readonly request: Unstamped;
  readonly ntp: bigint;
  readonly firstAt: number;
  repeatAt: number;
  repeats: number;
}

interface Lane {
  outstanding: Outstanding | undefined;
  waiting: Unstamped[];
  /** Highest timestamp given out; timestamps of a type rise strictly (WIRE.md 4). */
  lastNtp: bigint;
}

export type Posted =
  | { readonly is: 'posted' }
  /** It took the place of a waiting request, which will never be sent. */
  | { readonly is: 'superseded'; readonly request: Unstamped }
  | { readonly is: 'full' };

/** How long an unacknowledged request lives, in ms from its first sending. */
function lifetimeMs(kind: TipKind): number {
  if (kind === 'spimap') return SPIMAP_TIMEOUT_MS;
  if (kind === 'notify') return NOTIFY_TOLD_TIMEOUT_MS;
  return TIP_RETRANSMIT_LIMIT * TIP_RETRANSMIT_INTERVAL_MS;
}

/** MUXCTRL and MEDIAOPTS are the negotiation; everything else waits until it is done. */
function isNegotiation(kind: TipKind): boolean {
  return kind === 'muxctrl' || kind === 'mediaopts';
}

/** Whether `b` makes a waiting `a` pointless: the newest word on the same thing counts. */
function replaces(a: Unstamped, b: Unstamped): boolean {
  if (a.type === 'refresh' && b.type === 'refresh') return a.targetCsrc === b.targetCsrc;
  if (a.type === 'txflowctrl' && b.type === 'txflowctrl') return a.targetCsrc === b.targetCsrc;
  if (a.type === 'rxflowctrl' && b.type === 'rxflowctrl') return a.targetCsrc === b.targetCsrc;
  return true;
}

export class Outbox {
  readonly #lanes = new Map<TipKind, Lane>();
  readonly #send: (request: Unstamped, ntp: bigint) => void;
  #open = false;

  /** @param send called for every sending and every repetition. */
  constructor(send: (request: Unstamped, ntp: bigint) => void) {
    this.#send = send;
  }

  /** Sends the request now, or when its turn comes. */
  post(request: Unstamped, now: number): Posted {
    const lane = this.#lane(request.type);
    // WIRE.md 10: a joiner gets the newest set only; a member needs every one, since others may still send under it.
    if (request.type !== 'spimap' || !this.#open) {
      const at = lane.waiting.findIndex((waiting) => replaces(waiting, request));
      const old = lane.waiting[at];
      if (old !== undefined) {
        lane.waiting[at] = request;
        return { is: 'superseded', request: old };
      }
    }
    if (lane.waiting.length >= TIP_MAX_QUEUED_PER_TYPE) return { is: 'full' };
    lane.waiting.push(request);
    this.#next(lane, now);
    return { is: 'posted' };
  }

  /** The negotiation is done: what waited for it goes out. */
  open(now: number): void {
    this.#open = true;
    this.flush(now);
  }

  /** Sends what waits where nothing is outstanding. */
  flush(now: number): void {
    for (const lane of this.#lanes.values()) this.#next(lane, now);
  }

  /** Takes the outstanding request that (kind, ntp) acknowledges; undefined when there is none. The next waits for {@link flush}. */
  acked(kind: TipKind, ntp: bigint): { readonly request: Unstamped; readonly firstAt: number } | undefined {
    const lane = this.#lane(kind);
    const { outstanding } = lane;
    if (outstanding === undefined || outstanding.ntp !== ntp) return undefined;
    lane.outstanding = undefined;
    return outstanding;
  }

  /**
   * Repeats what is due; gives the requests whose time is over, which are no longer here. What waits behind those goes out
   * with the next {@link flush}, so that nothing is sent after a failure.
   */
  advance(now: number): Unstamped[] {
    const expired: Unstamped[] = [];
    for (const [kind, lane] of this.#lanes) {
      const { outstanding } = lane;
      if (outstanding === undefined) continue;
      if (now >= outstanding.firstAt + lifetimeMs(kind)) {
        expired.push(outstanding.request);
        lane.outstanding = undefined;
      } else if (now >= outstanding.repeatAt) {
        outstanding.repeats += 1;
        outstanding.repeatAt =
          outstanding.repeats < TIP_RETRANSMIT_LIMIT ? now + TIP_RETRANSMIT_INTERVAL_MS : Number.POSITIVE_INFINITY;
        this.#send(outstanding.request, outstanding.ntp);
      }
    }
    return expired;
  }

  /** Takes away the requests of `kind` that `unwanted` names, outstanding or waiting; they are not sent again. */
  withdraw<K extends TipKind>(kind: K, unwanted: (request: UnstampedOf<K>) => boolean = () => true): UnstampedOf<K>[] {
    const lane = this.#lane(kind);
    const gone: UnstampedOf<K>[] = [];
    const stays = (request: Unstamped | undefined): boolean => {
      // A lane holds requests of its own kind only.
      if (request === undefined || !unwanted(request as UnstampedOf<K>)) return true;
      gone.push(request as UnstampedOf<K>);
      return false;
    };
    if (!stays(lane.outstanding?.request)) lane.outstanding = undefined;
    lane.waiting = lane.waiting.filter(stays);
    return gone;
  }

  deadline(): number | undefined {
    let earliest = Number.POSITIVE_INFINITY;
    for (const [kind, { outstanding }] of this.#lanes) {
      if (outstanding === undefined) continue;
      earliest = Math.min(earliest, outstanding.repeatAt, outstanding.firstAt + lifetimeMs(kind));
    }
    return Number.isFinite(earliest) ? earliest : undefined;
  }

  #lane(kind: TipKind): Lane {
    let lane = this.#lanes.get(kind);
    if (lane === undefined) {
      lane = { outstanding: undefined, waiting: [], lastNtp: 0n };
      this.#lanes.set(kind, lane);
    }
    return lane;
  }

  #next(lane: Lane, now: number): void {
    const [request] = lane.waiting;
    if (request === undefined || lane.outstanding !== undefined) return;
    if (!this.#open && !isNegotiation(request.type)) return;
    lane.waiting.shift();
    const clock = ntpOf(now);
    lane.lastNtp = clock > lane.lastNtp ? clock : lane.lastNtp + 1n;
    lane.outstanding = {
      request,
      ntp: lane.lastNtp,
      firstAt: now,
      repeatAt: now + TIP_RETRANSMIT_INTERVAL_MS,
      repeats: 0,
    };
    this.#send(request, lane.lastNtp);
  }
}
