import { createSecretKey, type KeyObject } from 'node:crypto';
import { MAX_LIVE_SETS } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';
import { FIELD_KEY_BYTES, type FieldSuite } from '../wire/ekt-field.js';
import type { TagCipher } from '../wire/ekt-tag.js';
import { aesBlockDecrypt, aesBlockEncrypt, unwrapKey, unwrapKeyPadded, wrapKey, wrapKeyPadded } from './key-wrap.js';

/** A group parameter set (WIRE.md 1); the same shape as the relay's contract has. */
export interface GroupSet {
  /** 16 bits, lowest bit 1; rises within a conference. */
  readonly spiWord: number;
  /** SRTP suite and EKT cipher of WIRE.md 4.3. */
  readonly suite: number;
  readonly cipher: number;
  /** 16 bytes; 32 with cipher 4. */
  readonly kek: Secret;
  /** 14 bytes; suites 17 and 18 use the first 12. */
  readonly masterSalt: Secret;
}

/** SRTP suites and the EKT ciphers that go with them (WIRE.md 4.3). */
export type EktSuite = 1 | FieldSuite;
type EktCipher = TagCipher | 3 | 4;
const CIPHERS: Readonly<Record<EktSuite, readonly EktCipher[]>> = { 1: [1, 2], 17: [3], 18: [4] };

/** Bytes of a sender key, and of the KEK, under a suite: 32 with 18, else 16. */
export function senderKeyBytes(suite: number): 16 | 32 {
  return suite === 18 ? FIELD_KEY_BYTES[18] : 16;
}

export const MASTER_SALT_BYTES = 14;

export type SetRefusal = 'not_newer' | 'set_limit' | 'unsupported' | 'other_suite';

/** A set in use: its own copies of the secrets, ready to wrap and unwrap. */
export class InstalledSet {
  readonly spiWord: number;
  readonly suite: EktSuite;
  readonly cipher: EktCipher;
  readonly #kek: KeyObject;
  readonly #masterSalt: Secret;

  /** Throws on what {@link supports} does not accept. */
  constructor(set: GroupSet) {
    const known = knownSuite(set);
    if (known === undefined) throw new RangeError('not a set that is defined');
    this.spiWord = set.spiWord;
    this.suite = known.suite;
    this.cipher = known.cipher;
    this.#kek = set.kek.use((bytes) => createSecretKey(bytes));
    this.#masterSalt = new Secret(set.masterSalt.copyOut());
  }

  static supports(set: GroupSet): boolean {
    return knownSuite(set) !== undefined;
  }

  get masterSalt(): Secret {
    return this.#masterSalt;
  }

  /** @param plain a sender key; with ciphers 3 and 4 the plaintext of a Full field */
  wrap(plain: Uint8Array): Uint8Array {
    if (this.cipher === 1) return aesBlockEncrypt(this.#kek, plain);
    return this.cipher === 2 ? wrapKey(this.#kek, plain) : wrapKeyPadded(this.#kek, plain);
  }

  /** Cipher 1 always gives a key, right or wrong: only the tag tells. The others check the wrapping itself. */
  unwrap(wrapped: Uint8Array): Secret | undefined {
    const plain = this.#unwrapped(wrapped);
    return plain === undefined ? undefined : new Secret(plain);
  }

  wipe(): void {
    this.#masterSalt.wipe();
  }

  #unwrapped(wrapped: Uint8Array): Uint8Array | undefined {
    if (this.cipher === 1) return aesBlockDecrypt(this.#kek, wrapped);
    return this.cipher === 2 ? unwrapKey(this.#kek, wrapped) : unwrapKeyPadded(this.#kek, wrapped);
  }
}

function knownSuite(set: GroupSet): { suite: EktSuite; cipher: EktCipher } | undefined {
  const { spiWord, kek, masterSalt } = set;
  if ((spiWord & 1) !== 1 || spiWord > 0xffff || masterSalt.length !== MASTER_SALT_BYTES) return undefined;
  for (const suite of [1, 17, 18] as const) {
    const cipher = CIPHERS[suite].find((known) => known === set.cipher);
    if (suite === set.suite && cipher !== undefined && kek.length === senderKeyBytes(suite)) return { suite, cipher };
  }
  return undefined;
}

/** The sets of one conference that are alive here, at most MAX_LIVE_SETS. */
export class GroupSets {
  readonly #sets = new Map<number, InstalledSet>();
  #newest = -1;
  #suite: EktSuite | undefined;

  /** That of the first set, and with it of all others (WIRE.md 4.3: a conference's suite is fixed). */
  get suite(): EktSuite | undefined {
    return this.#suite;
  }

  /** SPIs rise within a conference and are never used twice in it (WIRE.md 4.2): `not_newer`. */
  add(set: GroupSet): Result<InstalledSet, SetRefusal> {
    if (!InstalledSet.supports(set)) return refuse('unsupported');
    if (set.spiWord <= this.#newest) return refuse('not_newer');
    if (this.#sets.size >= MAX_LIVE_SETS) return refuse('set_limit');
    if (this.#suite !== undefined && set.suite !== this.#suite) return refuse('other_suite');
    const installed = new InstalledSet(set);
    this.#suite = installed.suite;
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
