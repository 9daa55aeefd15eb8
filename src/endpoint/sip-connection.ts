/** One TLS connection to the switch (or its proxy) with a SIP user agent on it. */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import { connect, type TLSSocket } from 'node:tls';
import type { Address } from '../base/ids.js';
import type { UserAgentInput, UserAgentOutput } from '../sip/contract.js';
import { KeepAlive, type KeepAliveInput } from '../sip/keep-alive.js';
import { UserAgent } from '../sip/user-agent.js';
import { KEEPALIVE_PING, KEEPALIVE_PONG, StreamFramer } from '../wire/sip-framing.js';

/** Unix ms that never go back (base/engine). */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

const CONNECTION = 1;

export interface SipConnectionOptions {
  /** Whom the peer's certificate must name, and where it is found by default. */
  readonly host: string;
  readonly address?: string;
  readonly port: number;
  /** PEM of the authority that the peer's certificate must come from; undefined: the system's. */
  readonly caPem?: string;
  /** PEM of our own certificate and key, where the peer asks for one. */
  readonly certificate?: { readonly certificatePem: string; readonly keyPem: string };
  readonly timeoutMs: number;
  /** We speak TIP on our media channels, and say so in Contact. Default true. */
  readonly tip?: boolean;
  readonly onOutput: (output: Exclude<UserAgentOutput, { type: 'send' | 'close' }>) => void;
}

export class SipConnection {
  readonly local: Address;
  readonly #options: SipConnectionOptions;
  readonly #socket: TLSSocket;
  readonly #userAgent: UserAgent;
  readonly #framer = new StreamFramer();
  readonly #keepAlive = new KeepAlive({ random: () => randomBytes(1)[0]! / 255, answers: true });
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Rejects when there is no connection or the peer's certificate is not the one of `host` from `caPem` (RFC 5922 §7). */
  static open(options: SipConnectionOptions): Promise<SipConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: options.address ?? options.host,
        port: options.port,
        minVersion: 'TLSv1.2',
        ...(isIP(options.host) === 0 ? { servername: options.host } : {}),
        ...(options.caPem === undefined ? {} : { ca: options.caPem }),
        ...(options.certificate === undefined
          ? {}
          : { cert: options.certificate.certificatePem, key: options.certificate.keyPem }),
      });
      socket.setTimeout(options.timeoutMs, () =>
        socket.destroy(new Error(`no TLS connection within ${options.timeoutMs} ms`)),
      );
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        socket.setTimeout(0);
        socket.off('error', reject);
        resolve(new SipConnection(socket, options));
      });
    });
  }

  /** A connection that the peer has opened. */
  static accept(socket: TLSSocket, options: Pick<SipConnectionOptions, 'onOutput' | 'tip'>): SipConnection {
    return new SipConnection(socket, {
      host: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      timeoutMs: 0,
      ...options,
    });
  }

  private constructor(socket: TLSSocket, options: SipConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#userAgent = new UserAgent({
      random: () => randomBytes(12).toString('hex'),
      product: 'Claviger endpoint',
      tip: options.tip ?? true,
    });
    this.local = { address: socket.localAddress ?? '127.0.0.1', port: socket.localPort ?? 0 };
    const remote = { address: socket.remoteAddress ?? options.host, port: socket.remotePort ?? options.port };
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#data(chunk));
    socket.on('error', () => socket.destroy()); // 'close' follows and tells the user agent
    socket.on('close', () => {
      this.receive({ type: 'disconnected', connection: CONNECTION });
      this.#alive({ type: 'closed' });
      clearTimeout(this.#timer);
      this.#closed = true;
    });
    this.#alive({ type: 'opened' });
    this.receive({ type: 'connected', connection: CONNECTION, remote, local: this.local, transport: 'tls' });
  }

  /** @returns the number of the call, for commands. */
  invite(target: string, from: string, sdp: string): number {
    const call = this.#userAgent.newCall();
    this.receive({ type: 'invite', call, connection: CONNECTION, target, from, sdp });
    return call;
  }

  receive(input: UserAgentInput): void {
    if (this.#closed) return;
    this.#userAgent.receive(input, clock());
    for (let out = this.#userAgent.poll(); out !== undefined; out = this.#userAgent.poll()) {
      if (out.type === 'send') this.#socket.write(out.bytes);
      else if (out.type === 'close') this.#socket.end();
      else this.#options.onOutput(out);
    }
    this.#schedule();
  }

  #alive(input: KeepAliveInput): void {
    this.#keepAlive.receive(input, clock());
    for (let out = this.#keepAlive.poll(); out !== undefined; out = this.#keepAlive.poll()) {
      if (out.type === 'ping') {
        this.#framer.expectPong();
        this.#socket.write(KEEPALIVE_PING);
      } else this.#socket.destroy(); // 'close' follows and tells the user agent
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const due = [this.#userAgent.deadline(), this.#keepAlive.deadline()].filter((at) => at !== undefined);
    if (due.length === 0 || this.#closed) return;
    const wait = Math.max(0, Math.ceil(Math.min(...due) - clock()));
    this.#timer = setTimeout(() => {
      this.#alive({ type: 'tick' });
      this.receive({ type: 'tick' });
    }, wait);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #data(chunk: Uint8Array): void {
    this.#alive({ type: 'heard' });
    for (const event of this.#framer.feed(chunk)) {
      if (event.type === 'message') this.receive({ type: 'message', connection: CONNECTION, message: event.message });
      else if (event.type === 'refused') this.receive({ ...event, connection: CONNECTION });
      else if (event.type === 'ping') this.#socket.write(KEEPALIVE_PONG);
      else if (event.type === 'pong') this.#alive({ type: 'pong' });
      else this.#socket.destroy();
    }
  }
}

/** To the first of these servers that can be had; rejects as the last one does. */
export async function openFirst(
  servers: readonly Address[],
  options: Omit<SipConnectionOptions, 'address' | 'port'>,
): Promise<SipConnection> {
  let last: unknown = new Error(`there is no server for ${options.host}`);
  for (const server of servers) {
    try {
      return await SipConnection.open({ ...options, ...server });
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
