/** Which colour is the picture that somebody sees? Of raw frames that are still being written: RGB, 8 bits each. */
import { existsSync, readFileSync } from 'node:fs';
import { alikeShare } from './judge.js';

export interface Colour {
  readonly name: string;
  readonly rgb: readonly [number, number, number];
}

/** Far from each other, and none of them what a decoder shows of nothing (black, grey, green). */
export const RED: Colour = { name: 'red', rgb: [0xd0, 0x20, 0x20] };
export const BLUE: Colour = { name: 'blue', rgb: [0x20, 0x20, 0xd0] };
export const PURPLE: Colour = { name: 'purple', rgb: [0xc0, 0x20, 0xc0] };
export const YELLOW: Colour = { name: 'yellow', rgb: [0xd0, 0xd0, 0x20] };

/** Of all pixels of a frame. */
export const SHARE = 0.95;

/** The whole last frame has this colour, as near as a lossy codec brings it. */
export function showsColour(file: string, frameBytes: number, { rgb }: Colour): boolean {
  if (!existsSync(file)) return false;
  const bytes = readFileSync(file);
  const frames = Math.floor(bytes.length / frameBytes);
  if (frames === 0) return false;
  const last = bytes.subarray((frames - 1) * frameBytes, frames * frameBytes);
  return alikeShare(last, 3, rgb) >= SHARE;
}
