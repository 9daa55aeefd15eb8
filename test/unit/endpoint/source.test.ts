import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { AUDIO_CLIPS, assetPath, packageRoot, readAsset, VIDEO_CLIPS } from '../../../src/endpoint/assets/assets.js';
import { NAL, nalType } from '../../../src/endpoint/media/annexb.js';
import { FU_A, h264RefreshStart } from '../../../src/endpoint/media/h264-payload.js';
import { estimateEnergy, openAudioSource, openVideoSource } from '../../../src/endpoint/media/source.js';
import type { AudioSource, VideoSource } from '../../../src/endpoint/media/types.js';

function video(name: (typeof VIDEO_CLIPS)[number], options = {}): VideoSource {
  const source = openVideoSource(readAsset(name), options);
  if (!source.ok) throw new Error(source.reason);
  return source.value;
}

function audio(name: (typeof AUDIO_CLIPS)[number], options = {}): AudioSource {
  const source = openAudioSource(readAsset(name), options);
  if (!source.ok) throw new Error(source.reason);
  return source.value;
}

const take = <T>(count: number, next: () => T | undefined) => Array.from({ length: count }, () => next()!);

describe('video source', () => {
  it('gives frames at the rate of the file, in 90 kHz and ms, and begins again at its end', () => {
    const source = video('testsrc2.h264');
    const frames = take(250, () => source.next());
    expect(source.frameRate).toBe(30);
    expect(frames.map((f) => f.timestamp)).toEqual(frames.map((_, i) => i * 3000));
    expect(frames[30]!.dueMs).toBe(1000);
    expect(frames.flatMap((f, i) => (f.refresh ? [i] : []))).toEqual([0, 30, 60, 90, 120, 150, 180, 210, 240]);
    for (const frame of frames) {
      expect(frame.payloads.map((p) => p.marker)).toEqual(
        frame.payloads.map((_, i) => i === frame.payloads.length - 1),
      );
      expect(h264RefreshStart(frame.payloads[0]!.bytes)).toBe(frame.refresh);
    }
  });

  it('takes a rate that the caller gives, also one that 90 kHz does not divide by', () => {
    expect(video('mandelbrot.h264').frameRate).toBe(15);
    const source = video('mandelbrot.h264', { frameRate: 29.97 });
    const frames = take(1000, () => source.next());
    expect(frames[999]!.timestamp).toBe(Math.round((999 * 90_000) / 29.97));
    expect(frames[999]!.dueMs).toBeCloseTo((999 * 1000) / 29.97);
  });

  it('ends when it is told not to loop', () => {
    const source = video('bars.h264', { loop: false });
    expect(take(120, () => source.next()).every(Boolean)).toBe(true);
    expect(source.next()).toBeUndefined();
  });

  it('a request is answered by the very next frame, over the end of the file too, and only once', () => {
    const source = video('testsrc2.h264');
    for (const asked of [3, 31, 115]) {
      while (source.next()!.timestamp < asked * 3000);
      source.requestRefresh();
      source.requestRefresh();
      const [answer, after] = take(2, () => source.next());
      expect(answer!.refresh).toBe(true);
      expect(after!.refresh).toBe(false);
      expect(answer!.timestamp).toBe((asked + 1) * 3000);
    }
    const once = video('testsrc2.h264', { loop: false });
    take(100, () => once.next());
    once.requestRefresh();
    expect(once.next()).toBeUndefined();
  });

  it('sends no delimiter, and fragments the large pictures', () => {
    for (const name of VIDEO_CLIPS) {
      const source = video(name, { maxPayloadBytes: 600 });
      const payloads = take(60, () => source.next()).flatMap((f) => f.payloads.map((p) => p.bytes));
      expect(payloads.some((p) => nalType(p) === NAL.accessUnitDelimiter)).toBe(false);
      expect(Math.max(...payloads.map((p) => p.length))).toBeLessThanOrEqual(600);
      expect(payloads.some((p) => nalType(p) === FU_A)).toBe(true);
    }
  });

  it('refuses what is no H.264 by name', () => {
    expect(openVideoSource(readAsset('tone.opus'))).toMatchObject({ ok: false });
  });
});

describe('audio source', () => {
  it.each(AUDIO_CLIPS)('%s: one packet every 20 ms, without end', (name) => {
    const source = audio(name);
    const packets = take(500, () => source.next());
    expect(packets.map((p) => p.timestamp)).toEqual(packets.map((_, i) => i * 960));
    expect(packets.map((p) => p.dueMs)).toEqual(packets.map((_, i) => i * 20));
    expect(packets.every((p) => p.durationMs === 20 && p.energy >= 0 && p.energy <= 100)).toBe(true);
    expect(new Set(packets.map((p) => p.energy)).size).toBeGreaterThan(10);
  });

  it('energy is the estimate unless the caller gives it, and always a byte of the scale', () => {
    expect([0, 1, 2, 3, 50, 100, 101].map((n) => estimateEnergy(n, 100))).toEqual([0, 0, 0, 3, 50, 100, 100]);
    expect(estimateEnergy(5, 0)).toBe(0);
    const source = audio('tone.opus', { energy: (ms: number) => [-5, 33.4, 200, Number.NaN][(ms / 20) % 4] });
    expect(take(4, () => source.next()).map((p) => p.energy)).toEqual([0, 33, 100, 0]);
  });

  it('ends when it is told not to loop; refuses what is no Ogg', () => {
    const source = audio('noise.opus', { loop: false });
    let count = 0;
    while (source.next() !== undefined) count++;
    expect(count).toBe(201);
    expect(openAudioSource(readAsset('bars.h264'))).toMatchObject({ ok: false, reason: 'no_capture_pattern' });
  });
});

describe('clips', () => {
  it('are found from the sources and from their compiled copy, and stay small', () => {
    const root = packageRoot();
    expect(packageRoot(pathToFileURL(`${root}/dist/src/endpoint/assets/assets.js`).href)).toBe(root);
    expect([...VIDEO_CLIPS, ...AUDIO_CLIPS].every((name) => existsSync(assetPath(name)))).toBe(true);
    const bytes = [...VIDEO_CLIPS, ...AUDIO_CLIPS].reduce((sum, name) => sum + readAsset(name).length, 0);
    expect(bytes).toBeLessThan(400_000);
  });
});
