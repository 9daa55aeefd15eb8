/** A call of the reference endpoint: signalling, a line for each media kind, media in and out. */
import type { Media } from '../base/ids.js';
import { ENDPOINT_CONNECT_TIMEOUT_MS } from '../base/limits.js';
import type { UserAgentOutput } from '../sip/contract.js';
import { readAnswer, readOffer } from '../sip/offer-answer.js';
import type { Answer, Offer } from '../sip/offer-answer-types.js';
import type { SdpDirection } from '../wire/sdp-types.js';
import { parseSipUri } from '../wire/sip-uri.js';
import {
  type CallEnd,
  type CallOptions,
  CallRefused,
  type CallStatus,
  type Identity,
  type Remembered,
} from './call-types.js';
import { Description, offeredSecurity, type Security, securityOf } from './description.js';
import {
  answeredLines,
  isStandard,
  newIdentity,
  openLines,
  type RemoteLine,
  renewLines,
  SsrcBook,
  startLine,
} from './lines.js';
import type { LineCallbacks, LineOutput, MediaLine } from './media-line.js';
import { type DuePacket, Pacer } from './pacer.js';
import { SetActivation } from './set-activation.js';
import { openFirst, type SipConnection } from './sip-connection.js';
import { Tally } from './tally.js';

export type { CallEnd, CallOptions, CallStatus, Remembered } from './call-types.js';
export { CallRefused } from './call-types.js';

const MEDIA: readonly Media[] = ['audio', 'video'];

/** Dials. Resolves once the call is answered, rejects with {@link CallRefused} or the connection's error. */
export async function call(options: CallOptions): Promise<Call> {
  const uri = parseSipUri(options.target);
  if (uri?.scheme !== 'sips') throw new TypeError(`not a sips: URI: ${options.target}`);
  return Call.dial(options, uri.host, uri.port ?? 5061);
}

export class Call {
  /** Resolves when all channels may send; never if the call ends before. */
  readonly ready: Promise<void>;
  readonly ended: Promise<CallEnd>;
  readonly #options: CallOptions;
  readonly #pacer: Pacer;
  readonly #tally = new Tally();
  readonly #sets = new SetActivation(() => this.#lines);
  #lines: MediaLine[] = [];
  #connection: SipConnection | undefined;
  readonly #ssrcs: SsrcBook;
  #description: Description | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #number = 0;
  #icon: boolean | undefined;
  #isReady = false;
  #over = false;
  #answered: ((answer: { sdp: string } | Error) => void) | undefined;
  #resolveReady: () => void = () => undefined;
  #resolveEnded: (end: CallEnd) => void = () => undefined;

  /** See {@link call}. */
  static async dial(options: CallOptions, host: string, port: number): Promise<Call> {
    const made = new Call(options);
    try {
      await made.#dial(host, port);
    } catch (error) {
      made.#finish({ by: 'failure', cause: error instanceof Error ? error.message : String(error) });
      throw error;
    }
    return made;
  }

