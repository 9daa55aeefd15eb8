/** What a trunk's profile means for its calls. */
import { toHex } from '../base/bytes.js';
import { SIP_PROBE_AFTER_MS, SIP_SESSION_EXPIRES_S } from '../base/limits.js';
import { makeEvent } from '../security/events.js';
import type { Level, ProvenLevel } from '../security/levels.js';
import type {
  CallNumber,
  Connected,
  ConnectionNumber,
  UserAgentInput,
  UserAgentOptions,
  UserAgentOutput,
} from '../sip/contract.js';
import type { Offer } from '../sip/offer-answer-types.js';
import { securityStatus, type TrunkProfile } from '../sip/trunk.js';
import { writeHostPort } from '../wire/sip-address.js';
import type { SipHeader } from '../wire/sip-types.js';
import type { ControlOptions, ControlOutput } from './contract.js';

/** What the user agent is given of control's options. */
export function userAgentOptions(
  { random, product, gate, registration, credentials, trunks }: ControlOptions,
  status: SecurityStatus,
): UserAgentOptions {
  return {
    callHeaders: (connected, call) => status.headers(connected, call),
    sessionExpiresS: SIP_SESSION_EXPIRES_S,
    probeAfterMs: SIP_PROBE_AFTER_MS,
    transfers: (access) => {
      const accept = trunks?.find((t) => access?.type === 'trunk' && t.name === access.trunk)?.accept ?? [];
      return { acceptRefer: accept.includes('refer'), acceptReplaces: accept.includes('replaces') };
    },
    random: () => toHex(random(12)),
    ...(product === undefined ? {} : { product }),
    ...(gate === undefined ? {} : { gate }),
    ...(registration === undefined ? {} : { registration }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

/** T7: what a trunk that wants to know is told of the security of a call; never more than is proven (C6). */
export class SecurityStatus {
  readonly #trunks: readonly TrunkProfile[];
  readonly #levelOf: (call: CallNumber) => Level | undefined;
  readonly #told = new Set<CallNumber>();

  constructor(trunks: readonly TrunkProfile[], levelOf: (call: CallNumber) => Level | undefined) {
    this.#trunks = trunks;
    this.#levelOf = levelOf;
  }

  headers(connected: Connected, call: CallNumber): readonly SipHeader[] {
    const trunk = trunkOf(this.#trunks, connected);
    if (trunk?.transmitSecurityStatus !== true) return [];
    this.#told.add(call);
    const level = this.#levelOf(call);
    const proven = level === 'hop-by-hop' || level === 'end-to-end';
    const status = securityStatus(trunk.security !== 'non-secure', proven);
    return [{ name: 'call-info', value: `<urn:x-cisco-remotecc:callinfo>;security=${status}` }];
  }

  /** Whether this call's peer hears of its security. */
  isTold(call: CallNumber): boolean {
    return this.#told.has(call);
  }

  forget(call: CallNumber): void {
    this.#told.delete(call);
  }
}

/** The SIP connections that there are now. */
export class Connections {
  readonly #open = new Map<ConnectionNumber, Connected>();

  note(input: UserAgentInput): void {
    if (input.type === 'connected') this.#open.set(input.connection, input);
    if (input.type === 'disconnected') this.#open.delete(input.connection);
  }

  get(connection: ConnectionNumber): Connected | undefined {
    return this.#open.get(connection);
  }
}

/** The profile of a connection's trunk; undefined: it belongs to none. */
export function trunkOf(trunks: readonly TrunkProfile[] | undefined, connected: Connected): TrunkProfile | undefined {
  const { access } = connected;
  return access?.type === 'trunk' ? trunks?.find((t) => t.name === access.trunk) : undefined;
}

/** T6: why an offer with keys cannot come over this trunk; undefined: it can. */
export function srtpProblem(trunk: TrunkProfile | undefined, offer: Offer): string | undefined {
  if (trunk === undefined || trunk.srtp || offer.media.every((m) => m.port === 0 || m.security === 'plain'))
    return undefined;
  return `SRTP is not allowed on trunk ${trunk.name}`;
}

/** Why the trunk cannot bring a call as secure as a conference requires; undefined: it can. */
export function dialProblem(
  trunk: TrunkProfile | undefined,
  { requiredLevel }: { readonly requiredLevel: ProvenLevel },
): string | undefined {
  if (trunk === undefined || requiredLevel === 'none') return undefined;
  if (!trunk.srtp) return `trunk ${trunk.name} does not allow SRTP, which the conference requires`;
  if (trunk.keying === 'sdp-keys' && requiredLevel === 'end-to-end')
    return `trunk ${trunk.name} has keys in SDP, which are hop-by-hop at most, and the conference requires end-to-end`;
  return undefined;
}

export function denialEvent(
  { code, cause }: Extract<UserAgentOutput, { type: 'denied' }>,
  connected: Connected | undefined,
): Extract<ControlOutput, { type: 'security-event' }> {
  const { access, remote } = connected ?? {};
  const peer = remote === undefined ? 'a peer that is gone' : writeHostPort(remote.address, remote.port);
  const endpoint = access?.type === 'trunk' ? `trunk ${access.trunk} (${peer})` : peer;
  return { type: 'security-event', event: makeEvent(code, { endpoint, cause }) };
}
