/** From an offer to what a call gets: which m-lines are used, as what, and whether a later offer still says the same. */
import { equalBytes } from '../base/bytes.js';
import type { Media } from '../base/ids.js';
import type { OfferedMedia } from '../security/policy.js';
import type { Offer, RemoteMedia } from '../sip/offer-answer-types.js';
import { refusalHeaders } from '../sip/refusal.js';
import type { SipHeader } from '../wire/sip-types.js';

/** A line that is used, with what policy has to know of it. */
export interface UsedLine {
  readonly line: RemoteMedia;
  readonly offered: OfferedMedia;
}

/**
 * The m-lines of an offer that a call uses: the first of each media kind that is enabled and no presentation. The others
 * (undefined) are answered with port 0.
 */
export function usedLines(offer: Offer): readonly (UsedLine | undefined)[] {
  const taken = new Set<Media>();
  return offer.media.map((line) => {
    const { media } = line;
    if (media === 'other' || line.port === 0 || line.content === 'slides' || taken.has(media)) return undefined;
    taken.add(media);
    const sdes = line.security === 'sdes';
    const security =
      sdes || line.security === 'unsupported' || line.problem !== undefined ? 'unsupported' : line.security;
    const problem = line.problem?.text ?? (sdes ? 'keys in SDP (RFC 4568) are not supported' : undefined);
    return { line, offered: { media, security, ...(problem === undefined ? {} : { problem }) } };
  });
}

/** True when `b` offers the same media at the same places with the same certificates as `a`: a refresh, no change. */
export function sameMedia(a: Offer, b: Offer): boolean {
  return (
    a.media.length === b.media.length &&
    a.media.every((line, i) => {
      const other = b.media[i]!;
      return (
        line.media === other.media &&
        line.protocol === other.protocol &&
        line.port === other.port &&
        line.address?.address === other.address?.address &&
        line.fingerprints.length === other.fingerprints.length &&
        line.fingerprints.every((f, j) => equalBytes(f.value, other.fingerprints[j]!.value))
      );
    })
  );
}

/** Reason, Warning, and Retry-After where there is one. */
export function headersOfRefusal(
  agent: string,
  status: number,
  warning: { readonly code: 302 | 304 | 399; readonly text: string },
  retryAfterSeconds?: number,
): readonly SipHeader[] {
  const headers = refusalHeaders(status, agent, { warnCode: warning.code, text: warning.text });
  return retryAfterSeconds === undefined
    ? headers
    : [...headers, { name: 'retry-after', value: String(retryAfterSeconds) }];
}
