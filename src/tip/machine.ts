/**
 * TIP and SPIMAP on one channel (WIRE.md 4): negotiation, group parameter sets, and the requests that ride along.
 *
 * This is a room of its own, between `wire` and its users `control` and `endpoint`, because both roles of a channel
 * share one machine and those two rooms may not import each other. It imports `wire` and `base` only.
 */
import type { Engine } from '../base/engine.js';
import { TIP_NEGOTIATION_TIMEOUT_MS } from '../base/limits.js';
import { Secret } from '../base/secret.js';
import type {
  Ack,
  Echo,
  MediaOpts,
  MuxCtrl,
  RequestToSendAck,
  SpiMap,
  Suite,
  TipKind,
  TipPacket,
  TipRequest,
  TipVersion,
} from '../wire/tip.js';
import { parseTip, writeTip } from '../wire/tip.js';
import { Inbox } from './inbox.js';
import { ntpOf } from './ntp.js';
import {
  bitsOf,
  DEFAULT_SUITE,
  ektCapable,
  endToEndCapable,
  type IncapableReason,
  type InForce,
  inForceOf,
  listsSuite,
  type OptionBits,
  type OptionNames,
  offerOf,
} from './options.js';
import { Outbox, type Unstamped, type UnstampedOf } from './outbox.js';
import { answerOf, mediaOptsOf, muxCtrlOf, outputOf, type PlainRequest, requestOf, stamp } from './packets.js';
import type { Agreed, TipDrop, TipFailure, TipInput, TipOptions, TipOutput, TipPeer } from './types.js';

export type TipState = 'idle' | 'negotiating' | 'done' | 'ended';

type Dropped = Exclude<TipDrop['reason'], 'malformed'>;

function wipe(set: { readonly masterSalt: Secret; readonly kek: Secret }): void {
  set.masterSalt.wipe();
  set.kek.wipe();
}

