/**
 * A small registrar (RFC 3261 §10.3, RFC 5626): endpoints say where they can be called. Whoever registers must have proven
 * itself by digest, may write its own address of record only, and is called back on the connection it registered over.
 */
import {
  REGISTRAR_DEFAULT_EXPIRES_S,
  REGISTRAR_FLOW_TIMER_S,
  REGISTRAR_MAX_BINDINGS,
  REGISTRAR_MAX_BINDINGS_PER_USER,
  REGISTRAR_MAX_EXPIRES_S,
  REGISTRAR_MIN_EXPIRES_S,
} from '../base/limits.js';
import { headerValue } from '../wire/sip-message.js';
import { parseDigits, quote } from '../wire/sip-scan.js';
import type { SipHeader, SipNameAddr, SipRequest } from '../wire/sip-types.js';
import { userText } from '../wire/sip-uri.js';
import type { ResponseDraft } from './build.js';
import type { ConnectionNumber } from './contract.js';

/** Where an endpoint can be called. */
export interface Binding {
  /** User part of the address of record, unescaped. */
  readonly user: string;
  /** URI of the Contact, as written. */
  readonly contact: string;
  readonly callId: string;
  readonly sequence: number;
  /** Unix ms. */
  readonly expiresAt: number;
  /** `+sip.instance` and `reg-id` of a flow (RFC 5626 §4.2). */
  readonly flow?: { readonly instance: string; readonly id: number };
  /** That it registered over; undefined after a restart, until it registers again. */
  readonly connection?: ConnectionNumber;
}

const DIGITS_OF_EXPIRES = 9;

/** Bindings of one installation. Time is an argument; nothing expires before somebody looks. */
export class Registrar {
  #bindings = new Map<string, Binding>();
  #changed = false;

