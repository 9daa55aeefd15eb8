/**
 * The engine on OpenSSL: native/dtls behind the contract of an association. What is believed, and when, is decided there:
 * native/dtls/gate.h stands before OpenSSL, so that plaintext that anybody could have sent does not end an association.
 */
import { DTLS_RETRANSMIT_INITIAL_MS } from '../../base/limits.js';
import { unreachable } from '../../base/result.js';
import { Secret } from '../../base/secret.js';
import type {
  Association,
  AssociationFactory,
  AssociationInput,
  AssociationOptions,
  AssociationOutput,
} from '../association.js';
import { addon, type NativeAssociation, type NativeStatus } from './addon.js';

/** For tests and interoperability; the defaults are what the switch runs with. */
export interface OpensslTuning {
  /** OpenSSL's names, best first. P-384 is for certificates on that curve (RFC 8422 §5.1). */
  readonly groups: readonly string[];
  /** Wait before the first retransmission; it doubles with each (RFC 6347 §4.2.4.1). */
  readonly retransmitMs: number;
  readonly extendedMasterSecret: boolean;
}

const DEFAULT_TUNING: OpensslTuning = {
  groups: ['X25519', 'P-256', 'P-384'],
  retransmitMs: DTLS_RETRANSMIT_INITIAL_MS,
  extendedMasterSecret: true,
};

export class OpensslAssociation implements Association {
  readonly #native: NativeAssociation;
  readonly #privateKeyPem: Secret;

  /** Throws when the native engine is not built. */
  constructor(options: AssociationOptions, tuning: Partial<OpensslTuning> = {}) {
    const { groups, ...rest } = { ...DEFAULT_TUNING, ...tuning };
    const { role, privateKeyPem, ...shared } = options;
    this.#privateKeyPem = privateKeyPem;
    this.#native = addon().createAssociation({
      ...shared,
      ...rest,
      client: role === 'client',
      cookieVerified: options.cookieVerified ?? false,
      groups: groups.join(':'),
    });
  }

  get state(): Association['state'] {
    return this.status.state;
  }

  /** Bytes of unfinished handshake messages held; bounded whatever comes in. */
  get heldBytes(): number {
    return this.status.heldBytes;
  }

  /** With what was agreed: cipher suite and extended master secret. */
  get status(): NativeStatus {
    return addon().status(this.#native);
  }

  receive(input: AssociationInput, now: number): void {
    const native = this.#native;
    switch (input.type) {
      case 'start':
        if (this.state === 'new') this.#privateKeyPem.use((pem) => addon().start(native, pem, now));
        break;
      case 'datagram':
        addon().receive(native, input.bytes, now);
        break;
      case 'close':
        addon().close(native, now);
        break;
      case 'tick':
        addon().tick(native, now);
        break;
      default:
        unreachable(input, 'association input');
    }
  }

  poll(): AssociationOutput | undefined {
    const output = addon().poll(this.#native);
    if (output?.type !== 'keys') return output;
    return { ...output, local: new Secret(output.local), remote: new Secret(output.remote) };
  }

  deadline(): number | undefined {
    return this.status.deadline;
  }
}

export const opensslAssociation: AssociationFactory = (options) => new OpensslAssociation(options);
