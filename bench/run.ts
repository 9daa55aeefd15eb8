#!/usr/bin/env node
/** Entry of `npm run bench`. Exit status: 0 measured, 1 could not measure, 2 wrong usage, 130 interrupted. */
import { type BenchName, type BenchOptions, parseBench } from './arguments.js';
import { capacity, capacityTable } from './capacity.js';
import { fanout, fanoutTable } from './fanout.js';
import { joinEngines, joinTable } from './join-engines.js';
import { latency, latencyTable } from './latency.js';
import { RETAG_SIZES, retag, retagTable } from './retag.js';
import { scale, scaleTable } from './scale.js';
import { sortSuites } from './suites.js';
import { machine, machineLine } from './table.js';

const USAGE = 2;
const INTERRUPTED = 130;

interface Measured {
  readonly runs: readonly object[];
  readonly text: string;
}

type Common = BenchOptions & { readonly signal: AbortSignal; readonly progress: (line: string) => void };

/** Without media: neither suites nor runs, but what each engine costs. */
async function measureJoin({ json, rounds, packets }: BenchOptions, signal: AbortSignal): Promise<void> {
  const engines = await joinEngines({ rounds, handshakes: packets, signal });
  const on = machine();
  const output = json
    ? JSON.stringify({ bench: 'join', machine: on, engines })
    : `${joinTable(engines)}\n${machineLine(on)}`;
  process.stdout.write(`${output}\n`);
}

async function carryOut(o: Common, bench: Exclude<BenchName, 'join'>): Promise<Measured> {
  switch (bench) {
    case 'retag': {
      const runs = await retag({ ...o, sizes: RETAG_SIZES });
      return { runs, text: retagTable(runs) };
    }
    case 'fanout': {
      const runs = await fanout(o);
      return { runs, text: fanoutTable(runs) };
    }
    case 'latency': {
      const runs = await latency(o);
      return { runs, text: latencyTable(runs) };
    }
    case 'capacity': {
      const runs = await capacity(o);
      return { runs, text: capacityTable(runs) };
    }
    case 'scale': {
      const runs = await scale(o);
      return { runs, text: scaleTable(runs) };
    }
  }
}

async function measure(options: BenchOptions, signal: AbortSignal): Promise<void> {
  if (options.bench === 'join') return measureJoin(options, signal);
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const { available, unavailable } = sortSuites(options.suites);
  const missing = unavailable.map(({ suite, reason }) => `suite ${suite}: not available (${reason})`);
  for (const line of missing) progress(line);
  const { runs, text } = await carryOut({ ...options, suites: available, signal, progress }, options.bench);
  const on = machine();
  const output = options.json
    ? JSON.stringify({ bench: options.bench, machine: on, runs, unavailable })
    : [text, ...missing, machineLine(on)].join('\n');
  process.stdout.write(`${output}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseBench(args);
  if (parsed.kind === 'help') {
    process.stdout.write(parsed.text);
    return 0;
  }
  if (parsed.kind === 'refused') {
    process.stderr.write(`bench: ${parsed.message}\nTry --help.\n`);
    return USAGE;
  }
  const interrupt = new AbortController();
  const onSignal = (): void => {
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    await measure(parsed.options, interrupt.signal);
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) {
      process.stderr.write('bench: interrupted\n');
      return INTERRUPTED;
    }
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

process.exitCode = await main(process.argv.slice(2));
