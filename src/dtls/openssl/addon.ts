/** Finds and loads native/build/Release/claviger_dtls.node, and gives its functions types. Nothing else knows the addon. */
import { createRequire } from 'node:module';
import type { AssociationFailure, Fingerprint, SrtpProfile } from '../association.js';

declare const associationTag: unique symbol;
/** One association on OpenSSL. Freed with its last reference; `close` frees its secrets before. */
export interface NativeAssociation {
  readonly [associationTag]: true;
}

export interface NativeOptions {
  readonly client: boolean;
  readonly certificatePem: string;
  readonly peerFingerprints: readonly Fingerprint[];
  readonly profiles: readonly SrtpProfile[];
  readonly mtuBytes: number;
  /** OpenSSL's names, best first, with colons between. */
  readonly groups: string;
  readonly cookieVerified: boolean;
  readonly retransmitMs: number;
  readonly extendedMasterSecret: boolean;
}

/** As AssociationOutput, but with bare key bytes, each in a buffer of its own. */
export type NativeOutput =
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  | {
      readonly type: 'keys';
      readonly profile: SrtpProfile;
      readonly local: Uint8Array;
      readonly remote: Uint8Array;
      readonly peerFingerprint: string;
    }
  | { readonly type: 'failed'; readonly reason: AssociationFailure; readonly detail: string; readonly alert?: number }
  | { readonly type: 'closed' };

export interface NativeStatus {
  readonly state: 'new' | 'handshaking' | 'established' | 'failed' | 'closed';
  readonly deadline?: number;
  /** Bytes of unfinished handshake messages. */
  readonly heldBytes: number;
  /** OpenSSL's name of the cipher suite; empty before the handshake is done. */
  readonly suite: string;
  readonly extendedMasterSecret: boolean;
}

export interface Addon {
  /** Throws when the options are of another shape, or when this Node's OpenSSL lacks what the engine needs. */
  createAssociation(options: NativeOptions): NativeAssociation;
  /** Reads the key; keeps no copy of the PEM. */
  start(association: NativeAssociation, privateKeyPem: Uint8Array, nowMs: number): void;
  receive(association: NativeAssociation, datagram: Uint8Array, nowMs: number): void;
  tick(association: NativeAssociation, nowMs: number): void;
  close(association: NativeAssociation, nowMs: number): void;
  poll(association: NativeAssociation): NativeOutput | undefined;
  status(association: NativeAssociation): NativeStatus;
  /** native/dtls/dtls_limits.h as the compiler saw it. */
  limits(): Record<string, number>;
}

let loaded: Addon | undefined;

/** Loads the addon on first use. Works from src/dtls/openssl (tests) and dist/src/dtls/openssl. Throws when it has not been built. */
export function addon(): Addon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const root = import.meta.url.includes('/dist/src/dtls/') ? '../../../..' : '../../..';
  loaded = require(`${root}/native/build/Release/claviger_dtls.node`) as Addon;
  return loaded;
}
