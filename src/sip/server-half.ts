/** Requests from the peer and how our user answers them (RFC 3261 §8.2, §9.2, §12.2.2, §13.3, §14.2, §15.1.2). */
import { ownText } from '../base/bytes.js';
import { SIP_MAX_CALLS, SIP_T1_MS, SIP_T2_MS } from '../base/limits.js';
import { headerValue } from '../wire/sip-message.js';
import type { SipHeader, SipRequest } from '../wire/sip-types.js';
import { userText } from '../wire/sip-uri.js';
import { ALLOW, type ResponseDraft, SUPPORTED, sdpBody } from './build.js';
import { bodyText, type Call, type CallTable, TIMEOUT_MS } from './call.js';
import { allowsUpdate } from './client-half.js';
import { type Connected, type ConnectionNumber, isSecure, type TransferRules } from './contract.js';
import { contactUri, dialogKey, dialogOfServer, saysTip } from './dialog.js';
import { MergedRequests } from './merged-requests.js';
import { inEarlyDialog, onPrack, tickProvisional } from './reliable.js';
import { refusalOf } from './request-checks.js';
import type { GateVerdict } from './request-gate.js';
import { answeredTimer, startTimer, timerHeaders } from './session-timer.js';
import type { LayerOutput, TransactionKey } from './transaction-layer.js';
import { replacedCall, type Transfers } from './transfers.js';
import type { Upkeep } from './upkeep.js';

const DEFAULT_RETRY_AFTER_SECONDS = 2;

export class ServerHalf {
  readonly #table: CallTable;
  readonly #merged = new MergedRequests();
  readonly #denied = new Map<ConnectionNumber, Set<string>>();
  #stopped: { readonly retryAfterSeconds: number } | undefined;

  readonly #upkeep: Upkeep;
  readonly #transfers: Transfers;

  constructor(table: CallTable, upkeep: Upkeep, transfers: Transfers) {
    this.#table = table;
    this.#upkeep = upkeep;
    this.#transfers = transfers;
  }

  stop(retryAfterSeconds: number): void {
    this.#stopped = { retryAfterSeconds };
    this.#table.stopping = true;
    this.#table.layer.setRetryAfter(retryAfterSeconds);
  }

  onTerminated(transaction: TransactionKey): void {
    this.#merged.terminated(transaction);
  }

  onRequest(event: LayerOutput & { readonly type: 'request' }, now: number): void {
    const { request, transaction, connection } = event;
    if (request.method === 'ACK') {
      this.#onAck(connection, request, now);
      return;
    }
    if (request.method === 'CANCEL') {
      this.#onCancel(transaction, event.invite, request, now);
      return;
    }
    // RFC 3261 §8.2: authentication comes before everything else.
    const refused =
      this.#gate(connection, request, now) ??
      (this.#merged.isMerged(transaction, request) ? { status: 482 } : undefined) ??
      this.#registered(connection, request, now) ??
      this.#refusal(connection, request);
    if (refused !== undefined) this.#respond(transaction, refused, now);
    else if (request.to.params.has('tag')) this.#inDialog(connection, transaction, request, now);
    else if (request.method === 'INVITE') this.#onInvite(connection, transaction, request, now);
    else if (request.method === 'OPTIONS') this.#respond(transaction, this.#capabilities(), now);
    else this.#respond(transaction, { status: 481 }, now); // what belongs in a dialog and names none
  }

  #gate(connection: ConnectionNumber, request: SipRequest, now: number): ResponseDraft | undefined {
    const verdict = this.#table.options.gate?.check(request, this.#table.layer.connection(connection)?.access, now);
    return verdict?.type === 'refuse' ? this.#told(connection, verdict) : undefined;
  }

