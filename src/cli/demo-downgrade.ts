/** The demo of a downgrade: a best-effort conference at end-to-end, and a plain RTP caller who joins it. */
import { readAsset } from '../endpoint/assets/assets.js';
import { type Call, type CallOptions, call } from '../endpoint/index.js';
import { DemoEndpoint, type EndpointReport, SentLedger } from './demo-endpoint.js';
import { columns, Timeline, type TimelineEntry } from './demo-show.js';
import { type DemoEvent, DemoSwitch } from './demo-switch.js';

/** What was seen of one secure member. */
interface Watch {
  toldMs: number | undefined;
  movedMs: number | undefined;
  readonly sent: {
    readonly atMs: number;
    readonly ssrc: number;
    readonly sequence: number;
    readonly payload: Uint8Array;
  }[];
}

export interface MemberReport extends EndpointReport {
  /** Since the guest dialled: the icon, and the answer to the re-INVITE; null: it was not asked. */
  readonly toldMs: number | null;
  readonly movedMs: number | null;
  /** Its media datagrams before it had moved whose payload could be read on the wire. */
  readonly clearBefore: number;
  readonly clearAfter: number;
}

export interface DowngradeReport {
  readonly conference: string;
  readonly level: string;
  readonly levelBefore: string;
  readonly seconds: number;
  readonly endpoints: readonly MemberReport[];
  readonly switch: DemoSwitch['counters'];
  readonly events: readonly DemoEvent[];
  /** Since the guest dialled. */
  readonly timeline: readonly TimelineEntry[];
}

/** What is wrong with a run, in words; empty when nobody was less secure than it believed. */
export function downgradeFaults(report: DowngradeReport): string[] {
  const faults: string[] = [];
  if (report.levelBefore !== 'end-to-end') faults.push(`the conference began at ${report.levelBefore}`);
  if (report.level !== 'none') faults.push(`the conference ended at ${report.level}`);
  const codes = report.events.map(({ code }) => code).join(', ');
  if (codes !== 'conference-downgraded') faults.push(`the events were: ${codes || 'none'}`);
  if ((report.switch.drops.below_level ?? 0) > 0) faults.push('the relay had to refuse packets below the level');
  for (const e of report.endpoints) {
    if (e.name !== GUEST) {
      if (e.toldMs === null || e.movedMs === null) faults.push(`${e.name} was not told, or did not move`);
      else if (e.movedMs < e.toldMs) faults.push(`${e.name} moved before it was told`);
      if (e.clearBefore > 0) faults.push(`${e.name}: ${e.clearBefore} packets could be read before it had moved`);
    }
    if (e.clearAfter === 0) faults.push(`${e.name} sent nothing that the others could hear after the downgrade`);
    for (const count of ['payloadMismatches', 'wrongSink'] as const) {
      if (e[count] !== 0) faults.push(`${e.name}: ${count} ${e[count]}`);
    }
    if (e.received.audio === 0 || e.received.video === 0) faults.push(`${e.name} did not receive both audio and video`);
  }
  return faults;
}

const GUEST = 'guest';

/** SSRC, sequence number and payload of a datagram that is RTP (RFC 3550 §5.1), as somebody on the wire sees it. */
function asRtp(bytes: Uint8Array): { ssrc: number; sequence: number; payload: Uint8Array } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || bytes[0]! >> 6 !== 2 || (bytes[1]! >= 192 && bytes[1]! <= 223)) return undefined;
  const header = 12 + 4 * (bytes[0]! & 0x0f);
  return { ssrc: view.getUint32(8), sequence: view.getUint16(2), payload: bytes.slice(header) };
}

