/** When a call sends under a new group parameter set: SET_SEND_DELAY_MS after its last channel has ACKed it (WIRE.md 10). */
import { SET_SEND_DELAY_MS } from '../base/limits.js';
import type { MediaLine } from './media-line.js';

export class SetActivation {
  readonly #lines: () => readonly MediaLine[];
  readonly #installed = new Map<MediaLine, number>();
  #active: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(lines: () => readonly MediaLine[]) {
    this.#lines = lines;
  }

  /** Every channel can send: what it has is in use. */
  begin(): void {
    this.#active ??= this.#installed.get(this.#lines()[0]!);
  }

  installed(line: MediaLine, spiWord: number): void {
    this.#installed.set(line, spiWord);
    if (this.#active === undefined || spiWord === this.#active) return;
    if (!this.#lines().every((l) => this.#installed.get(l) === spiWord)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#active = spiWord;
      for (const l of this.#lines()) l.receive({ type: 'activate-set', spiWord });
    }, SET_SEND_DELAY_MS);
  }

  /** All lines are others now. */
  forget(): void {
    this.#installed.clear();
    this.#active = undefined;
    clearTimeout(this.#timer);
  }

  /** The channel has no sets any more; the next one is its first. */
  left(line: MediaLine): void {
    this.#installed.delete(line);
    this.#active = undefined;
    clearTimeout(this.#timer);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
