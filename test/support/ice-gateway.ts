/**
 * A full ICE agent for endpoints that have none: it stands between the reference endpoint and the switch, puts ICE into what
 * the endpoint says and its own sockets in place of the endpoint's, checks as a controlling agent, and carries what is not
 * STUN. So a real call, of any security, is one of a peer behind a NAT that may bind anew.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { issue } from './pki.js';
import { check, type IceSide, isStun, readAnswer, type StunAnswer } from './stun.js';

const CHECK_INTERVAL_MS = 50;

function newSide(): IceSide {
  return { ufrag: randomBytes(6).toString('base64'), pwd: randomBytes(18).toString('base64') };
}

function open(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => resolve(socket));
  });
}

/** One m-line's way through. */
export class IceLine {
  local = newSide();
  /** The switch's, from its latest SDP; undefined: it spoke without ICE. */
  remote: IceSide | undefined;
  /** Whether it checks, and what with. */
  checking = true;
  useCandidate = true;
  readonly answers: StunAnswer[] = [];
  /** Every check that was sent. */
  readonly checks: Buffer[] = [];
  /** What came from the switch and is no STUN, by the socket that it came to: 0 is the first. */
  readonly arrived: number[] = [];
  switchPort = 0;
  endpointPort = 0;
  readonly inner: Socket;
  #outer: Socket;
  readonly #old: Socket[] = [];
  readonly #timer: NodeJS.Timeout;

  private constructor(inner: Socket, outer: Socket) {
    this.inner = inner;
    this.#outer = outer;
    inner.on('message', (bytes) => {
      if (this.switchPort !== 0) this.#outer.send(bytes, this.switchPort, '127.0.0.1');
    });
    this.#listen(outer, 0);
    this.#timer = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
  }

  static async open(): Promise<IceLine> {
    return new IceLine(await open(), await open());
  }

  get port(): number {
    return this.#outer.address().port;
  }

  get rebindings(): number {
    return this.#old.length;
  }

  /** The NAT gives another address from now on; the old one still receives. */
  async rebind(): Promise<void> {
    const outer = await open();
    this.#old.push(this.#outer);
    this.#outer = outer;
    this.#listen(outer, this.#old.length);
  }

  /** @param from an attacker's socket; default: our own */
  send(bytes: Uint8Array, from: Socket = this.#outer): void {
    from.send(bytes, this.switchPort, '127.0.0.1');
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of [this.inner, this.#outer, ...this.#old]) socket.close();
  }

  #listen(outer: Socket, number: number): void {
    outer.on('message', (bytes) => {
      if (isStun(bytes)) {
        const answer = readAnswer(bytes, this.remote?.pwd ?? '');
        if (answer !== undefined) this.answers.push(answer);
        return;
      }
      this.arrived.push(number);
      if (this.endpointPort !== 0) this.inner.send(bytes, this.endpointPort, '127.0.0.1');
    });
  }

  #check(): void {
    const { remote, useCandidate } = this;
    if (remote === undefined || !this.checking || this.switchPort === 0) return;
    const bytes = check({ remote, localUfrag: this.local.ufrag, useCandidate });
    this.checks.push(bytes);
    this.send(bytes);
  }
}

export interface IceGateway {
  readonly target: (conference: string) => string;
  readonly caPem: string;
  readonly lines: readonly IceLine[];
  /** SDP bodies as the switch sent them. */
  readonly fromSwitch: string[];
  /** The next SDP of the endpoint restarts ICE on every line. */
  restart(): void;
  close(): Promise<void>;
}

export interface IceGatewayOptions {
  readonly switchPort: number;
  /** Changes an SDP of the endpoint once more before it goes to the switch. */
  readonly edit?: (sdp: string) => string;
}

