/** One m-line of one call on the switch's side: its DTLS candidates, its TIP machine, what the relay is told of it. */
import type { Address } from '../base/ids.js';
import { LEVEL_CHANGE_ANSWER_TIMEOUT_MS } from '../base/limits.js';
import type { ChannelKeys } from '../relay/contract.js';
import type { Level } from '../security/levels.js';
import { endToEndCapable, switchOptions, type TipMachine, type TipOutput, type TipPeer } from '../tip/index.js';
import { type Capability, type InForce, listsSuite } from '../tip/options.js';
import { parseRtcpPacket, type ReportBlock, RTCP_APP, type RtcpPacket, splitCompound } from '../wire/rtcp.js';
import { buildControlCompound, writeFir, writePli } from '../wire/rtcp-write.js';
import type { Suite } from '../wire/tip.js';
import type { ChannelAgreement, ChannelHost, ChannelNews, ChannelSetup } from './channel-contract.js';
import { ChannelTransport } from './channel-transport.js';
import { Consent } from './consent.js';
import type { AssociationNumber, AssociationReport } from './contract.js';
import { DtlsCandidates, type DtlsNews, type ExpectedPeer } from './dtls-candidates.js';
import { RelayChannel } from './relay-channel.js';
import { RtcpPort } from './rtcp-port.js';
import { listedOn, profilesFor } from './suites.js';
import { switchTip } from './tip-facts.js';

type TipSet = Extract<Parameters<TipMachine['receive']>[0], { type: 'spimap' }>['set'];

export class SwitchChannel {
  #setup: ChannelSetup;
  readonly #host: ChannelHost;
  readonly #news: ChannelNews[] = [];
  /** Undefined on a plain channel. */
  readonly #dtls: DtlsCandidates | undefined;
  #agreed: ChannelAgreement = { payloadTypes: [], rtcpMux: false };
  /** As told the relay last. */
  #level: { readonly level: Level; readonly ready: boolean } = { level: 'unknown', ready: false };
  #keyed = false;
  #tip: TipMachine | undefined;
  #transmitMask = 0;
  #tipDone = false;
  #trailingByte = false;
  /** What our MUXCTRL lists. */
  #suites: readonly Suite[] | undefined;
  #closed = false;
  #now = 0;
  /** For those that follow. */
  readonly relay: RelayChannel;
  /** Its own, or its bundle's. */
  readonly transport: ChannelTransport;
  readonly #rtcp: RtcpPort;
  readonly consent: Consent;
  /** What our MEDIAOPTS offers, and what both sides have come to. */
  #wantsEkt = true;
  #ektInForce = true;
  /** Until when they have to. */
  #followBy: number | undefined;
  /** Keys of signalling; wiped with the channel. */
  #sdes: ChannelKeys | undefined;
  /** A set that waits until EKT is in force again. */
  #heldSet: TipSet | undefined;
  /** Of our FIRs: another number is another request (RFC 5104 §4.3.1.1). */
  #firSequence = 0;

