/** Registrations over a restart: one JSON file, written whole under another name and then moved. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { REGISTRAR_SWEEP_INTERVAL_MS } from '../base/limits.js';
import { type Binding, Registrar } from '../sip/registrar.js';

const bindings = z.array(
  z.strictObject({
    user: z.string(),
    contact: z.string(),
    callId: z.string(),
    sequence: z.int(),
    expiresAt: z.number(),
    flow: z.strictObject({ instance: z.string(), id: z.int() }).optional(),
  }),
);

function read(file: string): readonly Binding[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  try {
    return bindings.parse(JSON.parse(text)).map(({ flow, ...rest }) => (flow === undefined ? rest : { ...rest, flow }));
  } catch {
    throw new Error(
      `${file} holds no registrations that can be read: remove it; endpoints register again by themselves`,
    );
  }
}

export class Registrations {
  readonly registrar = new Registrar();
  readonly #file: string;
  readonly #now: () => number;
  readonly #onProblem: (detail: string) => void;
  readonly #sweep: NodeJS.Timeout;
  #closed = false;

  /** Throws with what to do when there is a file that cannot be used. */
  constructor(dir: string, now: () => number, onProblem: (detail: string) => void) {
    this.#file = join(dir, 'registrations.json');
    this.#now = now;
    this.#onProblem = onProblem;
    this.registrar.restore(read(this.#file), now());
    // What has expired must not keep its connection open.
    this.#sweep = setInterval(() => {
      this.registrar.bindings(now());
      this.save();
    }, REGISTRAR_SWEEP_INTERVAL_MS).unref();
  }

  /** Writes what has changed, if anything has. A file that cannot be written costs the memory of a restart, no call. */
  save(): void {
    if (this.#closed || !this.registrar.takeChanged()) return;
    const kept = this.registrar.bindings(this.#now()).map(({ connection: _, ...binding }) => binding);
    try {
      writeFileSync(`${this.#file}.new`, JSON.stringify(kept), { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#onProblem(`registrations are not kept: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** To be called before the connections end: what their end takes away is kept over the restart. */
  close(): void {
    clearInterval(this.#sweep);
    this.save();
    this.#closed = true;
  }
}
