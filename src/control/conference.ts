/** One conference as control runs it: the pure state, the secrets of its sets, its channels, and its effects carried out. */
import type { ChannelId, ConferenceId, MemberId } from '../base/ids.js';
import { Secret } from '../base/secret.js';
import type { ConferenceEvent, Effect, JoinChannel, State, Transport } from '../conference/contract.js';
import { createConference, deadline, reduce } from '../conference/reduce.js';
import type { GroupParameterSet, RelayEvent } from '../relay/contract.js';
import { makeEvent, type SecurityEventCode } from '../security/events.js';
import { ALL_CODECS } from '../sip/codecs.js';
import { writeReason } from '../wire/sip-headers.js';
import { kekBytes, SALT_BYTES } from '../wire/tip.js';
import type { Who } from './call-setup.js';
import type { SwitchChannel } from './channel.js';
import type { ChannelHost, ChannelNews } from './channel-contract.js';
import { ConferenceCodecs } from './conference-codecs.js';
import type { ConferenceSettings } from './contract.js';
import { suiteOf, wipeSet } from './suites.js';
import { tipFacts } from './tip-facts.js';

/** What a conference may do to the calls of its members. */
export interface CallHost extends ChannelHost {
  admit(member: MemberId): void;
  /** The m-lines that a re-INVITE added are in. */
  admitChannels(member: MemberId): void;
  /** They are not: 488, and the call goes on. */
  refuseChannels(effect: Extract<Effect, { type: 'refuse-channels' }>): void;
  refuse(effect: Extract<Effect, { type: 'refuse' }>): void;
  /** A re-INVITE that offers all m-lines with this transport; `moved` or `move-refused` is the answer. */
  move(member: MemberId, to: Transport): void;
  /** A re-INVITE to those whose channels these are, with what is right now. */
  refresh(channels: ReadonlySet<ChannelId>): void;
  /** BYE with this Reason header value. */
  endCall(member: MemberId, reason: string): void;
  empty(conference: ConferenceRuntime): void;
}

export class ConferenceRuntime {
  readonly id: ConferenceId;
  readonly name: string;
  readonly codecs: ConferenceCodecs;
  readonly #host: CallHost;
  readonly #channels = new Map<ChannelId, SwitchChannel>();
  readonly #memberOf = new Map<ChannelId, MemberId>();
  readonly #whos = new Map<MemberId, Pick<Who, 'name' | 'caller'>>();
  /** When those joined whose media does not flow yet. */
  readonly #joining = new Map<MemberId, number>();
  readonly #sets = new Map<number, GroupParameterSet>();
  /** From the relay: which source an SSRC is, for PLI and FIR. */
  readonly #sources = new Map<number, { readonly channel: ChannelId; readonly position: number }>();
  /** SSRCs that went to a channel because its endpoint has returned. */
  readonly #moved = new Map<number, ChannelId>();
  readonly #waiting: ConferenceEvent[] = [];
  #applying = false;
  #setsMade = 0;
  #state: State;

  constructor(id: ConferenceId, name: string, settings: ConferenceSettings, host: CallHost) {
    this.id = id;
    this.name = name;
    this.#host = host;
    this.codecs = new ConferenceCodecs(settings.codecs ?? ALL_CODECS, (stale) => host.refresh(stale));
    const created = createConference({ id, name, ...settings, ...suiteOf(settings) });
    if (!created.ok)
      throw new Error(`conference settings were not checked at start-up: ${created.detail ?? created.reason}`);
    this.#state = created.value;
    host.relay.setConference(id, { requiredLevel: created.value.mediaLevel });
  }

  get setsMade(): number {
    return this.#setsMade;
  }

  get state(): State {
    return this.#state;
  }

