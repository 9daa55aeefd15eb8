/** The arithmetic of the benches. */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of at least one value; the mean of the two in the middle for an even count. */
export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError('nothing to summarise');
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** To `digits` significant digits, as a number: what `--json` and the table give. */
export function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** The value that `share` (0 to 1) of the values do not exceed, by nearest rank. `sorted` ascending, at least one. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) throw new RangeError('nothing to rank');
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1]!;
}

/** Modulo 2^32, for counters of 32 bits that may wrap between two readings. */
export function difference32(later: number, earlier: number): number {
  return (later - earlier) >>> 0;
}
