/** DTLS 1.2 over werift's codecs and cryptography. */
import type { AssociationFactory } from '../association.js';

export const weriftAssociation: AssociationFactory = () => {
  throw new Error('not built yet');
};
