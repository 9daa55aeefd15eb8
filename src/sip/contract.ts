/**
 * What goes into the SIP user agent and what comes out of it. It owns no socket: connections and calls are numbers, a
 * connection's numbers are the caller's and are never used twice.
 */
import type { Tick } from '../base/engine.js';
import type { Address } from '../base/ids.js';
import type { SipAnswerable, SipHeader, SipMessage, SipRefusalReason } from '../wire/sip-types.js';
import type { CredentialsOf } from './digest-client.js';
import type { Registration } from './registration.js';
import type { DenialCode, RequestGate } from './request-gate.js';
import type { Access } from './trunk.js';

export type ConnectionNumber = number;
export type CallNumber = number;

/**
 * TLS and TCP are streams, WSS is WebSocket over TLS (RFC 7118); over UDP a connection is the peer's address and port as seen
 * from one of our sockets.
 */
export type SipTransport = 'tls' | 'tcp' | 'udp' | 'wss';

/** How servers reach each other: WSS is for browsers. */
export type ServerTransport = Exclude<SipTransport, 'wss'>;

/** Nobody on the way can read or write what is said there. */
export function isSecure(transport: SipTransport | undefined): boolean {
  return transport === 'tls' || transport === 'wss';
}

export interface Connected {
  readonly type: 'connected';
  readonly connection: ConnectionNumber;
  readonly remote: Address;
  readonly local: Address;
  readonly transport: SipTransport;
  /** Verified certificate subject of the peer, where mutual TLS gave one: says which connections belong to one peer. */
  readonly identity?: string;
  /** What the port and the certificate make of the peer; undefined: the same as `open`. */
  readonly access?: Access;
  /** A TCP connection of ours beside this one over UDP, for requests that are too large there (RFC 3261 §18.1.1). */
  readonly beside?: ConnectionNumber;
  /** Port of ours on which the peer can reach us, where that is not the connection's own: it was opened by us. */
  readonly contactPort?: number;
}

export type SipCommand =
  /** Calls out on an open connection. `call` comes from `newCall()`; `target` and `from` are sip: or sips: URIs. */
  | {
      readonly type: 'invite';
      readonly call: CallNumber;
      readonly connection: ConnectionNumber;
      readonly target: string;
      readonly from: string;
      readonly sdp: string;
      readonly headers?: readonly SipHeader[];
    }
  /** Answers the pending INVITE or re-INVITE of the call with 200 and this SDP; ignored when none is pending any more. */
  | { readonly type: 'accept'; readonly call: CallNumber; readonly sdp: string }
  /** Tells the peer that its INVITE waits, status 101 to 199, reliably where it can (RFC 3262); ignored from the second on. */
  | { readonly type: 'provisional'; readonly call: CallNumber; readonly status: number }
  /** Refuses the pending INVITE (the call is over) or re-INVITE (it goes on). `status` 300-699. */
  | {
      readonly type: 'reject';
      readonly call: CallNumber;
      readonly status: number;
      readonly reasonPhrase?: string;
      readonly headers?: readonly SipHeader[];
    }
  /**
   * Offers again in a confirmed call (RFC 3261 §14.1), whatever it changes: `answered` with the peer's SDP or `offer-refused`
   * follows, and the ACK is sent. Waits while another INVITE is under way, the newest SDP wins; a glare (491) is tried again
   * after its time by itself. Where the peer's own offer came in between, `offer-due` asks for the SDP as it is then.
   */
  | { readonly type: 'reinvite'; readonly call: CallNumber; readonly sdp: string }
  /** How the transfer that a REFER asked for goes; final from 200 on. Ignored when there is none (any more). */
  | { readonly type: 'refer-status'; readonly call: CallNumber; readonly status: number }
  /** BYE, CANCEL or 480, whichever fits. `reason` is a whole Reason header value (RFC 3326). */
  | { readonly type: 'hangup'; readonly call: CallNumber; readonly reason?: string }
  /** OPTIONS to `target` on an open connection; `options-answered` follows with the caller's `probe` number. */
  | {
      readonly type: 'options';
      readonly probe: number;
      readonly connection: ConnectionNumber;
      readonly target: string;
      readonly from: string;
    }
  /** From now on new INVITEs and OPTIONS get 503 with Retry-After; calls go on. */
  | { readonly type: 'stop'; readonly retryAfterSeconds: number };

export type UserAgentInput =
  | Connected
  | { readonly type: 'message'; readonly connection: ConnectionNumber; readonly message: SipMessage }
  /** A well-framed message that the parser refused; answered 400 or 505 where a response is possible. */
  | {
      readonly type: 'refused';
      readonly connection: ConnectionNumber;
      readonly reason: SipRefusalReason;
      readonly detail?: string;
      readonly answerable?: SipAnswerable;
    }
  | { readonly type: 'disconnected'; readonly connection: ConnectionNumber }
  | SipCommand
  | Tick;

/** Bytes for the peer of a connection. */
export interface Send {
  readonly type: 'send';
  readonly connection: ConnectionNumber;
  readonly bytes: Uint8Array;
  /** UDP only: another port of the peer, where its Via or Contact asks for that (RFC 3261 §18.2.2). */
  readonly port?: number;
  /** UDP only: the same for TCP, by which it is to go where the peer takes it: it is too large (RFC 3261 §18.1.1). */
  readonly stream?: Uint8Array;
}

