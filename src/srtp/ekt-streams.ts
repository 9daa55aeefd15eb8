import type { Result } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import type { RtpHeader } from '../wire/rtp.js';
import { EktStream } from './ekt-stream.js';
import type { InstalledSet } from './group-set.js';
import type { MediaKeys } from './media-keys.js';

/** An SRTP packet that has proven itself; nothing has been learnt from it yet. */
export interface VerifiedRtp {
  readonly ssrc: number;
  /** ROC ‖ sequence number. */
  readonly index: number;
  /** The set of the key that it is under. */
  readonly spiWord: number;
  /** Offset of the tag, or of the route tag: the trailing byte, if there is one, stands before it. */
  readonly at: number;
  /** The decrypted payload, with its padding; for receivers, that is without a trailing byte. Undefined: it was changed. */
  open(): Uint8Array | undefined;
  /** What goes on: `packet` (rewritten, without trailing byte) with the tag that it needs. */
  reseal(packet: Uint8Array): Uint8Array;
  /** WIRE.md 9 step 8. The caller has asked {@link EktStreams.hasRoomFor}. */
  accept(now: number): void;
}

/** A media RTCP packet that has proven itself. */
export interface VerifiedRtcp {
  readonly ssrc: number;
  readonly spiWord: number;
  /** The decrypted compound. */
  open(): Uint8Array;
  /** The packet as it goes on. */
  onward(): Uint8Array;
  /** Step 8; see {@link VerifiedRtp.accept}. */
  accept(): void;
}

/** The set of an SPI word, if a packet of this channel may be under it. */
export type SetLookup = (spiWord: number) => InstalledSet | undefined;

/**
 * The streams that arrive on one channel under sender keys: WIRE.md 9 steps 4 to 6 (`verify...`, which learns nothing) and 8
 * (`accept`). The endpoint's receiver and the relay's oracle share it. How keys travel, in tags (WIRE.md 5) or in fields
 * (section 6), is a conference's choice and a subclass's knowledge.
 */
export abstract class EktStreams<K extends MediaKeys = MediaKeys> {
  readonly #streams = new Map<number, EktStream<K>>();
  readonly #limit: number;
  readonly #evictsKeyless: boolean;
  /** The last key that was unwrapped and not kept: saves the unwrapping of its repeats. A cache, not a state. */
  #provisional: K | undefined;

  /** @param evictsKeyless a stream whose sets are all gone gives way to a new one at the limit (WIRE.md 11: never within one set) */
  constructor(limit: number, evictsKeyless: boolean) {
    this.#limit = limit;
    this.#evictsKeyless = evictsKeyless;
  }

  /**
   * WIRE.md 9 step 2 for SRTP: `malformed`, then `no_multiplex_word`.
   * @param trailingBytes 1 where the sender appends one (WIRE.md 7)
   */
  abstract parseHeader(datagram: Uint8Array, trailingBytes: 0 | 1): Result<RtpHeader, DropName>;

  /** Step 2 for media RTCP, as far as it can be told without a set: it is long enough, and the E flag is set (WIRE.md 3). */
  abstract looksLikeRtcp(datagram: Uint8Array): boolean;

  /** @param header what {@link parseHeader} found @param now ms */
  abstract verifyRtp(
    datagram: Uint8Array,
    header: RtpHeader,
    trailingBytes: 0 | 1,
    now: number,
  ): Result<VerifiedRtp, DropName>;

  /** Media RTCP. @param datagram with at least the clear header; any SSRC but a control SSRC */
  abstract verifyRtcp(datagram: Uint8Array, now: number): Result<VerifiedRtcp, DropName>;

  get size(): number {
    return this.#streams.size;
  }

  has(ssrc: number): boolean {
    return this.#streams.has(ssrc);
  }

  roc(ssrc: number): number | undefined {
    return this.#streams.get(ssrc)?.roc;
  }

  /** Is there room for the stream of this packet (a known SSRC always has its place)? */
  hasRoomFor(ssrc: number): boolean {
    return this.#streams.has(ssrc) || this.#streams.size < this.#limit || this.#firstKeyless() !== undefined;
  }

  expire(now: number): void {
    for (const stream of this.#streams.values()) stream.expire(now);
  }

  /** The set is gone and its keys are wiped. A stream keeps its ROC, window and SRTCP index: they outlive keys and sets. */
  dropSet(spiWord: number): void {
    if (this.#provisional?.spiWord === spiWord) this.#forget();
    for (const stream of this.#streams.values()) stream.dropSet(spiWord);
  }

  wipe(): void {
    this.#forget();
    for (const [ssrc, stream] of this.#streams) this.#remove(ssrc, stream);
  }

  describe(): string {
    return [...this.#streams.values()].map((stream) => stream.describe()).join('\n');
  }

  /** The stream of a packet, as it is at `now`. */
  protected streamAt(ssrc: number, now: number): EktStream<K> | undefined {
    const stream = this.#streams.get(ssrc);
    stream?.expire(now);
    return stream;
  }

  /** The unwrapped key of (SPI word, wrapped key), made by `unwrap` unless it was the last one. */
  protected provisional(spiWord: number, wrapped: Uint8Array, unwrap: () => K | undefined): K | undefined {
    if (this.#provisional?.is(spiWord, wrapped)) return this.#provisional;
    const keys = unwrap();
    if (keys === undefined) return undefined;
    this.#forget();
    this.#provisional = keys;
    return keys;
  }

  /** The stream of an accepted packet; a new one if it has none. */
  protected keep(ssrc: number, known: EktStream<K> | undefined): EktStream<K> {
    if (known !== undefined) return known;
    if (!this.hasRoomFor(ssrc)) throw new Error('more streams than the limit');
    const oldest = this.#streams.size < this.#limit ? undefined : this.#firstKeyless();
    if (oldest !== undefined) this.#remove(oldest.ssrc, oldest);
    const stream = new EktStream<K>(ssrc);
    this.#streams.set(ssrc, stream);
    return stream;
  }

  /** A key that a stream has kept is its to wipe, not the cache's. */
  protected settle(stream: EktStream<K>, keys: K): void {
    if (this.#provisional === keys && stream.slotKeys().includes(keys)) this.#provisional = undefined;
  }

  #firstKeyless(): EktStream<K> | undefined {
    if (!this.#evictsKeyless) return undefined;
    for (const stream of this.#streams.values()) if (stream.keyless) return stream;
    return undefined;
  }

  #forget(): void {
    this.#provisional?.wipe();
    this.#provisional = undefined;
  }

  #remove(ssrc: number, stream: EktStream<K>): void {
    stream.wipe();
    this.#streams.delete(ssrc);
  }
}
