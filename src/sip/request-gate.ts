/** Who may ask for what: the checks of REQUIREMENTS T4, in its order, before anything else is made of a request. */
import type { Secret } from '../base/secret.js';
import { headerValue } from '../wire/sip-message.js';
import type { SipRequest } from '../wire/sip-types.js';
import type { ResponseDraft } from './build.js';
import type { DigestAlgorithm, HashedCredentials } from './digest.js';
import { DigestServer } from './digest-server.js';
import type { Acceptable, Access, TrunkProfile } from './trunk.js';

/** An account of the digest list; `accept` is its line of the application list. */
export interface DigestUser {
  readonly name: string;
  readonly hashed: HashedCredentials;
  readonly accept: readonly Acceptable[];
}

export interface GateOptions {
  readonly trunks: readonly TrunkProfile[];
  readonly users: readonly DigestUser[];
  readonly realm: string;
  readonly algorithms: readonly DigestAlgorithm[];
  readonly nonceKey: Secret;
  readonly random: () => string;
}

export type DenialCode = 'trunk-denied' | 'digest-failed' | 'tls-verify-failed';

/** `denial`: an event for the operator. A challenge is none: it is how every client begins. */
export type GateVerdict =
  | { readonly type: 'pass'; readonly user?: string }
  | {
      readonly type: 'refuse';
      readonly draft: ResponseDraft;
      readonly denial?: { readonly code: DenialCode; readonly cause: string };
    };

const PASS: GateVerdict = { type: 'pass' };

/** What a request asks for beyond a call; undefined: nothing of the kind. In a dialog everything was agreed before. */
export function asksFor(request: SipRequest): Acceptable | undefined {
  if (request.to.params.has('tag')) return undefined;
  switch (request.method) {
    case 'SUBSCRIBE':
      return 'presence';
    case 'REFER':
      return 'refer';
    case 'NOTIFY':
      return 'notify';
    case 'INVITE':
      return headerValue(request, 'replaces') === undefined ? undefined : 'replaces';
    default:
      return undefined;
  }
}

export class RequestGate {
  readonly #options: GateOptions;
  readonly #digests = new Map<string, DigestServer>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** @param access of the connection that the request came on; undefined: one that we opened to nobody in particular. */
  check(request: SipRequest, access: Access | undefined, now: number): GateVerdict {
    if (access === undefined || access.type === 'open') return PASS;
    if (access.type === 'denied') return forbidden(access.code, access.cause);
    const trunk = this.#options.trunks.find((t) => t.name === access.trunk);
    if (trunk === undefined) return forbidden('trunk-denied', `there is no trunk ${access.trunk} any more`);
    const asked = asksFor(request);
    if (asked !== undefined && !trunk.accept.includes(asked)) {
      return forbidden(
        'trunk-denied',
        `${request.method} asks for ${asked}, which trunk ${trunk.name} does not accept`,
      );
    }
    // RFC 3261 §22.1: ACK and CANCEL cannot be sent again with an answer.
    if (!trunk.digest || request.method === 'ACK' || request.method === 'CANCEL') return PASS;
    const proof = this.#digestOf(trunk).check(request, now);
    if (proof.type === 'challenge') return { type: 'refuse', draft: { status: 401, headers: proof.headers } };
    if (proof.type === 'refused') return forbidden('digest-failed', proof.cause);
    const { user } = proof;
    // T4: INVITE and what is in a dialog are not the application list's business.
    if (!trunk.applicationAuthorization || asked === undefined || request.method === 'INVITE')
      return { type: 'pass', user };
    const account = this.#options.users.find((u) => u.name === user);
    if (account?.accept.includes(asked) === true) return { type: 'pass', user };
    return forbidden('trunk-denied', `the application list lets ${user} not ask for ${asked}`);
  }

  #digestOf(trunk: TrunkProfile): DigestServer {
    let digest = this.#digests.get(trunk.name);
    if (digest === undefined) {
      const { realm, algorithms, nonceKey, random, users } = this.#options;
      digest = new DigestServer({
        realm,
        scope: trunk.name,
        algorithms,
        nonceValidityMs: trunk.nonceValidityMs,
        nonceKey,
        random,
        credentials: (name) => users.find((u) => u.name === name)?.hashed,
      });
      this.#digests.set(trunk.name, digest);
    }
    return digest;
  }
}

function forbidden(code: DenialCode, cause: string): GateVerdict {
  return { type: 'refuse', draft: { status: 403 }, denial: { code, cause } };
}
