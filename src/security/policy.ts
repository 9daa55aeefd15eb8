/**
 * Who may be in a conference (REQUIREMENTS C1-C3, C6, C8-C10): verdicts with their reasons. Pure functions of facts; the
 * conference acts on the verdicts. A refusal names itself three times: a code for machines, a Warning (RFC 3261 §20.43)
 * and the text of a Reason header (RFC 3326).
 */
import type { Media } from '../base/ids.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { SecurityEventCode } from './events.js';
import { lower, meets, type ProvenLevel } from './levels.js';
import { safeText } from './text.js';

/** The policies of C1. */
export type Policy = 'secure' | 'best-effort' | 'non-secure';

/** What a best-effort conference does when its last low endpoint has left (C7). */
export type Restore = 'never' | 'automatic';
/** C10: a failed negotiation ends the call, or, in a best-effort conference where the operator chose so, lowers it. */
export type OnNegotiationFailure = 'end-call' | 'lower';

export interface PolicySettings {
  readonly policy: Policy;
  /** What every endpoint must reach; `none` for best-effort, whose endpoints decide. */
  readonly requiredLevel: ProvenLevel;
}

export type PolicyProblem = 'unknown-policy' | 'unknown-level' | 'level-does-not-fit' | 'lower-does-not-fit';

/**
 * Checks what a configuration asks for.
 * @param requiredLevel left out: `end-to-end` for `secure` (C2), `none` for the others.
 */
export function checkPolicy(
  policy: string,
  requiredLevel?: string,
  onNegotiationFailure: OnNegotiationFailure = 'end-call',
): Result<PolicySettings, PolicyProblem> {
  if (policy !== 'secure' && policy !== 'best-effort' && policy !== 'non-secure') {
    return refuse('unknown-policy', 'policy must be "secure", "best-effort" or "non-secure"');
  }
  if (onNegotiationFailure === 'lower' && policy !== 'best-effort') {
    return refuse('lower-does-not-fit', 'only a best-effort conference can be lowered by a failed negotiation');
  }
  const level = requiredLevel ?? (policy === 'secure' ? 'end-to-end' : 'none');
  if (level !== 'none' && level !== 'hop-by-hop' && level !== 'end-to-end') {
    return refuse('unknown-level', 'the required level must be "end-to-end" or "hop-by-hop" (or "none")');
  }
  if ((policy === 'secure') !== (level !== 'none')) {
    const expected = policy === 'secure' ? '"end-to-end" or "hop-by-hop"' : '"none"';
    return refuse('level-does-not-fit', `policy "${policy}" needs the required level ${expected}`);
  }
  return ok({ policy, requiredLevel: level });
}

/** One m-line of an offer, as far as security goes. */
export interface OfferedMedia {
  readonly media: Media;
  /**
   * `sdes`: SRTP with keys in SDP over TLS (RFC 4568). `unsupported`: secure by intention, but not in a way we take (sha-1
   * fingerprint, no rtcp-mux, ...).
   */
  readonly security: 'dtls' | 'sdes' | 'plain' | 'unsupported';
  /**
   * False: the endpoint's signalling does not say that it speaks TIP, so none is waited for, and hop-by-hop is the most that
   * it can reach. Only authenticated signalling may say so: were it concluded from silence, anybody on the path could lower a
   * conference by dropping packets (C10).
   */
  readonly tip?: boolean;
  /** What is wrong with an unsupported m-line, in words. */
  readonly problem?: string;
}

export interface SipWarning {
  /** RFC 3261 §20.43: 302 incompatible transport protocol, 304 media type not available, 399 miscellaneous. */
  readonly code: 302 | 304 | 399;
  readonly text: string;
}

export type RefusalReason =
  | 'no-media'
  | 'plain-offer'
  | 'secure-offer'
  | 'keys-in-sdp'
  | 'unsupported-security'
  | 'audio-only'
  | 'tip-version'
  | 'tip-not-secure'
  | 'ekt-missing'
  | 'ekt-one-direction'
  | 'suite-not-listed'
  | 'dtls-required';

