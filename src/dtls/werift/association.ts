/**
 * A DTLS 1.2 association for SRTP keys, as an engine without sockets or clocks. werift gives the codecs and the cryptography
 * (library.ts); the order of messages, what is believed and when keys leave is decided here and in client.ts and server.ts.
 *
 * What is plaintext proves nothing: out of turn or malformed it is dropped; what speaks against the handshake (an alert, a
 * wrong certificate or signature) is believed only if the handshake then stands still, so that a genuine message can still
 * take its place; and once both Finished are verified plaintext is not even looked at.
 */
import {
  DTLS_HANDSHAKE_TIMEOUT_MS,
  DTLS_MAX_PLAINTEXT_FAILURES,
  DTLS_PLAINTEXT_FAILURE_GRACE_MS,
  DTLS_RETRANSMIT_INITIAL_MS,
  DTLS_RETRANSMIT_MAX_MS,
  MAX_DATAGRAM_BYTES,
} from '../../base/limits.js';
import { unreachable } from '../../base/result.js';
import type {
  Association,
  AssociationFactory,
  AssociationFailure,
  AssociationInput,
  AssociationOptions,
  AssociationOutput,
} from '../association.js';
import { ClientHandshake } from './client.js';
import { ALERT, DEFAULT_TUNING, type Handshake, type Outgoing, type Progress, type Tuning } from './handshake.js';
import { loadIdentity } from './identity.js';
import { Outbox } from './outbox.js';
import { HANDSHAKE, Reassembler, splitFragments } from './reassembly.js';
import { CONTENT, type DtlsRecord, ReplayWindow, splitRecords } from './records.js';
import { ServerHandshake } from './server.js';

/** Plaintext record numbers above this are nobody's: ours could run out if we continued from one (RFC 6347 §4.2.1). */
const MAX_PLAINTEXT_SEQUENCE = 2 ** 40;

interface Failure {
  readonly reason: AssociationFailure;
  readonly detail: string;
  /** What the peer told us. */
  readonly received?: number;
  /** What we tell the peer. */
  readonly alert?: number;
}

/** Each attempt doubles the wait (RFC 6347 §4.2.4.1). */
interface Retransmission {
  readonly flight: readonly Outgoing[];
  readonly at: number;
  readonly waitMs: number;
}

export class WeriftAssociation implements Association {
  #state: Association['state'] = 'new';
  readonly #options: AssociationOptions;
  readonly #tuning: Tuning;
  readonly #output: AssociationOutput[] = [];
  readonly #outbox: Outbox;
  readonly #reassembler = new Reassembler();
  readonly #replay = new ReplayWindow();
  #handshake: Handshake | undefined;
  #expiresAt = Number.POSITIVE_INFINITY;
  #retransmission: Retransmission | undefined;
  /** A failure that anybody could have caused, and when it is believed if nothing moves until then. */
  #doubt: { readonly failure: Failure; readonly at: number } | undefined;
  #plaintextFailures = 0;
  /** The last flight of a server, sent again when the client repeats its Finished. */
  #lastFlight: readonly Outgoing[] = [];
  #peerFinishedSequence = -1;
  #lastRefusal = '';

  constructor(options: AssociationOptions, tuning: Partial<Tuning> = {}) {
    this.#options = options;
    this.#tuning = { ...DEFAULT_TUNING, ...tuning };
    this.#outbox = new Outbox(options.mtuBytes);
  }

  get state(): Association['state'] {
    return this.#state;
  }

  /** Bytes of unfinished handshake messages held; bounded whatever comes in. */
  get heldBytes(): number {
    return this.#reassembler.heldBytes;
  }

