/** The part of `fanout` for receivers whose payloads end at the switch: what their copies cost, beside libsrtp. */
import type { Media } from '../src/base/ids.js';
import { packetsFor, usPerEgress } from './fanout.js';
import { HOP_PROFILES, type HopContender, type HopProfile, HopRig } from './hop-rig.js';
import { benchAddon, type NativeProtect } from './native.js';
import { type Count, KeptRounds } from './rounds.js';
import { RTPENGINE_MAX_RECEIVERS } from './rtpengine-rig.js';
import { rounded, type Summary, summarise } from './statistics.js';
import { table } from './table.js';
import { SHAPES } from './traffic.js';

const IDLE_MS = 300;
/** Copies of one pass of bare protection: as many as a burst makes. */
const PROTECT_PASSES = 8;

export interface HopRun {
  readonly profile: number;
  readonly media: Media;
  readonly receivers: number;
  readonly usPerEgress: number;
  /** Null: libsrtp is not installed, or does not know the profile. */
  readonly libsrtpUsPerEgress: number | null;
  /** libsrtpUsPerEgress / usPerEgress. */
  readonly versusLibsrtp: number | null;
  /** CPU of all threads of rtpengine; null: not installed, too many receivers, or not its suite. */
  readonly rtpengineUsPerEgress: number | null;
  /** Bare protection of one copy, without sockets. */
  readonly protectNs: number;
  readonly libsrtpProtectNs: number | null;
  readonly usPerEgressRange: readonly [number, number];
  readonly libsrtpUsPerEgressRange: readonly [number, number] | null;
  readonly rounds: number;
  readonly egressPerRound: number;
  readonly lostRounds: number;
}

export interface HopOptions {
  readonly rounds: number;
  /** Egress packets of a round, at least. */
  readonly packets: number;
  readonly media: readonly Media[];
  readonly receivers: readonly number[];
  readonly profiles?: readonly HopProfile[];
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

export interface HopRounds {
  readonly relay: readonly Count[];
  readonly libsrtp: readonly Count[];
  /** Nanoseconds a copy. */
  readonly protect: readonly number[];
  readonly libsrtpProtect: readonly number[];
}

export function hopRun(
  of: { readonly profile: number; readonly media: Media; readonly receivers: number },
  rounds: HopRounds,
  idleNsPerMs: number,
  lostRounds: number,
  outside: { readonly rounds: readonly Count[]; readonly idleNsPerMs: number } = { rounds: [], idleNsPerMs: 0 },
): HopRun {
  const relay = summarise(rounds.relay.map((c) => usPerEgress(c, idleNsPerMs)));
  const library = rounds.libsrtp.length === 0 ? null : summarise(rounds.libsrtp.map((c) => usPerEgress(c, 0)));
  const bare = rounds.libsrtpProtect.length === 0 ? null : summarise(rounds.libsrtpProtect);
  const range = (s: Summary): [number, number] => [rounded(s.min), rounded(s.max)];
  return {
    profile: of.profile,
    media: of.media,
    receivers: of.receivers,
    usPerEgress: rounded(relay.median),
    libsrtpUsPerEgress: library && rounded(library.median),
    versusLibsrtp: library && rounded(library.median / relay.median),
    rtpengineUsPerEgress:
      outside.rounds.length === 0
        ? null
        : rounded(summarise(outside.rounds.map((c) => usPerEgress(c, outside.idleNsPerMs))).median),
    protectNs: rounded(summarise(rounds.protect).median),
    libsrtpProtectNs: bare && rounded(bare.median),
    usPerEgressRange: range(relay),
    libsrtpUsPerEgressRange: library && range(library),
    rounds: rounds.relay.length,
    egressPerRound: rounds.relay[0]?.egress ?? 0,
    lostRounds,
  };
}

/** Bare protection, nanoseconds a copy. Throws when a packet does not open again. */
function protectRound(native: NativeProtect, library: boolean): number {
  let [ns, packets] = [0, 0];
  for (let i = 0; i < PROTECT_PASSES; i++) {
    const pass = benchAddon().protectPass(native, library);
    if (pass.right !== pass.packets) throw new Error(`${pass.right} of ${pass.packets} protected packets open again`);
    ns += pass.ns;
    packets += pass.packets;
  }
  return ns / packets;
}

async function measure(rig: HopRig, options: HopOptions): Promise<HopRun> {
  const { burst, bytes } = SHAPES[rig.media];
  const packets = packetsFor(options.packets, rig.receivers, burst);
  const title = `fanout: hop-by-hop, ${rig.profile.name}, ${rig.media}, ${rig.receivers} receivers`;
  options.progress(`${title}: ${options.rounds} alternating rounds of ${packets} packets`);
  const done: Record<HopContender, Count[]> = { relay: [], libsrtp: [] };
  const bare: Record<HopContender, number[]> = { relay: [], libsrtp: [] };
  const onAbort = (): void => rig.abort();
  options.signal.addEventListener('abort', onAbort);
  const native = benchAddon().createProtect(rig.profile.profile, bytes, rig.receivers, burst);
  const kept = new KeptRounds(title, options);
  try {
    const idle = await rig.idleNsPerMs(IDLE_MS);
    const outside = { rounds: [] as Count[], idleNsPerMs: (await rig.outside?.idleNsPerMs(IDLE_MS)) ?? 0 };
    const { contenders } = rig;
    for (const contender of contenders) protectRound(native, contender === 'libsrtp'); // caches; not counted
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < contenders.length; i++) {
        const contender = contenders[(round + i) % contenders.length]!;
        done[contender].push(await kept.one(contender, () => rig.round(contender, packets)));
        bare[contender].push(protectRound(native, contender === 'libsrtp'));
      }
      const { outside: other } = rig;
      if (other !== undefined) outside.rounds.push(await kept.one('rtpengine', () => other.round(packets)));
    }
    const rounds = { ...done, protect: bare.relay, libsrtpProtect: bare.libsrtp };
    return hopRun({ ...rig, profile: rig.profile.profile }, rounds, idle, kept.lost, outside);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    benchAddon().closeProtect(native);
  }
}

