import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { MAX_RECORDED_STREAMS, RECORDER_MAX_GAP_MS, REORDER_MAX_WAIT_MS } from '../../../src/base/limits.js';
import { readAsset } from '../../../src/endpoint/assets/assets.js';
import { NAL, nalType, readH264File, splitAnnexB, writeAnnexB } from '../../../src/endpoint/media/annexb.js';
import { openFileSink } from '../../../src/endpoint/media/file-sink.js';
import { packetizeAccessUnit } from '../../../src/endpoint/media/h264-payload.js';
import { readOpusFile } from '../../../src/endpoint/media/opus.js';
import {
  AudioRecorder,
  type RecordedPacket,
  RecorderSet,
  VideoRecorder,
} from '../../../src/endpoint/media/recorder.js';
import type { Sink } from '../../../src/endpoint/media/types.js';
import { sameParts, seeded } from './random.js';

function memorySink(): Sink & { bytes(): Uint8Array; closed: number } {
  const parts: Uint8Array[] = [];
  return {
    closed: 0,
    append: (bytes) => void parts.push(bytes),
    close() {
      this.closed++;
    },
    bytes: () => concat(...parts),
  };
}

function videoPackets(): { packets: RecordedPacket[]; file: Uint8Array } {
  const read = readH264File(readAsset('testsrc2.h264'));
  if (!read.ok) throw new Error(read.reason);
  let sequence = 65_500;
  const packets = read.value.flatMap((unit, i) =>
    packetizeAccessUnit(unit.nals, 1200).map(({ bytes, marker }) => ({
      payload: bytes,
      marker,
      timestamp: i * 3000,
      sequence: sequence++ & 0xffff,
    })),
  );
  return { packets, file: writeAnnexB(read.value.flatMap((unit) => unit.nals)) };
}

function audioPackets(): RecordedPacket[] {
  const read = readOpusFile(readAsset('tone.opus'));
  if (!read.ok) throw new Error(read.reason);
  return read.value.packets.map(({ bytes }, i) => ({
    payload: bytes,
    marker: false,
    timestamp: (2 ** 32 - 9600 + i * 960) % 2 ** 32,
    sequence: (65_530 + i) & 0xffff,
  }));
}

const parse = (file: Uint8Array) => {
  const read = readOpusFile(file);
  if (!read.ok) throw new Error(read.reason);
  return read.value.packets;
};

describe('video recorder', () => {
  it('writes what was sent, also when neighbours changed places on the way', () => {
    const { packets, file } = videoPackets();
    const sink = memorySink();
    const recorder = new VideoRecorder(sink);
    const random = seeded(4);
    const order = [
      packets[0]!,
      ...packets
        .slice(1)
        .map((p, i) => ({ p, at: i + random.below(5) }))
        .sort((a, b) => a.at - b.at)
        .map((x) => x.p),
    ];
    for (const [i, packet] of order.entries()) recorder.packet(packet, i);
    recorder.close(order.length);
    recorder.close(order.length);
    expect(sameParts([sink.bytes()], [file])).toBe(true);
    expect(sink.closed).toBe(1);
    expect(recorder.status()).toEqual({
      packets: packets.length,
      written: 120,
      lost: 0,
      refused: 0,
      awaitingIdr: false,
    });
  });

  it('begins with SPS, PPS and an IDR picture when it joins in the middle, and goes on at an IDR after a loss', () => {
    const { packets } = videoPackets();
    const sink = memorySink();
    const recorder = new VideoRecorder(sink);
    const lost = packets.findIndex((p) => p.timestamp === 45 * 3000);
    for (const [i, packet] of packets.entries()) if (i > 10 && i !== lost) recorder.packet(packet, i);
    recorder.close(1e6);
    expect(splitAnnexB(sink.bytes()).slice(0, 4).map(nalType)).toEqual([NAL.sps, NAL.pps, NAL.idrSlice, NAL.slice]);
    expect(recorder.status()).toMatchObject({ lost: 1, written: 75 }); // frames 30 to 44 and 60 to 119
  });

  it('puts parameter sets before an IDR picture that came without them', () => {
    const sets = [Uint8Array.of(0x67, 0x42, 0, 0x0a, 0x80), Uint8Array.of(0x68, 0xce)];
    const idr = Uint8Array.of(0x65, 0x88, 0xaa);
    const sink = memorySink();
    const recorder = new VideoRecorder(sink);
    const payloads = [...sets, idr];
    for (const [i, payload] of payloads.entries())
      recorder.packet({ payload, marker: true, timestamp: i, sequence: i }, i);
    recorder.close(9);
    expect(splitAnnexB(sink.bytes())).toEqual(payloads);
  });

  it('asks to be woken for a missing packet', () => {
    const { packets } = videoPackets();
    const recorder = new VideoRecorder(memorySink());
    recorder.packet(packets[0]!, 100);
    expect(recorder.deadline()).toBeUndefined();
    recorder.packet(packets[2]!, 100);
    expect(recorder.deadline()).toBe(100 + REORDER_MAX_WAIT_MS);
    recorder.tick(100 + REORDER_MAX_WAIT_MS);
    expect(recorder.deadline()).toBeUndefined();
    expect(recorder.status()).toMatchObject({ lost: 1, awaitingIdr: true });
  });
});

