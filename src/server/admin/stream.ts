/** Security events as server-sent events (WHATWG HTML §9.2), resumed by Last-Event-ID. */
import type { ServerResponse } from 'node:http';
import {
  ADMIN_MAX_EVENT_STREAMS,
  ADMIN_MAX_UNREAD_STREAM_BYTES,
  ADMIN_STREAM_KEEPALIVE_MS,
} from '../../base/limits.js';
import type { EventJournal } from '../events/journal.js';
import { type EventFilter, type EventRecord, fits } from '../events/record.js';
import { invalidField, problem } from './problem.js';
import type { Answer } from './route.js';

const message = (event: EventRecord): string => `id: ${event.id}\nevent: security\ndata: ${JSON.stringify(event)}\n\n`;

/** Events that are read from the journal at once for a listener that catches up. */
const BATCH_EVENTS = 100;

/**
 * A listener gets what came after `lastEventId` first, as fast as it reads. One that does not read is cut, so that it
 * costs a bounded amount of memory and no other listener; it can come back and resume.
 */
export function streamEvents(journal: EventJournal, filter: EventFilter, lastEventId: string | undefined): Answer {
  if (lastEventId !== undefined && !/^\d{1,16}$/.test(lastEventId))
    return { problem: invalidField('header', 'Last-Event-ID', 'must be the id of an event') };
  if (journal.listeners >= ADMIN_MAX_EVENT_STREAMS)
    return { problem: problem('unavailable', `there are ${ADMIN_MAX_EVENT_STREAMS} listeners already`) };
  return {
    stream: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.flushHeaders();
      new EventStream(response, journal, filter, lastEventId === undefined ? undefined : Number(lastEventId));
    },
  };
}

class EventStream {
  readonly #response: ServerResponse;
  readonly #journal: EventJournal;
  readonly #filter: EventFilter;
  /** The last event sent, while older ones are still owed. */
  #owedAfter: number | undefined;
  #hasRead = true;

  constructor(response: ServerResponse, journal: EventJournal, filter: EventFilter, after: number | undefined) {
    this.#response = response;
    this.#journal = journal;
    this.#filter = filter;
    this.#owedAfter = after;
    const stop = journal.listen((event) => this.#live(event));
    const timer = setInterval(() => this.#keepAlive(), ADMIN_STREAM_KEEPALIVE_MS);
    response.on('close', () => {
      clearInterval(timer);
      stop();
    });
    response.on('drain', () => {
      this.#hasRead = true;
      this.#catchUp();
    });
    response.write(': \n\n');
    this.#catchUp();
  }

  #catchUp(): void {
    while (this.#owedAfter !== undefined && !this.#response.writableNeedDrain && !this.#response.destroyed) {
      const missed = this.#journal.after(this.#owedAfter, BATCH_EVENTS);
      for (const event of missed) if (fits(event, this.#filter)) this.#response.write(message(event));
      this.#owedAfter = missed.length === 0 ? undefined : Number(missed.at(-1)!.id);
    }
  }

  #live(event: EventRecord): void {
    if (this.#owedAfter !== undefined || this.#response.destroyed || !fits(event, this.#filter)) return;
    this.#response.write(message(event));
    const unread = this.#response.writableLength + (this.#response.socket?.writableLength ?? 0);
    if (unread > ADMIN_MAX_UNREAD_STREAM_BYTES) this.#response.destroy();
  }

  #keepAlive(): void {
    if (this.#response.writableNeedDrain && !this.#hasRead) {
      this.#response.destroy();
      return;
    }
    this.#hasRead = false;
    this.#response.write(': \n\n');
  }
}
