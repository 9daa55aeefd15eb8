/** Requests from the peer and how our user answers them (RFC 3261 §8.2, §9.2, §12.2.2, §13.3, §14.2, §15.1.2). */
import { ownText } from '../base/bytes.js';
import { SIP_MAX_CALLS, SIP_T1_MS, SIP_T2_MS } from '../base/limits.js';
import { parseMediaType } from '../wire/sip-headers.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import type { SipHeader, SipRequest } from '../wire/sip-types.js';
import { userText } from '../wire/sip-uri.js';
import { ALLOW, type ResponseDraft, sdpBody } from './build.js';
import { bodyText, type Call, type CallTable, TIMEOUT_MS } from './call.js';
import type { Connected, ConnectionNumber } from './contract.js';
import { contactUri, dialogKey, dialogOfServer, saysTip } from './dialog.js';
import type { GateVerdict } from './request-gate.js';
import type { LayerOutput, TransactionKey } from './transaction-layer.js';

const DEFAULT_RETRY_AFTER_SECONDS = 2;

export class ServerHalf {
  readonly #table: CallTable;
  /** Initial INVITEs by From tag, Call-ID and CSeq: the same request by two ways is a loop (RFC 3261 §8.2.2.2). */
  readonly #merging = new Map<string, TransactionKey>();
  readonly #mergingOf = new Map<TransactionKey, string>();
  readonly #denied = new Map<ConnectionNumber, Set<string>>();
  #stopped: { readonly retryAfterSeconds: number } | undefined;

  constructor(table: CallTable) {
    this.#table = table;
  }

  stop(retryAfterSeconds: number): void {
    this.#stopped = { retryAfterSeconds };
    this.#table.layer.setRetryAfter(retryAfterSeconds);
  }

  onTerminated(transaction: TransactionKey): void {
    const key = this.#mergingOf.get(transaction);
    if (key === undefined) return;
    this.#mergingOf.delete(transaction);
    this.#merging.delete(key);
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
      this.#registered(connection, request, now) ??
      this.#refusal(connection, request);
    if (refused !== undefined) this.#respond(transaction, refused, now);
    else if (request.to.params.has('tag')) this.#inDialog(connection, transaction, request, now);
    else if (request.method === 'INVITE') this.#onInvite(connection, transaction, request, now);
    else if (request.method === 'OPTIONS') this.#respond(transaction, this.#capabilities(), now);
    else this.#respond(transaction, { status: 481 }, now); // BYE outside any dialog
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

  /** RFC 3261 §8.2.1 to §8.2.3, in that order. */
  #refusal(connection: ConnectionNumber, request: SipRequest): ResponseDraft | undefined {
    if (request.method !== 'INVITE' && request.method !== 'BYE' && request.method !== 'OPTIONS') {
      return { status: 405, headers: [{ name: 'allow', value: ALLOW }] };
    }
    if (request.uri === undefined) return { status: 416 };
    const secure = this.#table.layer.connection(connection)?.transport === 'tls';
    if (request.uri.scheme === 'sips' && !secure) return this.#badRequest(connection, 'sips: over an insecure hop');
    if (request.require.length > 0) {
      return { status: 420, headers: [{ name: 'unsupported', value: request.require.join(', ') }] };
    }
    const encoding = headerValue(request, 'content-encoding')?.toLowerCase() ?? 'identity';
    if (encoding !== 'identity') return { status: 415, headers: [{ name: 'accept-encoding', value: 'identity' }] };
    if (request.method !== 'INVITE') return undefined;
    if (request.body.length > 0 && request.contentType !== 'application/sdp') {
      return { status: 415, headers: [{ name: 'accept', value: 'application/sdp' }] };
    }
    if (!takesSdp(request)) return { status: 406 };
    if (request.body.length > 0 && bodyText(request) === undefined)
      return this.#badRequest(connection, 'SDP is not UTF-8');
    const contact = contactUri(request);
    if (contact === undefined) return this.#badRequest(connection, 'INVITE needs one sip: or sips: Contact');
    // RFC 3261 §8.1.1.8: a sips: Request-URI wants a sips: Contact.
    if (request.uri.scheme === 'sips' && !/^sips:/i.test(contact)) {
      return this.#badRequest(connection, 'Contact must be sips:');
    }
    return undefined;
  }

