/** Who is who: our certificate and key, the peer's certificate against SDP's fingerprint, signatures (RFC 5246 §7.4.3, §7.4.8). */
import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import { equalBytes, toHex } from '../../base/bytes.js';
import type { AssociationOptions, Fingerprint } from '../association.js';
import { fingerprintOfDer } from '../certificate.js';
import { CERTIFICATE_TYPE, SUITE } from './messages.js';

type KeyType = 'ec' | 'rsa';
interface Scheme {
  readonly key: KeyType;
  readonly hash: string;
}

/** SignatureAndHashAlgorithm values that we offer and accept, best first (RFC 5246 §7.4.1.4.1). SHA-1 is not among them. */
const SCHEMES: ReadonlyMap<number, Scheme> = new Map([
  [0x0403, { key: 'ec', hash: 'sha256' }],
  [0x0503, { key: 'ec', hash: 'sha384' }],
  [0x0401, { key: 'rsa', hash: 'sha256' }],
  [0x0501, { key: 'rsa', hash: 'sha384' }],
  [0x0601, { key: 'rsa', hash: 'sha512' }],
]);
export const OFFERED_SCHEMES: readonly number[] = [...SCHEMES.keys()];

const EC_CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1'];
const MIN_RSA_BITS = 2048;

function keyType(key: KeyObject): KeyType | undefined {
  if (key.asymmetricKeyType === 'ec') {
    return EC_CURVES.includes(key.asymmetricKeyDetails?.namedCurve) ? 'ec' : undefined;
  }
  if (key.asymmetricKeyType !== 'rsa') return undefined;
  return (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS ? 'rsa' : undefined;
}

export interface Identity {
  readonly der: Uint8Array;
  readonly suite: number;
  /** ClientCertificateType of RFC 5246 §7.4.4. */
  readonly certificateType: number;
  /** The first of our schemes that the peer lists; undefined: it accepts none. */
  chooseScheme(peerSchemes: readonly number[]): number | undefined;
  sign(scheme: number, data: Uint8Array): Uint8Array;
}

/** Our side; undefined when certificate or key do not load or are of no kind we use. */
export function loadIdentity(options: AssociationOptions): Identity | undefined {
  let der: Uint8Array;
  let key: KeyObject;
  try {
    der = new X509Certificate(options.certificatePem).raw;
    key = options.privateKeyPem.use((pem) => createPrivateKey(Buffer.from(pem.buffer, pem.byteOffset, pem.length)));
  } catch {
    return undefined; // node:crypto says "no certificate" and "no key" by throwing
  }
  const type = keyType(key);
  if (type === undefined) return undefined;
  return {
    der,
    suite: type === 'ec' ? SUITE.ecdheEcdsa : SUITE.ecdheRsa,
    certificateType: type === 'ec' ? CERTIFICATE_TYPE.ecdsaSign : CERTIFICATE_TYPE.rsaSign,
    chooseScheme: (peerSchemes) =>
      OFFERED_SCHEMES.find((scheme) => SCHEMES.get(scheme)?.key === type && peerSchemes.includes(scheme)),
    sign: (scheme, data) => sign(SCHEMES.get(scheme)?.hash, data, key),
  };
}

/** A certificate that matched SDP's promise. That its sender holds the key is not said yet. */
export interface PeerCertificate {
  readonly key: KeyObject;
  readonly type: KeyType;
  /** SHA-256 over the DER, hex, lower case. */
  readonly fingerprint: string;
}

/** Matches the DER against each promise (RFC 8122 §5), and only then reads it. */
export function checkCertificate(
  der: Uint8Array,
  promised: readonly Fingerprint[],
): PeerCertificate | 'mismatch' | 'unusable' {
  const matches = promised.some((p) => equalBytes(fingerprintOfDer(der, p.algorithm).value, p.value));
  if (!matches) return 'mismatch';
  let key: KeyObject;
  try {
    key = new X509Certificate(der).publicKey;
  } catch {
    return 'unusable'; // node:crypto says "no certificate" by throwing
  }
  const type = keyType(key);
  if (type === undefined) return 'unusable';
  return { key, type, fingerprint: toHex(fingerprintOfDer(der, 'sha-256').value) };
}

/** True when `signature` over `data` was made with the certificate's key, by a scheme that we offered and that fits the key. */
export function verifySignature(
  peer: PeerCertificate,
  scheme: number,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const known = SCHEMES.get(scheme);
  if (known === undefined || known.key !== peer.type) return false;
  return verify(known.hash, data, peer.key, signature);
}
