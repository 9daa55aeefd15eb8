/** A SIP peer on loopback that says exactly what a test wants, over TLS, TCP or UDP, to those who connect to it. */
import { createSocket } from 'node:dgram';
import { createServer as createTcp, type Server, type Socket } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import type { Identity } from './pki.js';

export interface SipPeerOptions {
  readonly transport: 'tls' | 'tcp' | 'udp';
  /** For TLS: its own certificate, and the authority of those that call it. */
  readonly tls?: { readonly identity: Identity; readonly ca: string };
  /** Default: any free one. */
  readonly port?: number;
  /**
   * What a request is answered with: status line and further headers, an empty line, the body, lines ended by LF; Via, From,
   * To, Call-ID, CSeq and Content-Length are added. Several are sent one after the other.
   */
  readonly reply: (request: string) => string | readonly string[] | undefined;
  /** Answers CRLF pings; default true; asked at each. */
  readonly pongs?: boolean;
}

export interface SipPeer {
  readonly port: number;
  readonly requests: string[];
  readonly responses: string[];
  /** Common names of the certificates that callers showed. */
  readonly shown: string[];
  /** Open connections, the newest last; of streams only. */
  readonly sockets: readonly Socket[];
  readonly pings: number;
  /** Answers a request later, or once more; as {@link SipPeerOptions.reply}. */
  respond(request: string, text: string): void;
  /** Sends this to whoever spoke last: lines ended by LF, as {@link SipPeerOptions.reply}; Content-Length is added. */
  say(text: string): void;
  close(): Promise<unknown>;
}

/** A 200 to an INVITE with an offer: plain RTP to port 4000 in every m-line, whatever the codecs. @param port in Contact, which counts over UDP */
export function plainAnswer(request: string, transport: SipPeerOptions['transport'], port = 5060): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
  for (const line of request.split('\r\n')) {
    if (line.startsWith('m=')) lines.push(line.replace(/ \d+ /, ' 4000 '));
    if (/^a=(rtpmap|fmtp):/.test(line)) lines.push(line);
  }
  const head = `SIP/2.0 200 OK\nContact: <sip:x@127.0.0.1:${port};transport=${transport}>\nContent-Type: application/sdp`;
  return `${head}\n\n${lines.join('\r\n')}\r\n`;
}

function wire(text: string, more: readonly string[] = []): string {
  const [head = '', ...rest] = text.split('\n\n');
  const body = rest.join('\n\n');
  const lines = [...head.split('\n'), ...more, `Content-Length: ${Buffer.byteLength(body)}`];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function answer(request: string, text: string): string {
  const copied = ['Via', 'From', 'Call-ID', 'CSeq'].map((n) => new RegExp(`^${n}: .*$`, 'm').exec(request)![0].trim());
  const to = /^To: .*$/m.exec(request)![0].trim();
  return wire(text, [...copied, to.includes(';tag=') ? to : `${to};tag=callee`]);
}

export async function openSipPeer(options: SipPeerOptions): Promise<SipPeer> {
  const { transport, tls, port = 0, reply } = options;
  const requests: string[] = [];
  const responses: string[] = [];
  const shown: string[] = [];
  const sockets: Socket[] = [];
  let pings = 0;
  let speak: (text: string) => void = () => undefined;
  const heard = (message: string): void => {
    if (message.startsWith('SIP/2.0 ')) {
      responses.push(message);
      return;
    }
    requests.push(message);
    const said = reply(message);
    for (const text of said === undefined ? [] : typeof said === 'string' ? [said] : said) speak(answer(message, text));
  };
  const peer = {
    ...{ requests, responses, shown, sockets },
    get pings() {
      return pings;
    },
    respond: (request: string, text: string) => speak(answer(request, text)),
    say: (text: string) => speak(wire(text)),
  };
  if (transport === 'udp') {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
    socket.on('message', (bytes, from) => {
      speak = (text) => socket.send(text, from.port, from.address);
      heard(bytes.toString('latin1'));
    });
    const close = (): Promise<void> => new Promise((resolve) => void socket.close(() => resolve()));
    return Object.assign(peer, { port: socket.address().port, close });
  }
  const onSocket = (socket: Socket): void => {
    sockets.push(socket);
    let text = '';
    socket.on('error', () => undefined);
    socket.on('close', () => void sockets.splice(sockets.indexOf(socket), 1));
    socket.on('data', (chunk) => {
      speak = (said) => void socket.write(said);
      text += chunk.toString('latin1');
      while (text.startsWith('\r\n\r\n')) {
        text = text.slice(4);
        pings++;
        if (options.pongs ?? true) socket.write('\r\n');
      }
      text = text.replace(/^(\r\n)+(?=\S)/, '');
      for (let end = text.indexOf('\r\n\r\n'); end > 0; end = text.indexOf('\r\n\r\n')) {
        const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        const message = text.slice(0, end + 4 + length);
        text = text.slice(end + 4 + length);
        heard(message);
      }
    });
  };
  let server: Server;
  if (transport === 'tls') {
    const { identity, ca } = tls!;
    server = createTls({ cert: identity.pem, key: identity.keyPem, ca, requestCert: true }, (socket: TLSSocket) => {
      shown.push(String(socket.getPeerCertificate().subject.CN));
      onSocket(socket);
    });
  } else server = createTcp(onSocket);
  const raw = new Set<Socket>();
  server.on('connection', (socket) => void raw.add(socket));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): Promise<unknown> => {
    for (const socket of raw) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return Object.assign(peer, { port: (server.address() as { port: number }).port, close });
}