export type UserAgentOutput =
  | Send
  /** An INVITE waits for `accept`, `reject` or `hangup`. `offer` undefined: the peer wants ours in the 200 (RFC 3261 §13.2.1). */
  | {
      readonly type: 'incoming';
      readonly call: CallNumber;
      readonly connection: ConnectionNumber;
      /** User part of the Request-URI, unescaped; empty when it has none. */
      readonly user: string;
      /** URIs as written. */
      readonly from: string;
      readonly to: string;
      readonly offer: string | undefined;
      /** Its Contact says `x-cisco-tip`: it negotiates TIP on its media channels. */
      readonly tip: boolean;
      /** The call whose place this one takes (RFC 3891): it ends with our `accept`. */
      readonly replaces?: CallNumber;
    }
  /** The peer asks us to call somebody for it (RFC 3515); 202 was answered, `refer-status` is expected. */
  | {
      readonly type: 'refer';
      readonly call: CallNumber;
      readonly connection: ConnectionNumber;
      readonly target: string;
      readonly referredBy?: string;
    }
  /** A re-INVITE, or an UPDATE with an offer (RFC 3311), waits for `accept` or `reject`. */
  | { readonly type: 'offer-again'; readonly call: CallNumber; readonly offer: string | undefined }
  /** The re-INVITE that waited would repeat what the peer has changed meanwhile: `reinvite` with a new SDP, or let it be. */
  | { readonly type: 'offer-due'; readonly call: CallNumber }
  /** The peer cancelled its re-INVITE (answered 487); the call goes on as before. */
  | { readonly type: 'offer-withdrawn'; readonly call: CallNumber }
  /** A provisional response to our first INVITE; `sdp`: a reliable one that brought the answer early. */
  | { readonly type: 'progress'; readonly call: CallNumber; readonly status: number; readonly sdp?: string }
  /** 2xx to our INVITE or re-INVITE (ACK is sent already). `sdp` is empty where the peer sent none. */
  | {
      readonly type: 'answered';
      readonly call: CallNumber;
      readonly sdp: string;
      /** Its Contact says `x-cisco-tip`. */
      readonly tip: boolean;
    }
  /** ACK to our 2xx arrived; `sdp` is the answer where the INVITE carried no offer. */
  | { readonly type: 'confirmed'; readonly call: CallNumber; readonly sdp?: string }
  /** Our first INVITE was refused; the call is over. `reason` and `warning`: header values, or what went wrong here. */
  | {
      readonly type: 'failed';
      readonly call: CallNumber;
      readonly status: number;
      readonly reason: string;
      readonly warning: string;
      readonly retryAfterSeconds?: number;
    }
  /** Our re-INVITE was refused or timed out (408); the call goes on as before. */
  | {
      readonly type: 'offer-refused';
      readonly call: CallNumber;
      readonly status: number;
      readonly reason: string;
      readonly warning: string;
    }
  /** The call is over. `cause`: the peer's Reason header value, or what happened. */
  | {
      readonly type: 'ended';
      readonly call: CallNumber;
      readonly by: 'peer' | 'local' | 'timeout' | 'connection';
      readonly cause?: string;
    }
  /** The final status of our OPTIONS: the peer's, or 408 (no answer), 503 (no connection, or no room for the request), 400 or 403. */
  | { readonly type: 'options-answered'; readonly probe: number; readonly status: number }
  /** A request was refused by the gate (once a connection and code): an event for the operator. */
  | {
      readonly type: 'denied';
      readonly connection: ConnectionNumber;
      readonly code: DenialCode;
      readonly cause: string;
    }
  /** The connection should be closed. */
  | { readonly type: 'close'; readonly connection: ConnectionNumber; readonly why: string };

/** Transfers that a peer may ask for (REQUIREMENTS T2). */
export interface TransferRules {
  readonly acceptRefer?: boolean;
  readonly acceptReplaces?: boolean;
}

export interface UserAgentOptions {
  /** A fresh token (letters and digits, at least 64 bits of entropy) a call: tags, branches, Call-IDs. */
  readonly random: () => string;
  /** Host name or literal for Contact and Via instead of the connection's local address. */
  readonly host?: string;
  /** Port of our listener for Contact instead of the connection's local port. */
  readonly contactPort?: number;
  /** We negotiate TIP on our media channels: Contact says `x-cisco-tip`. */
  readonly tip?: boolean;
  /** Seconds of the session timer that we ask for (RFC 4028); undefined: only where the peer asks for one. */
  readonly sessionExpiresS?: number;
  /** A peer with a call that is silent for so long gets OPTIONS, and without an answer its calls end; undefined: never. */
  readonly probeAfterMs?: number;
  /** What a connection's peer may ask for by REFER and Replaces; default: nothing. */
  readonly transfers?: (access: Access | undefined) => TransferRules;
  /** Value of Server and User-Agent; none by default. */
  readonly product?: string;
  /** Asked before anything is made of a request; default: every request passes. */
  readonly gate?: RequestGate;
  /** Answers REGISTER; default: it is not allowed. */
  readonly registration?: Registration;
  /** Further headers of our INVITEs and their 200s; `call` is new to the caller in its first INVITE. */
  readonly callHeaders?: (connected: Connected, call: CallNumber) => readonly SipHeader[];
  /** Our accounts elsewhere: a request of ours that is answered 401 or 407 is sent again with an answer. */
  readonly credentials?: CredentialsOf;
}
