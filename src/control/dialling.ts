/**
 * Calls that the switch makes (issue of dialling out): our offer, as secure as the conference and never less, the callee's
 * answer, and what an operator is told when there is none. Which peer is tried, and again when, is decided elsewhere.
 */
import type { MemberId } from '../base/ids.js';
import type { Effect } from '../conference/contract.js';
import { makeEvent, type SecurityEventCode } from '../security/events.js';
import type { SipCommand, UserAgentOutput } from '../sip/contract.js';
import type { TrunkProfile } from '../sip/trunk.js';
import { writeHostPort } from '../wire/sip-address.js';
import { writeReason } from '../wire/sip-headers.js';
import { CallMedia } from './call-media.js';
import type { MediaHost } from './call-media-contract.js';
import type { ConferenceRuntime } from './conference.js';
import type { ControlInput, ControlOutput, DialNumber, DialOutcome } from './contract.js';
import { type Connections, dialProblem } from './trunk-rules.js';

export interface DiallingHost {
  readonly connections: Connections;
  readonly trunks: readonly TrunkProfile[];
  readonly media: MediaHost;
  readonly calls: Map<MemberId, CallMedia>;
  /** Address for SDP; undefined: the connection's own. */
  readonly advertise: string | undefined;
  newCall(): MemberId;
  send(command: SipCommand): void;
  output(output: ControlOutput): void;
  /** The conference by this name, made where that is allowed; a text: why not. */
  conferenceFor(name: string, caller: string): ConferenceRuntime | string;
  /** The member's channels close and the conference forgets it. */
  leave(member: MemberId): void;
}

interface Dial {
  readonly dial: DialNumber;
  readonly connection: number;
  readonly target: string;
  readonly trunk: TrunkProfile | undefined;
  readonly conference: ConferenceRuntime;
  /** Our offer asks for keys. */
  readonly secure: boolean;
  state: 'judged' | 'invited';
}

/** What an operator is told of a refusal (REQUIREMENTS E), where the refused offer asked for keys. */
const EVENT_OF: Readonly<Record<number, SecurityEventCode>> = { 488: 'trunk-srtp-refused', 606: 'trunk-keys-refused' };

export class Dialling {
  readonly #host: DiallingHost;
  readonly #dials = new Map<MemberId, Dial>();

  constructor(host: DiallingHost) {
    this.#host = host;
  }

  start(input: Extract<ControlInput, { type: 'dial' }>, now: number): void {
    const { dial, conference: name, connection, target, trunk: trunkName } = input;
    const { connections, trunks, media, calls, advertise } = this.#host;
    const connected = connections.get(connection);
    const over = (outcome: DialOutcome): void => this.#host.output({ type: 'dial-ended', dial, outcome });
    if (connected === undefined)
      return over({ type: 'failed', status: 'unreachable', reason: 'the connection was lost' });
    const trunk = trunks.find((t) => t.name === trunkName);
    const caller = connected.remote.address;
    const conference = this.#host.conferenceFor(name, caller);
    if (typeof conference === 'string') return over({ type: 'failed', status: 404, reason: conference });
    const reason = dialProblem(trunk, conference.state);
    if (reason !== undefined) {
      conference.securityEvent('security-mismatch', `${target}: ${reason}`);
      return over({ type: 'failed', status: 488, reason });
    }
    const member = this.#host.newCall();
    const address = advertise ?? connected.local.address;
    // Whom we call has said nothing yet; until its answer it is taken for an endpoint that speaks TIP.
    const who = { name: target, caller, address, tip: true, trunk, offerIce: connected.transport === 'wss' };
    const call = new CallMedia(member, who, conference, media);
    const facts = call.openOwn();
    if (facts === 'failed') return over({ type: 'failed', status: 500, reason: 'no media port free' });
    const secure = facts.some(({ security }) => security !== 'plain');
    this.#dials.set(member, { dial, connection, target, trunk, conference, secure, state: 'judged' });
    calls.set(member, call);
    // The conference judges before anybody is called; until the callee has proven itself it is unknown there (C9).
    conference.join(member, { name: target, caller }, facts, call.channels, now);
  }

