/**
 * What we write, other people's programs read: recordings through ffmpeg, captures through tshark.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AUDIO_CLIPS, readAsset, VIDEO_CLIPS } from '../../src/endpoint/assets/assets.js';
import { BridgeOut } from '../../src/endpoint/media/bridge.js';
import { openFileSink } from '../../src/endpoint/media/file-sink.js';
import { PcapWriter } from '../../src/endpoint/media/pcap.js';
import { AudioRecorder, VideoRecorder } from '../../src/endpoint/media/recorder.js';
import { openAudioSource, openVideoSource } from '../../src/endpoint/media/source.js';
import { describeWithPeers } from '../support/peers.js';

function run(program: string, ...args: readonly string[]): { out: string; complaints: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 15_000 });
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
  return { out: stdout, complaints: stderr };
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Records `seconds` of a clip, without the packets that `lost` names by their number. */
function recordVideo(name: (typeof VIDEO_CLIPS)[number], seconds: number, lost: (packet: number) => boolean) {
  const source = openVideoSource(readAsset(name));
  if (!source.ok) throw new Error(source.reason);
  const path = join(folder, `${name}-${seconds}.h264`);
  const recorder = new VideoRecorder(openFileSink(path));
  let packet = 0;
  for (let frame = source.value.next()!; frame.dueMs < seconds * 1000; frame = source.value.next()!) {
    for (const { bytes, marker } of frame.payloads) {
      const sequence = packet & 0xffff;
      if (!lost(packet++))
        recorder.packet({ sequence, timestamp: frame.timestamp, marker, payload: bytes }, frame.dueMs);
    }
  }
  recorder.close(seconds * 1000);
  return { path, written: recorder.status().written };
}

function recordAudio(name: (typeof AUDIO_CLIPS)[number], seconds: number, lost: (packet: number) => boolean): string {
  const source = openAudioSource(readAsset(name));
  if (!source.ok) throw new Error(source.reason);
  const path = join(folder, `${name}-${seconds}.opus`);
  const recorder = new AudioRecorder(openFileSink(path), { serial: 0xdeadbeef });
  for (let packet = 0; packet < seconds * 50; packet++) {
    const { payload, timestamp, dueMs } = source.value.next()!;
    if (!lost(packet)) recorder.packet({ sequence: packet, timestamp, marker: false, payload }, dueMs);
  }
  recorder.close(seconds * 1000);
  return path;
}

describeWithPeers('recordings in ffmpeg', ['ffmpeg', 'ffprobe'], () => {
  const countFrames = (path: string) =>
    Number(
      run('ffprobe', '-v', 'error', '-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', path)
        .out,
    );
  const decode = (path: string) => run('ffmpeg', '-v', 'warning', '-xerror', '-i', path, '-f', 'null', '-').complaints;

  it.each(VIDEO_CLIPS)('%s, looped: every picture decodes', (name) => {
    const { path, written } = recordVideo(name, 5, () => false);
    expect(decode(path)).toBe('');
    expect(countFrames(path)).toBe(written);
    expect(written).toBe(name === 'mandelbrot.h264' ? 75 : 150);
  });

  it('after losses what was kept decodes without a fault', () => {
    const { path, written } = recordVideo('bars.h264', 6, (packet) => packet % 97 === 50);
    expect(decode(path)).toBe('');
    expect(countFrames(path)).toBe(written);
    expect(written).toBeGreaterThan(30);
    expect(written).toBeLessThan(180);
  });

  it.each([
    ['tone.opus', 6, () => false],
    ['noise.opus', 6, () => false],
    ['tone.opus', 3, (packet: number) => packet % 10 === 3 || (packet > 60 && packet < 90)],
  ] as const)('%s, %i s: lasts as long as it was sent, and decodes', (name, seconds, lost) => {
    const path = recordAudio(name, seconds, lost);
    expect(decode(path)).toBe('');
    const probe = JSON.parse(run('ffprobe', '-v', 'error', '-show_format', '-show_streams', '-of', 'json', path).out);
    expect(probe.streams).toHaveLength(1);
    expect(probe.streams[0]).toMatchObject({ codec_name: 'opus', sample_rate: '48000' });
    const raw = `${path}.raw`;
    run('ffmpeg', '-v', 'error', '-y', '-i', path, '-f', 's16le', '-ac', '1', '-ar', '48000', raw);
    const decodedSeconds = statSync(raw).size / 2 / 48_000;
    // 80 ms of pre-skip at the beginning are decoded and dropped.
    expect(decodedSeconds).toBeCloseTo(seconds - 0.08, 2);
  });
});

