/**
 * Reliable provisional responses (RFC 3262) to our INVITE: each makes or finds its early dialog and gets its PRACK, once and in
 * order. We send none ourselves: the switch answers at once, and a caller that requires them is content with the answer.
 */
import { SIP_MAX_FORKS } from '../base/limits.js';
import { headerValue } from '../wire/sip-message.js';
import { parseDigits } from '../wire/sip-scan.js';
import type { SipResponse } from '../wire/sip-types.js';
import type { Call, CallTable, ClientUse } from './call.js';
import { type Dialog, dialogOfClient, dialogRequest } from './dialog.js';

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
    call.early.set(tag, early);
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
