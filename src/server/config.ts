/**
 * The configuration: one schema from which the file's check, the flags, the environment names and the help come.
 * Order of precedence: flags over environment (`CLAVIGER_SIP_PORT`) over the file (TOML) over the defaults here.
 */
import { z } from 'zod';
import { MAX_LATCH_WINDOW_S, MAX_TRUNKS, MIN_REKEY_AGE_MS } from '../base/limits.js';
import { DEFAULT_ENGINE } from '../dtls/engines.js';
import { AUDIO_CODECS, VIDEO_CODECS } from '../sip/codecs.js';
import { addressFamily, parseHostPort } from '../wire/sip-address.js';
import { ROLES } from './admin/credentials.js';
import { tlsPortSchema, tlsSchema } from './config-tls.js';
import { digestSchema, trunkSchema } from './config-trunks.js';

const port = z.int().min(0).max(65_535);
const address = z.union([z.ipv4(), z.ipv6()]);
/** SRTP suites of WIRE.md 4.3. */
const policy = z.enum(['secure', 'best-effort', 'non-secure']);
const suite = z.literal([1, 17, 18]);
const role = z.enum(ROLES);

const codecList = <T extends string>(names: readonly T[]) =>
  z
    .array(z.enum(names))
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'each codec once')
    .default([...names]);

