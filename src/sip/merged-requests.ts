/**
 * The same request by two ways is a loop or a fork that came together again: it is answered once (RFC 3261 §8.2.2.2). Two are
 * the same by From tag, Call-ID and CSeq, where neither is in a dialog.
 */
import { ownText } from '../base/bytes.js';
import type { SipRequest } from '../wire/sip-types.js';
import type { TransactionKey } from './transaction-keys.js';

export class MergedRequests {
  readonly #transactions = new Map<string, TransactionKey>();
  readonly #requests = new Map<TransactionKey, string>();

  /** Whether another transaction that goes on has the request already; where none has, this one does until {@link terminated}. */
  isMerged(transaction: TransactionKey, { to, from, callId, cseq }: SipRequest): boolean {
    if (to.params.has('tag')) return false;
    const request = ownText(`${callId}\n${from.params.get('tag')}\n${cseq.number} ${cseq.method}`);
    if (this.#transactions.has(request)) return true;
    this.#transactions.set(request, transaction);
    this.#requests.set(transaction, request);
    return false;
  }

  terminated(transaction: TransactionKey): void {
    const request = this.#requests.get(transaction);
    if (request === undefined) return;
    this.#requests.delete(transaction);
    this.#transactions.delete(request);
  }
}
