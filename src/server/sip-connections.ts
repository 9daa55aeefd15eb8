/** What all SIP transports share: numbers, limits an address and in all, framing, silence, and sending. */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Address } from '../base/ids.js';
import {
  REGISTRAR_FLOW_GRACE_S,
  REGISTRAR_FLOW_TIMER_S,
  SIP_IDLE_CONNECTION_MS,
  SIP_MAX_CONNECTIONS,
  SIP_MAX_CONNECTIONS_PER_ADDRESS,
  SIP_MAX_UNSENT_BYTES,
} from '../base/limits.js';
import type { Connected, Send, SipTransport, UserAgentInput } from '../sip/contract.js';
import { KeepAlive, type KeepAliveInput, type KeepAliveOptions } from '../sip/keep-alive.js';
import { addressOwner } from '../wire/ip-address.js';
import { KEEPALIVE_PING, KEEPALIVE_PONG, StreamFramer } from '../wire/sip-framing.js';
import { parseSipMessage } from '../wire/sip-message.js';
import type { SipMessage, SipRefusalReason } from '../wire/sip-types.js';

/** What the transport knows of a peer before it has said anything. */
export type Known = Pick<Connected, 'identity' | 'access' | 'contactPort' | 'beside'>;

export type SipProblem =
  | 'tls-handshake'
  | 'tls-verify'
  | 'connection-limit'
  | 'framing'
  | 'socket'
  | 'websocket'
  | 'origin';

export interface SipConnectionsOptions {
  /** Defaults: SIP_MAX_CONNECTIONS and SIP_MAX_CONNECTIONS_PER_ADDRESS. */
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  /** Default: SIP_IDLE_CONNECTION_MS. */
  readonly idleMs?: number;
  /** Of connections that we open; default: SIP_CRLF_INTERVAL_MS and SIP_CRLF_TIMEOUT_MS. */
  readonly keepAlive?: Pick<KeepAliveOptions, 'intervalMs' | 'timeoutMs'>;
  /** Connections that carry a call: they may be silent as long as it lasts. */
  readonly inUse: () => ReadonlySet<number>;
  /** Registered flows: silent for longer than their timer and its grace, keep-alives included, they are dead. Default: none. */
  readonly flows?: () => ReadonlySet<number>;
  readonly flowSilenceMs?: number;
  readonly onInput: (input: UserAgentInput) => void;
  /** A message that the parser refused; `reason` is one of a fixed set, for counting. */
  readonly onRefused: (reason: SipRefusalReason) => void;
  /** `kind` is stable, for throttling and counting. */
  readonly onProblem: (kind: SipProblem, detail: string, remote: string) => void;
}

interface Connection {
  readonly remote: Address;
  readonly send: (bytes: Uint8Array, port: number | undefined, stream?: Uint8Array) => void;
  /** Sends what is queued and ends; `disconnected` follows. */
  readonly close: () => void;
  readonly place: Place;
  /** When its last whole message came, `performance.now()` ms. */
  lastMessageAt: number;
  /** When anything at all came over a stream, the same. */
  heardAt: number;
}

/** A place among the connections. */
export interface Place {
  /** The connection is gone. */
  readonly free: () => void;
  /** Somebody speaks SIP there: the place is given to nobody else any more. */
  readonly settle: () => void;
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

export class SipConnections {
  readonly options: SipConnectionsOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #perOwner = new Map<string, number>();
  /** What gives up each of those that have not said anything yet, oldest first. */
  readonly #silent = new Set<() => void>();
  readonly #sweep: NodeJS.Timeout;
  #used: ReadonlySet<number> = new Set();
  #usedAt = Number.NEGATIVE_INFINITY;
  #open = 0;
  #next = 1;

  constructor(options: SipConnectionsOptions) {
    this.options = options;
    const idleMs = options.idleMs ?? SIP_IDLE_CONNECTION_MS;
    this.#sweep = setInterval(() => this.#closeIdle(idleMs), idleMs / 4).unref();
  }

  /** Connections and half-open ones now. */
  get open(): number {
    return this.#open;
  }

