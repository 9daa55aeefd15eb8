/** The reference endpoint with a tone and a colour of its own; what it receives is recorded, and ffmpeg decodes the recordings. */
import { spawnSync } from 'node:child_process';
import { type CallOptions, openAudioSource, openVideoSource } from '../../src/endpoint/index.js';
import { RecorderSet } from '../../src/endpoint/media/recorder.js';
import { type Caller, dial } from './caller.js';
import { type Colour, SHARE } from './colour.js';
import { alikeShare, toneShareOf } from './judge.js';
import { put } from './pki.js';

const RATE = 48_000;
const [WIDTH, HEIGHT, FRAMES_A_SECOND] = [320, 240, 15] as const;
const FRAME_BYTES = WIDTH * HEIGHT * 3;
/** Of 16 bits. */
const SILENCE = 100;

function ffmpeg(input: Uint8Array | undefined, words: string): Buffer {
  const args = ['-v', 'error', ...words.split(' ')];
  const { status, stdout, stderr } = spawnSync('ffmpeg', args, { input, maxBuffer: 1 << 30, timeout: 15_000 });
  // A recording that still grows may end in the middle of a page or a picture; what came before is decoded.
  if (status !== 0 && input === undefined) throw new Error(`ffmpeg ${words}: ${stderr}`);
  return stdout;
}

function tone(hertz: number): ReturnType<typeof openAudioSource> {
  const sound = `-f lavfi -i sine=frequency=${hertz}:sample_rate=${RATE}:duration=4,volume=4`;
  return openAudioSource(ffmpeg(undefined, `${sound} -ac 1 -c:a libopus -b:a 32k -frame_duration 20 -f ogg -`), {
    energy: () => 80,
  });
}

function picture({ rgb }: Colour): ReturnType<typeof openVideoSource> {
  const hex = rgb.map((value) => value.toString(16).padStart(2, '0')).join('');
  const colour = `-f lavfi -i color=c=0x${hex}:s=${WIDTH}x${HEIGHT}:r=${FRAMES_A_SECOND} -t 2 -pix_fmt yuv420p`;
  const encoder = `-c:v libx264 -profile:v baseline -g ${FRAMES_A_SECOND} -x264-params repeat-headers=1:threads=1`;
  return openVideoSource(ffmpeg(undefined, `${colour} ${encoder} -f h264 -`));
}

export interface PlayingCaller {
  readonly caller: Caller;
  /** What came last is this tone, this picture. */
  readonly hears: (hertz: number) => boolean;
  readonly sees: (colour: Colour) => boolean;
}

/** @param options of the call; `folder` is for files in between. */
export async function playingCaller(
  to: { readonly target: string; readonly caPem: string; readonly folder: string },
  { hertz, colour, ...options }: Partial<CallOptions> & { readonly hertz: number; readonly colour: Colour },
): Promise<PlayingCaller> {
  const [audio, video] = [tone(hertz), picture(colour)];
  if (!audio.ok || !video.ok) throw new Error('ffmpeg made something else than Opus and H.264');
  const recordings = new Map<string, Uint8Array[]>();
  /** The one that was written last, of each kind. */
  const latest = new Map<string, string>();
  const recorders = new RecorderSet(({ media, ssrc, position }) => {
    const key = `${media} ${ssrc} ${position}`;
    const parts: Uint8Array[] = [];
    recordings.set(key, parts);
    return {
      append: (bytes) => {
        parts.push(Uint8Array.from(bytes));
        latest.set(media, key);
      },
      close: () => undefined,
    };
  });
  const caller = await dial(to, {
    ...options,
    audio: [{ position: 1, source: audio.value }],
    video: [{ position: 1, source: video.value }],
    onReceived: ({ media, ssrc, source, sequence, timestamp, marker, payload }) => {
      const packet = { sequence, timestamp, marker, payload: Uint8Array.from(payload) };
      recorders.packet({ media, ssrc, position: source }, packet, performance.now());
    },
  });
  const decoded = (media: 'audio' | 'video', format: string): Buffer => {
    recorders.tick(performance.now());
    const parts = recordings.get(latest.get(media) ?? '');
    if (parts === undefined) return Buffer.alloc(0);
    const file = put(to.folder, `${options.name}.${media}`, Buffer.concat(parts));
    return ffmpeg(new Uint8Array(), `-f ${media === 'audio' ? 'ogg' : 'h264'} -i ${file} ${format} -`);
  };
  return {
    caller,
    hears: (wanted) => {
      const pcm = decoded('audio', `-f s16le -ac 1 -ar ${RATE}`);
      const samples = new Int16Array(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + (pcm.length & ~1)));
      return samples.length >= RATE && toneShareOf(samples.subarray(-RATE / 2), RATE, wanted, SILENCE) > 0.9;
    },
    sees: ({ rgb }) => {
      const raw = decoded('video', `-f rawvideo -pix_fmt rgb24 -s ${WIDTH}x${HEIGHT}`);
      return raw.length >= FRAME_BYTES && alikeShare(raw.subarray(-FRAME_BYTES), 3, rgb) >= SHARE;
    },
  };
}
