/** What the user agent keeps for one call, and what its halves share. */
import { SIP_T1_MS } from '../base/limits.js';
import { writeHostPort } from '../wire/sip-address.js';
import { headerValue } from '../wire/sip-message.js';
import type { SipHeader, SipMessage, SipRequest } from '../wire/sip-types.js';
import { ALLOW, type RequestDraft, SUPPORTED } from './build.js';
import type { CallNumber, ConnectionNumber, Send, UserAgentOptions, UserAgentOutput } from './contract.js';
import { type Dialog, dialogKey, dialogRequest, TIP_CONTACT_PARAMETER } from './dialog.js';
import type { EarlyDialog, Provisional } from './reliable.js';
import type { SessionTimer } from './session-timer.js';
import { TimerQueue } from './timer-queue.js';
import { type TransactionKey, TransactionLayer } from './transaction-layer.js';
import type { Referral } from './transfers.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
export const TIMEOUT_MS = 64 * SIP_T1_MS;

/**
 * `incoming`: INVITE waits for our user. `accepted`: 2xx sent, no ACK yet. `calling`, `proceeding`: our INVITE without and
 * with a provisional response. `cancelling`: CANCEL sent. `confirmed`. `leaving`: BYE sent.
 */
export type CallPhase = 'incoming' | 'accepted' | 'calling' | 'proceeding' | 'cancelling' | 'confirmed' | 'leaving';

export interface Call {
  readonly id: CallNumber;
  readonly connection: ConnectionNumber;
  readonly localTag: string;
  phase: CallPhase;
  dialog: Dialog | undefined;
  /** The peer's INVITE or re-INVITE that waits for our final response. */
  server: { readonly transaction: TransactionKey; readonly request: SipRequest } | undefined;
  /** Our 2xx that waits for its ACK (RFC 3261 §13.3.1.4). */
  unacked:
    | {
        readonly transaction: TransactionKey;
        readonly bytes: Uint8Array;
        readonly sequence: number;
        readonly withoutOffer: boolean;
        giveUpAt: number;
        resendAt: number;
        interval: number;
      }
    | undefined;
  /** Our INVITE or re-INVITE that waits for its final response. */
  client:
    | {
        readonly transaction: TransactionKey;
        readonly draft: RequestDraft;
        readonly sdp: string;
        /** Only to refresh the session: our user did not ask for it. */
        readonly refresh: boolean;
      }
    | undefined;
  /** A re-INVITE that waits until no other INVITE is under way; not before `at`. */
  queued: { readonly sdp: string; readonly at: number; readonly stale?: boolean } | undefined;
  /** Our user hung up before a BYE was allowed. */
  hangup: { readonly reason: string | undefined } | undefined;
  cancelGiveUpAt: number | undefined;
  /** Our last SDP that is in force. */
  sdp: string | undefined;
  /** The peer's Allow names UPDATE (RFC 3311 §4). */
  allowsUpdate: boolean;
  session: SessionTimer | undefined;
  probeAt: number | undefined;
  /** Forks of our INVITE that answered provisionally and reliably, by To tag. */
  readonly early: Map<string, EarlyDialog>;
  /** Ours to the peer's INVITE, where it is reliable. */
  provisional: Provisional | undefined;
  referral: Referral | undefined;
  /** The call that ours takes the place of. */
  replaces: CallNumber | undefined;
  /** We sent the first INVITE and so own the Call-ID. */
  readonly outgoing: boolean;
  /** sips: was asked for, so our Contact is sips: too (RFC 3261 §12.1.1). */
  readonly sips: boolean;
}

export type Purpose = 'invite' | 'again' | 'bye' | 'cancel' | 'update' | 'probe' | 'notify';

/** What a client transaction of ours is for. Outlives its call: a late 2xx still wants its ACK. */
export interface ClientUse {
  readonly call: CallNumber;
  readonly connection: ConnectionNumber;
  readonly purpose: Purpose;
  readonly draft: RequestDraft;
  /** Challenges to this request that were answered. */
  readonly attempt: number;
  readonly localTag: string;
  /** With `again`: where the ACK goes. */
  readonly dialog: Dialog | undefined;
  /** ACKs sent, by To tag of the 2xx. */
  readonly acks: Map<string, Send>;
}

