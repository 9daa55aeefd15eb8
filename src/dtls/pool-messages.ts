/** What travels between the pool and its workers. Key bytes are transferred, never cloned: the sender's copy is gone. */
import type { MessagePort } from 'node:worker_threads';
import { Secret } from '../base/secret.js';
import type { AssociationOptions, AssociationOutput } from './association.js';
import type { EngineName } from './engines.js';

/** Bytes that own their buffer, so that it can be transferred. */
export type OwnBytes = Uint8Array<ArrayBuffer>;

export interface WireOptions extends Omit<AssociationOptions, 'privateKeyPem'> {
  readonly privateKeyPem: OwnBytes;
}

type KeysOutput = Extract<AssociationOutput, { type: 'keys' }>;

export type WireOutput =
  | { readonly type: 'datagram'; readonly bytes: OwnBytes }
  | (Omit<KeysOutput, 'local' | 'remote'> & { readonly local: OwnBytes; readonly remote: OwnBytes })
  | Exclude<AssociationOutput, { type: 'datagram' | 'keys' }>;

export type ToWorker =
  | { readonly type: 'open'; readonly id: number; readonly options: WireOptions }
  | { readonly type: 'datagrams'; readonly id: number; readonly datagrams: readonly OwnBytes[] }
  | { readonly type: 'close'; readonly id: number };

export type FromWorker =
  | { readonly type: 'ready'; readonly threadId: number }
  | {
      readonly type: 'outputs';
      readonly id: number;
      /** It answers a message to the worker (`open`, `datagrams`): there is room for another. */
      readonly taken: boolean;
      /** Datagrams that the association has taken since the last message. */
      readonly consumed: number;
      readonly outputs: readonly WireOutput[];
    };

/** What a worker's task gets: its end of the channel. */
export interface WorkerTask {
  readonly port: MessagePort;
  readonly engine: EngineName;
}

/** A copy whose buffer is noted in `transfer`. */
export function own(bytes: Uint8Array, transfer: ArrayBuffer[]): OwnBytes {
  const copy = Uint8Array.from(bytes);
  transfer.push(copy.buffer);
  return copy;
}

/** The secret's bytes for a transfer; the secret is wiped. */
function ownSecret(secret: Secret, transfer: ArrayBuffer[]): OwnBytes {
  const bytes = secret.use((b) => own(b, transfer));
  secret.wipe();
  return bytes;
}

export function toWire(output: AssociationOutput, transfer: ArrayBuffer[]): WireOutput {
  if (output.type === 'datagram') return { type: 'datagram', bytes: own(output.bytes, transfer) };
  if (output.type !== 'keys') return output;
  return { ...output, local: ownSecret(output.local, transfer), remote: ownSecret(output.remote, transfer) };
}

export function fromWire(output: WireOutput): AssociationOutput {
  if (output.type !== 'keys') return output;
  return { ...output, local: new Secret(output.local), remote: new Secret(output.remote) };
}

/** True for the output after which nothing follows. */
export function isLast(output: { readonly type: string }): boolean {
  return output.type === 'failed' || output.type === 'closed';
}
