/**
 * rtpengine (sipwise) beside the relay, where it is installed: a publisher a source, a subscriber a receiver, forwarded in
 * user space. Driven over its "ng" protocol: bencoded dictionaries in UDP datagrams, each behind a cookie.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const ADDRESS = '127.0.0.1';
const PORTS = { min: 33_000, max: 60_000 } as const;
const START_MS = 10_000;
const ANSWER_MS = 2_000;
const STOP_MS = 5_000;
/** A codec that it knows by number; it does not look into the payload. */
export const RTPENGINE_PAYLOAD_TYPE = 0;
/** SRTP's tag: a copy is longer than what came by so much. */
export const RTPENGINE_ADDED_BYTES = 10;
/** Of its copies here. */
export const RTPENGINE_SUITE = 'AES_CM_128_HMAC_SHA1_80';
const SRTP_MASTER_BYTES = 30;

export type Bencoded = string | number | readonly Bencoded[] | { readonly [key: string]: Bencoded };

export function bencode(value: Bencoded): string {
  if (typeof value === 'number') return `i${value}e`;
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  if (Array.isArray(value)) return `l${value.map(bencode).join('')}e`;
  const entries = Object.entries(value as { readonly [key: string]: Bencoded }).sort(([a], [b]) => (a < b ? -1 : 1));
  return `d${entries.map(([key, one]) => bencode(key) + bencode(one)).join('')}e`;
}

/** The first value of `text`, of single-byte characters; undefined: it is none. */
export function bdecode(text: string): Bencoded | undefined {
  let at = 0;
  const until = (end: string): string | undefined => {
    const found = text.indexOf(end, at);
    if (found < 0) return undefined;
    const part = text.slice(at, found);
    at = found + 1;
    return part;
  };
  const value = (): Bencoded | undefined => {
    const kind = text[at];
    if (kind === 'i') {
      at++;
      const digits = until('e');
      return digits === undefined ? undefined : Number(digits);
    }
    if (kind === 'l' || kind === 'd') {
      at++;
      const items: Bencoded[] = [];
      while (text[at] !== 'e') {
        const item = value();
        if (item === undefined) return undefined;
        items.push(item);
      }
      at++;
      if (kind === 'l') return items;
      if (items.length % 2 !== 0) return undefined;
      return Object.fromEntries(
        Array.from({ length: items.length / 2 }, (_, i) => [String(items[2 * i]), items[2 * i + 1]!]),
      );
    }
    const length = Number(until(':'));
    if (!Number.isInteger(length) || length < 0 || at + length > text.length) return undefined;
    at += length;
    return text.slice(at - length, at);
  };
  return value();
}

/** Undefined: it is not installed. */
export function rtpenginePath(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'rtpengine'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false; // not there: the next folder
      }
    });
}

const sdp = (port: number, profile: string, ...lines: string[]): string =>
  [
    'v=0',
    `o=- 1 1 IN IP4 ${ADDRESS}`,
    's=-',
    't=0 0',
    `m=audio ${port} ${profile} ${RTPENGINE_PAYLOAD_TYPE}`,
    `c=IN IP4 ${ADDRESS}`,
    `a=rtpmap:${RTPENGINE_PAYLOAD_TYPE} PCMU/8000`,
    'a=rtcp-mux',
    ...lines,
    '',
  ].join('\r\n');

function bound(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, ADDRESS, () => resolve(socket));
  });
}

export class RtpEngine {
  /** Where the packets of each source go. */
  readonly ports: number[] = [];
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #control: number;
  #cookie = 0;
  #call = 0;

