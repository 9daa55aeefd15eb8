/** SIP over UDP (RFC 3261 §18, RFC 3581): one socket, and a connection for each address and port that speaks to it. */
import { createSocket, type Socket } from 'node:dgram';
import { BlockList, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Address } from '../base/ids.js';
import { SIP_MAX_DATAGRAM_PEERS } from '../base/limits.js';
import { LargeRequests } from './large-requests.js';
import { type Known, literalAddress, type SipConnections } from './sip-connections.js';
import type { OpenListener } from './sip-streams.js';

/**
 * UDP does not say at which of our addresses a datagram arrived, and signalling must name one: of a socket that is bound to all
 * of them, the one on the peer's network, else the first that is not loopback.
 */
export function localAddressFor(bound: string, peer: string): string {
  if (bound !== '0.0.0.0' && bound !== '::') return bound;
  const family = isIPv6(peer) ? 'ipv6' : 'ipv4';
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const candidates = own.filter((a) => a.family.toLowerCase() === family);
  const near = candidates.find((a) => {
    const network = new BlockList();
    network.addSubnet(a.address, Number(a.cidr?.split('/')[1] ?? (family === 'ipv6' ? 128 : 32)), family);
    return network.check(peer, family);
  });
  return (near ?? candidates.find((a) => !a.internal) ?? candidates[0])?.address ?? bound;
}

export class DatagramListener implements OpenListener {
  readonly #connections: SipConnections;
  readonly #socket: Socket;
  readonly #identify: (remote: string) => Known;
  readonly bound: Address;
  /** The one that was silent the longest first. */
  readonly #peers = new Map<string, number>();
  /** Datagrams that Node has not handed to the kernel yet. */
  #unsent = 0;
  #onSent: (() => void) | undefined;

  static open(
    connections: SipConnections,
    address: string,
    port: number,
    identify: (remote: string) => Known = () => ({}),
  ): Promise<DatagramListener> {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, address, () => {
        socket.off('error', reject);
        resolve(new DatagramListener(connections, socket, identify));
      });
    });
  }

  private constructor(connections: SipConnections, socket: Socket, identify: (remote: string) => Known) {
    this.#identify = identify;
    this.#connections = connections;
    this.#socket = socket;
    const { address, port } = socket.address();
    this.bound = { address, port };
    socket.on('message', (bytes, from) => this.#receive(bytes, from));
    socket.on('error', (error) => connections.options.onProblem('socket', error.message, ''));
  }

  /**
   * The number of the connection to this address and port, opened if need be; undefined when there is no place for one, and
   * where this socket's family is another.
   * @param who it is, where we call it; by default what its address makes of it.
   */
  connect(to: Address, who: Known = this.#identify(literalAddress(to.address))): number | undefined {
    if (isIPv6(this.bound.address) !== isIPv6(to.address)) return undefined;
    const key = `${to.address} ${to.port}`;
    const known = this.#peers.get(key);
    if (known !== undefined) {
      this.#peers.delete(key);
      this.#peers.set(key, known);
      return known;
    }
    if (this.#peers.size >= SIP_MAX_DATAGRAM_PEERS) this.#makeRoom();
    let number: number | undefined;
    const forget = (): void => {
      this.#peers.delete(key);
      if (number !== undefined) this.#connections.remove(number);
    };
    const place = this.#peers.size < SIP_MAX_DATAGRAM_PEERS ? this.#connections.admit(to.address, forget) : undefined;
    if (place === undefined) return undefined;
    const remote = { address: literalAddress(to.address), port: to.port };
    const local = {
      address: literalAddress(localAddressFor(this.bound.address, remote.address)),
      port: this.bound.port,
    };
    const large = new LargeRequests(this.#connections, (bytes, port) => this.#send(bytes, port, to.address));
    const send = (bytes: Uint8Array, port = to.port, stream?: Uint8Array): void => {
      if (stream === undefined || number === undefined) this.#send(bytes, port, to.address);
      else large.send({ address: to.address, port }, bytes, stream, { ...who, beside: number });
    };
    number = this.#connections.addMessages('udp', remote, local, place, send, forget, who);
    this.#peers.set(key, number);
    return number;
  }

  /** Anybody can write any sender's address on a datagram: who was silent the longest and has no call gives way. */
  #makeRoom(): void {
    for (const number of this.#peers.values()) {
      if (this.#connections.isInUse(number)) continue;
      this.#connections.closeConnection(number);
      return;
    }
  }

  #receive(bytes: Uint8Array, from: { readonly address: string; readonly port: number }): void {
    // Keep-alives (RFC 5626 §3.5.1: CRLF) and what cannot be SIP make no connection.
    if (bytes.length === 0 || bytes[0]! <= 32 || bytes[0]! >= 127) return;
    const connection = this.connect(from);
    if (connection !== undefined) this.#connections.wholeMessage(connection, bytes);
  }

  #send(bytes: Uint8Array, port: number, address: string): void {
    this.#unsent++;
    this.#socket.send(bytes, port, address, (error) => {
      this.#unsent--;
      // What became of a request, its transaction's timers say.
      if (error !== null) this.#connections.options.onProblem('socket', error.message, address);
      if (this.#unsent === 0) this.#onSent?.();
    });
  }

  /** What was sent before goes out: a BYE at the end of everything is one datagram, and nobody sends it again. */
  async close(): Promise<void> {
    for (const number of [...this.#peers.values()]) this.#connections.closeConnection(number);
    if (this.#unsent > 0) {
      await new Promise<void>((resolve) => {
        this.#onSent = resolve;
      });
    }
    await new Promise<void>((resolve) => void this.#socket.close(() => resolve()));
  }
}
