/** Digest as the side that asks (RFC 7616 §3.3, §3.4, §3.5; RFC 8760): challenges, and what an answer is worth. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { SIP_MAX_DIGEST_NONCES } from '../base/limits.js';
import type { Secret } from '../base/secret.js';
import { parseDigest, writeDigest } from '../wire/sip-auth.js';
import { headerValue } from '../wire/sip-message.js';
import type { SipHeader, SipRequest } from '../wire/sip-types.js';
import { type DigestAlgorithm, digestAlgorithm, digestResponse, type HashedCredentials, sameDigest } from './digest.js';

export interface DigestServerOptions {
  readonly realm: string;
  /** A nonce of one scope is none in another: what was answered on one trunk cannot be replayed on another. */
  readonly scope: string;
  /** Offered in this order; MD5 only where old peers need it. */
  readonly algorithms: readonly DigestAlgorithm[];
  readonly nonceValidityMs: number;
  /** Whoever knows it can make nonces: random, 32 bytes, new with each start. */
  readonly nonceKey: Secret;
  readonly random: () => string;
  readonly credentials: (user: string) => HashedCredentials | undefined;
}

export type DigestVerdict =
  | { readonly type: 'valid'; readonly user: string }
  /** 401 with these headers: no answer yet, or one to a nonce that has expired (`stale`). */
  | { readonly type: 'challenge'; readonly stale: boolean; readonly headers: readonly SipHeader[] }
  /** 403. `cause` in words, without anything that the peer wrote beyond its user name. */
  | { readonly type: 'refused'; readonly cause: string };

interface UsedNonce {
  readonly madeAt: number;
  /** Highest nonce count that was accepted. */
  count: number;
}

const MAC_BYTES = 16;
const NC = /^[0-9a-f]{8}$/i;

/**
 * Nonces carry their time and a MAC, so a challenge costs no memory; one is remembered from its first right answer on, for
 * its count. Beyond the limit the oldest is forgotten and counts as expired from then on: a count is never accepted twice.
 */
export class DigestServer {
  readonly #options: DigestServerOptions;
  readonly #used = new Map<string, UsedNonce>();
  /** Nonces made up to this time are expired, whatever their validity says. */
  #expiredUpTo = Number.NEGATIVE_INFINITY;

  constructor(options: DigestServerOptions) {
    this.#options = options;
  }

  /** Nonces that are remembered, for bounds in tests. */
  get size(): number {
    return this.#used.size;
  }

  check(request: SipRequest, now: number): DigestVerdict {
    const { realm, nonceValidityMs, algorithms } = this.#options;
    const answers = request.headers
      .filter((h) => h.name === 'authorization')
      .map((h) => parseDigest(h.value))
      .filter((p) => p?.get('realm') === realm);
    if (headerValue(request, 'authorization') === undefined || answers.length === 0) return this.#challenge(false, now);
    const refused = (cause: string): DigestVerdict => ({ type: 'refused', cause });
    if (answers.length > 1) return refused('two answers for one realm');
    const answer = answers[0]!;
    const get = (name: string): string => answer.get(name) ?? '';
    const user = get('username');
    const algorithm = digestAlgorithm(answer.get('algorithm'));
    if (algorithm === undefined || !algorithms.includes(algorithm)) return refused('algorithm was not offered');
    if (get('qop').toLowerCase() !== 'auth') return refused('qop is not auth');
    if (!NC.test(get('nc')) || get('cnonce') === '') return refused('nc or cnonce is missing');
    // RFC 7616 §3.4.6: an answer made for one resource is none for another.
    if (get('uri') !== request.uriText) return refused('digest uri is not the Request-URI');
    const nonce = get('nonce');
    const madeAt = this.#madeAt(nonce);
    if (madeAt === undefined) return this.#challenge(false, now); // not ours, or of our last start
    const ha1 = this.#options.credentials(user)?.[algorithm];
    const sum = {
      algorithm,
      method: request.method,
      uri: request.uriText,
      nonce,
      nc: get('nc'),
      cnonce: get('cnonce'),
    };
    if (ha1 === undefined || !sameDigest(get('response'), digestResponse(ha1, { ...sum, qop: 'auth' }))) {
      return refused(`wrong answer of user ${JSON.stringify(user)}`);
    }
    // §3.3: stale only for a right answer, or anybody could have fresh nonces made for guesses.
    if (now - madeAt >= nonceValidityMs || madeAt <= this.#expiredUpTo) return this.#challenge(true, now);
    const count = Number.parseInt(get('nc'), 16);
    const known = this.#used.get(nonce);
    if (count <= (known?.count ?? 0)) return refused('nonce count was used before');
    if (known === undefined) this.#remember(nonce, { madeAt, count }, now);
    else known.count = count;
    return { type: 'valid', user };
  }

  #challenge(stale: boolean, now: number): DigestVerdict {
    const { realm, algorithms } = this.#options;
    const nonce = this.#makeNonce(now);
    const headers = algorithms.map((algorithm) => ({
      name: 'www-authenticate',
      value: writeDigest('challenge', [
        ['realm', realm],
        ['nonce', nonce],
        ['algorithm', algorithm],
        ['qop', 'auth'],
        ...(stale ? ([['stale', 'true']] as const) : []),
      ]),
    }));
    return { type: 'challenge', stale, headers };
  }

  #makeNonce(now: number): string {
    const body = `${Math.floor(now).toString(36)}.${this.#options.random()}`;
    return `${body}.${this.#mac(body).toString('base64url')}`;
  }

  #mac(body: string): Buffer {
    return this.#options.nonceKey.use((key) =>
      createHmac('sha256', key).update(`${this.#options.scope}\n${body}`).digest().subarray(0, MAC_BYTES),
    );
  }

  /** When a nonce of ours was made, Unix ms; undefined: it is not ours. */
  #madeAt(nonce: string): number | undefined {
    const dot = nonce.lastIndexOf('.');
    const mac = Buffer.from(nonce.slice(dot + 1), 'base64url');
    if (dot < 0 || mac.length !== MAC_BYTES || !timingSafeEqual(mac, this.#mac(nonce.slice(0, dot)))) return undefined;
    return Number.parseInt(nonce.slice(0, nonce.indexOf('.')), 36);
  }

  #remember(nonce: string, used: UsedNonce, now: number): void {
    for (const [old, { madeAt }] of this.#used) {
      const expired = now - madeAt >= this.#options.nonceValidityMs;
      if (!expired && this.#used.size < SIP_MAX_DIGEST_NONCES) break;
      this.#used.delete(old);
      if (!expired) this.#expiredUpTo = Math.max(this.#expiredUpTo, madeAt);
    }
    this.#used.set(nonce, used);
  }
}
