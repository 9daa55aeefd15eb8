/** The list of conferences: rows are kept and changed, so that an update of many costs little and moves nobody's focus. */
import { byId, element, securityLabel, setSecurity, setText } from './dom.js';
import type { Conference } from './types.js';
import { countsOf } from './words.js';

interface Row {
  readonly row: HTMLTableRowElement;
  readonly button: HTMLButtonElement;
  readonly security: HTMLElement;
  readonly policy: HTMLElement;
  readonly members: HTMLElement;
  readonly speaker: HTMLElement;
}

/** Name of the `performance.measure` of each update, layout included. */
export const UPDATE_MEASURE = 'claviger-update';

export class ConferenceList {
  readonly #body = byId('conference-rows', HTMLTableSectionElement);
  readonly #find = byId('find', HTMLInputElement);
  readonly #level = byId('level', HTMLSelectElement);
  readonly #rows = new Map<string, Row>();
  readonly #choose: (name: string) => void;
  #conferences: readonly Conference[] = [];
  #chosen: string | undefined;

  constructor(choose: (name: string) => void) {
    this.#choose = choose;
    this.#find.addEventListener('input', () => this.#filter());
    this.#level.addEventListener('input', () => this.#filter());
  }

  has(name: string): boolean {
    return this.#conferences.some((conference) => conference.name === name);
  }

  update(conferences: readonly Conference[]): void {
    const start = performance.now();
    this.#conferences = conferences;
    const present = new Set(conferences.map(({ name }) => name));
    for (const [name, { row }] of this.#rows) {
      if (present.has(name)) continue;
      row.remove();
      this.#rows.delete(name);
    }
    let before: Element | null = null;
    for (const conference of conferences) {
      const { row } = this.#show(conference);
      const place: Element | null = before === null ? this.#body.firstElementChild : before.nextElementSibling;
      if (place !== row) this.#body.insertBefore(row, place);
      before = row;
    }
    setText(byId('counts', HTMLElement), countsOf(conferences.map(({ level }) => level)));
    this.#filter();
    void this.#body.offsetHeight; // the layout belongs to what an update costs
    performance.measure(UPDATE_MEASURE, { start, end: performance.now() });
  }

  choose(name: string | undefined): void {
    const old = this.#chosen === undefined ? undefined : this.#rows.get(this.#chosen);
    old?.row.classList.remove('chosen');
    old?.button.removeAttribute('aria-current');
    this.#chosen = name;
    const row = name === undefined ? undefined : this.#rows.get(name);
    row?.row.classList.add('chosen');
    row?.button.setAttribute('aria-current', 'true');
  }

  #show(conference: Conference): Row {
    const { name, level, policy, requiredLevel, members, speaker, locked } = conference;
    const row = this.#rows.get(name) ?? this.#make(name);
    setSecurity(row.security, level, members);
    const required = policy === 'secure' ? `secure, ${requiredLevel}` : policy;
    setText(row.policy, locked ? `${required}; locked` : required);
    setText(row.members, String(members));
    setText(row.speaker, speaker ?? '');
    return row;
  }

  #make(name: string): Row {
    const button = element('button', { type: 'button', class: 'name' }, name);
    button.addEventListener('click', () => this.#choose(name));
    const security = securityLabel('unknown');
    const policy = element('td', { class: 'policy' });
    const members = element('td', { class: 'number' });
    const speaker = element('td', { class: 'speaker' });
    const row = element(
      'tr',
      {},
      element('th', { scope: 'row' }, button),
      element('td', {}, security),
      ...[policy, members, speaker],
    );
    const made = { row, button, security, policy, members, speaker };
    this.#rows.set(name, made);
    if (name === this.#chosen) this.choose(name);
    return made;
  }

  #filter(): void {
    const text = this.#find.value.trim().toLowerCase();
    const level = this.#level.value;
    let shown = 0;
    for (const conference of this.#conferences) {
      const words = `${conference.name} ${conference.speaker ?? ''}`.toLowerCase();
      const fits = words.includes(text) && (level === '' || conference.level === level);
      const row = this.#rows.get(conference.name)!.row;
      if (row.hidden === fits) row.hidden = !fits;
      if (fits) shown++;
    }
    byId('no-conferences', HTMLElement).hidden = shown > 0;
  }
}
