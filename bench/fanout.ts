/** `fanout`: what one copy for one receiver costs the relay's thread, beside threads that only receive and send, or encrypt. */
import type { Media } from '../src/base/ids.js';
import { CONTENDERS, type Contender, FanoutRig } from './fanout-rig.js';
import type { Manner } from './native.js';
import { type Count, KeptRounds, type Outside } from './rounds.js';
import { rtpenginePath } from './rtpengine.js';
import { RTPENGINE_MAX_RECEIVERS } from './rtpengine-rig.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES } from './traffic.js';

export const FANOUT_RECEIVERS: readonly number[] = [10, 50, 200, 1_000];
export const FANOUT_MEDIA: readonly Media[] = ['video', 'audio'];
export const FANOUT_DEFAULTS = { rounds: 5, packets: 20_000 } as const;
const IDLE_MS = 300;

/** The replicator that the relay is measured by. */
export const BARE: Readonly<Record<Media, Manner>> = { video: 'segment', audio: 'send' };

export interface FanoutRun {
  readonly suite: number;
  readonly media: Media;
  readonly receivers: number;
  readonly usPerEgress: number;
  /** Of the manner of {@link BARE}. */
  readonly bareUsPerEgress: number;
  readonly copiesUsPerEgress: number;
  /** bareUsPerEgress / usPerEgress. */
  readonly relayEfficiency: number;
  /** copiesUsPerEgress / usPerEgress. */
  readonly versusCopies: number;
  readonly sendUsPerEgress: number;
  readonly sendmmsgUsPerEgress: number;
  readonly segmentUsPerEgress: number;
  /** CPU of all threads of rtpengine; null: not installed, or too many receivers. */
  readonly rtpengineUsPerEgress: number | null;
  /** Copies a system call of the replicator with UDP_SEGMENT: how many packets a drain found waiting. */
  readonly segmentCopiesPerCall: number;
  readonly usPerEgressRange: readonly [number, number];
  readonly bareUsPerEgressRange: readonly [number, number];
  readonly copiesUsPerEgressRange: readonly [number, number];
  /** Of the relay's thread, taken off its cost. */
  readonly idleUsPerSecond: number;
  readonly rounds: number;
  readonly egressPerRound: number;
  /** Rounds that lost a packet, of any contender; they were repeated. */
  readonly lostRounds: number;
}

export interface FanoutOptions {
  readonly rounds: number;
  /** Egress packets of a round, at least. */
  readonly packets: number;
  readonly suites: readonly number[];
  readonly media: readonly Media[];
  readonly receivers: readonly number[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** What {@link FanoutRig} does for the bench; a test gives another one. */
export type Rig = Pick<FanoutRig, 'suite' | 'media' | 'receivers' | 'idleNsPerMs' | 'round' | 'abort'> & {
  readonly outside?: Outside | undefined;
};

export type Rounds = Readonly<Record<Contender, readonly Count[]>>;

/** Packets of the sources that make at least `egress` copies, in whole bursts. */
export function packetsFor(egress: number, receivers: number, burst: number): number {
  return Math.ceil(egress / (receivers * burst)) * burst;
}

/** CPU microseconds a copy, without what the thread takes when nothing comes. */
export function usPerEgress(count: Count, idleNsPerMs: number): number {
  return (count.cpuNs - idleNsPerMs * count.elapsedMs) / count.egress / 1_000;
}

export function fanoutRun(
  of: { readonly suite: number; readonly media: Media; readonly receivers: number },
  rounds: Rounds,
  idleNsPerMs: number,
  lostRounds: number,
  outside: { readonly rounds: readonly Count[]; readonly idleNsPerMs: number } = { rounds: [], idleNsPerMs: 0 },
): FanoutRun {
  const cost = (contender: Contender, idle = 0): Summary =>
    summarise(rounds[contender].map((c) => usPerEgress(c, idle)));
  const relay = cost('relay', idleNsPerMs);
  const bare = cost(BARE[of.media]);
  const copies = cost('copies');
  const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];
  return {
    suite: of.suite,
    media: of.media,
    receivers: of.receivers,
    usPerEgress: rounded(relay.median),
    bareUsPerEgress: rounded(bare.median),
    copiesUsPerEgress: rounded(copies.median),
    relayEfficiency: rounded(bare.median / relay.median),
    versusCopies: rounded(copies.median / relay.median),
    sendUsPerEgress: rounded(cost('send').median),
    sendmmsgUsPerEgress: rounded(cost('sendmmsg').median),
    segmentUsPerEgress: rounded(cost('segment').median),
    rtpengineUsPerEgress:
      outside.rounds.length === 0
        ? null
        : rounded(summarise(outside.rounds.map((c) => usPerEgress(c, outside.idleNsPerMs))).median),
    segmentCopiesPerCall: rounded(summarise(rounds.segment.map((c) => c.egress / c.calls)).median),
    usPerEgressRange: range(relay),
    bareUsPerEgressRange: range(bare),
    copiesUsPerEgressRange: range(copies),
    idleUsPerSecond: rounded(idleNsPerMs),
    rounds: rounds.relay.length,
    egressPerRound: rounds.relay[0]?.egress ?? 0,
    lostRounds,
  };
}

/** Alternating rounds: all contenders in each, and who comes first moves on. Throws when more are lost than are wanted. */
export async function measure(
  rig: Rig,
  options: Pick<FanoutOptions, 'rounds' | 'packets' | 'signal' | 'progress'>,
): Promise<FanoutRun> {
  const packets = packetsFor(options.packets, rig.receivers, SHAPES[rig.media].burst);
  const title = `fanout: suite ${rig.suite}, ${rig.media}, ${rig.receivers} receivers`;
  const done: Record<Contender, Count[]> = { relay: [], send: [], sendmmsg: [], segment: [], copies: [] };
  options.progress(`${title}: ${options.rounds} alternating rounds of ${packets} packets`);
  const onAbort = (): void => rig.abort();
  options.signal.addEventListener('abort', onAbort);
  try {
    const idleNsPerMs = await rig.idleNsPerMs(IDLE_MS);
    const outside = { rounds: [] as Count[], idleNsPerMs: (await rig.outside?.idleNsPerMs(IDLE_MS)) ?? 0 };
    const kept = new KeptRounds(title, options);
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < CONTENDERS.length; i++) {
        const contender = CONTENDERS[(round + i) % CONTENDERS.length]!;
        done[contender].push(await kept.one(contender, () => rig.round(contender, packets)));
      }
      const { outside: other } = rig;
      if (other !== undefined) outside.rounds.push(await kept.one('rtpengine', () => other.round(packets)));
    }
    return fanoutRun(rig, done, idleNsPerMs, kept.lost, outside);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
}

