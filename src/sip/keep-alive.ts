/**
 * CRLF keep-alive (RFC 5626 §4.4.1) of a connection that we opened: a ping now and then, a pong soon after, or the connection
 * is dead. Also what keeps a middlebox from forgetting it.
 */
import type { Engine, Tick } from '../base/engine.js';
import { SIP_CRLF_INTERVAL_MS, SIP_CRLF_TIMEOUT_MS } from '../base/limits.js';

/** `heard`: anything at all from the peer. `pong`: what answers a ping of ours, which is no message. */
export type KeepAliveInput = { readonly type: 'opened' | 'heard' | 'pong' | 'closed' } | Tick;
export type KeepAliveOutput = { readonly type: 'ping' | 'dead' };

export interface KeepAliveOptions {
  /** 0 to 1: pings of many connections spread over 80 to 100 % of the interval (§4.4.1). */
  readonly random: () => number;
  /**
   * The peer is known to answer pings. Default: it is once it has: one from before RFC 5626 takes a ping for empty lines and
   * says nothing, and is as alive as any.
   */
  readonly answers?: boolean;
  /** Defaults: SIP_CRLF_INTERVAL_MS, SIP_CRLF_TIMEOUT_MS. */
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
}

export class KeepAlive implements Engine<KeepAliveInput, KeepAliveOutput> {
  readonly #options: KeepAliveOptions;
  readonly #outputs: KeepAliveOutput[] = [];
  #answers: boolean;
  #pingAt: number | undefined;
  #deadAt: number | undefined;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
    this.#answers = options.answers ?? false;
  }

  receive(input: KeepAliveInput, now: number): void {
    switch (input.type) {
      case 'pong':
        this.#answers = true;
        this.#wait(now);
        break;
      case 'opened':
      case 'heard':
        this.#wait(now);
        break;
      case 'closed':
        this.#pingAt = undefined;
        this.#deadAt = undefined;
        break;
      case 'tick':
        if (this.#deadAt !== undefined && this.#deadAt <= now) {
          if (this.#answers) {
            this.#deadAt = undefined;
            this.#outputs.push({ type: 'dead' });
          } else this.#wait(now);
        } else if (this.#pingAt !== undefined && this.#pingAt <= now) {
          this.#pingAt = undefined;
          this.#deadAt = now + (this.#options.timeoutMs ?? SIP_CRLF_TIMEOUT_MS);
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

  #wait(now: number): void {
    const { intervalMs = SIP_CRLF_INTERVAL_MS, random } = this.#options;
    this.#deadAt = undefined;
    this.#pingAt = now + intervalMs * (0.8 + 0.2 * random());
  }
}
