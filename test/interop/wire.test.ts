/**
 * What somebody on the wire sees of a conference whose level forbids clear media: dumpcap listens on the loopback, tshark gives
 * the datagrams, and what the endpoints put in is searched for in all of them. The same search finds it where RTP is plain.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import { parseRtpHeader } from '../../src/wire/rtp.js';
import { type Caller, dial } from '../support/caller.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { describeWithPeers } from '../support/peers.js';
import { until } from '../support/running-switch.js';

const LIMIT_MS = 90_000;
/** Long enough to be no accident, short enough to lie in every frame. */
const PIECE_BYTES = 8;
const SKIPPED_BYTES = 8; // headers of payloads are alike in all streams
/** Tags, keys of senders and their indices at the end of a packet. */
const END_BYTES = 48;

let place: Place;
let callers: Caller[] = [];
let capturing: ChildProcess[] = [];
/** Media ports of this test's endpoints and of the switch, by endpoint: others use the loopback, too. */
let ports: Map<string, Set<number>>;
beforeEach(async () => {
  place = await makePlace();
  ports = new Map();
});
afterEach(async () => {
  for (const child of capturing) child.kill('SIGKILL');
  for (const { call } of callers) call.kill();
  [callers, capturing] = [[], []];
  await place.close();
});

async function join(port: number, name: string, security: NonNullable<CallOptions['security']>): Promise<Caller> {
  const own = new Set<number>();
  ports.set(name, own);
  const target = `sips:board@127.0.0.1:${port}`;
  const onDatagram: CallOptions['onDatagram'] = (from, to) => void own.add(from.port).add(to.port);
  const caller = await dial({ target, caPem: place.root.pem }, { name, security, onDatagram });
  callers.push(caller);
  await caller.call.ready;
  return caller;
}

interface Datagram {
  readonly ports: readonly [number, number];
  readonly bytes: Uint8Array;
}

/** What was on the wire of our ports while `during` ran. */
async function capture(name: string, during: () => Promise<void>): Promise<readonly Datagram[]> {
  const file = place.file(`${name}.pcap`);
  const child = spawn('dumpcap', ['-q', '-i', 'lo', '-f', 'udp', '-B', '32', '-w', file], { stdio: 'pipe' });
  capturing.push(child);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await until(`dumpcap captures: ${said}`, () => said.includes('File:') || child.exitCode !== null);
  expect(child.exitCode, said).toBeNull();
  await during();
  child.kill('SIGINT');
  await ended;
  const fields = ['-e', 'udp.srcport', '-e', 'udp.dstport', '-e', 'udp.payload'];
  const read = spawnSync('tshark', ['-n', '-r', file, '-T', 'fields', ...fields], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  if (read.status !== 0) throw new Error(read.stderr);
  const ours = new Set([...ports.values()].flatMap((own) => [...own]));
  return read.stdout.split('\n').flatMap((line) => {
    const [from, to, payload = ''] = line.split('\t');
    const pair = [Number(from), Number(to)] as const;
    return pair.some((port) => ours.has(port)) ? [{ ports: pair, bytes: Buffer.from(payload, 'hex') }] : [];
  });
}

/** Datagrams in which a piece of what somebody put in can be read. */
function clear(datagrams: readonly Datagram[], senders: readonly Caller[]): readonly Datagram[] {
  const pieces = new Set<bigint>();
  const pieceAt = (bytes: Uint8Array, at: number): bigint =>
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at);
  for (const { payload } of senders.flatMap(({ sent }) => sent)) {
    if (payload.length >= SKIPPED_BYTES + PIECE_BYTES) pieces.add(pieceAt(payload, SKIPPED_BYTES));
  }
  expect(pieces.size).toBeGreaterThan(100);
  return datagrams.filter(({ bytes }) => {
    for (let at = 0; at + PIECE_BYTES <= bytes.length; at++) if (pieces.has(pieceAt(bytes, at))) return true;
    return false;
  });
}