export async function fanout(options: FanoutOptions): Promise<FanoutRun[]> {
  const runs: FanoutRun[] = [];
  for (const suite of options.suites) {
    for (const media of options.media) {
      for (const receivers of options.receivers) {
        options.signal.throwIfAborted();
        const rig = await FanoutRig.open(suite, media, receivers);
        if (rig.engineFault !== undefined) options.progress(`fanout: ${rig.engineFault}`);
        try {
          runs.push(await measure(rig, options));
        } finally {
          await rig.close();
        }
      }
    }
  }
  return runs;
}

export const FANOUT_COUNTED = `CPU microseconds of one thread (its own clock) a copy sent: medians of alternating rounds, in brackets lowest and highest.
  relay      all that one relay thread does for a round, divided by its copies: epoll_wait and recvmmsg, verify, one variant
             a packet, sends, events, counters; less what it takes when idle (its tick). Real sockets on 127.0.0.1.
  send, mmsg, GSO  bare replicators: a thread that does recvmmsg on one socket and sends to N connected sockets, given the
             packets as the relay sends them on: the same bytes in the same bursts to the same sinks. Without keys,
             routes and counters. send: one call a copy. mmsg: for each receiver one sendmmsg of all that waited. GSO: for
             each receiver one sendmsg with UDP_SEGMENT of all that waited.
  a call     copies a call of GSO: how many packets of a burst it found waiting.
  copies     a relay with keys of its own with each receiver: verify and decrypt once, then for each receiver encrypt
             (AES-CM, OpenSSL, key schedule done), tag (HMAC-SHA1, states computed beforehand), sendto. Same lengths.
  rtpengine  where it is installed, up to ${RTPENGINE_MAX_RECEIVERS} receivers: a publisher for each source, a subscriber for each receiver, user space
             only (table -1), one thread. It is given RTP and encrypts and tags a copy for each receiver with keys of their
             own; its copies are as long. CPU of its whole process less what that takes when idle.
  efficiency GSO / relay for video, send / relay for audio.    versus: copies / relay.
  Where an audio copy's time goes (perf record, N = 50): 82 % the kernel's way of a datagram, as the replicator's; 6 % the
             same kernel asking epoll whether somebody waits for the room that the packet left behind (sock_wfree,
             ep_poll_callback): a thread that blocks on its one socket has nobody to ask; 5 % epoll_wait; 5 % queue, runs,
             counters; 4 % recvmmsg, verify, tag. So efficiency is about 0.9, and versus cannot pass copies / send, about
             1.3: sending costs four fifths of a copy here, whoever sends.
  A send on the loopback takes the copy to the sink within the same call, so all columns contain the delivery up to the
  sink's socket filter, which refuses it (unless the kernel is built with CONFIG_IRQ_TIME_ACCOUNTING: then all lack it).
  The sources' sending is charged to the sources.
  Video: ${SHAPES.video.sources} sources in turn, ${SHAPES.video.bytes} bytes of UDP payload, ${SHAPES.video.burst} packets back to back (a frame), the first with a Full tag.
  Audio: ${SHAPES.audio.sources} sources in turn, ${SHAPES.audio.bytes} bytes, one packet at a time, every third with a Full tag. A copy is one byte
  shorter (trailing byte). The next burst leaves when the last sink has all copies of the one before: nothing queues up, and
  every thread goes to sleep between bursts. A round counts only if packets sent = received and N times as many copies
  sent = arrived; else it is named and repeated.`;

export function fanoutTable(runs: readonly FanoutRun[]): string {
  const header = [
    'suite',
    'media',
    'N',
    'relay µs',
    '',
    'send',
    'mmsg',
    'GSO',
    'a call',
    'copies',
    'rtpengine',
    'efficiency',
    'versus',
    'lost',
  ];
  const range = ([min, max]: readonly [number, number]): string => `[${min.toFixed(2)} ${max.toFixed(2)}]`;
  const rows = runs.map((r) => [
    String(r.suite),
    r.media,
    String(r.receivers),
    r.usPerEgress.toFixed(3),
    range(r.usPerEgressRange),
    r.sendUsPerEgress.toFixed(3),
    r.sendmmsgUsPerEgress.toFixed(3),
    r.segmentUsPerEgress.toFixed(3),
    r.segmentCopiesPerCall.toFixed(1),
    r.copiesUsPerEgress.toFixed(3),
    r.rtpengineUsPerEgress?.toFixed(2) ?? '-',
    r.relayEfficiency.toFixed(2),
    r.versusCopies.toFixed(2),
    String(r.lostRounds),
  ]);
  const missing =
    rtpenginePath() === undefined ? ['rtpengine: not installed, so there is nothing of it to compare with'] : [];
  return [table(header, rows, FANOUT_COUNTED), ...missing].join('\n');
}
