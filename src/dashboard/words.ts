/** What the page says: levels, rates and times in words. No browser in here. */
import type { Level, Severity } from './types.js';

export type Lock = 'closed' | 'half' | 'open' | 'none';

interface Security {
  readonly lock: Lock;
  /** Says the same as the lock, for those who do not see it. */
  readonly words: string;
}

/** The lock of a level; nothing that is not proven is shown as secure. */
export function securityOf(level: Level, members?: number): Security {
  switch (level) {
    case 'end-to-end':
      return { lock: 'closed', words: 'Closed lock: end-to-end' };
    case 'hop-by-hop':
      return { lock: 'half', words: 'Half-closed lock: hop-by-hop' };
    case 'none':
      return { lock: 'open', words: 'Open lock: not secure' };
    case 'unknown':
      return { lock: 'none', words: members === 0 ? 'No lock: nobody is in it' : 'No lock: not known yet' };
  }
}

export function bitRate(bitsPerSecond: number): string {
  if (bitsPerSecond < 1_000) return `${Math.round(bitsPerSecond)} bit/s`;
  if (bitsPerSecond < 1_000_000) return `${Math.round(bitsPerSecond / 1_000)} kbit/s`;
  return `${(bitsPerSecond / 1_000_000).toFixed(1)} Mbit/s`;
}

export function lossOf(fraction: number | null): string {
  return fraction === null ? 'not known' : `${(fraction * 100).toFixed(1)} %`;
}

/** Local time; with the date when it is not today. */
export function timeOf(iso: string, now: Date): string {
  const time = new Date(iso);
  const clock = time.toLocaleTimeString([], { hour12: false });
  return time.toDateString() === now.toDateString() ? clock : `${time.toLocaleDateString()} ${clock}`;
}

const SEVERITIES: readonly Severity[] = ['info', 'warn', 'error', 'critical'];

export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** How many at each level, worst first: what an operator looks for. */
export function countsOf(levels: readonly Level[]): string {
  const order: readonly (readonly [Level, string])[] = [
    ['none', 'not secure'],
    ['hop-by-hop', 'hop-by-hop'],
    ['end-to-end', 'end-to-end'],
    ['unknown', 'not known or empty'],
  ];
  const parts = order
    .map(([level, words]) => [levels.filter((l) => l === level).length, words] as const)
    .filter(([n]) => n > 0)
    .map(([n, words]) => `${n} ${words}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}
