/**
 * All transactions of all connections: matches messages to them (RFC 3261 §17.1.3, §17.2.3) and runs their timers. A
 * transaction belongs to the connection it began on; nobody on another connection can reach it.
 */
import type { Engine, Tick } from '../base/engine.js';
import {
  SIP_MAX_CONNECTIONS,
  SIP_MAX_DATAGRAM_REQUEST_BYTES,
  SIP_MAX_TRANSACTIONS_PER_CONNECTION,
} from '../base/limits.js';
import { writeHostPort } from '../wire/sip-address.js';
import { parseNameAddr, parseVia } from '../wire/sip-headers.js';
import { BRANCH_COOKIE, headerValue } from '../wire/sip-message.js';
import { quote, splitList } from '../wire/sip-scan.js';
import type { SipMessage, SipRequest, SipResponse } from '../wire/sip-types.js';
import { type RequestDraft, type ResponseDraft, writeAckToFailure, writeRequest, writeResponse } from './build.js';
import { type ClientTransaction, InviteClientTransaction, NonInviteClientTransaction } from './client-transaction.js';
import type { Connected, ConnectionNumber, Send, UserAgentInput } from './contract.js';
import { overTcp, requestPort, responsePort, sendOf } from './destination.js';
import { InviteServerTransaction, NonInviteServerTransaction, type ServerTransaction } from './server-transaction.js';
import { TimerQueue } from './timer-queue.js';
import { answers, clientKey, hasLongIdentifier, scopeOf, serverKey, type TransactionKey } from './transaction-keys.js';

export type { TransactionKey };

export type LayerInput = Exclude<
  UserAgentInput,
  { readonly type: 'invite' | 'accept' | 'reject' | 'reinvite' | 'hangup' | 'stop' }
>;

export type LayerOutput =
  | Send
  | { readonly type: 'close'; readonly connection: ConnectionNumber; readonly why: string }
  /**
   * A new request to be answered by `respond`; for an ACK to a 2xx there is nothing to answer. `invite`, with CANCEL: the
   * INVITE it names, where there is one.
   */
  | {
      readonly type: 'request';
      readonly connection: ConnectionNumber;
      readonly transaction: TransactionKey;
      readonly request: SipRequest;
      readonly invite?: TransactionKey;
    }
  | { readonly type: 'response'; readonly transaction: TransactionKey; readonly response: SipResponse }
  /** No final response came (timer B or F). */
  | { readonly type: 'timeout'; readonly transaction: TransactionKey }
  /** Whatever was kept for this transaction can go. */
  | { readonly type: 'terminated'; readonly transaction: TransactionKey }
  | { readonly type: 'lost'; readonly connection: ConnectionNumber };

interface Connection {
  readonly info: Connected;
  readonly scope: string;
  /** RFC 3261 §17: over UDP, which may lose a message, the timers A, D, E, G, I, J and K run. */
  readonly reliable: boolean;
  readonly transactions: Set<TransactionKey>;
}

type Entry = { readonly connection: Connection; readonly port: number | undefined } & (
  | {
      readonly side: 'client';
      readonly machine: ClientTransaction;
      readonly draft: RequestDraft;
      readonly branch: string;
      /** Too large for UDP: it goes by TCP where that can be had, and its ACK and CANCEL with it. */
      readonly large: boolean;
    }
  /** `request` until its final response: what a peer wrote is not kept for those that are answered. */
  | {
      readonly side: 'server';
      readonly machine: ServerTransaction;
      request: SipRequest | undefined;
      /** Of the last response. */
      toTag: string | undefined;
    }
);

export interface LayerOptions {
  readonly random: () => string;
  readonly host?: string;
}

export class TransactionLayer implements Engine<LayerInput | Tick, LayerOutput> {
  readonly #options: LayerOptions;
  readonly #connections = new Map<ConnectionNumber, Connection>();
  readonly #entries = new Map<TransactionKey, Entry>();
  readonly #timers = new TimerQueue<TransactionKey>();
  /** Branches of our own requests that are under way. */
  readonly #branches = new Set<string>();
  #outputs: LayerOutput[] = [];
  #retryAfterSeconds = 2;

