/** What `claviger call` writes, read by programs nobody here wrote; and ffmpeg as the camera and the screen. */
import { spawn, spawnSync } from 'node:child_process';
import { createDecipheriv, createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { assetPath } from '../../src/endpoint/assets/assets.js';
import { dial } from '../support/caller.js';
import { claviger, killAll } from '../support/cli.js';
import { describeWithPeers } from '../support/peers.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch;
let folder = '';
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  host = await startSwitch();
  writeFileSync(join(folder, 'ca.pem'), host.caPem);
});
afterEach(async () => {
  killAll();
  await host.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 });
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
  return stdout;
}

/** AES-128 in counter mode as RFC 3711 §4.1.1 and §4.3 use it, written apart from the product's code. */
function counterMode(key: Buffer, iv: Buffer, bytes: Buffer): Buffer {
  const cipher = createDecipheriv('aes-128-ctr', key, iv);
  return Buffer.concat([cipher.update(bytes), cipher.final()]);
}

function derive(master: Buffer, salt: Buffer, label: number, length: number): Buffer {
  const iv = Buffer.concat([salt, Buffer.alloc(2)]);
  iv[7] = iv[7]! ^ label;
  return counterMode(master, iv, Buffer.alloc(length));
}

interface KeyLogLine {
  readonly media: string;
  readonly kind: string;
  readonly [field: string]: string | number;
}

