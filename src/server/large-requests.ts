/**
 * Requests of ours that are too large for UDP go by TCP to the same address and port (RFC 3261 §18.1.1); where the peer takes no
 * TCP, by UDP after all. One for each peer.
 */
import type { Address } from '../base/ids.js';
import { SIP_STREAM_TRY_MS } from '../base/limits.js';
import type { Known, SipConnections } from './sip-connections.js';
import { connectStream } from './sip-streams.js';

type State =
  | { readonly type: 'none' }
  | { readonly type: 'opening'; readonly waiting: { readonly bytes: Uint8Array; readonly stream: Uint8Array }[] }
  | { readonly type: 'open'; readonly connection: number }
  /** The peer takes no TCP. */
  | { readonly type: 'refused' };

export class LargeRequests {
  readonly #connections: SipConnections;
  readonly #datagram: (bytes: Uint8Array, port: number) => void;
  #state: State = { type: 'none' };
  /** What went by TCP already, and on which connection: TCP loses nothing, so nothing is sent there twice. */
  readonly #sent = new WeakMap<Uint8Array, number>();

  constructor(connections: SipConnections, datagram: (bytes: Uint8Array, port: number) => void) {
    this.#connections = connections;
    this.#datagram = datagram;
  }

  /** @param bytes as they go by UDP, the same object each time they are sent again. @param stream as they go by TCP */
  send(to: Address, bytes: Uint8Array, stream: Uint8Array, known: Known): void {
    if (this.#state.type === 'open' && !this.#connections.isOpen(this.#state.connection))
      this.#state = { type: 'none' };
    if (this.#state.type === 'none') this.#open(to, known);
    const state = this.#state;
    if (state.type === 'refused') this.#datagram(bytes, to.port);
    else if (state.type === 'open') this.#stream(state.connection, bytes, stream);
    else if (state.type === 'opening' && state.waiting.every((w) => w.bytes !== bytes))
      state.waiting.push({ bytes, stream });
  }

  #stream(connection: number, bytes: Uint8Array, stream: Uint8Array): void {
    if (this.#sent.get(bytes) === connection) return;
    this.#sent.set(bytes, connection);
    this.#connections.send({ type: 'send', connection, bytes: stream });
  }

  #open(to: Address, known: Known): void {
    const opening: State = { type: 'opening', waiting: [] };
    this.#state = opening;
    connectStream(this.#connections, { ...to, timeoutMs: SIP_STREAM_TRY_MS }, known).then(
      (connection) => {
        this.#state = { type: 'open', connection };
        for (const { bytes, stream } of opening.waiting) this.#stream(connection, bytes, stream);
      },
      () => {
        this.#state = { type: 'refused' };
        for (const { bytes } of opening.waiting) this.#datagram(bytes, to.port);
      },
    );
  }
}
