import { equalBytes } from '../base/bytes.js';
import { Secret } from '../base/secret.js';
import { BASE_TAG_BYTES } from '../wire/ekt-tag.js';
import { type CmSession, deriveCmSession, hmacSha1 } from './aes-cm.js';
import type { MediaKeys } from './media-keys.js';

/**
 * One sender key of suite 1 with a set's master salt, as (SPI word, wrapped key) names it, and the session keys that follow from it.
 * They are derived when first used: a forged Full tag costs one derivation, not six.
 */
export class SenderKeys implements MediaKeys {
  readonly spiWord: number;
  readonly wrapped: Uint8Array;
  readonly #key: Secret;
  readonly #salt: Secret;
  #rtp: CmSession | undefined;
  #rtcp: CmSession | undefined;

  /** Takes over `key`; copies `wrapped`; `salt` stays the set's, and its wiping does not touch sessions already derived. */
  constructor(spiWord: number, wrapped: Uint8Array, key: Secret, salt: Secret) {
    this.spiWord = spiWord;
    this.wrapped = Uint8Array.from(wrapped);
    this.#key = key;
    this.#salt = salt;
  }

  /** With all session keys derived at once: `key` is copied and may be wiped with the salt afterwards. */
  static derived(spiWord: number, wrapped: Uint8Array, key: Secret, salt: Secret): SenderKeys {
    const keys = new SenderKeys(spiWord, wrapped, new Secret(key.copyOut()), salt);
    keys.#rtp = keys.#derive('rtp');
    keys.#rtcp = keys.#derive('rtcp');
    keys.#key.wipe();
    return keys;
  }

  is(spiWord: number, wrapped: Uint8Array): boolean {
    return this.spiWord === spiWord && equalBytes(this.wrapped, wrapped);
  }

  get rtp(): CmSession {
    this.#rtp ??= this.#derive('rtp');
    return this.#rtp;
  }

  get rtcp(): CmSession {
    this.#rtcp ??= this.#derive('rtcp');
    return this.#rtcp;
  }

  /** The base tag of WIRE.md 5 over authenticated portion ‖ tail. */
  baseTag(kind: 'rtp' | 'rtcp', authenticated: Uint8Array, tail: Uint8Array): Uint8Array {
    return hmacSha1(this[kind].auth, authenticated, tail).subarray(0, BASE_TAG_BYTES);
  }

  wipe(): void {
    this.#key.wipe();
    this.#rtp?.salt.fill(0);
    this.#rtcp?.salt.fill(0);
    this.#rtp = undefined;
    this.#rtcp = undefined;
  }

  #derive(kind: 'rtp' | 'rtcp'): CmSession {
    return this.#key.use((key) => this.#salt.use((salt) => deriveCmSession(key, salt, kind)));
  }
}
