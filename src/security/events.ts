/**
 * The catalogue of security events (REQUIREMENTS section E): one stable code each, and with it what an operator is told
 * and what to do next. An event says what happened in words; it never holds key material.
 */
import type { ChannelId } from '../base/ids.js';
import type { Level } from './levels.js';
import { safeText } from './text.js';

export type Severity = 'info' | 'warn' | 'error' | 'critical';

interface CatalogueEntry {
  readonly severity: Severity;
  /** `{endpoint}`, `{channel}`, `{conference}` and `{cause}` are filled in by {@link makeEvent}. */
  readonly cause: string;
  /** What the operator does next. */
  readonly remedy: string;
}

/** Every code there is, in the order of the requirements; also those whose issue is still to come. */
export const SECURITY_EVENTS = {
  'security-mismatch': {
    severity: 'warn',
    cause: '{endpoint} does not fit the security policy of conference {conference}: {cause}',
    remedy:
      'make the endpoint secure (or let it offer plain RTP where the conference is non-secure), or use a best-effort conference',
  },
  'endpoint-not-capable': {
    severity: 'warn',
    cause: '{endpoint} is not capable of end-to-end security in conference {conference}: {cause}',
    remedy: 'upgrade the endpoint: TIP version 7 or later with EKT in both directions, audio and video',
  },
  'conference-downgraded': {
    severity: 'warn',
    cause: 'the level of conference {conference} went down because of {endpoint}: {cause}',
    remedy: 'nothing to do; the conference is no longer at its earlier level',
  },
  'conference-started-low': {
    severity: 'info',
    cause: 'conference {conference} was started by {endpoint} below end-to-end: {cause}',
    remedy: 'nothing to do; the conference runs below end-to-end',
  },
  'conference-restored': {
    severity: 'info',
    cause: 'conference {conference} is back at its earlier level: {cause}',
    remedy: 'nothing to do',
  },
  'peer-unreachable': {
    severity: 'error',
    cause: 'no SIP connection to the configured trunk peer {endpoint}: {cause}',
    remedy: 'compare port numbers and transport on both sides',
  },
  'trunk-forbidden': {
    severity: 'error',
    cause: 'an outgoing call to {endpoint} was answered 403: {cause}',
    remedy:
      'the certificate subject that the peer expects differs from ours: compare the X.509 subject names on both sides',
  },
  'trunk-srtp-refused': {
    severity: 'error',
    cause: 'an outgoing call to {endpoint} was answered 488: {cause}',
    remedy: "SRTP is not allowed on the peer's trunk: allow it there",
  },
  'trunk-keys-refused': {
    severity: 'error',
    cause: 'an outgoing call to {endpoint} was answered 606: {cause}',
    remedy: 'the peer does not take keys in SDP: choose the keying mode without SDP keys',
  },
  'tls-key-invalid': {
    severity: 'error',
    cause: 'the private key does not load or does not fit its certificate: {cause}',
    remedy: "the key belongs to another machine's certificate: install the key that was made with this certificate",
  },
  'tls-verify-failed': {
    severity: 'error',
    cause: 'the TLS certificate of {endpoint} was refused: {cause}',
    remedy: 'renew the trust store; check expiry, revocation and the subject name of the certificate',
  },
  'media-timeout': {
    severity: 'error',
    cause: 'no TIP answer from {endpoint} on channel {channel}: {cause}',
    remedy: 'compare the security settings of both sides',
  },
  'spimap-timeout': {
    severity: 'error',
    cause: '{endpoint} did not acknowledge a group parameter set on channel {channel}: {cause}',
    remedy: 'compare the security settings of both sides; the call was ended',
  },
  'consent-lost': {
    severity: 'warn',
    cause: '{endpoint} no longer checks where its media goes on channel {channel} (ICE), and was sent a BYE: {cause}',
    remedy: 'the endpoint has lost its network, or a NAT or firewall between forgets it: look at the path',
  },
  'member-lost': {
    severity: 'warn',
    cause: '{endpoint} was dropped from conference {conference}: {cause}',
    remedy: 'the member could not follow the change of level: let it dial in again',
  },
  'dtls-failed': {
    severity: 'error',
    cause: 'the DTLS handshake with {endpoint} on channel {channel} failed: {cause}',
    remedy:
      'compare DTLS versions, SRTP profiles and certificates of both sides, and look for packet loss between them',
  },
  'fingerprint-mismatch': {
    severity: 'critical',
    cause: 'the DTLS certificate of {endpoint} on channel {channel} is not the one announced in its SDP: {cause}',
    remedy: 'somebody may be in the middle: check the path of signalling and media before the endpoint dials again',
  },
  'ssrc-conflict': {
    severity: 'critical',
    cause: '{endpoint} sends under an SSRC of another endpoint on channel {channel}: {cause}',
    remedy:
      'an endpoint imitates another, or two chose the same SSRC: find out which endpoint it is; a new call heals it',
  },
  'auth-failures': {
    severity: 'warn',
    cause: 'many packets on channel {channel} of {endpoint} fail authentication: {cause}',
    remedy: 'somebody may be sending to the port of the channel; media that verifies goes on meanwhile',
  },
  'digest-failed': {
    severity: 'warn',
    cause: 'digest authentication of {endpoint} failed: {cause}',
    remedy: 'compare user name, realm and password on both sides',
  },
  'trunk-denied': {
    severity: 'warn',
    cause: 'a request of {endpoint} was denied: {cause}',
    remedy: 'add the peer to the trunk list or the application list, if it is meant to be there',
  },
  'enrolment-failed': {
    severity: 'warn',
    cause: 'enrolment of {endpoint} failed: {cause}',
    remedy: 'check the instance id and the one-time string, then start the operation again',
  },
  'enrolment-done': {
    severity: 'info',
    cause: '{endpoint} enrolled a certificate: {cause}',
    remedy: 'nothing to do',
  },
  'certificate-expiring': {
    severity: 'warn',
    cause: 'a certificate of {endpoint} expires soon: {cause}',
    remedy: 'renew the certificate before it expires',
  },
  'audit-failed': {
    severity: 'error',
    cause: 'security events cannot be written to the audit store: {cause}',
    remedy: 'make room on its disk, or mend its folder; events wait in memory, and conferences go on meanwhile',
  },
  'origin-refused': {
    severity: 'warn',
    cause: 'the browser at {endpoint} may not call over WebSocket: {cause}',
    remedy:
      "where the page is one of yours, add its origin to sip.wssOrigins; else somebody else's page tries to call from there",
  },
} as const satisfies Readonly<Record<string, CatalogueEntry>>;

