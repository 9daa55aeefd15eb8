/** A call of the reference endpoint: signalling, a line for each media kind, media in and out. */
import { randomBytes } from 'node:crypto';
import type { Address, Media } from '../base/ids.js';
import { DTLS_MAX_MTU_BYTES, ENDPOINT_CONNECT_TIMEOUT_MS, SET_SEND_DELAY_MS } from '../base/limits.js';
import { createSelfSigned, fingerprintOf } from '../dtls/certificate.js';
import { weriftAssociation } from '../dtls/werift/association.js';
import type { UserAgentOutput } from '../sip/contract.js';
import { createOffer, readAnswer } from '../sip/offer-answer.js';
import type { Answer, LocalCodec } from '../sip/offer-answer-types.js';
import type { DropName } from '../wire/drop.js';
import type { ReportBlock } from '../wire/rtcp.js';
import { parseSipUri } from '../wire/sip-uri.js';
import type { TipVersion } from '../wire/tip.js';
import type { ChannelOptions, ChannelOutput, KeyLogEntry, OutgoingStream, ReceivedMedia } from './channel-types.js';
import { type LineOutput, MediaLine } from './media-line.js';
import { type AudioInput, type DuePacket, Pacer, type VideoInput } from './pacer.js';
import { SipConnection } from './sip-connection.js';

export interface CallOptions {
  /** `sips:conference@host:port`. */
  readonly target: string;
  /** PEM of the switch's CA; undefined: the system's trust store. */
  readonly caPem?: string;
  /** User part of our own address. */
  readonly name?: string;
  /** `plain`: RTP without keys, for non-secure conferences. Default `dtls`. */
  readonly security?: 'dtls' | 'plain';
  readonly audio?: readonly AudioInput[];
  readonly video?: readonly VideoInput[];
  /** Further places that media is sent from with {@link Call.send}, on both lines. */
  readonly externalPositions?: readonly number[];
  /** Displays and loudspeakers: 1 is center, 3 are center, left and right. Default 1. */
  readonly screens?: 1 | 3;
  /** Default 8. */
  readonly tipVersion?: TipVersion;
  readonly onReceived?: (packet: ReceivedMedia) => void;
  readonly onSent?: (packet: Extract<ChannelOutput, { type: 'sent' }>) => void;
  readonly onNotified?: (secure: boolean) => void;
  /** A receiver report of the switch on what we send. */
  readonly onReport?: (media: Media, reports: readonly ReportBlock[]) => void;
  /** A hook for tests: true loses this incoming media datagram as the network might. */
  readonly dropIncoming?: (media: Media, bytes: Uint8Array) => boolean;
  /** Every datagram of the media sockets, as on the wire. */
  readonly onDatagram?: (from: Address, to: Address, bytes: Uint8Array) => void;
  /** Hands out key material; leave it away unless a capture has to be decrypted. */
  readonly onKeys?: (media: Media, entry: KeyLogEntry) => void;
}

export interface CallEnd {
  readonly by: 'peer' | 'local' | 'timeout' | 'connection' | 'failure';
  readonly cause: string;
}

/** The switch refused the call. */
export class CallRefused extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    readonly warning: string,
  ) {
    super([`refused with ${status}`, reason, warning].filter((part) => part !== '').join('; '));
    this.name = 'CallRefused';
  }
}

export interface CallStatus {
  /** Media may flow. */
  readonly ready: boolean;
  readonly sent: Readonly<Record<Media, number>>;
  readonly received: Readonly<Record<Media, number>>;
  readonly drops: Readonly<Partial<Record<DropName, number>>>;
  /** What the last SECURITYICON said; undefined: none came. */
  readonly icon: boolean | undefined;
}

const CODECS: Readonly<Record<Media, LocalCodec>> = {
  audio: { name: 'opus', payloadType: 96 },
  video: { name: 'H264', payloadType: 112, profileLevelId: '42e01f' },
};
const CLOCK_HZ: Readonly<Record<Media, number>> = { audio: 48_000, video: 90_000 };
const MEDIA: readonly Media[] = ['audio', 'video'];

