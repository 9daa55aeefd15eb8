/**
 * Where a request to a URI goes (RFC 3263 §4, RFC 2782): transport, address and port of each server to try, in order. Asks for
 * DNS records by its outputs and is told them by its inputs; who drives it has the resolver.
 */
import type { Engine } from '../base/engine.js';
import {
  SIP_LOCATE_MAX_HOPS,
  SIP_LOCATE_MAX_LOOKUPS,
  SIP_LOCATE_MAX_RECORDS,
  SIP_LOCATE_TIMEOUT_MS,
} from '../base/limits.js';
import { addressFamily, isHostName } from '../wire/sip-address.js';
import type { SipUri } from '../wire/sip-types.js';
import type { ServerTransport } from './contract.js';
import { TimerQueue } from './timer-queue.js';

export interface Hop {
  readonly transport: ServerTransport;
  readonly address: string;
  readonly port: number;
  /** What a certificate must name: the domain that was asked for, never what DNS made of it (RFC 3263 §4.1, RFC 5922 §4). */
  readonly name: string;
}

export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly replacement: string;
}

export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** `address`: A and AAAA together, as literals in the order to try them. A name that does not exist has no records. */
export type DnsRecords =
  | { readonly kind: 'naptr'; readonly records: readonly NaptrRecord[] }
  | { readonly kind: 'srv'; readonly records: readonly SrvRecord[] }
  | { readonly kind: 'address'; readonly records: readonly string[] };

export type LocateInput =
  | {
      readonly type: 'locate';
      /** The caller's number. */
      readonly lookup: number;
      readonly uri: Pick<SipUri, 'scheme' | 'host' | 'port' | 'params'>;
      /** Transports that may be used, best first; sips: takes TLS only (RFC 3261 §26.2.2). */
      readonly transports: readonly ServerTransport[];
    }
  | { readonly type: 'answer'; readonly query: number; readonly answer: DnsRecords }
  | { readonly type: 'tick' };

export type LocateOutput =
  | { readonly type: 'query'; readonly query: number; readonly kind: DnsRecords['kind']; readonly name: string }
  /** No hops: nothing is there, no transport fits, or DNS did not answer in time. */
  | { readonly type: 'located'; readonly lookup: number; readonly hops: readonly Hop[] };

interface Wanted {
  readonly transport: ServerTransport;
  readonly host: string;
  readonly port: number;
}

interface Lookup {
  readonly number: number;
  readonly name: string;
  readonly explicitPort: number | undefined;
  readonly transports: readonly ServerTransport[];
  /** Servers whose addresses are still to be asked for, and those found. */
  wanted: Wanted[];
  hops: Hop[];
  /** SRV names still to be asked for, best first. */
  services: { readonly transport: ServerTransport; readonly name: string }[];
  asking: { readonly query: number; readonly what: 'naptr' | ServerTransport | Wanted };
}

/** RFC 3263 §4.1. */
const SERVICES: Readonly<Record<string, ServerTransport>> = { 'sips+d2t': 'tls', 'sip+d2t': 'tcp', 'sip+d2u': 'udp' };
const PREFIX: Readonly<Record<ServerTransport, string>> = { tls: '_sips._tcp.', tcp: '_sip._tcp.', udp: '_sip._udp.' };
export const DEFAULT_PORT: Readonly<Record<ServerTransport, number>> = { tls: 5_061, tcp: 5_060, udp: 5_060 };

export class Locator implements Engine<LocateInput, LocateOutput> {
  readonly #random: () => number;
  readonly #lookups = new Map<number, Lookup>();
  readonly #queries = new Map<number, Lookup>();
  readonly #timers = new TimerQueue<number>();
  readonly #outputs: LocateOutput[] = [];
  #lastQuery = 0;

  /** @param random a number in [0, 1), for the choice among servers of equal priority (RFC 2782). */
  constructor(random: () => number) {
    this.#random = random;
  }

  receive(input: LocateInput, now: number): void {
    if (input.type === 'locate') this.#start(input, now);
    else if (input.type === 'answer') this.#answer(input.query, input.answer);
    else {
      for (let n = this.#timers.takeDue(now); n !== undefined; n = this.#timers.takeDue(now)) {
        const lookup = this.#lookups.get(n);
        if (lookup !== undefined) this.#finish(lookup);
      }
    }
  }

