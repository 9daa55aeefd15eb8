/** A picture of a conference's level over time: steps between three lines, and the same as a table. */
import { element, svg } from './dom.js';
import type { Level, LevelChange } from './types.js';
import { securityOf, timeOf } from './words.js';

const WIDTH = 640;
const HEIGHT = 150;
const LEFT = 90;
const RIGHT = 12;
const LINES: readonly (readonly [Level, string, number])[] = [
  ['end-to-end', 'end-to-end', 20],
  ['hop-by-hop', 'hop-by-hop', 55],
  ['none', 'not secure', 90],
  ['unknown', 'not known', 120],
];
const heightOf = (level: Level): number => LINES.find(([name]) => name === level)![2];

/** @param history oldest first; the last is in force. */
export function timeline(history: readonly LevelChange[], now: Date): HTMLElement {
  if (history.length === 0) return element('p', { class: 'quiet' }, 'Its level has not changed yet.');
  const first = Date.parse(history[0]!.time);
  const span = Math.max(1, now.getTime() - first);
  const x = (time: number): number => LEFT + ((time - first) / span) * (WIDTH - LEFT - RIGHT);
  let path = '';
  for (const [i, { time, level }] of history.entries()) {
    const at = x(Date.parse(time)).toFixed(1);
    path += i === 0 ? `M${at} ${heightOf(level)}` : `H${at}V${heightOf(level)}`;
  }
  path += `H${WIDTH - RIGHT}`;
  const last = history.at(-1)!;
  const label = `Level over time: ${history.length} entries since ${timeOf(history[0]!.time, now)}, now ${last.level}`;
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'timeline', role: 'img', 'aria-label': label },
    ...LINES.flatMap(([, words, y]) => [
      svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: 'grid' }),
      svg('text', { x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, words),
    ]),
    svg('path', { d: path, class: 'level' }),
    svg('circle', { cx: WIDTH - RIGHT, cy: heightOf(last.level), r: 4, class: 'mark' }),
    svg('text', { x: LEFT, y: HEIGHT - 6 }, timeOf(history[0]!.time, now)),
    svg('text', { x: WIDTH - RIGHT, y: HEIGHT - 6, 'text-anchor': 'end' }, 'now'),
  );
  const rows = [...history]
    .reverse()
    .slice(0, 50)
    .map(({ time, level }) =>
      element('tr', {}, element('td', {}, timeOf(time, now)), element('td', {}, securityOf(level).words)),
    );
  const head = element('tr', {}, element('th', { scope: 'col' }, 'Since'), element('th', { scope: 'col' }, 'Level'));
  const table = element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows));
  return element(
    'div',
    {},
    element('div', { class: 'wide' }, picture),
    element('details', {}, element('summary', {}, 'As a table'), table),
  );
}
