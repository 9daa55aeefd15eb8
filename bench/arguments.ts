/** The command line of the benches. */
import { parseArgs } from 'node:util';
import type { Media } from '../src/base/ids.js';
import { CAPACITY_COUNTED, CAPACITY_DEFAULTS, CAPACITY_RECEIVERS } from './capacity.js';
import { CONTROL_COUNTED, CONTROL_DEFAULTS } from './control.js';
import { FANOUT_COUNTED, FANOUT_DEFAULTS, FANOUT_MEDIA, FANOUT_RECEIVERS } from './fanout.js';
import { HOP_COUNTED } from './hop.js';
import { JOIN_COUNTED, JOIN_DEFAULTS } from './join-engines.js';
import { LATENCY_COUNTED, LATENCY_DEFAULTS, LATENCY_MEDIA } from './latency.js';
import { NEIGHBOUR_COUNTED, NEIGHBOUR_DEFAULTS } from './neighbour.js';
import { RETAG_COUNTED, RETAG_DEFAULTS, RETAG_SIZES } from './retag.js';
import { SCALE_COUNTED, SCALE_DEFAULTS } from './scale.js';
import { SIP_COUNTED, SIP_DEFAULTS } from './sip.js';
import { SOAK_COUNTED, SOAK_DEFAULTS } from './soak.js';
import { SUITES } from './suites.js';

export const BENCHES = [
  'retag',
  'fanout',
  'latency',
  'capacity',
  'scale',
  'neighbour',
  'join',
  'sip',
  'control',
  'soak',
] as const;
export type BenchName = (typeof BENCHES)[number];

export const MIN_ROUNDS = 5;
const MAX_ROUNDS = 1_000;
const MAX_PACKETS = 10_000_000;
const MAX_RECEIVERS = 8_000;
const MAX_SUITE = 255;
const MIN_MS = 20;
const MAX_MS = 60_000;
const MIN_SECONDS = 5;
const MAX_SECONDS = 7 * 86_400;

export interface BenchOptions {
  readonly bench: BenchName;
  readonly json: boolean;
  readonly rounds: number;
  readonly packets: number;
  readonly ms: number;
  readonly seconds: number;
  readonly receivers: readonly number[];
  readonly media: readonly Media[];
  readonly suites: readonly number[];
}

export type Parsed =
  | { readonly kind: 'run'; readonly options: BenchOptions }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'refused'; readonly message: string };

/** What each bench takes besides --json, --rounds, --suites and --help, and what holds without them. */
const DEFAULTS: Readonly<Record<BenchName, Omit<BenchOptions, 'bench' | 'json' | 'suites'>>> = {
  retag: { ...RETAG_DEFAULTS, ms: 0, seconds: 0, receivers: [], media: [] },
  fanout: { ...FANOUT_DEFAULTS, ms: 0, seconds: 0, receivers: FANOUT_RECEIVERS, media: FANOUT_MEDIA },
  latency: { ...LATENCY_DEFAULTS, packets: 0, seconds: 0, receivers: [], media: LATENCY_MEDIA },
  capacity: { ...CAPACITY_DEFAULTS, packets: 0, seconds: 0, receivers: CAPACITY_RECEIVERS, media: FANOUT_MEDIA },
  scale: { ...SCALE_DEFAULTS, seconds: 0, receivers: [], media: [] },
  join: { ...JOIN_DEFAULTS, ms: 0, seconds: 0, receivers: [], media: [] },
  neighbour: { ...NEIGHBOUR_DEFAULTS, packets: 0, seconds: 0, receivers: [], media: [] },
  sip: { ...SIP_DEFAULTS, ms: 0, seconds: 0, media: [] },
  control: { ...CONTROL_DEFAULTS, ms: 0, seconds: 0, receivers: [], media: [] },
  soak: { ...SOAK_DEFAULTS, packets: 0, ms: 0, receivers: [], media: [] },
};

/** Those that take both suites by default; the others would take longer than anybody waits. */
const BOTH_SUITES: readonly BenchName[] = ['retag', 'fanout'];

function takes(bench: BenchName, name: 'packets' | 'ms' | 'seconds' | 'receivers' | 'media'): boolean {
  const value = DEFAULTS[bench][name];
  return typeof value === 'number' ? value > 0 : value.length > 0;
}

