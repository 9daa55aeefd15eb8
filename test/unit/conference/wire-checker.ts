/**
 * A relay, its endpoints and what is on the wire between them, kept apart from the conference's own state: it believes effects
 * and what endpoints did, lets every sender send one packet after every step, and looks at each packet where it crosses the
 * wire. `Violation` messages say what a reader of the capture would say.
 */
import { expect } from 'vitest';
import type { ChannelId, Media, MemberId } from '../../../src/base/ids.js';
import type { Edge, Effect, TipFacts, Transport } from '../../../src/conference/contract.js';
import type { Level, ProvenLevel } from '../../../src/security/levels.js';
import { meets } from '../../../src/security/levels.js';

export interface WireChannel {
  readonly id: ChannelId;
  readonly member: MemberId;
  readonly media: Media;
  readonly transport: Transport;
  keyed: boolean;
  tip: TipFacts | undefined;
  acked: boolean;
  /** As the relay was told. */
  level: Level;
  ready: boolean;
  /** The icon that the endpoint has seen last on this channel. */
  icon: boolean | undefined;
  /** How many NOTIFYs it was sent. */
  said: number;
}

export interface WireEndpoint {
  readonly member: MemberId;
  channels: WireChannel[];
  /** By its own offer. */
  readonly low: boolean;
  /** It said itself that it wants plain RTP: in its offer, or by answering the re-INVITE. */
  agreedToClear: boolean;
  /** An offer of another level that it has not answered, since when. */
  asked: { readonly to: Transport; readonly atMs: number; refused: boolean } | undefined;
  /** NOTIFY without an ACK, by channel, since when. */
  readonly unacked: Map<ChannelId, number>;
  /** Something happened that ends its call by right. */
  doomed: string | undefined;
}

const RANK: Readonly<Record<ProvenLevel, number>> = { none: 0, 'hop-by-hop': 1, 'end-to-end': 2 };

export class Wire {
  readonly endpoints = new Map<MemberId, WireEndpoint>();
  readonly #channels = new Map<ChannelId, WireChannel>();
  #routes: Record<Media, readonly Edge[]> = { audio: [], video: [] };
  #mediaLevel: ProvenLevel;
  /** Who was in a secured conference when it was lowered and has not said that it knows. */
  readonly #toBeTold = new Set<MemberId>();
  readonly #patienceMs: number;
  shown: Level = 'unknown';
  clearPackets = 0;
  securedPackets = 0;
  events: Record<string, number> = {};
  lost = 0;

  constructor(mediaLevel: ProvenLevel, patienceMs: number) {
    this.#mediaLevel = mediaLevel;
    this.#patienceMs = patienceMs;
  }

  channel(id: ChannelId): WireChannel | undefined {
    return this.#channels.get(id);
  }

  enter(
    member: MemberId,
    lines: readonly { readonly channel: ChannelId; readonly media: Media; readonly security: string }[],
  ): void {
    const low = lines.some(({ security }) => security === 'plain');
    const endpoint: WireEndpoint = {
      member,
      channels: [],
      low,
      agreedToClear: low,
      asked: undefined,
      unacked: new Map(),
      doomed: undefined,
    };
    this.endpoints.set(member, endpoint);
    this.#open(endpoint, lines);
  }

  /** The endpoint has answered the re-INVITE: from now on it speaks and hears on these channels only. */
  answered(member: MemberId, lines: Parameters<Wire['enter']>[1]): void {
    const endpoint = this.endpoints.get(member)!;
    const { to } = endpoint.asked!;
    endpoint.asked = undefined;
    endpoint.unacked.clear();
    for (const { id } of endpoint.channels) this.#channels.delete(id);
    endpoint.channels = [];
    this.#open(endpoint, lines);
    endpoint.agreedToClear = to === 'plain';
    if (to === 'plain') this.#toBeTold.delete(member);
  }

