/** Certificates of every kind that a peer may show. */
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { Secret } from '../../../src/base/secret.js';
import { type Certificate, START } from './pair.js';

type Algorithm = (webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams) & { readonly hash: string };

const DAY_MS = 24 * 3600 * 1000;
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength,
  publicExponent: Uint8Array.of(1, 0, 1),
  hash: 'SHA-256',
});

async function make(algorithm: Algorithm, from = START - DAY_MS, to = START + 365 * DAY_MS): Promise<Certificate> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '41',
      name: 'CN=kind',
      notBefore: new Date(from),
      notAfter: new Date(to),
      signingAlgorithm: algorithm,
      keys,
    },
    webcrypto,
  );
  const pem = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { certificatePem: certificate.toString('pem'), privateKeyPem: new Secret(new TextEncoder().encode(pem)) };
}

const [p256, p384, rsa2048, rsa1024, expired, future] = await Promise.all([
  make(EC),
  make({ ...EC, namedCurve: 'P-384', hash: 'SHA-384' }),
  make(rsa(2048)),
  make(rsa(1024)),
  make(EC, Date.UTC(2001, 0, 1), Date.UTC(2001, 0, 2)),
  make(EC, Date.UTC(2099, 0, 1), Date.UTC(2099, 0, 2)),
]);

export const KINDS = {
  'ECDSA on P-256': p256,
  'ECDSA on P-384': p384,
  'RSA of 2048 bits': rsa2048,
  'expired, which its fingerprint makes up for (RFC 5763)': expired,
  'not valid yet': future,
} as const;

export const WEAK_RSA = rsa1024;