  cancel(dial: DialNumber): void {
    for (const [member, entry] of this.#dials) {
      if (entry.dial !== dial) continue;
      this.#dials.delete(member);
      this.#host.send({ type: 'hangup', call: member });
      this.#host.leave(member);
    }
  }

  /** The conference has admitted the member. @returns false: it is none that we call. */
  admitted(member: MemberId): boolean {
    const entry = this.#dials.get(member);
    const call = this.#host.calls.get(member);
    if (entry === undefined || call === undefined || entry.state !== 'judged') return false;
    entry.state = 'invited';
    const { connection, target, conference } = entry;
    const { local } = this.#host.connections.get(connection)!;
    const scheme = target.slice(0, target.indexOf(':'));
    const from = `${scheme}:${conference.name}@${writeHostPort(local.address)}`;
    const sdp = call.offer({});
    this.#host.send({ type: 'invite', call: member, connection, target, from, sdp });
    return true;
  }

  /** The conference does not want the member. @returns false: it is none that we call. */
  refused({ member, status, reasonText }: Extract<Effect, { type: 'refuse' }>): boolean {
    return this.#over(member, { type: 'failed', status, reason: reasonText });
  }

  /** @returns true when it was the first answer to a call of ours: nobody else has to do with it. */
  receive(out: UserAgentOutput, now: number): boolean {
    switch (out.type) {
      case 'answered':
        return this.#answered(out, now);
      case 'failed': {
        const entry = this.#dials.get(out.call);
        const { status, reason, warning, retryAfterSeconds } = out;
        if (entry !== undefined) this.#report(entry, status, warning === '' ? reason : `${reason}; ${warning}`);
        const later = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
        this.#over(out.call, { type: 'failed', status, reason, ...later });
        return false;
      }
      case 'ended': {
        // RFC 3261 §8.1.3.1: a connection that breaks counts like a peer that is not there.
        const lost = out.by === 'connection';
        const reason = lost ? 'the connection was lost' : (out.cause ?? 'the call ended before it was answered');
        this.#over(out.call, { type: 'failed', status: lost ? 'unreachable' : 487, reason });
        return false;
      }
      default:
        return false;
    }
  }

  #answered({ call: member, sdp, tip }: Extract<UserAgentOutput, { type: 'answered' }>, now: number): boolean {
    const entry = this.#dials.get(member);
    const call = this.#host.calls.get(member);
    if (entry === undefined || call === undefined) return false;
    // As with callers: where end-to-end is required nothing else is of use, and its silence is waited for.
    const standard = !tip && entry.conference.state.requiredLevel !== 'end-to-end';
    if (standard) call.withoutTip();
    const taken = call.answered(sdp, now);
    if (taken.ok) {
      if (standard) entry.conference.apply({ type: 'without-tip', member }, now);
      this.#over(member, { type: 'answered' });
      return true;
    }
    // An answer of less security than was offered is no answer: nothing of it is used.
    const detail = taken.detail === undefined ? '' : ` (${taken.detail})`;
    const reason = `the answer does not fit our offer: ${taken.reason}${detail}`;
    if (entry.secure) entry.conference.securityEvent('security-mismatch', reason, member);
    this.#host.send({ type: 'hangup', call: member, reason: writeReason(488, reason) });
    this.#over(member, { type: 'failed', status: 488, reason });
    this.#host.leave(member);
    return true;
  }

  #over(member: MemberId, outcome: DialOutcome): boolean {
    const entry = this.#dials.get(member);
    if (entry === undefined) return false;
    this.#dials.delete(member);
    this.#host.output({ type: 'dial-ended', dial: entry.dial, outcome });
    return true;
  }

  #report({ target, trunk, conference, secure }: Dial, status: number, cause: string): void {
    const code = status === 403 ? 'trunk-forbidden' : secure ? EVENT_OF[status] : undefined;
    if (code === undefined) return;
    const endpoint = trunk === undefined ? target : `${target} over trunk ${trunk.name}`;
    this.#host.output({
      type: 'security-event',
      event: makeEvent(code, { conference: conference.name, endpoint, cause }),
    });
  }
}