  #badRequest(connection: ConnectionNumber, text: string): ResponseDraft {
    const host = this.#table.options.host ?? this.#table.layer.connection(connection)?.local.address ?? 'invalid';
    const agent = host.includes(':') ? `[${host}]` : host;
    return { status: 400, headers: [{ name: 'warning', value: `399 ${agent} "${text}"` }] };
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
      { name: 'accept', value: 'application/sdp' },
      { name: 'accept-encoding', value: 'identity' },
    ];
    return { status: 200, headers };
  }

  #onInvite(connection: ConnectionNumber, transaction: TransactionKey, request: SipRequest, now: number): void {
    const table = this.#table;
    const merging = ownText(`${request.callId}\n${request.from.params.get('tag')}\n${request.cseq.number}`);
    if (this.#merging.has(merging)) {
      this.#respond(transaction, { status: 482 }, now);
      return;
    }
    this.#merging.set(merging, transaction);
    this.#mergingOf.set(transaction, merging);
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
    const call = table.add({
      id: table.newCall(),
      connection,
      localTag: table.options.random(),
      phase: 'incoming',
      outgoing: false,
      sips: request.uri!.scheme === 'sips' || request.recordRoute[0]?.uri?.scheme === 'sips',
    });
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
    });
  }

  #inDialog(connection: ConnectionNumber, transaction: TransactionKey, request: SipRequest, now: number): void {
    const call = this.#callOf(connection, request);
    const dialog = call?.dialog;
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
    if (request.method === 'OPTIONS') this.#respond(transaction, this.#capabilities(), now);
    else if (request.method === 'BYE') this.#onBye(call, transaction, request, now);
    else this.#onReinvite(call, transaction, request, now);
  }

  #onBye(call: Call, transaction: TransactionKey, request: SipRequest, now: number): void {
    this.#respond(transaction, { status: 200 }, now);
    // RFC 3261 §15.1.2: what still waits for an answer is answered.
    if (call.server !== undefined) this.#respond(call.server.transaction, { status: 487 }, now);
    this.#table.end(call, call.phase === 'leaving' ? 'local' : 'peer', headerValue(request, 'reason'));
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
      this.#table.layer.respond(transaction, { status: 100 }, now);
      this.#table.setTimer(call);
      this.#table.outputs.push({ type: 'offer-again', call: call.id, offer: bodyText(request) });
    }
  }

  #onAck(connection: ConnectionNumber, request: SipRequest, now: number): void {
    const table = this.#table;
    const call = this.#callOf(connection, request);
    const { unacked } = call ?? {};
    if (call === undefined || unacked === undefined || request.cseq.number !== unacked.sequence) return;
    call.unacked = undefined;
    table.layer.acknowledged(unacked.transaction);
    if (call.phase === 'accepted') call.phase = 'confirmed';
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
    if (call === undefined || call.connection === connection) return call;
    const mine = this.#table.layer.connection(call.connection);
    const other = this.#table.layer.connection(connection);
    return mine !== undefined && other !== undefined && samePeer(mine, other) ? call : undefined;
  }

  accept(call: Call, sdp: string, now: number): void {
    const table = this.#table;
    const { server } = call;
    if (server === undefined) return;
    const { request, transaction } = server;
    const { headers, body } = sdpBody(sdp);
    const own = table.ownHeaders(call.connection, call.sips, 'server');
    const bytes = this.#respond(transaction, { status: 200, headers: [...own, ...headers], body }, now, call.localTag);
    table.setServer(call, undefined);
    if (bytes === undefined) return;
    if (call.phase === 'incoming') {
      call.phase = 'accepted';
      table.setDialog(call, dialogOfServer(request, call.localTag));
    } else {
      call.dialog!.remoteTarget = contactUri(request)!; // §12.2.2: target refresh
      if (call.queued !== undefined) call.queued = { ...call.queued, stale: true };
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
    const { unacked } = call;
    if (unacked === undefined) return;
    if (now >= unacked.giveUpAt) {
      this.#table.bye(call, undefined, now);
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
  if ((a.transport === 'tls') !== (b.transport === 'tls') || a.identity !== b.identity) return false;
  return a.identity !== undefined || a.remote.address === b.remote.address;
}

/** RFC 3261 §20.1: without Accept a caller takes SDP; with it, what it lists. */
function takesSdp(request: SipRequest): boolean {
  if (headerValue(request, 'accept') === undefined) return true;
  const ranges = headerValues(request, 'accept').map(parseMediaType);
  return ['application/sdp', 'application/*', '*/*'].some((range) => ranges.includes(range));
}
