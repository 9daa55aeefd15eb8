/** The transports of one call: what each was told of its peer, our name for its association, and those that have outlived their m-line. */
import { wantsNewAssociation } from '../sip/media-session.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import { newTlsId } from './call-setup.js';
import type { SwitchChannel } from './channel.js';
import type { ChannelHost } from './channel-contract.js';

export class CallTransports {
  readonly #host: ChannelHost;
  readonly #told = new Map<SwitchChannel, RemoteMedia>();
  /** RFC 8842 §4: another one with each association. */
  readonly #tlsIds = new Map<SwitchChannel, string>();
  #retired: readonly SwitchChannel[] = [];

  constructor(host: ChannelHost) {
    this.#host = host;
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

  /** @returns false when the same association goes on: there is nobody new to expect. */
  tell(channel: SwitchChannel, remote: RemoteMedia): boolean {
    const stays = this.stays(channel, remote);
    this.#told.set(channel.transport.leader, remote);
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
