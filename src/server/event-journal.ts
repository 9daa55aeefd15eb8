/** Security events as readers see them: by query, or live as they are written. */
import { EVENT_MEMORY_RECORDS } from '../base/limits.js';
import type { SecurityEvent, SecurityEventCode, Severity } from '../security/events.js';

/** An event with its number and time; numbers rise, also from one run of the process to the next. */
export interface EventRecord extends SecurityEvent {
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly time: string;
  /** Events of the same cause before this one that were counted only. */
  readonly suppressed?: number;
}

export interface EventFilter {
  readonly code?: SecurityEventCode | undefined;
  /** This severity or worse. */
  readonly severity?: Severity | undefined;
  readonly conference?: string | undefined;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Ids below this one. */
  readonly before?: number;
}

export type EventListener = (event: EventRecord) => void;

const SEVERITIES: readonly Severity[] = ['info', 'warn', 'error', 'critical'];

/** Those as bad as `severity` or worse. */
export function severitiesFrom(severity: Severity): readonly Severity[] {
  return SEVERITIES.slice(SEVERITIES.indexOf(severity));
}

export function fits(event: EventRecord, filter: EventFilter): boolean {
  const { code, severity, conference, sinceMs, untilMs, before } = filter;
  const time = Date.parse(event.time);
  return (
    (code === undefined || event.code === code) &&
    (severity === undefined || severitiesFrom(severity).includes(event.severity)) &&
    (conference === undefined || event.conference === conference) &&
    (sinceMs === undefined || time >= sinceMs) &&
    (untilMs === undefined || time < untilMs) &&
    (before === undefined || Number(event.id) < before)
  );
}

export class EventJournal {
  readonly #records: EventRecord[] = [];
  readonly #listeners = new Set<EventListener>();
  #last = 0;

  /** The next event's number: it rises with the clock, so that it goes on rising after a restart. */
  nextId(now: number): string {
    this.#last = Math.max(this.#last + 1, Math.floor(now) * 1_000);
    return String(this.#last);
  }

  append(event: EventRecord): void {
    this.#records.push(event);
    if (this.#records.length > EVENT_MEMORY_RECORDS) this.#records.splice(0, EVENT_MEMORY_RECORDS / 10);
    for (const listener of this.#listeners) listener(event);
  }

  /** The newest first. */
  query(filter: EventFilter, limit: number): readonly EventRecord[] {
    const found: EventRecord[] = [];
    for (let i = this.#records.length - 1; i >= 0 && found.length < limit; i--) {
      const event = this.#records[i]!;
      if (fits(event, filter)) found.push(event);
    }
    return found;
  }

  /** Those after the event `id`, the oldest first. */
  after(id: number, limit: number): readonly EventRecord[] {
    const newer = this.#records.findLastIndex((event) => Number(event.id) <= id) + 1;
    return this.#records.slice(newer, newer + limit);
  }

  /** @returns ends the listening. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}
