/** Two user agents on a line of the test's making: streams that are cut anywhere, datagrams that are lost, doubled, late. */
import type { SipCommand, SipTransport, UserAgentOutput } from '../../../src/sip/contract.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { parseSipMessage } from '../../../src/wire/sip-message.js';
import { counter, drain, text } from './support.js';

export type Name = 'ann' | 'switch';
export const NAMES: readonly Name[] = ['ann', 'switch'];
const other = (name: Name): Name => (name === 'ann' ? 'switch' : 'ann');

export type SaidEvent = Exclude<UserAgentOutput, { type: 'send' | 'close' }>;

export interface LineOptions {
  readonly transport: SipTransport;
  /** What becomes of the n-th message of all: delays in ms at which it arrives; empty: lost. Default: at once. */
  readonly fate?: (n: number) => readonly number[];
  /** Pieces of a stream's message. Default: one. */
  readonly cut?: (bytes: Uint8Array) => readonly Uint8Array[];
  /** For each message as it is sent. */
  readonly onSent?: (from: Name, bytes: Uint8Array) => void;
}

export class Line {
  readonly ua: Record<Name, UserAgent>;
  readonly said: Record<Name, SaidEvent[]> = { ann: [], switch: [] };
  now = 1_000_000;
  /** Messages sent so far. */
  sent = 0;
  readonly #options: LineOptions;
  readonly #framers: Record<Name, StreamFramer> = { ann: new StreamFramer(), switch: new StreamFramer() };
  #flying: { readonly at: number; readonly to: Name; readonly bytes: Uint8Array }[] = [];

  constructor(options: LineOptions) {
    this.#options = options;
    this.ua = {
      ann: new UserAgent({ random: counter('a'), host: 'ann.example' }),
      switch: new UserAgent({ random: counter('s'), host: 'switch.example' }),
    };
    const [ann, us] = [
      { address: '192.0.2.7', port: 5_070 },
      { address: '192.0.2.100', port: 5_061 },
    ];
    const { transport } = options;
    this.ua.ann.receive({ type: 'connected', connection: 1, remote: us, local: ann, transport }, this.now);
    this.ua.switch.receive({ type: 'connected', connection: 1, remote: ann, local: us, transport }, this.now);
  }

  command(name: Name, command: SipCommand): void {
    this.ua[name].receive(command, this.now);
    this.#collect(name);
    this.#deliver();
  }

  /** Bytes from nowhere, as if the peer had sent them. */
  inject(to: Name, bytes: Uint8Array): void {
    this.#arrive(to, bytes);
    this.#deliver();
  }

  /** To the next thing that happens; false when nothing will. */
  step(limit = Number.POSITIVE_INFINITY): boolean {
    const waits = [
      ...this.#flying.map((f) => f.at),
      ...NAMES.map((n) => this.ua[n].deadline() ?? Number.POSITIVE_INFINITY),
    ];
    const next = Math.min(...waits);
    if (next > limit || next === Number.POSITIVE_INFINITY) return false;
    this.now = Math.max(this.now, next);
    for (const name of NAMES) {
      if ((this.ua[name].deadline() ?? Number.POSITIVE_INFINITY) > this.now) continue;
      this.ua[name].receive({ type: 'tick' }, this.now);
      this.#collect(name);
    }
    this.#deliver();
    return true;
  }

  advance(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.step(end));
    this.now = end;
  }

  /** Runs the clock until this was said; throws after a minute of it. */
  until(name: Name, type: SaidEvent['type']): void {
    const limit = this.now + 60_000;
    while (!this.said[name].some((e) => e.type === type)) {
      if (!this.step(limit)) throw new Error(`${name} never said ${type}, but ${JSON.stringify(this.said)}`);
    }
  }

  #deliver(): void {
    for (;;) {
      const due = this.#flying.findIndex((f) => f.at <= this.now);
      if (due < 0) return;
      const [message] = this.#flying.splice(due, 1);
      this.#arrive(message!.to, message!.bytes);
    }
  }

  #arrive(to: Name, bytes: Uint8Array): void {
    if (this.#options.transport === 'udp') {
      const result = parseSipMessage(bytes);
      const { ok, ...refused } = result.ok ? { ok: true } : result;
      if (result.ok) this.ua[to].receive({ type: 'message', connection: 1, message: result.value }, this.now);
      else if (!ok) this.ua[to].receive({ type: 'refused', connection: 1, ...(refused as typeof result) }, this.now);
    } else {
      for (const event of this.#framers[to].feed(bytes)) {
        if (event.type !== 'message') throw new Error(`not a message: ${event.type}\n${text(bytes)}`);
        this.ua[to].receive({ type: 'message', connection: 1, message: event.message }, this.now);
      }
    }
    this.#collect(to);
  }

  #collect(from: Name): void {
    for (const out of drain(this.ua[from])) {
      if (out.type === 'send') this.#send(from, out.bytes);
      else if (out.type !== 'close') this.said[from].push(out);
    }
  }

  #send(from: Name, bytes: Uint8Array): void {
    this.#options.onSent?.(from, bytes);
    const delays = this.#options.fate?.(this.sent) ?? [0];
    this.sent++;
    const pieces = this.#options.cut?.(bytes) ?? [bytes];
    for (const delay of delays) {
      for (const piece of pieces) this.#flying.push({ at: this.now + delay, to: other(from), bytes: piece });
    }
  }
}
