/**
 * The lattice of security levels (WIRE.md 1, REQUIREMENTS C6): `none` < `hop-by-hop` < `end-to-end`, and `unknown` beside
 * it for what is not proven yet. `unknown` is never shown as secure and does not count towards a conference's level.
 */
export type ProvenLevel = 'none' | 'hop-by-hop' | 'end-to-end';
export type Level = 'unknown' | ProvenLevel;

const RANK: Readonly<Record<ProvenLevel, number>> = { none: 0, 'hop-by-hop': 1, 'end-to-end': 2 };

/** True when `level` is proven and at least `required`; an unknown level meets nothing. */
export function meets(level: Level, required: ProvenLevel): boolean {
  return level !== 'unknown' && RANK[level] >= RANK[required];
}

/** The lower of two proven levels. */
export function lower(a: ProvenLevel, b: ProvenLevel): ProvenLevel {
  return RANK[a] <= RANK[b] ? a : b;
}

/** The level of a call from those of its channels: unknown while any is unknown or there is none, else the lowest (C6). */
export function levelOfEndpoint(channels: readonly Level[]): Level {
  let result: Level = 'unknown';
  for (const level of channels) {
    if (level === 'unknown') return 'unknown';
    result = result === 'unknown' ? level : lower(result, level);
  }
  return result;
}

/** The level of a conference: the lowest of its proven endpoints; unknown while none is proven (C6, C9). */
export function levelOfConference(endpoints: readonly Level[]): Level {
  let result: Level = 'unknown';
  for (const level of endpoints) {
    if (level === 'unknown') continue;
    result = result === 'unknown' ? level : lower(result, level);
  }
  return result;
}

/** The highest of `available` that is not above `level`: what a switch that does not carry every level makes of it. */
export function atMost(level: ProvenLevel, available: readonly ProvenLevel[]): ProvenLevel {
  return available.filter((one) => meets(level, one)).reduce((a, b) => (meets(a, b) ? a : b), 'none');
}
