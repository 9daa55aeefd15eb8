/** A SIP client over WebSocket for tests: texts out, texts in; what it says is the test's business. */
import { type ClientOptions, WebSocket } from 'ws';
import { until } from './running-switch.js';

export interface WebSocketPeer {
  readonly socket: WebSocket;
  /** Whole messages, the oldest first. */
  readonly heard: string[];
  readonly binary: boolean[];
  /** Code and reason, once it is closed. */
  readonly ended: { code: number | undefined };
  readonly say: (message: string | Uint8Array) => void;
  /** The first message from `since` on that has this in it. */
  readonly expect: (what: string, since?: number) => Promise<string>;
}

/** Rejects with the HTTP status of a refused handshake, or with the socket's error. */
export function openWebSocket(
  port: number,
  ca: string,
  { protocols = ['sip'], ...options }: ClientOptions & { readonly protocols?: readonly string[] } = {},
): Promise<WebSocketPeer> {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/`, [...protocols], { ca, ...options });
  const heard: string[] = [];
  const binary: boolean[] = [];
  const ended: WebSocketPeer['ended'] = { code: undefined };
  socket.on('message', (data, isBinary) => {
    heard.push(data.toString());
    binary.push(isBinary);
  });
  socket.on('close', (code) => {
    ended.code = code;
  });
  const peer: WebSocketPeer = {
    ...{ socket, heard, binary, ended },
    say: (message) => socket.send(message),
    expect: async (what, since = 0) => {
      const found = (): string | undefined => heard.slice(since).find((text) => text.includes(what));
      await until(what, () => found() !== undefined);
      return found()!;
    },
  };
  return new Promise((resolve, reject) => {
    socket.on('open', () => resolve(peer));
    socket.on('unexpected-response', (_, response) => reject(new Error(`HTTP ${response.statusCode}`)));
    socket.on('error', reject); // after `open`, what becomes of the connection shows in `ended`
  });
}
