/**
 * The contract between the switch (or endpoint) and a DTLS-SRTP engine (WIRE.md 2, RFC 5764). One association serves one
 * channel and one remote address; it sees datagrams, never addresses, and does not know what its keys are for.
 */
import type { Engine, Tick } from '../base/engine.js';
import type { Secret } from '../base/secret.js';

/** RFC 5764 §4.1.2 and RFC 7714 §14.2: AES128_CM_HMAC_SHA1_80, AEAD_AES_128_GCM, AEAD_AES_256_GCM. */
export type SrtpProfile = 0x0001 | 0x0007 | 0x0008;

/** Bytes of master key and master salt for each profile. */
export const PROFILE_SIZES: Readonly<Record<SrtpProfile, { readonly key: number; readonly salt: number }>> = {
  1: { key: 16, salt: 14 },
  7: { key: 16, salt: 12 },
  8: { key: 32, salt: 12 },
};

export type FingerprintAlgorithm = 'sha-256' | 'sha-384' | 'sha-512';

/** What `a=fingerprint` promised; the peer's certificate must match one of them before any key leaves the engine. */
export interface Fingerprint {
  readonly algorithm: FingerprintAlgorithm;
  readonly value: Uint8Array;
}

export interface AssociationOptions {
  readonly role: 'client' | 'server';
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
  readonly peerFingerprints: readonly Fingerprint[];
  /** In order of preference. */
  readonly profiles: readonly SrtpProfile[];
  /**
   * Of a server: whoever hands on the datagrams has had a cookie brought back from their address (RFC 6347 §4.2.1), as the
   * relay has. The engine then asks for none and takes the hello that brought it.
   */
  readonly cookieVerified?: boolean;
  /** Largest datagram to send, bytes. */
  readonly mtuBytes: number;
}

export type AssociationInput =
  | { readonly type: 'start' }
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  | { readonly type: 'close' }
  | Tick;

export type AssociationFailure =
  | 'timeout'
  | 'alert-received'
  | 'no-common-profile'
  | 'no-common-parameters'
  | 'no-certificate'
  | 'fingerprint-mismatch'
  | 'certificate-verify-invalid'
  | 'key-exchange-signature-invalid'
  | 'finished-invalid'
  | 'protocol-error'
  | 'limit-exceeded'
  | 'engine-lost';

export type AssociationOutput =
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  | {
      /** Given exactly once, after Finished and the fingerprint were verified. Each secret is master key ‖ master salt. */
      readonly type: 'keys';
      readonly profile: SrtpProfile;
      /** For what this side sends. */
      readonly local: Secret;
      /** For what the peer sends. */
      readonly remote: Secret;
      /** SHA-256 of the peer's certificate (DER), hex, lower case. */
      readonly peerFingerprint: string;
    }
  | { readonly type: 'failed'; readonly reason: AssociationFailure; readonly detail: string; readonly alert?: number }
  /** The peer closed an established association with an authenticated close_notify, or `close` was carried out. */
  | { readonly type: 'closed' };

export interface Association extends Engine<AssociationInput, AssociationOutput> {
  readonly state: 'new' | 'handshaking' | 'established' | 'failed' | 'closed';
}

/** Makes associations; one factory an engine. */
export type AssociationFactory = (options: AssociationOptions) => Association;