/** State and services shared by the server half and the client half of the user agent. */
export class CallTable {
  readonly options: UserAgentOptions;
  readonly layer: TransactionLayer;
  readonly calls = new Map<CallNumber, Call>();
  readonly byDialog = new Map<string, Call>();
  readonly byInvite = new Map<TransactionKey, Call>();
  readonly uses = new Map<TransactionKey, ClientUse>();
  readonly timers = new TimerQueue<CallNumber>();
  readonly outputs: UserAgentOutput[] = [];
  /** Set by `stop`. */
  stopping = false;
  /** Of the input that is worked on. */
  now = 0;
  #lastCall = 0;

  constructor(options: UserAgentOptions) {
    this.options = options;
    this.layer = new TransactionLayer(options);
  }

  newCall(): CallNumber {
    this.#lastCall++;
    return this.#lastCall;
  }

  add(fields: Pick<Call, 'id' | 'connection' | 'localTag' | 'phase' | 'outgoing' | 'sips'>): Call {
    const { id, connection, localTag, phase, outgoing, sips } = fields;
    const call: Call = {
      id,
      connection,
      localTag,
      phase,
      outgoing,
      sips,
      dialog: undefined,
      server: undefined,
      unacked: undefined,
      client: undefined,
      queued: undefined,
      hangup: undefined,
      cancelGiveUpAt: undefined,
      sdp: undefined,
      allowsUpdate: false,
      session: undefined,
      probeAt: undefined,
      early: new Map(),
      provisional: undefined,
      referral: undefined,
      replaces: undefined,
    };
    this.calls.set(call.id, call);
    this.#lastCall = Math.max(this.#lastCall, call.id); // a number that the caller chose is not given out again
    return call;
  }

  setDialog(call: Call, dialog: Dialog): void {
    call.dialog = dialog;
    this.byDialog.set(keyOf(dialog), call);
  }

  setEarly(call: Call, tag: string, early: EarlyDialog): void {
    call.early.set(tag, early);
    this.byDialog.set(keyOf(early.dialog), call);
  }

  /** One fork has answered, or none will: the early dialogs of the others are over. */
  clearEarly(call: Call): void {
    for (const { dialog } of call.early.values()) this.byDialog.delete(keyOf(dialog));
    call.early.clear();
  }

  setServer(call: Call, server: NonNullable<Call['server']> | undefined): void {
    if (call.server !== undefined) this.byInvite.delete(call.server.transaction);
    call.server = server;
    if (server !== undefined) this.byInvite.set(server.transaction, call);
  }

  /** Forgets the call; its transactions run out by themselves. */
  remove(call: Call): void {
    this.calls.delete(call.id);
    if (call.client !== undefined) this.layer.abandon(call.client.transaction, this.now);
    this.setServer(call, undefined);
    const { dialog } = call;
    this.clearEarly(call);
    if (dialog !== undefined) this.byDialog.delete(keyOf(dialog));
    this.timers.set(call.id, undefined);
  }

  end(call: Call, by: 'peer' | 'local' | 'timeout' | 'connection', cause?: string): void {
    this.remove(call);
    this.outputs.push({ type: 'ended', call: call.id, by, ...(cause === undefined ? {} : { cause }) });
  }

  setTimer(call: Call): void {
    const waits: number[] = [];
    if (call.unacked !== undefined) waits.push(Math.min(call.unacked.resendAt, call.unacked.giveUpAt));
    const { provisional } = call;
    if (call.phase === 'incoming' && provisional?.acknowledged === false)
      waits.push(Math.min(provisional.resendAt, provisional.giveUpAt));
    if (call.cancelGiveUpAt !== undefined) waits.push(call.cancelGiveUpAt);
    if (call.queued !== undefined && this.idle(call)) waits.push(call.queued.at);
    if (call.phase === 'confirmed') {
      if (call.session !== undefined) waits.push(Math.min(call.session.refreshAt, call.session.expireAt));
      if (call.probeAt !== undefined) waits.push(call.probeAt);
      if (call.referral !== undefined) waits.push(call.referral.expireAt);
    }
    this.timers.set(call.id, waits.length === 0 ? undefined : Math.min(...waits));
  }

