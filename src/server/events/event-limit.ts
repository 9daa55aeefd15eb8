/**
 * How many events of one cause are kept in full. A cause is a code with whoever brought it about; each has a bucket of its
 * own, each code its own table of buckets, so that nobody's flood takes another's place. What is over is counted, and the
 * count comes with the next event of the cause, or with the last one suppressed when it has been quiet.
 */
import {
  EVENT_BURST_PER_CAUSE,
  EVENT_MAX_CAUSES_PER_CODE,
  EVENT_SUMMARY_INTERVAL_MS,
  EVENTS_PER_CAUSE_SECOND,
} from '../../base/limits.js';
import type { SecurityEvent } from '../../security/events.js';

interface Cause {
  tokens: number;
  at: number;
  suppressed: number;
  last: SecurityEvent | undefined;
}

const FULL_AFTER_MS = (EVENT_BURST_PER_CAUSE / EVENTS_PER_CAUSE_SECOND) * 1_000;

/** No name that a peer could have. */
const OTHERS = '\n';

export class EventLimit {
  readonly #codes = new Map<string, Map<string, Cause>>();
  #toldAt = 0;
  #forgotAt = 0;

  /** @returns how many were suppressed before this one; undefined: this one is to be counted only. */
  admit(event: SecurityEvent, now: number): number | undefined {
    const cause = this.#causeOf(event, now);
    cause.tokens = Math.min(EVENT_BURST_PER_CAUSE, cause.tokens + ((now - cause.at) * EVENTS_PER_CAUSE_SECOND) / 1_000);
    cause.at = now;
    if (cause.tokens < 1) {
      cause.suppressed++;
      cause.last = event;
      return undefined;
    }
    cause.tokens--;
    const { suppressed } = cause;
    cause.suppressed = 0;
    cause.last = undefined;
    return suppressed;
  }

  /** The last suppressed event of each cause that was not told of for so long, with how many there were before it. */
  summaries(now: number): readonly { readonly event: SecurityEvent; readonly suppressed: number }[] {
    if (now - this.#toldAt < EVENT_SUMMARY_INTERVAL_MS) return [];
    this.#toldAt = now;
    const due: { event: SecurityEvent; suppressed: number }[] = [];
    for (const causes of this.#codes.values()) {
      for (const cause of causes.values()) {
        if (cause.last === undefined) continue;
        due.push({ event: cause.last, suppressed: cause.suppressed - 1 });
        cause.suppressed = 0;
        cause.last = undefined;
      }
    }
    return due;
  }

  /** Forgets the causes that have been quiet until their buckets were full; not for each event of a flood. */
  #sweep(causes: Map<string, Cause>, now: number): void {
    if (now - this.#forgotAt < FULL_AFTER_MS / 10) return;
    this.#forgotAt = now;
    for (const [key, old] of causes) if (now - old.at > FULL_AFTER_MS && old.last === undefined) causes.delete(key);
  }

  #causeOf(event: SecurityEvent, now: number): Cause {
    const causes = this.#codes.get(event.code) ?? new Map<string, Cause>();
    this.#codes.set(event.code, causes);
    const name = event.source ?? `${event.conference ?? ''} ${event.endpoint ?? ''}`;
    if (!causes.has(name) && causes.size >= EVENT_MAX_CAUSES_PER_CODE) this.#sweep(causes, now);
    const key = causes.has(name) || causes.size < EVENT_MAX_CAUSES_PER_CODE ? name : OTHERS;
    const cause = causes.get(key) ?? { tokens: EVENT_BURST_PER_CAUSE, at: now, suppressed: 0, last: undefined };
    causes.set(key, cause);
    return cause;
  }
}
