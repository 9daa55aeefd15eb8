#!/usr/bin/env node
/** Entry of `npm run bench`. Exit status: 0 measured, 1 could not measure or (soak) found a fault, 2 wrong usage, 130 interrupted. */
import { type BenchOptions, parseBench } from './arguments.js';
import { capacity, capacityTable } from './capacity.js';
import { type ControlFigures, control, controlTable } from './control.js';
import { fanout, fanoutTable } from './fanout.js';
import { hop, hopTable } from './hop.js';
import { joinEngines, joinTable } from './join-engines.js';
import {
  associationMemory,
  STORM_ENDPOINTS,
  STORM_LOSSES,
  type StormMeasured,
  storm,
  stormTable,
} from './join-storm.js';
import { latency, latencyTable } from './latency.js';
import { neighbour, neighbourTable } from './neighbour.js';
import { RETAG_SIZES, retag, retagTable } from './retag.js';
import { scale, scaleTable } from './scale.js';
import { type SipFigures, sip, sipTable } from './sip.js';
import { soak, soakTable } from './soak.js';
import { sortSuites } from './suites.js';
import { machine, machineLine } from './table.js';

const USAGE = 2;
const INTERRUPTED = 130;

/**
 * `engines` and `storm` of join, plain figures of sip and control, `runs` of the others (and `hop` of fanout's hop-by-hop
 * receivers); `failed`: measured, and found wanting.
 */
type Measured = { readonly text: string; readonly failed?: boolean } & (
  | { readonly runs: readonly object[]; readonly hop?: readonly object[] }
  | { readonly engines: readonly object[]; readonly storm: readonly object[] }
  | SipFigures
  | ControlFigures
);

type Common = BenchOptions & { readonly signal: AbortSignal; readonly progress: (line: string) => void };

async function carryOut(o: Common): Promise<Measured> {
  switch (o.bench) {
    case 'retag': {
      const runs = await retag({ ...o, sizes: RETAG_SIZES });
      return { runs, text: retagTable(runs) };
    }
    case 'fanout': {
      const runs = await fanout(o);
      const hopByHop = await hop(o);
      return { runs, hop: hopByHop, text: `${fanoutTable(runs)}\n\n${hopTable(hopByHop)}` };
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
    case 'neighbour': {
      const runs = await neighbour(o);
      return { runs, text: neighbourTable(runs) };
    }
    case 'join': {
      const engines = await joinEngines({ rounds: o.rounds, handshakes: o.packets, signal: o.signal });
      const storms: StormMeasured[] = [];
      for (const lossPercent of STORM_LOSSES) {
        o.progress(`join: a storm of ${STORM_ENDPOINTS} endpoints with ${lossPercent} % loss`);
        storms.push(await storm({ endpoints: STORM_ENDPOINTS, lossPercent, signal: o.signal }));
      }
      const memory = await associationMemory(STORM_ENDPOINTS);
      const text = `${joinTable(engines)}\n\n${stormTable(storms, memory)}`;
      return { engines, storm: storms.map(({ quietMediaP99Us: _quiet, failures: _failures, ...run }) => run), text };
    }
    case 'sip': {
      const figures = await sip({ ...o, calls: o.packets, idleCalls: o.receivers[0]! });
      return { ...figures, text: sipTable(figures) };
    }
    case 'control': {
      const figures = await control(o);
      return { ...figures, text: controlTable(figures) };
    }
    case 'soak': {
      const runs = await soak(o);
      return { runs, text: soakTable(runs), failed: runs.some((run) => run.faults.length > 0) };
    }
  }
}

/** False: what was measured is not as it must be. */
async function measure(options: BenchOptions, signal: AbortSignal): Promise<boolean> {
  const progress = (line: string): void => void process.stderr.write(`${line}\n`);
  const { available, unavailable } = sortSuites(options.suites);
  const missing = unavailable.map(({ suite, reason }) => `suite ${suite}: not available (${reason})`);
  for (const line of missing) progress(line);
  const { text, failed, ...figures } = await carryOut({ ...options, suites: available, signal, progress });
  const on = machine();
  const output = options.json
    ? JSON.stringify(
        options.bench === 'join' ? figures : { bench: options.bench, machine: on, ...figures, unavailable },
      )
    : [text, ...missing, machineLine(on)].join('\n');
  process.stdout.write(`${output}\n`);
  return failed !== true;
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
    return (await measure(parsed.options, interrupt.signal)) ? 0 : 1;
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
