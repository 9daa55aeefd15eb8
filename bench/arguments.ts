/** The command line of the benches. */
import { parseArgs } from 'node:util';
import type { Media } from '../src/base/ids.js';
import { FANOUT_COUNTED, FANOUT_DEFAULTS, FANOUT_MEDIA, FANOUT_RECEIVERS } from './fanout.js';
import { JOIN_COUNTED, JOIN_DEFAULTS } from './join-engines.js';
import { RETAG_COUNTED, RETAG_DEFAULTS, RETAG_SIZES } from './retag.js';

export const BENCHES = ['retag', 'fanout', 'join'] as const;
export type BenchName = (typeof BENCHES)[number];

export const MIN_ROUNDS = 5;
const MAX_ROUNDS = 1_000;
const MAX_PACKETS = 10_000_000;
const MAX_RECEIVERS = 4_000;

export interface BenchOptions {
  readonly bench: BenchName;
  readonly json: boolean;
  readonly rounds: number;
  readonly packets: number;
  readonly receivers: readonly number[];
  readonly media: readonly Media[];
}

export type Parsed =
  | { readonly kind: 'run'; readonly options: BenchOptions }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'refused'; readonly message: string };

export const HELP = `usage: npm run bench -- BENCH [--json] [--rounds N] [--packets N] [--receivers N,N,...] [--media audio|video]

Measures on this machine, on 127.0.0.1 only; table on standard output, progress on standard error. Compare figures of one
run only: they are taken side by side.

  --json         one JSON object {"bench","machine","runs":[...]} on the last line instead of the table
  --rounds N     alternating rounds, at least ${MIN_ROUNDS} (retag ${RETAG_DEFAULTS.rounds}, fanout ${FANOUT_DEFAULTS.rounds})
  --packets N    retag: packets of each kind of work in a round (${RETAG_DEFAULTS.packets}); fanout: copies in a round (${FANOUT_DEFAULTS.packets}); both
                 rounded up to whole passes or bursts
  --receivers L  fanout: numbers of receivers (${FANOUT_RECEIVERS.join(',')})
  --media M      fanout: audio or video only (both)
  --help         this text

retag (at ${RETAG_SIZES.join(' and ')} bytes): ${RETAG_COUNTED}

fanout: ${FANOUT_COUNTED}

join (--packets: handshakes of each engine in a round, ${JOIN_DEFAULTS.packets}): ${JOIN_COUNTED}
`;

const FANOUT_ONLY = ['receivers', 'media'] as const;

class Refused extends Error {}

function wholeNumber(text: string, name: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new Refused(`${name} ${text}: a whole number from ${min} to ${max} is wanted`);
  }
  return value;
}

function isBench(name: string): name is BenchName {
  return (BENCHES as readonly string[]).includes(name);
}

function readMedia(text: string): Media {
  if (text !== 'audio' && text !== 'video') throw new Refused(`--media ${text}: audio or video is wanted`);
  return text;
}

function read(args: readonly string[]): Parsed {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean' },
      json: { type: 'boolean' },
      rounds: { type: 'string' },
      packets: { type: 'string' },
      receivers: { type: 'string' },
      media: { type: 'string' },
    },
  });
  if (values.help) return { kind: 'help', text: HELP };
  const [bench, ...rest] = positionals;
  if (bench === undefined) throw new Refused(`which bench? ${BENCHES.join(', ')}`);
  if (!isBench(bench)) throw new Refused(`no bench ${bench}; there are: ${BENCHES.join(', ')}`);
  if (rest.length > 0) throw new Refused(`one bench at a time: ${rest.join(' ')} is too much`);
  const misplaced = FANOUT_ONLY.find((name) => bench !== 'fanout' && values[name] !== undefined);
  if (misplaced !== undefined) throw new Refused(`--${misplaced} is for fanout`);
  const defaults = { retag: RETAG_DEFAULTS, fanout: FANOUT_DEFAULTS, join: JOIN_DEFAULTS }[bench];
  const number = (text: string | undefined, name: string, min: number, max: number, otherwise: number): number =>
    text === undefined ? otherwise : wholeNumber(text, name, min, max);
  const options: BenchOptions = {
    bench,
    json: values.json === true,
    rounds: number(values.rounds, '--rounds', MIN_ROUNDS, MAX_ROUNDS, defaults.rounds),
    packets: number(values.packets, '--packets', 1, MAX_PACKETS, defaults.packets),
    receivers:
      values.receivers?.split(',').map((text) => wholeNumber(text, '--receivers', 1, MAX_RECEIVERS)) ??
      FANOUT_RECEIVERS,
    media: values.media === undefined ? FANOUT_MEDIA : [readMedia(values.media)],
  };
  return { kind: 'run', options };
}

/** Never throws: what cannot be read is refused with a reason. */
export function parseBench(args: readonly string[]): Parsed {
  try {
    return read(args);
  } catch (error) {
    // node:util throws TypeErrors whose messages are meant for the user.
    if (error instanceof Refused || error instanceof TypeError) return { kind: 'refused', message: error.message };
    throw error;
  }
}
