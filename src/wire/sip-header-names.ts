/** Header names: compact forms (RFC 3261 §7.3.3 and the RFCs that added one) and the spelling we write. */

const COMPACT: Readonly<Record<string, string>> = {
  a: 'accept-contact',
  b: 'referred-by',
  c: 'content-type',
  d: 'request-disposition',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  j: 'reject-contact',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  n: 'identity-info',
  o: 'event',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  u: 'allow-events',
  v: 'via',
  x: 'session-expires',
  y: 'identity',
};

/** Headers that may appear once only (RFC 3261 §7.3.1: those that are not comma-separated lists). */
export const SINGLE_VALUED: ReadonlySet<string> = new Set([
  'call-id',
  'content-disposition',
  'content-length',
  'content-type',
  'cseq',
  'date',
  'expires',
  'from',
  'max-forwards',
  'mime-version',
  'min-expires',
  'min-se',
  'organization',
  'priority',
  'reply-to',
  'retry-after',
  'server',
  'session-expires',
  'subject',
  'timestamp',
  'to',
  'user-agent',
]);

const SPELLING: Readonly<Record<string, string>> = {
  'call-id': 'Call-ID',
  cseq: 'CSeq',
  rseq: 'RSeq',
  rack: 'RAck',
  'mime-version': 'MIME-Version',
  'min-se': 'Min-SE',
  'www-authenticate': 'WWW-Authenticate',
};

/** Those that are read or written in every call: found without making a text of their own. */
const USUAL: readonly string[] = [
  ...SINGLE_VALUED,
  ...['accept', 'accept-encoding', 'allow', 'authorization', 'contact', 'proxy-authorization', 'record-route'],
  ...['reason', 'require', 'route', 'supported', 'unsupported', 'via', 'warning', 'www-authenticate', 'call-info'],
];
const USUAL_WRITTEN: ReadonlyMap<string, string> = new Map(USUAL.map((name) => [name, spelled(name)]));
const USUAL_READ: ReadonlyMap<string, string> = new Map(USUAL.map((name) => [spelled(name), name]));

/** Lower case, compact forms expanded. */
export function canonicalName(name: string): string {
  const usual = USUAL_READ.get(name);
  if (usual !== undefined) return usual;
  const lower = name.toLowerCase();
  return lower.length === 1 ? (Object.hasOwn(COMPACT, lower) ? COMPACT[lower]! : lower) : lower;
}

/** As headers are written on the wire: Call-ID, CSeq, Record-Route, ... */
export function wireName(name: string): string {
  return USUAL_WRITTEN.get(name) ?? spelled(name.toLowerCase());
}

function spelled(lower: string): string {
  if (Object.hasOwn(SPELLING, lower)) return SPELLING[lower]!;
  return lower
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('-');
}
