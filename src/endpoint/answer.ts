/** The reference endpoint as the one who is called: SIP over TLS on a port of its own. */
import { createServer, type Server, type TlsOptions } from 'node:tls';
import type { UserAgentOutput } from '../sip/contract.js';
import { Call, type CallOptions } from './call.js';
import { SipConnection } from './sip-connection.js';

export interface AnswerOptions {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Certificate and key; with `ca`, `requestCert` and `rejectUnauthorized` the caller must show one too. */
  readonly tls: Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'requestCert' | 'rejectUnauthorized'>;
  /** What its Contact says; default true. False for calls that are answered as a standard endpoint. */
  readonly tip?: boolean;
  /** How each call is answered; `{ refuse: 486 }` does not take it. */
  readonly answer: () => Omit<CallOptions, 'target'> | { readonly refuse: number };
  /** A call that is taken rings until this resolves; default: not at all. */
  readonly ring?: () => Promise<void>;
  readonly onCall: (call: Call) => void;
}

const RINGING = 180;

export interface AnsweringEndpoint {
  readonly port: number;
  /** Ends every call and connection. */
  close(): Promise<void>;
}

type Output = Exclude<UserAgentOutput, { type: 'send' | 'close' }>;

/** One call at a time on each connection; a second one is busy. */
function serve(connection: () => SipConnection, options: AnswerOptions): (output: Output) => void {
  let current: Promise<Call> | undefined;
  return (output) => {
    if (output.type !== 'incoming' || current !== undefined) {
      current?.then(({ onSip }) => onSip(output)).catch(() => undefined); // its failure was reported where it arose
      return;
    }
    const how = options.answer();
    if ('refuse' in how) {
      connection().receive({ type: 'reject', call: output.call, status: how.refuse });
      return;
    }
    connection().receive({ type: 'provisional', call: output.call, status: RINGING });
    current = (options.ring?.() ?? Promise.resolve()).then(() => Call.answer(how, connection(), output));
    current.then(
      (call) => {
        options.onCall(call);
        void call.ended.then(() => {
          current = undefined;
        });
      },
      () => connection().close(),
    );
  };
}

/** Waits for calls. Rejects with the system's error when the port cannot be had. */
export function listen(options: AnswerOptions): Promise<AnsweringEndpoint> {
  const server: Server = createServer({ minVersion: 'TLSv1.2', ...options.tls });
  const connections = new Set<SipConnection>();
  server.on('secureConnection', (socket) => {
    const connection: SipConnection = SipConnection.accept(socket, {
      tip: options.tip ?? true,
      onOutput: (output) => onOutput(output),
    });
    const onOutput = serve(() => connection, options);
    connections.add(connection);
    socket.on('close', () => void connections.delete(connection));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.address, () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') return reject(new Error('not a TCP listener'));
      const close = (): Promise<void> =>
        new Promise((done) => {
          server.close(() => done());
          for (const connection of connections) connection.close();
        });
      resolve({ port: bound.port, close });
    });
  });
}
