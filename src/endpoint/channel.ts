/**
 * One channel of the reference endpoint: DTLS as client, TIP, the group parameter sets, and media under the endpoint's own
 * sender keys (WIRE.md 2 to 8), in whichever suite the conference has. A pull machine without socket or clock; `call.ts` drives it.
 */

import { readU32, toHex } from '../base/bytes.js';
import type { Engine } from '../base/engine.js';
import { ENDPOINT_OLD_SET_LIFETIME_MS, MAX_TIP_PACKET_BYTES, SENDER_REPORT_INTERVAL_MS } from '../base/limits.js';
import { ok } from '../base/result.js';
import { Secret } from '../base/secret.js';
import { EktReceiver } from '../srtp/ekt-receiver.js';
import { type GroupSet, senderKeyBytes } from '../srtp/group-set.js';
import { endpointOptions, TipMachine, type TipOutput } from '../tip/index.js';
import { parseMultiplexWord } from '../wire/csrc.js';
import { classify } from '../wire/demux.js';
import { parseRtcpPacket, type ReportBlock, splitCompound } from '../wire/rtcp.js';
import { buildControlCompound, writePli } from '../wire/rtcp-write.js';
import { isControlSsrc } from '../wire/rtp.js';
import { popCount, receivedInClear, suitesOver, toldBy, wipeSet } from './channel-parts.js';
import type { Security } from './channel-security.js';
import type { ChannelInput, ChannelOptions, ChannelOutput, OutgoingMedia, ReceivedMedia } from './channel-types.js';
import { ReceiverFeedback } from './receiver-feedback.js';
import { securityFor } from './shared-security.js';
import { OutgoingStreamSender } from './stream-sender.js';

const RTCP_APP = 204;