export const HELP = `usage: npm run bench -- BENCH [--json] [--rounds N] [--suites N,N] [--packets N] [--ms N] [--receivers N,N] [--media M] [--seconds N]

Measures on this machine, on 127.0.0.1 only; table on standard output, progress on standard error. Compare figures of one
run only: they are taken side by side.

  --json         one JSON object {"bench","machine","runs":[...],"unavailable":[...]} on the last line instead of the table
  --rounds N     alternating rounds, at least ${MIN_ROUNDS} (${BENCHES.map((b) => `${b} ${DEFAULTS[b].rounds}`).join(', ')})
  --suites L     SRTP suites (${BOTH_SUITES.join(', ')} ${SUITES.join(',')}; else ${SUITES[0]}); one that this relay does not have is named and left out
  --packets N    retag: packets of each kind of work in a round (${RETAG_DEFAULTS.packets}); fanout, scale: copies in a round (${FANOUT_DEFAULTS.packets},
                 ${SCALE_DEFAULTS.packets}); rounded up to whole passes or bursts; join: handshakes of each engine in a round (${JOIN_DEFAULTS.packets});
                 sip: calls of a round (${SIP_DEFAULTS.packets}); control: events of a round (${CONTROL_DEFAULTS.packets})
  --ms N         capacity, latency, scale, neighbour: milliseconds of one step (${CAPACITY_DEFAULTS.ms}, ${LATENCY_DEFAULTS.ms}, ${SCALE_DEFAULTS.ms}, ${NEIGHBOUR_DEFAULTS.ms})
  --receivers L  fanout, capacity: numbers of receivers (${FANOUT_RECEIVERS.join(',')}; ${CAPACITY_RECEIVERS.join(',')}); sip: idle calls (${SIP_DEFAULTS.receivers.join(',')})
  --media M      fanout, capacity, latency: audio or video only (both)
  --seconds N    soak: how long (${SOAK_DEFAULTS.seconds})
  --help         this text

retag (at ${RETAG_SIZES.join(' and ')} bytes): ${RETAG_COUNTED}

fanout: ${FANOUT_COUNTED}

  ${HOP_COUNTED}

latency: ${LATENCY_COUNTED}

capacity: ${CAPACITY_COUNTED}

scale: ${SCALE_COUNTED}

neighbour: ${NEIGHBOUR_COUNTED}

join: ${JOIN_COUNTED}

sip: ${SIP_COUNTED}

control: ${CONTROL_COUNTED}

soak: ${SOAK_COUNTED}
`;

class Refused extends Error {}

function wholeNumber(text: string, name: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new Refused(`${name} ${text}: a whole number from ${min} to ${max} is wanted`);
  }
  return value;
}

function wholeNumbers(text: string, name: string, min: number, max: number): number[] {
  return text.split(',').map((one) => wholeNumber(one, name, min, max));
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
      suites: { type: 'string' },
      packets: { type: 'string' },
      ms: { type: 'string' },
      seconds: { type: 'string' },
      receivers: { type: 'string' },
      media: { type: 'string' },
    },
  });
  if (values.help) return { kind: 'help', text: HELP };
  const [bench, ...rest] = positionals;
  if (bench === undefined) throw new Refused(`which bench? ${BENCHES.join(', ')}`);
  if (!isBench(bench)) throw new Refused(`no bench ${bench}; there are: ${BENCHES.join(', ')}`);
  if (rest.length > 0) throw new Refused(`one bench at a time: ${rest.join(' ')} is too much`);
  for (const name of ['packets', 'ms', 'seconds', 'receivers', 'media'] as const) {
    if (values[name] !== undefined && !takes(bench, name)) {
      throw new Refused(`--${name} is for ${BENCHES.filter((b) => takes(b, name)).join(', ')}`);
    }
  }
  const defaults = DEFAULTS[bench];
  const number = (text: string | undefined, name: string, min: number, max: number, otherwise: number): number =>
    text === undefined ? otherwise : wholeNumber(text, name, min, max);
  const list = (text: string | undefined, name: string, max: number, otherwise: readonly number[]) =>
    text === undefined ? otherwise : wholeNumbers(text, name, 1, max);
  const options: BenchOptions = {
    bench,
    json: values.json === true,
    rounds: number(values.rounds, '--rounds', MIN_ROUNDS, MAX_ROUNDS, defaults.rounds),
    packets: number(values.packets, '--packets', 1, MAX_PACKETS, defaults.packets),
    ms: number(values.ms, '--ms', MIN_MS, MAX_MS, defaults.ms),
    seconds: number(values.seconds, '--seconds', MIN_SECONDS, MAX_SECONDS, defaults.seconds),
    receivers: list(values.receivers, '--receivers', MAX_RECEIVERS, defaults.receivers),
    media: values.media === undefined ? defaults.media : [readMedia(values.media)],
    suites: list(values.suites, '--suites', MAX_SUITE, BOTH_SUITES.includes(bench) ? SUITES : SUITES.slice(0, 1)),
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