/** `idle` → start → `negotiating` → all four ACKed → `done`; a failure or `stop` leads to `ended` from anywhere. */
export class TipMachine implements Engine<TipInput, TipOutput> {
  readonly #options: TipOptions;
  #own: OptionBits;
  readonly #ownSuites: readonly Suite[];
  readonly #out: TipOutput[] = [];
  readonly #inbox = new Inbox();
  readonly #outbox = new Outbox((request, ntp) =>
    this.#out.push({ type: 'send', kind: request.type, packet: stamp(request, ntp, this.#version) }),
  );
  #state: TipState = 'idle';
  #startedAt = 0;
  #version: TipVersion;
  /** Our MEDIAOPTS was ACKed, and so our MUXCTRL before it. */
  #ownAcked = false;
  /** From the peer's MUXCTRL and MEDIAOPTS that we ACKed. */
  #peer: TipPeer | undefined;
  #offer: OptionBits | undefined;
  /** Defined from the moment that the negotiation is done. */
  #agreed: Agreed | undefined;
  /** The SPIMAP that waits for `set-installed`. */
  #installing: SpiMap | undefined;

  /** Throws on options that contradict themselves: a control SSRC with another low byte than 00, an option of the other media. */
  constructor(options: TipOptions) {
    if ((options.ssrc & 0xff) !== 0) throw new Error('a control SSRC has the low byte 00');
    this.#options = options;
    this.#own = this.#offered(options.options);
    this.#ownSuites = options.suites ?? [DEFAULT_SUITE];
    this.#version = options.version;
  }

  get state(): TipState {
    return this.#state;
  }

  receive(input: TipInput, now: number): void {
    // Time first: what comes at the very moment of a timeout comes too late, whoever drives the machine.
    this.#advance(now);
    if (input.type === 'tick') return;
    if (input.type === 'packet') this.#packet(input.bytes, now);
    else if (input.type === 'stop') this.#end();
    else if (this.#state === 'ended') this.#refuse(input, 'wrong-state');
    else if (input.type === 'start') this.#start(input, now);
    else if (input.type === 'options') this.#offerAnew(input, now);
    else if (input.type === 'spimap') this.#distribute(input, now);
    else if (input.type === 'set-installed') this.#installed(input, now);
    else this.#request(input, now);
  }

  poll(): TipOutput | undefined {
    return this.#out.shift();
  }

  deadline(): number | undefined {
    if (this.#state === 'idle' || this.#state === 'ended') return undefined;
    const repeat = this.#outbox.deadline();
    if (this.#state === 'done') return repeat;
    return Math.min(repeat ?? Number.POSITIVE_INFINITY, this.#startedAt + TIP_NEGOTIATION_TIMEOUT_MS);
  }

  // --- time and ends ---

  #advance(now: number): void {
    if (this.#state === 'idle' || this.#state === 'ended') return;
    if (this.#state === 'negotiating' && now >= this.#startedAt + TIP_NEGOTIATION_TIMEOUT_MS) {
      this.#fail('media-timeout');
      return;
    }
    const expired = this.#outbox.advance(now);
    for (const request of expired) if (request.type === 'spimap') wipe(request);
    // One failure is the end; what else expired with it does not matter any more.
    if (expired.some((request) => request.type === 'spimap')) this.#fail('spimap-timeout');
    else {
      for (const request of expired) this.#out.push({ type: 'unanswered', kind: request.type });
      this.#outbox.flush(now);
    }
  }

  #fail(reason: TipFailure): void {
    this.#out.push({ type: 'failed', reason });
    this.#end();
  }

  #end(): void {
    this.#state = 'ended';
    this.#installing = undefined;
    for (const set of this.#outbox.withdraw('spimap')) wipe(set);
  }

  #refuse(input: TipInput, reason: 'wrong-state' | 'wrong-role' | 'queue-full'): void {
    this.#out.push({ type: 'refused', input: input.type, reason });
  }

  // --- what we ask ---

  #start(input: TipInput, now: number): void {
    if (this.#state !== 'idle') this.#refuse(input, 'wrong-state');
    else {
      this.#state = 'negotiating';
      this.#startedAt = now;
      this.#outbox.post(muxCtrlOf(this.#options, this.#version), now);
    }
  }

  #offered({ transmit, receive }: OptionNames): OptionBits {
    const { media, secure } = this.#options;
    const bits = (names: OptionNames['transmit']): number =>
      bitsOf(media, secure ? names : names.filter((name) => name !== 'ekt'));
    return { transmit: bits(transmit), receive: bits(receive) };
  }

  #offerAnew(input: Extract<TipInput, { type: 'options' }>, now: number): void {
    if (this.#agreed === undefined) {
      this.#refuse(input, 'wrong-state');
      return;
    }
    this.#own = this.#offered(input.options);
    this.#ownAcked = false;
    this.#outbox.withdraw('mediaopts');
    this.#outbox.post(mediaOptsOf(this.#options.ssrc, this.#own), now);
    this.#outbox.flush(now);
  }

  #request(input: PlainRequest, now: number): void {
    if ((input.type === 'notify' || input.type === 'request-to-send') && this.#agreed && this.#version < 7)
      this.#out.push({ type: 'not-capable', request: input.type, reason: 'version' });
    else this.#post(input, requestOf(input, this.#options.ssrc), now);
  }

  #distribute(input: Extract<TipInput, { type: 'spimap' }>, now: number): void {
    if (this.#options.role !== 'switch') {
      this.#refuse(input, 'wrong-role');
      return;
    }
    const { spiWord, suite, cipher } = input.set;
    const masterSalt = input.set.masterSalt.use((bytes) => Secret.copyOf(bytes));
    const kek = input.set.kek.use((bytes) => Secret.copyOf(bytes));
    const set = { type: 'spimap', ssrc: this.#options.ssrc, spiWord, suite, cipher, masterSalt, kek } as const;
    if (this.#agreed !== undefined && this.#whyNot(set) !== undefined) this.#tellIncapable(set);
    else this.#post(input, set, now);
  }

  #post(input: TipInput, request: Unstamped, now: number): void {
    const posted = this.#outbox.post(request, now);
    if (posted.is === 'full') {
      if (request.type === 'spimap') wipe(request);
      this.#refuse(input, 'queue-full');
    } else if (posted.is === 'superseded' && posted.request.type === 'spimap') {
      this.#out.push({ type: 'spimap-superseded', spiWord: posted.request.spiWord });
      wipe(posted.request);
    }
  }

  /** Why this channel must not be given the set; a KEK goes nowhere else than to a peer that is proven to take it. */
  #whyNot(set: Suite): IncapableReason | 'suite-not-offered' | undefined {
    const { peer, inForce } = this.#agreed!;
    const verdict = endToEndCapable(peer, inForce, set);
    if (!verdict.capable) return verdict.reason;
    return listsSuite(this.#ownSuites, set) ? undefined : 'suite-not-offered';
  }

  #tellIncapable(set: UnstampedOf<'spimap'>): void {
    this.#out.push({ type: 'not-capable', request: 'spimap', reason: this.#whyNot(set)!, spiWord: set.spiWord });
    wipe(set);
  }

  /** Takes back what the peer, as it is now known, cannot be asked. */
  #withdrawImpossible(): void {
    const impossible = this.#outbox.withdraw('spimap', (set) => this.#whyNot(set) !== undefined);
    for (const set of impossible) this.#tellIncapable(set);
    if (this.#version >= 7) return;
    for (const _ of this.#outbox.withdraw('notify'))
      this.#out.push({ type: 'not-capable', request: 'notify', reason: 'version' });
    for (const _ of this.#outbox.withdraw('reqtosend'))
      this.#out.push({ type: 'not-capable', request: 'request-to-send', reason: 'version' });
  }

  #installed(input: Extract<TipInput, { type: 'set-installed' }>, now: number): void {
    const packet = this.#installing;
    if (this.#options.role !== 'endpoint') this.#refuse(input, 'wrong-role');
    else if (packet?.spiWord !== input.spiWord) this.#refuse(input, 'wrong-state');
    else {
      this.#installing = undefined;
      this.#answer(packet, now);
    }
  }

  // --- what we are told ---

  #packet(bytes: Uint8Array, now: number): void {
    if (this.#state !== 'negotiating' && this.#state !== 'done') {
      this.#drop('not-running');
      return;
    }
    const parsed = parseTip(bytes);
    if (!parsed.ok) {
      this.#out.push({ type: 'dropped', reason: 'malformed', detail: parsed.reason });
      return;
    }
    const packet = parsed.value;
    const verdict = (packet.ssrc & 0xff) === 0 ? this.#take(packet, now) : 'media-ssrc';
    if (verdict === 'taken') return;
    if (packet.type === 'spimap') wipe(packet);
    if (verdict !== 'acked-again') this.#drop(verdict);
  }

  #drop(reason: Dropped): void {
    this.#out.push({ type: 'dropped', reason });
  }

  #take(packet: TipPacket, now: number): Dropped | 'taken' | 'acked-again' {
    if (packet.type === 'ack') return this.#onAck(packet.of, packet, now);
    if (packet.type === 'reqtosend-ack') return this.#onAck('reqtosend', packet, now);
    if (packet.type === 'echo' && packet.receiveNtp !== 0n) return this.#onAck('echo', packet, now);
    if (packet.type === 'spimap' && this.#options.role === 'switch') return 'spimap-to-switch';
    const standing = this.#inbox.standing(packet.type, packet.ntp);
    if (standing.is === 'acked') {
      this.#out.push({ type: 'send', kind: 'ack', packet: standing.ack });
      return 'acked-again';
    }
    if (standing.is !== 'new') return standing.is;
    if (packet.type === 'muxctrl') return this.#onMuxCtrl(packet, now);
    if (packet.type === 'mediaopts') return this.#onMediaOpts(packet, now);
    if (packet.type !== 'echo') {
      if (this.#agreed === undefined) return 'not-negotiated';
      if (packet.type === 'spimap') return this.#onSpiMap(packet, this.#agreed);
      if ((packet.type === 'notify' || packet.type === 'reqtosend') && this.#version < 7) return 'not-capable';
    }
    this.#answer(packet, now);
    const output = outputOf(packet);
    if (output !== undefined) this.#out.push(output);
    return 'taken';
  }

  #onAck(kind: TipKind, packet: Ack | RequestToSendAck | Echo, now: number): Dropped | 'taken' {
    const acked = this.#outbox.acked(kind, packet.ntp);
    if (acked === undefined) return 'unexpected-ack';
    const { request } = acked;
    if (request.type === 'muxctrl') this.#outbox.post(mediaOptsOf(this.#options.ssrc, this.#own), now);
    else if (request.type === 'mediaopts') {
      this.#ownAcked = true;
      this.#checkDone(now);
    } else if (request.type === 'spimap') {
      wipe(request);
      this.#out.push({ type: 'spimap-acked', spiWord: request.spiWord });
    } else if (request.type === 'notify') this.#out.push({ type: 'notify-acked', secure: request.secure === true });
    else if (request.type === 'echo') this.#out.push({ type: 'echoed', roundTripMs: now - acked.firstAt });
    else if (packet.type === 'reqtosend-ack') {
      const { start, videoMask, audioMask } = packet;
      this.#out.push({ type: 'send-request-acked', start, videoMask, audioMask });
    }
    this.#outbox.flush(now);
    return 'taken';
  }

  /** ACKs `packet`, and remembers the ACK for its repetitions. */
  #answer(packet: TipRequest, now: number): void {
    const ack = writeTip(answerOf(packet, this.#options.ssrc, ntpOf(now)));
    this.#inbox.accept(packet.type, packet.ntp, ack);
    this.#out.push({ type: 'send', kind: 'ack', packet: ack });
  }

  #onMuxCtrl(packet: MuxCtrl, now: number): Dropped | 'taken' {
    const { type: _type, ssrc: _ssrc, ntp: _ntp, suites, ...told } = packet;
    if (told.version > this.#version) return 'other-version';
    if (told.version < this.#version) {
      // Whoever is done has ACKed this version itself; a lower one would be another negotiation.
      if (this.#agreed !== undefined) return 'other-version';
      this.#restart(told.version, now);
    }
    this.#peer = { ...told, suites: suites ?? [DEFAULT_SUITE] };
    this.#answer(packet, now);
    this.#checkDone(now);
    return 'taken';
  }

  /** The lower version wins, and we have the higher: everything from the beginning (WIRE.md 4). */
  #restart(version: TipVersion, now: number): void {
    this.#version = version;
    this.#ownAcked = false;
    this.#offer = undefined;
    this.#outbox.withdraw('mediaopts');
    this.#outbox.withdraw('muxctrl');
    this.#outbox.post(muxCtrlOf(this.#options, version), now);
  }

  #onMediaOpts(packet: MediaOpts, now: number): Dropped | 'taken' {
    if (this.#peer === undefined) return 'not-negotiated';
    this.#offer = offerOf(packet.blocks);
    this.#answer(packet, now);
    this.#checkDone(now);
    return 'taken';
  }

  /** Done when all four are ACKed: ours by the peer, the peer's by us (WIRE.md 4.1). Later words of the peer change it. */
  #checkDone(now: number): void {
    if (!this.#ownAcked || this.#peer === undefined || this.#offer === undefined) return;
    const type = this.#agreed === undefined ? 'negotiated' : 'renegotiated';
    this.#state = 'done';
    const { media } = this.#options;
    const ekt = bitsOf(media, ['ekt']);
    const peerOffersEkt = (this.#offer.transmit & this.#offer.receive & ekt) !== 0;
    this.#agreed = { peer: this.#peer, inForce: inForceOf(media, this.#own, this.#offer), peerOffersEkt };
    this.#out.push({ type, ...this.#agreed });
    this.#withdrawImpossible();
    this.#outbox.open(now);
  }

  /** WIRE.md 4.2: from the side with IS_FOCUS only; the ACK waits until the set is installed. */
  #onSpiMap(packet: SpiMap, { peer, inForce }: { peer: TipPeer; inForce: InForce }): Dropped | 'taken' {
    if (!peer.isFocus) return 'spimap-not-from-focus';
    if (!ektCapable(peer, inForce).capable) return 'not-capable';
    if (!listsSuite(this.#ownSuites, packet)) return 'unknown-suite';
    const { spiWord, suite, cipher, masterSalt, kek } = packet;
    this.#inbox.accept('spimap', packet.ntp, undefined);
    this.#installing = packet;
    this.#out.push({ type: 'set', set: { spiWord, suite, cipher, masterSalt, kek } });
    return 'taken';
  }
}