  private constructor(path: string, socket: Socket, control: number) {
    this.#socket = socket;
    this.#control = control;
    const options = {
      'config-file': 'none',
      'log-level': 3,
      table: -1,
      interface: ADDRESS,
      'listen-ng': `${ADDRESS}:${control}`,
      'port-min': PORTS.min,
      'port-max': PORTS.max,
      'num-threads': 1,
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn(path, [...args, '--foreground', '--log-stderr'], { stdio: 'ignore' });
  }

  /** One that forwards what each source sends to all receivers. Throws when it does not start or refuses. */
  static async start(path: string, sources: readonly number[], receivers: readonly number[]): Promise<RtpEngine> {
    const probe = await bound();
    const { port } = probe.address();
    await new Promise<void>((resolve) => probe.close(() => resolve()));
    const engine = new RtpEngine(path, await bound(), port);
    try {
      const deadline = performance.now() + START_MS;
      while ((await engine.#ask({ command: 'ping' }, 200)) === undefined) {
        if (performance.now() > deadline) throw new Error('rtpengine does not answer');
      }
      for (const source of sources) await engine.#publish(source, receivers);
      return engine;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** CPU time of all its threads. */
  cpuNs(): number {
    const tasks = `/proc/${this.#child.pid}/task`;
    return readdirSync(tasks)
      .map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]))
      .reduce((sum, ns) => sum + ns, 0);
  }

  async idleNsPerMs(ms: number): Promise<number> {
    const [began, before] = [performance.now(), this.cpuNs()];
    await pause(ms);
    return (this.cpuNs() - before) / (performance.now() - began);
  }

  async close(): Promise<void> {
    this.#socket.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const forced = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(forced);
  }

  async #publish(source: number, receivers: readonly number[]): Promise<void> {
    const call = { 'call-id': `bench${++this.#call}`, 'from-tag': 'source', ICE: 'remove' };
    const published = await this.#demand({ command: 'publish', ...call, sdp: sdp(source, 'RTP/AVP', 'a=sendonly') });
    const port = /^m=audio (\d+)/m.exec(String(published.sdp))?.[1];
    if (port === undefined) throw new Error('rtpengine names no port');
    this.ports.push(Number(port));
    for (const receiver of receivers) {
      const offer = { command: 'subscribe request', ...call, 'transport-protocol': 'RTP/SAVP' };
      const offered = await this.#demand({ ...offer, DTLS: 'off', 'rtcp-mux': ['offer'] });
      const tag = new RegExp(`^a=crypto:(\\d+) ${RTPENGINE_SUITE} `, 'm').exec(String(offered.sdp))?.[1];
      if (tag === undefined) throw new Error('rtpengine offers no SRTP');
      const key = randomBytes(SRTP_MASTER_BYTES).toString('base64');
      const crypto = `a=crypto:${tag} ${RTPENGINE_SUITE} inline:${key}`;
      const answer = sdp(receiver, 'RTP/SAVP', 'a=recvonly', crypto);
      const to = { 'call-id': call['call-id'], 'to-tag': String(offered['to-tag']) };
      await this.#demand({ command: 'subscribe answer', ...to, sdp: answer });
    }
  }

  async #demand(message: { readonly [key: string]: Bencoded }): Promise<{ readonly [key: string]: Bencoded }> {
    const answer = await this.#ask(message, ANSWER_MS);
    if (typeof answer !== 'object' || Array.isArray(answer))
      throw new Error(`rtpengine: no answer to ${message.command}`);
    const read = answer as { readonly [key: string]: Bencoded };
    if (read.result !== 'ok') throw new Error(`rtpengine refused ${message.command}: ${read['error-reason']}`);
    return read;
  }

  /** Undefined: no answer in time. */
  #ask(message: Bencoded, ms: number): Promise<Bencoded | undefined> {
    const cookie = `c${++this.#cookie}`;
    return new Promise((resolve) => {
      const finish = (answer: Bencoded | undefined): void => {
        clearTimeout(timer);
        this.#socket.off('message', listen);
        resolve(answer);
      };
      const listen = (datagram: Buffer): void => {
        const text = datagram.toString('latin1');
        if (text.startsWith(`${cookie} `)) finish(bdecode(text.slice(cookie.length + 1)));
      };
      const timer = setTimeout(() => finish(undefined), ms);
      this.#socket.on('message', listen);
      this.#socket.send(`${cookie} ${bencode(message)}`, this.#control, ADDRESS);
    });
  }
}
