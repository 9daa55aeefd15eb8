/** The trunk profiles and digest accounts of the configuration (REQUIREMENTS T2, T5), and what the sip room makes of them. */
import { z } from 'zod';
import { TRUNK_MAX_NAME_CHARS } from '../base/limits.js';
import { Secret } from '../base/secret.js';
import { DIGEST_HEX_CHARS, type HashedCredentials } from '../sip/digest.js';
import type { RealmCredentials } from '../sip/digest-client.js';
import { DEFAULT_PORT } from '../sip/locate.js';
import type { DigestUser } from '../sip/request-gate.js';
import type { TrunkPeer, TrunkProfile } from '../sip/trunk.js';
import { SDES_SUITE_NAMES } from '../wire/sdp-crypto.js';
import { addressFamily, parseHostPort } from '../wire/sip-address.js';

const transport = z.enum(['tls', 'tcp', 'udp']);
const acceptable = z.array(z.enum(['presence', 'refer', 'notify', 'replaces']));
const word = (maxChars: number) =>
  z
    .string()
    .regex(
      new RegExp(`^[^\\p{Cc}"\\\\]{1,${maxChars}}$`, 'u'),
      `1 to ${maxChars} printable characters without " and \\`,
    );
const hex = (digits: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `${digits} hexadecimal digits in lower case`);
const hashes = {
  sha256: hex(DIGEST_HEX_CHARS['SHA-256']).optional().describe('SHA-256 of user:realm:password'),
  md5: hex(DIGEST_HEX_CHARS.MD5).optional().describe('MD5 of user:realm:password, for old peers'),
};
const hasHash = (value: { readonly sha256?: string | undefined; readonly md5?: string | undefined }): boolean =>
  value.sha256 !== undefined || value.md5 !== undefined;

export const trunkSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, '1 to 64 of A-Z a-z 0-9 . _ -'),
  description: z.string().max(256).default(''),
  security: z.enum(['non-secure', 'authenticated', 'encrypted']).default('encrypted'),
  incoming: z.array(transport).min(1).max(3).default(['tls']),
  outgoing: transport.default('tls'),
  port: z.int().min(1_024).max(65_535).optional().describe('incoming port; default: sip.port'),
  x509Names: z
    .array(word(TRUNK_MAX_NAME_CHARS))
    .max(128)
    .refine((names) => names.join(' ').length <= TRUNK_MAX_NAME_CHARS, `${TRUNK_MAX_NAME_CHARS} characters in all`)
    .default([])
    .describe(`names of the peer's certificate, ${TRUNK_MAX_NAME_CHARS} characters in all`),
  peers: z
    .array(z.string().refine((text) => parseHostPort(text) !== undefined, 'host, host:port or [IPv6]:port'))
    .max(16)
    .default([])
    .describe(
      'where calls go, in this order: address, address:port, host:port, or a host that DNS has NAPTR and SRV records of',
    ),
  targetNameCheck: z.enum(['host', 'no']).default('host').describe('must the certificate name the host that we call?'),
  digest: z.boolean().default(false),
  nonceSeconds: z.int().min(10).max(86_400).default(600),
  applicationAuthorization: z.boolean().default(false),
  accept: acceptable.default([]),
  transmitSecurityStatus: z.boolean().default(false),
  srtp: z.boolean().default(true),
  keying: z
    .enum(['dtls', 'sdp-keys'])
    .default('dtls')
    .describe('of our own first offers; sdp-keys (RFC 4568) is hop-by-hop at most'),
  sdpKeySuites: z
    .array(z.enum(SDES_SUITE_NAMES))
    .min(1)
    .max(SDES_SUITE_NAMES.length)
    .refine((suites) => new Set(suites).size === suites.length, 'each suite once')
    .default([
      'AEAD_AES_256_GCM',
      'AEAD_AES_128_GCM',
      'AES_256_CM_HMAC_SHA1_80',
      'AES_CM_128_HMAC_SHA1_80',
      'AES_CM_128_HMAC_SHA1_32',
    ])
    .describe('what we offer with sdp-keys, the best first'),
});

export const digestSchema = z.strictObject({
  realm: word(128)
    .default('claviger')
    .describe('realm in which peers of trunks and registering endpoints prove themselves'),
  algorithms: z
    .array(z.enum(['SHA-256', 'MD5']))
    .min(1)
    .max(2)
    .default(['SHA-256'])
    .describe(
      'what is offered, in this order (RFC 8760); peers from before give up at the first that they do not know',
    ),
  users: z
    .array(
      z
        .strictObject({ name: word(128), ...hashes, accept: acceptable.default([]) })
        .refine(hasHash, 'sha256, md5 or both'),
    )
    .max(10_000)
    .default([])
    .describe('accounts in our realm, each {name, sha256, md5, accept}; in the file only'),
  accounts: z
    .array(z.strictObject({ realm: word(128), user: word(128), ...hashes }).refine(hasHash, 'sha256, md5 or both'))
    .max(256)
    .default([])
    .describe('our accounts in realms of others, each {realm, user, sha256, md5}; in the file only'),
});

export type TrunkSettings = z.output<typeof trunkSchema>;
export type DigestSettings = z.output<typeof digestSchema>;

export function trunkProfile(settings: TrunkSettings): TrunkProfile {
  const { port, peers, nonceSeconds, targetNameCheck: _, ...rest } = settings;
  const parsed = peers.map((text): TrunkPeer => parseHostPort(text)!);
  return { ...rest, ...(port === undefined ? {} : { port }), peers: parsed, nonceValidityMs: nonceSeconds * 1_000 };
}

/** The port that a firewall must open towards a peer. */
export function portText(outgoing: TrunkProfile['outgoing'], { host, port }: TrunkPeer): string {
  const usual = String(DEFAULT_PORT[outgoing]);
  return port === undefined && addressFamily(host) === undefined
    ? `${usual}, or as its SRV records say`
    : String(port ?? usual);
}

function hashedOf({
  sha256,
  md5,
}: {
  readonly sha256?: string | undefined;
  readonly md5?: string | undefined;
}): HashedCredentials {
  const secret = (text: string): Secret => new Secret(new TextEncoder().encode(text));
  return {
    ...(sha256 === undefined ? {} : { 'SHA-256': secret(sha256) }),
    ...(md5 === undefined ? {} : { MD5: secret(md5) }),
  };
}

export function digestUsers({ users }: DigestSettings): readonly DigestUser[] {
  return users.map((user) => ({ name: user.name, accept: user.accept, hashed: hashedOf(user) }));
}

export function digestAccounts({ accounts }: DigestSettings): ReadonlyMap<string, RealmCredentials> {
  return new Map(accounts.map((account) => [account.realm, { user: account.user, hashed: hashedOf(account) }]));
}
