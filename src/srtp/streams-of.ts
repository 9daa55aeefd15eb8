import type { EktStreams, SetLookup } from './ekt-streams.js';
import { FieldStreams } from './field-streams.js';
import type { EktSuite } from './group-set.js';
import { TagStreams } from './tag-streams.js';

/** An empty table of streams for a conference's suite: how keys travel under it (WIRE.md 4.3) is known here alone. */
export function streamsOf(suite: EktSuite, setOf: SetLookup, limit: number, evictsKeyless = false): EktStreams {
  return suite === 1
    ? new TagStreams(setOf, limit, evictsKeyless)
    : new FieldStreams(suite, setOf, limit, evictsKeyless);
}