  /** @param leader of its bundle (RFC 9143): whose socket, association and keys are this channel's too */
  constructor(setup: ChannelSetup, host: ChannelHost, leader?: SwitchChannel) {
    this.#setup = setup;
    this.#host = host;
    this.#rtcp = new RtcpPort(setup, host.relay);
    this.transport = leader?.transport ?? new ChannelTransport(this);
    this.transport.channels.add(this);
    const { id, readable } = setup;
    this.relay = new RelayChannel(id, readable, host.relay, (bytes) => host.random(bytes), leader?.relay);
    this.consent = new Consent(setup, host, (address, now) => this.#dtls?.nominated(address, now));
    if (setup.transport === 'dtls' && leader === undefined) {
      this.#dtls = new DtlsCandidates(setup.id, profilesFor(setup.suite), host, (news) => this.#onDtls(news));
    }
  }

  get setup(): ChannelSetup {
    return this.#setup;
  }

  /** No TIP is begun here; before {@link agree}. */
  withoutTip(): void {
    this.#setup = { ...this.#setup, tip: false };
  }

  /** Its m-line is gone; the transport stays for those that follow, and the first of them is told what becomes of it. */
  retire(): void {
    this.transport.channels.delete(this);
    this.#level = { level: 'unknown', ready: false };
    this.agree({ payloadTypes: [], rtcpMux: true });
  }

  takeNews(): ChannelNews | undefined {
    return this.#news.shift() ?? this.transport.wardOf(this)?.takeNews();
  }

  deadline(): number | undefined {
    const parts = [this.#tip, this.#dtls, this.consent, this.transport.wardOf(this)];
    const due = [this.#followBy, ...parts.map((part) => part?.deadline())].filter((at) => at !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  tick(now: number): void {
    this.#now = now;
    this.#dtls?.tick(now);
    this.transport.wardOf(this)?.tick(now);
    if (this.#tip !== undefined) this.#toTip({ type: 'tick' }, now);
    this.#news.push(...this.consent.tick(now));
    if (this.#followBy === undefined || this.#followBy > now) return;
    this.#followBy = undefined;
    const detail = `no MEDIAOPTS with${this.#wantsEkt ? '' : 'out'} EKT on the ${this.setup.media} channel`;
    this.#news.push({ type: 'not-followed', detail });
  }

  /** Offer and answer have agreed on this, at first or anew. */
  agree(agreed: ChannelAgreement): void {
    this.#agreed = agreed;
    if (agreed.sdes !== undefined) this.#takeSdes(agreed.sdes);
    this.#rtcp.agree(agreed, this.setup.tip);
    const { fingerprint } = this.transport;
    if (!this.#keyed && fingerprint !== undefined) this.#isKeyed(fingerprint);
    this.#tellRelay();
  }

  /** Whom signalling names as the peer, at first or for a new association; on a plain channel where RTP goes to. */
  expect(named: Omit<ExpectedPeer, 'checks'>, now: number): void {
    this.#now = now;
    const peer = this.consent.expected(named);
    const { id, transport, latch } = this.setup;
    this.#dtls?.expect(peer, now);
    // With keys of signalling the first packet that verifies says where it is.
    if (transport === 'sdes' && peer.address !== undefined) this.#host.relay.awaitPeer(id, peer.address, false);
    if (transport !== 'plain' || peer.address === undefined) return;
    this.#host.relay.provePeer(id, peer.address);
    if (latch !== undefined) this.#host.relay.latch(id, latch);
  }

  /** A DTLS datagram that reached the channel's port. */
  dtls(from: Address, bytes: Uint8Array, now: number): void {
    if (!this.#closed) this.#dtls?.datagram(from, bytes, now);
  }

  association(number: AssociationNumber, report: AssociationReport, now: number): void {
    this.#now = now;
    this.#dtls?.association(number, report);
  }

  /** A verified control compound, or feedback (WIRE.md 3). */
  control(rtcp: Uint8Array, tipAllowed: boolean, now: number): void {
    if (!this.#rtcp.admits(now)) return;
    const packets = splitCompound(rtcp, { reducedSize: true });
    if (this.#closed || !packets.ok) return;
    for (const packet of packets.value) {
      if (packet[1] === RTCP_APP) {
        if (!tipAllowed) continue;
        // On a plain channel TIP is the caller's choice; its first packet starts ours.
        if (this.#tip === undefined && this.setup.transport === 'plain') this.#startTip(false, now);
        if (this.#tip !== undefined) this.#toTip({ type: 'packet', bytes: packet }, now);
        continue;
      }
      const parsed = parseRtcpPacket(packet);
      if (parsed.ok) this.#feedback(parsed.value);
    }
  }

  sendSet(set: TipSet, now: number): void {
    if (this.#tipDone && !(this.#wantsEkt && this.#ektInForce)) this.#heldSet = set;
    else if (this.#tip !== undefined) this.#toTip({ type: 'spimap', set }, now);
  }

  notify(secure: boolean, now: number): void {
    if (this.#tip !== undefined) this.#toTip({ type: 'notify', secure }, now);
  }

  /** TXFLOWCTRL (WIRE.md 4): the stream of this position is wanted, or nobody watches it. */
  flow(position: number, start: boolean, now: number): void {
    if (this.#tip === undefined || !this.#tipDone) return;
    const targetCsrc = (position << 4) | position;
    this.#toTip({ type: 'flow', direction: 'transmit', opcode: start ? 0 : 1, targetCsrc }, now);
  }

  /**
   * Asks the source for a refresh point: TIP REFRESH; PLI (RFC 4585 §6.3.1), or FIR (RFC 5104 §4.3.1) where that is all it
   * takes, from a source without TIP that speaks AVPF.
   * @param ssrc the stream at this position; undefined while nothing of it came
   */
  requestRefresh(position: number, ssrc: number | undefined, now: number): void {
    const targetCsrc = (position << 4) | position;
    if (this.#tip !== undefined && this.#tipDone) this.#toTip({ type: 'refresh', targetCsrc, flags: 0 }, now);
    else if ((this.setup.transport === 'plain' || !this.setup.tip) && ssrc !== undefined) this.#requestPicture(ssrc);
  }

  #requestPicture(ssrc: number): void {
    const { pictureRequest } = this.#agreed;
    if (pictureRequest === 'pli') this.#sendControl([writePli(this.#ssrc, ssrc)]);
    if (pictureRequest !== 'fir') return;
    this.#firSequence = (this.#firSequence + 1) & 0xff;
    this.#sendControl([writeFir(this.#ssrc, [{ ssrc, sequence: this.#firSequence }])]);
  }

  /** An RR on what the relay received here (RFC 3550 §6.4.2). */
  report(reports: readonly ReportBlock[]): void {
    this.#sendControl([], reports);
  }

  /**
   * The level that the conference has it at. Between end-to-end and hop-by-hop a TIP endpoint is led by MEDIAOPTS, with and
   * without EKT; until both sides have ACKed no media flows to or from it.
   */
  setLevel(level: Level, ready: boolean, now: number): void {
    this.#now = now;
    this.#level = { level, ready };
    if (this.setup.readable && this.setup.transport === 'dtls' && this.#tipDone) {
      const ekt = level !== 'hop-by-hop';
      if (ekt !== this.#wantsEkt) {
        this.#wantsEkt = ekt;
        const options = ekt ? switchOptions(this.setup.media, true) : { transmit: [], receive: [] };
        this.#followBy = now + LEVEL_CHANGE_ANSWER_TIMEOUT_MS;
        this.#toTip({ type: 'options', options }, now);
      }
    }
    this.#tellRelay();
  }

  #tellRelay(): void {
    const { level, ready } = this.#level;
    const { payloadTypes, audioLevelId, mid } = this.#agreed;
    const { readable, transport, tip } = this.setup;
    // In clear, who speaks TIP is given the sources' own streams; the switch's are for sources without positions.
    const ends = readable && (transport === 'plain' ? this.#tipDone || !tip : level === 'hop-by-hop');
    const follows = !this.#tipDone || this.#ektInForce === this.#wantsEkt || transport === 'plain';
    this.relay.tell(
      {
        tip: this.#tipDone,
        transmitMask: this.#transmitMask,
        trailingByte: this.#trailingByte,
        level,
        ready: ready && follows,
        payloadTypes,
        ...(mid === undefined ? {} : { mid }),
      },
      ends && follows,
      audioLevelId,
    );
  }

  /** The keys of a later offer and answer take the place of the first ones (RFC 4568 §7.1.4). */
  #takeSdes(keys: ChannelKeys): void {
    this.#sdes = keys;
    this.relay.setKeys(keys);
    if (!this.#keyed) this.#news.push({ type: 'keyed', fingerprint: '' });
    this.#keyed = true;
  }

  close(now: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tip?.receive({ type: 'stop' }, now);
    this.#tip = undefined;
    this.#dtls?.close();
    this.consent.close();
    this.#sdes?.local.wipe();
    this.#sdes?.remote.wipe();
    this.transport.channels.delete(this);
    this.#host.relay.closeChannel(this.setup.id);
  }

  #onDtls(news: DtlsNews): void {
    if (news.type !== 'keys') {
      this.#news.push(news);
      return;
    }
    const { profile, local, remote, peerFingerprint: fingerprint } = news.report;
    this.#host.relay.provePeer(this.setup.id, news.address);
    this.relay.setKeys({ profile, local, remote });
    const first = this.transport.fingerprint === undefined;
    this.transport.fingerprint = fingerprint;
    for (const channel of this.transport.channels) channel.#isKeyed(fingerprint);
    if (!first || !this.setup.tip) return;
    this.#suites = listedOn(this.setup.suite, profile);
    this.#startTip(true, this.#now);
  }

  #isKeyed(fingerprint: string): void {
    const type = this.#keyed ? 'rekeyed' : 'keyed';
    this.#keyed = true;
    this.#news.push({ type, fingerprint });
    // What was negotiated goes on under the new keys (RFC 8842 §1: the association changes, the session does not); what the
    // switch sends itself are new streams.
    if (type === 'rekeyed') this.#tellRelay();
  }

  #startTip(secure: boolean, now: number): void {
    const { media, conferenceId } = this.setup;
    this.#tip = switchTip({ media, conferenceId, ssrc: this.#ssrc, secure, suites: this.#suites });
    this.#toTip({ type: 'start' }, now);
  }

  #toTip(input: Parameters<TipMachine['receive']>[0], now: number): void {
    const tip = this.#tip;
    if (tip === undefined) return;
    tip.receive(input, now);
    for (let out = tip.poll(); out !== undefined; out = tip.poll()) this.#onTip(out);
  }

  #onTip(out: TipOutput): void {
    const { id, cname, media, transport } = this.setup;
    switch (out.type) {
      case 'send':
        this.#host.relay.sendControl(id, buildControlCompound({ ssrc: this.#ssrc, cname }, [out.packet]));
        break;
      case 'negotiated':
      case 'renegotiated': {
        this.#tipDone = true;
        if (out.type === 'renegotiated' && this.#followed(out)) break;
        this.#transmitMask = out.peer.transmitMask;
        this.#trailingByte = media === 'audio' ? out.inForce.receive.activityMetric : out.inForce.receive.refreshFlag;
        const capability = this.#capability(out);
        const reason = capability.capable ? undefined : capability.reason;
        this.#news.push({
          type: 'negotiated',
          peer: out.peer,
          inForce: out.inForce,
          capable: capability.capable,
          reason,
        });
        break;
      }
      case 'spimap-acked':
        this.#host.relay.setAcked(id, out.spiWord);
        this.#news.push({ type: 'set-acked', spiWord: out.spiWord });
        break;
      case 'notify-acked':
        this.#news.push({ type: 'notify-acked', secure: out.secure });
        break;
      case 'refresh-requested':
        this.#news.push({ type: 'refresh-wanted', sink: out.targetCsrc & 0xf });
        break;
      case 'failed':
        // A plain caller that stops talking TIP loses nothing by it: it never was more than `none`.
        if (transport === 'plain') break;
        this.#news.push({
          type: 'failed',
          reason: out.reason === 'spimap-timeout' ? 'spimap-timeout' : 'media-timeout',
          detail: `no answer on the ${media} channel`,
        });
        break;
      case 'dropped':
        this.#host.output({ type: 'refused-input', protocol: 'tip', reason: out.reason });
        break;
      case 'refused':
      case 'not-capable':
      case 'unanswered':
        this.#host.output({ type: 'log', level: 'debug', message: `TIP ${out.type}`, fields: { channel: id } });
        break;
    }
  }

  /** @returns true for the peer's part in a change between EKT and channel keys that we began: no word on what it can. */
  #followed({ inForce, peerOffersEkt }: Extract<TipOutput, { type: 'renegotiated' }>): boolean {
    if (this.#wantsEkt && this.#ektInForce) return false;
    if (peerOffersEkt !== this.#wantsEkt) return true;
    const { activityMetric, refreshFlag } = inForce.receive;
    this.#trailingByte = this.setup.media === 'audio' ? activityMetric : refreshFlag;
    this.#ektInForce = this.#wantsEkt;
    this.#followBy = undefined;
    this.#tellRelay();
    const set = this.#heldSet;
    this.#heldSet = undefined;
    if (set !== undefined && this.#wantsEkt) this.#toTip({ type: 'spimap', set }, this.#now);
    return true;
  }

  /** Both sides must list the conference's suite: a peer may list more than this channel's profile allows. */
  #capability({ peer, inForce }: { readonly peer: TipPeer; readonly inForce: InForce }): Capability {
    const { suite } = this.setup;
    if (this.#suites !== undefined && !listsSuite(this.#suites, suite)) return { capable: false, reason: 'no-suite' };
    return endToEndCapable(peer, inForce, suite);
  }

  /** SSRC of our control RTCP: its low byte is 00 (WIRE.md 3). */
  get #ssrc(): number {
    return (this.setup.id << 8) >>> 0;
  }

  /** Nothing goes to a port where a plain caller does not expect it; one that speaks TIP does (RFC 5761 §5.1.1). */
  #sendControl(packets: readonly Uint8Array[], reports: readonly ReportBlock[] = []): void {
    const { id, cname, transport } = this.setup;
    if (this.#closed || (transport !== 'dtls' && !this.#agreed.rtcpMux && !this.#rtcp.apart && this.#tip === undefined))
      return;
    this.#host.relay.sendControl(id, buildControlCompound({ ssrc: this.#ssrc, cname, reports }, packets));
  }

  #feedback(packet: RtcpPacket): void {
    const lost = (ssrc: number) => {
      const sink = this.relay.sinkOf(ssrc);
      this.#news.push(sink === undefined ? { type: 'picture-lost', ssrc } : { type: 'refresh-wanted', sink });
    };
    if (packet.type === 'pli') lost(packet.media);
    if (packet.type === 'fir') for (const { ssrc } of packet.requests) lost(ssrc);
  }
}