  /** Confirmed, and no INVITE under way in either direction (RFC 3261 §14.1). */
  idle(call: Call): boolean {
    return (
      call.phase === 'confirmed' && call.server === undefined && call.client === undefined && call.unacked === undefined
    );
  }

  /** Sends BYE; where even that is not possible the call is over at once. */
  bye(call: Call, reason: string | undefined, now: number): void {
    const headers: SipHeader[] = reason === undefined ? [] : [{ name: 'reason', value: reason }];
    call.phase = 'leaving';
    call.queued = undefined;
    call.unacked = undefined;
    const draft = dialogRequest(call.dialog!, 'BYE', headers);
    if (this.start(call, 'bye', draft, now) === undefined) this.end(call, 'local', 'BYE could not be sent');
    else this.setTimer(call);
  }

  /** RFC 3261 §12.2.1.2: the peer does not know the dialog any more, or is silent. */
  endBroken(call: Call, by: 'peer' | 'timeout', cause: string, now: number): void {
    const draft = dialogRequest(call.dialog!, 'BYE', [{ name: 'reason', value: 'SIP;cause=481' }]);
    this.end(call, by, cause);
    this.layer.request(call.connection, draft, now);
  }

  /** Starts a client transaction of this call. */
  start(call: Call, purpose: Purpose, draft: RequestDraft, now: number, attempt = 0): TransactionKey | undefined {
    const branchOf = purpose === 'cancel' ? call.client?.transaction : undefined;
    const key = this.layer.request(call.connection, draft, now, branchOf);
    if (key !== undefined) {
      const { id, connection, localTag, dialog } = call;
      this.uses.set(key, { call: id, connection, purpose, draft, attempt, localTag, dialog, acks: new Map() });
    }
    return key;
  }

  /** Contact, Allow, Supported, our product's name where configured, and what is said of a call. */
  ownHeaders(
    connection: ConnectionNumber,
    sips: boolean,
    productHeader: 'server' | 'user-agent',
    call?: CallNumber,
  ): SipHeader[] {
    const info = this.layer.connection(connection);
    const host = this.options.host ?? info?.local.address ?? 'invalid';
    const hostPort = writeHostPort(host, this.options.contactPort ?? info?.contactPort ?? info?.local.port);
    const transport = info?.transport ?? 'tls';
    // RFC 7118 §5.2.2: `ws` stands for both; the Via says which.
    const parameter = transport === 'wss' ? 'ws' : transport;
    const uri = sips
      ? `sips:${hostPort}${transport === 'wss' ? ';transport=ws' : ''}`
      : `sip:${hostPort};transport=${parameter}`;
    const headers = [
      { name: 'contact', value: this.options.tip === true ? `<${uri}>;${TIP_CONTACT_PARAMETER}` : `<${uri}>` },
      { name: 'allow', value: ALLOW },
      { name: 'supported', value: SUPPORTED.join(', ') },
    ];
    if (this.options.product !== undefined) headers.push({ name: productHeader, value: this.options.product });
    if (call !== undefined && info !== undefined) headers.push(...(this.options.callHeaders?.(info, call) ?? []));
    return headers;
  }
}

function keyOf({ callId, localTag, remoteTag }: Dialog): string {
  return dialogKey(callId, localTag, remoteTag);
}

/** Text of an SDP body; undefined when there is none, and when it is not UTF-8. */
export function bodyText(message: SipMessage): string | undefined {
  if (message.body.length === 0) return undefined;
  try {
    return UTF8.decode(message.body);
  } catch {
    return undefined;
  }
}

export function reasonAndWarning(message: SipMessage, phrase: string): { reason: string; warning: string } {
  return { reason: headerValue(message, 'reason') ?? phrase, warning: headerValue(message, 'warning') ?? '' };
}
