import { createSecretKey, type KeyObject } from 'node:crypto';
import { MAX_LIVE_SETS } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';
import { type TagCipher, WRAPPED_KEY_BYTES } from '../wire/ekt-tag.js';
import { aesBlockDecrypt, aesBlockEncrypt, unwrapKey, wrapKey } from './key-wrap.js';

/** A group parameter set (WIRE.md 1); the same shape as the relay's contract has. */
export interface GroupSet {
  /** 16 bits, lowest bit 1; rises within a conference. */
  readonly spiWord: number;
  /** SRTP suite and EKT cipher of WIRE.md 4.3. */
  readonly suite: number;
  readonly cipher: number;
  /** 16 bytes with ciphers 1 and 2. */
  readonly kek: Secret;
  /** 14 bytes. */
  readonly masterSalt: Secret;
}

/** Bytes of a sender key under suite 1. */
export const SENDER_KEY_BYTES = 16;
const MASTER_SALT_BYTES = 14;

export type SetRefusal = 'not_newer' | 'set_limit' | 'unsupported';

/** A set in use: its own copies of the secrets, ready to wrap and unwrap. */
export class InstalledSet {
  readonly spiWord: number;
  readonly cipher: TagCipher;
  readonly #kek: KeyObject;
  readonly #masterSalt: Secret;

  /** Only with what {@link supports} accepts. */
  constructor(set: GroupSet) {
    this.spiWord = set.spiWord;
    this.cipher = set.cipher === 2 ? 2 : 1;
    this.#kek = set.kek.use((bytes) => createSecretKey(bytes));
    this.#masterSalt = new Secret(set.masterSalt.copyOut());
  }

  static supports(set: GroupSet): boolean {
    return (
      set.suite === 1 &&
      (set.cipher === 1 || set.cipher === 2) &&
      set.kek.length === SENDER_KEY_BYTES &&
      set.masterSalt.length === MASTER_SALT_BYTES &&
      (set.spiWord & 1) === 1 &&
      set.spiWord <= 0xffff
    );
  }

  get wrappedKeyBytes(): number {
    return WRAPPED_KEY_BYTES[this.cipher];
  }

  get masterSalt(): Secret {
    return this.#masterSalt;
  }

  wrap(senderKey: Uint8Array): Uint8Array {
    return this.cipher === 1 ? aesBlockEncrypt(this.#kek, senderKey) : wrapKey(this.#kek, senderKey);
  }

  /** Cipher 1 always gives a key, right or wrong: only the tag tells. Cipher 2 checks the wrapping itself. */
  unwrap(wrapped: Uint8Array): Secret | undefined {
    const key = this.cipher === 1 ? aesBlockDecrypt(this.#kek, wrapped) : unwrapKey(this.#kek, wrapped);
    return key === undefined ? undefined : new Secret(key);
  }

  wipe(): void {
    this.#masterSalt.wipe();
  }
}

/** The sets of one conference that are alive here, at most MAX_LIVE_SETS. */
export class GroupSets {
  readonly #sets = new Map<number, InstalledSet>();
  #newest = -1;

  /** SPIs rise within a conference and are never used twice in it (WIRE.md 4.2): `not_newer`. */
  add(set: GroupSet): Result<InstalledSet, SetRefusal> {
    if (!InstalledSet.supports(set)) return refuse('unsupported');
    if (set.spiWord <= this.#newest) return refuse('not_newer');
    if (this.#sets.size >= MAX_LIVE_SETS) return refuse('set_limit');
    const installed = new InstalledSet(set);
    this.#sets.set(set.spiWord, installed);
    this.#newest = set.spiWord;
    return ok(installed);
  }

  get(spiWord: number): InstalledSet | undefined {
    return this.#sets.get(spiWord);
  }

  drop(spiWord: number): void {
    this.#sets.get(spiWord)?.wipe();
    this.#sets.delete(spiWord);
  }

  wipe(): void {
    for (const spiWord of [...this.#sets.keys()]) this.drop(spiWord);
  }

  describe(): string {
    return `sets ${[...this.#sets.keys()].join(',')} newest ${this.#newest}`;
  }
}