const fresh = (bytes: number): Uint8Array => Uint8Array.from(randomBytes(bytes));

/** A random SSRC of the media kind: its low byte is not 00 (WIRE.md 3); `control`: it is. */
function newSsrc(kind: 'media' | 'control'): number {
  const bytes = randomBytes(4);
  if (kind === 'control') bytes[3] = 0;
  else if (bytes[3] === 0) bytes[3] = 1;
  return bytes.readUInt32BE();
}

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
  readonly #counts: Record<'sent' | 'received', Record<Media, number>> = {
    sent: { audio: 0, video: 0 },
    received: { audio: 0, video: 0 },
  };
  readonly #drops: Partial<Record<DropName, number>> = {};
  readonly #installed = new Map<MediaLine, number>();
  #lines: MediaLine[] = [];
  #connection: SipConnection | undefined;
  #number = 0;
  #icon: boolean | undefined;
  #isReady = false;
  #activation: NodeJS.Timeout | undefined;
  #activeSet: number | undefined;
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

  private constructor(options: CallOptions) {
    this.#options = options;
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#pacer = new Pacer(options, (packet) => this.send(packet));
  }

  status(): CallStatus {
    const { sent, received } = this.#counts;
    return {
      ready: this.#isReady,
      sent: { ...sent },
      received: { ...received },
      drops: { ...this.#drops },
      icon: this.#icon,
    };
  }

  /** Sends one packet now; for media that comes from elsewhere than the call's sources. Ignored until ready. */
  send(packet: DuePacket): void {
    const line = this.#lines.find((l) => l.media === packet.media);
    if (line === undefined || !this.#isReady) return;
    line.receive({ ...packet, type: 'media', payloadType: line.payloadType });
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
    const { caPem, target, name = 'endpoint', security = 'dtls', screens = 1 } = this.#options;
    const connection = await SipConnection.open({
      host,
      port,
      timeoutMs: ENDPOINT_CONNECT_TIMEOUT_MS,
      ...(caPem === undefined ? {} : { caPem }),
      onOutput: (output) => this.#onSip(output),
    });
    this.#connection = connection;
    const { address } = connection.local;
    const callbacks = {
      onOutput: (line: MediaLine, output: LineOutput) => this.#onLine(line, output),
      onDatagram: this.#options.onDatagram,
      dropIncoming: this.#options.dropIncoming,
    };
    for (const media of MEDIA) this.#lines.push(await MediaLine.open(media, address, callbacks));
    const certificate = security === 'dtls' ? await createSelfSigned(name, Date.now()) : undefined;
    const fingerprint = certificate === undefined ? undefined : fingerprintOf(certificate.certificatePem, 'sha-256');
    const offer = createOffer({
      sessionId: String(randomBytes(6).readUIntBE(0, 6)),
      sessionVersion: 1,
      address,
      ...(fingerprint === undefined
        ? {}
        : { fingerprint: { algorithm: 'sha-256' as const, value: fingerprint.value } }),
      media: this.#lines.map((l) => ({ media: l.media, port: l.local.port, security, codecs: [CODECS[l.media]] })),
    });
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
    this.#start(answer.value, screens, certificate);
  }

  #start(answer: Answer, screens: 1 | 3, certificate: Awaited<ReturnType<typeof createSelfSigned>> | undefined): void {
    const used: MediaLine[] = [];
    for (const [i, line] of this.#lines.entries()) {
      const remote = answer.media[i]!;
      if (!remote.accepted || remote.address === undefined) {
        line.close();
        continue;
      }
      used.push(line);
      line.payloadType = remote.codecs[0]?.payloadType ?? CODECS[line.media].payloadType;
      const inputs = (this.#options[line.media] ?? []).map(({ position }) => position);
      const positions = new Set([...inputs, ...(this.#options.externalPositions ?? [])]);
      const streams: OutgoingStream[] = [...positions].map((position) => ({ position, ssrc: newSsrc('media') }));
      const options: ChannelOptions = {
        media: line.media,
        controlSsrc: newSsrc('control'),
        cname: this.#options.name ?? 'endpoint',
        streams,
        receiveMask: screens === 3 ? 0b1110 : 0b0010,
        clockRateHz: CLOCK_HZ[line.media],
        nack: remote.codecs[0]?.feedback.includes('nack') ?? false,
        tipVersion: this.#options.tipVersion ?? 8,
        conferenceId: 0n,
        random: fresh,
        logKeys: this.#options.onKeys !== undefined,
        ...(certificate === undefined
          ? {}
          : {
              dtls: {
                factory: weriftAssociation,
                options: {
                  role: remote.role ?? 'client',
                  ...certificate,
                  peerFingerprints: remote.fingerprints,
                  // The switch chooses: 0x0008 in conferences of suite 18 (WIRE.md 4.3).
                  profiles: [0x0001, 0x0008],
                  mtuBytes: DTLS_MAX_MTU_BYTES,
                },
              },
            }),
      };
      line.start({ address: remote.address.address, port: remote.port }, options);
    }
    this.#lines = used;
    this.#checkReady();
  }

  #onSip(output: Exclude<UserAgentOutput, { type: 'send' | 'close' }>): void {
    switch (output.type) {
      case 'answered':
        this.#answered?.({ sdp: output.sdp });
        break;
      case 'failed':
        this.#answered?.(new CallRefused(output.status, output.reason, output.warning));
        this.#finish({ by: 'peer', cause: `refused with ${output.status}` });
        break;
      case 'offer-again':
        this.#connection?.receive({ type: 'reject', call: output.call, status: 488 });
        break;
      case 'incoming':
        this.#connection?.receive({ type: 'reject', call: output.call, status: 486 });
        break;
      case 'ended':
        this.#answered?.(new Error(`the call ended before it was answered: ${output.cause ?? output.by}`));
        this.#finish({ by: output.by, cause: output.cause ?? '' });
        break;
      default:
        break; // progress, confirmed and what follows re-INVITEs of ours, which there are none
    }
  }

  #onLine(line: MediaLine, output: LineOutput): void {
    switch (output.type) {
      case 'set-installed':
        this.#installed.set(line, output.spiWord);
        this.#checkReady();
        this.#scheduleActivation(output.spiWord);
        break;
      case 'sent':
        this.#counts.sent[line.media]++;
        this.#options.onSent?.(output);
        break;
      case 'received':
        this.#counts.received[line.media]++;
        this.#options.onReceived?.(output.rtp);
        break;
      case 'refresh-requested':
        if (line.media === 'video') {
          for (const { position, source } of this.#options.video ?? []) {
            if (position === output.position) source.requestRefresh();
          }
        }
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
        this.#drops[output.name] = (this.#drops[output.name] ?? 0) + 1;
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
      case 'negotiated':
        break;
    }
  }

  #checkReady(): void {
    if (this.#isReady || this.#lines.length === 0 || !this.#lines.every((l) => l.canSend)) return;
    this.#isReady = true;
    this.#activeSet = this.#installed.get(this.#lines[0]!);
    this.#pacer.start();
    this.#resolveReady();
  }

  /** A later set: send under it SET_SEND_DELAY_MS after the last channel has ACKed it (WIRE.md 10). */
  #scheduleActivation(spiWord: number): void {
    if (!this.#isReady || spiWord === this.#activeSet) return;
    if (!this.#lines.every((l) => this.#installed.get(l) === spiWord)) return;
    clearTimeout(this.#activation);
    this.#activation = setTimeout(() => {
      this.#activeSet = spiWord;
      for (const line of this.#lines) line.receive({ type: 'activate-set', spiWord });
    }, SET_SEND_DELAY_MS);
  }

  #finish(end: CallEnd): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#activation);
    this.#pacer.stop();
    for (const line of this.#lines) line.close();
    this.#connection?.close();
    this.#resolveEnded(end);
  }
}