export interface OfferRefusal {
  readonly verdict: 'refuse';
  readonly status: 488;
  readonly reason: RefusalReason;
  /** Exactly one event a refusal; none when the offer has nothing to do with security (`no-media`). */
  readonly event: 'security-mismatch' | 'endpoint-not-capable' | undefined;
  readonly warning: SipWarning;
  /** For `Reason: SIP;cause=488;text="..."`. */
  readonly reasonText: string;
  /** Index of the m-line that decided, where one did. */
  readonly line?: number;
}

export type OfferVerdict = { readonly verdict: 'admit' } | OfferRefusal;

/**
 * May a call with this offer come in? An offer alone can refuse but never raise (C9): `admit` promises no level.
 * The first m-line that does not fit decides; one bad m-line refuses the call (C6).
 */
export function judgeOffer(settings: PolicySettings, lines: readonly OfferedMedia[]): OfferVerdict {
  if (lines.length === 0)
    return refusal('no-media', undefined, 304, 'the offer has no audio or video that can be used');
  const { policy, requiredLevel } = settings;
  const wish = demand(settings);
  for (const [line, offered] of lines.entries()) {
    const problem = safeText(offered.problem ?? 'it cannot be used');
    if (offered.security === 'unsupported') {
      const text = `${wish}, but the security offered for ${offered.media} is not supported: ${problem}`;
      return refusal('unsupported-security', 'security-mismatch', 399, text, line);
    }
    if (policy === 'secure' && offered.security === 'plain') {
      const text = `${wish}, but ${offered.media} is offered as plain RTP`;
      return refusal('plain-offer', 'security-mismatch', 302, text, line);
    }
    if (requiredLevel === 'end-to-end' && offered.security === 'sdes') {
      const text = `${wish}, and keys in SDP (RFC 4568) for ${offered.media} are hop-by-hop at most`;
      return refusal('keys-in-sdp', 'security-mismatch', 302, text, line);
    }
    if (policy === 'non-secure' && offered.security !== 'plain') {
      // A DTLS m-line cannot be answered with RTP/AVP: an answer repeats the transport of its offer (RFC 8829 §5.3.1).
      const text = `${wish}, but ${offered.media} is offered with SRTP only`;
      return refusal('secure-offer', 'security-mismatch', 302, text, line);
    }
  }
  if (requiredLevel === 'end-to-end' && lines.every((offered) => offered.media === 'audio')) {
    const text = `${wish}, and an audio-only call counts as below it`;
    return refusal('audio-only', 'endpoint-not-capable', 399, text);
  }
  return { verdict: 'admit' };
}

/** What TIP has shown about one channel (WIRE.md 4). */
export interface TipSecurity {
  readonly version: number;
  /** The secure bit of the profile. */
  readonly secure: boolean;
  /** EKT in force from us to the peer, and from the peer to us. */
  readonly ektTx: boolean;
  readonly ektRx: boolean;
  /** What the TIP machine concluded; it may know more reasons than the flags (a suite the peer does not list). */
  readonly capable: boolean;
  readonly reason?: string;
}

/**
 * `transport: 'dtls'` means: handshake done and the certificate matched the SDP fingerprint, or keys of authenticated
 * signalling are in force both ways.
 */
export interface ProvenFacts {
  readonly transport: 'dtls' | 'plain';
  /** Absent on a plain channel without TIP. */
  readonly tip?: TipSecurity;
}

export type ProvenVerdict =
  /** The level the channel runs at; for `end-to-end` it counts once SPIMAP was ACKed. */
  | { readonly verdict: 'meets'; readonly level: ProvenLevel }
  | {
      readonly verdict: 'end';
      readonly status: 488;
      readonly reason: RefusalReason;
      readonly event: 'security-mismatch' | 'endpoint-not-capable';
      readonly reasonText: string;
    };

/** Judges a channel on what DTLS and TIP have shown (C3, C6, C8, C9). Never gives more than the conference runs at. */
export function judgeProven(settings: PolicySettings, facts: ProvenFacts): ProvenVerdict {
  const { requiredLevel } = settings;
  const { level: possible, lack } = capabilityOf(facts);
  if (meets(possible, requiredLevel)) return { verdict: 'meets', level: lower(possible, requiredLevel) };
  const event = facts.transport === 'plain' ? 'security-mismatch' : 'endpoint-not-capable';
  const { reason, text } = lack ?? DTLS_REQUIRED;
  return { verdict: 'end', status: 488, reason, event, reasonText: `${demand(settings)}, but ${text}` };
}

