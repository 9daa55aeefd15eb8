/** Which suites the relay at hand can be measured with. */
import { randomSet } from './room.js';
import { SHAPES, Switcher, switchedBytes, TrafficSource } from './traffic.js';

export const SUITES: readonly number[] = [1, 17];
const TRIAL_PACKETS = 3;

/** Why a suite cannot be measured; undefined: sender and switching core agree on it, tried with real packets. */
export function suiteRefusal(suite: number): string | undefined {
  let switcher: Switcher | undefined;
  let source: TrafficSource | undefined;
  const { bytes } = SHAPES.audio;
  try {
    const set = randomSet(suite);
    source = new TrafficSource('audio', bytes, set);
    switcher = new Switcher('audio', bytes, set);
    const copies = switcher.switch(source.packets(TRIAL_PACKETS));
    return copies.length === TRIAL_PACKETS * switchedBytes(bytes) ? undefined : 'copies of another length';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    switcher?.close();
    source?.wipe();
  }
}

export interface Unavailable {
  readonly suite: number;
  readonly reason: string;
}

export function sortSuites(suites: readonly number[]): { available: number[]; unavailable: Unavailable[] } {
  const available: number[] = [];
  const unavailable: Unavailable[] = [];
  for (const suite of suites) {
    const reason = suiteRefusal(suite);
    if (reason === undefined) available.push(suite);
    else unavailable.push({ suite, reason });
  }
  return { available, unavailable };
}
