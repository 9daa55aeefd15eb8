/** REGISTER as it comes in: only over TLS or WSS, only from endpoints, only with a right digest answer; the rest is the registrar's. */
import type { SipRequest } from '../wire/sip-types.js';
import { type Connected, isSecure } from './contract.js';
import { DigestServer, type DigestServerOptions } from './digest-server.js';
import type { Registrar } from './registrar.js';
import type { GateVerdict } from './request-gate.js';

/** Extensions that a REGISTER may require (RFC 5626 §11.1, RFC 3327 §4: we add no Path, and none is needed). */
const SUPPORTED: ReadonlySet<string> = new Set(['outbound', 'path']);

export class Registration {
  readonly registrar: Registrar;
  readonly #digest: DigestServer;

  constructor(registrar: Registrar, digest: Omit<DigestServerOptions, 'scope'>) {
    this.registrar = registrar;
    this.#digest = new DigestServer({ ...digest, scope: 'register' });
  }

  /** @returns the answer, always; `denial` is for the operator. */
  answer(request: SipRequest, from: Connected, now: number): Extract<GateVerdict, { type: 'refuse' }> {
    const status = (code: number): Extract<GateVerdict, { type: 'refuse' }> => ({
      type: 'refuse',
      draft: { status: code },
    });
    // A binding is called back on this connection: nobody may listen there, and no trunk's peer is an endpoint.
    if (!isSecure(from.transport) || from.access?.type === 'trunk') return status(403);
    const unknown = request.require.filter((tag) => !SUPPORTED.has(tag));
    if (unknown.length > 0) {
      return { type: 'refuse', draft: { status: 420, headers: [{ name: 'unsupported', value: unknown.join(', ') }] } };
    }
    const proof = this.#digest.check(request, now);
    if (proof.type === 'challenge') return { type: 'refuse', draft: { status: 401, headers: proof.headers } };
    if (proof.type === 'refused') return { ...status(403), denial: { code: 'digest-failed', cause: proof.cause } };
    return { type: 'refuse', draft: this.registrar.register(request, proof.user, from.connection, now) };
  }
}