  iconAcked(id: ChannelId, secure: boolean): void {
    const channel = this.#channels.get(id)!;
    channel.icon = secure;
    const endpoint = this.endpoints.get(channel.member)!;
    endpoint.unacked.delete(id);
    const told = endpoint.channels.filter(tellable).every((each) => each.icon === false);
    if (told && endpoint.channels.some(tellable)) this.#toBeTold.delete(channel.member);
  }

  gone(member: MemberId): void {
    for (const { id } of this.endpoints.get(member)?.channels ?? []) this.#channels.delete(id);
    this.endpoints.delete(member);
    this.#toBeTold.delete(member);
  }

  /** Takes the effects of one step in, in their order, and then looks at the wire. */
  take(effects: readonly Effect[], now: number): void {
    const before = this.shown;
    const changes: string[] = [];
    for (const effect of effects) this.#take(effect, now, changes);
    this.#checkChange(before, changes);
    this.#checkLevel();
    this.#look();
  }

  #take(effect: Effect, now: number, changes: string[]): void {
    switch (effect.type) {
      case 'refuse':
        this.gone(effect.member);
        break;
      case 'end-call': {
        const endpoint = this.endpoints.get(effect.member) ?? fail(`the call of ${effect.member} ended twice`);
        if (effect.status === 488) this.#checkDropped(endpoint, effect.reasonText, now);
        this.gone(effect.member);
        break;
      }
      case 'security-event':
        this.events[effect.code] = (this.events[effect.code] ?? 0) + 1;
        if (effect.to === undefined) break;
        changes.push(effect.code);
        // Everybody whose media is secured and may flow has to be told before anything clear does.
        if (effect.code === 'conference-downgraded') {
          for (const { member, channels } of this.endpoints.values()) {
            if (channels.some((channel) => channel.ready && channel.transport === 'dtls')) this.#toBeTold.add(member);
          }
        }
        break;
      case 'level':
        this.shown = effect.level;
        break;
      case 'media-level':
        this.#mediaLevel = effect.level;
        break;
      case 'channel-parameters': {
        const channel = this.#channels.get(effect.channel) ?? fail('parameters of a closed channel');
        channel.level = effect.level;
        channel.ready = effect.ready;
        if (effect.level !== 'unknown' && RANK[effect.level] > RANK[proven(channel)])
          fail(`${channel.id} is called ${effect.level}`);
        break;
      }
      case 'routes':
        this.#routes = { ...this.#routes, [effect.media]: effect.edges };
        break;
      case 'notify': {
        const channel = this.#channels.get(effect.channel) ?? fail('NOTIFY on a closed channel');
        this.endpoints.get(channel.member)!.unacked.set(effect.channel, now);
        if (effect.secure && this.shown !== 'end-to-end')
          fail('a closed lock is shown in a conference that is not end-to-end');
        break;
      }
      case 'move': {
        const endpoint = this.endpoints.get(effect.member) ?? fail('a re-INVITE to nobody');
        if (endpoint.asked !== undefined) fail('a re-INVITE while another is not answered');
        if (
          effect.to === 'plain' &&
          endpoint.channels.some((each) => tellable(each) && each.icon !== false && endpoint.doomed === undefined)
        ) {
          fail(`${effect.member} is asked for plain RTP before it has said that it knows`);
        }
        endpoint.asked = { to: effect.to, atMs: now, refused: false };
        break;
      }
    }
  }

  /** Every change of the level shown has exactly one event, and every event a change. */
  #checkChange(before: Level, changes: readonly string[]): void {
    const after = this.shown;
    const expected = expectedEvents(before, after);
    if (!expected.includes(changes.join())) fail(`${before} > ${after} with the events [${changes.join()}]`);
  }

  /** C6: never above the weakest that is proven. */
  #checkLevel(): void {
    if (this.shown === 'unknown') return;
    for (const { member, channels, asked } of this.endpoints.values()) {
      for (const channel of channels) {
        if (!channel.ready) continue;
        if (RANK[this.shown] > RANK[proven(channel)])
          fail(`${this.shown} is shown, and ${member} is at ${proven(channel)}`);
      }
      // An m-line of plain RTP that was offered and admitted counts from then on.
      const offeredPlain = channels.some(({ transport }) => transport === 'plain') && asked === undefined;
      if (offeredPlain && this.shown !== 'none') fail(`${this.shown} is shown, and ${member} has plain RTP`);
    }
  }

  /** C5, C10: only who failed, refused or was silent for its time. */
  #checkDropped(endpoint: WireEndpoint, why: string, now: number): void {
    this.lost++;
    if (endpoint.doomed !== undefined || endpoint.asked?.refused === true) return;
    const late = (since: number) => now - since >= this.#patienceMs;
    if (endpoint.asked !== undefined && late(endpoint.asked.atMs)) return;
    if ([...endpoint.unacked.values()].some(late)) return;
    fail(`${endpoint.member} was dropped without need: ${why}`);
  }

  /** Everybody sends a packet from every channel; each is looked at on both legs. */
  #look(): void {
    for (const media of ['audio', 'video'] as const) {
      const edges = this.#routes[media];
      for (const edge of edges) {
        const source = this.#channels.get(edge.source);
        const receiver = this.#channels.get(edge.receiver);
        if (source === undefined || receiver === undefined) fail('an edge of a closed channel');
        // native/core/forward.cc, admit
        const ingress = source.ready && meets(source.level, this.#mediaLevel);
        if (!meets(receiver.level, this.#mediaLevel)) fail(`below_level: ${receiver.id} at ${receiver.level}`);
        if (!ingress || !receiver.ready) fail(`not_ready on the edge ${source.id} > ${receiver.id}`);
        if (source.transport !== receiver.transport) fail(`${source.id} > ${receiver.id} between clear and secured`);
        if (source.transport === 'dtls') this.securedPackets++;
        else this.#clear(source.member, receiver.member);
      }
    }
  }

  #clear(...members: readonly MemberId[]): void {
    this.clearPackets++;
    for (const member of members) {
      if (this.endpoints.get(member)?.agreedToClear !== true)
        fail(`a clear packet of or for ${member}, who was not told`);
    }
    if (this.#toBeTold.size > 0) fail(`a clear packet before ${[...this.#toBeTold].join()} knew`);
  }

  #open(endpoint: WireEndpoint, lines: Parameters<Wire['enter']>[1]): void {
    for (const { channel: id, media, security } of lines) {
      const transport = security === 'plain' ? 'plain' : 'dtls';
      const { member } = endpoint;
      const channel: WireChannel = {
        ...{ id, member, media, transport },
        ...{ keyed: false, tip: undefined, acked: false, level: 'unknown', ready: false, icon: undefined, said: 0 },
      };
      endpoint.channels.push(channel);
      this.#channels.set(id, channel);
    }
  }
}

/** Every way in which a change of level may be told. */
function expectedEvents(before: Level, after: Level): readonly string[] {
  if (before === after) return [''];
  if (after === 'unknown') return [''];
  if (before === 'unknown') {
    return after === 'end-to-end' ? [''] : ['conference-started-low', 'conference-downgraded'];
  }
  return RANK[after] < RANK[before] ? ['conference-downgraded'] : ['conference-restored'];
}

export function tellable({ transport, tip }: WireChannel): boolean {
  return transport === 'dtls' && tip !== undefined && tip.version >= 7;
}

/** What facts alone say of a channel. */
function proven({ transport, keyed, tip, acked }: WireChannel): ProvenLevel {
  if (transport === 'plain' || !keyed || tip === undefined) return 'none';
  return tip.version >= 7 && tip.secure && tip.ektTx && tip.ektRx && tip.capable && acked ? 'end-to-end' : 'hop-by-hop';
}

function fail(what: string): never {
  return expect.fail(what);
}
