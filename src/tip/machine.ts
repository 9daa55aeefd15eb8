/**
 * TIP and SPIMAP on one channel (WIRE.md 4): negotiation, group parameter sets, and the requests that ride along.
 *
 * This is a room of its own, between `wire` and its users `control` and `endpoint`, because both roles of a channel
 * share one machine and those two rooms may not import each other. It imports `wire` and `base` only.
 */
import type { Engine } from '../base/engine.js';
import type { TipInput, TipOptions, TipOutput } from './types.js';

export type TipState = 'idle' | 'negotiating' | 'done' | 'ended';

export class TipMachine implements Engine<TipInput, TipOutput> {
  constructor(_options: TipOptions) {}
  receive(_input: TipInput, _now: number): void {}
  poll(): TipOutput | undefined {
    return undefined;
  }
  deadline(): number | undefined {
    return undefined;
  }
}