export async function hop(options: HopOptions): Promise<HopRun[]> {
  const runs: HopRun[] = [];
  if (!benchAddon().hasLibSrtp()) options.progress(LIBSRTP_MISSING);
  for (const profile of options.profiles ?? HOP_PROFILES) {
    for (const media of options.media) {
      for (const receivers of options.receivers) {
        options.signal.throwIfAborted();
        const rig = await HopRig.open(profile, media, receivers);
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

const LIBSRTP_MISSING = 'libsrtp2: not installed, so there is nothing of it to compare with';

export const HOP_COUNTED = `hop-by-hop  receivers whose payloads end at the switch, each under SRTP keys of its own; one source in clear, so that their
             protection is all the cryptography there is. Packets at the sinks are as long as above. CPU µs a copy.
  libsrtp    a thread that takes the same packets, copies and protects each for each receiver with libsrtp2 as it is installed
             (its own cryptographic library), and sends a receiver's in one sendmsg with UDP_SEGMENT. It keeps no routes,
             counters and reports.    versus: libsrtp / relay.
  rtpengine  where it is installed, up to ${RTPENGINE_MAX_RECEIVERS} receivers, as above: it too is given RTP and protects a copy for each receiver.
  protect    protection alone, nanoseconds a copy: the switch's, and libsrtp's with the copy that it needs because it works in
             place. Every packet must open again.`;

export function hopTable(runs: readonly HopRun[]): string {
  const range = (of: readonly [number, number] | null): string =>
    of === null ? '' : `[${of[0].toFixed(2)} ${of[1].toFixed(2)}]`;
  const rows = runs.map((r) => [
    HOP_PROFILES.find((p) => p.profile === r.profile)!.name,
    r.media,
    String(r.receivers),
    r.usPerEgress.toFixed(3),
    range(r.usPerEgressRange),
    r.libsrtpUsPerEgress?.toFixed(3) ?? '-',
    range(r.libsrtpUsPerEgressRange),
    r.versusLibsrtp?.toFixed(2) ?? '-',
    r.rtpengineUsPerEgress?.toFixed(2) ?? '-',
    r.protectNs.toFixed(0),
    r.libsrtpProtectNs?.toFixed(0) ?? '-',
    String(r.lostRounds),
  ]);
  const header = [
    'hop-by-hop',
    'media',
    'N',
    'relay µs',
    '',
    'libsrtp µs',
    '',
    'versus',
    'rtpengine',
    'protect ns',
    'libsrtp ns',
    'lost',
  ];
  const missing = benchAddon().hasLibSrtp() ? [] : [LIBSRTP_MISSING];
  return [table(header, rows, HOP_COUNTED), ...missing].join('\n');
}
