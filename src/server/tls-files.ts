/** PEM files, checked before anything is started: an error names the file and what to do. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface CertificateAndKey {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Throws with the file's name and `remedy` when it cannot be read or holds no certificate. @returns its text. */
export function readCertificates(file: string, remedy: string): string {
  const text = read(file, remedy);
  try {
    new X509Certificate(text);
  } catch {
    throw new Error(`${file} holds no certificate (PEM): ${remedy}`);
  }
  return text;
}

/** Certificate (or chain, its own first) and its private key. Throws as {@link readCertificates} does, also when they do not fit. */
export function readPair(certificateFile: string, keyFile: string, remedy: string): CertificateAndKey {
  const certificatePem = readCertificates(certificateFile, remedy);
  const keyPem = read(keyFile, remedy);
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch {
    throw new Error(`${keyFile} holds no private key that can be read (PEM, no passphrase): ${remedy}`);
  }
  if (!new X509Certificate(certificatePem).checkPrivateKey(key)) {
    throw new Error(`the key in ${keyFile} belongs to another certificate than that in ${certificateFile}: ${remedy}`);
  }
  return { certificatePem, keyPem };
}

function read(file: string, remedy: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}: ${remedy}`);
  }
}
