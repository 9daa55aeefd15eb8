/** How a message is matched to its transaction (RFC 3261 §17.1.3, §17.2.3) and whose the transaction is. */
import { ownText } from '../base/bytes.js';
import { SIP_MAX_IDENTIFIER_CHARS } from '../base/limits.js';
import { writeHostPort } from '../wire/sip-address.js';
import { BRANCH_COOKIE, headerValue } from '../wire/sip-message.js';
import type { SipRequest, SipResponse } from '../wire/sip-types.js';
import type { RequestDraft } from './build.js';
import type { Connected } from './contract.js';

export type TransactionKey = string;

/**
 * Who can reach a transaction: the peer on this connection, nobody else. Over UDP, where the port that a peer sends from need
 * not be the one that it listens on, the peer is its address.
 */
export function scopeOf({ connection, transport, remote, local }: Connected): string {
  return transport === 'udp' ? `${local.port} ${remote.address}` : String(connection);
}

export function clientKey(scope: string, branch: string, method: string): TransactionKey {
  return `c ${scope} ${branch} ${method}`;
}

/**
 * @param method of the request, or INVITE for the transaction that an ACK or CANCEL is about.
 * Peers of RFC 2543 have no branch with the magic cookie; what else is the same in an INVITE, its ACK and its CANCEL stands in
 * for it (§17.2.3, the second half).
 */
export function serverKey(scope: string, request: SipRequest, method: string): TransactionKey {
  const via = request.via[0]!;
  const sentBy = writeHostPort(via.host, via.port);
  const branch = via.params.get('branch') ?? '';
  if (branch.startsWith(BRANCH_COOKIE)) return ownText(`s ${scope} ${branch} ${sentBy} ${method}`);
  const { uriText, callId, cseq, from } = request;
  const tag = from.params.get('tag') ?? '';
  return ownText(`o ${scope} ${branch} ${sentBy} ${uriText} ${tag} ${callId} ${cseq.number} ${method}`);
}

/** Beyond RFC 3261 §17.1.3: what identifies the call must come back as it was sent. */
export function answers(response: SipResponse, draft: RequestDraft): boolean {
  return (
    response.callId === headerValue(draft, 'call-id') &&
    `${response.cseq.number} ${response.cseq.method}` === headerValue(draft, 'cseq') &&
    headerValue(draft, 'from')!.endsWith(`;tag=${response.from.params.get('tag')}`)
  );
}

/** What a transaction is found by is kept as long as it lives: it may not be of any length. */
export function hasLongIdentifier({ via, callId, from, to, uriText }: SipRequest): boolean {
  const branch = via[0]?.params.get('branch') ?? '';
  const rest = [callId, from.params.get('tag'), to.params.get('tag'), branch.startsWith(BRANCH_COOKIE) ? '' : uriText];
  return [branch, ...rest].some((text) => (text ?? '').length > SIP_MAX_IDENTIFIER_CHARS);
}
