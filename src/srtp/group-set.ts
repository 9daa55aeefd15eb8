import type { Secret } from '../base/secret.js';

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
