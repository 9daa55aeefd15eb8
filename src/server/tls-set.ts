/**
 * TLS options (REQUIREMENTS X1, X2): certificate, key, authorities, revocation lists and ciphers come as one set from one of
 * three levels: the port's, the application's, the host's. What cannot be used is found before anything is started.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as x509 from '@peculiar/x509';
import { ok, type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';

/** Files of one level as configured; a list where several are allowed. */
export interface TlsSettings {
  readonly certificate?: string | readonly string[] | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | readonly string[] | undefined;
  readonly crl?: string | readonly string[] | undefined;
  readonly ciphers?: string | undefined;
}

export interface TlsLevel {
  /** As an operator finds it: `tls`, `sip.tls`, `tls.ports 5071`. */
  readonly where: string;
  readonly settings: TlsSettings;
}

/** A set that can be used: PEM texts, the end entity's certificate first and its chain after it. */
export interface TlsSet {
  readonly where: string;
  readonly chainPem: string;
  /** PEM (PKCS #8). */
  readonly key: Secret;
  /** One certificate each; empty: the authorities that Node ships. */
  readonly caPem: readonly string[];
  /** One list each. */
  readonly crlPem: readonly string[];
  readonly ciphers: string | undefined;
  readonly files: readonly string[];
}

export type TlsProblem = 'mixture' | 'file' | 'certificate' | 'key' | 'ca' | 'crl';

const FIELDS = ['certificate', 'key', 'ca', 'crl', 'ciphers'] as const;
const listOf = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;
const setFields = ({ settings }: TlsLevel): readonly (typeof FIELDS)[number][] =>
  FIELDS.filter((field) => listOf(settings[field]).length > 0);

/**
 * The level that supplies the set: the first that sets anything. It must be whole: a field that only a later level sets would
 * make a mixture, which is refused with the names of both places (X1).
 * @param levels port before application before host. @returns undefined when none sets anything.
 */
