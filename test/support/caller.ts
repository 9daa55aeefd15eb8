/** An endpoint for a test that remembers what it sent and received. */
import { readAsset } from '../../src/endpoint/assets/assets.js';
import {
  type AudioInput,
  type Call,
  type CallOptions,
  call,
  openAudioSource,
  openVideoSource,
  type ReceivedMedia,
  type VideoInput,
} from '../../src/endpoint/index.js';

export interface Caller {
  readonly call: Call;
  readonly received: ReceivedMedia[];
  readonly sent: {
    readonly ssrc: number;
    readonly position: number;
    readonly sequence: number;
    readonly payload: Uint8Array;
  }[];
  readonly notified: boolean[];
}

export function audioInput(
  position: number,
  energy: (elapsedMs: number) => number = () => 10,
  clip: 'tone.opus' | 'noise.opus' = 'tone.opus',
): AudioInput {
  const source = openAudioSource(readAsset(clip), { energy });
  if (!source.ok) throw new Error(source.reason);
  return { position, source: source.value };
}

export function videoInput(position: number, clip: 'bars.h264' | 'testsrc2.h264' = 'bars.h264'): VideoInput {
  const source = openVideoSource(readAsset(clip));
  if (!source.ok) throw new Error(source.reason);
  return { position, source: source.value };
}

export async function dial(
  to: { readonly target: string; readonly caPem: string },
  options: Partial<CallOptions> & { readonly energy?: (elapsedMs: number) => number } = {},
): Promise<Caller> {
  const received: ReceivedMedia[] = [];
  const sent: Caller['sent'] = [];
  const notified: boolean[] = [];
  const places = options.screens === 3 ? [1, 2, 3] : [1];
  const { energy, ...rest } = options;
  const made = await call({
    ...to,
    audio: places.map((p) => audioInput(p, energy)),
    video: places.map((p) => videoInput(p)),
    onReceived: (rtp) => void received.push(rtp),
    onSent: (packet) => void sent.push(packet),
    onNotified: (secure) => void notified.push(secure),
    ...rest,
  });
  return { call: made, received, sent, notified };
}
