/** Which colour is the picture that somebody sees? Of raw frames that are still being written: RGB, 8 bits each. */
import { existsSync, readFileSync } from 'node:fs';

export interface Colour {
  readonly name: string;
  readonly rgb: readonly [number, number, number];
}

/** Far from each other, and none of them what a decoder shows of nothing (black, grey, green). */
export const RED: Colour = { name: 'red', rgb: [0xd0, 0x20, 0x20] };
export const BLUE: Colour = { name: 'blue', rgb: [0x20, 0x20, 0xd0] };
export const YELLOW: Colour = { name: 'yellow', rgb: [0xd0, 0xd0, 0x20] };

/** What a matrix of the other standard (BT.601, BT.709) and a coarse quantizer may make of a component. */
const TOLERANCE = 48;
/** Of all pixels of a frame. */
const SHARE = 0.95;

/** The whole last frame has this colour, as near as a lossy codec brings it. */
export function showsColour(file: string, frameBytes: number, { rgb }: Colour): boolean {
  if (!existsSync(file)) return false;
  const bytes = readFileSync(file);
  const frames = Math.floor(bytes.length / frameBytes);
  if (frames === 0) return false;
  const last = bytes.subarray((frames - 1) * frameBytes, frames * frameBytes);
  let alike = 0;
  for (let i = 0; i < last.length; i += 3) {
    if (rgb.every((value, k) => Math.abs(value - last[i + k]!) <= TOLERANCE)) alike++;
  }
  return alike / (frameBytes / 3) >= SHARE;
}
