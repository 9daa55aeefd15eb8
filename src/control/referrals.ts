/**
 * REFER to the switch (RFC 4579 §5.5): a member asks it to call somebody into the member's conference, on the trunk that the
 * member came by, and is told how that went.
 */
import type { MemberId } from '../base/ids.js';
import type { SipCommand, UserAgentOutput } from '../sip/contract.js';
import type { CallMedia } from './call-media.js';
import type { ControlInput, ControlOutput, DialNumber } from './contract.js';

export interface ReferralHost {
  readonly calls: ReadonlyMap<MemberId, CallMedia>;
  send(command: SipCommand): void;
  dial(input: Extract<ControlInput, { type: 'dial' }>): void;
}

export class Referrals {
  readonly #host: ReferralHost;
  /** Below 0: the numbers of others are not. */
  #lastDial: DialNumber = 0;
  readonly #referrers = new Map<DialNumber, MemberId>();

  constructor(host: ReferralHost) {
    this.#host = host;
  }

  /** @param trunk that the member's connection belongs to; without one nobody is called */
  refer(
    { call, target }: Extract<UserAgentOutput, { type: 'refer' }>,
    connection: number | undefined,
    trunk: string | undefined,
  ): void {
    const { conference } = this.#host.calls.get(call) ?? {};
    if (conference === undefined || connection === undefined || trunk === undefined) {
      this.#host.send({ type: 'refer-status', call, status: 603 });
      return;
    }
    const dial = --this.#lastDial;
    this.#referrers.set(dial, call);
    this.#host.send({ type: 'refer-status', call, status: 100 });
    this.#host.dial({ type: 'dial', dial, conference: conference.name, connection, target, trunk });
  }

  /** @returns true where the call was ours: nobody else waits for its end. */
  ended(output: ControlOutput): boolean {
    const call = output.type === 'dial-ended' ? this.#referrers.get(output.dial) : undefined;
    if (output.type !== 'dial-ended' || call === undefined) return false;
    this.#referrers.delete(output.dial);
    const { outcome } = output;
    const failed = outcome.type === 'failed' && outcome.status !== 'unreachable' ? outcome.status : 503;
    this.#host.send({ type: 'refer-status', call, status: outcome.type === 'answered' ? 200 : failed });
    return true;
  }
}