export async function runDowngrade(
  seconds: number,
  suite: string,
  say: (line: string) => void,
): Promise<DowngradeReport> {
  const timeline = new Timeline(say);
  const events: DemoEvent[] = [];
  const host = await DemoSwitch.start({
    flags: { 'conferences-suite': suite, 'conferences-policy': 'best-effort' },
    onEvent: (event) => {
      events.push(event);
      timeline.note('switch', `${event.code}: ${event.cause}; ${event.remedy}`);
    },
  });
  try {
    const ledger = new SentLedger();
    const watches = new Map<string, Watch>();
    const watched = (endpoint: DemoEndpoint): CallOptions => {
      const watch: Watch = { toldMs: undefined, movedMs: undefined, sent: [] };
      watches.set(endpoint.name, watch);
      return {
        ...endpoint.callOptions(host.target, host.caPem, readAsset),
        onNotified: (secure) => {
          const atMs = timeline.note(endpoint.name, `the icon says ${secure ? 'secure' : 'not secure'}`);
          if (!secure) watch.toldMs ??= atMs;
        },
        onMoved: () => {
          watch.movedMs ??= timeline.note(endpoint.name, 'answered the re-INVITE: plain RTP from now on');
        },
        onDatagram: (_, to, bytes) => {
          const outgoing = to.port >= host.mediaPorts.first && to.port <= host.mediaPorts.last;
          const rtp = outgoing ? asRtp(bytes) : undefined;
          if (rtp !== undefined) watch.sent.push({ atMs: timeline.now(), ...rtp });
        },
      };
    };
    const members = [
      new DemoEndpoint('room', 3, ['testsrc2.h264', 'bars.h264', 'mandelbrot.h264'], 'noise.opus', () => 20, ledger),
      new DemoEndpoint('alice', 1, ['bars.h264'], 'tone.opus', () => 80, ledger),
      new DemoEndpoint('bob', 1, ['mandelbrot.h264'], 'noise.opus', () => 5, ledger),
    ];
    const guest = new DemoEndpoint(GUEST, 1, ['bars.h264'], 'tone.opus', () => 10, ledger);
    const calls: Call[] = [];
    for (const endpoint of members) calls.push(await call(watched(endpoint)));
    await Promise.all(calls.map((each) => each.ready));
    const half = () => new Promise((resolve) => setTimeout(resolve, seconds * 500));
    say(`three endpoints are in a best-effort conference at end-to-end; media flows for ${seconds / 2} s`);
    await half();
    const levelBefore = host.level();
    timeline.begin();
    timeline.note(GUEST, 'dials with plain RTP');
    calls.push(await call({ ...watched(guest), security: 'plain' }));
    timeline.note(GUEST, 'is answered');
    await half();
    const reports = [...members, guest].map((endpoint, i): MemberReport => {
      const { toldMs, movedMs, sent } = watches.get(endpoint.name)!;
      const readable = sent.filter(({ ssrc, sequence, payload }) => ledger.matches(ssrc, sequence, payload));
      const limit = endpoint.name === GUEST ? 0 : (movedMs ?? Number.POSITIVE_INFINITY);
      return {
        ...endpoint.report(calls[i]!.status()),
        toldMs: toldMs ?? null,
        movedMs: movedMs ?? null,
        clearBefore: readable.filter(({ atMs }) => atMs < limit || !Number.isFinite(atMs)).length,
        clearAfter: readable.filter(({ atMs }) => atMs >= limit).length,
      };
    });
    const level = host.level();
    const counters = host.counters;
    await Promise.all(calls.map((each) => each.hangup()));
    return {
      conference: host.conference,
      level,
      levelBefore,
      seconds,
      endpoints: reports,
      switch: counters,
      events,
      timeline: timeline.entries,
    };
  } finally {
    await host.stop();
  }
}

export function downgradeTable(report: DowngradeReport): string {
  const rows = [
    ['endpoint', 'told', 'moved to RTP', 'clear before', 'clear after', 'received audio', 'video', 'altered'],
    ...report.endpoints.map((e) => [
      e.name,
      e.toldMs === null ? '-' : `${e.toldMs} ms`,
      e.movedMs === null ? '-' : `${e.movedMs} ms`,
      ...[e.clearBefore, e.clearAfter, e.received.audio, e.received.video, e.payloadMismatches].map(String),
    ]),
  ];
  return [
    `Conference ${report.conference}: ${report.levelBefore}, then ${report.level}; times since the guest dialled`,
    '',
    ...columns(rows),
    '',
    ...report.events.flatMap((event) => [
      `event ${event.code} (${event.severity}): ${event.cause}`,
      `what to do: ${event.remedy}`,
    ]),
  ].join('\n');
}
