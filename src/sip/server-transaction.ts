/**
 * Server transactions (RFC 3261 §17.2, with RFC 6026's state `accepted`). `reliable` switches off timer G and makes I and J
 * zero.
 */
import type { Engine, Tick } from '../base/engine.js';
import { SIP_T1_MS, SIP_T2_MS, SIP_T4_MS } from '../base/limits.js';

export type ServerInput =
  /** The request came again. */
  | { readonly type: 'request' }
  /** An ACK that matched this INVITE transaction. */
  | { readonly type: 'ack' }
  | { readonly type: 'respond'; readonly status: number; readonly bytes: Uint8Array }
  | Tick;

export type ServerOutput =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** Nobody acknowledged our refusal of an INVITE (timer H). */
  | { readonly type: 'timeout' };

export type ServerState = 'trying' | 'proceeding' | 'completed' | 'confirmed' | 'accepted' | 'terminated';

export interface ServerTransaction extends Engine<ServerInput, ServerOutput> {
  readonly state: ServerState;
}

const TIMEOUT_MS = 64 * SIP_T1_MS;

/** RFC 3261 §17.2.1. Its user retransmits a 2xx itself and sends the 100 at once. */
export class InviteServerTransaction implements ServerTransaction {
  readonly #reliable: boolean;
  #state: ServerState = 'proceeding';
  #last: Uint8Array | undefined;
  #outputs: ServerOutput[] = [];
  /** Timer G. */
  #resendAt: number | undefined;
  #interval = SIP_T1_MS;
  /** Timer H, I or L. */
  #expireAt: number | undefined;

  constructor(reliable: boolean) {
    this.#reliable = reliable;
  }

  get state(): ServerState {
    return this.#state;
  }

  receive(input: ServerInput, now: number): void {
    switch (input.type) {
      case 'request':
        if (this.#state === 'proceeding' || this.#state === 'completed') this.#send(this.#last);
        return;
      case 'ack':
        if (this.#state !== 'completed') return;
        this.#resendAt = undefined;
        this.#state = this.#reliable ? 'terminated' : 'confirmed';
        this.#expireAt = this.#reliable ? undefined : now + SIP_T4_MS;
        return;
      case 'respond':
        this.#respond(input.status, input.bytes, now);
        return;
      case 'tick':
        this.#tick(now);
    }
  }

  #respond(status: number, bytes: Uint8Array, now: number): void {
    const twoHundred = status >= 200 && status < 300;
    if (this.#state === 'accepted' && twoHundred) this.#send(bytes);
    if (this.#state !== 'proceeding') return;
    // §17.2.1: a request comes again on an unreliable transport only; elsewhere a refusal need not be kept for it.
    this.#last = this.#reliable && status >= 200 ? undefined : bytes;
    this.#send(bytes);
    if (status < 200) return;
    this.#state = twoHundred ? 'accepted' : 'completed';
    this.#expireAt = now + TIMEOUT_MS;
    if (!twoHundred && !this.#reliable) this.#resendAt = now + this.#interval;
  }

  #tick(now: number): void {
    if (this.#expireAt !== undefined && now >= this.#expireAt) {
      if (this.#state === 'completed') this.#outputs.push({ type: 'timeout' });
      this.#state = 'terminated';
      this.#expireAt = undefined;
      this.#resendAt = undefined;
    } else if (this.#resendAt !== undefined && now >= this.#resendAt) {
      this.#send(this.#last);
      this.#interval = Math.min(this.#interval * 2, SIP_T2_MS);
      this.#resendAt = now + this.#interval;
    }
  }

  #send(bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) this.#outputs.push({ type: 'send', bytes });
  }

  poll(): ServerOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    if (this.#resendAt === undefined || this.#expireAt === undefined) return this.#resendAt ?? this.#expireAt;
    return Math.min(this.#resendAt, this.#expireAt);
  }
}

/** RFC 3261 §17.2.2. */
export class NonInviteServerTransaction implements ServerTransaction {
  readonly #reliable: boolean;
  #state: ServerState = 'trying';
  #last: Uint8Array | undefined;
  #outputs: ServerOutput[] = [];
  /** Timer J. */
  #expireAt: number | undefined;

  constructor(reliable: boolean) {
    this.#reliable = reliable;
  }

  get state(): ServerState {
    return this.#state;
  }

  receive(input: ServerInput, now: number): void {
    if (input.type === 'request') {
      if (this.#state === 'proceeding' || this.#state === 'completed') {
        this.#outputs.push({ type: 'send', bytes: this.#last! });
      }
    } else if (input.type === 'respond') {
      if (this.#state !== 'trying' && this.#state !== 'proceeding') return;
      this.#last = input.bytes;
      this.#outputs.push({ type: 'send', bytes: input.bytes });
      if (input.status < 200) {
        this.#state = 'proceeding';
      } else {
        this.#state = this.#reliable ? 'terminated' : 'completed';
        this.#expireAt = this.#reliable ? undefined : now + TIMEOUT_MS;
      }
    } else if (input.type === 'tick' && this.#expireAt !== undefined && now >= this.#expireAt) {
      this.#state = 'terminated';
      this.#expireAt = undefined;
    }
  }

  poll(): ServerOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    return this.#expireAt;
  }
}