  deadline(): number | undefined {
    let earliest = deadline(this.#state);
    for (const channel of this.#channels.values()) {
      const at = channel.deadline();
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at;
    }
    return earliest;
  }

  tick(now: number): void {
    const own = deadline(this.#state);
    if (own !== undefined && own <= now) this.apply({ type: 'tick' }, now);
    for (const channel of [...this.#channels.values()]) {
      const at = channel.deadline();
      if (at === undefined || at > now) continue;
      channel.tick(now);
      this.news(channel, now);
    }
  }

  join(
    member: MemberId,
    who: Pick<Who, 'name' | 'caller'>,
    channels: readonly JoinChannel[],
    runtimes: readonly SwitchChannel[],
    now: number,
  ): void {
    this.#whos.set(member, who);
    this.#joining.set(member, now);
    this.#own(member, runtimes);
    this.apply({ type: 'join', member, name: who.name, channels }, now);
    if (!this.#state.members.has(member)) this.#forget(member, now);
  }

  /** A re-INVITE adds m-lines; `admitChannels` or `refuseChannels` of the host is the answer. */
  addChannels(
    member: MemberId,
    channels: readonly JoinChannel[],
    runtimes: readonly SwitchChannel[],
    now: number,
  ): void {
    this.#own(member, runtimes);
    this.apply({ type: 'add-channels', member, channels }, now);
  }

  /** A re-INVITE has disabled m-lines; the caller closes their channels. */
  removeChannels(member: MemberId, channels: readonly ChannelId[], now: number): void {
    this.apply({ type: 'remove-channels', member, channels }, now);
    for (const id of channels) this.#disown(id);
  }

  /** The answer to a `move` is in force: these channels take the place of all that the member had; the caller closes those. */
  replaceChannels(member: MemberId, runtimes: readonly SwitchChannel[], now: number): void {
    const old = [...this.#memberOf].flatMap(([id, owner]) => (owner === member ? [id] : []));
    this.#own(member, runtimes);
    const channels = runtimes.map(({ setup }) => ({
      channel: setup.id,
      media: setup.media,
      security: setup.transport,
    }));
    this.apply({ type: 'moved', member, channels }, now);
    for (const id of old) this.#disown(id);
  }

  #own(member: MemberId, runtimes: readonly SwitchChannel[]): void {
    for (const channel of runtimes) {
      this.#channels.set(channel.setup.id, channel);
      this.#memberOf.set(channel.setup.id, member);
    }
  }

  #disown(id: ChannelId): void {
    const { media } = this.#channels.get(id)?.setup ?? {};
    this.#memberOf.delete(id);
    this.#channels.delete(id);
    for (const [ssrc, source] of this.#sources) if (source.channel === id) this.#sources.delete(ssrc);
    for (const [ssrc, channel] of this.#moved) if (channel === id) this.#moved.delete(ssrc);
    if (media !== undefined) this.codecs.forget(media, id);
    const kindIsLeft = [...this.#channels.values()].some((channel) => channel.setup.media === media);
    if (media !== undefined && !kindIsLeft) this.codecs.release(media);
  }

  /**
   * Carrying out an effect can bring the next event (a channel that reports at once); it waits until all effects of this
   * one are done, or an older plan would overwrite a newer one.
   */
  apply(event: ConferenceEvent, now: number): void {
    this.#waiting.push(event);
    if (this.#applying) return;
    this.#applying = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { state, effects } = reduce(this.#state, next, now);
      this.#state = state;
      for (const effect of effects) this.#carryOut(effect, now);
      if (next.type === 'leave') this.#forget(next.member, now);
    }
    this.#applying = false;
  }

  /** Carries what a channel has found out to the conference. */
  news(channel: SwitchChannel, now: number): void {
    for (let news = channel.takeNews(); news !== undefined; news = channel.takeNews())
      this.#onNews(channel.setup.id, news, now);
  }

  bound(channel: ChannelId, ssrc: number, position: number): void {
    this.#sources.set(ssrc, { channel, position });
  }

  /** The certificate decides whether the SSRC is the claimant's (WIRE.md 10). */
  claim({ channel, owner, ssrc }: Extract<RelayEvent, { type: 'claimed' }>, now: number): void {
    this.apply({ type: 'claim', channel, owner }, now);
    if (!this.#state.owners.has(owner)) this.#moved.set(ssrc, channel);
  }

  /** Packets that the relay refused on one of the channels and that deserve an operator's eye. */
  refusals({ channel, drop, count, ssrc }: Extract<RelayEvent, { type: 'refusals' }>, now: number): void {
    const text = `${count} packets refused as ${drop}, last SSRC ${ssrc.toString(16).padStart(8, '0')}`;
    // Of an endpoint that returned, before its SSRC had moved to its new call.
    if (drop === 'ssrc_owned' && this.#moved.get(ssrc) === channel) return;
    if (drop === 'ssrc_owned') this.securityEvent('ssrc-conflict', text, this.#memberOf.get(channel), channel);
    else if (drop === 'auth_failed') {
      this.apply({ type: 'channel-failed', channel, reason: 'auth-failures', detail: text }, now);
    } else this.#log('warn', text, { channel });
  }

  securityEvent(
    code: SecurityEventCode,
    cause: string,
    member?: MemberId,
    channel?: ChannelId,
    { from, to, reason, members }: Partial<Extract<Effect, { type: 'security-event' }>> = {},
  ): void {
    const who = member === undefined ? undefined : this.#whos.get(member);
    this.#host.output({
      type: 'security-event',
      event: makeEvent(code, {
        conference: this.name,
        cause,
        ...(who === undefined ? {} : { endpoint: who.name, source: who.caller }),
        ...(channel === undefined ? {} : { channel }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(reason === undefined ? {} : { reason }),
        ...(members === undefined ? {} : { members: members.flatMap((id) => this.#whos.get(id)?.name ?? []) }),
      }),
    });
  }

  /** Wipes every secret; the relay forgets the conference. */
  close(now: number): void {
    for (const member of new Set(this.#memberOf.values())) this.#forget(member, now);
    for (const set of this.#sets.values()) wipeSet(set);
    this.#sets.clear();
    this.#host.relay.closeConference(this.id);
  }

  #onNews(channel: ChannelId, news: ChannelNews, now: number): void {
    switch (news.type) {
      case 'keyed':
        this.apply({ type: 'channel-keyed', channel, fingerprint: news.fingerprint }, now);
        break;
      case 'rekeyed':
        this.apply({ type: 'channel-rekeyed', channel, fingerprint: news.fingerprint }, now);
        break;
      case 'negotiated': {
        const tip = tipFacts(news);
        this.apply({ type: 'channel-negotiated', channel, tip }, now);
        break;
      }
      case 'set-acked':
        this.apply({ type: 'set-acked', channel, spiWord: news.spiWord }, now);
        break;
      case 'failed':
        this.apply({ type: 'channel-failed', channel, reason: news.reason, detail: news.detail }, now);
        break;
      case 'not-followed':
        this.apply({ type: 'not-followed', channel, detail: news.detail }, now);
        break;
      case 'foreign-certificate':
        this.securityEvent('fingerprint-mismatch', news.detail, this.#memberOf.get(channel), channel);
        break;
      case 'notify-acked':
        this.apply({ type: 'notify-acked', channel, secure: news.secure }, now);
        break;
      case 'refresh-wanted':
        this.apply({ type: 'refresh-wanted', receiver: channel, sink: news.sink }, now);
        break;
      case 'picture-lost': {
        const source = this.#sources.get(news.ssrc);
        const edge = this.#state.routes.video.find(
          (e) => e.receiver === channel && e.source === source?.channel && e.position === source.position,
        );
        if (edge !== undefined) this.apply({ type: 'refresh-wanted', receiver: channel, sink: edge.sink }, now);
        break;
      }
    }
  }

  #carryOut(effect: Effect, now: number): void {
    const { relay } = this.#host;
    switch (effect.type) {
      case 'admit':
        this.#host.admit(effect.member);
        break;
      case 'refuse':
        this.#host.refuse(effect);
        break;
      case 'make-set':
        this.#makeSet(effect.spiWord);
        break;
      case 'send-set': {
        const set = this.#sets.get(effect.spiWord);
        const channel = this.#channels.get(effect.channel);
        if (set === undefined || channel === undefined) break;
        channel.sendSet(set, now);
        this.news(channel, now);
        break;
      }
      case 'drop-set': {
        const set = this.#sets.get(effect.spiWord);
        if (set !== undefined) wipeSet(set);
        this.#sets.delete(effect.spiWord);
        relay.dropSet(this.id, effect.spiWord);
        break;
      }
      case 'channel-parameters':
        this.#channels.get(effect.channel)?.setLevel(effect.level, effect.ready, now);
        if (effect.ready) this.#isReady(this.#memberOf.get(effect.channel), now);
        break;
      case 'media-level':
        relay.setConference(this.id, { requiredLevel: effect.level });
        break;
      case 'routes':
        relay.setRoutes(this.id, effect.media, effect.edges);
        break;
      case 'request-refresh':
        this.#channels
          .get(effect.channel)
          ?.requestRefresh(effect.position, this.#streamAt(effect.channel, effect.position), now);
        break;
      case 'flow':
        this.#channels.get(effect.channel)?.flow(effect.position, effect.start, now);
        break;
      case 'notify':
        this.#channels.get(effect.channel)?.notify(effect.secure, now);
        break;
      case 'end-call':
        this.#host.endCall(effect.member, writeReason(effect.status, effect.reasonText));
        this.#forget(effect.member, now);
        break;
      case 'speaker':
        this.#host.output({
          type: 'speaker',
          conference: this.name,
          member: effect.member === undefined ? undefined : this.#whos.get(effect.member)?.name,
        });
        break;
      case 'level':
        this.#log('info', `conference level is ${effect.level}`, {});
        this.#host.output({ type: 'level', conference: this.name, level: effect.level });
        break;
      case 'security-event':
        this.securityEvent(effect.code, effect.cause, effect.member, effect.channel, effect);
        break;
      case 'empty':
        this.#host.empty(this);
        break;
      case 'illegal':
        this.#log('debug', `conference event ${effect.event} ignored: ${effect.why}`, {});
        break;
      case 'move':
        this.#host.move(effect.member, effect.to);
        break;
      case 'admit-channels':
        this.#host.admitChannels(effect.member);
        break;
      case 'refuse-channels':
        for (const id of effect.channels) this.#disown(id);
        this.#host.refuseChannels(effect);
        break;
    }
  }

  #makeSet(spiWord: number): void {
    const set: GroupParameterSet = {
      spiWord,
      suite: this.#state.suite,
      cipher: this.#state.cipher,
      kek: new Secret(this.#host.random(kekBytes(this.#state.cipher))),
      masterSalt: new Secret(this.#host.random(SALT_BYTES)),
    };
    this.#setsMade++;
    this.#sets.set(spiWord, set);
    this.#host.relay.installSet(this.id, set);
  }

  /** The SSRC bound last at a place of a channel: a sender that begins anew may choose another. */
  #streamAt(channel: ChannelId, position: number): number | undefined {
    let latest: number | undefined;
    for (const [ssrc, s] of this.#sources) if (s.channel === channel && s.position === position) latest = ssrc;
    return latest;
  }

  #forget(member: MemberId, now: number): void {
    for (const [id, owner] of [...this.#memberOf]) {
      if (owner !== member) continue;
      this.#channels.get(id)?.close(now);
      this.#disown(id);
    }
    this.#whos.delete(member);
    this.#joining.delete(member);
  }

  #isReady(member: MemberId | undefined, now: number): void {
    const since = member === undefined ? undefined : this.#joining.get(member);
    if (member === undefined || since === undefined) return;
    this.#joining.delete(member);
    this.#host.output({ type: 'member-ready', member, afterMs: now - since });
  }

  #log(level: 'debug' | 'info' | 'warn', message: string, fields: Readonly<Record<string, string | number>>): void {
    this.#host.output({ type: 'log', level, message, fields: { conference: this.name, ...fields } });
  }
}