  poll(): LocateOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    return this.#timers.next();
  }

  #start({ lookup: number, uri, transports }: LocateInput & { readonly type: 'locate' }, now: number): void {
    const asked = uri.params.get('transport')?.toLowerCase();
    const secure = uri.scheme === 'sips' || asked === 'tls';
    const fitting = transports.filter((t) => (secure ? t === 'tls' : asked === undefined || t === asked));
    const name = (uri.params.get('maddr') ?? uri.host).toLowerCase();
    const family = addressFamily(name);
    const nothing = fitting.length === 0 || (family === undefined && !isHostName(name));
    if (nothing || this.#lookups.has(number) || this.#lookups.size >= SIP_LOCATE_MAX_LOOKUPS) {
      this.#outputs.push({ type: 'located', lookup: number, hops: [] });
      return;
    }
    const first = fitting[0]!;
    if (family !== undefined) {
      const port = uri.port ?? DEFAULT_PORT[first];
      this.#outputs.push({ type: 'located', lookup: number, hops: [{ transport: first, address: name, port, name }] });
      return;
    }
    const lookup: Lookup = {
      number,
      name,
      explicitPort: uri.port,
      transports: fitting,
      wanted: [],
      hops: [],
      services: [],
      asking: { query: 0, what: 'naptr' },
    };
    this.#lookups.set(number, lookup);
    this.#timers.set(number, now + SIP_LOCATE_TIMEOUT_MS);
    if (uri.port !== undefined) {
      // §4.2: with a port there is no service to look up.
      lookup.wanted = [{ transport: first, host: name, port: uri.port }];
      this.#next(lookup);
    } else if (asked !== undefined) {
      lookup.services = [{ transport: first, name: PREFIX[first] + name }];
      this.#next(lookup);
    } else {
      this.#ask(lookup, 'naptr', 'naptr', name);
    }
  }

  #ask(lookup: Lookup, what: Lookup['asking']['what'], kind: DnsRecords['kind'], name: string): void {
    this.#queries.delete(lookup.asking.query);
    const query = ++this.#lastQuery;
    lookup.asking = { query, what };
    this.#queries.set(query, lookup);
    this.#outputs.push({ type: 'query', query, kind, name });
  }

  #answer(query: number, answer: DnsRecords): void {
    const lookup = this.#queries.get(query);
    if (lookup === undefined) return;
    this.#queries.delete(query);
    const { what } = lookup.asking;
    if (what === 'naptr') {
      lookup.services = answer.kind === 'naptr' ? servicesOf(answer.records, lookup) : [];
      if (lookup.services.length === 0) {
        lookup.services = lookup.transports.map((transport) => ({ transport, name: PREFIX[transport] + lookup.name }));
      }
    } else if (typeof what === 'string') {
      if (answer.kind === 'srv') lookup.wanted.push(...this.#ordered(answer.records, what));
    } else if (answer.kind === 'address') {
      for (const address of answer.records.slice(0, SIP_LOCATE_MAX_RECORDS)) {
        if (addressFamily(address) === undefined || lookup.hops.length >= SIP_LOCATE_MAX_HOPS) continue;
        lookup.hops.push({ transport: what.transport, address, port: what.port, name: lookup.name });
      }
    }
    this.#next(lookup);
  }

  /** Services first, then the addresses of the servers that they named; without any, the name is the server (§4.2). */
  #next(lookup: Lookup): void {
    const service = lookup.services.shift();
    if (service !== undefined) return this.#ask(lookup, service.transport, 'srv', service.name);
    const transport = lookup.transports[0]!;
    const fresh = lookup.hops.length === 0 && typeof lookup.asking.what === 'string';
    if (fresh && lookup.wanted.length === 0) {
      lookup.wanted.push({ transport, host: lookup.name, port: lookup.explicitPort ?? DEFAULT_PORT[transport] });
    }
    const wanted = lookup.hops.length < SIP_LOCATE_MAX_HOPS ? lookup.wanted.shift() : undefined;
    if (wanted !== undefined) return this.#ask(lookup, wanted, 'address', wanted.host);
    this.#finish(lookup);
  }

  #finish(lookup: Lookup): void {
    this.#lookups.delete(lookup.number);
    this.#queries.delete(lookup.asking.query);
    this.#timers.set(lookup.number, undefined);
    this.#outputs.push({ type: 'located', lookup: lookup.number, hops: lookup.hops });
  }

  /** RFC 2782: by priority, and among equals by chance, the heavier the likelier. A target `.` says that there is no service. */
  #ordered(records: readonly SrvRecord[], transport: ServerTransport): Wanted[] {
    const left = records
      .slice(0, SIP_LOCATE_MAX_RECORDS)
      .filter((r) => isHostName(r.target) && r.port > 0 && r.port <= 65_535)
      .sort((a, b) => a.priority - b.priority || a.weight - b.weight);
    const wanted: Wanted[] = [];
    while (left.length > 0) {
      const equals = left.filter((r) => r.priority === left[0]!.priority);
      const total = equals.reduce((sum, r) => sum + r.weight, 0);
      let rest = this.#random() * total;
      const chosen =
        equals.find((r) => {
          rest -= r.weight;
          return rest < 0;
        }) ?? equals[0]!;
      left.splice(left.indexOf(chosen), 1);
      wanted.push({ transport, host: chosen.target.toLowerCase(), port: chosen.port });
    }
    return wanted;
  }
}

/**
 * §4.1: those services that we can speak, in the order of the domain's owner. One that leads out of the domain could be anybody's
 * where DNS is not secured, and its certificate would be checked against a name that the caller never asked for: for TLS it is
 * left out.
 */
function servicesOf(records: readonly NaptrRecord[], lookup: Lookup): Lookup['services'] {
  return records
    .slice(0, SIP_LOCATE_MAX_RECORDS)
    .filter((r) => r.flags.toLowerCase() === 's')
    .sort((a, b) => a.order - b.order || a.preference - b.preference)
    .flatMap((r) => {
      const transport = SERVICES[r.service.toLowerCase()];
      const name = r.replacement.toLowerCase().replace(/\.$/, '');
      if (transport === undefined || !lookup.transports.includes(transport)) return [];
      if (transport === 'tls' && !`.${name}`.endsWith(`.${lookup.name}`)) return [];
      return [{ transport, name }];
    });
}
