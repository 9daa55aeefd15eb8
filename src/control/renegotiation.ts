/** Offers and answers in calls that are up (RFC 3264 §8): those of the peers, and through {@link Reoffers} our own. */
import type { ChannelId, MemberId } from '../base/ids.js';
import type { Effect, Transport } from '../conference/contract.js';
import type { SipCommand, UserAgentOutput } from '../sip/contract.js';
import { readOffer } from '../sip/offer-answer.js';
import { writeReason } from '../wire/sip-headers.js';
import type { CallMedia } from './call-media.js';
import type { Reoffer } from './call-media-contract.js';
import { headersOfRefusal } from './call-setup.js';
import { type ReofferOutcome, Reoffers } from './reoffers.js';

export interface RenegotiationHost {
  readonly calls: ReadonlyMap<MemberId, CallMedia>;
  now(): number;
  /** Warn-agent of our Warning headers. */
  readonly name: string;
  send(command: SipCommand): void;
  /** BYE with this Reason, and the member leaves. */
  end(member: MemberId, reason: string): void;
}

export class Renegotiation {
  readonly #host: RenegotiationHost;
  readonly #reoffers: Reoffers;

  constructor(host: RenegotiationHost) {
    this.#host = host;
    this.#reoffers = new Reoffers((command) => host.send(command));
  }

  /** A re-INVITE of ours; see {@link Reoffers.start}. */
  start(member: MemberId, what: Reoffer, done: (outcome: ReofferOutcome) => void): void {
    const media = this.#host.calls.get(member);
    if (media !== undefined) this.#reoffers.start(media, what, done);
  }

  /** All m-lines anew with this transport, on channels of their own (REQUIREMENTS C5, C7). */
  move(member: MemberId, to: Transport): void {
    const media = this.#host.calls.get(member);
    if (media === undefined) return;
    const refused = (detail: string): void =>
      media.conference.apply({ type: 'move-refused', member, detail }, this.#host.now());
    const replace = media.openOthers(to);
    if (replace === 'failed') return refused('no media port free');
    this.#reoffers.start(media, { replace }, (outcome) => {
      if (outcome.type === 'agreed') return;
      media.closeOthers();
      refused(outcome.status === 488 ? outcome.reason : `${outcome.status} ${outcome.reason}`);
    });
  }

  /** Each call that has one of these channels hears what is right for it now. */
  refresh(channels: ReadonlySet<ChannelId>): void {
    for (const media of this.#host.calls.values()) {
      if (media.channels.some(({ setup }) => channels.has(setup.id))) this.#reoffers.repeat(media);
    }
  }

  forget(member: MemberId): void {
    this.#reoffers.forget(member);
  }

  /** @returns true when this was its concern. */
  receive(out: UserAgentOutput, now: number): boolean {
    switch (out.type) {
      case 'offer-again':
        this.#onOffer(out.call, out.offer, now);
        return true;
      case 'answered':
        return this.#reoffers.answered(out.call, out.sdp, now);
      case 'confirmed':
        this.#onConfirmed(out.call, out.sdp, now);
        return true;
      case 'offer-refused':
        this.#reoffers.refused(out);
        return true;
      case 'offer-due':
        this.#reoffers.due(out.call);
        return true;
      default:
        return false;
    }
  }

  admitChannels(member: MemberId, now: number): void {
    const media = this.#host.calls.get(member);
    if (media !== undefined) this.#host.send({ type: 'accept', call: member, sdp: media.describe(now) });
  }

  refuseChannels({ member, warning }: Extract<Effect, { type: 'refuse-channels' }>): void {
    this.#host.calls.get(member)?.refused();
    this.#refuse(member, warning.code, warning.text);
  }

  #onOffer(call: MemberId, sdp: string | undefined, now: number): void {
    const media = this.#host.calls.get(call);
    if (media === undefined) return;
    if (sdp === undefined) {
      // RFC 3261 §14.2: the peer wants to hear our offer; its answer comes with the ACK.
      this.#host.send({ type: 'accept', call, sdp: media.offer({}, true) });
      return;
    }
    const offer = readOffer(sdp);
    if (!offer.ok) {
      this.#refuse(call, 399, `SDP refused: ${offer.reason}${offer.detail ? ` (${offer.detail})` : ''}`);
      return;
    }
    const verdict = media.renegotiate(offer.value, now);
    if (verdict.type === 'accept') this.#host.send({ type: 'accept', call, sdp: verdict.sdp });
    else if (verdict.type === 'refuse') this.#refuse(call, verdict.code, verdict.text);
  }

  /** ACK to our 2xx: the answer, where the 2xx carried our offer (RFC 3261 §13.2.1). */
  #onConfirmed(call: MemberId, sdp: string | undefined, now: number): void {
    const media = this.#host.calls.get(call);
    if (media?.offersInAnswer !== true) return;
    const taken = media.answered(sdp ?? '', now);
    if (taken.ok) return;
    const text = `the answer in ACK does not fit: ${taken.reason}${taken.detail ? ` (${taken.detail})` : ''}`;
    this.#host.end(call, writeReason(488, text));
  }

  #refuse(call: MemberId, code: 302 | 304 | 399, text: string): void {
    const headers = headersOfRefusal(this.#host.name, 488, { code, text });
    this.#host.send({ type: 'reject', call, status: 488, headers });
  }
}
