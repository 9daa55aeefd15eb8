/** The chosen conference: its members and channels, its level over time, and what an operator may do with it. */
import { change } from './api.js';
import { ask } from './ask.js';
import { byId, element, securityLabel } from './dom.js';
import { timeline } from './timeline.js';
import type { Channel, ConferenceDetail, Member } from './types.js';
import { bitRate, lossOf, plural } from './words.js';

export class Detail {
  readonly #title = byId('detail-title', HTMLElement);
  readonly #body = byId('detail-body', HTMLElement);
  readonly #mayOperate: () => boolean;
  readonly #changed: () => void;
  #openDetails = false;

  /** @param changed something was done: show how it is now. */
  constructor(mayOperate: () => boolean, changed: () => void) {
    this.#mayOperate = mayOperate;
    this.#changed = changed;
  }

  clear(words: string): void {
    this.#title.textContent = 'No conference chosen';
    this.#body.replaceChildren(element('p', { class: 'quiet' }, words));
  }

  show(conference: ConferenceDetail): void {
    // What is made anew would lose the focus of somebody who works in it.
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    this.#openDetails = this.#body.querySelector('details')?.open ?? this.#openDetails;
    this.#title.textContent = `Conference ${conference.name}`;
    const { members, level, policy, locked, switching } = conference;
    const facts = `${policy}, ${switching} switching${locked ? ', locked' : ''}, ${plural(members.length, 'member')}`;
    this.#body.replaceChildren(
      element(
        'div',
        { class: 'bar' },
        securityLabel(level, members.length),
        element('span', { class: 'quiet' }, facts),
      ),
      ...(this.#mayOperate() ? [this.#controls(conference)] : []),
      element('h3', {}, 'Level over time'),
      timeline(conference.history, new Date()),
      element('h3', {}, 'Members'),
      ...(members.length === 0
        ? [element('p', { class: 'quiet' }, 'Nobody is in it.')]
        : members.map((member) => this.#member(conference.name, member))),
    );
    const details = this.#body.querySelector('details');
    if (details !== null) details.open = this.#openDetails;
    if (focused !== undefined) this.#body.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #controls({ name, locked, switching, members }: ConferenceDetail): HTMLElement {
    const path = `/conferences/${encodeURIComponent(name)}`;
    const other = switching === 'site' ? 'segment' : 'site';
    const inUse = members.length > 0;
    return element(
      'div',
      { class: 'bar', role: 'group', 'aria-label': `Controls of conference ${name}` },
      ...(inUse
        ? [
            this.#button(locked ? 'Unlock' : 'Lock', 'lock', () => change('PATCH', path, { locked: !locked })),
            this.#button(`Switch to ${other}`, 'switching', () => change('PATCH', path, { switching: other })),
            this.#button('New group key', 'rekey', () => change('POST', `${path}/rekey`)),
          ]
        : []),
      this.#asking('End…', 'end', {
        title: `End conference ${name}?`,
        body: [`${plural(members.length, 'member')} will be hung up.`],
        yes: 'End it',
        act: () => change('DELETE', path),
      }),
    );
  }

  #member(conference: string, member: Member): HTMLElement {
    const { id, name, level, ready, speaker, muted, channels } = member;
    const path = `/conferences/${encodeURIComponent(conference)}/members/${id}`;
    const mute = (media: 'audio' | 'video') =>
      this.#button(`${muted[media] ? 'Unmute' : 'Mute'} ${media}`, `${media} ${id}`, () =>
        change('PATCH', path, { muted: { [media]: !muted[media] } }),
      );
    const tags = [
      ...(speaker ? [element('span', { class: 'tag' }, 'speaks')] : []),
      ...(ready ? [] : [element('span', { class: 'tag' }, 'negotiating')]),
      ...(muted.audio ? [element('span', { class: 'tag' }, 'audio muted')] : []),
      ...(muted.video ? [element('span', { class: 'tag' }, 'video muted')] : []),
    ];
    const controls = element(
      'div',
      { class: 'bar', role: 'group', 'aria-label': `Controls of ${name}` },
      ...[mute('audio'), mute('video')],
      this.#asking('Drop…', `drop ${id}`, {
        title: `Drop ${name}?`,
        body: ['Its call is ended; it can dial in again unless the conference is locked.'],
        yes: 'Drop it',
        act: () => change('DELETE', path),
      }),
    );
    return element(
      'div',
      { class: 'member' },
      element('div', { class: 'bar' }, element('strong', {}, name), securityLabel(level), ...tags),
      ...(this.#mayOperate() ? [controls] : []),
      element('div', { class: 'wide' }, channelTable(name, channels)),
    );
  }

  #button(words: string, key: string, act: () => Promise<void>): HTMLButtonElement {
    const button = element('button', { type: 'button', 'data-key': key }, words);
    button.addEventListener('click', () => {
      act().then(this.#changed, (error: unknown) => {
        byId('announce', HTMLElement).textContent =
          `${words}: ${error instanceof Error ? error.message : String(error)}`;
        this.#changed();
      });
    });
    return button;
  }

  #asking(words: string, key: string, question: Parameters<typeof ask>[0]): HTMLButtonElement {
    const button = element('button', { type: 'button', 'data-key': key }, words);
    button.addEventListener('click', () =>
      ask({
        ...question,
        act: async () => {
          await question.act();
          this.#changed();
        },
      }),
    );
    return button;
  }
}

function channelTable(name: string, channels: readonly Channel[]): HTMLElement {
  const head = ['Channel', 'Security', 'From it', 'To it', 'Loss', 'Refused'].map((words) =>
    element('th', { scope: 'col' }, words),
  );
  const rows = channels.map((channel) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, channel.media),
      element('td', {}, securityLabel(channel.level)),
      element('td', {}, bitRate(channel.receivedBitsPerSecond)),
      element('td', {}, bitRate(channel.sentBitsPerSecond)),
      element('td', {}, lossOf(channel.lossFraction)),
      element('td', {}, plural(channel.refusedPackets, 'packet')),
    ),
  );
  return element(
    'table',
    {},
    element('caption', { class: 'unseen' }, `Channels of ${name}`),
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...rows),
  );
}