export const configSchema = z.strictObject({
  data: z
    .strictObject({
      dir: z.string().min(1).default('data').describe('folder for certificates and keys; made on first run'),
    })
    .prefault({}),
  sip: z
    .strictObject({
      address: address.default('0.0.0.0').describe('address to listen on for SIP over TLS'),
      port: port.default(5061).describe('TCP port for SIP over TLS (0: any free one)'),
      wssPort: port
        .optional()
        .describe(
          'TCP port for SIP over secure WebSocket, for browsers (0: any free one); default: none. There is no ws without TLS: whoever reads SDP on its way could replace keys and fingerprints',
        ),
      wssOrigins: z
        .array(z.string().regex(/^(https?:\/\/[a-z0-9.:[\]-]+|null)$/, 'an origin, such as https://portal.example'))
        .max(64)
        .default([])
        .describe('pages that may call over WebSocket besides those of our own host name; in the file only'),
      name: z
        .string()
        .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/, 'a host name: 1 to 63 of A-Z a-z 0-9 . -')
        .default('claviger')
        .describe('name of the switch in its certificate and RTCP CNAME'),
      clientCertificates: z
        .boolean()
        .default(false)
        .describe('callers must present a certificate of a trusted authority, also where no trunk is'),
      tls: tlsSchema
        .prefault({})
        .describe('certificates of SIP where they differ from those of [tls]; in the file only'),
    })
    .prefault({}),
  tls: tlsSchema
    .extend({
      ports: z
        .array(tlsPortSchema)
        .max(MAX_TRUNKS)
        .default([])
        .describe('certificates of single ports, each {port, certificate, key, ...}; in the file only'),
    })
    .prefault({}),
  dns: z
    .strictObject({
      servers: z
        .array(
          z.string().refine((text) => addressFamily(parseHostPort(text)?.host ?? '') !== undefined, {
            message: 'an address, address:port or [IPv6]:port',
          }),
        )
        .max(8)
        .default([])
        .describe(
          'asked where trunk peers are names; default: those of the system, and its hosts file; in the file only',
        ),
    })
    .prefault({}),
  digest: digestSchema.prefault({}),
  registrar: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('endpoints may register with an account of [[digest.users]], to be called'),
    })
    .prefault({}),
  trunks: z.array(trunkSchema).max(MAX_TRUNKS).default([]).describe('trunk profiles; in the file only'),
  media: z
    .strictObject({
      address: address.default('0.0.0.0').describe('address that media sockets bind to'),
      advertise: address.optional().describe('address in our SDP; default: the one the caller reached us at'),
      portMin: z.int().min(1_024).max(65_535).default(16_384).describe('first UDP port for media'),
      portMax: z.int().min(1_024).max(65_535).default(32_767).describe('last UDP port for media'),
      threads: z.int().min(0).max(64).default(0).describe('relay threads (0: one a core)'),
      latchSeconds: z
        .int()
        .min(0)
        .max(MAX_LATCH_WINDOW_S)
        .default(0)
        .describe(
          'plain RTP: for so long after an answer the first source shows where a peer is (0: only its SDP does)',
        ),
      latchAnywhere: z
        .boolean()
        .default(false)
        .describe(
          "that source may be at any address, not only at its SDP's or its signalling's: anybody may win that race",
        ),
    })
    .prefault({}),
  dtls: z
    .strictObject({
      engine: z
        .enum(['openssl', 'werift'])
        .default(DEFAULT_ENGINE)
        .describe('DTLS engine: the OpenSSL inside Node, or werift'),
      threads: z.int().min(0).max(64).default(0).describe('negotiation threads (0: one a core)'),
    })
    .prefault({}),
  conferences: z
    .strictObject({
      adHoc: z.boolean().default(true).describe('make a conference when somebody dials one that does not exist'),
      policy: policy.default('secure').describe('policy of ad-hoc conferences'),
      restore: z
        .enum(['never', 'automatic'])
        .default('never')
        .describe('best-effort: after the last low endpoint has left, stay down or go back up'),
      onNegotiationFailure: z
        .enum(['end-call', 'lower'])
        .default('end-call')
        .describe('best-effort: what a failed negotiation does; "lower" lets anybody on one path lower all'),
      requiredLevel: z
        .enum(['end-to-end', 'hop-by-hop'])
        .default('end-to-end')
        .describe('level that a secure conference requires of every endpoint'),
      suite: suite.default(1).describe('SRTP suite of conferences: 1 AES-CM, 17 AES-128-GCM, 18 AES-256-GCM'),
      switching: z
        .enum(['site', 'segment'])
        .default('site')
        .describe(
          'site: the loudest endpoint fills the displays; segment: each display shows the loudest of its place',
        ),
      rekeySeconds: z
        .int()
        .min(0)
        .max(86_400)
        .refine((seconds) => seconds === 0 || seconds * 1000 >= MIN_REKEY_AGE_MS, 'take 0, or 60 and more')
        .default(0)
        .describe('group keys in use for longer are replaced (0: when somebody leaves, and on request)'),
      audioCodecs: codecList(AUDIO_CODECS).describe(
        'codecs that a conference may be held in, the best first; in the file only',
      ),
      videoCodecs: codecList(VIDEO_CODECS).describe('the same for video; in the file only'),
      max: z.int().min(1).max(1_000).default(1_000).describe('conferences at once; more are refused with 503'),
      maxMembers: z
        .int()
        .min(2)
        .max(1_000)
        .default(100)
        .describe('members of one conference; more are refused with 503'),
      fixed: z
        .array(
          z.strictObject({
            name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, '1 to 64 of A-Z a-z 0-9 . _ -'),
            policy: policy.default('secure'),
            suite: suite.optional(),
          }),
        )
        .max(1_000)
        .default([])
        .describe('conferences that always exist, each {name, policy, suite}; in the file only'),
    })
    .prefault({}),
  admin: z
    .strictObject({
      address: address.default('127.0.0.1').describe('address of the administration port'),
      port: port
        .default(8061)
        .describe('TCP port of the administration API (HTTPS), health and metrics (HTTP too); 0: any free one'),
      plain: z.boolean().default(false).describe('take the whole API over HTTP too; on a loopback address only'),
      certificate: z.string().optional().describe('PEM file, certificate chain of the API; default: that of SIP'),
      key: z.string().optional().describe('PEM file, private key of admin.certificate'),
      clientCa: z
        .string()
        .optional()
        .describe('PEM file; clients with a certificate of this CA count by admin.clients'),
      tokens: z
        .array(
          z.strictObject({
            name: z.string().regex(/^[\x20-\x7e]{1,64}$/, '1 to 64 printable characters'),
            role,
            sha256: z.string().regex(/^[0-9a-f]{64}$/, 'SHA-256 as 64 of 0-9 a-f; "claviger token" makes one'),
          }),
        )
        .max(256)
        .default([])
        .describe('who may use the API; none: the token in data.dir/admin-token'),
      clients: z
        .array(z.strictObject({ subject: z.string().min(1).max(256), role }))
        .max(256)
        .default([])
        .describe('client certificates by the common name of their subject'),
    })
    .prefault({}),
  events: z
    .strictObject({
      file: z.string().min(1).optional().describe('audit store (SQLite); default: audit.db in data.dir'),
      maxDays: z.int().min(1).max(3_650).default(90).describe('security events older than this are deleted'),
      maxMegabytes: z
        .int()
        .min(1)
        .max(65_536)
        .default(256)
        .describe('size of the audit store; the oldest events give way, critical ones last'),
      webhookUrl: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('gets a POST of every security event; http on a loopback address only'),
      webhookSecretFile: z
        .string()
        .optional()
        .describe('file with the secret, 16 characters or more, that signs the posts'),
      webhookCa: z.string().optional().describe('PEM file, CA of an https webhook; default: the public ones'),
      syslogHost: z.string().min(1).max(255).optional().describe('gets security events as syslog over TLS (RFC 5425)'),
      syslogPort: z.int().min(1).max(65_535).default(6514).describe('its TCP port'),
      syslogCa: z.string().optional().describe('PEM file, CA of the syslog server; default: the public ones'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
        .default('info')
        .describe('lowest level that is logged'),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;

/** One scalar setting: its path in the file, its flag, its environment variable, and what it takes. */
export interface Setting {
  readonly path: readonly [string, string];
  readonly flag: string;
  readonly env: string;
  readonly kind: 'string' | 'number' | 'boolean';
  readonly help: string;
  readonly default: string;
}

function unwrap(type: z.core.$ZodType): { type: z.core.$ZodType; default?: unknown } {
  if (type instanceof z.ZodDefault || type instanceof z.ZodPrefault) {
    const inner = unwrap(type.unwrap() as z.core.$ZodType);
    return { type: inner.type, default: type.def.defaultValue };
  }
  if (type instanceof z.ZodOptional) return unwrap(type.unwrap() as z.core.$ZodType);
  return { type };
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** Every scalar of the schema, in its order. Lists (`conferences.fixed`) can be set in the file only. */
export const SETTINGS: readonly Setting[] = Object.entries(configSchema.shape).flatMap(([section, sectionType]) => {
  const object = unwrap(sectionType).type;
  if (!(object instanceof z.ZodObject)) return [];
  return Object.entries(object.shape as Record<string, z.ZodType>).flatMap(([name, type]): Setting[] => {
    const leaf = unwrap(type);
    if (leaf.type instanceof z.ZodArray || leaf.type instanceof z.ZodObject) return [];
    const isNumber = leaf.type instanceof z.ZodNumber || leaf.type instanceof z.ZodLiteral;
    const kind = isNumber ? 'number' : leaf.type instanceof z.ZodBoolean ? 'boolean' : 'string';
    const flag = `${kebab(section)}-${kebab(name)}`;
    return [
      {
        path: [section, name],
        flag,
        env: `CLAVIGER_${flag.toUpperCase().replaceAll('-', '_')}`,
        kind,
        help: type.description ?? '',
        default: leaf.default === undefined ? '' : String(leaf.default),
      },
    ];
  });
});

/** What the schema allows at `path`, for an error message. */
export function allowedAt(path: readonly PropertyKey[]): string {
  let type: z.core.$ZodType = configSchema;
  for (const key of path) {
    const { type: inner } = unwrap(type);
    if (inner instanceof z.ZodObject) {
      const next = (inner.shape as Record<string, z.ZodType>)[String(key)];
      if (next === undefined) break;
      type = next;
    } else if (inner instanceof z.ZodArray) type = inner.element as z.core.$ZodType;
    else break;
  }
  const { type: inner } = unwrap(type);
  if (inner instanceof z.ZodObject) return `one of the keys ${Object.keys(inner.shape).join(', ')}`;
  if (inner instanceof z.ZodEnum) return `one of ${inner.options.map((o) => JSON.stringify(o)).join(', ')}`;
  if (inner instanceof z.ZodLiteral) return `one of ${[...inner.values].join(', ')}`;
  if (inner instanceof z.ZodNumber) return `a whole number from ${inner.minValue} to ${inner.maxValue}`;
  if (inner instanceof z.ZodBoolean) return 'true or false';
  if (inner instanceof z.ZodArray) return 'a list';
  if (inner instanceof z.ZodUnion) {
    const takesList = inner.options.some((option) => option instanceof z.ZodArray);
    return takesList ? 'a file name, or a list of them in the file' : 'a literal IPv4 or IPv6 address';
  }
  return 'a non-empty text';
}
