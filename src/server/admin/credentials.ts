/**
 * Who may use the administration API. Tokens are 256 random bits, so their plain SHA-256 can stand in the configuration:
 * there is nothing to guess that a slow hash would protect. A client certificate counts by its subject.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROLES = ['viewer', 'operator', 'admin'] as const;
/** Each may do what those before it may. */
export type Role = (typeof ROLES)[number];

export interface Caller {
  readonly name: string;
  readonly role: Role;
}

export interface TokenEntry extends Caller {
  /** SHA-256 of the token's text, hex. */
  readonly sha256: string;
}

export interface CertificateEntry {
  /** Common name of the certificate's subject. */
  readonly subject: string;
  readonly role: Role;
}

export function allows(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** A new token, and what the configuration keeps of it. */
export function makeToken(): { readonly token: string; readonly sha256: string } {
  const token = `clv_${randomBytes(32).toString('base64url')}`;
  return { token, sha256: hashOf(token).toString('hex') };
}

const TOKEN_FILE = 'admin-token';

/**
 * The administrator's token of an installation that configures none: in `dir`, made on first run, readable by its owner
 * only. Removing the file and starting again makes another.
 */
export function ownToken(dir: string): { readonly entry: TokenEntry; readonly file: string } {
  const file = join(dir, TOKEN_FILE);
  if (!existsSync(file)) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${makeToken().token}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(file, 0o600);
  }
  const token = readFileSync(file, 'utf8').trim();
  if (token === '') throw new Error(`${file} is empty: remove it, and a new token is made`);
  return { entry: { name: 'admin-token', role: 'admin', sha256: hashOf(token).toString('hex') }, file };
}

/** Compares digests; {@link Credentials} takes another in a test that counts what is done. */
export type Compare = (a: Uint8Array, b: Uint8Array) => boolean;

export class Credentials {
  readonly #tokens: readonly { readonly caller: Caller; readonly digest: Buffer }[];
  readonly #certificates: ReadonlyMap<string, Role>;
  readonly #compare: Compare;

  constructor(
    tokens: readonly TokenEntry[],
    certificates: readonly CertificateEntry[],
    compare: Compare = timingSafeEqual,
  ) {
    this.#tokens = tokens.map(({ name, role, sha256 }) => ({
      caller: { name, role },
      digest: Buffer.from(sha256, 'hex'),
    }));
    this.#certificates = new Map(certificates.map(({ subject, role }) => [subject, role]));
    this.#compare = compare;
  }

  /**
   * @param authorization the header's value. Whether it is missing, malformed, wrong or right, one digest is made and
   * compared with every token, so that the time of the answer says nothing.
   * @param subject common name of a client certificate that TLS has verified.
   */
  identify(authorization: string | undefined, subject: string | undefined): Caller | undefined {
    const token = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1] ?? '';
    const digest = hashOf(token);
    let found: Caller | undefined;
    for (const entry of this.#tokens) if (this.#compare(entry.digest, digest)) found = entry.caller;
    if (found !== undefined) return found;
    const role = subject === undefined ? undefined : this.#certificates.get(subject);
    return role === undefined || subject === undefined ? undefined : { name: subject, role };
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