export function chooseLevel(levels: readonly TlsLevel[]): Result<TlsLevel | undefined, 'mixture'> {
  const [chosen, ...others] = levels.filter((level) => setFields(level).length > 0);
  if (chosen === undefined) return ok(undefined);
  const missing = (['certificate', 'key'] as const).filter((field) => !setFields(chosen).includes(field));
  if (missing.length === 0) return ok(chosen);
  const other = others.find((level) => missing.some((field) => setFields(level).includes(field)));
  const has = `${chosen.where} sets ${setFields(chosen).join(', ')} but not ${missing.join(' and ')}`;
  return refuse(
    'mixture',
    other === undefined
      ? `${has}: certificate and key go together`
      : `${has}, which ${other.where} sets: one place supplies the whole set`,
  );
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g;

function readBytes(file: string): Result<Buffer, 'file'> {
  try {
    return ok(readFileSync(file));
  } catch (error) {
    return refuse('file', error instanceof Error ? error.message : String(error));
  }
}

/** The PEM blocks of a file with one of these labels, or its whole content as DER. */
function blocks(bytes: Buffer, labels: RegExp): { readonly pem: readonly string[]; readonly der: boolean } {
  const text = bytes.toString('latin1');
  if (!text.includes('-----BEGIN ')) return { pem: [], der: true };
  return { pem: [...text.matchAll(BLOCK)].filter((m) => labels.test(m[1]!)).map((m) => m[0]), der: false };
}

/** All certificates of a file, PEM (any number) or DER (one). */
export function readCertificateFile(file: string): Result<readonly X509Certificate[], 'file' | 'certificate'> {
  const bytes = readBytes(file);
  if (!bytes.ok) return bytes;
  const { pem, der } = blocks(bytes.value, /^(X509 |TRUSTED )?CERTIFICATE$/);
  try {
    const found = der ? [new X509Certificate(bytes.value)] : pem.map((text) => new X509Certificate(text));
    if (found.length > 0) return ok(found);
  } catch {
    // the refusal below says it
  }
  return refuse('certificate', `${file} holds no certificate (PEM or DER)`);
}

const DER_KEYS = ['pkcs8', 'sec1', 'pkcs1'] as const;

function readKeyFile(file: string): Result<KeyObject, 'file' | 'key'> {
  const bytes = readBytes(file);
  if (!bytes.ok) return bytes;
  const pem = bytes.value.includes('-----BEGIN ');
  const attempts = pem
    ? [() => createPrivateKey(bytes.value)]
    : DER_KEYS.map((type) => () => createPrivateKey({ key: bytes.value, format: 'der' as const, type }));
  for (const attempt of attempts) {
    try {
      return ok(attempt());
    } catch {
      // the next form, or the refusal below
    } finally {
      if (attempt === attempts.at(-1)) bytes.value.fill(0);
    }
  }
  return refuse('key', `${file} holds no private key that can be read (PEM or DER, no passphrase)`);
}

/**
 * End entity first, then each one's issuer (RFC 8446 §4.4.2), whatever the order and the files they came in.
 * @returns refused when no certificate is the key's, or one has no place in the chain.
 */
function sortChain(
  certificates: readonly X509Certificate[],
  key: KeyObject,
  files: string,
): Result<readonly X509Certificate[], 'certificate' | 'key'> {
  const first = certificates.find((c) => c.checkPrivateKey(key));
  if (first === undefined) return refuse('key', `the key belongs to another certificate than those in ${files}`);
  const chain = [first];
  const different = new Map(certificates.map((c) => [c.fingerprint256, c]));
  different.delete(first.fingerprint256);
  const left = [...different.values()];
  for (let last = first; ; last = chain.at(-1)!) {
    const at = left.findIndex((c) => last.checkIssued(c) && last.verify(c.publicKey));
    if (at < 0) break;
    chain.push(...left.splice(at, 1));
  }
  const stray = left[0];
  if (stray === undefined) return ok(chain);
  const subject = stray.subject.replaceAll('\n', ', ');
  return refuse('certificate', `the certificate of ${subject} in ${files} is no part of the chain`);
}

function readCrlFile(file: string): Result<readonly string[], 'file' | 'crl'> {
  const bytes = readBytes(file);
  if (!bytes.ok) return bytes;
  const { pem } = blocks(bytes.value, /^X509 CRL$/);
  try {
    for (const text of pem) new x509.X509Crl(text);
    if (pem.length > 0) return ok(pem);
  } catch {
    // the refusal below says it
  }
  return refuse('crl', `${file} holds no certificate revocation list (PEM)`);
}

function all<T, E extends string>(
  files: readonly string[],
  read: (file: string) => Result<readonly T[], E>,
): Result<T[], E> {
  const out: T[] = [];
  for (const file of files) {
    const found = read(file);
    if (!found.ok) return found;
    out.push(...found.value);
  }
  return ok(out);
}

/** Reads and checks the files of a level that {@link chooseLevel} gave. Refusals name the place and the file. */
export function readTlsSet({ where, settings }: TlsLevel): Result<TlsSet, TlsProblem> {
  const certificateFiles = listOf(settings.certificate);
  const caFiles = listOf(settings.ca);
  const crlFiles = listOf(settings.crl);
  const at = <E extends TlsProblem>(refused: { readonly reason: E; readonly detail?: string }) =>
    refuse(refused.reason, `${where}: ${refused.detail ?? refused.reason}`);
  const certificates = all(certificateFiles, readCertificateFile);
  if (!certificates.ok) return at(certificates);
  const key = readKeyFile(settings.key ?? '');
  if (!key.ok) return at(key);
  const chain = sortChain(certificates.value, key.value, certificateFiles.join(', '));
  if (!chain.ok) return at(chain);
  const ca = all(caFiles, readCertificateFile);
  if (!ca.ok) return refuse('ca', `${where}: ${ca.detail ?? ca.reason}`);
  const crl = all(crlFiles, readCrlFile);
  if (!crl.ok) return at(crl);
  if (crl.value.length > 0 && ca.value.length === 0) return refuse('crl', `${where}: crl needs ca: whose list is it?`);
  return ok({
    where,
    chainPem: chain.value.map((c) => c.toString()).join(''),
    key: new Secret(new TextEncoder().encode(key.value.export({ type: 'pkcs8', format: 'pem' }) as string)),
    caPem: ca.value.map((c) => c.toString()),
    crlPem: crl.value,
    ciphers: settings.ciphers,
    files: [...certificateFiles, settings.key ?? '', ...caFiles, ...crlFiles],
  });
}

/** Something of a set that ends by itself. */
export interface TlsExpiry {
  /** `certificate of CN=...`, `revocation list of CN=...`. */
  readonly what: string;
  readonly kind: 'certificate' | 'crl';
  /** Unix ms. */
  readonly at: number;
}

/** When the parts of a set end, soonest first (X2: a list's expiry is reported). */
export function expiriesOf(set: TlsSet): readonly TlsExpiry[] {
  const oneLine = (name: string): string => name.replaceAll('\n', ', ');
  const certificates = [...set.chainPem.matchAll(BLOCK)].map((m) => m[0]);
  const out: TlsExpiry[] = [...certificates, ...set.caPem].map((pem) => {
    const certificate = new X509Certificate(pem);
    return {
      what: `certificate of ${oneLine(certificate.subject)}`,
      kind: 'certificate',
      at: Date.parse(certificate.validTo),
    };
  });
  for (const pem of set.crlPem) {
    const { issuer, nextUpdate } = new x509.X509Crl(pem);
    if (nextUpdate !== undefined)
      out.push({ what: `revocation list of ${issuer}`, kind: 'crl', at: nextUpdate.getTime() });
  }
  return out.sort((a, b) => a.at - b.at);
}
