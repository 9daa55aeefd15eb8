/** The engines behind the association contract, by name: all pass the same compliance and attack suites. */
import type { AssociationFactory } from './association.js';
import { opensslAssociation } from './openssl/association.js';
import { weriftAssociation } from './werift/association.js';

export type EngineName = 'werift' | 'openssl';

export const ENGINES: Readonly<Record<EngineName, AssociationFactory>> = {
  werift: weriftAssociation,
  openssl: opensslAssociation,
};

/** Several times cheaper a handshake (`npm run bench -- join`). */
export const DEFAULT_ENGINE: EngineName = 'openssl';
