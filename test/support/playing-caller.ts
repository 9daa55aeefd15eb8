/** The reference endpoint with a tone and a colour of its own, that can be asked at any time what it hears and sees. */
import { mkdirSync } from 'node:fs';
import type { CallOptions, ReceivedMedia } from '../../src/endpoint/index.js';
import { type Caller, dial } from './caller.js';
import type { Colour } from './colour.js';
import { colourInput, decoded, toneInput } from './decoded.js';

export interface PlayingCaller {
  readonly caller: Caller;
  /** What came last is this tone, this picture. */
  readonly hears: (hertz: number) => boolean;
  readonly sees: (colour: Colour) => boolean;
}

/** Of each kind, the stream that was heard last. */
function latest(received: readonly ReceivedMedia[]): readonly ReceivedMedia[] {
  const last = new Map(received.map(({ media, ssrc }) => [media, ssrc]));
  return received.filter(({ media, ssrc }) => last.get(media) === ssrc);
}

/** @param to `folder` is for its files and is made. */
export async function playingCaller(
  { folder, ...to }: { readonly target: string; readonly caPem: string; readonly folder: string },
  { hertz, colour, ...options }: Partial<CallOptions> & { readonly hertz: number; readonly colour: Colour },
): Promise<PlayingCaller> {
  mkdirSync(folder, { recursive: true });
  const [audio, video] = [[toneInput(folder, hertz)], [colourInput(folder, colour)]];
  const caller = await dial(to, { ...options, audio, video });
  const now = (): ReturnType<typeof decoded> => decoded(folder, latest(caller.received));
  return { caller, hears: (wanted) => now().hears(wanted), sees: (wanted) => now().sees(wanted) };
}
