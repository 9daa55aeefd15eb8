/** DTLS associations in piscina workers (DESIGN.md 1): datagrams go in, datagrams and keys come out. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import {
  DTLS_MAX_ASSOCIATIONS_PER_WORKER,
  DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION,
  DTLS_MAX_STRANGERS_PER_WORKER,
  DTLS_POOL_CLOSE_TIMEOUT_MS,
  DTLS_WORKER_WINDOW_MESSAGES,
} from '../base/limits.js';
import type { AssociationOptions, AssociationOutput } from './association.js';
import type { EngineName } from './engines.js';
import { type FromWorker, fromWire, isLast, own, type ToWorker, type WorkerTask } from './pool-messages.js';

export interface PoolOptions {
  /** Worker threads; each owns up to DTLS_MAX_ASSOCIATIONS_PER_WORKER associations. */
  readonly threads: number;
  readonly engine: EngineName;
  /** Called when a worker died; its associations got `engine-lost` and, unless it never started, a new one takes its place. */
  readonly onWorkerLost?: (error: Error) => void;
}

/** One association in a worker, as the main thread sees it. */
export interface PoolAssociation {
  /** Takes copies; what exceeds DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION is dropped and counted. */
  receive(datagrams: readonly Uint8Array[]): void;
  /** Sends close_notify if it can; `closed` follows as output. */
  close(): void;
}

export interface PoolStats {
  /** Open now. */
  readonly associations: number;
  readonly opened: number;
  readonly droppedDatagrams: number;
  readonly lostWorkers: number;
  /** Those that are up or starting. */
  readonly workers: readonly { readonly threadId: number | undefined; readonly associations: number }[];
}

/** The compiled worker; sources run directly (in tests) use the one that the build left in dist. */
function workerFile(): string {
  const here = new URL('./worker.js', import.meta.url);
  if (import.meta.url.endsWith('.ts')) here.pathname = here.pathname.replace(/\/src\/dtls\/worker\.js$/, '/dist$&');
  const file = fileURLToPath(here);
  if (!existsSync(file)) throw new Error(`the DTLS worker ${file} is missing: build the project first`);
  return file;
}

/** `accepted`: with the address that the signalling of a call named. It comes first, in the order of coming. */
export type Rank = 'accepted' | 'stranger';

interface Waiting {
  readonly message: ToWorker;
  readonly transfer: ArrayBuffer[];
}

interface Entry {
  readonly rank: Rank;
  readonly slot: Slot;
  readonly onOutput: (output: AssociationOutput) => void;
  /** Datagrams that the worker has not taken yet. */
  queued: number;
}

/** One worker's place. `port` is undefined after the worker died and none could follow. */
interface Slot {
  port: MessagePort | undefined;
  threadId: number | undefined;
  readonly ids: Set<number>;
  strangers: number;
  /** Messages that the worker has not answered. */
  inFlight: number;
  readonly waiting: Readonly<Record<Rank, Waiting[]>>;
  /** Settles when the worker's task is over. */
  ended: Promise<void>;
}

/** Spreads associations evenly over its workers; each worker runs one long task that owns many associations. */
export class AssociationPool {
  readonly #options: PoolOptions;
  readonly #piscina: Piscina<WorkerTask, void>;
  readonly #slots: Slot[] = [];
  readonly #entries = new Map<number, Entry>();
  #nextId = 1;
  #droppedDatagrams = 0;
  #lostWorkers = 0;
  #closing = false;