export class EndpointChannel implements Engine<ChannelInput, ChannelOutput> {
  readonly #options: ChannelOptions;
  readonly #outputs: ChannelOutput[] = [];
  /** Undefined on a plain channel. */
  readonly #security: Security | undefined;
  readonly #receiver = new EktReceiver();
  readonly #senders: OutgoingStreamSender[];
  /** Installed sets with the time at which each leaves; the newest has none. */
  readonly #sets = new Map<number, { readonly set: GroupSet; expires: number | undefined }>();
  #tip: TipMachine | undefined;
  #trailingByte = false;
  /** Whose packet came last. */
  #heard: number | undefined;
  /** EKT is not in force: media is under the channel keys. */
  #hopByHop: boolean;
  readonly #feedback: ReceiverFeedback;
  #nextReport: number | undefined;
  #closed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { keying, standard = false } = options;
    if (keying !== undefined) this.#security = securityFor(keying, options.logKeys === true);
    this.#hopByHop = standard;
    this.#senders = options.streams.map((stream) => new OutgoingStreamSender(stream, options));
    const { controlSsrc, clockRateHz, nack = false } = options;
    this.#feedback = new ReceiverFeedback({ controlSsrc, clockRateHz, nack, plain: keying === undefined || standard });
  }

  /** For the channels that follow. */
  get security(): Security | undefined {
    return this.#security;
  }

  /** True once media may be sent: the first set is installed (or the channel is plain, or has all the keys it will have). */
  get canSend(): boolean {
    if (this.#closed || this.#security === undefined) return !this.#closed;
    return this.#security.keyed && (this.#hopByHop || this.#sets.size > 0);
  }

  receive(input: ChannelInput, now: number): void {
    if (this.#closed) return;
    switch (input.type) {
      case 'start':
        if (this.#security === undefined) this.#startTip(false, now);
        else this.#security.receive(input, now);
        if (this.canSend) this.#nextReport = now;
        break;
      case 'renew':
        this.#security?.receive(input, now);
        break;
      case 'datagram':
        this.#datagram(input.bytes, now);
        break;
      case 'media':
        this.#send(input, now);
        break;
      case 'activate-set':
        this.#activate(input.spiWord);
        break;
      case 'want-refresh':
        this.#wantRefresh(input.csrc, now);
        break;
      case 'close':
        this.#close(now);
        return;
      case 'tick':
        this.#security?.receive({ type: 'tick' }, now);
        this.#tip?.receive({ type: 'tick' }, now);
        this.#feedback.receive({ type: 'tick' }, now);
        this.#tick(now);
        break;
    }
    this.#drain(now);
  }

  poll(): ChannelOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    const times = [this.#security?.deadline(), this.#tip?.deadline(), this.#feedback.deadline(), this.#nextReport];
    for (const { expires } of this.#sets.values()) times.push(expires);
    const due = times.filter((t) => t !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  #datagram(bytes: Uint8Array, now: number): void {
    switch (classify(bytes)) {
      case 'dtls':
        this.#security?.receive({ type: 'datagram', bytes }, now);
        break;
      case 'rtcp':
        this.#rtcp(bytes, now);
        break;
      case 'rtp':
        this.#rtp(bytes, now);
        break;
      case 'other':
        this.#outputs.push({ type: 'dropped', name: 'unknown_protocol' });
    }
  }

  #rtp(bytes: Uint8Array, now: number): void {
    const { media } = this.#options;
    if (this.#security === undefined || this.#hopByHop) {
      if (this.#security?.keyed === false) return this.#drop('not_ready');
      const clear = this.#security === undefined ? ok(bytes) : this.#security.unprotectRtp(bytes);
      if (!clear.ok) return this.#drop(clear.reason);
      const rtp = receivedInClear(clear.value, media, this.#options.standard === true);
      return rtp.ok ? this.#received(rtp.value, 'sequence', now) : this.#drop(rtp.reason);
    }
    const received = this.#receiver.receiveRtp(bytes, now);
    if (!received.ok) return this.#drop(received.reason);
    const first = received.value.csrcs[0];
    if (first === undefined) return this.#drop('no_multiplex_word');
    const { source, sink } = parseMultiplexWord(first);
    this.#received({ ...received.value, media, source, sink }, 'index', now);
  }

  #received(rtp: ReceivedMedia, known: 'index' | 'sequence', now: number): void {
    const { ssrc, index, timestamp, sink } = rtp;
    const own = this.#senders.findIndex((sender) => sender.ssrc === ssrc);
    if (own >= 0) this.#giveUpSsrc(own);
    this.#heard = ssrc;
    this.#outputs.push({ type: 'received', rtp });
    this.#feedback.receive({ type: 'packet', ssrc, known, value: index, timestamp, sink }, now);
  }

  /** Somebody else has our SSRC (RFC 3550 §8.2): the switch keeps it for who had it first (WIRE.md 10), so we take another. */
  #giveUpSsrc(index: number): void {
    const { position } = this.#senders[index]!;
    this.#senders[index]!.wipe();
    // The low byte 00 is control's (WIRE.md 3).
    const ssrc = (readU32(this.#options.random(4), 0) | 1) >>> 0;
    const sender = new OutgoingStreamSender({ position, ssrc }, this.#options);
    this.#senders[index] = sender;
    const newest = [...this.#sets.values()].at(-1)?.set;
    if (newest !== undefined) this.#useFreshKey(sender, newest);
  }

  #rtcp(bytes: Uint8Array, now: number): void {
    if (bytes.length < 8) return this.#drop('malformed');
    if (!this.#hopByHop && !isControlSsrc(readU32(bytes, 4))) {
      // Media RTCP of another sender: it brings keys and ROC early, and its clock (WIRE.md 3).
      const received = this.#security === undefined ? ok({ compound: bytes }) : this.#receiver.receiveRtcp(bytes, now);
      if (!received.ok) return this.#drop(received.reason);
      this.#feedback.receive({ type: 'media-rtcp', compound: received.value.compound }, now);
      return;
    }
    if (this.#security?.keyed === false) return this.#drop('not_ready');
    const plain = this.#security === undefined ? ok(bytes) : this.#security.unprotectRtcp(bytes);
    if (!plain.ok) return this.#drop(plain.reason);
    const packets = splitCompound(plain.value);
    if (!packets.ok) return this.#drop('malformed');
    for (const packet of packets.value) {
      if (packet[1] === RTCP_APP) {
        if (packet.length <= MAX_TIP_PACKET_BYTES) this.#tip?.receive({ type: 'packet', bytes: packet }, now);
        continue;
      }
      const parsed = parseRtcpPacket(packet);
      if (parsed.ok) this.#outputs.push(...toldBy(parsed.value, this.#senders));
    }
    if (!isControlSsrc(readU32(bytes, 4))) this.#feedback.receive({ type: 'media-rtcp', compound: plain.value }, now);
  }

  #drain(now: number): void {
    for (let again = true; again; ) {
      again = false;
      for (let out = this.#security?.poll(); out !== undefined; out = this.#security?.poll()) {
        again = true;
        if (out.type !== 'keyed') this.#outputs.push(out);
        else {
          this.#outputs.push({ type: 'keyed', profile: out.profile, peerFingerprint: out.peerFingerprint });
          // What was negotiated under the old keys goes on under new ones.
          if (!out.renewed) this.#begin(now, out.profile);
        }
      }
      for (let out = this.#tip?.poll(); out !== undefined; out = this.#tip?.poll()) {
        again = true;
        this.#onTip(out, now);
      }
      for (let out = this.#feedback.poll(); out !== undefined; out = this.#feedback.poll()) {
        again = true;
        if (out.type === 'control') this.#sendControl(out.packets, out.reports);
        else this.#wantRefresh((out.sink << 4) | out.sink, now);
      }
    }
  }

  /** The channel has its keys. */
  #begin(now: number, profile: number): void {
    if (this.#options.standard !== true) return this.#startTip(true, now, profile);
    this.#nextReport = now;
    this.#outputs.push({ type: 'hop-by-hop' });
  }

  #startTip(secure: boolean, now: number, profile?: number): void {
    const { media, controlSsrc, tipVersion, conferenceId, streams, receiveMask } = this.#options;
    // Plain RTP has no tag before which a trailing byte could stand (WIRE.md 7), so it is not offered there.
    const none = { transmit: [], receive: [] };
    this.#tip = new TipMachine({
      role: 'endpoint',
      media,
      ssrc: controlSsrc,
      version: tipVersion,
      secure,
      feedback: false,
      conferenceId,
      numXmit: streams.length,
      numRcv: popCount(receiveMask),
      transmitMask: streams.reduce((mask, s) => mask | (1 << s.position), 0),
      receiveMask,
      options: secure ? endpointOptions(media, true) : none,
      ...(secure ? { suites: suitesOver(profile) } : {}),
    });
    this.#tip.receive({ type: 'start' }, now);
  }

  #wantRefresh(targetCsrc: number, now: number): void {
    if (this.#options.standard !== true) this.#tip?.receive({ type: 'refresh', targetCsrc, flags: 0 }, now);
    else if (this.#heard !== undefined) this.#sendControl([writePli(this.#options.controlSsrc, this.#heard)]);
  }

  #sendControl(packets: readonly Uint8Array[], reports: readonly ReportBlock[] = []): void {
    const { controlSsrc, cname } = this.#options;
    const compound = buildControlCompound({ ssrc: controlSsrc, cname, reports }, packets);
    this.#outputs.push({ type: 'send', bytes: this.#security?.protectRtcp(compound) ?? compound });
  }

  #onTip(out: TipOutput, now: number): void {
    const { media } = this.#options;
    switch (out.type) {
      case 'send':
        this.#sendControl([out.packet]);
        break;
      case 'negotiated':
      case 'renegotiated':
        this.#trailingByte = media === 'audio' ? out.inForce.transmit.activityMetric : out.inForce.transmit.refreshFlag;
        this.#outputs.push({ type: 'negotiated', peer: out.peer });
        if (this.#security !== undefined) this.#followEkt(out, now);
        break;
      case 'set':
        this.#install(out.set, now);
        break;
      case 'notified':
        this.#outputs.push({ type: 'notified', secure: out.secure });
        break;
      case 'refresh-requested':
        this.#outputs.push({ type: 'refresh-requested', position: parseMultiplexWord(out.targetCsrc).source });
        break;
      case 'flow-requested':
        if (out.direction === 'transmit' && out.opcode !== 2) {
          const { source } = parseMultiplexWord(out.targetCsrc);
          for (const s of this.#senders) if (s.position === source) s.stopped = out.opcode === 1;
        }
        break;
      case 'failed':
        this.#fail(out.reason, 'no TIP answer from the switch');
        break;
    }
  }

  /** The switch offers EKT, or no longer does: we offer the same, and send and receive by it (WIRE.md 4). */
  #followEkt({ peerOffersEkt }: { readonly peerOffersEkt: boolean }, now: number): void {
    if (peerOffersEkt !== this.#hopByHop) return;
    this.#hopByHop = !peerOffersEkt;
    const none = { transmit: [], receive: [] };
    const options = peerOffersEkt ? endpointOptions(this.#options.media, true) : none;
    this.#tip?.receive({ type: 'options', options }, now);
    // Sets come anew with EKT; the old ones are nobody's business meanwhile.
    for (const sender of this.#senders) sender.dropKey();
    for (const [spiWord, { set }] of this.#sets) {
      this.#receiver.dropSet(spiWord);
      wipeSet(set);
    }
    this.#sets.clear();
    this.#nextReport ??= now;
    if (this.#hopByHop) this.#outputs.push({ type: 'hop-by-hop' });
  }

  #install(set: GroupSet, now: number): void {
    const added = this.#receiver.addSet(set);
    if (!added.ok) return this.#fail('set-refused', added.reason);
    for (const entry of this.#sets.values()) entry.expires ??= now + ENDPOINT_OLD_SET_LIFETIME_MS;
    const first = this.#sets.size === 0;
    this.#sets.set(set.spiWord, { set, expires: undefined });
    if (this.#options.logKeys) {
      const [kek, masterSalt] = [set.kek, set.masterSalt].map((s) => s.use(toHex)) as [string, string];
      this.#outputs.push({
        type: 'key-log',
        entry: { kind: 'group-parameter-set', spiWord: set.spiWord, kek, masterSalt },
      });
    }
    if (first) {
      this.#activate(set.spiWord);
      this.#nextReport = now;
    }
    this.#tip?.receive({ type: 'set-installed', spiWord: set.spiWord }, now);
    this.#outputs.push({ type: 'set-installed', spiWord: set.spiWord });
  }

  #activate(spiWord: number): void {
    const entry = this.#sets.get(spiWord);
    if (entry === undefined) return;
    for (const sender of this.#senders) this.#useFreshKey(sender, entry.set);
  }

  #useFreshKey(sender: OutgoingStreamSender, set: GroupSet): void {
    const key = new Secret(this.#options.random(senderKeyBytes(set.suite)));
    if (this.#options.logKeys) {
      this.#outputs.push({
        type: 'key-log',
        entry: { kind: 'sender-key', ssrc: sender.ssrc, spiWord: set.spiWord, key: key.use(toHex) },
      });
    }
    sender.useKey(set, key);
  }

  #send(media: OutgoingMedia, now: number): void {
    if (!this.canSend) return;
    const sender = this.#senders.find((s) => s.position === media.position);
    const packet = sender?.protect(media, this.#trailingByte, now);
    if (sender === undefined || packet === undefined) return;
    const { ssrc, position } = sender;
    const secured = this.#hopByHop ? this.#security!.protectRtp(packet.bytes) : ok(packet.bytes);
    if (!secured.ok) return this.#drop(secured.reason);
    this.#outputs.push({ type: 'send', bytes: secured.value });
    this.#outputs.push({ type: 'sent', ssrc, position, sequence: packet.sequence, payload: media.payload });
  }

  #tick(now: number): void {
    for (const [spiWord, { set, expires }] of this.#sets) {
      if (expires === undefined || expires > now) continue;
      this.#sets.delete(spiWord);
      this.#receiver.dropSet(spiWord);
      wipeSet(set);
    }
    if (this.#nextReport === undefined || this.#nextReport > now) return;
    this.#receiver.expire(now);
    this.#nextReport = now + SENDER_REPORT_INTERVAL_MS;
    for (const sender of this.#senders) {
      const report = sender.report(now);
      if (report === undefined) continue;
      this.#outputs.push({ type: 'send', bytes: this.#hopByHop ? this.#security!.protectRtcp(report) : report });
    }
  }

  #drop(name: Extract<ChannelOutput, { type: 'dropped' }>['name']): void {
    this.#outputs.push({ type: 'dropped', name });
  }

  #fail(reason: Extract<ChannelOutput, { type: 'failed' }>['reason'], detail: string): void {
    this.#outputs.push({ type: 'failed', reason, detail });
  }

  #close(now: number): void {
    this.#security?.receive({ type: 'close' }, now);
    this.#tip?.receive({ type: 'stop' }, now);
    this.#drain(now);
    this.#closed = true;
    this.#nextReport = undefined;
    this.#receiver.wipe();
    for (const sender of this.#senders) sender.wipe();
    for (const { set } of this.#sets.values()) wipeSet(set);
    this.#sets.clear();
  }
}
