import { type Logger, pino } from 'pino';
import type { Config } from './config.js';

export type { Logger };

/** One JSON line an entry on standard output. Secrets print as `[secret]` by themselves (base/secret). */
export function openLog(config: Config['log'], destination?: { write(line: string): void }): Logger {
  const options = { level: config.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return destination === undefined
    ? pino(options, pino.destination({ fd: 1, sync: true }))
    : pino(options, destination);
}

/**
 * Lets the first line of each kind through and then at most one summary an interval, so that nobody can fill the log by
 * sending bad packets or opening connections. Kinds have a group, of a fixed set, and a name, which a peer may choose: each
 * group has so many names an interval, and those beyond share one place, so that nobody can silence another group.
 */
export class LogThrottle {
  readonly #groups = new Map<string, Map<string, { since: number; suppressed: number }>>();

  constructor(
    private readonly intervalMs: number,
    private readonly maxNames: number,
  ) {}

  /** @returns how many were suppressed before this one, or undefined when this one is to be suppressed too. */
  admit(group: string, name: string, now: number): number | undefined {
    const names = this.#groups.get(group) ?? new Map<string, { since: number; suppressed: number }>();
    this.#groups.set(group, names);
    const full = (): boolean => names.size - (names.has(OTHERS) ? 1 : 0) >= this.maxNames;
    if (!names.has(name) && full()) {
      for (const [key, old] of names) {
        // The shared place keeps its count for its next summary.
        if (key !== OTHERS && now - old.since >= this.intervalMs) names.delete(key);
      }
    }
    const key = names.has(name) || !full() ? name : OTHERS;
    const entry = names.get(key);
    if (entry !== undefined && now - entry.since < this.intervalMs) {
      entry.suppressed++;
      return undefined;
    }
    names.set(key, { since: now, suppressed: 0 });
    return entry?.suppressed ?? 0;
  }
}

/** Lets so many lines of each kind through an interval; the first of the next one says how many were left out. */
export class LogBudget {
  readonly #kinds = new Map<string, { since: number; lines: number; suppressed: number }>();

  constructor(
    private readonly intervalMs: number,
    private readonly maxLines: number,
  ) {}

  /** @param kind of a fixed set. @returns as {@link LogThrottle.admit}. */
  admit(kind: string, now: number): number | undefined {
    const known = this.#kinds.get(kind);
    if (known === undefined || now - known.since >= this.intervalMs) {
      this.#kinds.set(kind, { since: now, lines: 1, suppressed: 0 });
      return known?.suppressed ?? 0;
    }
    known.lines++;
    if (known.lines <= this.maxLines) return 0;
    known.suppressed++;
    return undefined;
  }
}

/** No name that a peer could have. */
const OTHERS = '\n';
