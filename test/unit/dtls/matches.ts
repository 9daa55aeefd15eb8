/** Which engine plays which role: each against itself, and crosswise. */
import { Secret } from '../../../src/base/secret.js';
import type { AssociationOptions } from '../../../src/dtls/association.js';
import type { EngineName } from '../../../src/dtls/engines.js';
import { type Certificate, type Engines, Pair, type PairChange, type Side } from './pair.js';

export const ENGINES: readonly EngineName[] = ['werift', 'openssl'];
export const SIDES: readonly Side[] = ['client', 'server'];
export const other = (side: Side): Side => (side === 'client' ? 'server' : 'client');

export interface Match {
  readonly match: string;
  readonly engines: Engines;
}

export const MATCHES: readonly Match[] = ENGINES.flatMap((client) =>
  ENGINES.map((server) => ({ match: `${client} client, ${server} server`, engines: { client, server } })),
);

/** A genuine pair of `engines`. */
export function play(engines: Engines, change: PairChange = {}): Pair {
  return new Pair({ ...change, engines }).start().run();
}

/** Options that show `certificate`; each association gets its own copy of the key. */
export function showing(certificate: Certificate): Pick<AssociationOptions, 'certificatePem' | 'privateKeyPem'> {
  return {
    certificatePem: certificate.certificatePem,
    privateKeyPem: Secret.copyOf(certificate.privateKeyPem.copyOut()),
  };
}
