/**
 * The contract of every machine that has state or time. Whoever drives it calls `receive`, then `poll` until it gives
 * nothing, then `deadline`, and calls `receive` again when input comes or the deadline has passed. No promise, timer,
 * emitter or clock lives inside; `now` is in milliseconds since the Unix epoch (fractions allowed) and never goes back.
 */
export interface Engine<Input, Output> {
  receive(input: Input, now: number): void;
  poll(): Output | undefined;
  /** When the machine wants to be woken (`receive({ type: 'tick' })`), in the same milliseconds; undefined: only input wakes it. */
  deadline(): number | undefined;
}

/** The input that every engine takes when its deadline has passed. */
export interface Tick {
  readonly type: 'tick';
}
