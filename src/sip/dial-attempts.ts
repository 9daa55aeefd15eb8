/**
 * Where a call goes that can go to several servers, and when it may be tried again (RFC 3261 §8.1.3.1 and §21.5.4, RFC 3263
 * §4.3): only a server that did not answer or is overloaded gives way to the next one, of the same peer and then of the next.
 * What one refuses stays refused, and nothing here ever changes the transport or the media that are offered.
 */
import { DIAL_MAX_SEARCH_MS, DIAL_MAX_TRIES_PER_SERVER, DIAL_MAX_WAIT_MS } from '../base/limits.js';

/** `unreachable`: no connection, or it broke before a final answer. */
export type DialFailure = { readonly status: number | 'unreachable'; readonly retryAfterSeconds?: number };

export type DialStep =
  /** Which servers this peer has is to be found out; {@link DialAttempts.located} is told. */
  | { readonly type: 'locate'; readonly peer: number }
  /** Servers have numbers in the order in which they were told, from 0. */
  | { readonly type: 'try'; readonly server: number }
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'over' };

interface Server {
  tries: number;
  /** Unix ms before which it wants no more of our requests; infinity: for this call it is out. */
  notBefore: number;
}

export class DialAttempts {
  readonly #peers: number;
  readonly #servers: Server[] = [];
  readonly #startedAt: number;
  #nextPeer = 0;
  #final = false;

  constructor(peers: number, now: number) {
    this.#peers = peers;
    this.#startedAt = now;
  }

  /** What to do now; a server that it gives has been tried. */
  next(now: number): DialStep {
    if (this.#final || now - this.#startedAt >= DIAL_MAX_SEARCH_MS) return { type: 'over' };
    const usable = this.#servers.filter((s) => s.tries < DIAL_MAX_TRIES_PER_SERVER);
    const ready = usable.filter((s) => s.notBefore <= now).sort((a, b) => a.tries - b.tries)[0];
    if ((ready === undefined || ready.tries > 0) && this.#nextPeer < this.#peers) {
      return { type: 'locate', peer: this.#nextPeer++ };
    }
    if (ready !== undefined) {
      ready.tries++;
      return { type: 'try', server: this.#servers.indexOf(ready) };
    }
    const untilMs = Math.min(...usable.map((s) => s.notBefore));
    return untilMs - this.#startedAt <= DIAL_MAX_WAIT_MS ? { type: 'wait', untilMs } : { type: 'over' };
  }

  /** The peer of the last `locate` has so many servers, the best first. */
  located(servers: number, now: number): void {
    for (let i = 0; i < servers; i++) this.#servers.push({ tries: 0, notBefore: now });
  }

  /** How the try at this server ended. */
  failed(server: number, { status, retryAfterSeconds }: DialFailure, now: number): void {
    const entry = this.#servers[server]!;
    if (status !== 'unreachable' && status !== 408 && status !== 503) {
      this.#final = true;
      return;
    }
    const wait = status === 503 ? retryAfterSeconds : undefined;
    entry.notBefore = wait === undefined ? Number.POSITIVE_INFINITY : now + wait * 1_000;
  }
}
