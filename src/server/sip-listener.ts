/** SIP over TLS (RFC 3261 §26.2.1): sockets on one side, framed and parsed messages for the user agent on the other. */

import { performance } from 'node:perf_hooks';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Address } from '../base/ids.js';
import {
  SIP_IDLE_CONNECTION_MS,
  SIP_MAX_CONNECTIONS,
  SIP_MAX_CONNECTIONS_PER_ADDRESS,
  SIP_MAX_UNSENT_BYTES,
  SIP_TLS_HANDSHAKE_TIMEOUT_MS,
} from '../base/limits.js';
import type { UserAgentInput } from '../sip/contract.js';
import { KEEPALIVE_PONG, StreamFramer } from '../wire/sip-framing.js';
import type { SipRefusalReason } from '../wire/sip-types.js';

export interface SipListenerOptions {
  readonly address: string;
  readonly port: number;
  readonly certificatePem: string;
  readonly keyPem: string;
  /** When set, a caller without a certificate of this CA is refused in the TLS handshake. */
  readonly clientCaPem?: string;
  /** Defaults: SIP_MAX_CONNECTIONS and SIP_MAX_CONNECTIONS_PER_ADDRESS. */
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  /** Default: SIP_IDLE_CONNECTION_MS. */
  readonly idleMs?: number;
  /** Connections that carry a call: they may be silent as long as it lasts. */
  readonly inUse: () => ReadonlySet<number>;
  readonly onInput: (input: UserAgentInput) => void;
  /** A message that the parser refused; `reason` is one of a fixed set, for counting. */
  readonly onRefused: (reason: SipRefusalReason) => void;
  /** `kind` is stable, for throttling and counting. */
  readonly onProblem: (
    kind: 'tls-handshake' | 'connection-limit' | 'framing' | 'socket',
    detail: string,
    remote: string,
  ) => void;
}

/**
 * A socket's address as signalling writes it: without the zone of a link-local one (RFC 4007 §11), which means nothing to the
 * peer and is no literal of SDP or SIP, and IPv4 as such where it came through an IPv6 socket (RFC 4291 §2.5.5.2).
 */
export function literalAddress(address: string | undefined): string {
  const bare = (address ?? '').split('%')[0]!;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare);
  return mapped?.[1] ?? bare;
}

interface Connection {
  readonly socket: TLSSocket;
  readonly framer: StreamFramer;
  /** When its last whole message came, `performance.now()` ms. */
  lastMessageAt: number;
}

export class SipListener {
  readonly #options: SipListenerOptions;
  readonly #server: Server;
  readonly #connections = new Map<number, Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #sweep: NodeJS.Timeout;
  #open = 0;
  #next = 1;

  constructor(options: SipListenerOptions) {
    this.#options = options;
    this.#server = createServer({
      cert: options.certificatePem,
      key: options.keyPem,
      minVersion: 'TLSv1.2',
      handshakeTimeout: SIP_TLS_HANDSHAKE_TIMEOUT_MS,
      ...(options.clientCaPem === undefined
        ? {}
        : { ca: options.clientCaPem, requestCert: true, rejectUnauthorized: true }),
    });
    const { maxConnections = SIP_MAX_CONNECTIONS, maxConnectionsPerAddress = SIP_MAX_CONNECTIONS_PER_ADDRESS } =
      options;
    // Before the TLS handshake, where a connection is still cheap to refuse.
    this.#server.on('connection', (socket) => {
      const from = socket.remoteAddress ?? '';
      const count = this.#perAddress.get(from) ?? 0;
      if (count >= maxConnectionsPerAddress || this.#open >= maxConnections) {
        options.onProblem('connection-limit', `${count} open from this address, ${this.#open} in all`, from);
        socket.destroy();
        return;
      }
      this.#open++;
      this.#perAddress.set(from, count + 1);
      socket.on('close', () => {
        this.#open--;
        const left = (this.#perAddress.get(from) ?? 1) - 1;
        if (left === 0) this.#perAddress.delete(from);
        else this.#perAddress.set(from, left);
      });
    });
    this.#server.on('tlsClientError', (error, socket) => {
      options.onProblem('tls-handshake', error.message, socket.remoteAddress ?? '');
      socket.destroy();
    });
    this.#server.on('secureConnection', (socket) => this.#accept(socket));
    const idleMs = options.idleMs ?? SIP_IDLE_CONNECTION_MS;
    this.#sweep = setInterval(() => this.#closeIdle(idleMs), idleMs / 4).unref();
  }

  /** @returns the address it listens on; rejects with the system's error (EADDRINUSE, EACCES, ...). */
  listen(): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.address, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.onProblem('socket', error.message, ''));
        const bound = this.#server.address();
        if (bound === null || typeof bound === 'string') reject(new Error('not a TCP listener'));
        else resolve({ address: bound.address, port: bound.port });
      });
    });
  }

  send(connection: number, bytes: Uint8Array): void {
    const entry = this.#connections.get(connection);
    if (entry === undefined) return;
    entry.socket.write(bytes);
    // A peer that does not read must not make us remember everything we ever told it.
    if (entry.socket.writableLength > SIP_MAX_UNSENT_BYTES) {
      this.#options.onProblem('socket', 'peer does not read', entry.socket.remoteAddress ?? '');
      entry.socket.destroy();
    }
  }

  /** Sends what is queued and closes. */
  closeConnection(connection: number): void {
    this.#connections.get(connection)?.socket.end();
  }

  /** No new connections; the open ones are ended. */
  close(): Promise<void> {
    clearInterval(this.#sweep);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const { socket } of this.#connections.values()) {
        socket.end();
        socket.destroySoon();
      }
    });
  }

  #accept(socket: TLSSocket): void {
    const connection = this.#next++;
    const entry = { socket, framer: new StreamFramer(), lastMessageAt: performance.now() };
    this.#connections.set(connection, entry);
    const remote = { address: literalAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const local = { address: literalAddress(socket.localAddress), port: socket.localPort ?? 0 };
    socket.setNoDelay(true);
    socket.setKeepAlive(true, SIP_IDLE_CONNECTION_MS);
    this.#options.onInput({ type: 'connected', connection, remote, local, transport: 'tls' });
    socket.on('data', (chunk) => this.#data(connection, entry, chunk));
    socket.on('error', (error) => this.#options.onProblem('socket', error.message, remote.address));
    socket.on('close', () => {
      this.#connections.delete(connection);
      this.#options.onInput({ type: 'disconnected', connection });
    });
  }

  /** Whoever says nothing and has no call does not keep a place that others need; keep-alives and half messages say nothing. */
  #closeIdle(idleMs: number): void {
    const inUse = this.#options.inUse();
    for (const [connection, { socket, lastMessageAt }] of this.#connections) {
      if (performance.now() - lastMessageAt >= idleMs && !inUse.has(connection)) socket.destroySoon();
    }
  }

  #data(connection: number, entry: Connection, chunk: Uint8Array): void {
    const { socket } = entry;
    for (const event of entry.framer.feed(chunk)) {
      switch (event.type) {
        case 'message':
          entry.lastMessageAt = performance.now();
          this.#options.onInput({ type: 'message', connection, message: event.message });
          break;
        case 'refused':
          this.#options.onRefused(event.reason);
          this.#options.onInput({ ...event, connection });
          break;
        case 'ping':
          this.send(connection, KEEPALIVE_PONG);
          break;
        case 'fatal':
          this.#options.onRefused(event.reason);
          this.#options.onProblem('framing', event.reason, socket.remoteAddress ?? '');
          socket.destroySoon();
          return;
      }
    }
  }
}
