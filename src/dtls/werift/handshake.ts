/** What client and server share: the transcript, numbering of messages, the master secret and what follows from it. */
import { concat, equalBytes } from '../../base/bytes.js';
import { DTLS_MAX_TRANSCRIPT_BYTES } from '../../base/limits.js';
import type { Secret } from '../../base/secret.js';
import type { AssociationFailure, AssociationOptions, SrtpProfile } from '../association.js';
import { checkCertificate, type Identity, type PeerCertificate } from './identity.js';
import { masterSecret, type Randoms, recordProtections, SUPPORTED_GROUPS, srtpKeys, verifyData } from './keys.js';
import { readCertificate } from './messages.js';
import { frameMessage, HANDSHAKE, type HandshakeMessage } from './reassembly.js';
import type { RecordProtection } from './records.js';

/** AlertDescription (RFC 5246 §7.2). */
export const ALERT = {
  closeNotify: 0,
  handshakeFailure: 40,
  badCertificate: 42,
  illegalParameter: 47,
  decryptError: 51,
  protocolVersion: 70,
  internalError: 80,
  unsupportedExtension: 110,
} as const;

/** A flight is kept in this form, because a retransmission needs new record numbers (RFC 6347 §4.2.4). */
export type Outgoing =
  | { readonly type: 'message'; readonly epoch: 0 | 1; readonly message: HandshakeMessage }
  | { readonly type: 'change-cipher-spec' };

/** What the handshake proved. */
export interface Established {
  readonly profile: SrtpProfile;
  readonly local: Secret;
  readonly remote: Secret;
  readonly peerFingerprint: string;
}

export interface Failed {
  readonly type: 'failed';
  readonly reason: AssociationFailure;
  readonly detail: string;
  /** To tell the peer. */
  readonly alert: number;
}

/** What moves a handshake on. */
export type Progress =
  | { readonly type: 'accepted' }
  /** The flight is sent until the peer's next one comes. */
  | { readonly type: 'flight'; readonly flight: readonly Outgoing[] }
  /** Everything is verified; a last flight is sent again only when the peer repeats its own. */
  | { readonly type: 'established'; readonly result: Established; readonly flight: readonly Outgoing[] };

/** What a message led to. All but {@link Progress} leave the role as it was, so that a genuine message can still come. */
export type Step =
  | Progress
  /** It was of no use here, and its number stays open. */
  | { readonly type: 'refused'; readonly why: string }
  /** Answered with HelloVerifyRequest and forgotten. */
  | { readonly type: 'verify-hello'; readonly message: HandshakeMessage }
  /** It speaks against the handshake. */
  | Failed;

export const ACCEPTED: Progress = { type: 'accepted' };

export function refused(why: string): Step {
  return { type: 'refused', why };
}

export function failed(reason: AssociationFailure, detail: string, alert: number): Failed {
  return { type: 'failed', reason, detail, alert };
}

/** What is fixed in service and varied in tests. */
export interface Tuning {
  /** NamedGroup values in order of preference. */
  readonly groups: readonly number[];
  /** Whether a client offers RFC 7627. A server does what the client offers. */
  readonly extendedMasterSecret: boolean;
}

export const DEFAULT_TUNING: Tuning = { groups: SUPPORTED_GROUPS, extendedMasterSecret: true };

/** What both hellos agreed on. */
export interface Negotiated {
  readonly profile: SrtpProfile;
  readonly suite: number;
  readonly extendedMasterSecret: boolean;
  readonly randoms: Randoms;
}

/** One role's part of a handshake. Messages come whole and in order; each gives a {@link Step}. */
export abstract class Handshake {
  /** Set once both key shares are known; nothing they open is trusted before Finished. */
  protections: { readonly read: RecordProtection; readonly write: RecordProtection } | undefined;
  protected master: Secret | undefined;
  #transcript: Uint8Array[] = [];
  #transcriptBytes = 0;
  #nextSend = 0;

  constructor(
    protected readonly side: 'client' | 'server',
    protected readonly options: AssociationOptions,
    protected readonly identity: Identity,
    protected readonly tuning: Tuning,
  ) {}

  /** How many message numbers from the next one on may be heard now: 2 while a ClientHello may come with a cookie or without. */
  abstract readonly openSequences: 1 | 2;
  abstract start(): Progress;
  abstract message(message: HandshakeMessage): Step;

