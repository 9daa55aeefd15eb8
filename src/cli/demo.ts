import { ok, type Result, refuse } from '../base/result.js';
import { readAsset } from '../endpoint/assets/assets.js';
import { type Call, call } from '../endpoint/index.js';
import { type Flag, helpOfFlags, parseFlags, wholeNumber } from './arguments.js';
import type { Command } from './command.js';
import { downgradeFaults, downgradeTable, runDowngrade } from './demo-downgrade.js';
import { DemoEndpoint, type EndpointReport, SentLedger } from './demo-endpoint.js';
import { type DemoRestore, mixedFaults, mixedTable, runMixed } from './demo-mixed.js';
import { columns } from './demo-show.js';
import { DemoSwitch } from './demo-switch.js';

const FLAGS: readonly Flag[] = [
  { name: 'seconds', value: 'N', help: 'how long media flows', default: '10' },
  { name: 'suite', value: '1|17|18', help: 'SRTP suite of the conference', default: '1' },
  { name: 'downgrade', help: 'instead: a best-effort conference that a plain RTP caller joins, and who was told when' },
  {
    name: 'mixed',
    help: 'instead: an EKT endpoint, a DTLS-SRTP, an SDES and an RTP one join a best-effort conference, and leave',
  },
  { name: 'restore', value: 'automatic|never', help: 'with --mixed: whether it goes back up', default: 'automatic' },
  { name: 'json', help: 'one JSON object on the last line' },
];

const HELP = `Usage: claviger demo [flags]

Starts a switch and three endpoints, one of them with three screens, in a secure conference on loopback. They send the
H.264 and Opus clips that ship with Claviger; half way another one is the loudest. Every payload that arrives is compared
with what its sender put in; exit code 0 only if all of it was right.

With --downgrade the conference is a best-effort one at end-to-end, and half way a plain RTP caller joins: the table shows
who was told when, and that nothing of a secure member could be read on the wire before.

With --mixed endpoints of four kinds join a best-effort conference one after another and leave again: the timeline shows
levels and events, the table what each of them heard of whom meanwhile.`;

const SUITES = ['1', '17', '18'] as const;
type Suite = (typeof SUITES)[number];

function readSuite(text: string | boolean | undefined): Result<Suite, 'usage'> {
  const suite = SUITES.find((known) => known === (text ?? '1'));
  return suite === undefined ? refuse('usage', `--suite takes ${SUITES.join(', ')}, not '${text}'`) : ok(suite);
}

function readRestore(text: string | boolean | undefined): Result<DemoRestore, 'usage'> {
  const restore = text ?? 'automatic';
  if (restore === 'automatic' || restore === 'never') return ok(restore);
  return refuse('usage', `--restore takes automatic or never, not '${text}'`);
}

export interface DemoReport {
  readonly conference: string;
  readonly level: string;
  readonly seconds: number;
  readonly suite: number;
  readonly endpoints: readonly EndpointReport[];
  readonly switch: {
    readonly ingress: number;
    readonly egress: number;
    readonly variants: number;
    readonly drops: Readonly<Record<string, number>>;
  };
  readonly speakerChanges: number;
}

/** What is wrong with a run, in words; empty when the conference did what it promises. */
export function faultsOf(report: DemoReport): string[] {
  const faults: string[] = [];
  if (report.level !== 'end-to-end') faults.push(`the conference ran at ${report.level}, not end-to-end`);
  if (report.speakerChanges === 0) faults.push('the speaker never changed');
  for (const e of report.endpoints) {
    for (const count of ['authFailures', 'replayed', 'payloadMismatches', 'wrongSink'] as const) {
      if (e[count] !== 0) faults.push(`${e.name}: ${count} ${e[count]}`);
    }
    for (const media of ['audio', 'video'] as const) {
      if (e.sent[media] === 0) faults.push(`${e.name} sent no ${media}`);
      if (e.received[media] === 0) faults.push(`${e.name} received no ${media}`);
    }
  }
  return faults;
}

