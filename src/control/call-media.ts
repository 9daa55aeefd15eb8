/**
 * The media of one call on the switch's side: which m-line is which channel, and what an offer, ours or the peer's, changes of
 * them. The conference judges who may be in it; what is agreed goes to the channels here.
 */
import type { MemberId } from '../base/ids.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { JoinChannel, Transport } from '../conference/contract.js';
import { judgeOffer, type OfferedMedia } from '../security/policy.js';
import { type Bundle, tagOf } from '../sip/bundle.js';
import { type AgreedLine, MediaSession } from '../sip/media-session.js';
import { type AnswerRefusal, takeOpportunities } from '../sip/offer-answer.js';
import type { LocalMediaAnswer, LocalMediaOffer, Offer } from '../sip/offer-answer-types.js';
import { pictureRequest, wipeKeys } from '../sip/remote-media.js';
import type { SdpCodec } from '../wire/sdp-types.js';
import { type Bundled, bundle, bundlesInUse, isTagged, midOf, withoutStrays } from './bundles.js';
import type { Line, MediaHost, Pending, Renegotiated, Reoffer } from './call-media-contract.js';
import {
  type CODEC_REFUSALS,
  codecProblem,
  lineMisfit,
  type MediaRules,
  NO_PORT,
  type OpenedLines,
  openLines,
  ownLines,
  type UsedLine,
  usedLines,
  type Who,
  withCodec,
} from './call-setup.js';
import { CallTransports } from './call-transports.js';
import type { SwitchChannel } from './channel.js';
import type { ConferenceRuntime } from './conference.js';
import { SdesKeys } from './sdes-keys.js';

export class CallMedia {
  readonly name: string;
  readonly caller: string;
  readonly conference: ConferenceRuntime;
  readonly member: MemberId;
  readonly #host: MediaHost;
  readonly #session: MediaSession;
  #tip: boolean;
  readonly #trunk: MediaRules | undefined;
  readonly #sdes: SdesKeys;
  /** By m-line; undefined: not in use. */
  #lines: (Line | undefined)[] = [];
  /** Lines that share a transport, as agreed last. */
  #bundles: readonly Bundle[] = [];
  readonly #transports: CallTransports;
  #pending: Pending | undefined;
  #reoffered: Reoffer | undefined;
  /** Offered in place of `#lines`, and not agreed yet. */
  #others: (Line | undefined)[] = [];
  #inAnswer = false;

  constructor(member: MemberId, who: Who, conference: ConferenceRuntime, host: MediaHost) {
    this.member = member;
    this.name = who.name;
    this.caller = who.caller;
    this.conference = conference;
    this.#host = host;
    this.#transports = new CallTransports(host, who.offerIce === true);
    this.#trunk = who.trunk;
    this.#sdes = new SdesKeys((bytes) => host.random(bytes), who.trunk?.sdpKeySuites ?? []);
    // Where end-to-end is required nothing else is of use: what does not speak TIP learns that from the time-out.
    this.#tip = who.tip || conference.state.requiredLevel === 'end-to-end';
    const { address } = who;
    this.#session = new MediaSession({ sessionId: String(member), address, fingerprint: host.fingerprint });
  }

