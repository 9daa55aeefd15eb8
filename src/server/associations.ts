/** The DTLS associations that control asked for, each in a negotiation thread, with the switch's one certificate. */
import { DTLS_MAX_MTU_BYTES } from '../base/limits.js';
import type { AssociationNumber, AssociationReport, ControlOutput } from '../control/contract.js';
import type { createSelfSigned } from '../dtls/certificate.js';
import { AssociationPool, type PoolAssociation } from '../dtls/pool.js';

type PoolOptions = ConstructorParameters<typeof AssociationPool>[0];

export interface AssociationsOptions extends PoolOptions {
  readonly certificate: Awaited<ReturnType<typeof createSelfSigned>>;
  readonly onReport: (association: AssociationNumber, report: AssociationReport) => void;
  /** A handshake is over, after so long. */
  readonly onNegotiated: (outcome: 'keys' | 'failed', seconds: number) => void;
  readonly now: () => number;
}

export class Associations {
  readonly #options: AssociationsOptions;
  readonly #pool: AssociationPool;
  readonly #open = new Map<AssociationNumber, PoolAssociation>();
  /** Of those, the ones without keys yet. */
  readonly #handshaking = new Set<AssociationNumber>();

  constructor(options: AssociationsOptions) {
    this.#options = options;
    this.#pool = new AssociationPool(options);
  }

  get size(): number {
    return this.#open.size;
  }

  get handshaking(): number {
    return this.#handshaking.size;
  }

  get droppedDatagrams(): number {
    return this.#pool.stats().droppedDatagrams;
  }

  /** The negotiation threads, for tests that kill one. */
  get threads(): AssociationPool['threads'] {
    return this.#pool.threads;
  }

  open(wanted: Extract<ControlOutput, { type: 'association-open' }>): void {
    const { association, role, signalled, fingerprints, profiles } = wanted;
    const { certificate, onReport, onNegotiated, now } = this.#options;
    const parameters = { role, profiles, peerFingerprints: fingerprints, mtuBytes: DTLS_MAX_MTU_BYTES };
    const since = now();
    this.#handshaking.add(association);
    const opened = this.#pool.open(
      { ...parameters, ...certificate, cookieVerified: true },
      (report) => {
        if (report.type === 'failed' || report.type === 'closed') this.#open.delete(association);
        if (report.type !== 'datagram') this.#handshaking.delete(association);
        if (report.type === 'keys' || report.type === 'failed') onNegotiated(report.type, (now() - since) / 1_000);
        onReport(association, report);
      },
      signalled ? 'accepted' : 'stranger',
    );
    this.#open.set(association, opened);
  }

  receive(association: AssociationNumber, bytes: Uint8Array): void {
    this.#open.get(association)?.receive([bytes]);
  }

  end(association: AssociationNumber): void {
    this.#open.get(association)?.close();
    this.#open.delete(association);
    this.#handshaking.delete(association);
  }

  /** No more negotiation. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** The certificate's key is gone. */
  wipe(): void {
    this.#options.certificate.privateKeyPem.wipe();
  }
}
