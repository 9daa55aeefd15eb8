/** SIP over secure WebSocket (RFC 7118): the listener. Browsers come here; what they may do is the page's, so its origin counts. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import {
  SIP_MAX_MESSAGE_BYTES,
  SIP_MAX_UNSENT_BYTES,
  SIP_WEBSOCKET_CLOSE_TIMEOUT_MS,
  SIP_WEBSOCKET_HANDSHAKE_TIMEOUT_MS,
  SIP_WEBSOCKET_MAX_CHUNKS,
  SIP_WEBSOCKET_MAX_FRAGMENTS,
  SIP_WEBSOCKET_PING_INTERVAL_MS,
} from '../base/limits.js';
import { KEEPALIVE_PING, KEEPALIVE_PONG } from '../wire/sip-framing.js';
import { type Known, literalAddress, type Place, type SipConnections } from './sip-connections.js';
import { admitTls, closing, completeTls, listenOn, type OpenListener, type TlsListenSettings } from './sip-streams.js';

export interface WebSocketRules {
  /** Origins (`https://portal.example`) whose pages may call besides those of our own host. */
  readonly origins: readonly string[];
  /** Default: SIP_WEBSOCKET_HANDSHAKE_TIMEOUT_MS. */
  readonly handshakeTimeoutMs?: number;
  /** Default: SIP_WEBSOCKET_PING_INTERVAL_MS. */
  readonly pingIntervalMs?: number;
}

const SUBPROTOCOL = 'sip';
/** RFC 6455 §7.4.1. */
const GOING_AWAY = 1_001;

/** The last three are newer than the library's types. */
const OPTIONS = {
  noServer: true,
  clientTracking: false,
  /** A short message could become a very long one. */
  perMessageDeflate: false,
  handleProtocols: (): string => SUBPROTOCOL,
  maxPayload: SIP_MAX_MESSAGE_BYTES,
  maxFragments: SIP_WEBSOCKET_MAX_FRAGMENTS,
  maxBufferedChunks: SIP_WEBSOCKET_MAX_CHUNKS,
  closeTimeout: SIP_WEBSOCKET_CLOSE_TIMEOUT_MS,
};

/**
 * Whether a page of this origin may call (RFC 6455 §10.2). Any page can have its visitor's browser open a WebSocket from
 * behind his firewall, with his client certificate; only the browser's `Origin` tells such a page from ours. A client that
 * sends none is no browser, and could write what it likes.
 * @param host the request's Host: TLS has proven it to the browser, so no rebinding of DNS helps a stranger.
 */
export function mayCall(origin: string | undefined, host: string | undefined, origins: readonly string[]): boolean {
  if (origin === undefined || origins.includes(origin)) return true;
  const page = urlOf(origin);
  const own = urlOf(`https://${host}`);
  // A page over http can be rewritten on its way, so it is nobody's.
  return page?.protocol === 'https:' && page.origin === origin && page.hostname === own?.hostname;
}

function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined; // no URL: the caller refuses
  }
}

/** The name of what stands in the way of this handshake; undefined: nothing. */
function refusalOf({ headers }: IncomingMessage, origins: readonly string[]): 'origin' | 'subprotocol' | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  if (!mayCall(headers.origin, headers.host, origins)) return 'origin';
  return offered.includes(SUBPROTOCOL) ? undefined : 'subprotocol';
}

