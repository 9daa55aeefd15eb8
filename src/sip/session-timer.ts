/** Session timers (RFC 4028): what the headers say, and what follows from them for the two sides. */
import { SIP_MIN_SESSION_EXPIRES_S } from '../base/limits.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import { parseDigits, parseHeaderParams } from '../wire/sip-scan.js';
import type { SipHeader, SipMessage, SipRequest, SipResponse } from '../wire/sip-types.js';

export interface SessionExpires {
  readonly seconds: number;
  /** Whose task the next refresh is, in the words of the transaction that says so. */
  readonly refresher?: 'uac' | 'uas';
}

/** The timer of a call. */
export interface SessionTimer {
  readonly seconds: number;
  readonly weRefresh: boolean;
  /** Half way through, where it is our task (§7.2); moves while it cannot be done. */
  refreshAt: number;
  /** BYE is due: a little before the end where the peer should have refreshed (§10). */
  readonly expireAt: number;
}

/** @returns undefined without the header, `malformed` where it cannot be read */
export function readSessionExpires(message: SipMessage): SessionExpires | 'malformed' | undefined {
  const value = headerValue(message, 'session-expires');
  if (value === undefined) return undefined;
  const end = value.search(/[^0-9]/);
  const seconds = parseDigits(end < 0 ? value : value.slice(0, end), 9);
  const params = parseHeaderParams(value, end < 0 ? value.length : end);
  const refresher = params?.get('refresher')?.toLowerCase();
  if (seconds === undefined || params === undefined) return 'malformed';
  if (refresher === undefined) return { seconds };
  return refresher === 'uac' || refresher === 'uas' ? { seconds, refresher } : 'malformed';
}

export function minSe(message: SipMessage): number {
  return parseDigits((headerValue(message, 'min-se') ?? '').split(';')[0]!.trim(), 9) ?? 0;
}

export function supports(message: SipMessage, tag: string): boolean {
  return headerValues(message, 'supported').some((value) => value.trim().toLowerCase() === tag);
}

/** §9: an interval that is too short for us is refused, where the peer understands that. */
export function isTooShort(request: SipRequest): boolean {
  const asked = readSessionExpires(request);
  if (asked === undefined || asked === 'malformed' || !supports(request, 'timer')) return false;
  return asked.seconds < SIP_MIN_SESSION_EXPIRES_S;
}

/**
 * What our 2xx says (§9, table 2). @param own seconds that we ask for where the peer asks for nothing; undefined: then there
 * is no timer. A peer that does not know of timers has nothing to do: we refresh.
 */
export function answeredTimer(request: SipRequest, own: number | undefined): Required<SessionExpires> | undefined {
  const asked = readSessionExpires(request);
  const known = supports(request, 'timer');
  if (asked === undefined || asked === 'malformed') {
    return own === undefined ? undefined : { seconds: Math.max(own, minSe(request)), refresher: known ? 'uac' : 'uas' };
  }
  return { seconds: asked.seconds, refresher: known ? (asked.refresher ?? 'uac') : 'uas' };
}

export function timerHeaders({ seconds, refresher }: Required<SessionExpires>): readonly SipHeader[] {
  const header = { name: 'session-expires', value: `${seconds};refresher=${refresher}` };
  return refresher === 'uac' ? [header, { name: 'require', value: 'timer' }] : [header];
}

/** What we ask for in a request. @param weRefresh undefined: whoever likes */
export function askedTimer(seconds: number, weRefresh: boolean | undefined, atLeast: number): readonly SipHeader[] {
  const refresher = weRefresh === undefined ? '' : `;refresher=${weRefresh ? 'uac' : 'uas'}`;
  return [
    { name: 'session-expires', value: `${Math.max(seconds, atLeast)}${refresher}` },
    { name: 'min-se', value: String(Math.max(SIP_MIN_SESSION_EXPIRES_S, atLeast)) },
  ];
}

/** The timer that a 2xx to our request starts (§7.2); undefined: the peer wants none. */
export function timerOfAnswer(response: SipResponse, now: number): SessionTimer | undefined {
  const said = readSessionExpires(response);
  if (said === undefined || said === 'malformed' || said.seconds === 0) return undefined;
  return startTimer(said.seconds, said.refresher !== 'uas', now);
}

export function startTimer(seconds: number, weRefresh: boolean, now: number): SessionTimer {
  const whole = seconds * 1_000;
  const early = weRefresh ? 0 : Math.min(32_000, whole / 3);
  return { seconds, weRefresh, refreshAt: weRefresh ? now + whole / 2 : Infinity, expireAt: now + whole - early };
}
