/** What the demos have in common when they show something: a timeline, and tables. */

export interface TimelineEntry {
  /** Milliseconds since the timeline began. */
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
}

export class Timeline {
  readonly entries: TimelineEntry[] = [];
  #beganAt = Number.POSITIVE_INFINITY;

  constructor(private readonly say: (line: string) => void) {}

  /** Until then nothing is noted, and it is before everything. */
  begin(): void {
    this.#beganAt = performance.now();
  }

  now(): number {
    return performance.now() - this.#beganAt;
  }

  /** @returns the time that it was noted with. */
  note(who: string, what: string): number {
    const atMs = Math.round(this.now() * 10) / 10;
    if (Number.isFinite(atMs)) {
      this.entries.push({ atMs, who, what });
      this.say(`${atMs.toFixed(1).padStart(8)} ms  ${who}: ${what}`);
    }
    return atMs;
  }
}

/** The first column to the left, the others to the right, each as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
}
