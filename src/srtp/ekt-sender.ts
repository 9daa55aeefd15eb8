import { writeU16, writeU32 } from '../base/bytes.js';
import type { Secret } from '../base/secret.js';
import { RTP_FIXED_HEADER_BYTES } from '../wire/rtp.js';
import { sealEktRtcp, sealEktRtp } from './ekt-packet.js';
import { type GroupSet, InstalledSet, SENDER_KEY_BYTES } from './group-set.js';
import { INDEX_LIMIT, packetIndex, RTCP_INDEX_LIMIT, rocOf } from './index-estimate.js';
import { SenderKeys } from './sender-keys.js';
import { RTCP_CLEAR_BYTES } from './transform.js';

export interface RtpProtection {
  /** Full tag (else Short): see FullTagCadence. */
  readonly full: boolean;
  /** Energy or refresh flag (WIRE.md 7), where it was negotiated. */
  readonly trailingByte?: number;
}

interface KeyInForce {
  readonly keys: SenderKeys;
  /** Index of the first packet under it. */
  readonly start: number;
}

/**
 * Protects what an endpoint sends under one SSRC (WIRE.md 5). It gives out the sequence numbers, so that no index is used
 * twice under one key. Misuse (a set that is not for tags, an older set, a key of wrong length) throws: it is our own.
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
   * @param options.key 16 random bytes of the caller's, used for this SSRC alone; copied, as the set's secrets are
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
    this.#current = { keys: sessionOf(options.set, options.key), start: this.#nextIndex };
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
    const isn = protection.full ? this.#isn(this.#current, index) : undefined;
    const packet = sealEktRtp(this.#current.keys, own, payload, index, isn, protection.trailingByte);
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

  /** Media RTCP (SR and SDES of this SSRC): always a Full tag; a key that is still to come is announced by it (WIRE.md 12 D4). */
  protectRtcp(compound: Uint8Array): Uint8Array {
    if (compound.length < RTCP_CLEAR_BYTES) throw new RangeError('an RTCP packet has 8 bytes at least');
    if (this.#nextRtcpIndex >= RTCP_INDEX_LIMIT) throw new Error('SRTCP index exhausted');
    const key = this.#next ?? this.#current;
    const full = { roc: this.roc, isn: this.#isn(key, this.#nextIndex) };
    return sealEktRtcp(key.keys, compound, this.#nextRtcpIndex++, full);
  }

  /**
   * A new key under the same set or a newer one; sequence numbers, ROC and SRTCP index run on.
   * @param afterPackets how many more SRTP packets go out under the old key, while media RTCP announces the new one. The
   *   announcement cannot name a start beyond the next wrap of the sequence number: then the key comes into force at once.
   */
  rekey(set: GroupSet, key: Secret, afterPackets = 0): void {
    if (set.spiWord < this.#current.keys.spiWord) throw new Error('a sender never goes back to an older set');
    const keys = sessionOf(set, key);
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

function sessionOf(set: GroupSet, key: Secret): SenderKeys {
  if (!InstalledSet.supports(set)) throw new RangeError('not a set whose keys ride in tags');
  if (key.length !== SENDER_KEY_BYTES) throw new RangeError('a sender key of a wrong length');
  const installed = new InstalledSet(set);
  const wrapped = key.use((bytes) => installed.wrap(bytes));
  const keys = SenderKeys.derived(set.spiWord, wrapped, key, installed.masterSalt);
  installed.wipe();
  return keys;
}
