/**
 * CRLF keep-alive (RFC 5626 §4.4.1) of a connection that we opened: a ping now and then, a pong soon after, or the connection
 * is dead. Also what keeps a middlebox from forgetting it.
 */
import type { Engine, Tick } from '../base/engine.js';
import { SIP_CRLF_INTERVAL_MS, SIP_CRLF_TIMEOUT_MS } from '../base/limits.js';

/** `heard`: anything at all from the peer, its pong included. */
export type KeepAliveInput = { readonly type: 'opened' | 'heard' | 'closed' } | Tick;
export type KeepAliveOutput = { readonly type: 'ping' | 'dead' };

export class KeepAlive implements Engine<KeepAliveInput, KeepAliveOutput> {
  readonly #random: () => number;
  readonly #outputs: KeepAliveOutput[] = [];
  #pingAt: number | undefined;
  #deadAt: number | undefined;

  /** @param random 0 to 1: pings of many connections spread over 80 to 100 % of the interval (§4.4.1) */
  constructor(random: () => number) {
    this.#random = random;
  }

  receive(input: KeepAliveInput, now: number): void {
    switch (input.type) {
      case 'opened':
      case 'heard':
        this.#deadAt = undefined;
        this.#pingAt = now + SIP_CRLF_INTERVAL_MS * (0.8 + 0.2 * this.#random());
        break;
      case 'closed':
        this.#pingAt = undefined;
        this.#deadAt = undefined;
        break;
      case 'tick':
        if (this.#deadAt !== undefined && this.#deadAt <= now) {
          this.#deadAt = undefined;
          this.#outputs.push({ type: 'dead' });
        } else if (this.#pingAt !== undefined && this.#pingAt <= now) {
          this.#pingAt = undefined;
          this.#deadAt = now + SIP_CRLF_TIMEOUT_MS;
          this.#outputs.push({ type: 'ping' });
        }
    }
  }

  poll(): KeepAliveOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    return this.#deadAt ?? this.#pingAt;
  }
}
