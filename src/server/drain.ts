/** No new conferences; those that run end by themselves, or at a deadline. It can be taken back until then. */
export interface DrainHost {
  setDraining(on: boolean): void;
  /** The deadline has come. */
  endAll(): void;
  readonly now: () => number;
}

export class Drain {
  readonly #host: DrainHost;
  #draining = false;
  #deadlineMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: DrainHost) {
    this.#host = host;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Unix ms. */
  get deadlineMs(): number | undefined {
    return this.#deadlineMs;
  }

  /** Again with another deadline (ms from now), or none: it takes the earlier one's place. */
  start(deadlineInMs: number | undefined): void {
    this.#forgetDeadline();
    this.#draining = true;
    this.#host.setDraining(true);
    if (deadlineInMs === undefined) return;
    this.#deadlineMs = this.#host.now() + deadlineInMs;
    this.#timer = setTimeout(() => this.#host.endAll(), deadlineInMs);
  }

  cancel(): void {
    this.#forgetDeadline();
    this.#draining = false;
    this.#host.setDraining(false);
  }

  /** For a switch that stops. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #forgetDeadline(): void {
    clearTimeout(this.#timer);
    this.#deadlineMs = undefined;
  }
}
