/**
 * The administration port: the API over TLS; health and metrics over TLS or plain HTTP, without a token: they show no key
 * and no address of a caller, and change nothing.
 */
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { createServer as createTcp, type Socket, type Server as TcpServer } from 'node:net';
import type { Registry } from 'prom-client';
import type { Address } from '../base/ids.js';
import {
  ADMIN_FIRST_BYTE_TIMEOUT_MS,
  ADMIN_MAX_CONNECTIONS,
  ADMIN_MAX_CONNECTIONS_PER_ADDRESS,
  ADMIN_REQUEST_TIMEOUT_MS,
} from '../base/limits.js';
import { addressOwner } from '../wire/ip-address.js';
import { type ApiOptions, handleApi, sendJson } from './admin/api.js';
import { PROBLEM_MEDIA_TYPE, problem } from './admin/problem.js';
import { OPENAPI } from './admin/routes.js';
import { PAGE_HEADERS, pageFiles, type StaticFile } from './page.js';
import { DEFAULT_CIPHERS, withKey } from './tls-contexts.js';
import type { TlsSet } from './tls-set.js';

export interface AdminOptions {
  readonly address: string;
  readonly port: number;
  readonly tls: TlsSet;
  /** Client certificates are asked for, and verified with the authorities of the set. */
  readonly clients: boolean;
  /** The API is answered over plain HTTP too. */
  readonly plain: boolean;
  readonly registry: Registry;
  /** Ready: new calls are taken. Alive but not ready: starting, draining or stopping. */
  readonly isReady: () => boolean;
  readonly api: ApiOptions;
  readonly onProblem: (detail: string) => void;
}

const TLS_HANDSHAKE_RECORD = 0x16;

export class AdminServer {
  readonly #options: AdminOptions;
  readonly #files = pageFiles();
  readonly #tcp: TcpServer;
  /** Each with whose it is. */
  readonly #sockets = new Map<Socket, string>();
  readonly #plain: Server;
  readonly #secure: HttpsServer;

  constructor(options: AdminOptions) {
    this.#options = options;
    const limits = { requestTimeout: ADMIN_REQUEST_TIMEOUT_MS, headersTimeout: ADMIN_REQUEST_TIMEOUT_MS / 2 };
    this.#plain = createHttp(limits, (request, response) => this.#answer(request, response, options.plain));
    const clients = !options.clients ? {} : { requestCert: true, rejectUnauthorized: false };
    this.#secure = withKey(options.tls, (key) =>
      createHttps(
        { ...limits, ...this.#tls(options.tls, key), ...clients, handshakeTimeout: ADMIN_REQUEST_TIMEOUT_MS },
        (request, response) => this.#answer(request, response, true),
      ),
    );
    this.#tcp = createTcp((socket) => {
      // One address is not to have all places.
      const owner = addressOwner(socket.remoteAddress ?? '');
      const held = [...this.#sockets.values()].filter((other) => other === owner).length;
      if (held >= ADMIN_MAX_CONNECTIONS_PER_ADDRESS) return void socket.destroy();
      this.#sockets.set(socket, owner);
      socket.on('close', () => this.#sockets.delete(socket));
      // Whoever resets a connection before it has said anything is nobody's error.
      socket.on('error', () => socket.destroy());
      socket.setTimeout(ADMIN_FIRST_BYTE_TIMEOUT_MS, () => socket.destroy());
      socket.once('readable', () => {
        const first = socket.read(1) as Buffer | null;
        if (first === null) return void socket.destroy();
        socket.setTimeout(0);
        socket.unshift(first);
        (first[0] === TLS_HANDSHAKE_RECORD ? this.#secure : this.#plain).emit('connection', socket);
      });
    });
    this.#tcp.maxConnections = ADMIN_MAX_CONNECTIONS;
  }

  /** Connections that come later get these certificates. */
  reload(set: TlsSet): void {
    withKey(set, (key) => this.#secure.setSecureContext(this.#tls(set, key)));
  }

  #tls(set: TlsSet, key: Buffer) {
    return {
      cert: set.chainPem,
      key,
      ciphers: set.ciphers ?? DEFAULT_CIPHERS,
      minVersion: 'TLSv1.2' as const,
      ...(this.#options.clients ? { ca: [...set.caPem] } : {}),
    };
  }

  listen(): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen(this.#options.port, this.#options.address, () => {
        this.#tcp.off('error', reject);
        this.#tcp.on('error', (error) => this.#options.onProblem(error.message));
        const bound = this.#tcp.address();
        if (bound === null || typeof bound === 'string') reject(new Error('not a TCP listener'));
        else resolve({ address: bound.address, port: bound.port });
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#tcp.close(() => resolve());
      // Also those that have not said yet what they speak.
      for (const socket of this.#sockets.keys()) socket.destroy();
    });
  }

  #page(request: IncomingMessage, response: ServerResponse, { type, body }: StaticFile): void {
    response
      .writeHead(200, { ...PAGE_HEADERS, 'content-type': type, 'content-length': body.length })
      .end(request.method === 'HEAD' ? undefined : body);
  }

  /** @param whole the API too, not only what everybody may see. */
  #answer(request: IncomingMessage, response: ServerResponse, whole: boolean): void {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const path = isRead ? request.url : undefined;
    const text = (status: number, type: string, body: string): void => {
      response
        .writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
        .end(request.method === 'HEAD' ? '' : body);
    };
    if (path === '/health/live') text(200, 'text/plain', 'alive\n');
    else if (path === '/health/ready') {
      const ready = this.#options.isReady();
      text(ready ? 200 : 503, 'text/plain', ready ? 'ready\n' : 'not ready\n');
    } else if (path === '/metrics') this.#metrics(text);
    else if (!whole) {
      const only = problem(
        'tls-required',
        'plain HTTP has /health/live, /health/ready and /metrics; the rest is HTTPS',
      );
      sendJson(response, only.status, only, PROBLEM_MEDIA_TYPE);
    } else if (path !== undefined && this.#files.has(path)) this.#page(request, response, this.#files.get(path)!);
    else if (path === '/openapi.json') sendJson(response, 200, OPENAPI, 'application/json');
    else void handleApi(request, response, this.#options.api);
  }

  #metrics(text: (status: number, type: string, body: string) => void): void {
    const { registry, onProblem } = this.#options;
    registry.metrics().then(
      (metrics) => text(200, registry.contentType, metrics),
      (error: unknown) => {
        onProblem(`metrics: ${error instanceof Error ? error.message : String(error)}`);
        text(500, 'text/plain', 'metrics failed; see the log\n');
      },
    );
  }
}
