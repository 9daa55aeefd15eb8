/**
 * Reliable provisional responses (RFC 3262). To our INVITE: each makes or finds its early dialog and gets its PRACK, once and in
 * order. To a peer's: sent again until its PRACK comes, where the peer takes them; ours bring no SDP, so an answer need not wait.
 */
import { SIP_MAX_FORKS, SIP_T1_MS } from '../base/limits.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import { parseDigits } from '../wire/sip-scan.js';
import type { SipHeader, SipRequest, SipResponse } from '../wire/sip-types.js';
import type { ResponseDraft } from './build.js';
import { type Call, type CallTable, type ClientUse, TIMEOUT_MS } from './call.js';
import { contactUri, type Dialog, dialogOfClient, dialogOfServer, dialogRequest } from './dialog.js';
import type { TransactionKey } from './transaction-keys.js';

/** What one fork has said before its final answer. */
export interface EarlyDialog {
  readonly dialog: Dialog;
  /** RSeq of the last response that was acknowledged. */
  sequence: number;
  /** The answer to our offer, where it came early. */
  sdp: string | undefined;
}

/**
 * @returns what the response is to our user: `ignored` where it came again, or not in its turn (§4); the SDP that it brings
 */
export function acknowledgeProvisional(
  table: CallTable,
  use: ClientUse,
  call: Call,
  response: SipResponse,
  sdp: string | undefined,
  now: number,
): 'taken' | 'ignored' {
  if (response.status === 100 || !response.require.includes('100rel')) return 'taken';
  const sequence = parseDigits(headerValue(response, 'rseq') ?? '', 10);
  const tag = response.to.params.get('tag');
  if (sequence === undefined || tag === undefined) return 'ignored';
  let early = call.early.get(tag);
  if (early === undefined) {
    const dialog = dialogOfClient(use.draft, use.localTag, response);
    if (dialog === undefined || call.early.size > SIP_MAX_FORKS) return 'ignored';
    early = { dialog, sequence: sequence - 1, sdp: undefined };
    table.setEarly(call, tag, early);
  }
  if (sequence !== early.sequence + 1) return 'ignored';
  const rack = { name: 'rack', value: `${sequence} ${response.cseq.number} INVITE` };
  if (table.layer.request(call.connection, dialogRequest(early.dialog, 'PRACK', [rack]), now) === undefined) {
    return 'ignored'; // it comes again
  }
  early.sequence = sequence;
  early.sdp ??= sdp;
  return 'taken';
}

/**
 * What the peer asks in an early dialog of our INVITE. @returns the answer: UPDATE without an offer moves its target (RFC 3311
 * §5.2); our own offer has no answer that could be changed before the call is confirmed.
 */
export function inEarlyDialog(table: CallTable, call: Call, dialog: Dialog, request: SipRequest): ResponseDraft {
  if (request.method !== 'UPDATE') return { status: 481 };
  if (request.body.length > 0) return { status: call.early.get(dialog.remoteTag)?.sdp === undefined ? 491 : 488 };
  dialog.remoteTarget = contactUri(request)!;
  return { status: 200, headers: table.ownHeaders(call.connection, call.sips, 'server') };
}

/** Our reliable provisional response to the peer's INVITE. */
export interface Provisional {
  readonly transaction: TransactionKey;
  readonly bytes: Uint8Array;
  /** Its RSeq, and the CSeq number of the INVITE. */
  readonly sequence: number;
  readonly invite: number;
  readonly giveUpAt: number;
  acknowledged: boolean;
  resendAt: number;
  interval: number;
}

/** §3: the first RSeq is chosen by chance, 1 to 2^31-1. */
function firstSequence(token: string): number {
  let hash = 0;
  for (let i = 0; i < token.length; i++) hash = (Math.imul(hash, 31) + token.charCodeAt(i)) >>> 0;
  return 1 + (hash % 0x7fff_ffff);
}

/** 101 to 199 to an INVITE that waits for our user, once a call: there is an early dialog from now on. */
export function sendProvisional(table: CallTable, call: Call, status: number, now: number): void {
  if (call.phase !== 'incoming' || call.server === undefined || call.dialog !== undefined) return;
  const { request, transaction } = call.server;
  const takes = [...request.require, ...headerValues(request, 'supported')];
  const reliable = takes.some((tag) => tag.trim().toLowerCase() === '100rel');
  const sequence = firstSequence(table.options.random());
  const more: SipHeader[] = [
    { name: 'require', value: '100rel' },
    { name: 'rseq', value: String(sequence) },
  ];
  const headers = [...table.ownHeaders(call.connection, call.sips, 'server'), ...(reliable ? more : [])];
  const bytes = table.layer.respond(transaction, { status, headers, toTag: call.localTag }, now);
  if (bytes === undefined) return;
  table.setDialog(call, dialogOfServer(request, call.localTag));
  if (reliable) {
    call.provisional = {
      ...{ transaction, bytes, sequence, invite: request.cseq.number },
      ...{ acknowledged: false, giveUpAt: now + TIMEOUT_MS, resendAt: now + SIP_T1_MS, interval: SIP_T1_MS },
    };
  }
  table.setTimer(call);
}

/** @returns the answer to a PRACK (§3, §7.2). */
export function onPrack({ provisional }: Call, request: SipRequest): ResponseDraft {
  const words = (headerValue(request, 'rack') ?? '').trim().split(/[ \t]+/);
  const [sequence, invite] = words.map((word) => parseDigits(word, 10));
  if (words.length !== 3 || sequence === undefined || invite === undefined) return { status: 400 };
  if (provisional === undefined || provisional.acknowledged) return { status: 481 };
  if (sequence !== provisional.sequence || invite !== provisional.invite || words[2] !== 'INVITE')
    return { status: 481 };
  // §5: the offer that it may bring comes before the INVITE's own was answered.
  if (request.body.length > 0) return { status: 488 };
  provisional.acknowledged = true;
  return { status: 200 };
}

/** Sends it again where it is due (§3: the interval doubles without end). @returns whether it is given up */
export function tickProvisional(table: CallTable, { phase, provisional }: Call, now: number): boolean {
  if (provisional === undefined || provisional.acknowledged || phase !== 'incoming') return false;
  if (now >= provisional.giveUpAt) return true;
  if (now >= provisional.resendAt) {
    table.layer.respondAgain(provisional.transaction, provisional.bytes);
    provisional.interval *= 2;
    provisional.resendAt = now + provisional.interval;
  }
  return false;
}
