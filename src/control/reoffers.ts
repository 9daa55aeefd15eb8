/**
 * Re-INVITEs of the switch, one at a time in each call. What waits is written anew when its turn comes, so that it never
 * repeats what the peer has changed meanwhile (RFC 3261 §14.1: glare is resolved by the user agent's timers).
 */
import type { MemberId } from '../base/ids.js';
import type { SipCommand, UserAgentOutput } from '../sip/contract.js';
import type { CallMedia } from './call-media.js';
import type { Reoffer } from './call-media-contract.js';

export type ReofferOutcome =
  /** Agreed and in force. */
  | { readonly type: 'agreed' }
  /** Refused, or its answer does not fit: the call goes on as it was. */
  | { readonly type: 'refused'; readonly status: number; readonly reason: string };

interface Waiting {
  readonly what: Reoffer;
  readonly done: (outcome: ReofferOutcome) => void;
}

export class Reoffers {
  readonly #send: (command: SipCommand) => void;
  readonly #calls = new Map<MemberId, { readonly media: CallMedia; readonly waiting: Waiting[] }>();

  constructor(send: (command: SipCommand) => void) {
    this.#send = send;
  }

  /** `done` is called once, unless the call ends before. */
  start(media: CallMedia, what: Reoffer, done: (outcome: ReofferOutcome) => void): void {
    const entry = this.#calls.get(media.member) ?? { media, waiting: [] };
    this.#calls.set(media.member, entry);
    entry.waiting.push({ what, done });
    if (entry.waiting.length === 1) this.#next(media.member);
  }

  /** The session as it is, once more; nothing where a re-INVITE waits that will be written later anyhow. */
  repeat(media: CallMedia): void {
    if ((this.#calls.get(media.member)?.waiting.length ?? 0) < 2) this.start(media, {}, () => undefined);
  }

  /** @returns false when the answer is to no re-INVITE from here. */
  answered(call: MemberId, sdp: string, now: number): boolean {
    const entry = this.#calls.get(call);
    if (entry === undefined) return false;
    const taken = entry.media.answered(sdp, now);
    const reason = taken.ok
      ? ''
      : `the answer does not fit: ${taken.reason}${taken.detail ? ` (${taken.detail})` : ''}`;
    this.#finish(call, taken.ok ? { type: 'agreed' } : { type: 'refused', status: 488, reason });
    return true;
  }

  refused({ call, status, reason }: Extract<UserAgentOutput, { type: 'offer-refused' }>): void {
    this.#calls.get(call)?.media.withdraw();
    this.#finish(call, { type: 'refused', status, reason });
  }

  /** The user agent wants the offer as it would be now. */
  due(call: MemberId): void {
    this.#next(call);
  }

  forget(call: MemberId): void {
    this.#calls.delete(call);
  }

  #next(call: MemberId): void {
    const entry = this.#calls.get(call);
    const [first] = entry?.waiting ?? [];
    if (entry === undefined || first === undefined) this.#calls.delete(call);
    else this.#send({ type: 'reinvite', call, sdp: entry.media.offer(first.what) });
  }

  #finish(call: MemberId, outcome: ReofferOutcome): void {
    const entry = this.#calls.get(call);
    const finished = entry?.waiting.shift();
    finished?.done(outcome);
    if (this.#calls.get(call) === entry) this.#next(call);
  }
}