/** RTP payloads without what ends them, one after the other. */
function payloadsOf(datagrams: readonly Datagram[]): Buffer {
  const bodies = datagrams.flatMap(({ bytes }) => {
    const type = bytes[1] ?? 0;
    const rtp = (bytes[0] ?? 0) >> 6 === 2 && (type < 192 || type > 223) ? parseRtpHeader(bytes) : undefined;
    return rtp?.ok === true ? [bytes.subarray(rtp.value.length, -END_BYTES)] : [];
  });
  return Buffer.concat(bodies);
}

/** Chi-square of the bytes' frequencies against even ones: 255 on average for random bytes, with a deviation of 23. */
function unevenness(bytes: Uint8Array): number {
  const counts = new Array<number>(256).fill(0);
  for (const byte of bytes) counts[byte]!++;
  const even = bytes.length / 256;
  return counts.reduce((sum, count) => sum + (count - even) ** 2 / even, 0);
}
/** Ten deviations above the average. */
const RANDOM_AT_MOST = 500;

const heardBy = (caller: Caller, more: number): (() => boolean) => {
  const since = caller.received.length;
  return () => caller.received.length > since + more;
};

/** All of them receive for a while. */
async function mediaFlows(among: readonly Caller[]): Promise<void> {
  for (const heard of among.map((caller) => heardBy(caller, 300))) await until('media', heard, 30_000);
}

/** Asked of the machine: it is root's business, or of who was given it. Under CI it must be possible. */
const mayListen = process.env.CI !== undefined || spawnSync('dumpcap', ['-L', '-i', 'lo']).status === 0;
const refused = mayListen ? '' : ' [skipped: dumpcap may not listen on the loopback here]';

describeWithPeers(`what is on the wire, as tshark sees it${refused}`, ['tshark', 'dumpcap'], () => {
  it.runIf(mayListen)(
    'hop-by-hop: nothing of what EKT, DTLS-SRTP and SDES endpoints put in; at none it is there; back up nothing again',
    async () => {
      const running = await place.start('[conferences]\npolicy = "best-effort"\nrestore = "automatic"');
      const { port } = running.sip;
      const secured = [
        await join(port, 'ekt', 'dtls'),
        await join(port, 'dtls-srtp', 'dtls-srtp'),
        await join(port, 'sdes', 'sdes'),
      ];
      await until('hop-by-hop', () => running.conferenceLevel('board') === 'hop-by-hop');
      const before = await capture('hop-by-hop', () => mediaFlows(secured));
      expect(clear(before, secured)).toEqual([]);
      const body = payloadsOf(before);
      expect(body.length).toBeGreaterThan(100_000);
      expect(unevenness(body)).toBeLessThan(RANDOM_AT_MOST);

      const plain = await join(port, 'plain', 'plain');
      await until('none', () => running.conferenceLevel('board') === 'none');
      const between = await capture('none', () => mediaFlows([...secured, plain]));
      const read = clear(between, [...secured, plain]);
      expect(read.length).toBeGreaterThan(300);
      expect(unevenness(payloadsOf(read))).toBeGreaterThan(RANDOM_AT_MOST);
      // Who has SRTP without TIP keeps it: its line to the switch shows nothing even now.
      const kept = new Set([...ports.get('dtls-srtp')!, ...ports.get('sdes')!]);
      expect(read.filter(({ ports: pair }) => pair.some((p) => kept.has(p)))).toEqual([]);

      await plain.call.hangup();
      await until('restored', () => place.events.some(({ code }) => code === 'conference-restored'), 30_000);
      const after = await capture('restored', () => mediaFlows(secured));
      expect(running.conferenceLevel('board')).toBe('hop-by-hop');
      expect(clear(after, callers)).toEqual([]);
      expect(unevenness(payloadsOf(after))).toBeLessThan(RANDOM_AT_MOST);
    },
    LIMIT_MS,
  );
});
