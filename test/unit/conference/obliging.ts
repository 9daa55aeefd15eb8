/** Endpoints that do what they are asked at once: ACKs, re-INVITEs, DTLS and TIP on the new channels. */
import type { ChannelId, Media, MemberId } from '../../../src/base/ids.js';
import type { ConferenceEvent, Effect, TipFacts, Transport } from '../../../src/conference/contract.js';
import { CAPABLE, Driver } from './helpers.js';

export interface Endpoint {
  readonly member: MemberId;
  readonly offer: readonly { readonly media: Media; readonly security: Transport | 'unsupported' }[];
  /** What TIP shows on its DTLS channels. */
  readonly tip: Partial<TipFacts>;
}

export const BOTH = (security: Transport): Endpoint['offer'] => [
  { media: 'audio', security },
  { media: 'video', security },
];

/** What was done for a member since it was last asked, in the order in which it was done. */
export class Obliging extends Driver {
  readonly endpoints = new Map<MemberId, Endpoint>();
  readonly owners = new Map<ChannelId, { readonly member: MemberId; readonly media: Media }>();
  /** `false`: nobody answers by itself. */
  obliging = true;
  #nextChannel = 1_000;

  override send(event: ConferenceEvent): readonly Effect[] {
    const effects = super.send(event);
    if (!this.obliging) return effects;
    return [...effects, ...effects.flatMap((effect) => this.oblige(effect))];
  }

  dial(endpoint: Endpoint): readonly Effect[] {
    this.endpoints.set(endpoint.member, endpoint);
    const channels = endpoint.offer.map((line) => ({ ...line, channel: this.#own(endpoint.member, line.media) }));
    const effects = this.send({ type: 'join', member: endpoint.member, name: `endpoint ${endpoint.member}`, channels });
    if (!effects.some((effect) => effect.type === 'admit')) return effects;
    return [...effects, ...channels.flatMap(({ channel, security }) => this.#negotiate(channel, security))];
  }

  /** What a well-behaved endpoint does about an effect. */
  oblige(effect: Effect): readonly Effect[] {
    switch (effect.type) {
      case 'notify':
        return this.send({ type: 'notify-acked', channel: effect.channel, secure: effect.secure });
      case 'send-set':
        return this.send({ type: 'set-acked', channel: effect.channel, spiWord: effect.spiWord });
      case 'move':
        return this.move(effect.member, effect.to);
      default:
        return [];
    }
  }

  move(member: MemberId, to: Transport): readonly Effect[] {
    const channels = this.endpoints.get(member)!.offer.map(({ media }) => {
      return { media, security: to, channel: this.#own(member, media) };
    });
    const effects = this.send({ type: 'moved', member, channels });
    return [...effects, ...channels.flatMap(({ channel, security }) => this.#negotiate(channel, security))];
  }

  channelOf(member: MemberId, media: Media): ChannelId {
    return this.state.members.get(member)!.channels.find((channel) => channel.media === media)!.id;
  }

  #negotiate(channel: ChannelId, security: string): readonly Effect[] {
    const { member } = this.owners.get(channel)!;
    if (security !== 'dtls' || !this.obliging) return [];
    const { tip } = this.endpoints.get(member)!;
    const keyed = this.send({ type: 'channel-keyed', channel, fingerprint: `certificate of ${member}` });
    if (!this.state.owners.has(channel)) return keyed;
    return [...keyed, ...this.send({ type: 'channel-negotiated', channel, tip: { ...CAPABLE, ...tip } })];
  }

  #own(member: MemberId, media: Media): ChannelId {
    const channel = ++this.#nextChannel;
    this.owners.set(channel, { member, media });
    return channel;
  }
}
