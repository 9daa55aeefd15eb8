/** Certificates of a first run: a CA of the installation's own and a server certificate issued by it. */
import { webcrypto } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { readCertificates, readPair } from './tls-files.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const CA_YEARS = 10;
const SERVER_DAYS = 397;
const DAY_MS = 86_400_000;

export interface ServerCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** File to give to callers (`--ca`); undefined when the operator brings his own certificate. */
  readonly caFile?: string;
  readonly created: boolean;
}

/** Where {@link serverCertificate} keeps what it makes. */
export function ownFiles(dir: string): { readonly certificate: string; readonly key: string; readonly ca: string } {
  return { certificate: join(dir, 'server.pem'), key: join(dir, 'server-key.pem'), ca: join(dir, 'ca.pem') };
}

/** A key file is written under another name, readable by its owner only, and then moved: no half-written key is ever used. */
function writeFileSafely(path: string, content: string, mode: number): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, content, { mode });
  chmodSync(temporary, mode);
  renameSync(temporary, path);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** @param names host names and literal addresses for the certificate's SAN (RFC 5280 §4.2.1.6); the first is its CN. */
async function issue(
  names: readonly string[],
  ca: { certificate: x509.X509Certificate; key: webcrypto.CryptoKey },
  now: number,
) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: commonName(names[0] ?? 'claviger'),
    issuer: ca.certificate.subjectName,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + SERVER_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: ca.key,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => (isIP(name) === 0 ? { type: 'dns', value: name } : { type: 'ip', value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), keyPem: await exportKey(keys.privateKey) };
}

/** As an object: in a plain string the library reads quotes, backslashes and # as syntax. */
function commonName(text: string): x509.Name {
  return new x509.Name([{ CN: [{ utf8String: text }] }]);
}

async function createCa(now: number) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: commonName(`Claviger CA ${hostname()}`),
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + CA_YEARS * 365 * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, keyPem: await exportKey(keys.privateKey) };
}

/**
 * The server's certificate from `dir`: made on first run (`ca.pem`, `ca-key.pem`, `server.pem`, `server-key.pem`), issued
 * anew when it has expired or `name` is not in it; the CA stays, so callers who trust it go on.
 */
export async function serverCertificate(dir: string, name: string, now: number): Promise<ServerCertificate> {
  x509.cryptoProvider.set(webcrypto);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (!existsSync(join(dir, '.gitignore'))) writeFileSync(join(dir, '.gitignore'), '*\n');
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}: choose a folder with --data-dir`);
  }
  const file = (leaf: string): string => join(dir, leaf);
  const anew = 'restore it; or remove server.pem and server-key.pem from that folder, and they are made anew';
  if (!existsSync(file('ca.pem'))) {
    const ca = await createCa(now);
    writeFileSafely(file('ca-key.pem'), ca.keyPem, 0o600);
    writeFileSafely(file('ca.pem'), ca.certificate.toString('pem'), 0o644);
  }
  const caCertificate = new x509.X509Certificate(
    readCertificates(
      file('ca.pem'),
      'restore it; or empty that folder for a new CA, whose ca.pem every caller then needs',
    ),
  );
  if (existsSync(file('server.pem')) && existsSync(file('server-key.pem'))) {
    const { certificatePem, keyPem } = readPair(file('server.pem'), file('server-key.pem'), anew);
    const current = new x509.X509Certificate(certificatePem);
    const names = current.getExtension(x509.SubjectAlternativeNameExtension)?.names.items.map((n) => n.value) ?? [];
    if (current.notAfter.getTime() > now && names.includes(name) && current.issuer === caCertificate.subject) {
      return {
        certificatePem,
        keyPem,
        caFile: file('ca.pem'),
        created: false,
      };
    }
  }
  // A new CA in its place would be one that nobody trusts: that is for the operator to decide.
  readPair(
    file('ca.pem'),
    file('ca-key.pem'),
    'the server needs a new certificate from its CA; restore the key, or empty that folder for a new CA',
  );
  const key = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(readFileSync(file('ca-key.pem'), 'utf8')),
    ALGORITHM,
    false,
    ['sign'],
  );
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map((i) => i.address.split('%')[0]!),
  );
  const names = [...new Set([name, 'localhost', hostname(), '127.0.0.1', '::1', ...addresses])];
  const issued = await issue(names, { certificate: caCertificate, key }, now);
  writeFileSafely(file('server-key.pem'), issued.keyPem, 0o600);
  writeFileSafely(file('server.pem'), issued.certificatePem, 0o644);
  return { ...issued, caFile: file('ca.pem'), created: true };
}