  /**
   * A place for one more connection from this address, before it has cost anything; undefined when there is none. Where all
   * places are taken, the oldest that has not said anything gives way: who floods us with half-open ones displaces himself.
   * @param abandon ends the connection.
   */
  admit(address: string, abandon: () => void): Place | undefined {
    const { maxConnections = SIP_MAX_CONNECTIONS, maxConnectionsPerAddress = SIP_MAX_CONNECTIONS_PER_ADDRESS } =
      this.options;
    const owner = addressOwner(literalAddress(address));
    const count = this.#perOwner.get(owner) ?? 0;
    if (count < maxConnectionsPerAddress && this.#open >= maxConnections) this.#silent.values().next().value?.();
    if (count >= maxConnectionsPerAddress || this.#open >= maxConnections) {
      const detail = `${count} open from ${owner}, ${this.#open} in all`;
      this.options.onProblem('connection-limit', detail, address);
      return undefined;
    }
    this.#open++;
    this.#perOwner.set(owner, (this.#perOwner.get(owner) ?? 0) + 1);
    let freed = false;
    const free = (): void => {
      if (freed) return;
      freed = true;
      this.#open--;
      this.#silent.delete(giveUp);
      const left = (this.#perOwner.get(owner) ?? 1) - 1;
      if (left === 0) this.#perOwner.delete(owner);
      else this.#perOwner.set(owner, left);
    };
    const giveUp = (): void => {
      free();
      abandon();
    };
    this.#silent.add(giveUp);
    return { free, settle: () => void this.#silent.delete(giveUp) };
  }

  /**
   * Takes over a connected TCP or TLS socket.
   * @param onDead we opened it: the peer is asked now and then whether it is there, and this is called before it is given up.
   * @returns the number of its connection.
   */
  addStream(socket: Socket, transport: 'tls' | 'tcp', place: Place, known: Known, onDead?: () => void): number {
    const connection = this.#next++;
    const framer = new StreamFramer();
    const remote = { address: literalAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const local = { address: literalAddress(socket.localAddress), port: socket.localPort ?? 0 };
    const send = (bytes: Uint8Array): void => {
      socket.write(bytes);
      // A peer that does not read must not make us remember everything we ever told it.
      if (socket.writableLength <= SIP_MAX_UNSENT_BYTES) return;
      this.options.onProblem('socket', 'peer does not read', remote.address);
      socket.destroy();
    };
    const now = performance.now();
    const entry = { remote, send, close: () => socket.destroySoon(), place, lastMessageAt: now, heardAt: now };
    this.#connections.set(connection, entry);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, SIP_IDLE_CONNECTION_MS);
    this.#connected(connection, transport, remote, local, known);
    const alive = onDead === undefined ? undefined : this.#keepAlive(socket, framer, send, onDead);
    socket.on('data', (chunk) => {
      entry.heardAt = performance.now();
      alive?.({ type: 'heard' });
      this.#data(connection, entry, framer, socket, chunk, alive);
    });
    socket.on('error', (error) => this.options.onProblem('socket', error.message, remote.address));
    socket.on('close', () => {
      alive?.({ type: 'closed' });
      this.remove(connection);
    });
    return connection;
  }

  /** @returns takes what the machine is to know. */
  #keepAlive(
    socket: Socket,
    framer: StreamFramer,
    send: (bytes: Uint8Array) => void,
    onDead: () => void,
  ): (input: KeepAliveInput) => void {
    const machine = new KeepAlive({ random: Math.random, ...this.options.keepAlive });
    let timer: NodeJS.Timeout | undefined;
    const put = (input: KeepAliveInput): void => {
      machine.receive(input, performance.now());
      for (let out = machine.poll(); out !== undefined; out = machine.poll()) {
        if (out.type === 'ping') {
          framer.expectPong();
          send(KEEPALIVE_PING);
        } else {
          onDead();
          socket.destroy();
        }
      }
      clearTimeout(timer);
      const deadline = machine.deadline();
      if (deadline !== undefined)
        timer = setTimeout(put, Math.max(0, Math.ceil(deadline - performance.now())), { type: 'tick' }).unref();
    };
    put({ type: 'opened' });
    return put;
  }

  /** Opens a connection of whole messages; they come by {@link wholeMessage}, and `close` is called when it is to be forgotten. */
  addMessages(
    transport: 'udp' | 'wss',
    remote: Address,
    local: Address,
    place: Place,
    send: (bytes: Uint8Array, port: number | undefined, stream?: Uint8Array) => void,
    close: () => void,
    known: Known,
  ): number {
    const connection = this.#next++;
    // Whether a silent one is there is its listener's to find out.
    const heardAt = Number.POSITIVE_INFINITY;
    const entry = { remote, send, close, place, lastMessageAt: performance.now(), heardAt };
    this.#connections.set(connection, entry);
    this.#connected(connection, transport, remote, local, known);
    return connection;
  }

  #connected(connection: number, transport: SipTransport, remote: Address, local: Address, known: Known): void {
    this.options.onInput({ type: 'connected', connection, remote, local, transport, ...known });
  }

  remove(connection: number): void {
    this.#connections.get(connection)?.place.free();
    if (this.#connections.delete(connection)) this.options.onInput({ type: 'disconnected', connection });
  }

  /** One whole message (RFC 3261 §18.3, RFC 7118 §5.1); what cannot be parsed or answered is dropped. */
  wholeMessage(connection: number, bytes: Uint8Array): void {
    const entry = this.#connections.get(connection);
    if (entry === undefined) return;
    const result = parseSipMessage(bytes);
    if (result.ok) {
      this.#message(connection, entry, result.value);
      return;
    }
    const { ok: _, ...refused } = result;
    this.options.onRefused(refused.reason);
    this.options.onInput({ type: 'refused', connection, ...refused });
  }

  send({ connection, bytes, port, stream }: Send): void {
    this.#connections.get(connection)?.send(bytes, port, stream);
  }

  isOpen(connection: number): boolean {
    return this.#connections.has(connection);
  }

  closeConnection(connection: number): void {
    this.#connections.get(connection)?.close();
  }

  /** Whether it carries a call, as of the last second. */
  isInUse(connection: number): boolean {
    const now = performance.now();
    if (now - this.#usedAt >= 1_000) {
      this.#used = this.options.inUse();
      this.#usedAt = now;
    }
    return this.#used.has(connection);
  }

  /** Ends all of them. */
  close(): void {
    clearInterval(this.#sweep);
    for (const { close } of [...this.#connections.values()]) close();
  }

  /** Whoever says nothing and has no call does not keep a place that others need; keep-alives and half messages say nothing. */
  #closeIdle(idleMs: number): void {
    const inUse = this.options.inUse();
    const flows = this.options.flows?.();
    const { flowSilenceMs = (REGISTRAR_FLOW_TIMER_S + REGISTRAR_FLOW_GRACE_S) * 1_000 } = this.options;
    const now = performance.now();
    for (const [connection, { close, lastMessageAt, heardAt }] of [...this.#connections]) {
      const dead = flows?.has(connection) === true && now - heardAt >= flowSilenceMs;
      if (dead || (now - lastMessageAt >= idleMs && !inUse.has(connection))) close();
    }
  }

  #message(connection: number, entry: Connection, message: SipMessage): void {
    entry.lastMessageAt = performance.now();
    entry.place.settle();
    this.options.onInput({ type: 'message', connection, message });
  }

  #data(
    connection: number,
    entry: Connection,
    framer: StreamFramer,
    socket: Socket,
    chunk: Uint8Array,
    alive: ((input: KeepAliveInput) => void) | undefined,
  ): void {
    for (const event of framer.feed(chunk)) {
      switch (event.type) {
        case 'message':
          this.#message(connection, entry, event.message);
          break;
        case 'refused':
          this.options.onRefused(event.reason);
          this.options.onInput({ ...event, connection });
          break;
        case 'ping':
          entry.send(KEEPALIVE_PONG, undefined);
          break;
        case 'pong':
          alive?.({ type: 'pong' });
          break;
        case 'fatal':
          this.options.onRefused(event.reason);
          this.options.onProblem('framing', event.reason, entry.remote.address);
          socket.destroySoon();
          return;
      }
    }
  }
}
