import { REPLAY_WINDOW_PACKETS } from '../base/limits.js';

export type Freshness = 'new' | 'replayed' | 'too_old';

/**
 * Which of the last REPLAY_WINDOW_PACKETS indices have been taken (RFC 3711 §3.3.2). Indices are integers below 2^48 (a
 * number holds them exactly). `check` changes nothing; only an authenticated packet is `accept`ed.
 */
export class ReplayWindow {
  readonly #bits = new Uint32Array(REPLAY_WINDOW_PACKETS / 32);
  #highest = -1;

  /** -1 while nothing was accepted. */
  get highest(): number {
    return this.#highest;
  }

  get empty(): boolean {
    return this.#highest < 0;
  }

  check(index: number): Freshness {
    if (index > this.#highest) return 'new';
    if (this.#highest - index >= REPLAY_WINDOW_PACKETS) return 'too_old';
    return this.#has(index) ? 'replayed' : 'new';
  }

  /** The index must have been `new`. */
  accept(index: number): void {
    if (index > this.#highest) {
      if (this.#highest < 0 || index - this.#highest >= REPLAY_WINDOW_PACKETS) this.#bits.fill(0);
      else for (let i = this.#highest + 1; i < index; i++) this.#clear(i);
      this.#highest = index;
    }
    const at = index % REPLAY_WINDOW_PACKETS;
    this.#bits[at >>> 5]! |= 1 << (at & 31);
  }

  reset(): void {
    this.#bits.fill(0);
    this.#highest = -1;
  }

  /** Highest index and the taken ones, for comparing states. */
  describe(): string {
    return `${this.#highest}:${Array.from(this.#bits, (word) => word.toString(16)).join(',')}`;
  }

  #has(index: number): boolean {
    const at = index % REPLAY_WINDOW_PACKETS;
    return ((this.#bits[at >>> 5]! >>> (at & 31)) & 1) === 1;
  }

  #clear(index: number): void {
    const at = index % REPLAY_WINDOW_PACKETS;
    this.#bits[at >>> 5]! &= ~(1 << (at & 31));
  }
}
