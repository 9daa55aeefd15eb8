/** A small authority for tests: certificates, chains and revocation lists as files. */
import { randomBytes, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

export interface Identity {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly pem: string;
  readonly keyPem: string;
}

export interface IssueOptions {
  readonly cn?: string;
  /** Subject alternative names. */
  readonly names?: readonly string[];
  readonly authority?: boolean;
  /** Days from now; negative: it has expired. */
  readonly days?: number;
}

x509.cryptoProvider.set(webcrypto);

function pemBlock(label: string, der: ArrayBuffer): string {
  const base64 = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

export async function issue(issuer: Identity | undefined, options: IssueOptions = {}): Promise<Identity> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const { cn = 'Test CA', names = [], authority = issuer === undefined, days = 365 } = options;
  const subject = new x509.Name([{ CN: [{ utf8String: cn }] }]);
  const certificate = await x509.X509CertificateGenerator.create({
    // Positive in any encoding: a revocation list names it again.
    serialNumber: `01${randomBytes(8).toString('hex')}`,
    subject,
    issuer: issuer?.certificate.subjectName ?? subject,
    notBefore: new Date(Date.now() - 60 * DAY_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(authority, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(issuer === undefined ? [] : [await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate)]),
      ...(names.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => (isIP(value) === 0 ? { type: 'dns', value } : { type: 'ip', value })),
            ),
          ]),
    ],
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const keyPem = pemBlock('PRIVATE KEY', exported);
  return { certificate, keys, pem: `${certificate.toString('pem')}\n`, keyPem };
}

/** @param days until its next update; negative: it has expired. */
export async function revocationList(issuer: Identity, revoked: readonly Identity[], days = 10): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.certificate.subjectName,
    thisUpdate: new Date(Date.now() - 60 * DAY_MS),
    nextUpdate: new Date(Date.now() + days * DAY_MS),
    signingAlgorithm: ALGORITHM,
    signingKey: issuer.keys.privateKey,
    entries: revoked.map(({ certificate }) => ({
      serialNumber: certificate.serialNumber,
      revocationDate: new Date(Date.now() - DAY_MS),
    })),
  });
  return pemBlock('X509 CRL', list.rawData);
}

/** Writes a file and gives its path. */
export function put(folder: string, name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
