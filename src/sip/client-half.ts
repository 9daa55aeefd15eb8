/** Our requests and what the peer answers (RFC 3261 §8.1.3, §9.1, §13.2.2, §14.1, §15.1.1). */
import { SIP_MAX_FORKS, SIP_REFRESH_RETRY_MS, SIP_STOP_ACK_WAIT_MS } from '../base/limits.js';
import { parseRetryAfter } from '../wire/sip-headers.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import type { SipHeader, SipMessage, SipResponse } from '../wire/sip-types.js';
import { parseSipUri } from '../wire/sip-uri.js';
import { cancelDraft, MAX_FORWARDS, type RequestDraft, sdpBody } from './build.js';
import { bodyText, type Call, type CallTable, type ClientUse, reasonAndWarning, TIMEOUT_MS } from './call.js';
import { type CallNumber, isSecure, type SipCommand } from './contract.js';
import { contactUri, type Dialog, dialogOfClient, dialogRequest, saysTip } from './dialog.js';
import { answerChallenge } from './digest-client.js';
import { acknowledgeProvisional } from './reliable.js';
import { askedTimer, minSe, timerOfAnswer } from './session-timer.js';
import type { TransactionKey } from './transaction-layer.js';
import type { Upkeep } from './upkeep.js';

export class ClientHalf {
  readonly #table: CallTable;
  readonly #upkeep: Upkeep;

  constructor(table: CallTable, upkeep: Upkeep) {
    this.#table = table;
    this.#upkeep = upkeep;
  }

  invite(command: SipCommand & { readonly type: 'invite' }, now: number): void {
    const table = this.#table;
    const { call: id, connection, target, from, sdp } = command;
    if (table.calls.has(id)) throw new Error(`call ${id} exists already`);
    const info = table.layer.connection(connection);
    const uri = parseSipUri(target);
    if (info === undefined) {
      this.#fail(id, 503, 'no such connection');
      return;
    }
    if (uri === undefined || uri.headers !== undefined || parseSipUri(from) === undefined) {
      this.#fail(id, 400, 'target and from must be sip: or sips: URIs');
      return;
    }
    const sips = uri.scheme === 'sips';
    if (sips && !isSecure(info.transport)) {
      this.#fail(id, 403, 'sips: needs a TLS connection');
      return;
    }
    const localTag = table.options.random();
    const body = sdpBody(sdp);
    const headers: SipHeader[] = [
      { name: 'max-forwards', value: MAX_FORWARDS },
      { name: 'from', value: `<${from}>;tag=${localTag}` },
      { name: 'to', value: `<${target}>` },
      { name: 'call-id', value: table.options.random() },
      { name: 'cseq', value: '1 INVITE' },
      ...table.ownHeaders(connection, sips, 'user-agent', id),
      ...(table.options.sessionExpiresS === undefined ? [] : askedTimer(table.options.sessionExpiresS, undefined, 0)),
      ...(command.headers ?? []),
      ...body.headers,
    ];
    const call = table.add({ id, connection, localTag, phase: 'calling', outgoing: true, sips });
    if (!this.#start(call, 'invite', { method: 'INVITE', uri: target, headers, body: body.body }, sdp, now)) {
      table.remove(call);
      this.#fail(id, 503, 'too many transactions on this connection');
    }
  }

