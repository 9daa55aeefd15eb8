/**
 * The callers of the SIP bench, in a thread of their own so that only the switch's work is in the switch's thread: TLS
 * connections on which texts with holes are filled in. They check what comes back: every call is answered 200, every BYE too.
 * Calls that stay have session timers (RFC 4028) of the shortest interval that is allowed: of each four, two are refreshed
 * from here and two by the switch, one each by UPDATE and one by re-INVITE.
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
  /** A refresh of each call that stays and is ours to refresh. */
  | { readonly type: 'refresh'; readonly atOnce: number }
  /** Nothing but refreshes, until the switch has sent so many in each call that is its to refresh. */
  | { readonly type: 'idle'; readonly refreshes: number };

export interface LoadReport {
  readonly done: number;
  readonly ms: number;
}

/** What we ask for in calls that stay, and the time after which a refresh is due (RFC 4028 §7.2). */
export const SESSION_SECONDS = 90;
const REFRESH_AFTER_MS = (SESSION_SECONDS * 1_000) / 2;
/** A switch that has not refreshed by then does not. */
const IDLE_LIMIT_MS = 2 * SESSION_SECONDS * 1_000;

type Work = { readonly kind: 'call' | 'hold'; readonly n: number } | { readonly kind: 'refresh'; readonly call: Held };

interface Held {
  readonly line: Line;
  readonly n: number;
  readonly tag: string;
  sequence: number;
  /** By the switch. */
  refreshes: number;
}
const oursToRefresh = (n: number): boolean => n % 2 === 0;
const byUpdate = (n: number): boolean => n % 4 < 2;

let working: { readonly queue: Work[]; left: number; readonly done: () => void; readonly fail: (why: string) => void };
const held = new Map<string, Held>();
/** Calls that stayed and were ended by the switch. */
let lost = 0;
let onRefreshed = (): void => undefined;

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
    const { sdp } = this.#data;
    if (work.kind === 'refresh') {
      const { call } = work;
      this.#calls.set(`c${call.n}`, { work, held: call });
      const method = byUpdate(call.n) ? 'UPDATE' : 'INVITE';
      const body = method === 'INVITE' ? sdp : '';
      this.#socket.write(this.#request(method, call.n, ++call.sequence, `;tag=${call.tag}`, body, timer('uac')));
      return;
    }
    this.#calls.set(`c${work.n}`, { work, held: undefined });
    const asked = work.kind === 'call' ? '' : timer(oursToRefresh(work.n) ? 'uac' : 'uas');
    const allow = work.kind === 'hold' && !byUpdate(work.n) ? 'Allow: INVITE, ACK, BYE, CANCEL\r\n' : '';
    this.#socket.write(this.#request('INVITE', work.n, 1, '', sdp, asked + (allow || ALLOW)));
  }

  #request(method: string, n: number, sequence: number, tag: string, body = '', more = ''): string {
    const room = `r${Math.floor(n / this.#data.callsPerRoom) % 1_000}`;
    const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
    return (
      `${method} sips:${room}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK${n}-${sequence}${method};rport\r\n` +
      `Max-Forwards: 70\r\nFrom: "Caller ${n}" <sips:caller@127.0.0.1>;tag=f${n}\r\nTo: <sips:${room}@127.0.0.1>${tag}\r\n` +
      `Call-ID: c${n}\r\nCSeq: ${sequence} ${method}\r\nContact: <sips:caller@127.0.0.1:5061>\r\n` +
      `User-Agent: bench\r\n${more}${type}Content-Length: ${body.length}\r\n\r\n${body}`
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
      if (head.startsWith('SIP/2.0 ')) this.#response(head, body);
      else this.#asked(head, body);
    }
  }

  /** The switch refreshes, or gives the call up. */
  #asked(head: string, body: string): void {
    const method = head.slice(0, head.indexOf(' '));
    if (method === 'ACK') return;
    const id = /\r\nCall-ID: (\S+)/.exec(head)?.[1] ?? '';
    const call = held.get(id);
    const copied = head.match(/^(Via|From|To|Call-ID|CSeq): .*$/gm)!.map((line) => line.trim());
    const answer = body === '' ? '' : this.#data.sdp;
    const type = answer === '' ? '' : 'Content-Type: application/sdp\r\n';
    const more = method === 'BYE' ? '' : `${timer('uac')}Contact: <sips:caller@127.0.0.1:5061>\r\n${type}`;
    this.#socket.write(
      `SIP/2.0 200 OK\r\n${copied.join('\r\n')}\r\n${more}Content-Length: ${answer.length}\r\n\r\n${answer}`,
    );
    if (method === 'BYE') lost++;
    else if (call !== undefined) call.refreshes++;
    onRefreshed();
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
    if (work.kind === 'refresh' && method === 'INVITE') {
      const { n, sequence, tag } = work.call;
      this.#socket.write(this.#request('ACK', n, sequence, `;tag=${tag}`));
    } else if (work.kind !== 'refresh' && method === 'INVITE') {
      // A port for every line of the offer, or there is no channel.
      const open = (sdp: string): number => sdp.match(/^m=\w+ [1-9]/gm)?.length ?? 0;
      if (open(body) !== open(this.#data.sdp)) return working.fail(`no channels: ${body}`);
      const tag = /\r\nTo: [^\r]*;tag=(\S+)/.exec(head)![1]!;
      this.#socket.write(this.#request('ACK', work.n, 1, `;tag=${tag}`));
      if (work.kind === 'call') {
        this.#socket.write(this.#request('BYE', work.n, 2, `;tag=${tag}`));
        return;
      }
      held.set(id, { line: this, n: work.n, tag, sequence: 1, refreshes: 0 });
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
  if (work.kind === 'refresh') work.call.line.start(work);
  else lines[turn++ % lines.length]!.start(work);
}

const ALLOW = 'Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n';
function timer(refresher: 'uac' | 'uas'): string {
  return `Supported: timer\r\nSession-Expires: ${SESSION_SECONDS};refresher=${refresher}\r\n`;
}

/** Gives the number of calls that stood it. */
async function idle(refreshes: number): Promise<LoadReport> {
  const started = performance.now();
  const theirs = [...held.values()].filter(({ n }) => !oursToRefresh(n));
  const done = new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('the switch did not refresh')), IDLE_LIMIT_MS);
    onRefreshed = () => {
      if (!theirs.every((call) => call.refreshes >= refreshes)) return;
      clearTimeout(limit);
      resolve();
    };
    onRefreshed();
  });
  const ours = setInterval(() => {
    carryOut({ type: 'refresh', atOnce: 16 }).catch((error: Error) => port?.postMessage(error.message));
  }, REFRESH_AFTER_MS);
  await done.finally(() => clearInterval(ours));
  return { done: held.size - lost, ms: performance.now() - started };
}

async function carryOut(order: LoadOrder): Promise<LoadReport> {
  if (order.type === 'idle') return idle(order.refreshes);
  const queue: Work[] =
    order.type === 'refresh'
      ? [...held.values()].filter(({ n }) => oursToRefresh(n)).map((call) => ({ kind: 'refresh', call }))
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
