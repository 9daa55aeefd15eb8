import { equalBytes } from './bytes.js';

/**
 * Bytes that must not be seen. Prints, inspects and serialises as `[secret]`; wiped when its owner closes.
 * It cannot travel through structuredClone (a thread boundary) by accident: the private field does not clone, so whoever
 * moves one across threads does so by name with {@link Secret.copyOut}.
 */
export class Secret {
  #bytes: Uint8Array;
  #wiped = false;

  /** Takes over `bytes`: the caller must not keep or change the array. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  static copyOf(bytes: Uint8Array): Secret {
    return new Secret(Uint8Array.from(bytes));
  }

  get length(): number {
    return this.#bytes.length;
  }

  get wiped(): boolean {
    return this.#wiped;
  }

  /** Lends the bytes to `f`, which must not keep them. Throws when the secret was wiped: a use after close is our bug. */
  use<T>(f: (bytes: Uint8Array) => T): T {
    if (this.#wiped) throw new Error('use of a wiped secret');
    return f(this.#bytes);
  }

  /** A copy whose wiping is the caller's business; for the step across a thread or native boundary only. */
  copyOut(): Uint8Array {
    return this.use((bytes) => Uint8Array.from(bytes));
  }

  /** Whether both hold the same bytes; throws when one of them was wiped. */
  equals(other: Secret): boolean {
    return this.use((mine) => other.use((theirs) => equalBytes(mine, theirs)));
  }

  wipe(): void {
    this.#bytes.fill(0);
    this.#wiped = true;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}