  constructor(options: LayerOptions) {
    this.#options = options;
  }

  /** Live transactions, for bounds in tests and metrics. */
  get size(): number {
    return this.#entries.size;
  }

  connection(number: ConnectionNumber): Connected | undefined {
    return this.#connections.get(number)?.info;
  }

  receive(input: LayerInput, now: number): void {
    switch (input.type) {
      case 'connected':
        if (this.#connections.has(input.connection)) return;
        if (this.#connections.size >= SIP_MAX_CONNECTIONS) {
          this.#outputs.push({ type: 'close', connection: input.connection, why: 'connection limit' });
        } else {
          const reliable = input.transport !== 'udp';
          const beside = input.beside === undefined ? undefined : this.#connections.get(input.beside);
          this.#connections.set(input.connection, {
            info: input,
            scope: beside?.scope ?? scopeOf(input),
            reliable,
            transactions: new Set(),
          });
        }
        return;
      case 'disconnected':
        this.#disconnect(input.connection);
        return;
      case 'message':
        this.#message(input.connection, input.message, now);
        return;
      case 'refused':
        this.#refused(input);
        return;
      case 'tick':
        for (let key = this.#timers.takeDue(now); key !== undefined; key = this.#timers.takeDue(now)) {
          const entry = this.#entries.get(key);
          entry?.machine.receive({ type: 'tick' }, now);
          this.#drain(key);
        }
    }
  }

  poll(): LayerOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    return this.#timers.next();
  }

  /**
   * Starts a client transaction. CANCEL takes the branch of its INVITE by `branchOf`.
   * @returns its key; undefined when the connection is gone or at its limit. Twice the limit holds for requests that end or
   * confirm something, so that a full table can still be emptied.
   */
  request(
    connectionNumber: ConnectionNumber,
    draft: RequestDraft,
    now: number,
    branchOf?: TransactionKey,
  ): TransactionKey | undefined {
    const connection = this.#connections.get(connectionNumber);
    if (connection === undefined) return undefined;
    const limit = SIP_MAX_TRANSACTIONS_PER_CONNECTION * (draft.method === 'INVITE' ? 1 : 2);
    if (connection.transactions.size >= limit) return undefined;
    const parent = branchOf === undefined ? undefined : this.#entries.get(branchOf);
    const branch = parent?.side === 'client' ? parent.branch : BRANCH_COOKIE + this.#options.random();
    const via = this.#via(connection, branch);
    const bytes = writeRequest(draft, via);
    const machine =
      draft.method === 'INVITE'
        ? new InviteClientTransaction(bytes, connection.reliable, (response) => writeAckToFailure(draft, via, response))
        : new NonInviteClientTransaction(bytes, connection.reliable);
    const key = clientKey(connection.scope, branch, draft.method);
    const port = parent?.port ?? requestPort(connection.info, draft);
    const large = parent?.side === 'client' ? parent.large : isLarge(connection, bytes);
    this.#add(key, { connection, port, side: 'client', machine, draft, branch, large });
    machine.receive({ type: 'start' }, now);
    this.#drain(key);
    return key;
  }

  /** Sends a request that has no transaction: the ACK to a 2xx (RFC 3261 §13.2.2.4). @returns what was sent, to be sent again. */
  sendAck(connectionNumber: ConnectionNumber, draft: RequestDraft): Send | undefined {
    const connection = this.#connections.get(connectionNumber);
    if (connection === undefined) return undefined;
    const bytes = writeRequest(draft, this.#via(connection, BRANCH_COOKIE + this.#options.random()));
    const stream = isLarge(connection, bytes) ? overTcp(bytes) : undefined;
    const sent = sendOf(connectionNumber, bytes, requestPort(connection.info, draft), stream);
    this.#outputs.push(sent);
    return sent;
  }

  sendAgain(sent: Send): void {
    if (this.#connections.has(sent.connection)) this.#outputs.push(sent);
  }

  /** Sends a 2xx to INVITE again, which is its user's to do (RFC 3261 §13.3.1.4). */
  respondAgain(key: TransactionKey, bytes: Uint8Array): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#outputs.push(sendOf(entry.connection.info.connection, bytes, entry.port));
  }

  /** Answers a request. @returns the bytes, for a 2xx to INVITE that its user sends again; undefined when it is over. */
  respond(key: TransactionKey, draft: ResponseDraft, now: number): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry?.side !== 'server' || entry.request === undefined) return undefined;
    const toTag = draft.toTag !== undefined && !entry.request.to.params.has('tag') ? draft.toTag : undefined;
    const { toTag: _, ...rest } = draft;
    const bytes = writeResponse(
      entry.request,
      toTag === undefined ? rest : { ...rest, toTag },
      entry.connection.info.remote,
    );
    entry.toTag = toTag ?? entry.toTag;
    if (entry.connection.reliable && draft.status >= 200) entry.request = undefined;
    entry.machine.receive({ type: 'respond', status: draft.status, bytes }, now);
    this.#drain(key);
    return bytes;
  }

  /** Which To tag our responses of this transaction have. */
  toTagOf(key: TransactionKey): string | undefined {
    const entry = this.#entries.get(key);
    return entry?.side === 'server' ? entry.toTag : undefined;
  }

  /** Nobody waits for the answer to this request of ours any more. */
  abandon(key: TransactionKey, now: number): void {
    const entry = this.#entries.get(key);
    if (entry?.side !== 'client') return;
    entry.machine.receive({ type: 'abandon' }, now);
    this.#drain(key);
  }

  /** Ends an INVITE whose CANCEL brought no final response (RFC 3261 §9.1). */
  destroy(key: TransactionKey): void {
    this.#remove(key);
  }

  /** The ACK to our 2xx arrived: nothing can come again on a reliable transport, so timer L is not waited for. */
  acknowledged(key: TransactionKey): void {
    if (this.#entries.get(key)?.connection.reliable === true) this.#remove(key);
  }

  /** Seconds of the Retry-After that a connection at its limit is told. */
  setRetryAfter(seconds: number): void {
    this.#retryAfterSeconds = seconds;
  }

  #message(number: ConnectionNumber, message: SipMessage, now: number): void {
    const connection = this.#connections.get(number);
    if (connection === undefined) return;
    const { scope, reliable } = connection;
    if (message.kind === 'response') {
      // RFC 3261 §8.1.3.3: a second Via was not ours to add.
      if (message.via.length !== 1) return;
      const key = clientKey(scope, message.via[0]!.params.get('branch') ?? '', message.cseq.method);
      const entry = this.#entries.get(key);
      if (entry?.side !== 'client' || !answers(message, entry.draft)) return;
      entry.machine.receive({ type: 'response', response: message }, now);
      this.#drain(key);
      return;
    }
    const { method } = message;
    if (hasLongIdentifier(message)) {
      const toTag = this.#options.random();
      if (method !== 'ACK')
        this.#respondStateless(connection, message, { status: 400, phrase: 'Identifier Too Long', toTag });
      return;
    }
    const key = serverKey(scope, message, method === 'ACK' ? 'INVITE' : method);
    const entry = this.#entries.get(key);
    const known = entry?.side === 'server' ? entry : undefined;
    if (method === 'ACK') {
      if (known !== undefined && known.machine.state !== 'accepted') {
        known.machine.receive({ type: 'ack' }, now);
        this.#drain(key);
      } else {
        this.#outputs.push({ type: 'request', connection: number, transaction: '', request: message });
      }
      return;
    }
    if (known !== undefined) {
      known.machine.receive({ type: 'request' }, now);
      this.#drain(key);
      return;
    }
    // §16.3, item 4: a request of our own that came back.
    if (message.via.some((via) => this.#branches.has(via.params.get('branch') ?? ''))) {
      this.#respondStateless(connection, message, { status: 482, toTag: this.#options.random() });
      return;
    }
    // An answered non-INVITE keeps nothing on a reliable transport, so only INVITE can fill the table.
    if ((method === 'INVITE' || !reliable) && connection.transactions.size >= SIP_MAX_TRANSACTIONS_PER_CONNECTION) {
      this.#respondStateless(connection, message, {
        status: 503,
        toTag: this.#options.random(),
        headers: [{ name: 'retry-after', value: String(this.#retryAfterSeconds) }],
      });
      return;
    }
    const machine =
      method === 'INVITE' ? new InviteServerTransaction(reliable) : new NonInviteServerTransaction(reliable);
    this.#add(key, {
      connection,
      port: responsePort(connection.info, message.via[0]!),
      side: 'server',
      machine,
      request: message,
      toTag: undefined,
    });
    const inviteKey = method === 'CANCEL' ? serverKey(scope, message, 'INVITE') : undefined;
    this.#outputs.push({
      type: 'request',
      connection: number,
      transaction: key,
      request: message,
      ...(inviteKey !== undefined && this.#entries.has(inviteKey) ? { invite: inviteKey } : {}),
    });
  }

  #refused(input: LayerInput & { type: 'refused' }): void {
    const connection = this.#connections.get(input.connection);
    if (connection === undefined || input.answerable === undefined) return;
    const what = input.detail === undefined ? input.reason : `${input.reason}: ${input.detail}`;
    const host = this.#options.host ?? connection.info.local.address;
    const to = parseNameAddr(headerValue(input.answerable, 'to') ?? '');
    this.#respondStateless(connection, input.answerable, {
      status: input.reason === 'sip-version' ? 505 : 400,
      ...(to === undefined || to.params.has('tag') ? {} : { toTag: this.#options.random() }),
      headers: [{ name: 'warning', value: `399 ${writeHostPort(host)} ${quote(what)}` }],
    });
  }

  #respondStateless(
    connection: Connection,
    request: Parameters<typeof writeResponse>[0] & { readonly to?: SipRequest['to'] },
    draft: ResponseDraft,
  ): void {
    const { toTag, ...rest } = draft;
    const tagged = toTag === undefined || request.to?.params.has('tag') === true ? rest : { ...rest, toTag };
    const bytes = writeResponse(request, tagged, connection.info.remote);
    const via = request.via?.[0] ?? parseVia(splitList(headerValue(request, 'via') ?? '')?.[0] ?? '');
    const port = via === undefined ? undefined : responsePort(connection.info, via);
    this.#outputs.push(sendOf(connection.info.connection, bytes, port));
  }

  #disconnect(number: ConnectionNumber): void {
    const connection = this.#connections.get(number);
    if (connection === undefined) return;
    this.#connections.delete(number);
    for (const key of [...connection.transactions]) this.#remove(key);
    this.#outputs.push({ type: 'lost', connection: number });
  }

  #via(connection: Connection, branch: string): string {
    const { local, transport } = connection.info;
    const sentBy = writeHostPort(this.#options.host ?? local.address, local.port);
    return `SIP/2.0/${transport.toUpperCase()} ${sentBy};branch=${branch};rport`;
  }

  #add(key: TransactionKey, entry: Entry): void {
    this.#entries.set(key, entry);
    if (entry.side === 'client') this.#branches.add(entry.branch);
    entry.connection.transactions.add(key);
  }

  #remove(key: TransactionKey): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    // A CANCEL has the branch of its INVITE.
    if (entry.side === 'client' && entry.draft.method !== 'CANCEL') this.#branches.delete(entry.branch);
    entry.connection.transactions.delete(key);
    this.#timers.set(key, undefined);
    this.#outputs.push({ type: 'terminated', transaction: key });
  }

  /** Passes on what a transaction has to say and sets its timer. */
  #drain(key: TransactionKey): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const connection = entry.connection.info.connection;
    for (let out = entry.machine.poll(); out !== undefined; out = entry.machine.poll()) {
      const large = entry.side === 'client' && entry.large;
      if (out.type === 'send')
        this.#outputs.push(sendOf(connection, out.bytes, entry.port, large ? overTcp(out.bytes) : undefined));
      else if (out.type === 'response') {
        this.#outputs.push({ type: 'response', transaction: key, response: out.response });
      } else if (entry.side === 'client') this.#outputs.push({ type: 'timeout', transaction: key });
    }
    if (entry.machine.state === 'terminated') this.#remove(key);
    else this.#timers.set(key, entry.machine.deadline());
  }
}

function isLarge({ reliable }: Connection, bytes: Uint8Array): boolean {
  return !reliable && bytes.length > SIP_MAX_DATAGRAM_REQUEST_BYTES;
}