  /** Bindings that are in force, for writing and for views. */
  bindings(now: number): readonly Binding[] {
    this.#expire(now);
    return [...this.#bindings.values()];
  }

  /** What was written before a restart; connections are gone, so flows wait for their endpoint. */
  restore(bindings: readonly Binding[], now: number): void {
    for (const { connection: _, ...binding } of bindings) {
      if (binding.expiresAt > now && this.#bindings.size < REGISTRAR_MAX_BINDINGS)
        this.#bindings.set(keyOf(binding), binding);
    }
  }

  /** Whether something was changed since the last time this was asked. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** Where a user can be called now: its flows with an open connection, the newest first (RFC 5626 §5.3). */
  flowsOf(user: string, now: number): readonly (Binding & { readonly connection: ConnectionNumber })[] {
    this.#expire(now);
    const open = [...this.#bindings.values()].filter(
      (b): b is Binding & { readonly connection: ConnectionNumber } => b.user === user && b.connection !== undefined,
    );
    return open.sort((a, b) => b.expiresAt - a.expiresAt);
  }

  /** RFC 5626 §5.3: a flow whose connection is gone is no flow; the endpoint registers again over another. */
  disconnected(connection: ConnectionNumber): void {
    for (const [key, binding] of this.#bindings) {
      if (binding.connection !== connection) continue;
      this.#bindings.delete(key);
      this.#changed = true;
    }
  }

  /** Those that endpoints are called on; they stay open while they are silent. */
  connections(): readonly ConnectionNumber[] {
    return [...this.#bindings.values()].flatMap((b) => b.connection ?? []);
  }

  /** Those whose endpoints were told to say something now and then (RFC 5626 §5.4). */
  flows(): ReadonlySet<ConnectionNumber> {
    return new Set([...this.#bindings.values()].flatMap((b) => (b.flow === undefined ? [] : (b.connection ?? []))));
  }

  /** @param user who has proven itself by digest. @returns the answer to a REGISTER (RFC 3261 §10.3, steps 5 to 8). */
  register(request: SipRequest, user: string, connection: ConnectionNumber, now: number): ResponseDraft {
    this.#expire(now);
    // Step 5: nobody may say where somebody else is.
    if (request.to.uri === undefined || userText(request.to.uri) !== user) return { status: 403 };
    const { contact, callId } = request;
    const { number: sequence } = request.cseq;
    const asked = headerValue(request, 'expires');
    const general = asked === undefined ? REGISTRAR_DEFAULT_EXPIRES_S : parseDigits(asked, DIGITS_OF_EXPIRES);
    if (general === undefined) return { status: 400 };
    const own = [...this.#bindings.values()].filter((b) => b.user === user);
    if (contact === '*') {
      // Step 6: all of them, and then nothing else.
      if (general !== 0 || own.some((b) => isStale(b, callId, sequence))) return { status: 400 };
      for (const binding of own) this.#remove(binding);
      return this.#listing(user, now);
    }
    const wanted: Binding[] = [];
    const gone: Binding[] = [];
    for (const one of contact) {
      const seconds = expiresOf(one, general);
      const flow = flowOf(one);
      if (one.uri === undefined || seconds === undefined || flow === 'invalid') return { status: 400 };
      if (seconds > 0 && seconds < REGISTRAR_MIN_EXPIRES_S) {
        return { status: 423, headers: [{ name: 'min-expires', value: String(REGISTRAR_MIN_EXPIRES_S) }] };
      }
      const expiresAt = now + Math.min(seconds, REGISTRAR_MAX_EXPIRES_S) * 1_000;
      const made: Binding = {
        ...{ user, contact: one.uriText, callId, sequence, expiresAt, connection },
        ...(flow === undefined ? {} : { flow }),
      };
      const known = this.#bindings.get(keyOf(made));
      // Step 7: what comes late changes nothing, and then nothing at all of this request.
      if (known !== undefined && isStale(known, callId, sequence)) return { status: 500 };
      if (seconds === 0) gone.push(made);
      else wanted.push(made);
    }
    const keys = new Set([...own, ...wanted].map(keyOf));
    for (const one of gone) keys.delete(keyOf(one));
    const others = this.#bindings.size - own.length;
    if (keys.size > REGISTRAR_MAX_BINDINGS_PER_USER || others + keys.size > REGISTRAR_MAX_BINDINGS)
      return { status: 503 };
    for (const one of gone) this.#remove(one);
    for (const one of wanted) {
      this.#bindings.set(keyOf(one), one);
      this.#changed = true;
    }
    return this.#listing(user, now);
  }

  #remove(binding: Binding): void {
    if (this.#bindings.delete(keyOf(binding))) this.#changed = true;
  }

  #expire(now: number): void {
    for (const [key, { expiresAt }] of this.#bindings) {
      if (expiresAt > now) continue;
      this.#bindings.delete(key);
      this.#changed = true;
    }
  }

  /** Step 8: every binding of the user, with what is left of it. */
  #listing(user: string, now: number): ResponseDraft {
    const headers: SipHeader[] = [];
    let flows = false;
    for (const { user: owner, contact, expiresAt, flow } of this.#bindings.values()) {
      if (owner !== user) continue;
      flows ||= flow !== undefined;
      const more = flow === undefined ? '' : `;+sip.instance=${quote(flow.instance)};reg-id=${flow.id}`;
      headers.push({ name: 'contact', value: `<${contact}>;expires=${Math.ceil((expiresAt - now) / 1_000)}${more}` });
    }
    // RFC 5626 §6: the endpoint learns that its flow is taken as one.
    if (flows) {
      headers.push({ name: 'require', value: 'outbound' });
      headers.push({ name: 'flow-timer', value: String(REGISTRAR_FLOW_TIMER_S) });
    }
    return { status: 200, headers };
  }
}

/** A flow is known by instance and reg-id wherever its endpoint is now; everything else by its Contact (RFC 5626 §6). */
function keyOf({ user, contact, flow }: Pick<Binding, 'user' | 'contact' | 'flow'>): string {
  return flow === undefined ? `${user}\n${contact}` : `${user}\n${flow.instance}\n${flow.id}`;
}

function isStale(known: Binding, callId: string, sequence: number): boolean {
  return known.callId === callId && sequence <= known.sequence;
}

function expiresOf(contact: SipNameAddr, general: number): number | undefined {
  const own = contact.params.get('expires');
  return own === undefined ? general : parseDigits(own, DIGITS_OF_EXPIRES);
}

function flowOf(contact: SipNameAddr): Binding['flow'] | 'invalid' {
  const id = contact.params.get('reg-id');
  const instance = contact.params.get('+sip.instance');
  if (id === undefined || instance === undefined) return undefined; // §6: one without the other counts for nothing
  const number = parseDigits(id, 5);
  return number === undefined || number === 0 || instance === '' ? 'invalid' : { instance, id: number };
}
