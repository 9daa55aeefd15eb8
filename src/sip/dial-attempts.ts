/**
 * Where a call goes that can go to several peers, and when it may be tried again (RFC 3261 §8.1.3.1 and §21.5.4, RFC 3263
 * §4.3): only a peer that did not answer or is overloaded gives way to the next one. What a peer refuses stays refused, and
 * nothing here ever changes the transport or the media that are offered.
 */
import { DIAL_MAX_TRIES_PER_PEER, DIAL_MAX_WAIT_MS } from '../base/limits.js';

/** `unreachable`: no connection, or it broke before a final answer. */
export type DialFailure = { readonly status: number | 'unreachable'; readonly retryAfterSeconds?: number };

export type DialStep =
  | { readonly type: 'try'; readonly peer: number }
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'over' };

interface Peer {
  tries: number;
  /** Unix ms before which it wants no more of our requests; infinity: for this call it is out. */
  notBefore: number;
}

export class DialAttempts {
  readonly #peers: readonly Peer[];
  readonly #startedAt: number;
  #final = false;

  constructor(peers: number, now: number) {
    this.#peers = Array.from({ length: peers }, () => ({ tries: 0, notBefore: now }));
    this.#startedAt = now;
  }

  /** What to do now; a peer that it gives has been tried. */
  next(now: number): DialStep {
    if (this.#final) return { type: 'over' };
    const usable = this.#peers.filter((p) => p.tries < DIAL_MAX_TRIES_PER_PEER);
    const ready = usable.filter((p) => p.notBefore <= now).sort((a, b) => a.tries - b.tries)[0];
    if (ready !== undefined) {
      ready.tries++;
      return { type: 'try', peer: this.#peers.indexOf(ready) };
    }
    const untilMs = Math.min(...usable.map((p) => p.notBefore));
    return untilMs - this.#startedAt <= DIAL_MAX_WAIT_MS ? { type: 'wait', untilMs } : { type: 'over' };
  }

  /** How the try at this peer ended. */
  failed(peer: number, { status, retryAfterSeconds }: DialFailure, now: number): void {
    const entry = this.#peers[peer]!;
    if (status !== 'unreachable' && status !== 408 && status !== 503) {
      this.#final = true;
      return;
    }
    const wait = status === 503 ? retryAfterSeconds : undefined;
    entry.notBefore = wait === undefined ? Number.POSITIVE_INFINITY : now + wait * 1_000;
  }
}
