/**
 * All ways that SIP comes in and goes out: what the user agent knows as connection numbers, over TLS, WebSocket, TCP and UDP.
 * Who configures trunks says where to listen and whom to connect to; TLS is on by default, WebSocket where it has a port, the
 * others only where a trunk wants them.
 */
import type { TLSSocket } from 'node:tls';
import type { Address } from '../base/ids.js';
import { isSecure, type Send } from '../sip/contract.js';
import { addressFamily } from '../wire/sip-address.js';
import { type Known, literalAddress, SipConnections, type SipConnectionsOptions } from './sip-connections.js';
import { DatagramListener } from './sip-datagrams.js';
import {
  connectStream,
  listenTcp,
  listenTls,
  type OpenListener,
  type StreamTarget,
  type TlsListenSettings,
} from './sip-streams.js';
import { listenWss, type WebSocketRules } from './sip-websockets.js';
import { verifiedNames } from './tls-names.js';

/** What a peer's address and the names of its verified certificate (none: it showed none) make of it. */
export type Identify = (remote: string, names: readonly string[]) => Known;

export type SipListen = { readonly address: string; readonly port: number; readonly identify?: Identify } & (
  | { readonly transport: 'tls'; readonly tls: TlsListenSettings }
  | { readonly transport: 'wss'; readonly tls: TlsListenSettings; readonly rules: WebSocketRules }
  | { readonly transport: 'tcp' | 'udp' }
);

export type SipDial =
  | ({ readonly transport: 'tls' } & StreamTarget & { readonly tls: NonNullable<StreamTarget['tls']> })
  | ({ readonly transport: 'tcp' } & Omit<StreamTarget, 'tls'>)
  /** From the listener on this port of ours. */
  | { readonly transport: 'udp'; readonly address: string; readonly port: number; readonly localPort: number };

/**
 * REQUIREMENTS T1: a port is TLS or it is not, so that no peer and no firewall can take one for the other.
 * @returns what is wrong, for the operator.
 */
export function listenConflict(wanted: readonly Pick<SipListen, 'transport' | 'port'>[]): string | undefined {
  for (const [i, a] of wanted.entries()) {
    for (const b of wanted.slice(i + 1)) {
      if (a.port === 0 || a.port !== b.port) continue;
      if (a.transport === b.transport) return `two SIP listeners on ${a.transport} port ${a.port}`;
      const secure = [a, b].find(({ transport }) => isSecure(transport));
      if (secure === undefined) continue; // TCP and UDP have ports of their own
      const other = secure === a ? b : a;
      return `SIP port ${a.port} cannot be ${secure.transport.toUpperCase()} and ${other.transport}`;
    }
  }
  return undefined;
}

export class SipTransports {
  readonly #connections: SipConnections;
  readonly #listeners: { readonly listen: SipListen; readonly open: OpenListener }[] = [];

  constructor(options: SipConnectionsOptions) {
    this.#connections = new SipConnections(options);
  }

  /** Connections and half-open ones now, for metrics. */
  get open(): number {
    return this.#connections.open;
  }

  /** @returns the address it listens on; rejects with the system's error (EADDRINUSE, EACCES, ...) or a conflict of ports. */
  async listen(listen: SipListen): Promise<Address> {
    const { address, port, identify = () => ({}) } = listen;
    const plain = (remote: string): Known => identify(remote, []);
    const byTls = (socket: TLSSocket): Known => identify(literalAddress(socket.remoteAddress), verifiedNames(socket));
    const conflict = listenConflict([
      ...this.#listeners.map((l) => ({ ...l.listen, port: l.open.bound.port })),
      listen,
    ]);
    if (conflict !== undefined) throw new Error(conflict);
    const open =
      listen.transport === 'tls'
        ? await listenTls(this.#connections, address, port, listen.tls, byTls)
        : listen.transport === 'wss'
          ? await listenWss(this.#connections, address, port, listen.tls, byTls, listen.rules)
          : listen.transport === 'tcp'
            ? await listenTcp(this.#connections, address, port, plain)
            : await DatagramListener.open(this.#connections, address, port, plain);
    this.#listeners.push({ listen, open });
    return open.bound;
  }

  /** New TLS connections to this port of ours get these certificates; open ones go on. */
  reload(port: number, settings: TlsListenSettings): void {
    for (const { open } of this.#listeners) if (open.bound.port === port) open.reload?.(settings);
  }

  /** Opens a connection. @returns its number; rejects with the system's or TLS's error. */
  async connect(dial: SipDial, known: Known = {}): Promise<number> {
    if (dial.transport !== 'udp') return connectStream(this.#connections, dial, known);
    const from = this.#listeners.find(
      (l) => l.open instanceof DatagramListener && l.open.bound.port === dial.localPort,
    );
    const { port } = dial;
    const mapped = from?.open.bound.address === '::' && addressFamily(dial.address) === 4;
    const address = mapped ? `::ffff:${dial.address}` : dial.address;
    const number = from?.open instanceof DatagramListener ? from.open.connect({ address, port }, known) : undefined;
    if (number === undefined)
      throw new Error(`no UDP listener on port ${dial.localPort} for ${address}, or no place for another peer`);
    return number;
  }

  send(out: Send): void {
    this.#connections.send(out);
  }

  /** Sends what is queued and closes. */
  closeConnection(connection: number): void {
    this.#connections.closeConnection(connection);
  }

  /** No new connections; the open ones are ended. */
  async close(): Promise<void> {
    const closed = this.#listeners.splice(0).map(({ open }) => open.close());
    this.#connections.close();
    await Promise.all(closed);
  }
}
