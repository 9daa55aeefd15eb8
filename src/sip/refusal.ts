/** How a refusal tells its reason: Warning (RFC 3261 §20.43) and Reason (RFC 3326). */
import { writeReason, writeWarning } from '../wire/sip-headers.js';
import type { SipHeader } from '../wire/sip-types.js';
import type { MediaProblem, Offer } from './offer-answer-types.js';

/** The headers of a refusal with this status: `Warning: 305 host "text"` and `Reason: SIP;cause=488;text="text"`. */
export function refusalHeaders(status: number, host: string, problem: MediaProblem): readonly SipHeader[] {
  return [
    { name: 'warning', value: writeWarning(problem.warnCode, host, problem.text) },
    { name: 'reason', value: writeReason(status, problem.text) },
  ];
}

/** Why nothing of an offer can be accepted; undefined when at least one m-line can. */
export function offerProblem(offer: Offer): MediaProblem | undefined {
  if (offer.media.some((m) => m.port !== 0 && m.problem === undefined)) return undefined;
  return (
    offer.media.find((m) => m.problem !== undefined)?.problem ?? { warnCode: 304, text: 'the offer enables no media' }
  );
}
