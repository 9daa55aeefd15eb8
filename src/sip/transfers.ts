/**
 * Transfers by the peer, where its trunk may ask for them: REFER in a call (RFC 3515) with NOTIFY of how it went, and INVITE
 * with Replaces (RFC 3891).
 */
import { SIP_REFER_SUBSCRIPTION_S } from '../base/limits.js';
import { parseNameAddr } from '../wire/sip-headers.js';
import { headerValue, headerValues } from '../wire/sip-message.js';
import { isToken, parseHeaderParams } from '../wire/sip-scan.js';
import type { SipRequest } from '../wire/sip-types.js';
import { phraseOf, type ResponseDraft } from './build.js';
import type { Call, CallTable } from './call.js';
import { dialogKey, dialogRequest } from './dialog.js';

/** A REFER that is being carried out: the implicit subscription to its outcome (RFC 3515 §2.4.4). */
export interface Referral {
  /** CSeq number of the REFER, as `id` of its event. */
  readonly id: number;
  readonly expireAt: number;
}

/** What a REFER asks for; a string: why it is refused with 400. */
export function readReferTo(request: SipRequest): { readonly target: string } | string {
  const values = headerValues(request, 'refer-to');
  if (values.length !== 1) return 'REFER needs one Refer-To';
  const target = parseNameAddr(values[0]!);
  return target?.uri === undefined ? 'Refer-To must be a sip: or sips: URI' : { target: target.uriText };
}

/** The call that an INVITE is to take the place of; a status: why not (RFC 3891 §3). */
export function replacedCall(table: CallTable, request: SipRequest): Call | undefined | 400 | 481 | 486 {
  const values = request.headers.filter((h) => h.name === 'replaces');
  if (values.length === 0) return undefined;
  const value = values[0]!.value;
  const end = value.indexOf(';');
  const params = end < 0 ? undefined : parseHeaderParams(value, end);
  const toTag = params?.get('to-tag');
  const fromTag = params?.get('from-tag');
  if (values.length > 1 || toTag === undefined || fromTag === undefined || !isToken(toTag) || !isToken(fromTag))
    return 400;
  const call = table.byDialog.get(dialogKey(value.slice(0, end).trim(), toTag, fromTag));
  // §3: an early dialog that we did not begin cannot be replaced; those of our own calls are not given up for others.
  if (call === undefined || (call.phase !== 'confirmed' && call.phase !== 'accepted')) return 481;
  return params!.has('early-only') ? 486 : call;
}

export class Transfers {
  readonly #table: CallTable;

  constructor(table: CallTable) {
    this.#table = table;
  }

  /** A REFER in a call. @returns our answer; with 202 our user is told, and `refer-status` follows. */
  onRefer(call: Call, request: SipRequest, now: number): ResponseDraft {
    const asked = readReferTo(request);
    if (typeof asked === 'string')
      return { status: 400, headers: [{ name: 'warning', value: `399 claviger "${asked}"` }] };
    if (call.phase !== 'confirmed') return { status: 481 };
    if (call.referral !== undefined) return { status: 491 };
    call.referral = { id: request.cseq.number, expireAt: now + SIP_REFER_SUBSCRIPTION_S * 1_000 };
    this.#table.setTimer(call);
    const by = parseNameAddr(headerValue(request, 'referred-by') ?? '')?.uriText;
    this.#table.outputs.push({
      type: 'refer',
      call: call.id,
      connection: call.connection,
      target: asked.target,
      ...(by === undefined ? {} : { referredBy: by }),
    });
    return { status: 202, headers: this.#table.ownHeaders(call.connection, call.sips, 'server') };
  }

  /** How the transfer goes: provisional, or final and then the subscription ends (RFC 3515 §2.4.5). */
  notify(call: Call, status: number, now: number, phrase = phraseOf(status)): void {
    const { referral } = call;
    if (referral === undefined || call.phase !== 'confirmed') return;
    const seconds = Math.max(1, Math.ceil((referral.expireAt - now) / 1_000));
    if (status >= 200) call.referral = undefined;
    const state = status >= 200 ? 'terminated;reason=noresource' : `active;expires=${seconds}`;
    const headers = [
      { name: 'event', value: `refer;id=${referral.id}` },
      { name: 'subscription-state', value: state },
      ...this.#table.ownHeaders(call.connection, call.sips, 'user-agent'),
      { name: 'content-type', value: 'message/sipfrag;version=2.0' },
    ];
    const body = `SIP/2.0 ${status} ${phrase}\r\n`;
    this.#table.start(call, 'notify', dialogRequest(call.dialog!, 'NOTIFY', headers, body), now);
    this.#table.setTimer(call);
  }

  tick(call: Call, now: number): void {
    if (call.referral !== undefined && call.referral.expireAt <= now) this.notify(call, 408, now);
  }
}
