/**
 * Client transactions (RFC 3261 §17.1, with RFC 6026's state `accepted`). `reliable` switches off the timers that UDP needs
 * (A, E) and makes D and K zero.
 */
import type { Engine, Tick } from '../base/engine.js';
import { SIP_T1_MS, SIP_T2_MS, SIP_T4_MS } from '../base/limits.js';
import type { SipResponse } from '../wire/sip-types.js';

export type ClientInput =
  | { readonly type: 'start' }
  | { readonly type: 'response'; readonly response: SipResponse }
  /** Nobody waits for the final response any more; one that never comes must not keep it for ever. */
  | { readonly type: 'abandon' }
  | Tick;

export type ClientOutput =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** For the transaction's user; retransmitted finals are not given twice, except 2xx to INVITE (RFC 6026 §7.2). */
  | { readonly type: 'response'; readonly response: SipResponse }
  | { readonly type: 'timeout' };

export type ClientState = 'new' | 'calling' | 'trying' | 'proceeding' | 'completed' | 'accepted' | 'terminated';

export interface ClientTransaction extends Engine<ClientInput, ClientOutput> {
  readonly state: ClientState;
}

/** RFC 3261 §17.1.1.2: at least 32 s on unreliable transports. */
const TIMER_D_MS = 32_000;
const TIMEOUT_MS = 64 * SIP_T1_MS;

abstract class Client implements ClientTransaction {
  protected readonly bytes: Uint8Array;
  protected readonly reliable: boolean;
  protected outputs: ClientOutput[] = [];
  /** Timer A or E. */
  protected resendAt: number | undefined;
  protected interval = SIP_T1_MS;
  /** Timer B or F, then D, K or M: never two at once. */
  protected expireAt: number | undefined;
  #state: ClientState = 'new';

  constructor(bytes: Uint8Array, reliable: boolean) {
    this.bytes = bytes;
    this.reliable = reliable;
  }

  get state(): ClientState {
    return this.#state;
  }

  receive(input: ClientInput, now: number): void {
    if (input.type === 'start') {
      if (this.state !== 'new') return;
      this.outputs.push({ type: 'send', bytes: this.bytes });
      this.resendAt = this.reliable ? undefined : now + this.interval;
      this.enter(this.firstState, now + TIMEOUT_MS);
    } else if (input.type === 'response') {
      if (this.state !== 'new' && this.state !== 'terminated') this.onResponse(input.response, now);
    } else if (input.type === 'abandon') {
      if (this.state === 'proceeding') this.expireAt ??= now + TIMEOUT_MS;
    } else {
      this.#onTick(now);
    }
  }

  poll(): ClientOutput | undefined {
    return this.outputs.shift();
  }

  deadline(): number | undefined {
    if (this.resendAt === undefined || this.expireAt === undefined) return this.resendAt ?? this.expireAt;
    return Math.min(this.resendAt, this.expireAt);
  }

  protected abstract readonly firstState: 'calling' | 'trying';
  protected abstract onResponse(response: SipResponse, now: number): void;
  protected abstract nextInterval(): number;

  /** @param expireAt undefined: no timer ends this state; not after `now`: the state is left at once. */
  protected enter(state: ClientState, expireAt: number | undefined): void {
    this.#state = state;
    this.expireAt = expireAt;
    if (state !== this.firstState && !(state === 'proceeding' && this.firstState === 'trying'))
      this.resendAt = undefined;
  }

  protected give(response: SipResponse): void {
    this.outputs.push({ type: 'response', response });
  }

  #onTick(now: number): void {
    if (this.expireAt !== undefined && now >= this.expireAt) {
      const waitingForFinal = this.state === 'calling' || this.state === 'trying' || this.state === 'proceeding';
      this.resendAt = undefined;
      this.enter('terminated', undefined);
      if (waitingForFinal) this.outputs.push({ type: 'timeout' });
    } else if (this.resendAt !== undefined && now >= this.resendAt) {
      this.outputs.push({ type: 'send', bytes: this.bytes });
      this.interval = this.nextInterval();
      this.resendAt = now + this.interval;
    }
  }
}

/** RFC 3261 §17.1.1. After the first provisional response no timer runs: who waits too long sends CANCEL. */
export class InviteClientTransaction extends Client {
  protected readonly firstState = 'calling';
  readonly #ack: (response: SipResponse) => Uint8Array;

  /** @param ack writes the ACK to a response of 300 and more (§17.1.1.3). */
  constructor(bytes: Uint8Array, reliable: boolean, ack: (response: SipResponse) => Uint8Array) {
    super(bytes, reliable);
    this.#ack = ack;
  }

  protected onResponse(response: SipResponse, now: number): void {
    const { status } = response;
    if (this.state === 'calling' || this.state === 'proceeding') {
      if (status < 200) {
        this.enter('proceeding', this.state === 'proceeding' ? this.expireAt : undefined);
      } else if (status < 300) {
        this.enter('accepted', now + TIMEOUT_MS); // timer M
      } else {
        this.outputs.push({ type: 'send', bytes: this.#ack(response) });
        if (this.reliable) this.enter('terminated', undefined);
        else this.enter('completed', now + TIMER_D_MS);
      }
      this.give(response);
    } else if (this.state === 'completed' && status >= 300) {
      this.outputs.push({ type: 'send', bytes: this.#ack(response) });
    } else if (this.state === 'accepted' && status >= 200 && status < 300) {
      this.give(response);
    }
  }

  protected nextInterval(): number {
    return this.interval * 2;
  }
}

/** RFC 3261 §17.1.2. */
export class NonInviteClientTransaction extends Client {
  protected readonly firstState = 'trying';

  protected onResponse(response: SipResponse, now: number): void {
    if (this.state !== 'trying' && this.state !== 'proceeding') return;
    if (response.status < 200) {
      this.enter('proceeding', this.expireAt);
      this.interval = SIP_T2_MS; // §17.1.2.2: in proceeding, E is T2
    } else if (this.reliable) {
      this.enter('terminated', undefined);
    } else {
      this.enter('completed', now + SIP_T4_MS);
    }
    this.give(response);
  }

  protected nextInterval(): number {
    return this.state === 'proceeding' ? SIP_T2_MS : Math.min(this.interval * 2, SIP_T2_MS);
  }
}