  receive(input: AssociationInput, now: number): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    switch (input.type) {
      case 'start':
        if (this.#state === 'new') this.#start(now);
        break;
      case 'datagram':
        if (this.#state !== 'new') this.#datagram(input.bytes, now);
        break;
      case 'close':
        this.#close();
        break;
      case 'tick':
        break;
      default:
        unreachable(input, 'association input');
    }
    this.#checkTime(now);
  }

  poll(): AssociationOutput | undefined {
    return this.#output.shift();
  }

  deadline(): number | undefined {
    if (this.#state !== 'handshaking') return undefined;
    const retransmitAt = this.#retransmission?.at ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#expiresAt, retransmitAt, this.#doubt?.at ?? Number.POSITIVE_INFINITY);
  }

  #start(now: number): void {
    this.#state = 'handshaking';
    this.#expiresAt = now + DTLS_HANDSHAKE_TIMEOUT_MS;
    const identity = loadIdentity(this.#options);
    if (identity === undefined) {
      this.#fail({ reason: 'no-certificate', detail: 'our own certificate and key do not load' });
      return;
    }
    const Role = this.#options.role === 'client' ? ClientHandshake : ServerHandshake;
    this.#handshake = new Role(this.#options, identity, this.#tuning);
    this.#proceed(this.#handshake.start(), now);
  }

  #datagram(bytes: Uint8Array, now: number): void {
    if (bytes.length > MAX_DATAGRAM_BYTES) return;
    let repeated = false;
    for (const record of splitRecords(bytes)) {
      if (record.epoch === 0) this.#plaintextRecord(record, now);
      else if (record.epoch === 1) repeated = this.#protectedRecord(record, now) || repeated;
    }
    // RFC 6347 §4.2.4: our last flight was lost. Only an authenticated repetition counts, once a datagram.
    if (repeated && this.#state === 'established') this.#send(this.#lastFlight);
  }

  #plaintextRecord(record: DtlsRecord, now: number): void {
    // An established association has no business with plaintext: neither hello nor alert can end it.
    if (this.#state !== 'handshaking' || record.sequence > MAX_PLAINTEXT_SEQUENCE) return;
    if (record.type === CONTENT.handshake) this.#handshakeRecord(record, record.payload, now);
    else if (record.type === CONTENT.alert && record.payload.length === 2 && record.payload[0] === 2) {
      this.#doubtIn(
        { reason: 'alert-received', detail: 'the peer refused the handshake', received: record.payload[1]! },
        now,
      );
    }
    // ChangeCipherSpec says nothing that the epoch does not (RFC 6347 §4.1).
  }

  /** @returns true when the peer repeated its Finished on an established association */
  #protectedRecord(record: DtlsRecord, now: number): boolean {
    const read = this.#handshake?.protections?.read;
    if (read === undefined || !this.#replay.fresh(record.sequence)) return false;
    const payload = read.open(record);
    if (payload === undefined) return false;
    this.#replay.add(record.sequence); // RFC 6347 §4.1.2.6: only after the record was authenticated
    if (record.type === CONTENT.alert) this.#alert(payload);
    if (record.type !== CONTENT.handshake) return false;
    if (this.#state === 'handshaking') {
      this.#handshakeRecord(record, payload, now);
      return false;
    }
    // Neither HelloRequest nor ClientHello starts anything: there is no renegotiation.
    return splitFragments(payload).some(
      (fragment) => fragment.type === HANDSHAKE.finished && fragment.sequence === this.#peerFinishedSequence,
    );
  }

  #handshakeRecord(record: DtlsRecord, payload: Uint8Array, now: number): void {
    for (const fragment of splitFragments(payload)) {
      // Finished is the one message under the new keys, and the only one.
      if ((fragment.type === HANDSHAKE.finished) !== (record.epoch === 1)) continue;
      this.#reassembler.add(fragment);
      this.#deliver(record, now);
    }
  }

  /** Hands complete messages to the role, in order. */
  #deliver(record: DtlsRecord, now: number): void {
    while (this.#handshake !== undefined && this.#state === 'handshaking') {
      const message = this.#reassembler.peek() ?? this.#peekSecondHello(this.#handshake);
      if (message === undefined) return;
      const step = this.#handshake.message(message);
      switch (step.type) {
        case 'refused':
          this.#lastRefusal = step.why;
          this.#reassembler.refuse(message.sequence);
          break;
        case 'verify-hello':
          this.#output.push({ type: 'datagram', bytes: this.#outbox.helloVerify(step.message, record.sequence) });
          this.#reassembler.refuse(message.sequence);
          break;
        case 'failed':
          this.#reassembler.refuse(message.sequence);
          // Only Finished came under keys; the count is for what a signature may cost.
          this.#plaintextFailures += 1;
          if (message.type === HANDSHAKE.finished || this.#plaintextFailures > DTLS_MAX_PLAINTEXT_FAILURES)
            this.#fail(step);
          else this.#doubtIn(step, now);
          break;
        default:
          this.#reassembler.advance(message.sequence);
          this.#doubt = undefined; // the handshake moves: what spoke against it did not come from its peer
          this.#outbox.beginAt(record.sequence);
          if (message.type === HANDSHAKE.finished) this.#peerFinishedSequence = message.sequence;
          this.#proceed(step, now);
      }
    }
  }

