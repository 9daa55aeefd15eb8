/** Is it the tone that somebody plays, the colour that somebody shows? Arithmetic alone, for tests and for pages of tests. */

/** What a matrix of the other standard (BT.601, BT.709) and a coarse quantizer may make of a component. */
const TOLERANCE = 48;

/**
 * The share of the energy that lies at this frequency (Goertzel), 0 to 1.
 * @param silence root mean square below which it is silence, whose share is 0; in the unit of `samples`.
 */
export function toneShareOf(samples: ArrayLike<number>, rate: number, hertz: number, silence: number): number {
  const factor = 2 * Math.cos((2 * Math.PI * hertz) / rate);
  let [before, last, energy] = [0, 0, 0];
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    energy += sample * sample;
    [before, last] = [last, sample + factor * last - before];
  }
  if (energy / samples.length < silence * silence) return 0;
  const power = before * before + last * last - factor * before * last;
  return (2 * power) / (samples.length * energy);
}

/** The share of the pixels that have this colour, as near as a lossy codec brings it. @param bytesPerPixel 3: RGB, 4: RGBA */
export function alikeShare(
  pixels: ArrayLike<number>,
  bytesPerPixel: 3 | 4,
  rgb: readonly [number, number, number],
): number {
  let alike = 0;
  for (let i = 0; i < pixels.length; i += bytesPerPixel) {
    if (rgb.every((value, k) => Math.abs(value - pixels[i + k]!) <= TOLERANCE)) alike++;
  }
  return alike / (pixels.length / bytesPerPixel);
}
