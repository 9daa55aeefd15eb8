/** ICE in SDP (RFC 8839 §5): what an agent needs that sends no checks of its own, reading and writing. */
import type { Secret } from '../base/secret.js';
import { addressKey, isUnspecified } from './ip-address.js';
import { effectiveAttribute, effectiveConnection } from './sdp-attributes.js';
import type { Sdp, SdpAttribute, SdpMedia } from './sdp-types.js';
import { addressFamily } from './sip-address.js';
import { parseDigits } from './sip-scan.js';

/** What a peer says of ICE on one m-line. Its password is not kept: it is for those who ask, and we only answer. */
export interface SdpIce {
  readonly ufrag: string;
  /** Of the time of RFC 7675, by its `ice-options` (RFC 8445 §10, RFC 8838): it checks for as long as it wants media. */
  readonly consents: boolean;
  /** It sends no checks either. */
  readonly lite: boolean;
  /** RFC 8839 §4.2.5: where media would go without ICE is none of its candidates; something on the way has rewritten it. */
  readonly mismatch: boolean;
}

/** Ours, for our answer or offer. */
export interface OwnIce {
  readonly ufrag: string;
  readonly pwd: Secret;
}

/** The attribute that is malformed, or missing beside the other one. */
export type IceProblem = 'ice-ufrag' | 'ice-pwd' | 'candidate';

const UFRAG = /^[A-Za-z0-9+/]{4,256}$/;
const PWD = /^[A-Za-z0-9+/]{22,256}$/;
/** RFC 8839 §5.1: foundation, component, transport, priority, address, port, type, and what may follow. */
const CANDIDATE =
  /^[A-Za-z0-9+/]{1,32} ([0-9]{1,5}) ([!-~]+) ([0-9]{1,10}) ([!-~]+) ([0-9]{1,5}) typ [!-~]+(?: [!-~]+ [!-~]+)*$/;
/** Where it stands for "not known yet" (RFC 8840 §4.1.1). */
const DISCARD_PORT = 9;

/** @returns undefined where the m-line is without ICE; a string names the attribute that is wrong. */
export function readIce(sdp: Sdp, media: SdpMedia): SdpIce | IceProblem | undefined {
  const ufrag = effectiveAttribute(sdp, media, 'ice-ufrag');
  const pwd = effectiveAttribute(sdp, media, 'ice-pwd');
  if (ufrag === undefined && pwd === undefined) return undefined;
  if (ufrag === undefined || !UFRAG.test(ufrag)) return 'ice-ufrag';
  if (pwd === undefined || !PWD.test(pwd)) return 'ice-pwd';
  const candidates: Candidate[] = [];
  for (const { name, value = '' } of media.attributes) {
    if (name !== 'candidate') continue;
    const candidate = parseCandidate(value);
    if (candidate === undefined) return 'candidate';
    candidates.push(candidate);
  }
  const lite = sdp.attributes.some(({ name }) => name === 'ice-lite');
  const options = [...media.attributes, ...sdp.attributes].flatMap(({ name, value = '' }) =>
    name === 'ice-options' ? value.split(' ') : [],
  );
  const consents = options.includes('ice2') || options.includes('trickle');
  return { ufrag, consents, lite, mismatch: mismatches(sdp, media, candidates) };
}

interface Candidate {
  readonly component: number;
  readonly transport: string;
  readonly address: string;
  readonly port: number;
}

function parseCandidate(value: string): Candidate | undefined {
  const [, component, transport, priority, address, port] = CANDIDATE.exec(value) ?? [];
  const numbers = [component, priority, port].map((text) => parseDigits(text ?? '', 10));
  const [componentId, , portNumber] = numbers;
  if (numbers.includes(undefined) || componentId! < 1 || componentId! > 256 || portNumber! > 65_535) return undefined;
  return { component: componentId!, transport: transport!.toLowerCase(), address: address!, port: portNumber! };
}

function mismatches(sdp: Sdp, media: SdpMedia, candidates: readonly Candidate[]): boolean {
  const connection = effectiveConnection(sdp, media);
  if (media.port === 0 || connection === undefined) return false;
  // Candidates that are still to come (RFC 8838), or on hold in the old way.
  if (isUnspecified(connection.address) && (media.port === DISCARD_PORT || candidates.length > 0)) return false;
  return !candidates.some(
    ({ component, transport, address, port }) =>
      component === 1 &&
      transport === 'udp' &&
      port === media.port &&
      addressFamily(address) === connection.family &&
      addressKey(address) === addressKey(connection.address),
  );
}

/** RFC 8445 §5.1.2.1 for a host candidate of the only address: type preference 126, local preference 65,535, component 1. */
const HOST_PRIORITY = 126 * 2 ** 24 + 65_535 * 2 ** 8 + 255;

/** Of one m-line: all the candidates that a lite agent has (RFC 8445 §5.2). The text holds the password. */
export function iceAttributes({ ufrag, pwd }: OwnIce, address: string, port: number): readonly SdpAttribute[] {
  return [
    { name: 'ice-ufrag', value: ufrag },
    { name: 'ice-pwd', value: pwd.use((bytes) => Buffer.from(bytes).toString('latin1')) },
    { name: 'candidate', value: `1 1 UDP ${HOST_PRIORITY} ${address} ${port} typ host` },
    { name: 'end-of-candidates' },
  ];
}

export const ICE_MISMATCH: SdpAttribute = { name: 'ice-mismatch' };

/** Of the session: RFC 8839 §5.3, and RFC 8445 §10 which an agent of its kind says. */
export const ICE_SESSION_ATTRIBUTES: readonly SdpAttribute[] = [
  { name: 'ice-lite' },
  { name: 'ice-options', value: 'ice2' },
];