describeWithPeers('a recorded call', ['tshark', 'ffprobe'], () => {
  it('leaves playable files, and a capture that the key log opens', async () => {
    const to = { target: host.target('8000'), caPem: host.caPem };
    const bob = await dial(to, { name: 'bob', energy: () => 80 });
    const [pcap, keyLog, record] = ['wire.pcap', 'keys.jsonl', 'record'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const alice = claviger([
      ...['call', host.target('8000'), '--ca', join(folder, 'ca.pem'), '--seconds', '3', '--name', 'alice'],
      ...['--pcap', pcap, '--key-log', keyLog, '--record', record],
    ]);
    expect(await alice.exit).toBe(0);
    expect(alice.output.text).toContain('whoever reads it can decrypt its media');
    expect(statSync(keyLog).mode & 0o777).toBe(0o600);
    await bob.call.hangup();

    const recorded = readdirSync(record);
    expect(recorded.some((f) => f.endsWith('.h264')) && recorded.some((f) => f.endsWith('.opus'))).toBe(true);
    for (const file of recorded) {
      const probe = JSON.parse(
        run('ffprobe', '-v', 'error', '-count_frames', '-show_streams', '-of', 'json', join(record, file)),
      ) as {
        streams: { codec_name: string; nb_read_frames: string }[];
      };
      expect(probe.streams[0]?.codec_name).toBe(file.endsWith('.h264') ? 'h264' : 'opus');
      expect(Number(probe.streams[0]?.nb_read_frames)).toBeGreaterThan(20);
    }

    // Alice's own packets in the capture, opened with nothing but the key log and RFC 3711.
    const lines = readFileSync(keyLog, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as KeyLogLine);
    expect(new Set(lines.map((l) => l.kind))).toEqual(new Set(['channel-keys', 'group-parameter-set', 'sender-key']));
    const set = lines.find((l) => l.kind === 'group-parameter-set')!;
    const salt = Buffer.from(String(set.masterSalt), 'hex');
    const senders = new Map(
      lines.filter((l) => l.kind === 'sender-key').map((l) => [Number(l.ssrc), Buffer.from(String(l.key), 'hex')]),
    );
    const payloads = run('tshark', '-r', pcap, '-T', 'fields', '-e', 'udp.payload')
      .trim()
      .split('\n')
      .map((hex) => Buffer.from(hex, 'hex'));
    const clip = readFileSync(assetPath('testsrc2.h264'));
    let opened = 0;
    for (const packet of payloads) {
      if (packet.length < 40 || packet[0]! >> 6 !== 2 || (packet[1]! >= 192 && packet[1]! <= 223)) continue;
      const key = senders.get(packet.readUInt32BE(8));
      if (key === undefined || (packet[1]! & 0x7f) !== 112) continue;
      const full = (packet.at(-1)! & 1) === 1;
      const end = packet.length - (full ? 34 : 11);
      const headerLength = 12 + 4 * (packet[0]! & 0x0f);
      const tail = full ? Buffer.concat([Buffer.alloc(10), packet.subarray(end + 10)]) : Buffer.alloc(11);
      const expected = createHmac('sha1', derive(key, salt, 1, 20))
        .update(packet.subarray(0, end))
        .update(tail)
        .digest()
        .subarray(0, 10);
      expect(packet.subarray(end, end + 10).equals(expected)).toBe(true);
      const iv = Buffer.concat([derive(key, salt, 2, 14), Buffer.alloc(2)]);
      for (let i = 0; i < 4; i++) iv[4 + i] = iv[4 + i]! ^ packet[8 + i]!;
      for (let i = 0; i < 2; i++) iv[12 + i] = iv[12 + i]! ^ packet[2 + i]!;
      const payload = counterMode(derive(key, salt, 0, 16), iv, packet.subarray(headerLength, end - 1));
      const nal = payload[0]! & 0x1f;
      const content =
        nal === 28 ? payload.subarray(2) : nal === 24 ? payload.subarray(3, 3 + payload.readUInt16BE(1)) : payload;
      expect(clip.includes(content), `NAL type ${nal}`).toBe(true);
      opened++;
    }
    expect(opened).toBeGreaterThan(50);
  }, 40_000);
});

describeWithPeers('ffmpeg as camera and screen', ['ffmpeg', 'ffprobe'], () => {
  it('--rtp-in carries its picture through the conference to --rtp-out', async () => {
    const call = (name: string, ...more: string[]) =>
      claviger(['call', host.target('8000'), '--ca', join(folder, 'ca.pem'), '--name', name, ...more]);
    const port = 40_000 + 4 * Math.floor(process.pid % 1_000);
    const alice = call('alice', '--rtp-in', String(port));
    await until('alice is ready', () => alice.output.text.includes('media flows'));
    const bob = call('bob', '--rtp-out', `127.0.0.1:${port + 10}`, '--video', assetPath('bars.h264'));
    await until('bob is ready', () => bob.output.text.includes('media flows'));

    const sdp = `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=screen\nc=IN IP4 127.0.0.1\nt=0 0\nm=video ${port + 10} RTP/AVP 112\na=rtpmap:112 H264/90000\na=fmtp:112 packetization-mode=1\n`;
    writeFileSync(join(folder, 'screen.sdp'), sdp);
    const seen = join(folder, 'seen.mkv');
    const screen = spawn('ffmpeg', [
      '-v',
      'error',
      '-protocol_whitelist',
      'file,udp,rtp',
      '-i',
      join(folder, 'screen.sdp'),
      '-an',
      '-c:v',
      'copy',
      '-t',
      '3',
      '-y',
      seen,
    ]);
    const camera = spawn('ffmpeg', [
      ...['-v', 'error', '-re', '-f', 'lavfi', '-i', 'color=c=red:s=320x180:r=15', '-t', '12'],
      ...['-c:v', 'libx264', '-profile:v', 'baseline', '-tune', 'zerolatency', '-g', '15', '-pix_fmt', 'yuv420p'],
      ...['-f', 'rtp', '-payload_type', '112', `rtp://127.0.0.1:${port}?pkt_size=1200`],
    ]);
    const ended = new Promise<number | null>((resolve) => screen.on('close', (code) => resolve(code)));
    expect(await ended).toBe(0);
    camera.kill('SIGKILL');
    expect(existsSync(seen)).toBe(true);
    // The colour that the camera showed is the one on the screen: decoded, not counted.
    const pixel = spawnSync(
      'ffmpeg',
      ['-v', 'error', '-i', seen, '-frames:v', '1', '-vf', 'scale=1:1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
      { timeout: 20_000 },
    ).stdout;
    const [red, green, blue] = pixel as unknown as [number, number, number];
    expect(red).toBeGreaterThan(200);
    expect(Math.max(green, blue)).toBeLessThan(60);
  }, 60_000);
});