export async function iceGateway({ switchPort, edit = (sdp) => sdp }: IceGatewayOptions): Promise<IceGateway> {
  const authority = await issue(undefined);
  const identity = await issue(authority, { cn: 'gateway', names: ['127.0.0.1'] });
  const lines: IceLine[] = [];
  const fromSwitch: string[] = [];
  const sockets = new Set<TLSSocket>();

  async function outward(sdp: string): Promise<string> {
    const [session = '', ...media] = sdp.split(/(?=^m=)/m);
    const out = [session];
    for (const [i, text] of media.entries()) {
      const port = Number(/^m=\S+ (\d+)/.exec(text)![1]);
      if (port === 0) {
        out.push(text);
        continue;
      }
      // Of a bundle the lines have one port.
      lines[i] ??= lines.find((known) => known?.endpointPort === port) ?? (await IceLine.open());
      const line = lines[i];
      line.endpointPort = port;
      const { ufrag, pwd } = line.local;
      const candidate = `a=candidate:1 1 UDP 2130706431 127.0.0.1 ${line.port} typ host`;
      const moved = text.replace(/^(m=\S+) \d+/, `$1 ${line.port}`);
      out.push(`${moved}a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n${candidate}\r\n`);
    }
    return edit(out.join(''));
  }

  async function inward(sdp: string): Promise<string> {
    fromSwitch.push(sdp);
    const [session = '', ...media] = sdp.split(/(?=^m=)/m);
    return [
      session,
      ...media.map((text, i) => {
        const port = Number(/^m=\S+ (\d+)/.exec(text)![1]);
        const tagged = media.findIndex((other) => Number(/^m=\S+ (\d+)/.exec(other)![1]) === port);
        const line = lines[tagged];
        if (line === undefined || port === 0) return text;
        lines[i] = line;
        line.switchPort = port;
        if (tagged !== i) return text.replace(/^(m=\S+) \d+/, `$1 ${line.inner.address().port}`);
        const [, ufrag] = /^a=ice-ufrag:(.*)\r$/m.exec(text) ?? [];
        const [, pwd] = /^a=ice-pwd:(.*)\r$/m.exec(text) ?? [];
        line.remote = ufrag === undefined || pwd === undefined ? undefined : { ufrag, pwd };
        return text.replace(/^(m=\S+) \d+/, `$1 ${line.inner.address().port}`);
      }),
    ].join('');
  }

  const carry = (from: TLSSocket, to: TLSSocket, change: (sdp: string) => Promise<string>): void => {
    let text = '';
    let working = Promise.resolve();
    const pass = async (): Promise<void> => {
      for (;;) {
        const [breaks] = /^(\r\n)*/.exec(text)!;
        if (breaks !== '') to.write(breaks);
        text = text.slice(breaks.length);
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = text.slice(0, end);
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        const body = text.slice(end + 4, end + 4 + length);
        text = text.slice(end + 4 + length);
        const changed = /^content-type: *application\/sdp/im.test(head) ? await change(body) : body;
        to.write(`${head.replace(/^content-length: *\d+/im, `Content-Length: ${changed.length}`)}\r\n\r\n${changed}`);
      }
    };
    from.on('data', (chunk) => {
      text += chunk.toString('latin1');
      working = working.then(pass);
    });
    from.on('error', () => undefined);
    from.on('close', () => to.destroy());
    sockets.add(from);
  };

  const server = createServer({ cert: identity.pem, key: identity.keyPem }, (endpoint) => {
    // Whose certificate it is does not matter here: it is a test's own switch.
    const toSwitch = connect({ port: switchPort, host: '127.0.0.1', rejectUnauthorized: false });
    carry(endpoint, toSwitch, outward);
    carry(toSwitch, endpoint, inward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    target: (conference) => `sips:${conference}@127.0.0.1:${port}`,
    caPem: authority.pem,
    lines,
    fromSwitch,
    restart: () => {
      for (const line of new Set(lines)) line.local = newSide();
    },
    close: async () => {
      for (const line of new Set(lines)) line.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
