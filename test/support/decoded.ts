/** Media of the reference endpoint that can be told by tone and colour: what it sends is made, and what it gets decoded, by ffmpeg. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AudioInput,
  openAudioSource,
  openVideoSource,
  type ReceivedMedia,
  type VideoInput,
} from '../../src/endpoint/index.js';
import { openFileSink } from '../../src/endpoint/media/file-sink.js';
import { AudioRecorder, VideoRecorder } from '../../src/endpoint/media/recorder.js';
import { type Colour, showsColour } from './colour.js';
import { toneShare } from './tone.js';

const CLIP_SECONDS = '4';
const [WIDTH, HEIGHT] = [160, 120] as const;

function ffmpeg(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args], { encoding: 'utf8', timeout: 30_000 });
  if (status !== 0) throw new Error(`ffmpeg ended with ${status}: ${stderr}`);
}

/** A sine at the center. */
export function toneInput(folder: string, hertz: number): AudioInput {
  const file = join(folder, `${hertz}.opus`);
  const sine = `sine=frequency=${hertz}:sample_rate=48000,volume=8`;
  ffmpeg('-f', 'lavfi', '-i', sine, '-t', CLIP_SECONDS, '-c:a', 'libopus', '-frame_duration', '20', '-f', 'opus', file);
  const source = openAudioSource(readFileSync(file), { energy: () => 60 });
  if (!source.ok) throw new Error(source.reason);
  return { position: 1, source: source.value };
}

/** A picture of one colour at the center; a key frame a second. */
export function colourInput(folder: string, { name, rgb }: Colour): VideoInput {
  const file = join(folder, `${name}.h264`);
  const hex = rgb.map((value) => value.toString(16).padStart(2, '0')).join('');
  const encoder = ['-c:v', 'libx264', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', '-g', '15'];
  const input = ['-f', 'lavfi', '-i', `color=c=0x${hex}:size=${WIDTH}x${HEIGHT}:rate=15`, '-t', CLIP_SECONDS];
  ffmpeg(...input, ...encoder, '-x264-params', 'repeat-headers=1:threads=1', '-f', 'h264', file);
  const source = openVideoSource(readFileSync(file));
  if (!source.ok) throw new Error(source.reason);
  return { position: 1, source: source.value };
}

/** What the endpoint received of one source, decoded: the tone and the colour at its end. */
export function decoded(
  folder: string,
  received: readonly ReceivedMedia[],
): { readonly hears: (hertz: number) => boolean; readonly sees: (colour: Colour) => boolean } {
  const [opus, wav, h264, rgb] = ['opus', 'wav', 'h264', 'rgb'].map((end) => join(folder, `received.${end}`));
  const audio = new AudioRecorder(openFileSink(opus!), { serial: 1 });
  const video = new VideoRecorder(openFileSink(h264!));
  for (const rtp of received) (rtp.media === 'audio' ? audio : video).packet(rtp, 0);
  for (const recorder of [audio, video]) recorder.close(0);
  // Before the first packet, or the first key frame, there is nothing to decode.
  const [heard, seen] = [audio, video].map((recorder) => recorder.status().written > 0);
  if (heard === true)
    ffmpeg('-i', opus!, '-ac', '1', '-ar', '48000', '-c:a', 'pcm_s16le', '-bitexact', '-f', 'wav', wav!);
  if (seen === true)
    ffmpeg('-i', h264!, '-vf', `scale=${WIDTH}:${HEIGHT}`, '-pix_fmt', 'rgb24', '-f', 'rawvideo', rgb!);
  return {
    hears: (hertz) => heard === true && toneShare(wav!, hertz) > 0.9,
    sees: (colour) => seen === true && showsColour(rgb!, WIDTH * HEIGHT * 3, colour),
  };
}

/** Of a picture in a file of its own, once it is whole. */
export function isPictureOf(file: string, colour: Colour): boolean {
  const raw = `${file}.rgb`;
  const args = [
    '-v',
    'error',
    '-y',
    '-i',
    file,
    '-vf',
    `scale=${WIDTH}:${HEIGHT}`,
    '-pix_fmt',
    'rgb24',
    '-f',
    'rawvideo',
  ];
  const { status } = spawnSync('ffmpeg', [...args, raw], { timeout: 30_000 });
  return status === 0 && showsColour(raw, WIDTH * HEIGHT * 3, colour);
}
