#!/usr/bin/env node
/** Entry of `npm run bench`. Exit status: 0 measured, 1 could not measure, 2 wrong usage, 130 interrupted. */
import { type BenchOptions, parseBench } from './arguments.js';
import { fanout, fanoutTable } from './fanout.js';
import { joinEngines, joinTable } from './join-engines.js';
import { RETAG_SIZES, retag, retagTable } from './retag.js';
import { machine, machineLine } from './table.js';

const USAGE = 2;
const INTERRUPTED = 130;

async function measureJoin({ json, rounds, packets }: BenchOptions, signal: AbortSignal): Promise<void> {
  const engines = await joinEngines({ rounds, handshakes: packets, signal });
  const on = machine();
  const output = json
    ? JSON.stringify({ bench: 'join', machine: on, engines })
    : `${joinTable(engines)}\n${machineLine(on)}`;
  process.stdout.write(`${output}\n`);
}

async function measure(options: BenchOptions, signal: AbortSignal): Promise<void> {
  if (options.bench === 'join') return measureJoin(options, signal);
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const common = { rounds: options.rounds, packets: options.packets, signal, progress };
  const run = async () => {
    if (options.bench === 'retag') {
      const runs = await retag({ ...common, sizes: RETAG_SIZES });
      return { runs, text: retagTable(runs) };
    }
    const runs = await fanout({ ...common, media: options.media, receivers: options.receivers });
    return { runs, text: fanoutTable(runs) };
  };
  const { runs, text } = await run();
  const on = machine();
  const output = options.json
    ? JSON.stringify({ bench: options.bench, machine: on, runs })
    : `${text}\n${machineLine(on)}`;
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