  /**
   * Answers the INVITE `call` that came on `connection`, which is the call's own from now on: what else comes on it goes to
   * {@link onSip}. An offer that cannot be answered is refused, and the call is over.
   */
  static async answer(
    options: Omit<CallOptions, 'target'>,
    connection: SipConnection,
    { call: number, offer }: Extract<UserAgentOutput, { type: 'incoming' }>,
  ): Promise<Call> {
    const made = new Call({ ...options, target: '' });
    made.#connection = connection;
    made.#description = new Description(connection.local.address);
    made.#number = number;
    await made.#offeredAgain(offer);
    if (made.#said.security === undefined) made.#finish({ by: 'failure', cause: 'the offer could not be answered' });
    else made.#checkReady();
    return made;
  }

  private constructor(options: CallOptions) {
    this.#options = options;
    this.#ssrcs = new SsrcBook(options.remembered?.ssrcs);
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#pacer = new Pacer(options, (packet) => this.send(packet));
  }

  status(): CallStatus {
    return { ready: this.#isReady, icon: this.#icon, ...this.#tally.status() };
  }

  /** Sends one packet now; for media that comes from elsewhere than the call's sources. Ignored until ready. */
  send(packet: DuePacket): void {
    const line = this.#lines.find((l) => l.media === packet.media);
    if (line === undefined || !this.#isReady) return;
    line.receive({ ...packet, type: 'media', payloadType: line.payloadType });
  }

  /** For the next call of the same endpoint. */
  get remembered(): Remembered {
    return { identity: this.#said.identity, ssrcs: this.#ssrcs.entries };
  }

  /**
   * New channel keys, by a new certificate and new DTLS associations (RFC 8842 §5) or in SDP; media goes on meanwhile.
   * Resolves when the switch has agreed; rejects with what it said instead.
   */
  async renew(): Promise<void> {
    const { name = 'endpoint' } = this.#options;
    const inSdp = this.#said.security === 'sdes';
    const { media } = await this.#reoffer(inSdp ? undefined : await newIdentity(name), 'sendrecv', inSdp);
    this.#renewLines(media);
  }

  /** `sendonly`, `inactive`: on hold; `sendrecv`: back. Resolves when the switch has agreed. */
  async direct(direction: SdpDirection): Promise<void> {
    await this.#reoffer(this.#said.identity, direction);
  }

  /** Asks the switch for a picture that can be decoded at one of our displays. */
  wantRefresh(sink: number): void {
    this.#lines.find((l) => l.media === 'video')?.receive({ type: 'want-refresh', csrc: (sink << 4) | sink });
  }

  /** BYE (or CANCEL); resolves when the call is over. */
  async hangup(): Promise<CallEnd> {
    if (!this.#over) this.#connection?.receive({ type: 'hangup', call: this.#number });
    return this.ended;
  }

  /** Drops everything without a word, as a crash would. */
  kill(): void {
    this.#finish({ by: 'local', cause: 'killed' });
  }

  async #dial(host: string, port: number): Promise<void> {
    const { caPem, target, name = 'endpoint', sdesSuite } = this.#options;
    const security = securityOf(this.#options);
    const connection = await openFirst(this.#options.servers ?? [{ address: host, port }], {
      host,
      timeoutMs: ENDPOINT_CONNECT_TIMEOUT_MS,
      tip: !isStandard(this.#options),
      ...(caPem === undefined ? {} : { caPem }),
      onOutput: this.onSip,
    });
    this.#connection = connection;
    const { address } = connection.local;
    this.#lines = await openLines(MEDIA, address, this.#callbacks(), this.#options);
    const identity =
      security === 'dtls' ? (this.#options.remembered?.identity ?? (await newIdentity(name))) : undefined;
    this.#description = new Description(address, sdesSuite);
    this.#said.identity = identity;
    this.#said.security = security;
    const offer = this.#said.offer(this.#lines);
    const { sdp } = await new Promise<{ sdp: string }>((resolve, reject) => {
      this.#answered = (result) => (result instanceof Error ? reject(result) : resolve(result));
      const bracketed = address.includes(':') ? `[${address}]` : address;
      this.#number = connection.invite(target, `sips:${encodeURIComponent(name)}@${bracketed}`, offer);
    });
    const answer = readAnswer(offer, sdp);
    if (!answer.ok) {
      connection.receive({
        type: 'hangup',
        call: this.#number,
        reason: 'SIP;cause=488;text="answer does not fit the offer"',
      });
      throw new Error(
        `the answer does not fit our offer: ${answer.reason}${answer.detail ? ` (${answer.detail})` : ''}`,
      );
    }
    this.#start(this.#lines, answer.value.media, security, identity);
    this.#checkReady();
  }

  /** Since the switch was dialled. */
  get #said(): Description {
    return this.#description!;
  }

  #reoffer(identity: Identity | undefined, direction: SdpDirection, rekey = false): Promise<Answer> {
    if (this.#over) return Promise.reject(new Error('the call is over'));
    const send = (sdp: string): void => this.#connection?.receive({ type: 'reinvite', call: this.#number, sdp });
    return rekey ? this.#said.rekey(this.#lines, send) : this.#said.reoffer(this.#lines, identity, direction, send);
  }

  #renewLines(remote: readonly RemoteLine[]): void {
    this.#said.remote = remote;
    renewLines(this.#lines, remote, this.#options, (media) => this.#said.keying(media));
    this.#ageFromNow();
  }

  #ageFromNow(): void {
    const { renewAfterMs } = this.#options;
    clearTimeout(this.#renewal);
    if (renewAfterMs === undefined || this.#over) return;
    this.#renewal = setTimeout(() => {
      // The old keys serve on; the next try is at the next age.
      this.renew().catch(() => this.#ageFromNow());
    }, renewAfterMs);
  }

  #callbacks(): LineCallbacks {
    return {
      onOutput: (line, output) => this.#onLine(line, output),
      onDatagram: this.#options.onDatagram,
      dropIncoming: this.#options.dropIncoming,
    };
  }

  #start(
    lines: readonly MediaLine[],
    remote: readonly RemoteLine[],
    security: Security,
    identity: Identity | undefined,
  ): void {
    this.#said.security = security;
    this.#said.identity = identity;
    this.#sets.forget();
    const used = lines.map((line, i) =>
      startLine(line, remote[i]!, this.#options, this.#said.keying(line.media), this.#ssrcs),
    );
    this.#lines = lines.filter((_, i) => used[i]);
    this.#said.remote = remote.filter((_, i) => used[i]);
    if (security === 'dtls') this.#ageFromNow();
  }

  /**
   * The switch offers our m-lines anew: another security is taken on sockets of its own, and what came before is closed with
   * the answer, so that nothing of the one is ever taken for the other (REQUIREMENTS C5, C7).
   */
  async #offeredAgain(sdp: string | undefined): Promise<void> {
    const connection = this.#connection!;
    const call = this.#number;
    const refuse = (): void => connection.receive({ type: 'reject', call, status: 488 });
    const offer = sdp === undefined ? undefined : readOffer(sdp, { acceptPassive: true });
    if (offer?.ok !== true || offer.value.media.length !== MEDIA.length) return refuse();
    const { media } = offer.value;
    const security = offeredSecurity(media);
    if (security === this.#said.security || this.#said.security === 'sdes')
      return this.#answerSame(offer.value, refuse);
    if (isStandard(this.#options) && (this.#said.security !== undefined || securityOf(this.#options) !== security))
      return refuse();
    if (security === 'plain' && this.#options.refuseDowngrade === true) return refuse();
    const { name = 'endpoint' } = this.#options;
    const [lines, identity] = await Promise.all([
      openLines(MEDIA, connection.local.address, this.#callbacks()),
      security === 'dtls' ? newIdentity(name) : undefined,
    ]);
    const answered = this.#said.answer(offer.value, lines, identity);
    if (!answered.ok || this.#over) {
      for (const line of lines) line.close();
      return answered.ok ? undefined : refuse();
    }
    connection.receive({ type: 'accept', call, sdp: answered.value.sdp });
    for (const line of this.#lines) line.close();
    this.#said.security = security;
    const remote = answeredLines(media, answered.value.media, (kind) => this.#said.keying(kind));
    this.#start(lines, remote, security, identity);
    if (security !== 'sdes') this.#options.onMoved?.(security);
    this.#checkReady();
  }

  #answerSame(offer: Offer, refuse: () => void): void {
    const answered = this.#said.answerSame(offer, this.#lines);
    if (answered === undefined) return refuse();
    this.#connection!.receive({ type: 'accept', call: this.#number, sdp: answered.sdp });
    if (answered.renewed) this.#renewLines(answered.remote);
    else this.#said.remote = answered.remote;
  }

  /** What the call's connection has to say. */
  readonly onSip = (output: Exclude<UserAgentOutput, { type: 'send' | 'close' }>): void => {
    switch (output.type) {
      case 'answered':
        if (!this.#said.outcome(output)) this.#answered?.(output);
        break;
      case 'failed':
        this.#answered?.(new CallRefused(output.status, output.reason, output.warning));
        this.#finish({ by: 'peer', cause: `refused with ${output.status}` });
        break;
      case 'offer-again':
        // Whatever goes wrong with our own sockets ends the call: it would hang between two descriptions.
        this.#offeredAgain(output.offer).catch((error: unknown) => {
          this.#finish({ by: 'failure', cause: error instanceof Error ? error.message : String(error) });
        });
        break;
      case 'offer-refused':
        this.#said.outcome(new CallRefused(output.status, output.reason, output.warning));
        break;
      case 'offer-due':
        this.#said.outcome(new Error('the switch changed the session meanwhile'));
        break;
      case 'incoming':
        this.#connection?.receive({ type: 'reject', call: output.call, status: 486 });
        break;
      case 'ended':
        this.#answered?.(new Error(`the call ended before it was answered: ${output.cause ?? output.by}`));
        this.#finish({ by: output.by, cause: output.cause ?? '' });
        break;
      default:
        break; // progress, confirmed, offer-withdrawn
    }
  };

  #onLine(line: MediaLine, output: LineOutput): void {
    switch (output.type) {
      case 'set-installed':
        this.#sets.installed(line, output.spiWord);
        this.#checkReady();
        break;
      case 'hop-by-hop':
        this.#sets.left(line);
        this.#checkReady();
        break;
      case 'sent':
        this.#tally.sent[line.media]++;
        this.#options.onSent?.(output);
        break;
      case 'received':
        this.#tally.received[line.media]++;
        this.#options.onReceived?.(output.rtp);
        break;
      case 'refresh-requested':
        if (line.media === 'video') this.#pacer.requestRefresh(output.position);
        break;
      case 'reported':
        this.#options.onReport?.(line.media, output.reports);
        break;
      case 'notified':
        // Every channel is told; the caller hears of it once.
        if (this.#icon !== output.secure) this.#options.onNotified?.(output.secure);
        this.#icon = output.secure;
        break;
      case 'dropped':
        this.#tally.dropped(output.name);
        break;
      case 'key-log':
        this.#options.onKeys?.(line.media, output.entry);
        break;
      case 'failed':
        this.#connection?.receive({
          type: 'hangup',
          call: this.#number,
          reason: `SIP;cause=488;text="${output.reason}"`,
        });
        this.#finish({ by: 'failure', cause: `${line.media}: ${output.reason} (${output.detail})` });
        break;
      case 'keyed':
        this.#tally.keyed++;
        break;
      case 'negotiated':
        break;
    }
  }

  #checkReady(): void {
    if (this.#lines.length === 0 || !this.#lines.every((l) => l.canSend)) return;
    this.#sets.begin();
    if (this.#isReady) return;
    this.#isReady = true;
    this.#pacer.start();
    this.#resolveReady();
  }

  #finish(end: CallEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#sets.stop();
    clearTimeout(this.#renewal);
    this.#description?.outcome(new Error('the call is over'));
    this.#description?.wipe();
    this.#pacer.stop();
    for (const line of this.#lines) line.close();
    this.#connection?.close();
    this.#resolveEnded(end);
  }
}