describe('audio recorder', () => {
  it('writes what was sent, over the wraps of sequence number and timestamp', () => {
    const packets = audioPackets();
    const sink = memorySink();
    const recorder = new AudioRecorder(sink, { serial: 7 });
    for (const [i, packet] of packets.entries()) recorder.packet(packet, i * 20);
    recorder.close(5000);
    expect(
      sameParts(
        parse(sink.bytes()).map((p) => p.bytes),
        packets.map((p) => p.payload),
      ),
    ).toBe(true);
  });

  it('keeps time: a lost packet becomes one without data, a long gap is cut', () => {
    const packets = audioPackets().slice(0, 20);
    const sink = memorySink();
    const recorder = new AudioRecorder(sink, { serial: 7 });
    for (const [i, packet] of packets.entries()) if (i !== 5 && i !== 6) recorder.packet(packet, i * 100);
    const last = packets.at(-1)!;
    const far = (last.timestamp + 48 * (RECORDER_MAX_GAP_MS + 100)) >>> 0;
    recorder.packet({ ...last, timestamp: far, sequence: (last.sequence + 1) & 0xffff }, 9000);
    recorder.packet({ ...last, payload: new Uint8Array(), sequence: (last.sequence + 2) & 0xffff }, 9000);
    recorder.close(9999);
    const sizes = parse(sink.bytes()).map((p) => p.bytes.length);
    expect(sizes).toHaveLength(21);
    expect(sizes.flatMap((size, i) => (size === 1 ? [i] : []))).toEqual([5, 6]);
    expect(recorder.status()).toMatchObject({ lost: 2, written: 19, refused: 1 });
  });
});

describe('all recordings of an endpoint', () => {
  it('opens one file a source and ends them all', () => {
    const opened: string[] = [];
    const sinks: ReturnType<typeof memorySink>[] = [];
    const set = new RecorderSet(({ media, ssrc, position }) => {
      opened.push(`${media} ${ssrc} ${position}`);
      sinks.push(memorySink());
      return sinks.at(-1)!;
    });
    const [v, a] = [videoPackets().packets, audioPackets()];
    for (let i = 0; i < 50; i++) {
      set.packet({ media: 'video', ssrc: 1, position: 1 }, v[i]!, i);
      set.packet({ media: 'video', ssrc: 1, position: 2 }, v[i]!, i);
      set.packet({ media: 'audio', ssrc: 1, position: 1 }, a[i]!, i);
    }
    set.close(99);
    expect(opened).toEqual(['video 1 1', 'video 1 2', 'audio 1 1']);
    expect(sinks.map((s) => s.closed)).toEqual([1, 1, 1]);
    expect(sameParts([sinks[0]!.bytes()], [sinks[1]!.bytes()])).toBe(true);
    expect(set.status().every((s) => s.status.packets === 50 && s.status.written > 0)).toBe(true);
    expect(set.deadline()).toBeUndefined();
  });

  it('records no more sources than its limit', () => {
    let opened = 0;
    const set = new RecorderSet(() => {
      opened++;
      return memorySink();
    });
    const packet = audioPackets()[0]!;
    for (let ssrc = 0; ssrc < MAX_RECORDED_STREAMS + 5; ssrc++)
      set.packet({ media: 'audio', ssrc, position: 1 }, packet, 0);
    expect([opened, set.unrecorded]).toEqual([MAX_RECORDED_STREAMS, 5]);
  });

  it('a file is made at its first byte, for its owner only', () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-'));
    try {
      const path = join(folder, 'x.h264');
      const sink = openFileSink(path);
      expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
      sink.append(Uint8Array.of(1, 2));
      sink.append(Uint8Array.of(3));
      sink.close();
      sink.close();
      expect([...readFileSync(path)]).toEqual([1, 2, 3]);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(() => sink.append(Uint8Array.of(4))).toThrow('append after close');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