function refuseWith(socket: Socket, status: string, text: string): void {
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n`;
  socket.write(head + text);
  socket.destroySoon();
}

export async function listenWss(
  connections: SipConnections,
  address: string,
  port: number,
  settings: TlsListenSettings,
  identify: (socket: TLSSocket) => Known,
  rules: WebSocketRules,
): Promise<OpenListener> {
  const { onProblem } = connections.options;
  const server = createServer(completeTls(settings), (_, response) => {
    const head = { connection: 'close, upgrade', upgrade: 'websocket', 'content-type': 'text/plain' };
    response.writeHead(426, head).end('SIP over WebSocket (RFC 7118)\n');
  });
  const webSockets = new WebSocketServer(OPTIONS);
  const limitMs = rules.handshakeTimeoutMs ?? SIP_WEBSOCKET_HANDSHAKE_TIMEOUT_MS;
  /** TLS is done, the WebSocket's handshake is not. */
  const waiting = new Map<Socket, { readonly place: Place; readonly timer: NodeJS.Timeout }>();
  admitTls(connections, server, (socket, place) => {
    const timer = setTimeout(() => {
      onProblem('websocket', `no handshake within ${limitMs} ms`, socket.remoteAddress ?? '');
      socket.destroy();
    }, limitMs);
    waiting.set(socket, { place, timer });
    socket.on('error', (error) => onProblem('socket', error.message, socket.remoteAddress ?? ''));
    socket.on('close', () => {
      clearTimeout(timer);
      waiting.delete(socket);
    });
  });
  const pings = new Pings(rules.pingIntervalMs ?? SIP_WEBSOCKET_PING_INTERVAL_MS);
  server.on('upgrade', (request, socket: TLSSocket, head) => {
    const refused = refusalOf(request, rules.origins);
    const open = waiting.get(socket);
    if (open === undefined) {
      socket.destroy();
    } else if (refused === 'origin') {
      onProblem('origin', `a page of ${request.headers.origin}`, socket.remoteAddress ?? '');
      refuseWith(socket, '403 Forbidden', 'pages of this origin may not call; see sip.wssOrigins\n');
    } else if (refused === 'subprotocol') {
      onProblem('websocket', 'the subprotocol sip is not offered', socket.remoteAddress ?? '');
      refuseWith(socket, '400 Bad Request', 'Sec-WebSocket-Protocol must offer sip\n');
    } else {
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        clearTimeout(open.timer);
        waiting.delete(socket);
        addWebSocket(connections, webSocket, socket, open.place, identify(socket));
        pings.add(webSocket);
      });
    }
  });
  const bound = await listenOn(server, address, port, (error) => onProblem('socket', error.message, ''));
  return {
    bound,
    reload: (s) => server.setSecureContext(completeTls(s)),
    close: () => {
      pings.close();
      for (const socket of waiting.keys()) socket.destroy();
      return closing(server)();
    },
  };
}

function addWebSocket(
  connections: SipConnections,
  webSocket: WebSocket,
  socket: TLSSocket,
  place: Place,
  known: Known,
): void {
  const { onProblem } = connections.options;
  const remote = { address: literalAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
  const local = { address: literalAddress(socket.localAddress), port: socket.localPort ?? 0 };
  const send = (bytes: Uint8Array): void => {
    // A text frame that is not UTF-8 would end the connection (RFC 6455 §8.1).
    webSocket.send(bytes, { binary: !isUtf8(bytes) });
    // A peer that does not read must not make us remember everything we ever told it.
    if (webSocket.bufferedAmount <= SIP_MAX_UNSENT_BYTES) return;
    onProblem('socket', 'peer does not read', remote.address);
    webSocket.terminate();
  };
  const close = (): void => webSocket.close(GOING_AWAY);
  const connection = connections.addMessages('wss', remote, local, place, send, close, known);
  webSocket.on('message', (data: RawData) => {
    const bytes = bytesOf(data);
    // RFC 7118 §6: CRLF keep-alive (RFC 5626 §3.5.1) is a message of its own here.
    if (isSame(bytes, KEEPALIVE_PING)) send(KEEPALIVE_PONG);
    else if (bytes.length > 0 && !isSame(bytes, KEEPALIVE_PONG)) connections.wholeMessage(connection, bytes);
  });
  // Whatever breaks RFC 6455 or a limit; the WebSocket closes itself.
  webSocket.on('error', (error) => onProblem('websocket', error.message, remote.address));
  webSocket.on('close', () => connections.remove(connection));
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Pings: middleboxes forget what is silent, and a peer that is gone shows by its silence (RFC 7118 §6). */
class Pings {
  readonly #heard = new Map<WebSocket, boolean>();
  readonly #timer: NodeJS.Timeout;

  constructor(intervalMs: number) {
    this.#timer = setInterval(() => this.#sweep(), intervalMs).unref();
  }

  add(webSocket: WebSocket): void {
    const heard = (): void => void this.#heard.set(webSocket, true);
    heard();
    webSocket.on('pong', heard);
    webSocket.on('message', heard);
    webSocket.on('close', () => this.#heard.delete(webSocket));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    for (const [webSocket, heard] of [...this.#heard]) {
      if (!heard) {
        webSocket.terminate();
        continue;
      }
      this.#heard.set(webSocket, false);
      webSocket.ping();
    }
  }
}