  /** In use, or offered in place of those in use. */
  get channels(): readonly SwitchChannel[] {
    return [...this.#lines, ...this.#others].flatMap((line) => line?.channel ?? []);
  }

  /** Whom we called is no endpoint that speaks TIP; before its answer is taken. */
  withoutTip(): void {
    this.#tip = false;
    for (const channel of this.channels) channel.withoutTip();
  }

  /** Opens a channel for each m-line of a first offer that is used. @returns what the conference is to judge. */
  open(made: Offer): readonly JoinChannel[] | 'failed' | keyof typeof CODEC_REFUSALS {
    const offer = this.#secured(made);
    const lines = usedLines(offer, this.#tip);
    const usable = withCodec(lines, this.conference.codecs);
    const { bundles } = this.#bundle(offer, [], usable);
    const used = withoutStrays(offer, usable, bundles);
    const opened = codecProblem(lines, usable, used, this.conference) ?? this.#openAll(used, bundles);
    if (typeof opened === 'string') {
      wipeKeys(offer.media);
      return opened;
    }
    this.#lines = opened.lines;
    this.#pending = { offer, lines: opened.lines, removed: [], bundles };
    return opened.facts;
  }

  /** The same where the peer wants our offer: a line for each media kind, as secure as the conference. */
  openOwn(): readonly JoinChannel[] | 'failed' {
    const opened = this.#openAll(ownLines(this.conference, this.#trunk, this.#tip));
    if (opened === 'failed') return 'failed';
    this.#lines = opened.lines;
    return opened.facts;
  }

  /** Channels of another transport for every line, for {@link Reoffer.replace}; {@link closeOthers} takes them back. */
  openOthers(security: Transport): NonNullable<Reoffer['replace']> | 'failed' {
    const used = this.#lines.map((line) => line && { offered: { media: line.channel.setup.media, security } });
    const opened = this.#openAll(used);
    if (opened === 'failed') return 'failed';
    this.#others = opened.lines;
    return new Map(opened.lines.flatMap((line) => (line === undefined ? [] : [[line.channel.setup.media, line]])));
  }

  /** The call is over or never was. */
  close(): void {
    wipeKeys(this.#pending?.offer.media ?? []);
    this.#sdes.close();
    this.#transports.close();
    for (const channel of [...this.channels, ...this.#transports.retired]) this.#host.closed(channel);
  }

  closeOthers(): void {
    for (const line of this.#others) if (line !== undefined) this.#host.closed(line.channel);
    this.#others = [];
  }

  /** Our answer to the offer that was admitted, or our own offer where there was none. */
  describe(now: number): string {
    return this.#pending === undefined ? this.offer({}, true) : this.#answer(now);
  }

  /** A later offer of the peer. */
  renegotiate(made: Offer, now: number): Renegotiated {
    const verdict = this.#renegotiate(this.#secured(made), now);
    if (verdict.type === 'refuse') wipeKeys(made.media);
    return verdict;
  }

  #renegotiate(offer: Offer, now: number): Renegotiated {
    const refused = (text: string, code: 302 | 304 | 399 = 399): Renegotiated => ({ type: 'refuse', code, text });
    const misfit = this.#session.misfit(offer);
    if (misfit !== undefined) return refused(misfit);
    const kept: OfferedMedia[] = [];
    const removed: Line[] = [];
    const lines = [...this.#lines];
    for (const [i, line] of this.#lines.entries()) {
      if (line === undefined) continue;
      const remote = offer.media[i]!;
      const { media, transport } = line.channel.setup;
      if (remote.port === 0) {
        removed.push(line);
        lines[i] = undefined;
        continue;
      }
      const whyNot = lineMisfit(line, remote, this.#session.lines[i]!.remote, this.conference.codecs);
      if (whyNot !== undefined) return refused(...whyNot);
      kept.push({ media, security: transport });
    }
    const taken = new Set(kept.map(({ media }) => media));
    const added = withCodec(usedLines(offer, this.#tip, taken), this.conference.codecs).map((used, i) =>
      lines[i] === undefined ? used : undefined,
    );
    const { bundles, misfit: parted } = this.#bundle(offer, lines, added);
    if (parted !== undefined) return refused(`m-line ${parted + 1}: its transport cannot be changed (RFC 9143)`);
    const toOpen = withoutStrays(offer, added, bundles);
    const facts = toOpen.flatMap((used) => used?.offered ?? []);
    const verdict = judgeOffer(this.conference.state, [...kept, ...facts]);
    if (verdict.verdict === 'refuse') return refused(verdict.reasonText, verdict.warning.code);
    if (facts.length === 0) {
      this.#pending = { offer, lines, removed, bundles };
      return { type: 'accept', sdp: this.#answer(now) };
    }
    const opened = this.#openAll(toOpen, bundles, lines);
    if (opened === 'failed') return refused('no media port free');
    this.#pending = { offer, lines: opened.lines.map((line, i) => line ?? lines[i]), removed, bundles };
    const channels = opened.lines.flatMap((line) => line?.channel ?? []);
    this.conference.addChannels(this.member, opened.facts, channels, now);
    return { type: 'waiting' };
  }

  /** Keys that are offered are taken wherever SRTP may be (RFC 8643). */
  #secured(offer: Offer): Offer {
    const clear = this.conference.state.policy === 'non-secure' || this.#trunk?.srtp === false;
    return clear ? offer : takeOpportunities(offer);
  }

  /** The conference has not admitted the lines that a re-INVITE added: their channels close, everything else stays. */
  refused(): void {
    const { lines = [], offer } = this.#pending ?? {};
    this.#pending = undefined;
    wipeKeys(offer?.media ?? []);
    for (const line of lines) if (line !== undefined && !this.#lines.includes(line)) this.#host.closed(line.channel);
  }

  /** Writes an offer of ours for the whole session; its answer goes to {@link answered}. */
  offer(reoffer: Reoffer, inAnswer = false): string {
    this.#reoffered = reoffer;
    this.#inAnswer = inAnswer;
    if (reoffer.renew === true) this.#transports.renew();
    // On channels of their own nothing is shared.
    const bundles = reoffer.replace === undefined ? bundlesInUse(this.#bundles, this.#lines) : [];
    return this.#session.offer(
      this.#lines.map((line, i) => (line === undefined ? undefined : this.#offered(line, i))),
      bundles,
    );
  }

  /** The peer's answer to it. @returns why it does not fit; then everything is as it was before the offer. */
  answered(sdp: string, now: number): Result<undefined, AnswerRefusal | 'no-offer' | 'nothing-accepted'> {
    const read = this.#session.takeAnswer(sdp);
    const { replace } = this.#reoffered ?? {};
    this.#reoffered = undefined;
    if (!read.ok) return read;
    const before = this.channels;
    for (const [i, remote] of read.value.media.entries()) {
      const line = remote.accepted ? this.#lines[i] : undefined;
      const channel = line && (replace?.get(line.channel.setup.media) ?? line).channel;
      if (channel?.setup.transport === 'sdes') this.#sdes.answered(channel.setup.id, remote);
      if (channel !== undefined) this.#transports.iceAnswered(channel, remote);
    }
    this.#others = [];
    for (const [i, line] of this.#lines.entries()) {
      const other = line === undefined ? undefined : replace?.get(line.channel.setup.media);
      if (other !== undefined) this.#lines[i] = other;
    }
    const removed: Line[] = [];
    for (const [i, line] of this.#lines.entries()) {
      if (line === undefined || this.#session.lines[i]!.port !== 0) continue;
      removed.push(line);
      this.#lines[i] = undefined;
    }
    if (this.channels.length === 0) {
      wipeKeys(read.value.media);
      return refuse('nothing-accepted');
    }
    this.#bundles = replace === undefined ? bundlesInUse(this.#bundles, this.#lines) : [];
    if (replace === undefined) this.#settle(removed, now);
    else {
      // First the new ones are in the conference, then they are told whom to expect.
      this.conference.replaceChannels(this.member, this.channels, now);
      const { channels } = this;
      for (const channel of before) if (!channels.includes(channel)) this.#host.closed(channel);
      this.#settle([], now);
    }
    return ok(undefined);
  }

  /** Our offer was refused. */
  withdraw(): void {
    this.#reoffered = undefined;
    this.#session.withdraw();
  }

  /** Our 200 carried an offer, whose answer comes with the ACK. */
  get offersInAnswer(): boolean {
    return this.#session.hasOffered && this.#inAnswer;
  }

  #answer(now: number): string {
    const { offer, lines, removed, bundles } = this.#pending!;
    this.#pending = undefined;
    for (const [i, line] of lines.entries()) {
      if (line === undefined || !isTagged(bundles, i)) continue;
      if (!this.#transports.stays(line.channel, offer.media[i]!)) this.#transports.renew(line.channel);
    }
    const written = this.#session.answer(
      offer,
      offer.media.map((remote, i) => {
        if (remote.content === 'slides' && remote.problem === undefined)
          return { port: NO_PORT, direction: 'inactive' };
        const line = lines[i];
        return line === undefined ? undefined : this.#answered(line, offer, i, bundles);
      }),
      bundles,
    );
    if (!written.ok) throw new Error(`an admitted offer cannot be answered: ${written.reason}`);
    this.#lines = lines;
    this.#bundles = bundles;
    this.#settle(removed, now);
    return written.value.sdp;
  }

  #answered(line: Line, offer: Offer, index: number, bundles: readonly Bundle[]): LocalMediaAnswer {
    const { port, channel } = line;
    const remote = offer.media[index]!;
    const codec = this.conference.codecs.choose(channel.setup.media, remote.codecs)!;
    const { role } = this.#session.lines[index] ?? {};
    const keepsRole = role !== undefined && this.#transports.stays(channel, offer.media[tagOf(bundles, index)]!);
    const crypto = remote.security === 'sdes' ? this.#sdes.answer(channel.setup.id, remote) : undefined;
    return {
      ...{ port, tlsId: this.#transports.tlsId(channel), payloadTypes: [codec.payloadType] },
      ...{ audioLevels: channel.setup.readable, named: bundles.some((b) => b.includes(index)) },
      ...this.#limitOf(line),
      ...(keepsRole ? { role } : {}),
      ...(crypto === undefined ? {} : { crypto }),
      ...this.#transports.iceAnswer(channel, offer.media[tagOf(bundles, index)]!),
    };
  }

  #offered(line: Line, index: number): LocalMediaOffer {
    const { direction, replace } = this.#reoffered!;
    const { media } = line.channel.setup;
    const other = replace?.get(media);
    const agreed = this.#session.lines[index];
    const { transport } = (other ?? line).channel.setup;
    const cryptos = transport === 'sdes' ? this.#sdes.offer((other ?? line).channel.setup.id) : undefined;
    const sameKind = transport === line.channel.setup.transport;
    const feedback = media === 'video' ? ['nack', 'nack pli', 'ccm fir'] : [];
    return {
      ...{ media, port: (other ?? line).port, security: transport },
      ...(cryptos === undefined ? {} : { cryptos }),
      ...this.#transports.iceOffer((other ?? line).channel, line.channel),
      codecs: agreed?.received ?? this.conference.codecs.offered(media, feedback),
      direction: direction ?? agreed?.direction ?? 'sendrecv',
      ...this.#limitOf(other ?? line),
      ...(agreed?.remote.mid === undefined ? {} : { mid: agreed.remote.mid }),
      ...(agreed === undefined || !line.channel.setup.readable ? {} : { extensions: agreed.remote }),
      ...(agreed === undefined || !sameKind ? {} : { protocol: agreed.remote.protocol }),
      // RFC 8842 §5.1: only where the peer knows it; without it a new association needs another fingerprint or port.
      ...(transport !== 'dtls' || (agreed !== undefined && agreed.remote.tlsId === undefined)
        ? {}
        : { tlsId: this.#transports.tlsId(line.channel) }),
    };
  }

  /** RFC 3890: what we want to receive at most, which is what the others do. */
  #limitOf({ channel }: Pick<Line, 'channel'>): { readonly bandwidthBitsPerSecond?: number } {
    const { media, id } = channel.setup;
    const bandwidthBitsPerSecond = this.conference.codecs.sayLimit(media, id);
    return bandwidthBitsPerSecond === undefined ? {} : { bandwidthBitsPerSecond };
  }

  /** What is agreed now goes to the channels and the conference. */
  #settle(removed: readonly Line[], now: number): void {
    const { conference } = this;
    for (const [i, agreed] of this.#session.lines.entries()) {
      const line = this.#lines[i];
      if (line === undefined) continue;
      const { channel } = line;
      const codec = agreed.codecs[0];
      if (codec !== undefined) conference.codecs.use(channel.setup.media, codec);
      conference.codecs.limit(channel.setup.media, channel.setup.id, agreed.remote.bandwidthBitsPerSecond);
      this.#tell(channel, agreed, i, now);
      const { remote } = agreed;
      const sends = remote.direction === 'sendrecv' || remote.direction === 'sendonly';
      const receives = remote.direction === 'sendrecv' || remote.direction === 'recvonly';
      conference.apply({ type: 'channel-direction', channel: channel.setup.id, sends, receives }, now);
    }
    wipeKeys(
      this.#session.lines.map(({ remote }) => remote),
      (key) => this.#sdes.holds(key),
    );
    if (removed.length === 0) return;
    const channels = removed.map(({ channel }) => channel.setup.id);
    conference.removeChannels(this.member, channels, now);
    for (const id of channels) this.#sdes.forget(id);
    for (const channel of this.#transports.leave(removed.map((line) => line.channel))) this.#host.closed(channel);
  }

  #tell(channel: SwitchChannel, agreed: AgreedLine, index: number, now: number): void {
    const { remote, role, codecs, received } = agreed;
    const { media, readable } = channel.setup;
    const sdes = this.#sdes.take(channel.setup.id);
    const carried = (list: readonly SdpCodec[]) => list.filter((c) => this.conference.codecs.isChosen(media, c));
    channel.agree({
      payloadTypes: this.conference.codecs.payloadTypes(media, readable, carried(codecs), carried(received)),
      rtcpMux: remote.rtcpMux,
      ...(remote.rtcp === undefined ? {} : { rtcp: remote.rtcp }),
      ...pictureRequest(remote),
      ...(sdes === undefined ? {} : { sdes }),
      ...(channel.setup.readable && remote.audioLevelId !== undefined ? { audioLevelId: remote.audioLevelId } : {}),
      ...midOf(remote, this.#bundles),
    });
    // Keys of signalling are in force from here.
    this.conference.news(channel, now);
    if (!isTagged(this.#bundles, index) || !this.#transports.tell(channel, remote)) return;
    const { address, fingerprints } = remote;
    channel.transport.leader.expect({ address, fingerprints, ...(role === undefined ? {} : { role }) }, now);
  }

  /** TIP and its channels are one socket a line (WIRE.md 2). */
  #bundle(offer: Offer, lines: readonly (Line | undefined)[], used: readonly (UsedLine | undefined)[]): Bundled {
    return this.#tip ? { bundles: [] } : bundle(offer, lines, used, this.conference.codecs);
  }

  #openAll(
    used: readonly (UsedLine | undefined)[],
    bundles: readonly Bundle[] = [],
    open: readonly (Line | undefined)[] = [],
  ): OpenedLines | 'failed' {
    const { conference, member, caller } = this;
    const nowhere = { address: caller, port: NO_PORT };
    return openLines(used, { conference, member, nowhere }, this.#host, bundles, open);
  }
}
