/** Digest as the side that is asked (RFC 3261 §22.2, §22.3; RFC 7616 §3.4): a refused request, answered for its realm. */
import { DIGEST_MAX_ATTEMPTS } from '../base/limits.js';
import { parseDigest, writeDigest } from '../wire/sip-auth.js';
import type { SipHeader, SipResponse } from '../wire/sip-types.js';
import type { RequestDraft } from './build.js';
import { type DigestAlgorithm, digestAlgorithm, digestResponse, type HashedCredentials } from './digest.js';

export interface RealmCredentials {
  readonly user: string;
  readonly hashed: HashedCredentials;
}

/** What we say to a realm; undefined: we have no account there. */
export type CredentialsOf = (realm: string) => RealmCredentials | undefined;

interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly algorithm: DigestAlgorithm;
  readonly qop: 'auth' | 'auth-int';
  readonly opaque: string | undefined;
}

const PREFERENCE: readonly DigestAlgorithm[] = ['SHA-256', 'MD5'];

function readChallenge(value: string): Challenge | undefined {
  const params = parseDigest(value);
  const realm = params?.get('realm');
  const nonce = params?.get('nonce');
  const algorithm = digestAlgorithm(params?.get('algorithm'));
  const offered = (params?.get('qop') ?? '')
    .toLowerCase()
    .split(',')
    .map((word) => word.trim());
  const qop = offered.includes('auth') ? 'auth' : offered.includes('auth-int') ? 'auth-int' : undefined;
  if (realm === undefined || nonce === undefined || algorithm === undefined || qop === undefined) return undefined;
  return { realm, nonce, algorithm, qop, opaque: params?.get('opaque') };
}

/**
 * The request again with an answer to the 401 or 407: same Call-ID and From, the CSeq number that is given. One answer a
 * realm, by the strongest algorithm that both know. Undefined when there is nothing (more) to say: no account in any of the
 * realms, nothing that can be computed, or the answer that was given already is not good enough (RFC 3261 §22.1).
 * @param attempt how often this request was answered for before. @param sequence CSeq number of the new request.
 * @param cnonce a fresh token.
 */
export function answerChallenge(
  draft: RequestDraft,
  response: SipResponse,
  credentials: CredentialsOf,
  { attempt, sequence, cnonce }: { readonly attempt: number; readonly sequence: number; readonly cnonce: string },
): RequestDraft | undefined {
  const proxy = response.status === 407;
  const asks = proxy ? 'proxy-authenticate' : 'www-authenticate';
  const answers = proxy ? 'proxy-authorization' : 'authorization';
  const best = new Map<string, Challenge>();
  let stale = false;
  for (const h of response.headers) {
    if (h.name !== asks) continue;
    const challenge = readChallenge(h.value);
    if (challenge === undefined || credentials(challenge.realm)?.hashed[challenge.algorithm] === undefined) continue;
    stale ||= parseDigest(h.value)?.get('stale')?.toLowerCase() === 'true';
    const known = best.get(challenge.realm);
    if (known !== undefined && PREFERENCE.indexOf(known.algorithm) <= PREFERENCE.indexOf(challenge.algorithm)) continue;
    best.set(challenge.realm, challenge);
  }
  const given = draft.headers.filter((h) => h.name === answers).map((h) => parseDigest(h.value)?.get('realm') ?? '');
  const fresh = [...best.values()].filter(({ realm }) => stale || !given.includes(realm));
  if (fresh.length === 0 || attempt >= DIGEST_MAX_ATTEMPTS) return undefined;
  const kept = draft.headers.filter((h) => {
    if (h.name !== answers) return h.name !== 'cseq';
    return !best.has(parseDigest(h.value)?.get('realm') ?? '');
  });
  const added: SipHeader[] = fresh.map((challenge) => ({
    name: answers,
    value: answerTo(challenge, draft, credentials(challenge.realm)!, cnonce),
  }));
  const headers = [...kept, { name: 'cseq', value: `${sequence} ${draft.method}` }, ...added];
  return { ...draft, headers };
}

function answerTo(challenge: Challenge, draft: RequestDraft, account: RealmCredentials, cnonce: string): string {
  const { realm, nonce, algorithm, qop, opaque } = challenge;
  const nc = '00000001'; // every request of ours is asked anew, so no nonce is used twice
  const body = draft.body ?? '';
  const sum = { algorithm, method: draft.method, uri: draft.uri, nonce, nc, cnonce, qop, body };
  return writeDigest('answer', [
    ['username', account.user],
    ['realm', realm],
    ['nonce', nonce],
    ['uri', draft.uri],
    ['response', digestResponse(account.hashed[algorithm]!, sum)],
    ['algorithm', algorithm],
    ['cnonce', cnonce],
    ['qop', qop],
    ['nc', nc],
    ...(opaque === undefined ? [] : ([['opaque', opaque]] as const)),
  ]);
}