  /** The answer to a REGISTER, where there is a registrar. */
  #registered(connection: ConnectionNumber, request: SipRequest, now: number): ResponseDraft | undefined {
    const { registration } = this.#table.options;
    const from = this.#table.layer.connection(connection);
    if (registration === undefined || request.method !== 'REGISTER' || from === undefined) return undefined;
    return this.#told(connection, registration.answer(request, from, now));
  }

  #told(connection: ConnectionNumber, { draft, denial }: Extract<GateVerdict, { type: 'refuse' }>): ResponseDraft {
    const denied = this.#denied.get(connection) ?? new Set<string>();
    if (denial !== undefined && !denied.has(denial.code)) {
      // One peer's flood of bad requests is one line to the operator.
      this.#denied.set(connection, denied.add(denial.code));
      this.#table.outputs.push({ type: 'denied', connection, ...denial });
    }
    return draft;
  }

  onLost(connection: ConnectionNumber): void {
    this.#denied.delete(connection);
    this.#table.options.registration?.registrar.disconnected(connection);
  }

  #refusal(connection: ConnectionNumber, request: SipRequest): ResponseDraft | undefined {
    const { layer, options } = this.#table;
    const info = layer.connection(connection);
    const host = options.host ?? info?.local.address ?? 'invalid';
    return refusalOf(request, { secure: isSecure(info?.transport), rules: this.#rules(connection), host });
  }

  /** Transfers that the connection's peer may ask for. */
  #rules(connection: ConnectionNumber): TransferRules {
    return this.#table.options.transfers?.(this.#table.layer.connection(connection)?.access) ?? {};
  }

  #respond(transaction: TransactionKey, draft: ResponseDraft, now: number, toTag?: string): Uint8Array | undefined {
    const tag = toTag ?? this.#table.options.random();
    return this.#table.layer.respond(transaction, { ...draft, toTag: tag }, now);
  }

  #unavailable(seconds: number): ResponseDraft {
    return { status: 503, headers: [{ name: 'retry-after', value: String(seconds) }] };
  }

  /** RFC 3261 §11.2. */
  #capabilities(): ResponseDraft {
    if (this.#stopped !== undefined) return this.#unavailable(this.#stopped.retryAfterSeconds);
    const headers: SipHeader[] = [
      { name: 'allow', value: ALLOW },
      { name: 'supported', value: SUPPORTED.join(', ') },
      { name: 'accept', value: 'application/sdp' },
      { name: 'accept-encoding', value: 'identity' },
    ];
    return { status: 200, headers };
  }

  #onInvite(connection: ConnectionNumber, transaction: TransactionKey, request: SipRequest, now: number): void {
    const table = this.#table;
    if (this.#stopped !== undefined || table.calls.size >= SIP_MAX_CALLS) {
      const seconds = this.#stopped?.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS;
      this.#respond(transaction, this.#unavailable(seconds), now);
      return;
    }
    const user = userText(request.uri!);
    if (user === undefined) {
      this.#respond(transaction, { status: 404 }, now);
      return;
    }
    const replaced = this.#rules(connection).acceptReplaces === true ? replacedCall(table, request) : undefined;
    if (typeof replaced === 'number') {
      this.#respond(transaction, { status: replaced }, now);
      return;
    }
    if (replaced !== undefined && !this.#isFromPeerOf(replaced, connection)) {
      this.#respond(transaction, { status: 403 }, now); // RFC 3891 §3: only who may speak for its party
      return;
    }
    const call = table.add({
      id: table.newCall(),
      connection,
      localTag: table.options.random(),
      phase: 'incoming',
      outgoing: false,
      sips: request.uri!.scheme === 'sips' || request.recordRoute[0]?.uri?.scheme === 'sips',
    });
    call.replaces = replaced?.id;
    table.setServer(call, { transaction, request });
    table.layer.respond(transaction, { status: 100 }, now);
    const { from, to } = request;
    table.outputs.push({
      type: 'incoming',
      call: call.id,
      connection,
      user: ownText(user),
      from: ownText(from.uriText),
      to: ownText(to.uriText),
      offer: bodyText(request),
      tip: saysTip(request),
      ...(replaced === undefined ? {} : { replaces: replaced.id }),
    });
  }

  #inDialog(connection: ConnectionNumber, transaction: TransactionKey, request: SipRequest, now: number): void {
    const call = this.#callOf(connection, request);
    const dialog = call?.dialog ?? call?.early.get(request.from.params.get('tag') ?? '')?.dialog;
    if (call === undefined || dialog === undefined) {
      this.#respond(transaction, { status: 481 }, now);
      return;
    }
    // RFC 3261 §12.2.2: out of order. An equal number in a new transaction is no retransmission either.
    if (dialog.remoteSequence !== undefined && request.cseq.number <= dialog.remoteSequence) {
      this.#respond(transaction, { status: 500, headers: [{ name: 'retry-after', value: '1' }] }, now);
      return;
    }
    dialog.remoteSequence = request.cseq.number;
    if (call.dialog === undefined) this.#respond(transaction, inEarlyDialog(this.#table, call, dialog, request), now);
    else if (request.method === 'OPTIONS') this.#respond(transaction, this.#capabilities(), now);
    else if (request.method === 'BYE') this.#onBye(call, transaction, request, now);
    else if (request.method === 'PRACK') this.#onPrack(call, transaction, request, now);
    else if (request.method === 'REFER') this.#respond(transaction, this.#transfers.onRefer(call, request, now), now);
    else if (request.method === 'UPDATE' && request.body.length === 0) this.#onRefresh(call, transaction, request, now);
    else this.#onReinvite(call, transaction, request, now);
  }

  #onBye(call: Call, transaction: TransactionKey, request: SipRequest, now: number): void {
    this.#respond(transaction, { status: 200 }, now);
    // RFC 3261 §15.1.2: what still waits for an answer is answered.
    if (call.server !== undefined) this.#respond(call.server.transaction, { status: 487 }, now);
    this.#table.end(call, call.phase === 'leaving' ? 'local' : 'peer', headerValue(request, 'reason'));
  }

  #onPrack(call: Call, transaction: TransactionKey, request: SipRequest, now: number): void {
    this.#respond(transaction, onPrack(call, request), now);
    this.#table.setTimer(call);
  }

  #onReinvite(call: Call, transaction: TransactionKey, request: SipRequest, now: number): void {
    if (call.phase === 'leaving') {
      this.#respond(transaction, { status: 481 }, now);
    } else if (call.client !== undefined) {
      this.#respond(transaction, { status: 491 }, now); // §14.2: glare
    } else if (call.server !== undefined || call.unacked !== undefined) {
      // §14.2: the earlier INVITE is not finished.
      this.#respond(transaction, { status: 500, headers: [{ name: 'retry-after', value: '5' }] }, now);
    } else {
      this.#table.setServer(call, { transaction, request });
      if (request.method === 'INVITE') this.#table.layer.respond(transaction, { status: 100 }, now);
      this.#table.setTimer(call);
      this.#table.outputs.push({ type: 'offer-again', call: call.id, offer: bodyText(request) });
    }
  }

  /** UPDATE without an offer: the session goes on, perhaps with another Contact (RFC 3311 §5.2, RFC 4028 §9). */
  #onRefresh(call: Call, transaction: TransactionKey, request: SipRequest, now: number): void {
    call.dialog!.remoteTarget = contactUri(request)!;
    const headers = [
      ...this.#timer(call, request, now),
      ...this.#table.ownHeaders(call.connection, call.sips, 'server'),
    ];
    this.#respond(transaction, { status: 200, headers }, now);
    this.#table.setTimer(call);
  }

  /** Starts the session timer that our 2xx to this request announces. @returns its headers */
  #timer(call: Call, request: SipRequest, now: number): readonly SipHeader[] {
    call.allowsUpdate = allowsUpdate(request, call.allowsUpdate);
    const timer = answeredTimer(request, call.session?.seconds ?? this.#table.options.sessionExpiresS);
    call.session = timer === undefined ? undefined : startTimer(timer.seconds, timer.refresher === 'uas', now);
    return timer === undefined ? [] : timerHeaders(timer);
  }

  #onAck(connection: ConnectionNumber, request: SipRequest, now: number): void {
    const table = this.#table;
    const call = this.#callOf(connection, request);
    const { unacked } = call ?? {};
    if (call === undefined || unacked === undefined || request.cseq.number !== unacked.sequence) return;
    call.unacked = undefined;
    table.layer.acknowledged(unacked.transaction);
    if (call.phase === 'accepted') {
      call.phase = 'confirmed';
      this.#upkeep.begin(call, now);
    }
    const sdp = unacked.withoutOffer ? bodyText(request) : undefined;
    table.outputs.push({ type: 'confirmed', call: call.id, ...(sdp === undefined ? {} : { sdp }) });
    if (call.hangup !== undefined) table.bye(call, call.hangup.reason, now);
    else table.setTimer(call);
  }

  #onCancel(transaction: TransactionKey, invite: TransactionKey | undefined, request: SipRequest, now: number): void {
    if (invite === undefined) {
      this.#respond(transaction, { status: 481 }, now);
      return;
    }
    const call = this.#table.byInvite.get(invite);
    // §9.2: the tag of the responses to the INVITE.
    this.#respond(transaction, { status: 200 }, now, call?.localTag ?? this.#table.layer.toTagOf(invite));
    if (call === undefined) return; // answered already: RFC 3261 §9.2, no effect
    this.#respond(invite, { status: 487 }, now, call.localTag);
    if (call.phase === 'incoming') {
      this.#table.end(call, 'peer', headerValue(request, 'reason') ?? 'cancelled');
    } else {
      this.#table.setServer(call, undefined);
      this.#table.setTimer(call);
      this.#table.outputs.push({ type: 'offer-withdrawn', call: call.id });
    }
  }

  /** The call whose dialog the request is in; only its peer may speak in it, on whichever of the peer's connections. */
  #callOf(connection: ConnectionNumber, request: SipRequest): Call | undefined {
    const key = dialogKey(request.callId, request.to.params.get('tag') ?? '', request.from.params.get('tag') ?? '');
    const call = this.#table.byDialog.get(key);
    return call === undefined || this.#isFromPeerOf(call, connection) ? call : undefined;
  }

  #isFromPeerOf(call: Call, connection: ConnectionNumber): boolean {
    if (call.connection === connection) return true;
    const mine = this.#table.layer.connection(call.connection);
    const other = this.#table.layer.connection(connection);
    return mine !== undefined && other !== undefined && samePeer(mine, other);
  }

  accept(call: Call, sdp: string, now: number): void {
    const table = this.#table;
    const { server } = call;
    if (server === undefined) return;
    const { request, transaction } = server;
    const { headers, body } = sdpBody(sdp);
    const own = [
      ...table.ownHeaders(call.connection, call.sips, 'server', call.id),
      ...this.#timer(call, request, now),
    ];
    const bytes = this.#respond(transaction, { status: 200, headers: [...own, ...headers], body }, now, call.localTag);
    table.setServer(call, undefined);
    if (bytes === undefined) return;
    call.sdp = sdp;
    if (call.phase === 'incoming') {
      call.phase = 'accepted';
      if (call.dialog === undefined) table.setDialog(call, dialogOfServer(request, call.localTag));
    } else {
      call.dialog!.remoteTarget = contactUri(request)!; // §12.2.2: target refresh
      if (call.queued !== undefined) call.queued = { ...call.queued, stale: true };
    }
    if (request.method === 'UPDATE') {
      table.setTimer(call); // no ACK follows
      return;
    }
    call.unacked = {
      transaction,
      bytes,
      sequence: request.cseq.number,
      withoutOffer: request.body.length === 0,
      giveUpAt: now + TIMEOUT_MS,
      resendAt: now + SIP_T1_MS,
      interval: SIP_T1_MS,
    };
    table.setTimer(call);
    const replaced = call.replaces === undefined ? undefined : table.calls.get(call.replaces);
    if (replaced === undefined) return;
    // RFC 3891 §3: the new call is in its place.
    if (replaced.phase === 'confirmed') table.bye(replaced, 'SIP;cause=200;text="replaced"', now);
    else replaced.hangup = { reason: 'SIP;cause=200;text="replaced"' };
  }

  reject(call: Call, draft: ResponseDraft, now: number): void {
    const { server } = call;
    if (server === undefined) return;
    this.#respond(server.transaction, draft, now, call.localTag);
    if (call.phase === 'incoming') {
      this.#table.remove(call);
    } else {
      this.#table.setServer(call, undefined);
      this.#table.setTimer(call);
    }
  }

  /** RFC 3261 §13.3.1.4: a 2xx is sent again until its ACK comes; after 64*T1 the session is ended by BYE. */
  tick(call: Call, now: number): void {
    if (tickProvisional(this.#table, call, now)) {
      this.#respond(call.server!.transaction, { status: 504 }, now, call.localTag);
      this.#table.end(call, 'timeout', 'no PRACK');
      return;
    }
    const { unacked } = call;
    if (unacked === undefined) {
      this.#table.setTimer(call);
      return;
    }
    if (now >= unacked.giveUpAt) {
      this.#table.bye(call, call.hangup?.reason, now);
      if (this.#table.calls.has(call.id)) this.#table.end(call, 'timeout', 'no ACK');
    } else if (now >= unacked.resendAt) {
      this.#table.layer.respondAgain(unacked.transaction, unacked.bytes);
      unacked.interval = Math.min(unacked.interval * 2, SIP_T2_MS);
      unacked.resendAt = now + unacked.interval;
    }
  }
}

/** Same verified certificate subject; without one on either, the same address and transport security. */
function samePeer(a: Connected, b: Connected): boolean {
  if (isSecure(a.transport) !== isSecure(b.transport) || a.identity !== b.identity) return false;
  return a.identity !== undefined || a.remote.address === b.remote.address;
}
