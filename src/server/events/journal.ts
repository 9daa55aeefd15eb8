/**
 * Where security events go: limited by cause, into the store, then to whoever listens (log, page, webhook, syslog). When
 * the store fails, conferences go on: events wait in memory, an alarm says so, and they are written when it works again.
 */
import { AUDIT_RETRY_INTERVAL_MS, EVENT_MEMORY_RECORDS } from '../../base/limits.js';
import { makeEvent, type SecurityEvent } from '../../security/events.js';
import { EventLimit } from './event-limit.js';
import { type EventFilter, type EventRecord, fits } from './record.js';

/** What the journal needs of a store; each may throw. */
export interface EventStore {
  append(event: EventRecord, now: number): void;
  query(filter: EventFilter, limit: number): readonly EventRecord[];
  after(id: number, limit: number): readonly EventRecord[];
  lastId(): number;
  close(): void;
}

export interface JournalOptions {
  /** Opens the store; called again after a failure. Left out: events are in memory only. */
  readonly open?: () => EventStore;
  /** The store works no longer, or (undefined) again. */
  readonly onAlarm?: (problem: string | undefined) => void;
}

export type EventListener = (event: EventRecord) => void;

export class EventJournal {
  readonly #options: JournalOptions;
  readonly #limit = new EventLimit();
  readonly #listeners = new Set<EventListener>();
  /** Not in the store, in the order of their ids; the newest are kept. */
  readonly #waiting: EventRecord[] = [];
  #store: EventStore | undefined;
  #retryAt = 0;
  #problem: string | undefined;
  #lastId = 0;
  #lost = 0;

  constructor(options: JournalOptions = {}) {
    this.#options = options;
  }

  /** Why the store does not work; undefined: it does, or there is none. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Events that were in no store when memory had no more room for them. */
  get lost(): number {
    return this.#lost;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Opens the store, so that what is wrong with it is known before the first event. */
  start(now: number): void {
    this.#flush(now);
  }

  /** @returns the event as it was written, or undefined when it was counted only. */
  record(event: SecurityEvent, now: number): EventRecord | undefined {
    const suppressed = this.#limit.admit(event, now);
    return suppressed === undefined ? undefined : this.#write(event, suppressed, now);
  }

  /** To be called now and then: tells of what was counted only, and tries a store that failed. */
  tick(now: number): void {
    for (const { event, suppressed } of this.#limit.summaries(now)) this.#write(event, suppressed, now);
    if (this.#waiting.length > 0) this.#flush(now);
  }

  /** The newest first. */
  query(filter: EventFilter, limit: number): readonly EventRecord[] {
    const found = this.#waiting.filter((event) => fits(event, filter)).slice(-limit);
    const rest = limit - found.length;
    return [...found.reverse(), ...(rest > 0 ? this.#ask((store) => store.query(filter, rest)) : [])];
  }

  /** Those after the event `id`, the oldest first. */
  after(id: number, limit: number): readonly EventRecord[] {
    const stored = this.#ask((store) => store.after(id, limit));
    const first = this.#waiting.findLastIndex((event) => Number(event.id) <= id) + 1;
    return [...stored, ...this.#waiting.slice(first, first + limit - stored.length)];
  }

  /** @returns ends the listening. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(now: number): void {
    this.tick(now);
    this.#store?.close();
    this.#store = undefined;
  }

  #write(event: SecurityEvent, suppressed: number, now: number): EventRecord {
    const record: EventRecord = {
      id: this.#nextId(now),
      time: new Date(now).toISOString(),
      ...event,
      ...(suppressed === 0 ? {} : { suppressed }),
    };
    this.#waiting.push(record);
    this.#flush(now);
    for (const listener of this.#listeners) listener(record);
    return record;
  }

  /** It rises with the clock, so that it goes on rising after a restart; not below what is stored if the clock went back. */
  #nextId(now: number): string {
    this.#lastId = Math.max(this.#lastId + 1, Math.floor(now) * 1_000);
    return String(this.#lastId);
  }

  #flush(now: number): void {
    const { open } = this.#options;
    if (open !== undefined && now >= this.#retryAt) {
      try {
        if (this.#store === undefined) {
          this.#store = open();
          this.#lastId = Math.max(this.#lastId, this.#store.lastId());
        }
        let next = this.#waiting[0];
        for (; next !== undefined; next = this.#waiting[0]) {
          this.#store.append(next, now);
          this.#waiting.shift();
        }
        this.#setProblem(undefined, now);
      } catch (error) {
        this.#retryAt = now + AUDIT_RETRY_INTERVAL_MS;
        this.#setProblem(error instanceof Error ? error.message : String(error), now);
      }
    }
    const surplus = this.#waiting.length - EVENT_MEMORY_RECORDS;
    if (surplus <= 0) return;
    this.#waiting.splice(0, surplus);
    if (open !== undefined) this.#lost += surplus;
  }

  #setProblem(problem: string | undefined, now: number): void {
    const before = this.#problem;
    this.#problem = problem;
    if ((before === undefined) === (problem === undefined)) return;
    this.#options.onAlarm?.(problem);
    if (problem !== undefined) this.#write(makeEvent('audit-failed', { cause: problem }), 0, now);
  }

  #ask(read: (store: EventStore) => readonly EventRecord[]): readonly EventRecord[] {
    if (this.#store === undefined) return [];
    try {
      return read(this.#store);
    } catch (error) {
      // Reading changes nothing for those who are in a conference; the alarm is the writer's.
      this.#options.onAlarm?.(error instanceof Error ? error.message : String(error));
      return [];
    }
  }
}
