/** TIP on one channel: the machine, its inputs and outputs, and what a negotiated channel can carry (WIRE.md 4). */
export { TipMachine, type TipState } from './machine.js';
export * from './options.js';
export * from './types.js';
