/** The live list of security events, with filters and older pages; what is new and bad is announced. */
import { follow, get } from './api.js';
import { byId, element, setText } from './dom.js';
import type { EventCode, SecurityEvent, Severity } from './types.js';
import { isAtLeast, plural, timeOf } from './words.js';

const PAGE = 100;
const KEPT = 1_000;

export class EventList {
  readonly #list = byId('event-list', HTMLOListElement);
  readonly #severity = byId('severity', HTMLSelectElement);
  readonly #code = byId('code', HTMLSelectElement);
  readonly #conference = byId('event-conference', HTMLInputElement);
  readonly #older = byId('older', HTMLButtonElement);
  readonly #onNew: (event: SecurityEvent) => void;
  /** The newest first. */
  #events: SecurityEvent[] = [];
  #stop: (() => void) | undefined;

  constructor(onNew: (event: SecurityEvent) => void) {
    this.#onNew = onNew;
    for (const input of [this.#severity, this.#code, this.#conference])
      input.addEventListener('input', () => void this.#load());
    this.#older.addEventListener('click', () => void this.#loadOlder());
  }

  async start(): Promise<void> {
    const codes = await get<EventCode[]>('/events/catalogue');
    this.#code.replaceChildren(
      element('option', { value: '' }, 'all'),
      ...codes.map(({ code }) => element('option', { value: code }, code)),
    );
    byId('catalogue', HTMLElement).replaceChildren(
      ...codes.flatMap(({ code, severity, cause, remedy }) => [
        element('dt', {}, `${code} (${severity})`),
        element('dd', {}, cause.replace(/\{(\w+)\}/g, '<$1>')),
        element('dd', {}, `What to do: ${remedy}`),
      ]),
    );
    await this.#load();
    this.#stop?.();
    this.#stop = follow(this.#events[0]?.id, {
      onEvent: (event) => this.#take(event),
      onState: (live) => {
        setText(byId('events-state', HTMLElement), live ? 'live' : 'not live: connecting again');
        if (live && this.#events.length === 0) void this.#catchUp();
      },
    });
  }

  /** Without an event to resume from, the stream does not tell what happened between the list and its own beginning. */
  async #catchUp(): Promise<void> {
    const missed = await get<SecurityEvent[]>(`/events?${this.#query()}`);
    for (const event of missed.reverse()) this.#take(event);
  }

  stop(): void {
    this.#stop?.();
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (this.#severity.value !== 'info') query.set('severity', this.#severity.value);
    if (this.#code.value !== '') query.set('code', this.#code.value);
    const conference = this.#conference.value.trim();
    if (/^[A-Za-z0-9._-]{1,64}$/.test(conference)) query.set('conference', conference);
    return query;
  }

  async #load(): Promise<void> {
    this.#events = await get<SecurityEvent[]>(`/events?${this.#query()}`);
    this.#list.replaceChildren(...this.#events.map(item));
    this.#finish(this.#events.length === PAGE);
  }

  async #loadOlder(): Promise<void> {
    const query = this.#query();
    const last = this.#events.at(-1);
    if (last !== undefined) query.set('before', last.id);
    const older = await get<SecurityEvent[]>(`/events?${query}`);
    this.#events.push(...older);
    this.#list.append(...older.map(item));
    this.#finish(older.length === PAGE && this.#events.length < KEPT);
  }

  #take(event: SecurityEvent): void {
    this.#onNew(event);
    if (this.#events.some(({ id }) => id === event.id) || !this.#fits(event)) return;
    this.#events.unshift(event);
    this.#list.prepend(item(event));
    if (this.#events.length > KEPT) {
      this.#events.pop();
      this.#list.lastElementChild?.remove();
    }
    this.#finish(!this.#older.hidden);
    if (isAtLeast(event.severity, 'warn'))
      byId('announce', HTMLElement).textContent = `${event.severity}: ${event.cause}. What to do: ${event.remedy}`;
  }

  #fits(event: SecurityEvent): boolean {
    const conference = this.#conference.value.trim();
    return (
      isAtLeast(event.severity, this.#severity.value as Severity) &&
      (this.#code.value === '' || event.code === this.#code.value) &&
      (conference === '' || event.conference === conference)
    );
  }

  #finish(hasOlder: boolean): void {
    byId('no-events', HTMLElement).hidden = this.#events.length > 0;
    this.#older.hidden = !hasOlder;
  }
}

function item(event: SecurityEvent): HTMLLIElement {
  const { id, time, code, severity, conference, endpoint, source, cause, remedy, suppressed } = event;
  const about = [
    ...(conference === undefined ? [] : [`conference ${conference}`]),
    ...(endpoint === undefined ? [] : [endpoint]),
    ...(source === undefined ? [] : [`from ${source}`]),
  ].join(', ');
  const more = suppressed === undefined ? '' : ` (${plural(suppressed, 'more like it', 'more like it')} before it)`;
  return element(
    'li',
    { class: severity, 'data-id': id },
    element('time', { datetime: time, class: 'quiet' }, timeOf(time, new Date())),
    ' ',
    element('span', { class: 'tag' }, severity),
    ' ',
    element('strong', {}, code),
    element('span', { class: 'quiet' }, ` ${about}${more}`),
    element('p', {}, cause),
    element('p', {}, element('strong', {}, 'What to do: '), remedy),
  );
}