  /** Forgets what only the handshake needed; the record protections stay. */
  forget(): void {
    this.master?.wipe();
    this.master = undefined;
    this.#transcript = [];
    this.#transcriptBytes = 0;
  }

  wipe(): void {
    this.forget();
    this.protections?.read.wipe();
    this.protections?.write.wipe();
    this.protections = undefined;
  }

  /** Numbers a message of ours and enters it into the transcript. */
  protected compose(type: number, body: Uint8Array, epoch: 0 | 1 = 0): Outgoing {
    const message = { type, sequence: this.#nextSend++, body };
    this.record(message);
    return { type: 'message', epoch, message };
  }

  /** The next message's number, for a message that stays out of the transcript. */
  protected skipSequence(): number {
    return this.#nextSend++;
  }

  /**
   * Enters a message into the transcript: whole, in order, from the ClientHello that was answered on, without
   * HelloVerifyRequest and what came before it (RFC 6347 §4.2.1, §4.2.6).
   */
  protected record(message: HandshakeMessage): void {
    const framed = frameMessage(message);
    this.#transcript.push(framed);
    this.#transcriptBytes += framed.length;
  }

  protected restartTranscript(): void {
    this.#transcript = [];
    this.#transcriptBytes = 0;
  }

  protected get transcript(): Uint8Array {
    return concat(...this.#transcript);
  }

  /** Undefined when there is room in the transcript for the message. */
  protected overLimit(message: HandshakeMessage): Failed | undefined {
    if (this.#transcriptBytes + message.body.length <= DTLS_MAX_TRANSCRIPT_BYTES) return undefined;
    return failed('limit-exceeded', `handshake larger than ${DTLS_MAX_TRANSCRIPT_BYTES} bytes`, ALERT.internalError);
  }

  /** The peer's certificate against SDP's promise (WIRE.md 2). */
  protected peerCertificate(body: Uint8Array): PeerCertificate | Step {
    const list = readCertificate(body)?.certificateList;
    if (list === undefined) return refused('malformed certificate');
    const leaf = list[0];
    if (leaf === undefined) return failed('no-certificate', 'the peer has no certificate', ALERT.handshakeFailure);
    const checked = checkCertificate(leaf, this.options.peerFingerprints);
    if (checked === 'mismatch') {
      return failed('fingerprint-mismatch', 'the certificate is not the one promised', ALERT.badCertificate);
    }
    if (checked === 'unusable') {
      return failed('no-common-parameters', 'the certificate has no key we can verify with', ALERT.badCertificate);
    }
    return checked;
  }

  /** Master secret and record keys. Call with ClientKeyExchange in the transcript; wipes `preMaster`. */
  protected agree(preMaster: Secret, negotiated: Negotiated): void {
    const session = negotiated.extendedMasterSecret ? this.transcript : undefined;
    this.master = masterSecret(preMaster, negotiated.randoms, session);
    preMaster.wipe();
    const { client, server } = recordProtections(this.master, negotiated.randoms);
    this.protections = this.side === 'client' ? { read: server, write: client } : { read: client, write: server };
  }

  protected composeFinished(): readonly Outgoing[] {
    const body = verifyData(this.agreedMaster, this.side, this.transcript);
    return [{ type: 'change-cipher-spec' }, this.compose(HANDSHAKE.finished, body, 1)];
  }

  /** RFC 5246 §7.4.9: the peer saw the same handshake and holds the same secret. */
  protected checkFinished(message: HandshakeMessage): Failed | undefined {
    const peer = this.side === 'client' ? 'server' : 'client';
    if (equalBytes(verifyData(this.agreedMaster, peer, this.transcript), message.body)) return undefined;
    return failed('finished-invalid', "the peer's Finished does not match the handshake", ALERT.decryptError);
  }

  protected result(negotiated: Negotiated, peer: PeerCertificate): Established {
    const { profile, randoms } = negotiated;
    const { client, server } = srtpKeys(this.agreedMaster, randoms, profile);
    const [local, remote] = this.side === 'client' ? [client, server] : [server, client];
    return { profile, local, remote, peerFingerprint: peer.fingerprint };
  }

  private get agreedMaster(): Secret {
    if (this.master === undefined) throw new Error('no master secret yet: the role called this too early');
    return this.master;
  }
}
