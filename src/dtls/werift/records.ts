/** The record layer of DTLS 1.2 (RFC 6347 §4.1): framing, the replay window, AES-128-GCM protection (RFC 5288). */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { readU16, writeU16, writeU32 } from '../../base/bytes.js';

export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;
export const RECORD_HEADER_BYTES = 13;
export const VERSION_1_2 = 0xfefd;
export const VERSION_1_0 = 0xfeff;
/** Explicit nonce and tag that AES-GCM adds to a record (RFC 5288 §3). */
export const GCM_OVERHEAD_BYTES = 24;

const NONCE_BYTES = 12;
const SALT_BYTES = 4;
const EXPLICIT_NONCE_BYTES = 8;
const TAG_BYTES = 16;
const MAX_PLAINTEXT_BYTES = 16_384;

export interface DtlsRecord {
  readonly type: number;
  readonly epoch: number;
  /** 48 bits. */
  readonly sequence: number;
  readonly version: number;
  /** A view into the datagram. */
  readonly payload: Uint8Array;
}

/**
 * The records of a datagram, in order. What cannot be a record of ours ends the walk: behind it nothing can be framed
 * (RFC 6347 §4.1.2.7: invalid records are silently discarded).
 */
export function splitRecords(datagram: Uint8Array): DtlsRecord[] {
  const records: DtlsRecord[] = [];
  let at = 0;
  while (datagram.length - at >= RECORD_HEADER_BYTES) {
    const type = datagram[at]!;
    const version = readU16(datagram, at + 1);
    const epoch = readU16(datagram, at + 3);
    const length = readU16(datagram, at + 11);
    const end = at + RECORD_HEADER_BYTES + length;
    if (type < CONTENT.changeCipherSpec || type > CONTENT.applicationData) break;
    // A first ClientHello or a HelloVerifyRequest may carry the version of DTLS 1.0 (RFC 6347 §4.2.1).
    if (version !== VERSION_1_2 && !(version === VERSION_1_0 && epoch === 0)) break;
    if (length > MAX_PLAINTEXT_BYTES + GCM_OVERHEAD_BYTES || end > datagram.length) break;
    const sequence =
      readU16(datagram, at + 5) * 0x1_0000_0000 + readU16(datagram, at + 7) * 0x1_0000 + readU16(datagram, at + 9);
    records.push({ type, version, epoch, sequence, payload: datagram.subarray(at + RECORD_HEADER_BYTES, end) });
    at = end;
  }
  return records;
}

function writeSequence(b: Uint8Array, at: number, epoch: number, sequence: number): void {
  writeU16(b, at, epoch);
  writeU16(b, at + 2, Math.floor(sequence / 0x1_0000_0000));
  writeU32(b, at + 4, sequence % 0x1_0000_0000);
}

/** A record with its header (RFC 6347 §4.1). */
export function frameRecord(
  type: number,
  version: number,
  epoch: number,
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const out = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  out[0] = type;
  writeU16(out, 1, version);
  writeSequence(out, 3, epoch, sequence);
  writeU16(out, 11, payload.length);
  out.set(payload, RECORD_HEADER_BYTES);
  return out;
}

/** The 64-record window of RFC 6347 §4.1.2.6. A number is learnt by `add` only, after its record was authenticated. */
export class ReplayWindow {
  #top = -1;
  /** Bit n: `#top - n` was seen. */
  #seen = 0n;

  fresh(sequence: number): boolean {
    if (sequence > this.#top) return true;
    const age = this.#top - sequence;
    return age < 64 && (this.#seen & (1n << BigInt(age))) === 0n;
  }

  add(sequence: number): void {
    if (sequence > this.#top) {
      const shift = Math.min(sequence - this.#top, 64);
      this.#seen = BigInt.asUintN(64, (this.#seen << BigInt(shift)) | 1n);
      this.#top = sequence;
    } else {
      this.#seen |= 1n << BigInt(this.#top - sequence);
    }
  }
}

/**
 * One direction's protection with AES-128-GCM. werift's own cipher class is not used: it writes the session's keys into its
 * debug output whenever a record fails to authenticate, and lends one mutable nonce to both directions' callers.
 */
export class RecordProtection {
  readonly #key: Uint8Array;
  readonly #salt: Uint8Array;

  /** Takes over both arrays; @param salt the four implicit bytes of the nonce (RFC 5288 §3) */
  constructor(key: Uint8Array, salt: Uint8Array) {
    this.#key = key;
    this.#salt = salt;
  }

  seal(type: number, epoch: number, sequence: number, plaintext: Uint8Array): Uint8Array {
    const nonce = new Uint8Array(NONCE_BYTES);
    nonce.set(this.#salt);
    writeSequence(nonce, SALT_BYTES, epoch, sequence);
    const cipher = createCipheriv('aes-128-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additionalData(type, epoch, sequence, plaintext.length));
    const body = Buffer.concat([nonce.subarray(SALT_BYTES), cipher.update(plaintext), cipher.final()]);
    return frameRecord(type, VERSION_1_2, epoch, sequence, Buffer.concat([body, cipher.getAuthTag()]));
  }

  /** The plaintext, or undefined when the record does not authenticate. */
  open(record: DtlsRecord): Uint8Array | undefined {
    const length = record.payload.length - GCM_OVERHEAD_BYTES;
    if (length < 0) return undefined;
    const nonce = new Uint8Array(NONCE_BYTES);
    nonce.set(this.#salt);
    nonce.set(record.payload.subarray(0, EXPLICIT_NONCE_BYTES), SALT_BYTES);
    const decipher = createDecipheriv('aes-128-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(record.type, record.epoch, record.sequence, length));
    decipher.setAuthTag(record.payload.subarray(EXPLICIT_NONCE_BYTES + length));
    const plaintext = decipher.update(record.payload.subarray(EXPLICIT_NONCE_BYTES, EXPLICIT_NONCE_BYTES + length));
    try {
      decipher.final(); // node's only way to say "not authentic" is to throw
    } catch {
      return undefined;
    }
    return plaintext;
  }

  wipe(): void {
    this.#key.fill(0);
    this.#salt.fill(0);
  }
}

/** seq_num ‖ type ‖ version ‖ length (RFC 5246 §6.2.3.3 with the epoch in front: RFC 6347 §4.1.2.1). */
function additionalData(type: number, epoch: number, sequence: number, length: number): Uint8Array {
  const aad = new Uint8Array(RECORD_HEADER_BYTES);
  writeSequence(aad, 0, epoch, sequence);
  aad[8] = type;
  writeU16(aad, 9, VERSION_1_2);
  writeU16(aad, 11, length);
  return aad;
}