export type SecurityEventCode = keyof typeof SECURITY_EVENTS;

/** What is known where the event arises. Names may come from a peer: they are made printable here. */
export interface EventFacts {
  readonly conference?: string;
  readonly endpoint?: string;
  readonly channel?: ChannelId;
  /** Address that the endpoint's signalling comes from. */
  readonly source?: string;
  /** The particulars, in words: what was seen, what was expected. */
  readonly cause: string;
  /** Other endpoints concerned (C5). */
  readonly members?: readonly string[];
  /** A change of the conference's level. */
  readonly from?: Level;
  readonly to?: Level;
  /** Why, by a name of a fixed set: for a metric's label. */
  readonly reason?: string;
}

/** An event without id and time: the server room gives both, writes it to the audit store and answers for it. */
export interface SecurityEvent {
  readonly code: SecurityEventCode;
  readonly severity: Severity;
  readonly conference?: string;
  readonly endpoint?: string;
  readonly channel?: ChannelId;
  /** Address that the endpoint's signalling comes from: its name is what it calls itself. */
  readonly source?: string;
  readonly cause: string;
  readonly remedy: string;
  readonly members?: readonly string[];
  readonly from?: Level;
  readonly to?: Level;
  readonly reason?: string;
}

/** Makes the event of a code from its facts; texts are printable ASCII of bounded length, on one line. */
export function makeEvent(code: SecurityEventCode, facts: EventFacts): SecurityEvent {
  const entry: CatalogueEntry = SECURITY_EVENTS[code];
  const conference = facts.conference === undefined ? undefined : safeText(facts.conference);
  const endpoint = facts.endpoint === undefined ? undefined : safeText(facts.endpoint);
  const words: Readonly<Record<string, string>> = {
    conference: conference ?? '(none)',
    endpoint: endpoint ?? 'an unknown endpoint',
    channel: facts.channel === undefined ? '(none)' : String(facts.channel),
    cause: safeText(facts.cause),
  };
  return {
    code,
    severity: entry.severity,
    ...(conference === undefined ? {} : { conference }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(facts.channel === undefined ? {} : { channel: facts.channel }),
    ...(facts.source === undefined ? {} : { source: safeText(facts.source) }),
    // One pass: a placeholder inside a peer's name stays text.
    cause: entry.cause.replace(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole),
    remedy: entry.remedy,
    ...(facts.from === undefined ? {} : { from: facts.from }),
    ...(facts.to === undefined ? {} : { to: facts.to }),
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    ...(facts.members === undefined ? {} : { members: facts.members.map(safeText) }),
  };
}
