/** Is it the tone that somebody plays? Of recordings that are still being written, as WAV of 16-bit samples. */
import { existsSync, readFileSync } from 'node:fs';
import { toneShareOf } from './judge.js';

const HEADER_BYTES = 44;

/** A sine as WAV, mono, 48 kHz. */
export function toneWav(hertz: number, seconds: number): Buffer {
  const rate = 48_000;
  const data = Buffer.alloc(rate * seconds * 2);
  for (let i = 0; i < rate * seconds; i++)
    data.writeInt16LE(Math.round(8_000 * Math.sin((2 * Math.PI * hertz * i) / rate)), i * 2);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

interface Recording {
  readonly bytes: Buffer;
  readonly channels: number;
  readonly rate: number;
  readonly frames: number;
}

function open(file: string): Recording | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  if (bytes.length < HEADER_BYTES) return undefined;
  const channels = bytes.readUInt16LE(22);
  const frames = Math.floor((bytes.length - HEADER_BYTES) / (2 * channels));
  const rate = bytes.readUInt32LE(24);
  // A header may be written last.
  return rate === 0 ? undefined : { bytes, channels, rate, frames };
}

/** Of the half second that ends before this frame. */
function shareBefore({ bytes, channels, rate }: Recording, end: number, hertz: number): number {
  const wanted = rate / 2;
  if (end < wanted) return 0;
  const at = (i: number): number => bytes.readInt16LE(HEADER_BYTES + (end - wanted + i) * 2 * channels);
  return toneShareOf(
    Float64Array.from({ length: wanted }, (_, i) => at(i)),
    rate,
    hertz,
    100,
  );
}

/**
 * The share of the energy of the last half second that lies at this frequency, 0 to 1; 0 while there is less than that or
 * hardly any sound. Sizes in the header are not looked at: they are written when a recording is closed.
 */
export function toneShare(file: string, hertz: number): number {
  const recording = open(file);
  return recording === undefined ? 0 : shareBefore(recording, recording.frames, hertz);
}

/** The same for the half second in which the tone is purest: of a recording that its program ends with silence of its own. */
export function purestToneShare(file: string, hertz: number): number {
  const recording = open(file);
  if (recording === undefined) return 0;
  const step = recording.rate / 2;
  let purest = 0;
  for (let end = step; end <= recording.frames; end += step)
    purest = Math.max(purest, shareBefore(recording, end, hertz));
  return purest;
}
