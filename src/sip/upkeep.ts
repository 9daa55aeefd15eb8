/**
 * What keeps a confirmed call, or ends it when nobody is there: refreshes and expiry of its session timer (RFC 4028), and
 * OPTIONS to a peer of whom nothing was heard for long (RFC 3261 §11.1): TLS keeps quiet about a peer that has vanished.
 */
import { SIP_REFRESH_RETRY_MS } from '../base/limits.js';
import type { SipResponse } from '../wire/sip-types.js';
import type { Call, CallTable, ClientUse } from './call.js';
import type { ConnectionNumber } from './contract.js';
import { dialogRequest } from './dialog.js';
import { askedTimer, timerOfAnswer } from './session-timer.js';

export class Upkeep {
  readonly #table: CallTable;
  /** By re-INVITE, where the peer does not take UPDATE. @returns false: it cannot be sent now */
  readonly #reinvite: (call: Call, now: number) => boolean;
  readonly #heardAt = new Map<ConnectionNumber, number>();

  constructor(table: CallTable, reinvite: (call: Call, now: number) => boolean) {
    this.#table = table;
    this.#reinvite = reinvite;
  }

  heard(connection: ConnectionNumber, now: number): void {
    this.#heardAt.set(connection, now);
  }

  onLost(connection: ConnectionNumber): void {
    this.#heardAt.delete(connection);
  }

  /** The call is confirmed. */
  begin(call: Call, now: number): void {
    const { probeAfterMs } = this.#table.options;
    if (probeAfterMs !== undefined) call.probeAt = now + probeAfterMs;
    this.#table.setTimer(call);
  }

  tick(call: Call, now: number): void {
    const { session } = call;
    if (call.phase !== 'confirmed') return;
    if (session !== undefined && session.expireAt <= now) {
      this.#table.bye(call, 'SIP;cause=408;text="session timer expired"', now);
      if (this.#table.calls.has(call.id)) this.#table.end(call, 'timeout', 'session timer expired');
      return;
    }
    if (session !== undefined && session.refreshAt <= now) {
      // An exchange that is under way refreshes as well; else another try follows.
      session.refreshAt = now + SIP_REFRESH_RETRY_MS;
      if (this.#refresh(call, now)) session.refreshAt = Infinity;
    }
    if (call.probeAt !== undefined && call.probeAt <= now) this.#probe(call, now);
    this.#table.setTimer(call);
  }

  #refresh(call: Call, now: number): boolean {
    if (!call.allowsUpdate) return this.#reinvite(call, now);
    const own = this.#table.ownHeaders(call.connection, call.sips, 'user-agent');
    const draft = dialogRequest(call.dialog!, 'UPDATE', [...own, ...askedTimer(call.session!.seconds, true, 0)]);
    return this.#table.start(call, 'update', draft, now) !== undefined;
  }

  #probe(call: Call, now: number): void {
    const silentMs = this.#table.options.probeAfterMs!;
    const heard = this.#heardAt.get(call.connection) ?? 0;
    call.probeAt = Math.max(heard, now) + silentMs;
    if (heard + silentMs > now) {
      call.probeAt = heard + silentMs;
      return;
    }
    const draft = dialogRequest(call.dialog!, 'OPTIONS', [{ name: 'accept', value: 'application/sdp' }]);
    this.#table.start(call, 'probe', draft, now);
  }

  onResponse(use: ClientUse, call: Call, response: SipResponse, now: number): void {
    const { status } = response;
    if (status === 481 || status === 408) {
      this.#table.endBroken(call, 'peer', `${use.draft.method} was answered ${status}`, now);
    } else if (use.purpose === 'update') {
      // Refused for another reason: the session goes on until it expires.
      if (status < 300) call.session = timerOfAnswer(response, now);
      else if (call.session !== undefined) call.session.refreshAt = now + SIP_REFRESH_RETRY_MS;
      this.#table.setTimer(call);
    }
  }

  onTimeout(use: ClientUse, call: Call, now: number): void {
    this.#table.endBroken(call, 'timeout', `${use.draft.method} was not answered: the peer is silent`, now);
    // Whoever is not there does not keep a connection that others need; its other calls end with it.
    this.#table.outputs.push({ type: 'close', connection: call.connection, why: 'the peer is silent' });
  }
}