  #start(
    call: Call,
    purpose: 'invite' | 'again',
    draft: RequestDraft,
    sdp: string,
    now: number,
    refresh = false,
  ): boolean {
    const transaction = this.#table.start(call, purpose, draft, now);
    if (transaction === undefined) return false;
    call.client = { transaction, draft, sdp, refresh };
    return true;
  }

  #fail(call: CallNumber, status: number, reason: string, warning = '', retryAfterSeconds?: number): void {
    const later = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    this.#table.outputs.push({ type: 'failed', call, status, reason, warning, ...later });
  }

  reinvite(call: Call, sdp: string, now: number): void {
    if (call.phase !== 'confirmed' && call.phase !== 'accepted') return;
    call.queued = { sdp, at: Math.max(now, call.queued?.at ?? now) };
    this.#sendQueued(call, now);
  }

  #sendQueued(call: Call, now: number): void {
    const { queued } = call;
    if (queued !== undefined && queued.at <= now && this.#table.idle(call)) {
      call.queued = undefined;
      if (queued.stale === true) {
        this.#table.setTimer(call);
        this.#table.outputs.push({ type: 'offer-due', call: call.id });
        return;
      }
      if (!this.#start(call, 'again', this.#again(call, queued.sdp), queued.sdp, now)) {
        this.#refuseOffer(call, 503, 'too many transactions on this connection', '');
      }
    }
    this.#table.setTimer(call);
  }

  #again(call: Call, sdp: string): RequestDraft {
    const { headers, body } = sdpBody(sdp);
    const { session } = call;
    const timer = session === undefined ? [] : askedTimer(session.seconds, session.weRefresh, 0);
    const own = this.#table.ownHeaders(call.connection, call.sips, 'user-agent', call.id);
    return dialogRequest(call.dialog!, 'INVITE', [...own, ...timer, ...headers], body);
  }

  /** The same SDP again, for the session timer (RFC 4028 §7.4). @returns false: not now */
  refresh(call: Call, now: number): boolean {
    if (call.sdp === undefined || !this.#table.idle(call)) return false;
    return this.#start(call, 'again', this.#again(call, call.sdp), call.sdp, now, true);
  }

  #refuseOffer(call: Call, status: number, reason: string, warning: string): void {
    this.#table.outputs.push({ type: 'offer-refused', call: call.id, status, reason, warning });
  }

  /** Of a call that is not `incoming`: BYE, CANCEL, or either as soon as it is allowed. */
  hangup(call: Call, reason: string | undefined, now: number): void {
    if (call.hangup !== undefined || call.phase === 'leaving') return;
    call.hangup = { reason };
    if (call.phase === 'proceeding') this.#cancel(call, now);
    else if (call.phase === 'confirmed') {
      if (call.server !== undefined) {
        this.#table.layer.respond(call.server.transaction, { status: 487 }, now);
        this.#table.setServer(call, undefined);
      }
      this.#table.bye(call, reason, now);
    } else if (call.unacked !== undefined && this.#table.stopping) {
      // §15 wants the ACK first, but who stops cannot wait for it as long as it may take.
      call.unacked.giveUpAt = Math.min(call.unacked.giveUpAt, now + SIP_STOP_ACK_WAIT_MS);
      this.#table.setTimer(call);
    }
    // `calling`: no CANCEL before a provisional response (§9.1). `accepted`: no BYE before the ACK (§15).
  }

  #cancel(call: Call, now: number): void {
    call.phase = 'cancelling';
    call.cancelGiveUpAt = now + TIMEOUT_MS;
    this.#table.start(call, 'cancel', cancelDraft(call.client!.draft, call.hangup?.reason), now);
    this.#table.setTimer(call);
  }

  onResponse(transaction: TransactionKey, response: SipResponse, now: number): void {
    const use = this.#table.uses.get(transaction);
    if (use === undefined) return;
    const call = this.#table.calls.get(use.call);
    const { status } = response;
    if ((status === 401 || status === 407) && this.#answerChallenge(transaction, use, call, response, now)) return;
    if (status === 422 && this.#askForLonger(transaction, use, call, response, now)) return;
    if (use.purpose === 'update' || use.purpose === 'probe' || use.purpose === 'notify') {
      if (call !== undefined && status >= 200) this.#upkeep.onResponse(use, call, response, now);
    } else if (use.purpose === 'bye') {
      if (call !== undefined && status >= 200) this.#table.end(call, 'local');
    } else if (use.purpose === 'invite') {
      if (status < 200) this.#onProvisional(use, call, response, now);
      else if (status < 300) this.#onAnswer(use, call, response, now);
      else if (call !== undefined) this.#onRefused(call, response);
    } else if (use.purpose === 'again' && status >= 200) {
      if (status < 300) this.#onAnswerAgain(use, call, response, now);
      else if (call !== undefined) this.#onRefusedAgain(call, response, now);
    }
  }

  /** RFC 3261 §22.2: the same request again with the next CSeq number. @returns false: the refusal stands. */
  #answerChallenge(
    transaction: TransactionKey,
    use: ClientUse,
    call: Call | undefined,
    response: SipResponse,
    now: number,
  ): boolean {
    const { credentials, random } = this.#table.options;
    if (credentials === undefined || call === undefined || use.purpose === 'cancel') return false;
    if (call.hangup !== undefined && use.purpose !== 'bye') return false;
    const sequence = (call.dialog?.localSequence ?? response.cseq.number) + 1;
    const again = { attempt: use.attempt, sequence, cnonce: random() };
    const draft = answerChallenge(use.draft, response, credentials, again);
    if (draft === undefined) return false;
    const key = this.#table.start(call, use.purpose, draft, now, use.attempt + 1);
    if (key === undefined) return false;
    if (call.dialog !== undefined) call.dialog.localSequence = sequence;
    if (call.client?.transaction === transaction) call.client = { ...call.client, transaction: key, draft };
    if (call.phase === 'proceeding') call.phase = 'calling'; // no CANCEL before a provisional response to this one
    return true;
  }

  #onProvisional(use: ClientUse, call: Call | undefined, response: SipResponse, now: number): void {
    const { status } = response;
    if (call === undefined || call.dialog !== undefined) return;
    const sdp = sdpOf(response);
    if (acknowledgeProvisional(this.#table, use, call, response, sdp === '' ? undefined : sdp, now) === 'ignored')
      return;
    if (call.phase === 'calling') call.phase = 'proceeding';
    if (call.phase === 'proceeding' && call.hangup !== undefined) this.#cancel(call, now);
    else if (call.phase === 'proceeding' && status > 100) {
      const answer = sdp === '' || !response.require.includes('100rel') ? {} : { sdp };
      this.#table.outputs.push({ type: 'progress', call: call.id, status, ...answer });
    }
  }

  #onAnswer(use: ClientUse, call: Call | undefined, response: SipResponse, now: number): void {
    const table = this.#table;
    if (this.#ackAgain(use, response)) return;
    const dialog = dialogOfClient(use.draft, use.localTag, response);
    if (dialog === undefined) {
      if (call === undefined || call.dialog !== undefined) return;
      table.remove(call);
      this.#fail(call.id, 500, '2xx without To tag or Contact');
      return;
    }
    if (use.acks.size > SIP_MAX_FORKS) return;
    const early = call?.early.get(dialog.remoteTag);
    if (early !== undefined) {
      dialog.localSequence = early.dialog.localSequence; // PRACK has used numbers of it
      dialog.remoteSequence = early.dialog.remoteSequence;
    }
    this.#ack(use, dialog, response);
    if (call === undefined || call.dialog !== undefined) {
      // RFC 3261 §13.2.2.4: an answer of another fork, or one that came after we gave up, is confirmed and ended.
      const draft = dialogRequest(dialog, 'BYE', []);
      table.layer.request(use.connection, draft, now);
      return;
    }
    table.clearEarly(call);
    table.setDialog(call, dialog);
    call.sdp = call.client?.sdp;
    call.client = undefined;
    this.#answered(call, response, now);
    call.cancelGiveUpAt = undefined;
    call.phase = 'confirmed';
    if (call.hangup !== undefined) {
      table.bye(call, call.hangup.reason, now);
      return;
    }
    this.#upkeep.begin(call, now);
    // RFC 3262 §5: an answer that came early need not come again.
    const sdp = sdpOf(response);
    table.outputs.push({
      type: 'answered',
      call: call.id,
      sdp: sdp === '' ? (early?.sdp ?? '') : sdp,
      tip: saysTip(response),
    });
  }

  #ack(use: ClientUse, dialog: Dialog, response: SipResponse): void {
    const draft = dialogRequest(dialog, 'ACK', [], undefined, response.cseq.number);
    const sent = this.#table.layer.sendAck(use.connection, draft);
    if (sent !== undefined) use.acks.set(dialog.remoteTag, sent);
  }

  /** A 2xx that came again gets the same ACK again. */
  #ackAgain(use: ClientUse, response: SipResponse): boolean {
    const sent = use.acks.get(response.to.params.get('tag') ?? '');
    if (sent === undefined) return false;
    this.#table.layer.sendAgain(sent);
    return true;
  }

  /** What every 2xx to our INVITE says of the session. */
  #answered(call: Call, response: SipResponse, now: number): void {
    call.allowsUpdate = allowsUpdate(response, call.allowsUpdate);
    call.session = timerOfAnswer(response, now);
  }

  /** RFC 4028 §7.4: 422 names the shortest session that the peer takes; the same request again with that. */
  #askForLonger(
    transaction: TransactionKey,
    use: ClientUse,
    call: Call | undefined,
    response: SipResponse,
    now: number,
  ): boolean {
    const seconds = minSe(response);
    const asked = use.draft.headers.some((h) => h.name === 'session-expires');
    if (call === undefined || call.hangup !== undefined || seconds === 0 || use.attempt > 0 || !asked) return false;
    const sequence = (call.dialog?.localSequence ?? response.cseq.number) + 1;
    const kept = use.draft.headers.filter((h) => !['session-expires', 'min-se', 'cseq'].includes(h.name));
    const weRefresh = call.session?.weRefresh;
    const timer = askedTimer(call.session?.seconds ?? 0, weRefresh, seconds);
    const cseq = { name: 'cseq', value: `${sequence} ${use.draft.method}` };
    const draft = { ...use.draft, headers: [cseq, ...kept, ...timer] };
    const key = this.#table.start(call, use.purpose, draft, now, use.attempt + 1);
    if (key === undefined) return false;
    if (call.dialog !== undefined) call.dialog.localSequence = sequence;
    if (call.client?.transaction === transaction) call.client = { ...call.client, transaction: key, draft };
    if (call.phase === 'proceeding') call.phase = 'calling';
    return true;
  }

  #onRefused(call: Call, response: SipResponse): void {
    if (call.dialog !== undefined) return;
    this.#table.remove(call);
    if (call.hangup !== undefined) {
      this.#table.outputs.push({ type: 'ended', call: call.id, by: 'local' });
      return;
    }
    const { reason, warning } = reasonAndWarning(response, response.phrase);
    this.#fail(call.id, response.status, reason, warning, parseRetryAfter(headerValue(response, 'retry-after') ?? ''));
  }

  #onAnswerAgain(use: ClientUse, call: Call | undefined, response: SipResponse, now: number): void {
    if (this.#ackAgain(use, response)) return;
    const target = contactUri(response);
    if (target !== undefined) use.dialog!.remoteTarget = target; // §12.2.1.2: target refresh
    this.#ack(use, use.dialog!, response);
    if (call === undefined) return;
    const { sdp, refresh = false } = call.client ?? {};
    call.client = undefined;
    if (call.phase !== 'confirmed') return;
    call.sdp = sdp;
    this.#answered(call, response, now);
    if (!refresh) {
      const answered = { type: 'answered', call: call.id, sdp: sdpOf(response), tip: saysTip(response) } as const;
      this.#table.outputs.push(answered);
    }
    this.#sendQueued(call, now);
  }

  #onRefusedAgain(call: Call, response: SipResponse, now: number): void {
    const { status } = response;
    const { sdp, refresh = false } = call.client ?? {};
    call.client = undefined;
    if (call.phase !== 'confirmed') return;
    const { reason, warning } = reasonAndWarning(response, response.phrase);
    if (status === 481 || status === 408) {
      this.#table.endBroken(call, 'peer', `re-INVITE was answered ${status}`, now);
    } else if (refresh) {
      // Whoever won the glare has refreshed the session, or the next try does.
      if (call.session !== undefined) call.session.refreshAt = now + SIP_REFRESH_RETRY_MS;
      this.#sendQueued(call, now);
    } else if (status === 491 && sdp !== undefined) {
      const at = now + glareDelayMs(call.outgoing, this.#table.options.random());
      call.queued = { sdp: call.queued?.sdp ?? sdp, at };
      this.#table.setTimer(call);
    } else {
      this.#refuseOffer(call, status, reason, warning);
      this.#sendQueued(call, now);
    }
  }

  onTimeout(transaction: TransactionKey, now: number): void {
    const use = this.#table.uses.get(transaction);
    const call = use === undefined ? undefined : this.#table.calls.get(use.call);
    if (use === undefined || call === undefined) return;
    if (use.purpose === 'update' || use.purpose === 'probe' || use.purpose === 'notify') {
      if (call.phase === 'confirmed') this.#upkeep.onTimeout(use, call, now);
    } else if (use.purpose === 'bye') this.#table.end(call, 'local', 'no answer to BYE');
    else if (use.purpose === 'again' && call.phase === 'confirmed') {
      call.client = undefined;
      this.#table.endBroken(call, 'timeout', 're-INVITE was not answered', now);
    } else if (use.purpose === 'invite') {
      this.#table.remove(call);
      if (call.hangup === undefined) this.#fail(call.id, 408, 'no answer to INVITE');
      else this.#table.outputs.push({ type: 'ended', call: call.id, by: 'local' });
    }
  }

  tick(call: Call, now: number): void {
    if (call.cancelGiveUpAt !== undefined && now >= call.cancelGiveUpAt) {
      this.#table.layer.destroy(call.client!.transaction);
      this.#table.end(call, 'local', 'no answer to CANCEL');
    } else {
      this.#sendQueued(call, now);
    }
  }
}

/** Without Allow it is as it was before. */
export function allowsUpdate(message: SipMessage, before: boolean): boolean {
  const methods = headerValues(message, 'allow');
  return methods.length === 0 ? before : methods.some((method) => method.trim().toUpperCase() === 'UPDATE');
}

function sdpOf(response: SipResponse): string {
  return response.contentType === 'application/sdp' ? (bodyText(response) ?? '') : '';
}

/** RFC 3261 §14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in steps of 10 ms. */
function glareDelayMs(owner: boolean, token: string): number {
  let hash = 0;
  for (let i = 0; i < token.length; i++) hash = (Math.imul(hash, 31) + token.charCodeAt(i)) >>> 0;
  return owner ? 2_100 + 10 * (hash % 191) : 10 * (hash % 201);
}
