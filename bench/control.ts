/** What deciding costs: events of the reducer, how fast a conference is told of a downgrade, memory, and the page. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ConferenceEvent, State, TipFacts } from '../src/conference/contract.js';
import { createConference, deadline, reduce } from '../src/conference/reduce.js';
import { type Call, call } from '../src/endpoint/index.js';
import { loadConfig } from '../src/server/load-config.js';
import { openLog } from '../src/server/log.js';
import { Switch } from '../src/server/switch.js';
import { measurePageUpdate } from './page-update.js';
import { rounded, summarise } from './statistics.js';
import { table } from './table.js';

export const CONTROL_DEFAULTS = { rounds: 5, packets: 100_000 } as const;
const MEMBERS = 48;
const SMALL = 3;
const CONFERENCES_IN_MEMORY = 500;
const CONFERENCES_ON_PAGE = 500;
const CHROMIUM = '/usr/bin/chromium';
const TOLD_TIMEOUT_MS = 30_000;

export const CONTROL_COUNTED =
  `events: the reducer alone, a conference of ${MEMBERS} at end-to-end: loudness of everybody each 100 ms, changing speakers, refresh points, and one ` +
  `leave and join in each 50 such rounds, with the ticks they ask for; told: a best-effort conference of ${MEMBERS} reference endpoints over real ` +
  'sockets in this very process, a plain RTP caller joins: from the event of the downgrade to the last endpoint that has the icon; memory: heap for ' +
  `one of ${CONFERENCES_IN_MEMORY} conferences of ${SMALL} after garbage collection; page: an update of the operators' page with ` +
  `${CONFERENCES_ON_PAGE} conferences in Chromium, layout included. Median of the rounds.`;

export interface ControlFigures {
  readonly eventsPerSecond: number;
  readonly downgradeToldMs: number;
  readonly bytesPerConference: number;
  /** null: there is no Chromium here. */
  readonly pageUpdateMs: number | null;
}

const TIP: TipFacts = {
  ...{ version: 8, secure: true, ektTx: true, ektRx: true, capable: true },
  ...{ transmitMask: 0b10, receiveMask: 0b10, trailingByte: true },
};

/** A conference that is driven by events, with the ticks it asks for. */
class Driven {
  #state: State;
  #now = 1_700_000_000_000;
  events = 0;

  constructor(id: number) {
    const created = createConference({ id, name: `bench-${id}`, policy: 'secure' });
    if (!created.ok) throw new Error(created.reason);
    this.#state = created.value;
  }

