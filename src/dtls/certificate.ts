/** The certificate a side shows in DTLS, and the fingerprint that SDP promises of it (RFC 8122 §5). */
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { Secret } from '../base/secret.js';
import type { Fingerprint, FingerprintAlgorithm } from './association.js';

/** node:crypto's name of each algorithm. */
export const HASH_NAMES: Readonly<Record<FingerprintAlgorithm, string>> = {
  'sha-256': 'sha256',
  'sha-384': 'sha384',
  'sha-512': 'sha512',
};

const VALIDITY_MS = 30 * 24 * 3600 * 1000;
/** Peers' clocks differ: a certificate that starts this minute would be refused by some of them. */
const CLOCK_SKEW_MS = 24 * 3600 * 1000;

/**
 * A self-signed ECDSA P-256 certificate, valid from a day before `now` to 30 days after.
 * @param commonName printed in the subject; proves nothing (the fingerprint does)
 * @param now milliseconds since the Unix epoch
 * @returns the certificate as PEM and its PKCS #8 key as PEM bytes; the caller wipes the key
 */
export async function createSelfSigned(
  commonName: string,
  now: number,
): Promise<{ certificatePem: string; privateKeyPem: Secret }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x3f) | 0x40; // RFC 5280 §4.1.2.2: positive, and of a fixed length
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serial.toString('hex'),
      // As an object: in a plain string the library reads quotes, backslashes and # as syntax.
      name: new x509.Name([{ CN: [{ utf8String: commonName }] }]),
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(now + VALIDITY_MS),
      signingAlgorithm: algorithm,
      keys,
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const pem = x509.PemConverter.encode(pkcs8, 'PRIVATE KEY');
  new Uint8Array(pkcs8).fill(0);
  return { certificatePem: certificate.toString('pem'), privateKeyPem: new Secret(new TextEncoder().encode(pem)) };
}

/**
 * The fingerprint of the first certificate in `certificatePem`: the hash over its DER (RFC 8122 §5).
 * Throws when there is none: the PEM is our own configuration, not input.
 */
export function fingerprintOf(certificatePem: string, algorithm: FingerprintAlgorithm): Fingerprint {
  return fingerprintOfDer(new X509Certificate(certificatePem).raw, algorithm);
}

export function fingerprintOfDer(der: Uint8Array, algorithm: FingerprintAlgorithm): Fingerprint {
  return { algorithm, value: Uint8Array.from(createHash(HASH_NAMES[algorithm]).update(der).digest()) };
}
