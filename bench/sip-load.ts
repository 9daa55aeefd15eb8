/**
 * The callers of the SIP bench, in a thread of their own so that only the switch's work is in the switch's thread: TLS
 * connections on which texts with holes are filled in. They check what comes back: every call is answered 200, every BYE too.
 */
import { connect, type TLSSocket } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';

export interface LoadData {
  readonly port: number;
  readonly ca: string;
  readonly connections: number;
  /** The offer of every call. */
  readonly sdp: string;
  readonly callsPerRoom: number;
}

export type LoadOrder =
  /** Calls set up and ended again at once, so many under way at a time. */
  | { readonly type: 'calls'; readonly count: number; readonly atOnce: number }
  /** Calls that stay. */
  | { readonly type: 'hold'; readonly count: number; readonly atOnce: number }
  /** An OPTIONS inside each call that stays. */
  | { readonly type: 'keep-alive'; readonly atOnce: number };

export interface LoadReport {
  readonly done: number;
  readonly ms: number;
}

type Work =
  | { readonly kind: 'call' | 'hold'; readonly n: number }
  | { readonly kind: 'keep-alive'; readonly call: Held };

interface Held {
  readonly line: Line;
  readonly n: number;
  readonly tag: string;
  sequence: number;
}

let working: { readonly queue: Work[]; left: number; readonly done: () => void; readonly fail: (why: string) => void };
const held: Held[] = [];

class Line {
  readonly #socket: TLSSocket;
  readonly #calls = new Map<string, { readonly work: Work; readonly held: Held | undefined }>();
  readonly #data: LoadData;
  #text = '';

  constructor(data: LoadData) {
    this.#data = data;
    this.#socket = connect({ host: '127.0.0.1', port: data.port, ca: data.ca });
    this.#socket.setNoDelay(true);
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#read(text));
    this.#socket.on('error', (error) => working?.fail(error.message));
  }

  ready(): Promise<void> {
    return new Promise((resolve) => this.#socket.once('secureConnect', () => resolve()));
  }

  start(work: Work): void {
    if (work.kind === 'keep-alive') {
      const { call } = work;
      this.#calls.set(`c${call.n}`, { work, held: call });
      this.#socket.write(this.#request('OPTIONS', call.n, ++call.sequence, `;tag=${call.tag}`));
      return;
    }
    this.#calls.set(`c${work.n}`, { work, held: undefined });
    const { sdp } = this.#data;
    this.#socket.write(this.#request('INVITE', work.n, 1, '', sdp));
  }

  #request(method: string, n: number, sequence: number, tag: string, body = ''): string {
    const room = `r${Math.floor(n / this.#data.callsPerRoom) % 1_000}`;
    const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
    return (
      `${method} sips:${room}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK${n}-${sequence}${method};rport\r\n` +
      `Max-Forwards: 70\r\nFrom: "Caller ${n}" <sips:caller@127.0.0.1>;tag=f${n}\r\nTo: <sips:${room}@127.0.0.1>${tag}\r\n` +
      `Call-ID: c${n}\r\nCSeq: ${sequence} ${method}\r\nContact: <sips:caller@127.0.0.1:5061>\r\n` +
      `User-Agent: bench\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`
    );
  }

  #read(text: string): void {
    this.#text += text;
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.#text.slice(0, end);
      const length = Number(/\r\nContent-Length: (\d+)/.exec(head)?.[1] ?? 0);
      if (this.#text.length < end + 4 + length) return;
      const body = this.#text.slice(end + 4, end + 4 + length);
      this.#text = this.#text.slice(end + 4 + length);
      this.#response(head, body);
    }
  }

  #response(head: string, body: string): void {
    const status = head.slice(8, 11);
    if (status === '100') return;
    const id = /\r\nCall-ID: (\S+)/.exec(head)?.[1] ?? '';
    const entry = this.#calls.get(id);
    if (entry === undefined) return;
    if (status !== '200') return working.fail(`answered ${head.slice(8).split('\r\n')[0]}`);
    const { work } = entry;
    const method = /\r\nCSeq: \d+ (\S+)/.exec(head)?.[1];
    if (work.kind !== 'keep-alive' && method === 'INVITE') {
      // A port for every line of the offer, or there is no channel.
      const open = (sdp: string): number => sdp.match(/^m=\w+ [1-9]/gm)?.length ?? 0;
      if (open(body) !== open(this.#data.sdp)) return working.fail(`no channels: ${body}`);
      const tag = /\r\nTo: [^\r]*;tag=(\S+)/.exec(head)![1]!;
      this.#socket.write(this.#request('ACK', work.n, 1, `;tag=${tag}`));
      if (work.kind === 'call') {
        this.#socket.write(this.#request('BYE', work.n, 2, `;tag=${tag}`));
        return;
      }
      held.push({ line: this, n: work.n, tag, sequence: 1 });
    }
    this.#calls.delete(id);
    working.left--;
    if (working.left === 0) working.done();
    else next();
  }
}

let lines: Line[] = [];
let turn = 0;
let lastCall = 0;

function next(): void {
  const work = working.queue.pop();
  if (work === undefined) return;
  if (work.kind === 'keep-alive') work.call.line.start(work);
  else lines[turn++ % lines.length]!.start(work);
}

async function carryOut(order: LoadOrder): Promise<LoadReport> {
  const queue: Work[] =
    order.type === 'keep-alive'
      ? held.map((call) => ({ kind: 'keep-alive', call }))
      : Array.from({ length: order.count }, () => ({ kind: order.type === 'hold' ? 'hold' : 'call', n: ++lastCall }));
  const started = performance.now();
  const count = queue.length;
  await new Promise<void>((done, reject) => {
    working = { queue, left: count, done, fail: (why) => reject(new Error(`a call failed: ${why}`)) };
    for (let i = 0; i < order.atOnce; i++) next();
  });
  return { done: count, ms: performance.now() - started };
}

const port = parentPort;
if (port !== null) {
  const data = workerData as LoadData;
  lines = Array.from({ length: data.connections }, () => new Line(data));
  await Promise.all(lines.map((line) => line.ready()));
  port.on('message', (order: LoadOrder) => {
    carryOut(order).then(
      (report) => port.postMessage(report),
      (error: Error) => port.postMessage(error.message),
    );
  });
  port.postMessage({ done: 0, ms: 0 });
}
