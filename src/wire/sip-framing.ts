/** Cuts a byte stream (TCP, TLS) into SIP messages: RFC 3261 §7.5 and §18.3, keep-alive of RFC 5626 §3.5.1. */
import { SIP_MAX_HEADER_BYTES, SIP_MAX_MESSAGE_BYTES } from '../base/limits.js';
import { findHeadEnd, finishMessage, parseHead, refusal, type SipHead } from './sip-message.js';
import type { SipAnswerable, SipMessage, SipParseResult, SipRefusalReason } from './sip-types.js';

/** What whoever opened a connection sends now and then (RFC 5626 §3.5.1). */
export const KEEPALIVE_PING: Uint8Array = Uint8Array.of(13, 10, 13, 10);
/** What answers a `ping`: one CRLF. */
export const KEEPALIVE_PONG: Uint8Array = Uint8Array.of(13, 10);

export type FramerEvent =
  | { readonly type: 'message'; readonly message: SipMessage }
  /** A message with clear borders that the parser refused; the stream goes on unless `fatal` follows. */
  | {
      readonly type: 'refused';
      readonly reason: SipRefusalReason;
      readonly detail?: string;
      readonly answerable?: SipAnswerable;
    }
  /** CRLFCRLF between messages: answer with {@link KEEPALIVE_PONG}. */
  | { readonly type: 'ping' }
  /** The one CRLF that was expected. */
  | { readonly type: 'pong' }
  /** Where the next message begins is unknown: close the connection. Nothing is given after this. */
  | { readonly type: 'fatal'; readonly reason: SipRefusalReason };

/** Refusals that leave in doubt where the message ends: two parsers could cut the stream differently. */
const AMBIGUOUS: ReadonlySet<SipRefusalReason> = new Set(['bare-cr-or-lf', 'content-length', 'too-large', 'not-utf8']);

export class StreamFramer {
  #buffer = new Uint8Array(4_096);
  #length = 0;
  /** No CRLFCRLF begins before this index of the buffer. */
  #scanned = 0;
  #head: SipHead | undefined;
  #blankLines = 0;
  #dead = false;
  #pongDue = false;

  /** We have sent {@link KEEPALIVE_PING}: the next CRLF between messages is its answer. */
  expectPong(): void {
    this.#pongDue = true;
  }

  /** Bytes held back for a message that is not complete yet; below SIP_MAX_MESSAGE_BYTES between two calls. */
  get heldBytes(): number {
    return this.#length;
  }

  /**
   * Takes the next bytes of the stream, in pieces of any size: the events do not depend on where it was cut.
   * @returns what they completed, in order.
   */
  feed(bytes: Uint8Array): readonly FramerEvent[] {
    const events: FramerEvent[] = [];
    if (this.#dead) return events;
    this.#append(bytes);
    let at = 0;
    for (;;) {
      const rest = this.#buffer.subarray(at, this.#length);
      const used = this.#head === undefined ? this.#takeHead(rest, events) : this.#takeBody(this.#head, rest, events);
      if (used === undefined) break;
      at += used;
    }
    if (this.#dead) {
      this.#buffer = new Uint8Array(0);
      this.#length = 0;
    } else {
      this.#buffer.copyWithin(0, at, this.#length);
      this.#length -= at;
    }
    return events;
  }

  #append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
  }

  /** @returns bytes used up; undefined when more are needed or the stream is dead. */
  #takeHead(bytes: Uint8Array, events: FramerEvent[]): number | undefined {
    if (bytes.length === 0) return undefined;
    if (bytes[0] === 13 || bytes[0] === 10) {
      if (bytes[0] === 10 || (bytes.length > 1 && bytes[1] !== 10)) return this.#die('bare-cr-or-lf', events);
      if (bytes.length === 1) return undefined;
      if (this.#pongDue) {
        this.#pongDue = false;
        events.push({ type: 'pong' });
        return 2;
      }
      this.#blankLines++;
      if (this.#blankLines === 2) {
        events.push({ type: 'ping' });
        this.#blankLines = 0;
      }
      return 2;
    }
    const end = findHeadEnd(bytes, this.#scanned);
    if (end < 0 ? bytes.length >= SIP_MAX_HEADER_BYTES : end > SIP_MAX_HEADER_BYTES) {
      return this.#die('too-large', events);
    }
    if (end < 0) {
      this.#scanned = Math.max(0, bytes.length - 3);
      return undefined;
    }
    this.#blankLines = 0;
    this.#scanned = 0;
    const head = parseHead(bytes.subarray(0, end));
    const reason = framingFault(head, end);
    if (reason !== undefined) {
      events.push(refusedEvent(refusal(head, head.failure?.reason ?? reason, head.failure?.detail)));
      return this.#die(reason, events);
    }
    this.#head = head;
    return end;
  }

  #takeBody(head: SipHead, bytes: Uint8Array, events: FramerEvent[]): number | undefined {
    const length = head.contentLength!;
    if (bytes.length < length) return undefined;
    const result = finishMessage(head, bytes.slice(0, length));
    this.#head = undefined;
    events.push(result.ok ? { type: 'message', message: result.value } : refusedEvent(result));
    return length;
  }

  #die(reason: SipRefusalReason, events: FramerEvent[]): undefined {
    events.push({ type: 'fatal', reason });
    this.#dead = true;
    return undefined;
  }
}

function framingFault(head: SipHead, bytes: number): SipRefusalReason | undefined {
  const reason = head.failure?.reason;
  if (reason !== undefined && AMBIGUOUS.has(reason)) return reason;
  // RFC 3261 §18.3: a stream cannot be cut without it.
  if (head.contentLength === undefined) return 'content-length';
  return bytes + head.contentLength > SIP_MAX_MESSAGE_BYTES ? 'too-large' : undefined;
}

function refusedEvent(result: SipParseResult & { ok: false }): FramerEvent {
  const { reason, detail, answerable } = result;
  return {
    type: 'refused',
    reason,
    ...(detail === undefined ? {} : { detail }),
    ...(answerable === undefined ? {} : { answerable }),
  };
}
