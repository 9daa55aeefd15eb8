/**
 * SSRCs of the streams that the switch sends in its own name on one channel: 24 bits of the channel's seed, and a lane of 1 to
 * 15 (native/core/own_streams.h has the same).
 */
const LANES = 16;

/** @param lane a video display's position; 1 for a receiver of one audio stream. */
export function ownSsrc(seed: number, lane: number): number {
  return ((seed & 0xffffff00) | lane) >>> 0;
}

/** Which lane is meant; undefined: the SSRC is none of the switch's. */
export function ownLane(seed: number, ssrc: number): number | undefined {
  const lane = ssrc & 0xff;
  return lane > 0 && lane < LANES && ownSsrc(seed, lane) === ssrc ? lane : undefined;
}