  send(event: ConferenceEvent): void {
    this.events++;
    const { state, effects } = reduce(this.#state, event, this.#now);
    this.#state = state;
    for (const effect of effects) {
      if (effect.type === 'send-set')
        this.send({ type: 'set-acked', channel: effect.channel, spiWord: effect.spiWord });
      if (effect.type === 'notify') this.send({ type: 'notify-acked', channel: effect.channel, secure: effect.secure });
    }
  }

  enter(member: number): void {
    const channels = [
      { channel: member * 2, media: 'audio', security: 'dtls' },
      { channel: member * 2 + 1, media: 'video', security: 'dtls' },
    ] as const;
    this.send({ type: 'join', member, name: `sip:room${member}@example`, channels });
    for (const { channel } of channels) {
      this.send({ type: 'channel-keyed', channel, fingerprint: `${member}`.padStart(64, '0') });
      this.send({ type: 'channel-negotiated', channel, tip: TIP });
    }
  }

  pass(ms: number): void {
    const end = this.#now + ms;
    for (let due = deadline(this.#state); due !== undefined && due <= end; due = deadline(this.#state)) {
      this.#now = Math.max(this.#now, due);
      this.send({ type: 'tick' });
    }
    this.#now = end;
  }
}

function eventsPerSecond(wanted: number): number {
  const conference = new Driven(1);
  const present: number[] = [];
  for (let member = 1; member <= MEMBERS; member++) {
    conference.enter(member);
    present.push(member);
  }
  conference.pass(20_000);
  conference.events = 0;
  const started = performance.now();
  for (let round = 0; conference.events < wanted; round++) {
    const loudest = present[Math.floor(round / 10) % present.length];
    for (const member of present) {
      const energy = member === loudest ? 70 : (member * 7 + round) % 12;
      conference.send({ type: 'activity', channel: member * 2, position: 1, energy, packets: 5 });
    }
    if (round % 10 === 0) conference.send({ type: 'refresh', channel: loudest! * 2 + 1, position: 1 });
    conference.pass(100);
    if (round % 50 !== 49) continue;
    const gone = present.shift()!;
    conference.send({ type: 'leave', member: gone, cause: 'hung-up' });
    const next = gone + MEMBERS;
    conference.enter(next);
    present.push(next);
  }
  return conference.events / ((performance.now() - started) / 1_000);
}

function bytesPerConference(collect: () => void): number {
  const kept: Driven[] = [];
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let id = 1; id <= CONFERENCES_IN_MEMORY; id++) {
    const conference = new Driven(id);
    for (let member = 1; member <= SMALL; member++) conference.enter(member);
    kept.push(conference);
  }
  collect();
  return (process.memoryUsage().heapUsed - before) / kept.length;
}

/** Milliseconds from the event to the last icon. */
async function downgradeTold(signal: AbortSignal): Promise<number> {
  const data = mkdtempSync(join(tmpdir(), 'claviger-bench-'));
  const config = loadConfig({
    flags: {
      'data-dir': data,
      'sip-address': '127.0.0.1',
      'media-address': '127.0.0.1',
      'sip-port': '0',
      'admin-port': '0',
      'dtls-engine': 'openssl',
      'conferences-policy': 'best-effort',
    },
    env: {},
  });
  if (!config.ok) throw new Error(config.detail);
  let decidedAt: number | undefined;
  const running = await Switch.start(config.value, {
    log: openLog({ level: 'silent' }),
    onSecurityEvent: (event) => {
      if (event.code === 'conference-downgraded') decidedAt ??= performance.now();
    },
  });
  const calls: Call[] = [];
  try {
    const to = {
      target: `sips:bench@127.0.0.1:${running.sip.port}`,
      caPem: readFileSync(running.caFile!, 'utf8'),
      externalPositions: [1],
    };
    const told: Promise<number>[] = [];
    for (let i = 0; i < MEMBERS; i++) {
      signal.throwIfAborted();
      let resolveTold: (at: number) => void = () => undefined;
      told.push(new Promise((resolve) => (resolveTold = resolve)));
      const onNotified = (secure: boolean) => secure || resolveTold(performance.now());
      calls.push(await call({ ...to, name: `room${i}`, onNotified: (secure) => void onNotified(secure) }));
    }
    await Promise.all(calls.map((each) => each.ready));
    calls.push(await call({ ...to, name: 'guest', security: 'plain' }));
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`not everybody was told within ${TOLD_TIMEOUT_MS} ms`)),
        TOLD_TIMEOUT_MS,
      );
    });
    const last = Math.max(...(await Promise.race([Promise.all(told), timeout])));
    clearTimeout(timer);
    return last - decidedAt!;
  } finally {
    for (const each of calls) each.kill();
    await running.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

export async function control(o: {
  readonly rounds: number;
  readonly packets: number;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}): Promise<ControlFigures> {
  const events: number[] = [];
  const told: number[] = [];
  const bytes: number[] = [];
  const collect = collector();
  eventsPerSecond(o.packets); // the compiler's share
  for (let round = 1; round <= o.rounds; round++) {
    o.signal.throwIfAborted();
    o.progress(`control: round ${round} of ${o.rounds}`);
    events.push(eventsPerSecond(o.packets));
    bytes.push(bytesPerConference(collect));
    told.push(await downgradeTold(o.signal));
  }
  const page = existsSync(CHROMIUM) ? (await measurePageUpdate(CONFERENCES_ON_PAGE, 4 * o.rounds)).updateMs : null;
  return {
    eventsPerSecond: Math.round(summarise(events).median),
    downgradeToldMs: rounded(summarise(told).median),
    bytesPerConference: Math.round(summarise(bytes).median),
    pageUpdateMs: page === null ? null : rounded(page),
  };
}

export function controlTable(f: ControlFigures): string {
  const rows = [
    ['reducer, events a second', String(f.eventsPerSecond)],
    [`downgrade: the last of ${MEMBERS} is told after`, `${f.downgradeToldMs} ms`],
    [`memory of a conference of ${SMALL}`, `${f.bytesPerConference} bytes`],
    [
      `update of the page with ${CONFERENCES_ON_PAGE} conferences`,
      f.pageUpdateMs === null ? 'not measured: no Chromium' : `${f.pageUpdateMs} ms`,
    ],
  ];
  return table(['control', 'median'], rows, CONTROL_COUNTED);
}
