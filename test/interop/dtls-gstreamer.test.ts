/**
 * Our engines against GStreamer's dtlssrtpenc and dtlssrtpdec, over real UDP on loopback. GStreamer prints no keys: they are
 * proven by media that decrypts, both ways.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { concat } from '../../src/base/bytes.js';
import type { Secret } from '../../src/base/secret.js';
import type { AssociationOutput } from '../../src/dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../../src/dtls/certificate.js';
import { ENGINES, type EngineName } from '../../src/dtls/engines.js';
import { deriveCmSession } from '../../src/srtp/aes-cm.js';
import { cmTransform, type SrtpTransform } from '../../src/srtp/transform.js';
import { writeRtpHeader } from '../../src/wire/rtp.js';
import { describeWithPeers, isInstalled } from '../support/peers.js';
import { until } from '../support/running-switch.js';

const LOOPBACK = '127.0.0.1';
const RTP_HEADER_BYTES = 12;
/** A-law (payload type 8) of silence (ITU-T G.711). */
const SILENCE = 0xd5;
const OURS = new TextEncoder().encode('what we send is heard by GStreamer');

let folder = '';
let pem = '';
beforeAll(async () => {
  if (!isInstalled('openssl')) return;
  folder = await mkdtemp(join(tmpdir(), 'dtls-gstreamer-'));
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=gst', '-days', '2'];
  expect(spawnSync('openssl', [...request, '-keyout', 'key', '-out', 'crt'], { cwd: folder }).status).toBe(0);
  pem = (await readFile(join(folder, 'crt'), 'utf8')) + (await readFile(join(folder, 'key'), 'utf8'));
});

const children: ChildProcess[] = [];
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  if (folder !== '') await rm(folder, { recursive: true });
});

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
  return socket;
}

/** A port that was free a moment ago; GStreamer cannot tell which one it took. */
async function freePort(): Promise<number> {
  const socket = await bound();
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

function transformOf(secret: Secret): SrtpTransform {
  return secret.use((bytes) => {
    const [key, salt] = [bytes.slice(0, 16), bytes.slice(16, 30)];
    return cmTransform(deriveCmSession(key, salt, 'rtp'), deriveCmSession(key, salt, 'rtcp'));
  });
}

/** Handshake, then media both ways; returns what GStreamer's file holds and the payloads that we decrypted. */
async function exchange(engine: EngineName, role: 'client' | 'server') {
  const certificate = await createSelfSigned('ours', Date.now());
  const socket = await bound();
  const theirPort = await freePort();
  const file = join(folder, `${engine}-${role}.rtp`);
  const peers = [
    `udpsrc address=${LOOPBACK} port=${theirPort} ! dtlssrtpdec name=d connection-id=c`,
    `d.rtp_src ! filesink async=false buffer-mode=unbuffered location=${file}`,
    'audiotestsrc is-live=true wave=silence ! alawenc ! rtppcmapay ! e.rtp_sink_0',
    `dtlssrtpenc name=e connection-id=c is-client=${role === 'server'}`,
    `e.src ! udpsink host=${LOOPBACK} port=${socket.address().port} bind-port=${await freePort()} sync=false async=false`,
  ];
  const words = peers.join(' ').split(' ');
  words.splice(words.indexOf('connection-id=c') + 1, 0, `pem=${JSON.stringify(pem).replaceAll('\\n', '\n')}`);
  const association = ENGINES[engine]({
    role,
    ...certificate,
    peerFingerprints: [fingerprintOf(pem, 'sha-256')],
    profiles: [1],
    mtuBytes: 1200,
  });
  const failures: AssociationOutput[] = [];
  const decrypted: Uint8Array[] = [];
  let keys: Extract<AssociationOutput, { type: 'keys' }> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const drive = (input: Parameters<typeof association.receive>[0]): void => {
    association.receive(input, Date.now());
    for (let out = association.poll(); out !== undefined; out = association.poll()) {
      if (out.type === 'datagram') socket.send(out.bytes, theirPort, LOOPBACK);
      else if (out.type === 'keys') keys = out;
      else failures.push(out);
    }
    clearTimeout(timer);
    const at = association.deadline();
    if (at !== undefined) timer = setTimeout(() => drive({ type: 'tick' }), Math.max(0, at - Date.now()));
  };
  socket.on('message', (bytes) => {
    if (bytes[0]! >= 20 && bytes[0]! <= 63) return drive({ type: 'datagram', bytes });
    if (keys === undefined) return;
    const packet = transformOf(keys.remote).openRtp(bytes, RTP_HEADER_BYTES, bytes.readUInt16BE(2));
    if (packet !== undefined) decrypted.push(packet.subarray(RTP_HEADER_BYTES));
  });
  const child = spawn('gst-launch-1.0', ['-q', ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  let complaints = '';
  child.stderr!.on('data', (chunk) => {
    complaints += chunk;
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  drive({ type: 'start' });
  try {
    const context = () => `${JSON.stringify(failures)} ${complaints}`;
    await until(`keys and media: ${context()}`, () => decrypted.length > 10 || failures.length > 0);
    expect(failures).toEqual([]);
    const sealing = transformOf(keys!.local);
    let sequence = 0;
    const sender = setInterval(() => {
      const header = writeRtpHeader({ payloadType: 8, sequence: ++sequence, timestamp: sequence * 160, ssrc: 0x1234 });
      socket.send(sealing.sealRtp(concat(header, OURS), RTP_HEADER_BYTES, sequence), theirPort, LOOPBACK);
    }, 20);
    try {
      await until(
        'our media in its file',
        () => existsSync(file) && spawnSync('grep', ['-c', 'heard by', file]).status === 0,
      );
    } finally {
      clearInterval(sender);
    }
    return { decrypted, profile: keys!.profile };
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
    await ended;
    socket.close();
  }
}

for (const engine of ['openssl', 'werift'] as const)
  describeWithPeers(`GStreamer's DTLS-SRTP against ${engine}`, ['gst-launch-1.0', 'openssl'], () => {
    it.each(['client', 'server'] as const)('media decrypts both ways: we are the %s', async (role) => {
      const { decrypted, profile } = await exchange(engine, role);
      expect(profile).toBe(1);
      for (const payload of decrypted) expect(payload.every((byte) => byte === SILENCE)).toBe(true);
    });
  });
