/** What a call costs the main thread: parsing, answering, whole calls over TLS with media channels, and calls that stay. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { loadConfig } from '../src/server/load-config.js';
import { openLog } from '../src/server/log.js';
import { Switch } from '../src/server/switch.js';
import type { UserAgentOutput } from '../src/sip/contract.js';
import { answer, createOffer, readOffer } from '../src/sip/offer-answer.js';
import { UserAgent } from '../src/sip/user-agent.js';
import { StreamFramer } from '../src/wire/sip-framing.js';
import { parseSipMessage } from '../src/wire/sip-message.js';
import type { LoadData, LoadOrder, LoadReport } from './sip-load.js';
import { rounded, summarise } from './statistics.js';
import { table } from './table.js';

export const SIP_DEFAULTS = { rounds: 5, packets: 2_000, receivers: [5_000] } as const;
export const SIP_COUNTED =
  'parse: a typical INVITE over TLS of 1.3 KB with an offer of two media, CPU of this thread; with answer: the same from the ' +
  'bytes of the stream to those of its 100 and 200; SDP: reading that offer and writing its answer; calls: INVITE, 200, ACK, BYE, 200 over TLS with ' +
  'audio and video channels opened and closed (secure conferences), callers in a thread of their own, and the share of the ' +
  'time that the switch’s thread was busy; memory: resident bytes of the whole process for each of the idle calls (audio, ' +
  'non-secure conferences), which stay for two refreshes of session timers of 90 s, half of them refreshed by the switch, by ' +
  'UPDATE and by re-INVITE; refresh: their callers’ refreshes, all at once. Median of the rounds.';

export interface SipFigures {
  readonly parseUs: number;
  readonly parseAnswerUs: number;
  /** Reading the offer of those INVITEs and writing the answer to it, which is not in `parseAnswerUs`. */
  readonly offerAnswerUs: number;
  readonly callsPerSecond: number;
  /** Share of the time in which the switch's thread was busy while it took those calls. */
  readonly mainThreadBusy: number;
  readonly bytesPerCall: number;
  readonly idleCalls: number;
  /** How long it took to refresh all of them that their callers refresh. */
  readonly refreshMs: number;
  /** Share of the time in which the switch's thread was busy while they were idle, refreshes and all. */
  readonly idleBusy: number;
}