  /** Throws when the compiled worker is missing. */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#piscina = new Piscina({
      filename: workerFile(),
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled', // the task never ends: a worker that waits on an atomic would not see its port
      recordTiming: false,
    });
    // A worker that dies between two tasks; one that dies with its task rejects the task instead.
    this.#piscina.on('error', (error: Error) => this.#options.onWorkerLost?.(error));
    for (let i = 0; i < options.threads; i++) {
      const slot: Slot = {
        port: undefined,
        threadId: undefined,
        ids: new Set(),
        strangers: 0,
        inFlight: 0,
        waiting: { accepted: [], stranger: [] },
        ended: Promise.resolve(),
      };
      this.#slots.push(slot);
      this.#employ(slot);
    }
  }

  /**
   * Makes and starts an association in the worker that has fewest.
   * Outputs come asynchronously, never before `open` has returned; after `failed` or `closed` none follows.
   * The key of `options` is copied and stays the caller's.
   */
  open(
    options: AssociationOptions,
    onOutput: (output: AssociationOutput) => void,
    rank: Rank = 'accepted',
  ): PoolAssociation {
    const slot = this.#leastBusy();
    if (slot === undefined || this.#closing) {
      queueMicrotask(() => onOutput({ type: 'failed', reason: 'engine-lost', detail: 'no DTLS worker runs' }));
      return { receive: () => {}, close: () => {} };
    }
    const full = rank === 'stranger' && slot.strangers >= DTLS_MAX_STRANGERS_PER_WORKER;
    if (full || slot.ids.size >= DTLS_MAX_ASSOCIATIONS_PER_WORKER) {
      queueMicrotask(() => onOutput({ type: 'failed', reason: 'limit-exceeded', detail: 'every DTLS worker is full' }));
      return { receive: () => {}, close: () => {} };
    }
    const id = this.#nextId++;
    slot.ids.add(id);
    if (rank === 'stranger') slot.strangers++;
    this.#entries.set(id, { rank, slot, onOutput, queued: 0 });
    const transfer: ArrayBuffer[] = [];
    const privateKeyPem = options.privateKeyPem.use((bytes) => own(bytes, transfer));
    // A view is cloned with all of the buffer behind it: copies keep that to the fingerprint.
    const peerFingerprints = options.peerFingerprints.map((f) => ({ ...f, value: Uint8Array.from(f.value) }));
    this.#post(slot, rank, { type: 'open', id, options: { ...options, peerFingerprints, privateKeyPem } }, transfer);
    return {
      receive: (datagrams) => this.#receive(id, datagrams),
      close: () => {
        if (this.#entries.has(id)) this.#post(slot, rank, { type: 'close', id });
      },
    };
  }

  stats(): PoolStats {
    return {
      associations: this.#entries.size,
      opened: this.#nextId - 1,
      droppedDatagrams: this.#droppedDatagrams,
      lostWorkers: this.#lostWorkers,
      workers: this.#slots
        .filter((slot) => slot.port !== undefined)
        .map(({ threadId, ids }) => ({ threadId, associations: ids.size })),
    };
  }

  /** The worker threads, for measuring and for tests that kill one. */
  get threads(): readonly Worker[] {
    return this.#piscina.threads;
  }

  /** Ends the workers. Associations that are still open end without a word: their owners close them before. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#entries.clear();
    for (const slot of this.#slots) slot.port?.close();
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DTLS_POOL_CLOSE_TIMEOUT_MS);
    });
    await Promise.race([Promise.all(this.#slots.map((slot) => slot.ended)), tooLong]);
    clearTimeout(timer);
    await this.#piscina.destroy();
  }

  #leastBusy(): Slot | undefined {
    let best: Slot | undefined;
    for (const slot of this.#slots) {
      if (slot.port !== undefined && (best === undefined || slot.ids.size < best.ids.size)) best = slot;
    }
    return best;
  }

  /** Gives the slot's work to the next free worker of piscina. */
  #employ(slot: Slot): void {
    const { port1, port2 } = new MessageChannel();
    slot.port = port1;
    slot.threadId = undefined;
    port1.on('message', (message: FromWorker) => this.#fromWorker(slot, message));
    const task = this.#piscina.run({ port: port2, engine: this.#options.engine }, { transferList: [port2] });
    slot.ended = task.then(
      () => {},
      (error: Error) => this.#lost(slot, port1, error),
    );
  }

  #fromWorker(slot: Slot, message: FromWorker): void {
    if (message.type === 'ready') {
      slot.threadId = message.threadId;
      return;
    }
    if (message.taken) slot.inFlight--;
    this.#feed(slot);
    const entry = this.#entries.get(message.id);
    if (entry === undefined) return;
    entry.queued -= message.consumed;
    for (const output of message.outputs) {
      if (isLast(output)) this.#forget(message.id, slot);
      entry.onOutput(fromWire(output));
    }
  }

  #receive(id: number, datagrams: readonly Uint8Array[]): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const room = DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION - entry.queued;
    const taken = datagrams.slice(0, room);
    this.#droppedDatagrams += datagrams.length - taken.length;
    if (taken.length === 0) return;
    entry.queued += taken.length;
    const transfer: ArrayBuffer[] = [];
    const copies = taken.map((bytes) => own(bytes, transfer));
    this.#post(entry.slot, entry.rank, { type: 'datagrams', id, datagrams: copies }, transfer);
  }

  #post(slot: Slot, rank: Rank, message: ToWorker, transfer: ArrayBuffer[] = []): void {
    slot.waiting[rank].push({ message, transfer });
    this.#feed(slot);
  }

  /** A worker has little before it at a time, so that what matters more can overtake. */
  #feed(slot: Slot): void {
    while (slot.port !== undefined && slot.inFlight < DTLS_WORKER_WINDOW_MESSAGES) {
      const next = slot.waiting.accepted.shift() ?? slot.waiting.stranger.shift();
      if (next === undefined) return;
      slot.inFlight++;
      slot.port.postMessage(next.message, next.transfer);
    }
  }

  #forget(id: number, slot: Slot): void {
    if (this.#entries.get(id)?.rank === 'stranger') slot.strangers--;
    this.#entries.delete(id);
    slot.ids.delete(id);
  }

  #lost(slot: Slot, port: MessagePort, error: Error): void {
    if (this.#closing) return;
    port.close();
    slot.port = undefined;
    this.#lostWorkers += 1;
    const orphans = [...slot.ids].map((id) => this.#entries.get(id));
    for (const id of slot.ids) this.#entries.delete(id);
    slot.ids.clear();
    slot.strangers = 0;
    slot.inFlight = 0;
    for (const waiting of Object.values(slot.waiting)) waiting.length = 0;
    // A worker that never came up would only die again.
    if (slot.threadId !== undefined) this.#employ(slot);
    this.#options.onWorkerLost?.(error);
    for (const entry of orphans) {
      entry?.onOutput({ type: 'failed', reason: 'engine-lost', detail: 'the DTLS worker of this association ended' });
    }
  }
}
