/** Elements by name and by id. Text goes in as text: what a caller calls itself is never markup. */
import type { Level } from './types.js';
import { type Lock, securityOf } from './words.js';

type Child = Node | string;

/** @param properties attributes; an event's listener is added with `on`. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** An element of the page itself; that it is missing is our own mistake. */
export function byId<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`no ${type.name} #${id} in the page`);
  return found;
}

/** Writes only what has changed: an update of many rows costs what is new in it. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(
  tag: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly Child[]
): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** The bow of each lock: shut, lifted on one side, swung open; and none. */
const BOW: Readonly<Record<Lock, string>> = {
  closed: 'M4 10V6a4 4 0 0 1 8 0v4',
  half: 'M4 10V5a4 4 0 0 1 8 0v1.5',
  open: 'M4 10V5a4 4 0 0 0-4-4',
  none: '',
};

function lockPicture(lock: Lock): SVGElement {
  const filled = lock === 'closed' ? 'currentColor' : 'none';
  const body = svg('rect', {
    x: 1.5,
    y: 10,
    width: 13,
    height: 9,
    rx: 1.5,
    fill: filled,
    stroke: 'currentColor',
    'stroke-width': 2,
  });
  if (lock === 'none') body.setAttribute('stroke-dasharray', '2 2');
  const bow = svg('path', {
    d: BOW[lock],
    fill: 'none',
    stroke: 'currentColor',
    'stroke-width': 2,
    'stroke-linecap': 'round',
  });
  return svg('svg', { viewBox: '-3 -1 21 22', 'aria-hidden': 'true', class: 'lock' }, bow, body);
}

/** A lock with its words; {@link setSecurity} changes it. */
export function securityLabel(level: Level, members?: number): HTMLElement {
  const label = element('span', { class: 'security' });
  setSecurity(label, level, members);
  return label;
}

export function setSecurity(label: HTMLElement, level: Level, members?: number): void {
  const { lock, words } = securityOf(level, members);
  if (label.lastChild?.textContent === words) return;
  label.className = `security lock-${lock}`;
  label.replaceChildren(lockPicture(lock), element('span', {}, words));
}
