/** OPTIONS as client (RFC 3261 §11.1): is the peer there, and does it take calls? */
import { parseSipUri } from '../wire/sip-uri.js';
import { MAX_FORWARDS } from './build.js';
import type { CallTable } from './call.js';
import { type ConnectionNumber, isSecure, type SipCommand } from './contract.js';
import type { TransactionKey } from './transaction-layer.js';

interface Probe {
  readonly number: number;
  readonly connection: ConnectionNumber;
}

export class OptionsProbes {
  readonly #table: CallTable;
  /** Bounded by the transactions of each connection. */
  readonly #probes = new Map<TransactionKey, Probe>();

  constructor(table: CallTable) {
    this.#table = table;
  }

  send(command: SipCommand & { readonly type: 'options' }, now: number): void {
    const { probe: number, connection, target, from } = command;
    const { layer, options } = this.#table;
    const uri = parseSipUri(target);
    const sips = uri?.scheme === 'sips';
    if (uri === undefined || parseSipUri(from) === undefined) return this.#answer(number, 400);
    if (layer.connection(connection) === undefined) return this.#answer(number, 503);
    if (sips && !isSecure(layer.connection(connection)?.transport)) return this.#answer(number, 403);
    const headers = [
      { name: 'max-forwards', value: MAX_FORWARDS },
      { name: 'from', value: `<${from}>;tag=${options.random()}` },
      { name: 'to', value: `<${target}>` },
      { name: 'call-id', value: options.random() },
      { name: 'cseq', value: '1 OPTIONS' },
      { name: 'accept', value: 'application/sdp' },
      ...this.#table.ownHeaders(connection, sips, 'user-agent'),
    ];
    const transaction = layer.request(connection, { method: 'OPTIONS', uri: target, headers }, now);
    if (transaction === undefined) this.#answer(number, 503);
    else this.#probes.set(transaction, { number, connection });
  }

  /** @returns whether the response was to one of ours. */
  onResponse(transaction: TransactionKey, status: number): boolean {
    const probe = this.#probes.get(transaction);
    if (probe === undefined) return false;
    if (status >= 200) {
      this.#probes.delete(transaction);
      this.#answer(probe.number, status);
    }
    return true;
  }

  onTimeout(transaction: TransactionKey): void {
    const probe = this.#probes.get(transaction);
    if (probe === undefined) return;
    this.#probes.delete(transaction);
    this.#answer(probe.number, 408);
  }

  onLost(connection: ConnectionNumber): void {
    for (const [transaction, probe] of this.#probes) {
      if (probe.connection !== connection) continue;
      this.#probes.delete(transaction);
      this.#answer(probe.number, 503);
    }
  }

  #answer(probe: number, status: number): void {
    this.#table.outputs.push({ type: 'options-answered', probe, status });
  }
}