export interface SipBenchOptions {
  readonly rounds: number;
  /** Calls of a round. */
  readonly calls: number;
  readonly idleCalls: number;
  /** How often the switch has to refresh its half of the idle calls, once every 45 s; default 2. */
  readonly refreshes?: number;
  /** Messages of a round of parsing; default 20,000. */
  readonly parses?: number;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

const FINGERPRINT = { algorithm: 'sha-256', value: new Uint8Array(32).fill(0xab) } as const;
const CONNECTIONS = 32;
const AT_ONCE = 64;
const PARSES = 20_000;

type Incoming = Extract<UserAgentOutput, { type: 'incoming' }>;

function offerOf(security: 'dtls' | 'plain', media: readonly ('audio' | 'video')[]): string {
  return createOffer({
    sessionId: '20518',
    sessionVersion: 1,
    address: '127.0.0.1',
    ...(security === 'dtls' ? { fingerprint: FINGERPRINT } : {}),
    media: media.map((m, i) => ({
      media: m,
      port: 54_400 + 2 * i,
      security,
      codecs: [
        m === 'audio'
          ? { name: 'opus', payloadType: 96 }
          : { name: 'H264', payloadType: 97, profileLevelId: '42e01f', packetizationMode: 1 },
      ],
    })),
  });
}

/** What a call manager in front of a phone writes. */
export function typicalInvite(n = 1): Uint8Array {
  const sdp = offerOf('dtls', ['audio', 'video']);
  return Buffer.from(
    `INVITE sips:8000@switch.example.com SIP/2.0\r\nVia: SIP/2.0/TLS proxy.example.com:5061;branch=z9hG4bK87asdks${n};rport\r\n` +
      'Via: SIP/2.0/TLS 192.0.2.4:5061;branch=z9hG4bKnashds8;received=192.0.2.4;rport=40112\r\nMax-Forwards: 69\r\n' +
      'Record-Route: <sips:proxy.example.com;lr>\r\nFrom: "Alice" <sips:alice@example.com>;tag=9fxced76sl\r\n' +
      `To: <sips:8000@switch.example.com>\r\nCall-ID: 3848276298220188511-${n}@example.com\r\nCSeq: 31862 INVITE\r\n` +
      'Contact: <sips:alice@192.0.2.4:5061;transport=tls>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, REFER\r\n' +
      'Supported: timer, replaces, outbound\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nUser-Agent: Example/1.0\r\n' +
      `Content-Type: application/sdp\r\nContent-Length: ${sdp.length}\r\n\r\n${sdp}`,
  );
}

/** CPU microseconds of one of `count` pieces of work. */
function costUs(count: number, work: (i: number) => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) work(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

function parseRound(parses: number): number {
  const bytes = typicalInvite();
  return costUs(parses, () => {
    if (!parseSipMessage(bytes).ok) throw new Error('a typical INVITE was refused');
  });
}

interface AnswerCost {
  readonly answerUs: number;
  readonly offerAnswerUs: number;
}

/** From the bytes of an INVITE to those of its answer; the calls end with their connection, outside of what is counted. */
function answerRound(parses: number): AnswerCost {
  const batch = 200;
  let cost = 0;
  let sdpCost = 0;
  const rounds = Math.ceil(parses / 5 / batch);
  for (let r = 0; r < rounds; r++) {
    let token = 0;
    const ua = new UserAgent({ random: () => `t${++token}`, product: 'bench' });
    const framer = new StreamFramer();
    const [remote, local] = [
      { address: '192.0.2.4', port: 40_112 },
      { address: '192.0.2.1', port: 5_061 },
    ];
    ua.receive({ type: 'connected', connection: 1, remote, local, transport: 'tls' }, 0);
    const invites = Array.from({ length: batch }, (_, i) => typicalInvite(i));
    const incoming: Incoming[] = [];
    let sent = 0;
    const drain = (): void => {
      for (let out = ua.poll(); out !== undefined; out = ua.poll()) {
        if (out.type === 'send') sent++;
        else if (out.type === 'incoming') incoming.push(out);
      }
    };
    cost += costUs(batch, (i) => {
      for (const event of framer.feed(invites[i]!)) {
        if (event.type === 'message') ua.receive({ type: 'message', connection: 1, message: event.message }, 0);
      }
      drain();
    });
    const answers: string[] = [];
    sdpCost += costUs(batch, (i) => {
      const offer = readOffer(incoming[i]!.offer!);
      if (!offer.ok) throw new Error(`the offer was refused: ${offer.reason}`);
      const media = offer.value.media.map((_, m) => ({ port: 16_384 + 2 * m }));
      const session = { sessionId: '1', sessionVersion: 1, address: '192.0.2.1', fingerprint: FINGERPRINT };
      const answered = answer(offer.value, { ...session, media });
      if (!answered.ok) throw new Error(`no answer: ${answered.reason}`);
      answers.push(answered.value.sdp);
    });
    cost += costUs(batch, (i) => {
      ua.receive({ type: 'accept', call: incoming[i]!.call, sdp: answers[i]! }, 0);
      drain();
    });
    if (sent !== 2 * batch) throw new Error(`${sent} responses to ${batch} INVITEs`);
  }
  return { answerUs: cost / rounds, offerAnswerUs: sdpCost / rounds };
}

class Load {
  readonly #worker: Worker;

  constructor(data: LoadData) {
    const file = new URL('./sip-load.js', import.meta.url);
    if (import.meta.url.endsWith('.ts')) file.pathname = file.pathname.replace(/\/bench\/sip-load\.js$/, '/dist$&');
    this.#worker = new Worker(file, { workerData: data });
  }

  /** The report of the order under way; the first is that all connections stand. */
  report(): Promise<LoadReport> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('message', (report: LoadReport | string) => {
        this.#worker.off('error', reject);
        if (typeof report === 'string') reject(new Error(report));
        else resolve(report);
      });
    });
  }

  order(order: LoadOrder): Promise<LoadReport> {
    this.#worker.postMessage(order);
    return this.report();
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

async function withSwitch<T>(
  policy: 'secure' | 'non-secure',
  sdp: string,
  work: (load: Load) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-bench-'));
  const flags = {
    'data-dir': join(folder, 'data'),
    'sip-address': '127.0.0.1',
    'sip-port': '0',
    'media-address': '127.0.0.1',
    'media-threads': '1',
    'dtls-threads': '1',
    'admin-port': '0',
    'conferences-policy': policy,
  };
  const config = loadConfig({ file: undefined, flags, env: {} });
  if (!config.ok) throw new Error(config.detail);
  const running = await Switch.start(config.value, { log: openLog({ level: 'silent' }) });
  const ca = readFileSync(running.caFile!, 'utf8');
  const load = new Load({ port: running.sip.port, ca, connections: CONNECTIONS, sdp, callsPerRoom: 5 });
  try {
    await load.report();
    return await work(load);
  } finally {
    await load.stop();
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rates of the rounds, and the share of the time that this thread was busy. */
async function callRounds(o: SipBenchOptions): Promise<{ readonly rates: number[]; readonly busy: number }> {
  return withSwitch('secure', offerOf('dtls', ['audio', 'video']), async (load) => {
    await load.order({ type: 'calls', count: Math.min(o.calls, 500), atOnce: AT_ONCE }); // warm
    const rates: number[] = [];
    const before = performance.eventLoopUtilization();
    for (let r = 0; r < o.rounds; r++) {
      o.signal.throwIfAborted();
      const { done, ms } = await load.order({ type: 'calls', count: o.calls, atOnce: AT_ONCE });
      rates.push((1_000 * done) / ms);
    }
    return { rates, busy: performance.eventLoopUtilization(before).utilization };
  });
}

type IdleFigures = Pick<SipFigures, 'bytesPerCall' | 'idleCalls' | 'refreshMs' | 'idleBusy'>;

async function idle(o: SipBenchOptions): Promise<IdleFigures> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return withSwitch('non-secure', offerOf('plain', ['audio']), async (load) => {
    await load.order({ type: 'calls', count: 500, atOnce: AT_ONCE }); // what the first calls load is not a call's
    collect();
    const before = process.memoryUsage().rss;
    const { done } = await load.order({ type: 'hold', count: o.idleCalls, atOnce: AT_ONCE });
    collect();
    const bytesPerCall = (process.memoryUsage().rss - before) / done;
    const times: number[] = [];
    for (let r = 0; r < o.rounds; r++) {
      o.signal.throwIfAborted();
      times.push((await load.order({ type: 'refresh', atOnce: AT_ONCE })).ms);
    }
    const used = performance.eventLoopUtilization();
    const stood = await load.order({ type: 'idle', refreshes: o.refreshes ?? 2 });
    return {
      bytesPerCall: Math.round(bytesPerCall),
      idleCalls: stood.done,
      refreshMs: Math.round(summarise(times).median),
      idleBusy: rounded(performance.eventLoopUtilization(used).utilization),
    };
  });
}

export async function sip(o: SipBenchOptions): Promise<SipFigures> {
  const count = o.parses ?? PARSES;
  parseRound(count); // warm
  answerRound(count);
  const parses: number[] = [];
  const answers: AnswerCost[] = [];
  for (let r = 0; r < o.rounds; r++) {
    parses.push(parseRound(count));
    answers.push(answerRound(count));
  }
  o.progress('parsed and answered');
  const { rates, busy } = await callRounds(o);
  o.progress(`calls taken; ${o.idleCalls} idle calls`);
  const kept = await idle(o);
  return {
    parseUs: rounded(summarise(parses).median),
    parseAnswerUs: rounded(summarise(answers.map((a) => a.answerUs)).median),
    offerAnswerUs: rounded(summarise(answers.map((a) => a.offerAnswerUs)).median),
    callsPerSecond: Math.round(summarise(rates).median),
    mainThreadBusy: rounded(busy),
    ...kept,
  };
}

export function sipTable(f: SipFigures): string {
  const header = [
    'parse us',
    'with answer us',
    'SDP us',
    'calls/s',
    'busy',
    'bytes a call',
    'idle calls',
    'refresh ms',
    'idle busy',
  ];
  const row = [
    f.parseUs,
    f.parseAnswerUs,
    f.offerAnswerUs,
    f.callsPerSecond,
    f.mainThreadBusy,
    f.bytesPerCall,
    f.idleCalls,
    f.refreshMs,
    f.idleBusy,
  ];
  return table(header, [row.map(String)], SIP_COUNTED);
}
