import { writeU16, writeU32 } from '../base/bytes.js';
import type { Secret } from '../base/secret.js';
import { RTP_FIXED_HEADER_BYTES } from '../wire/rtp.js';
import type { GroupSet } from './group-set.js';
import { INDEX_LIMIT, packetIndex, RTCP_INDEX_LIMIT, rocOf } from './index-estimate.js';
import { type SealingKey, sealingKey } from './sealing-key.js';
import { RTCP_CLEAR_BYTES } from './transform.js';

export interface RtpProtection {
  /** Full tag or field (else Short): see FullTagCadence. */
  readonly full: boolean;
  /** Energy or refresh flag (WIRE.md 7), where it was negotiated. */
  readonly trailingByte?: number;
}

interface KeyInForce {
  readonly keys: SealingKey;
  /** Index of the first packet under it. */
  readonly start: number;
}

/**
 * Protects what an endpoint sends under one SSRC (WIRE.md 5, 6). It gives out the sequence numbers, so that no index is used
 * twice under one key. Misuse (an unknown, older or other suite's set, a key of wrong length) throws: it is our own.
 */
export class EktSender {
  readonly ssrc: number;
  #current: KeyInForce;
  #next: KeyInForce | undefined;
  #nextIndex: number;
  #nextRtcpIndex = 0;
  #generation = 0;

  /**
   * @param options.sequence of the first packet; the ROC begins at 0
   * @param options.key `senderKeyBytes` random bytes of the caller's, used for this SSRC alone; copied, as the set's secrets are
   */
  constructor(options: {
    readonly ssrc: number;
    readonly sequence: number;
    readonly set: GroupSet;
    readonly key: Secret;
  }) {
    if ((options.ssrc & 0xff) === 0) throw new RangeError("a media SSRC's low byte is never 00");
    this.ssrc = options.ssrc;
    this.#nextIndex = packetIndex(0, options.sequence & 0xffff);
    this.#current = { keys: sealingKey(options.set, options.key, options.ssrc, 0), start: this.#nextIndex };
  }

  /** The sequence number that the next packet gets. */
  get sequence(): number {
    return this.#nextIndex % 0x10000;
  }

  /** The ROC that the next packet gets. */
  get roc(): number {
    return rocOf(this.#nextIndex);
  }

  /** The set of the key that the next packet is under. */
  get spiWord(): number {
    return this.#current.keys.spiWord;
  }

  /** Rises by one whenever a new key comes into force. */
  get keyGeneration(): number {
    return this.#generation;
  }

  /**
   * @param header an RTP header with its CSRCs and extension; its sequence number and SSRC are filled in in the result
   * @param payload with padding, if the header says so
   */
  protectRtp(header: Uint8Array, payload: Uint8Array, protection: RtpProtection): Uint8Array {
    if (header.length < RTP_FIXED_HEADER_BYTES) throw new RangeError('an RTP header has 12 bytes at least');
    const index = this.#nextIndex;
    // RFC 3711 §9.2: no index twice; with 2^48 of them the stream is over.
    if (index >= INDEX_LIMIT) throw new Error('SRTP index exhausted');
    const own = Uint8Array.from(header);
    writeU16(own, 2, index % 0x10000);
    writeU32(own, 8, this.ssrc);
    const { keys } = this.#current;
    const full = protection.full ? { isn: this.#isn(this.#current, index) } : undefined;
    const packet = keys.sealRtp(own, payload, index, full, protection.trailingByte);
    this.#nextIndex++;
    this.#advance();
    return packet;
  }

  /** Leaves out `count` sequence numbers: packets that were lost before they came here, and that receivers shall see missing. */
  skip(count: number): void {
    if (this.#nextIndex + count >= INDEX_LIMIT) throw new Error('SRTP index exhausted');
    this.#nextIndex += count;
    this.#advance();
  }

  /**
   * Media RTCP (SR and SDES of this SSRC). With tags always a Full one; a key that is still to come is announced by it
   * (WIRE.md 12 D4). Fields are not for SRTCP: there the key in force protects it (WIRE.md 6).
   */
  protectRtcp(compound: Uint8Array): Uint8Array {
    if (compound.length < RTCP_CLEAR_BYTES) throw new RangeError('an RTCP packet has 8 bytes at least');
    if (this.#nextRtcpIndex >= RTCP_INDEX_LIMIT) throw new Error('SRTCP index exhausted');
    const key = this.#current.keys.announcedByRtcp ? (this.#next ?? this.#current) : this.#current;
    return key.keys.sealRtcp(compound, this.#nextRtcpIndex++, this.roc, this.#isn(key, this.#nextIndex));
  }

  /**
   * A new key under the same set or a newer one; sequence numbers, ROC and SRTCP index run on.
   * @param afterPackets how many more SRTP packets go out under the old key, while media RTCP announces the new one. The
   *   announcement cannot name a start beyond the next wrap of the sequence number: then the key comes into force at once.
   */
  rekey(set: GroupSet, key: Secret, afterPackets = 0): void {
    if (set.spiWord < this.#current.keys.spiWord) throw new Error('a sender never goes back to an older set');
    if (set.suite !== this.#current.keys.suite) throw new Error("a conference's suite is fixed");
    const last = (this.#next ?? this.#current).keys;
    // RFC 8870 §4.1: the epoch counts the keys of an SSRC under one SPI.
    const keys = sealingKey(set, key, this.ssrc, set.spiWord === last.spiWord ? last.epoch + 1 : 0);
    this.#next?.keys.wipe();
    const start = this.#nextIndex + afterPackets;
    this.#next = { keys, start: rocOf(start) === this.roc ? start : this.#nextIndex };
    this.#advance();
  }

  wipe(): void {
    this.#current.keys.wipe();
    this.#next?.keys.wipe();
  }

  /** 0 once the sequence number has wrapped since the key's first packet. */
  #isn(key: KeyInForce, index: number): number {
    return rocOf(key.start) === rocOf(index) ? key.start % 0x10000 : 0;
  }

  #advance(): void {
    if (this.#next === undefined || this.#nextIndex < this.#next.start) return;
    this.#current.keys.wipe();
    this.#current = this.#next;
    this.#next = undefined;
    this.#generation++;
  }
}
