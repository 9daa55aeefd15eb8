/** The transports of one call: what each was told of its peer, our name for its association, and those that have outlived their m-line. */
import { wantsNewAssociation } from '../sip/media-session.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import type { OwnIce } from '../wire/sdp-ice.js';
import { newTlsId } from './call-setup.js';
import type { SwitchChannel } from './channel.js';
import type { ChannelHost } from './channel-contract.js';
import { IceKeys } from './ice-keys.js';

export class CallTransports {
  readonly #host: ChannelHost;
  readonly #ice: IceKeys;
  readonly #offerIce: boolean;
  readonly #told = new Map<SwitchChannel, RemoteMedia>();
  /** RFC 8842 §4: another one with each association. */
  readonly #tlsIds = new Map<SwitchChannel, string>();
  #retired: readonly SwitchChannel[] = [];

  /** @param offerIce our offers are with ICE also where the peer has not spoken of it. */
  constructor(host: ChannelHost, offerIce: boolean) {
    this.#host = host;
    this.#offerIce = offerIce;
    this.#ice = new IceKeys((bytes) => host.random(bytes));
  }

  /** Their m-lines are gone, others use them. */
  get retired(): readonly SwitchChannel[] {
    return this.#retired;
  }

  /** The association of the channel's transport goes on with what the peer says now. */
  stays({ transport: { leader } }: SwitchChannel, remote: RemoteMedia): boolean {
    const told = this.#told.get(leader);
    return told !== undefined && !wantsNewAssociation(told, remote);
  }

  /** Ours, for an answer to what the tagged m-line offers, and for an offer. */
  iceAnswer({ transport: { leader } }: SwitchChannel, remote: RemoteMedia): { readonly ice?: OwnIce } {
    const ice = this.#ice.answer(leader.setup.id, remote);
    return ice === undefined ? {} : { ice };
  }

  /** @param before the one whose place it is to take, or itself: where that has ICE, its successor is offered with it */
  iceOffer({ transport: { leader } }: SwitchChannel, before: SwitchChannel): { readonly ice?: OwnIce } {
    const { id, transport } = leader.setup;
    const offered = this.#ice.offer(before.transport.leader.setup.id) !== undefined;
    const proposes = offered || (this.#offerIce && transport === 'dtls');
    const ice = this.#ice.offer(id) ?? (proposes ? this.#ice.propose(id) : undefined);
    return ice === undefined ? {} : { ice };
  }

  /** What the peer makes of an offer of ours. */
  iceAnswered({ transport: { leader } }: SwitchChannel, remote: RemoteMedia): void {
    this.#ice.answered(leader.setup.id, remote);
  }

  /** The call is over or never was. */
  close(): void {
    this.#ice.close();
  }

  /** @returns false when the same association goes on: there is nobody new to expect. */
  tell(channel: SwitchChannel, remote: RemoteMedia): boolean {
    const stays = this.stays(channel, remote);
    const { leader } = channel.transport;
    this.#told.set(leader, remote);
    const ice = this.#ice.take(leader.setup.id);
    if (ice !== undefined) leader.consent.set(ice);
    return !stays;
  }

  tlsId({ transport: { leader } }: SwitchChannel): string {
    const known = this.#tlsIds.get(leader) ?? newTlsId(this.#host);
    this.#tlsIds.set(leader, known);
    return known;
  }

  /** Another association is to come, on this transport or on all. */
  renew(channel?: SwitchChannel): void {
    if (channel === undefined) this.#tlsIds.clear();
    else this.#tlsIds.delete(channel.transport.leader);
  }

  /** The m-lines of these channels are gone. @returns the channels that are to be closed. */
  leave(removed: readonly SwitchChannel[]): readonly SwitchChannel[] {
    const leads = (channel: SwitchChannel): boolean => channel.transport.isLedBy(channel);
    for (const channel of removed) if (leads(channel)) channel.retire();
    const all = [...removed, ...this.#retired];
    this.#retired = all.filter(leads);
    return all.filter((channel) => !leads(channel));
  }
}
