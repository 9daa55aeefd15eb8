/** The shapes of SIP (RFC 3261 §7, §20, §25). Names of headers and parameters are lower case, compact forms expanded. */

/** Parameters of a URI or header, in order of appearance; a name without `=` has an empty string. Names are lower case. */
export type SipParams = ReadonlyMap<string, string>;

/**
 * RFC 3261 §19.1. `user` is kept as written (escapes included); parameters have lost the escapes that they do not need; `host`
 * is lower case, an IPv6 literal has no brackets.
 */
export interface SipUri {
  readonly scheme: 'sip' | 'sips';
  readonly user?: string;
  readonly host: string;
  readonly port?: number;
  readonly params: SipParams;
  /** What stood after `?`, without it. */
  readonly headers?: string;
}

/** name-addr or addr-spec with header parameters (From, To, Contact, Route, Record-Route). */
export interface SipNameAddr {
  /** Display name without quotes; undefined when there was none. */
  readonly display?: string;
  /** The URI as written, of any scheme. */
  readonly uriText: string;
  /** Undefined when the scheme is neither sip nor sips. */
  readonly uri?: SipUri;
  readonly params: SipParams;
}

export interface SipVia {
  /** Upper case: TLS, TCP, UDP, ... */
  readonly transport: string;
  readonly host: string;
  readonly port?: number;
  readonly params: SipParams;
}

/** One header line, unfolded; `value` has no surrounding white space and may hold several comma-separated values. */
export interface SipHeader {
  readonly name: string;
  readonly value: string;
}

interface SipMessageFields {
  readonly headers: readonly SipHeader[];
  /** At least one; the first is the topmost. */
  readonly via: readonly SipVia[];
  readonly from: SipNameAddr;
  readonly to: SipNameAddr;
  readonly callId: string;
  readonly cseq: { readonly number: number; readonly method: string };
  /** `'*'` for `Contact: *`. */
  readonly contact: readonly SipNameAddr[] | '*';
  readonly route: readonly SipNameAddr[];
  readonly recordRoute: readonly SipNameAddr[];
  readonly maxForwards?: number;
  /** Media type in lower case without parameters, e.g. `application/sdp`. */
  readonly contentType?: string;
  /** Option tags of Require, lower case. */
  readonly require: readonly string[];
  readonly body: Uint8Array;
}

export interface SipRequest extends SipMessageFields {
  readonly kind: 'request';
  readonly method: string;
  readonly uriText: string;
  /** Undefined when the Request-URI's scheme is neither sip nor sips (RFC 3261 §8.2.2.1: 416). */
  readonly uri?: SipUri;
}

export interface SipResponse extends SipMessageFields {
  readonly kind: 'response';
  readonly status: number;
  readonly phrase: string;
}

export type SipMessage = SipRequest | SipResponse;

/** Why a message was refused. */
export type SipRefusalReason =
  | 'too-large'
  | 'too-many-headers'
  | 'not-utf8'
  | 'control-character'
  | 'bare-cr-or-lf'
  | 'no-end-of-headers'
  | 'start-line'
  | 'sip-version'
  | 'header-syntax'
  | 'duplicate-header'
  | 'missing-header'
  | 'via'
  | 'from'
  | 'to'
  | 'call-id'
  | 'cseq'
  | 'cseq-method'
  | 'contact'
  | 'route'
  | 'max-forwards'
  | 'content-type'
  | 'content-length'
  | 'date'
  | 'require';

/** What a 400 (or 505) to a refused request needs: its headers as received. */
export interface SipAnswerable {
  readonly method: string;
  readonly headers: readonly SipHeader[];
}

/** A {@link Result} whose refusal says whether a response is possible. */
export type SipParseResult =
  | { readonly ok: true; readonly value: SipMessage }
  | {
      readonly ok: false;
      readonly reason: SipRefusalReason;
      readonly detail?: string;
      /** Set when the message is a request (never ACK) that has a Via. */
      readonly answerable?: SipAnswerable;
    };

/** A message to be written: `headers` without Content-Length, which the writer adds. */
export interface SipDraft {
  readonly startLine: string;
  readonly headers: readonly SipHeader[];
  readonly body?: string | Uint8Array;
}
