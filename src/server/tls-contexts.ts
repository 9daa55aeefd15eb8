/** From a TLS set to what node:tls takes. Copies of a key are wiped as soon as OpenSSL has it. */
import { createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';
import type { TlsListenSettings } from './sip-streams.js';
import { certificateNames, namesHost } from './tls-names.js';
import type { TlsSet } from './tls-set.js';

/** Forward secrecy and AEAD only (RFC 9325 §4.2); what a peer of another age needs is the operator's to allow. */
export const DEFAULT_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

function shared(set: TlsSet) {
  return {
    cert: set.chainPem,
    ciphers: set.ciphers ?? DEFAULT_CIPHERS,
    minVersion: 'TLSv1.2' as const,
    ...(set.caPem.length === 0 ? {} : { ca: [...set.caPem] }),
    ...(set.crlPem.length === 0 ? {} : { crl: [...set.crlPem] }),
  };
}

/** Lends `use` the key; OpenSSL has its own copy when it returns, and this one is gone. */
export function withKey<T>(set: TlsSet, use: (key: Buffer) => T): T {
  const key = Buffer.from(set.key.copyOut());
  try {
    return use(key);
  } finally {
    key.fill(0);
  }
}

/** Lends `use` the settings of a listener, which must have made its context when it returns. @param mutual a peer must show a certificate. */
export function withListenSettings<T>(set: TlsSet, mutual: boolean, use: (settings: TlsListenSettings) => T): T {
  const demand = mutual ? { requestCert: true, rejectUnauthorized: true } : {};
  return withKey(set, (key) => use({ ...shared(set), key, ...demand }));
}

/** For connections that we open. */
export function clientContext(set: TlsSet): SecureContext {
  return withKey(set, (key) => createSecureContext({ ...shared(set), key }));
}

/** Whom a server's certificate must name: one of the trunk's X.509 names (T3) and, with `host`, the target itself (X3). */
export function serverCheck(
  host: string,
  x509Names: readonly string[],
  targetNameCheck: 'host' | 'no',
): (target: string, certificate: PeerCertificate) => Error | undefined {
  return (_, certificate) => {
    const names = certificateNames(certificate);
    const shown = names.length === 0 ? 'nobody' : names.join(', ');
    if (targetNameCheck === 'host' && !namesHost(certificate, host)) {
      return new WrongName(`the certificate of ${host} names ${shown}`);
    }
    const expected = new Set(x509Names.map((name) => name.toLowerCase()));
    if (expected.size === 0 || names.some((name) => expected.has(name.toLowerCase()))) return undefined;
    return new WrongName(`the certificate of ${host} names ${shown}, and not one of the trunk's names`);
  };
}

class WrongName extends Error {
  readonly code = 'ERR_TLS_CERT_ALTNAME_INVALID';
}