function table(report: DemoReport): string {
  const rows = [
    [
      'endpoint',
      'screens',
      'sent audio',
      'video',
      'received audio',
      'video',
      'decrypted',
      'not authentic',
      'replayed',
      'altered',
      'wrong place',
    ],
    ...report.endpoints.map((e) => [
      e.name,
      String(e.screens),
      ...[e.sent.audio, e.sent.video, e.received.audio, e.received.video].map(String),
      ...[e.decrypted, e.authFailures, e.replayed, e.payloadMismatches, e.wrongSink].map(String),
    ]),
  ];
  const { ingress, egress, variants, drops } = report.switch;
  const dropped = Object.entries(drops).filter(([, n]) => n > 0);
  return [
    `Conference ${report.conference}, level ${report.level}, suite ${report.suite}, ${report.seconds} s, speaker changed ${report.speakerChanges} times`,
    '',
    ...columns(rows),
    '',
    `switch: ${ingress} datagrams in, ${egress} out, ${variants} tags computed; it decrypted none of the media`,
    `switch refused: ${dropped.length === 0 ? 'nothing' : dropped.map(([name, n]) => `${name} ${n}`).join(', ')}`,
  ].join('\n');
}

async function run(seconds: number, suite: Suite, say: (line: string) => void): Promise<DemoReport> {
  let speakerChanges = -1; // the first speaker is no change
  let counting = false;
  const host = await DemoSwitch.start({
    flags: { 'conferences-suite': suite },
    onSpeaker: (name) => {
      if (!counting) return;
      speakerChanges++;
      say(`loudest is now ${name}`);
    },
  });
  try {
    const ledger = new SentLedger();
    const half = (seconds * 1000) / 2;
    const endpoints = [
      new DemoEndpoint('room', 3, ['testsrc2.h264', 'bars.h264', 'mandelbrot.h264'], 'noise.opus', () => 20, ledger),
      new DemoEndpoint('alice', 1, ['bars.h264'], 'tone.opus', (ms) => (ms < half ? 80 : 5), ledger),
      new DemoEndpoint('bob', 1, ['mandelbrot.h264'], 'noise.opus', (ms) => (ms < half ? 5 : 80), ledger),
    ];
    const calls: Call[] = [];
    for (const endpoint of endpoints) {
      calls.push(await call(endpoint.callOptions(host.target, host.caPem, readAsset)));
      say(`${endpoint.name} is connected`);
    }
    counting = true;
    await Promise.all(calls.map((c) => c.ready));
    say(`all keys are agreed; media flows for ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const level = host.level();
    const reports = endpoints.map((endpoint, i) => endpoint.report(calls[i]!.status()));
    const { counters } = host;
    await Promise.all(calls.map((c) => c.hangup()));
    return {
      conference: host.conference,
      level,
      seconds,
      suite: Number(suite),
      endpoints: reports,
      switch: counters,
      speakerChanges: Math.max(0, speakerChanges),
    };
  } finally {
    await host.stop();
  }
}

/** The table, what is wrong, and the object where one is wanted. @returns the exit code. */
function conclude(text: string, faults: readonly string[], json: object | false): number {
  console.log(`\n${text}`);
  for (const fault of faults) console.error(`wrong: ${fault}`);
  if (json !== false) console.log(JSON.stringify(json));
  return faults.length === 0 ? 0 : 1;
}

export const demoCommand: Command = {
  name: 'demo',
  summary: 'a switch and three endpoints in a secure conference, with proof of what each received',
  help: () => `${HELP}\n\n${helpOfFlags(FLAGS)}`,
  run: async (args) => {
    const parsed = parseFlags(args, FLAGS, 0);
    const seconds = parsed.ok ? wholeNumber('seconds', String(parsed.value.flags.seconds ?? '10'), 2, 3_600) : parsed;
    const suite = parsed.ok ? readSuite(parsed.value.flags.suite) : parsed;
    const restore = parsed.ok ? readRestore(parsed.value.flags.restore) : parsed;
    if (!parsed.ok || !seconds.ok || !suite.ok || !restore.ok) {
      const detail = [seconds, suite, restore].find((read) => !read.ok)?.detail;
      console.error(`claviger demo: ${detail ?? 'wrong usage'}\nclaviger demo --help lists the flags`);
      return 2;
    }
    const say = (line: string): void => console.log(line);
    if (parsed.value.flags.downgrade === true) {
      const report = await runDowngrade(seconds.value, suite.value, say);
      return conclude(downgradeTable(report), downgradeFaults(report), parsed.value.flags.json === true && report);
    }
    if (parsed.value.flags.mixed === true) {
      const report = await runMixed(seconds.value, restore.value, say);
      return conclude(mixedTable(report), mixedFaults(report), parsed.value.flags.json === true && report);
    }
    const report = await run(seconds.value, suite.value, say);
    const object = { ...report, suite: report.suite === 1 ? undefined : report.suite };
    return conclude(table(report), faultsOf(report), parsed.value.flags.json === true && object);
  },
};