describeWithPeers('captures in tshark', ['tshark'], () => {
  it('reads every datagram, none malformed, every checksum good, times kept', () => {
    for (const resolution of ['us', 'ns'] as const) {
      const parts: Uint8Array[] = [];
      const writer = new PcapWriter((bytes) => parts.push(bytes), resolution);
      const lengths = [13, 172, 1200, 1472, 0, 1];
      for (const [i, length] of lengths.entries()) {
        const payload = new Uint8Array(length).map((_, at) => (at * 31 + i) & 0xff);
        const [from, to] = i % 2 === 0 ? ['192.0.2.1', '192.0.2.2'] : ['2001:db8::1', '2001:db8::2'];
        const time = 1_700_000_000_000_001_000n + BigInt(i) * 20_000_000n;
        const written = writer.datagram({
          time,
          from: { address: from, port: 17_000 },
          to: { address: to, port: 17_002 },
          payload,
        });
        expect(written.ok).toBe(true);
      }
      const path = join(folder, `${resolution}.pcap`);
      writeFileSync(path, Buffer.concat(parts));
      const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'];
      const fields = [
        'frame.time_epoch',
        'udp.length',
        'ip.checksum.status',
        'udp.checksum.status',
        '_ws.malformed',
        '_ws.expert.message',
      ];
      const { out } = run(
        'tshark',
        '-r',
        path,
        ...checks,
        '-T',
        'fields',
        '-E',
        'separator=|',
        ...fields.flatMap((f) => ['-e', f]),
      );
      const rows = out
        .trim()
        .split('\n')
        .map((line) => line.split('|'));
      expect(rows).toEqual(
        lengths.map((length, i) => [
          `1700000000.${String(1000 + i * 20_000_000).padStart(9, '0')}`,
          String(8 + length),
          i % 2 === 0 ? '1' : '',
          '1',
          '',
          '',
        ]),
      );
    }
  });

  it.each(VIDEO_CLIPS)('%s as plain RTP: every payload is H.264 to it', (name) => {
    const source = openVideoSource(readAsset(name), { maxPayloadBytes: 1000 });
    if (!source.ok) throw new Error(source.reason);
    const path = join(folder, `${name}.pcap`);
    const sink = openFileSink(path);
    const writer = new PcapWriter(sink.append);
    const bridge = new BridgeOut({
      media: 'video',
      ssrc: 7,
      payloadType: 102,
      sequence: 65_530,
      timestamp: 0xfffffff0,
    });
    const [from, to] = [
      { address: '127.0.0.1', port: 17_000 },
      { address: '127.0.0.1', port: 17_002 },
    ];
    let sequence = 0;
    for (let i = 0; i < 40; i++) {
      const { payloads, timestamp, dueMs } = source.value.next()!;
      for (const { bytes, marker } of payloads) {
        const packet = { payloadType: 0, marker, sequence: sequence++, timestamp, ssrc: 1, payload: bytes };
        writer.datagram({ time: dueMs, from, to, payload: bridge.write(packet, dueMs) });
      }
    }
    sink.close();
    const decodeAs = ['-d', 'udp.port==17002,rtp', '-d', 'rtp.pt==102,h264'];
    const fields = ['rtp.marker', 'h264.nal_unit_hdr', '_ws.malformed', '_ws.expert.message'].flatMap((f) => ['-e', f]);
    const { out } = run('tshark', '-r', path, ...decodeAs, '-T', 'fields', '-E', 'separator=|', ...fields);
    const rows = out
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split('|'));
    expect(rows).toHaveLength(sequence);
    expect(rows.filter((row) => row[0] === '1')).toHaveLength(40);
    // It reads a fragment of an SEI as a whole one, hence payloads large enough for the encoder's. Its note that it
    // leaves slice data alone is no complaint.
    const complaints = (row: readonly string[]) => row[3]!.replaceAll('[Not decoded yet]', '').replaceAll(',', '');
    expect(rows.filter((row) => row[1] === '' || row[2] !== '' || complaints(row) !== '')).toEqual([]);
  });
});