  #doubtIn(failure: Failure, now: number): void {
    const at = this.#doubt?.at ?? now + DTLS_PLAINTEXT_FAILURE_GRACE_MS;
    // The first finding stays, but what we found ourselves says more than an alert.
    if (this.#doubt === undefined || this.#doubt.failure.reason === 'alert-received') this.#doubt = { failure, at };
  }

  #peekSecondHello(handshake: Handshake) {
    return handshake.openSequences === 2 ? this.#reassembler.peek(this.#reassembler.next + 1) : undefined;
  }

  #proceed(step: Progress, now: number): void {
    switch (step.type) {
      case 'accepted':
        break;
      case 'flight':
        this.#send(step.flight);
        this.#retransmission = {
          flight: step.flight,
          at: now + DTLS_RETRANSMIT_INITIAL_MS,
          waitMs: DTLS_RETRANSMIT_INITIAL_MS,
        };
        break;
      case 'established':
        this.#send(step.flight);
        this.#lastFlight = step.flight;
        this.#output.push({ type: 'keys', ...step.result });
        this.#state = 'established';
        this.#retransmission = undefined;
        this.#reassembler.clear();
        this.#handshake?.forget();
        break;
      default:
        unreachable(step, 'handshake step');
    }
  }

  /** An alert that came under the handshake's keys. */
  #alert(payload: Uint8Array): void {
    if (payload.length !== 2) return;
    const [level, description] = [payload[0]!, payload[1]!];
    if (this.#state === 'established' && description === ALERT.closeNotify) {
      this.#sendAlert(false, ALERT.closeNotify); // RFC 5246 §7.2.1
      this.#end('closed');
      this.#output.push({ type: 'closed' });
    } else if (level === 2) {
      this.#fail({ reason: 'alert-received', detail: 'the peer ended the association', received: description });
    }
  }

  #close(): void {
    if (this.#state === 'established') this.#sendAlert(false, ALERT.closeNotify);
    this.#end('closed');
    this.#output.push({ type: 'closed' });
  }

  #checkTime(now: number): void {
    if (this.#state !== 'handshaking') return;
    if (now >= this.#expiresAt) {
      const last = this.#lastRefusal === '' ? '' : `; last refused: ${this.#lastRefusal}`;
      this.#fail({ reason: 'timeout', detail: `no handshake within ${DTLS_HANDSHAKE_TIMEOUT_MS} ms${last}` });
      return;
    }
    if (this.#doubt !== undefined && now >= this.#doubt.at) {
      this.#fail(this.#doubt.failure);
      return;
    }
    const pending = this.#retransmission;
    if (pending === undefined || now < pending.at) return;
    this.#send(pending.flight);
    const waitMs = Math.min(2 * pending.waitMs, DTLS_RETRANSMIT_MAX_MS);
    this.#retransmission = { flight: pending.flight, at: now + waitMs, waitMs };
  }

  #send(flight: readonly Outgoing[]): void {
    for (const bytes of this.#outbox.flight(flight, this.#handshake?.protections?.write)) {
      this.#output.push({ type: 'datagram', bytes });
    }
  }

  #sendAlert(fatal: boolean, description: number): void {
    const bytes = this.#outbox.alert(fatal, description, this.#handshake?.protections?.write);
    this.#output.push({ type: 'datagram', bytes });
  }

  #fail({ reason, detail, received, alert }: Failure): void {
    if (alert !== undefined) this.#sendAlert(true, alert);
    this.#end('failed');
    this.#output.push({ type: 'failed', reason, detail, ...(received === undefined ? {} : { alert: received }) });
  }

  /** Keys that were given out are the taker's; everything else is wiped. */
  #end(state: 'failed' | 'closed'): void {
    this.#state = state;
    this.#retransmission = undefined;
    this.#lastFlight = [];
    this.#reassembler.clear();
    this.#handshake?.wipe();
    this.#handshake = undefined;
  }
}

export const weriftAssociation: AssociationFactory = (options) => new WeriftAssociation(options);