/** What a channel can reach at most, and what keeps it from `end-to-end`. */
export interface Capability {
  readonly level: ProvenLevel;
  readonly lack?: Lack;
}

export interface Lack {
  readonly reason: RefusalReason;
  /** In words. */
  readonly text: string;
}

const DTLS_REQUIRED: Lack = { reason: 'dtls-required', text: 'the channel is plain RTP' };
export const AUDIO_ONLY: Lack = { reason: 'audio-only', text: 'an audio-only call counts as below end-to-end' };

/** The capability of one channel (C8, C9); for a call see {@link lower}, and {@link AUDIO_ONLY}. */
export function capabilityOf(facts: ProvenFacts): Capability {
  if (facts.transport === 'plain') return { level: 'none', lack: DTLS_REQUIRED };
  const lack = lackOf(facts.tip);
  return lack === undefined ? { level: 'end-to-end' } : { level: 'hop-by-hop', lack };
}

export type FailureReason =
  | 'dtls-failed'
  | 'fingerprint-mismatch'
  | 'media-timeout'
  | 'spimap-timeout'
  | 'consent-lost'
  | 'auth-failures';

export type FailureVerdict =
  | {
      readonly verdict: 'end';
      readonly status: 488 | 408;
      readonly event: SecurityEventCode;
      readonly reasonText: string;
    }
  | { readonly verdict: 'keep'; readonly event: SecurityEventCode };

const FAILURE_TEXT: Readonly<Record<Exclude<FailureReason, 'auth-failures'>, string>> = {
  'dtls-failed': 'DTLS handshake failed',
  'fingerprint-mismatch': 'DTLS certificate does not match the fingerprint in SDP',
  'media-timeout': 'no TIP answer',
  'spimap-timeout': 'group parameter set not acknowledged',
  'consent-lost': 'the ICE checks of the endpoint have ended',
};

/**
 * Judges a negotiation that went wrong on a channel that offered security (C10): it ends that endpoint's call under every
 * policy and lowers nothing. An endpoint that no longer shows that it wants media (RFC 7675) is gone: 408. Packets that fail authentication end nothing: anybody who can reach the port can send them.
 */
export function judgeFailure(reason: FailureReason): FailureVerdict {
  if (reason === 'auth-failures') return { verdict: 'keep', event: 'auth-failures' };
  return {
    verdict: 'end',
    status: reason === 'consent-lost' ? 408 : 488,
    event: reason,
    reasonText: FAILURE_TEXT[reason],
  };
}

function demand({ policy, requiredLevel }: PolicySettings): string {
  if (policy === 'best-effort') return 'this conference takes SRTP and plain RTP';
  return policy === 'secure'
    ? `this conference requires ${requiredLevel} security`
    : 'this conference is non-secure (RTP for all)';
}

/** Why a channel is below end-to-end (C8, WIRE.md 4.1), or undefined. */
function lackOf(tip: TipSecurity | undefined): Lack | undefined {
  const lack = (reason: RefusalReason, text: string): Lack => ({ reason, text });
  if (tip === undefined) return lack('tip-not-secure', 'the endpoint has not negotiated TIP');
  if (tip.version < 7) return lack('tip-version', `the endpoint speaks TIP version ${tip.version}`);
  if (!tip.secure) return lack('tip-not-secure', 'the endpoint did not set the secure bit in TIP');
  if (!tip.ektTx && !tip.ektRx) return lack('ekt-missing', 'the endpoint does not offer EKT');
  if (!tip.ektTx || !tip.ektRx) return lack('ekt-one-direction', 'the endpoint offers EKT in one direction only');
  if (tip.capable) return undefined;
  return lack('suite-not-listed', safeText(tip.reason ?? 'the endpoint does not list the SRTP suite'));
}

function refusal(
  reason: RefusalReason,
  event: OfferRefusal['event'],
  code: SipWarning['code'],
  text: string,
  line?: number,
): OfferRefusal {
  return {
    verdict: 'refuse',
    status: 488,
    reason,
    event,
    warning: { code, text },
    reasonText: text,
    ...(line === undefined ? {} : { line }),
  };
}
