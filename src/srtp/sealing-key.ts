/** One sender key on the sender's side: how it protects packets and travels with them, by tag or by field. */
import { Secret } from '../base/secret.js';
import { fieldPlaintext, fullField, shortField } from '../wire/ekt-field.js';
import { sealEktRtcp, sealEktRtp } from './ekt-packet.js';
import { FieldKeys } from './field-keys.js';
import { sealFieldRtcp, sealFieldRtp } from './field-packet.js';
import { type EktSuite, type GroupSet, InstalledSet, senderKeyBytes } from './group-set.js';
import { rocOf } from './index-estimate.js';
import { SenderKeys } from './sender-keys.js';

export interface SealingKey {
  readonly suite: EktSuite;
  readonly spiWord: number;
  /** How many keys of this SSRC came before it under the same SPI; without meaning for tags. */
  readonly epoch: number;
  /** Whether media RTCP may go out under it before it is in force (WIRE.md 12 D4). */
  readonly announcedByRtcp: boolean;
  /** @param full with a Full tag or field, else Short */
  sealRtp(
    header: Uint8Array,
    payload: Uint8Array,
    index: number,
    full: { readonly isn: number } | undefined,
    trailingByte?: number,
  ): Uint8Array;
  /** @param roc the stream's current one @param isn where the key is in force from */
  sealRtcp(compound: Uint8Array, rtcpIndex: number, roc: number, isn: number): Uint8Array;
  wipe(): void;
}

/** Copies what it needs of set and key. Throws on an undefined set, a key of another length, an epoch of more than 16 bits. */
export function sealingKey(set: GroupSet, key: Secret, ssrc: number, epoch: number): SealingKey {
  const installed = new InstalledSet(set);
  if (key.length !== senderKeyBytes(installed.suite)) throw new RangeError('a sender key of a wrong length');
  if (installed.suite !== 1) return new FieldSealingKey(installed, key, ssrc, epoch);
  const wrapped = key.use((bytes) => installed.wrap(bytes));
  const keys = SenderKeys.derived(set.spiWord, wrapped, key, installed.masterSalt);
  installed.wipe();
  return new TagSealingKey(keys);
}

class TagSealingKey implements SealingKey {
  readonly suite = 1;
  readonly epoch = 0;
  readonly announcedByRtcp = true;
  readonly spiWord: number;
  readonly #keys: SenderKeys;

  constructor(keys: SenderKeys) {
    this.spiWord = keys.spiWord;
    this.#keys = keys;
  }

  sealRtp(
    header: Uint8Array,
    payload: Uint8Array,
    index: number,
    full: { readonly isn: number } | undefined,
    trailingByte?: number,
  ): Uint8Array {
    return sealEktRtp(this.#keys, header, payload, index, full?.isn, trailingByte);
  }

  sealRtcp(compound: Uint8Array, rtcpIndex: number, roc: number, isn: number): Uint8Array {
    return sealEktRtcp(this.#keys, compound, rtcpIndex, { roc, isn });
  }

  wipe(): void {
    this.#keys.wipe();
  }
}

/** The field names the ROC, so it is wrapped anew whenever the sequence number has wrapped (WIRE.md 6). */
class FieldSealingKey implements SealingKey {
  readonly suite: EktSuite;
  readonly spiWord: number;
  readonly epoch: number;
  readonly announcedByRtcp = false;
  readonly #ssrc: number;
  readonly #set: InstalledSet;
  readonly #key: Secret;
  readonly #keys: FieldKeys;
  #field: { readonly roc: number; readonly bytes: Uint8Array } | undefined;

  constructor(set: InstalledSet, key: Secret, ssrc: number, epoch: number) {
    if (epoch > 0xffff) throw new RangeError('more sender keys under one SPI than an epoch can count');
    this.suite = set.suite;
    this.spiWord = set.spiWord;
    this.epoch = epoch;
    this.#ssrc = ssrc;
    this.#set = set;
    this.#key = new Secret(key.copyOut());
    const named = { spiWord: set.spiWord, wrapped: new Uint8Array(0), ssrc, roc: 0 };
    this.#keys = new FieldKeys(named, this.#key, set.masterSalt);
  }

  sealRtp(
    header: Uint8Array,
    payload: Uint8Array,
    index: number,
    full: { readonly isn: number } | undefined,
    trailingByte?: number,
  ): Uint8Array {
    const field = full === undefined ? shortField() : this.#fullField(rocOf(index));
    return sealFieldRtp(this.#keys, header, payload, index, field, trailingByte);
  }

  sealRtcp(compound: Uint8Array, rtcpIndex: number): Uint8Array {
    return sealFieldRtcp(this.#keys, compound, rtcpIndex);
  }

  wipe(): void {
    this.#keys.wipe();
    this.#set.wipe();
  }

  #fullField(roc: number): Uint8Array {
    if (this.#field?.roc !== roc) {
      const plain = this.#key.use((key) => fieldPlaintext(key, this.#ssrc, roc));
      this.#field = { roc, bytes: fullField(this.#set.wrap(plain), this.spiWord, this.epoch) };
      plain.fill(0);
    }
    return this.#field.bytes;
  }
}
