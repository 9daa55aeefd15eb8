/** DTLS associations in piscina workers (DESIGN.md 1): datagrams go in, datagrams and keys come out. */
import type { AssociationOptions, AssociationOutput } from './association.js';

export interface PoolOptions {
  /** Worker threads; each owns up to DTLS_MAX_ASSOCIATIONS_PER_WORKER associations. */
  readonly threads: number;
  readonly engine: 'werift';
  /** Called when a worker died; its associations got `engine-lost` and a new worker takes its place. */
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
  readonly associations: number;
  readonly opened: number;
  readonly droppedDatagrams: number;
  readonly lostWorkers: number;
  readonly workers: readonly { readonly threadId: number; readonly associations: number }[];
}

export class AssociationPool {
  constructor(readonly options: PoolOptions) {}

  /** Outputs come asynchronously, never before `open` has returned; after `failed` or `closed` none follows. */
  open(_options: AssociationOptions, _onOutput: (output: AssociationOutput) => void): PoolAssociation {
    throw new Error('not built yet');
  }

  stats(): PoolStats {
    throw new Error('not built yet');
  }

  async close(): Promise<void> {}
}
