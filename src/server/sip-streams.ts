/** SIP over TLS (RFC 3261 §26.2.1) and TCP: listeners, and connections that we open. */
import { type Server, type Socket, connect as tcpConnect, createServer as tcpServer } from 'node:net';
import {
  type ConnectionOptions,
  createServer,
  type TLSSocket,
  type TlsOptions,
  type Server as TlsServer,
  connect as tlsConnect,
} from 'node:tls';
import type { Address } from '../base/ids.js';
import { SIP_TLS_HANDSHAKE_TIMEOUT_MS } from '../base/limits.js';
import { type Known, literalAddress, type Place, type SipConnections } from './sip-connections.js';

/** Certificates as node:tls takes them. */
export type TlsListenSettings = Pick<
  TlsOptions,
  'cert' | 'key' | 'ca' | 'crl' | 'ciphers' | 'minVersion' | 'maxVersion' | 'requestCert' | 'rejectUnauthorized'
>;

export interface OpenListener {
  readonly bound: Address;
  /** New connections get these certificates, open ones keep theirs. For TLS only. */
  readonly reload?: (settings: TlsListenSettings) => void;
  /** No new connections. */
  readonly close: () => Promise<void>;
}

/** Rejects with the system's error. */
export function listenOn(
  server: Server,
  address: string,
  port: number,
  onError: (error: Error) => void,
): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      server.on('error', onError);
      const bound = server.address();
      if (bound === null || typeof bound === 'string') reject(new Error('not a TCP listener'));
      else resolve({ address: bound.address, port: bound.port });
    });
  });
}

export const closing = (server: Server) => (): Promise<void> =>
  new Promise((resolve) => void server.close(() => resolve()));

/** Options of every TLS server for SIP. */
export function completeTls(settings: TlsListenSettings): TlsOptions {
  return { minVersion: 'TLSv1.2', handshakeTimeout: SIP_TLS_HANDSHAKE_TIMEOUT_MS, ...settings };
}

/** Gives every connection its place before its TLS handshake. @param use gets those that have finished it. */
export function admitTls(
  connections: SipConnections,
  server: TlsServer,
  use: (socket: TLSSocket, place: Place) => void,
): void {
  const { onProblem } = connections.options;
  /** By the peer's port: the TLS socket and the raw one below it have no other bond. */
  const places = new Map<string, Place>();
  const nameOf = (s: Socket): string => `${s.remoteAddress} ${s.remotePort}`;
  // Before the TLS handshake, where a connection is still cheap to refuse.
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket);
    const place = connections.admit(socket.remoteAddress ?? '', () => void socket.destroy());
    if (place === undefined) {
      socket.destroy();
      return;
    }
    places.set(name, place);
    socket.on('close', () => {
      if (places.get(name) === place) places.delete(name);
      place.free();
    });
  });
  server.on('tlsClientError', (error, socket) => {
    // Node's own words for a certificate that it refused are "socket hang up"; the cause stands beside it.
    const cause: unknown = socket.authorizationError;
    if (cause !== undefined && cause !== null) onProblem('tls-verify', String(cause), socket.remoteAddress ?? '');
    else onProblem('tls-handshake', error.message, socket.remoteAddress ?? '');
    socket.destroy();
  });
  server.on('secureConnection', (socket) => {
    const place = places.get(nameOf(socket));
    if (place === undefined) socket.destroy();
    else use(socket, place);
  });
}

/** @param identify what a peer's address and its verified certificate, where it showed one, make of it. */
export async function listenTls(
  connections: SipConnections,
  address: string,
  port: number,
  settings: TlsListenSettings,
  identify: (socket: TLSSocket) => Known,
): Promise<OpenListener> {
  const { onProblem } = connections.options;
  const server = createServer(completeTls(settings));
  admitTls(connections, server, (socket, place) => connections.addStream(socket, 'tls', place, identify(socket)));
  const bound = await listenOn(server, address, port, (error) => onProblem('socket', error.message, ''));
  return { bound, reload: (s) => server.setSecureContext(completeTls(s)), close: closing(server) };
}

export async function listenTcp(
  connections: SipConnections,
  address: string,
  port: number,
  identify: (remote: string) => Known,
): Promise<OpenListener> {
  const server = tcpServer((socket) => {
    const place = connections.admit(socket.remoteAddress ?? '', () => void socket.destroy());
    if (place === undefined) socket.destroy();
    else connections.addStream(socket, 'tcp', place, identify(literalAddress(socket.remoteAddress)));
  });
  const bound = await listenOn(server, address, port, (error) =>
    connections.options.onProblem('socket', error.message, ''),
  );
  return { bound, close: closing(server) };
}

/** Where a connection is opened to. */
export interface StreamTarget {
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** The peer does not answer keep-alives any more; the connection ends. */
  readonly onDead?: () => void;
  /** For TLS: whom the certificate must name; trusted authorities and our own certificate. */
  readonly tls?: Pick<ConnectionOptions, 'secureContext' | 'checkServerIdentity'> & {
    readonly servername?: string;
  };
}

/** Opens a connection. @returns its number; rejects with the system's or TLS's error. */
export function connectStream(connections: SipConnections, target: StreamTarget, known: Known): Promise<number> {
  const { address, port, timeoutMs, tls } = target;
  return new Promise((resolve, reject) => {
    const socket: Socket =
      tls === undefined
        ? tcpConnect({ host: address, port })
        : tlsConnect({ host: address, port, minVersion: 'TLSv1.2', rejectUnauthorized: true, ...tls });
    const place = connections.admit(address, () => void socket.destroy());
    if (place === undefined) {
      socket.destroy();
      reject(new Error('no place for another connection'));
      return;
    }
    place.settle(); // we know whom we called
    socket.setTimeout(timeoutMs, () => void socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
    const failed = (error: Error): void => {
      place.free();
      reject(error);
    };
    socket.once('error', failed);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.setTimeout(0);
      socket.off('error', failed);
      const { onDead = () => undefined } = target;
      resolve(connections.addStream(socket, tls === undefined ? 'tcp' : 'tls', place, known, onDead));
    });
  });
}
