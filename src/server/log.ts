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
 * sending bad packets or opening connections.
 */
export class LogThrottle {
  readonly #kinds = new Map<string, { since: number; suppressed: number }>();

  constructor(
    private readonly intervalMs: number,
    private readonly maxKinds: number,
  ) {}

  /** @returns how many were suppressed before this one, or undefined when this one is to be suppressed too. */
  admit(kind: string, now: number): number | undefined {
    const entry = this.#kinds.get(kind);
    if (entry !== undefined && now - entry.since < this.intervalMs) {
      entry.suppressed++;
      return undefined;
    }
    if (entry === undefined && this.#kinds.size >= this.maxKinds) {
      for (const [key, old] of this.#kinds) if (now - old.since >= this.intervalMs) this.#kinds.delete(key);
      if (this.#kinds.size >= this.maxKinds) return undefined;
    }
    this.#kinds.set(kind, { since: now, suppressed: 0 });
    return entry?.suppressed ?? 0;
  }
}
