import { createHmac, type KeyObject } from 'node:crypto';
import { concat, equalBytes, writeU32 } from '../base/bytes.js';
import type { Secret } from '../base/secret.js';
import { ROUTE_TAG_BYTES } from '../wire/ekt-field.js';
import { toKeyObject } from './aes-cm.js';
import { deriveGcmSession, type GcmSession } from './aes-gcm.js';
import { deriveKey, LABEL } from './kdf.js';
import type { MediaKeys } from './media-keys.js';

/** Bytes of a set's master salt that RFC 7714 §11 uses. */
export const GCM_MASTER_SALT_BYTES = 12;
const ROUTE_KEY_BYTES = 32;

/**
 * One sender key of suite 17 or 18 with a set's master salt: AEAD sessions (RFC 7714 §11) and the route key (WIRE.md 6),
 * derived when first used. The field names SSRC and ROC too, so a key has one wrapped form for each ROC.
 */
export class FieldKeys implements MediaKeys {
  readonly spiWord: number;
  readonly ssrc: number;
  #epoch = 0;
  #wrapped: Uint8Array;
  #roc: number;
  readonly #key: Secret;
  readonly #salt: Secret;
  #rtp: GcmSession | undefined;
  #rtcp: GcmSession | undefined;
  #route: KeyObject | undefined;

  /** Takes over `key`; copies `wrapped`; `salt` stays the set's, and its wiping does not touch sessions already derived. */
  constructor(
    field: {
      readonly spiWord: number;
      readonly wrapped: Uint8Array;
      readonly ssrc: number;
      readonly roc: number;
    },
    key: Secret,
    salt: Secret,
  ) {
    this.spiWord = field.spiWord;
    this.ssrc = field.ssrc;
    this.#wrapped = Uint8Array.from(field.wrapped);
    this.#roc = field.roc;
    this.#key = key;
    this.#salt = salt;
  }

  /** Of the field under which the key was adopted. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The wrapping does not cover the epoch: it is believed only with a packet that verified. */
  adopt(epoch: number): void {
    this.#epoch = epoch;
  }

  get wrapped(): Uint8Array {
    return this.#wrapped;
  }

  /** That of the field which was seen last. */
  get roc(): number {
    return this.#roc;
  }

  is(spiWord: number, wrapped: Uint8Array): boolean {
    return this.spiWord === spiWord && equalBytes(this.#wrapped, wrapped);
  }

  /** The same sender key, under the same set. */
  sameKey(other: FieldKeys): boolean {
    return this.spiWord === other.spiWord && this.#key.equals(other.#key);
  }

  /** The same key came in a field with a later ROC. */
  renew(wrapped: Uint8Array, roc: number): void {
    if (roc <= this.#roc) return;
    this.#wrapped = Uint8Array.from(wrapped);
    this.#roc = roc;
  }

  get rtp(): GcmSession {
    this.#rtp ??= this.#derive((key, salt) => deriveGcmSession(key, salt, 'rtp'));
    return this.#rtp;
  }

  get rtcp(): GcmSession {
    this.#rtcp ??= this.#derive((key, salt) => deriveGcmSession(key, salt, 'rtcp'));
    return this.#rtcp;
  }

  /**
   * The route tag (WIRE.md 6).
   * @param header as it is on this leg @param behind AEAD tag ‖ trailing byte, if there is one @param field the whole field
   */
  routeTag(header: Uint8Array, behind: Uint8Array, roc: number, field: Uint8Array): Uint8Array {
    this.#route ??= this.#derive((key, salt) => toKeyObject(deriveKey(key, salt, LABEL.rtpAuth, ROUTE_KEY_BYTES)));
    const rocBytes = new Uint8Array(4);
    writeU32(rocBytes, 0, roc);
    const input = concat(header, behind, rocBytes, field);
    return createHmac('sha256', this.#route).update(input).digest().subarray(0, ROUTE_TAG_BYTES);
  }

  wipe(): void {
    this.#key.wipe();
    this.#rtp?.salt.fill(0);
    this.#rtcp?.salt.fill(0);
    this.#rtp = undefined;
    this.#rtcp = undefined;
    this.#route = undefined;
  }

  #derive<T>(derive: (key: Uint8Array, salt: Uint8Array) => T): T {
    return this.#key.use((key) => this.#salt.use((salt) => derive(key, salt.subarray(0, GCM_MASTER_SALT_BYTES))));
  }
}
