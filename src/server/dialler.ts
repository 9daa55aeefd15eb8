/** Calls that the switch makes for an operator: peers in turn, ringing with an end, and what became of each call. */
import { DIAL_RING_TIMEOUT_MS, MAX_DIALS, MAX_FINISHED_DIALS } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { ControlInput, ControlOutput, DialNumber } from '../control/contract.js';
import { DialAttempts, type DialFailure } from '../sip/dial-attempts.js';
import type { Hop } from '../sip/locate.js';
import type { TrunkPeer, TrunkProfile } from '../sip/trunk.js';
import { writeHostPort } from '../wire/sip-address.js';
import { isUriUser } from '../wire/sip-scan.js';
import { parseSipUri } from '../wire/sip-uri.js';

export interface DialRequest {
  readonly conference: string;
  /** A number or name at the trunk's peer, a sip: or sips: URI, or an endpoint that has registered. */
  readonly target: string;
  /** May be left away where there is one trunk only. */
  readonly trunk?: string | undefined;
}

export const DIAL_STATES = ['dialling', 'answered', 'failed', 'cancelled'] as const;

/** What became of a call that we made. */
export interface DialView {
  readonly id: DialNumber;
  readonly conference: string;
  readonly target: string;
  /** Undefined: to an endpoint that has registered, over its own connection. */
  readonly trunk: string | undefined;
  readonly state: (typeof DIAL_STATES)[number];
  /** With `failed`: the final SIP status; undefined: nobody was reached. */
  readonly status?: number;
  readonly reason?: string;
}

type Ended = Extract<ControlOutput, { type: 'dial-ended' }>;

/** One that may know the callee. */
interface Server {
  /** Request-URI. */
  readonly target: string;
  readonly connect: () => Promise<number | undefined>;
}

/** A way to the callee: peers in turn, each with its servers in turn, one connection at a time. */
interface Way {
  readonly trunk: TrunkProfile | undefined;
  readonly peers: readonly (() => Promise<readonly Server[]>)[];
}

/** Trunks, and how their peers are reached. */
export interface TrunkWays {
  readonly trunks: readonly TrunkProfile[];
  /** The servers of a peer, best first (RFC 3263); none when there is none, which an event has told. */
  readonly locate: (trunk: TrunkProfile, peer: TrunkPeer) => Promise<readonly Hop[]>;
  readonly connect: (trunk: TrunkProfile, hop: Hop) => Promise<number | undefined>;
}

export interface DiallerOptions {
  readonly ways: TrunkWays;
  /** Where an endpoint that has registered can be called now, each on its own connection. */
  readonly flowsOf: (user: string) => readonly { readonly contact: string; readonly connection: number }[];
  readonly receive: (input: Extract<ControlInput, { type: 'dial' | 'dial-cancel' }>) => void;
  readonly now: () => number;
}

interface Running {
  readonly view: DialView;
  readonly ended: (outcome: Ended['outcome']) => void;
  readonly cancel: () => void;
}

export class Dialler {
  readonly #options: DiallerOptions;
  readonly #running = new Map<DialNumber, Running>();
  readonly #finished = new Map<DialNumber, DialView>();
  #next = 1;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /** All calls to a conference that are under way or were lately. */
  list(conference: string): readonly DialView[] {
    const views = [...this.#finished.values(), ...[...this.#running.values()].map((r) => r.view)];
    return views.filter((view) => view.conference === conference).sort((a, b) => a.id - b.id);
  }

  get(conference: string, id: DialNumber): DialView | undefined {
    const view = this.#running.get(id)?.view ?? this.#finished.get(id);
    return view?.conference === conference ? view : undefined;
  }

  /** Starts a call; what becomes of it shows in {@link get}. Refused with what is to be mended in the request. */
  dial(request: DialRequest): Result<DialView, 'trunk' | 'target' | 'limit'> {
    if (this.#running.size >= MAX_DIALS) return refuse('limit', `${MAX_DIALS} calls are being made already`);
    const way = this.#wayTo(request);
    if (!way.ok) return way;
    const id = this.#next++;
    const { conference, target } = request;
    const view: DialView = { id, conference, target, trunk: way.value.trunk?.name, state: 'dialling' };
    void this.#run(view, way.value);
    return ok(view);
  }

  /** Gives up a call that is not answered yet. */
  cancel(id: DialNumber): void {
    this.#running.get(id)?.cancel();
  }

  /** From control: how the try under way ended. */
  onEnded({ dial, outcome }: Ended): void {
    this.#running.get(dial)?.ended(outcome);
  }

  close(): void {
    for (const { cancel } of [...this.#running.values()]) cancel();
  }

  #wayTo({ target, trunk: name }: DialRequest): Result<Way, 'trunk' | 'target'> {
    const { ways, flowsOf } = this.#options;
    const flows = name === undefined ? flowsOf(target) : [];
    if (flows.length > 0) {
      const server = ({ contact, connection }: (typeof flows)[number]): Server => ({
        target: contact,
        connect: async () => connection,
      });
      return ok({ trunk: undefined, peers: flows.map((flow) => async () => [server(flow)]) });
    }
    const able = ways.trunks.filter((t) => t.peers.length > 0);
    const trunk = name === undefined ? (able.length === 1 ? able[0] : undefined) : able.find((t) => t.name === name);
    if (trunk === undefined) {
      const names = able.map((t) => t.name).join(', ');
      const which = name === undefined ? 'name a trunk' : `no trunk ${name} with peers`;
      return refuse(
        'trunk',
        names === '' ? `${target} has not registered, and no trunk has peers to call` : `${which}; there is ${names}`,
      );
    }
    const uri = /^sips?:/i.test(target) ? parseSipUri(target) : undefined;
    const usable = uri === undefined ? isUriUser(target) : uri.headers === undefined;
    if (!usable) return refuse('target', 'a number, a name, or a sip: or sips: URI');
    // sips: promises TLS on every hop (RFC 3261 §26.2.2).
    if (uri?.scheme === 'sips' && trunk.outgoing !== 'tls') return refuse('target', `trunk ${trunk.name} has no TLS`);
    const transport = trunk.outgoing === 'udp' ? '' : `;transport=${trunk.outgoing}`;
    const peers = trunk.peers.map((peer) => async () => {
      const requestUri =
        uri === undefined ? `sip:${target}@${writeHostPort(peer.host, peer.port)}${transport}` : target;
      const hops = await ways.locate(trunk, peer);
      return hops.map((hop): Server => ({ target: requestUri, connect: () => ways.connect(trunk, hop) }));
    });
    return ok({ trunk, peers });
  }

  async #run(view: DialView, way: Way): Promise<void> {
    const { now, receive } = this.#options;
    const { id, conference } = view;
    const attempts = new DialAttempts(way.peers.length, now());
    const servers: Server[] = [];
    let cancelled: (() => void) | undefined;
    let over = false;
    const cancellation = new Promise<'cancelled'>((resolve) => {
      cancelled = () => {
        over = true;
        resolve('cancelled');
      };
    });
    const outcomeOf = (): Promise<Ended['outcome']> =>
      new Promise((resolve) => this.#running.set(id, { view, ended: resolve, cancel: () => cancelled?.() }));
    this.#running.set(id, { view, ended: () => undefined, cancel: () => cancelled?.() });
    let last: { readonly status?: number; readonly reason: string } = { reason: 'no peer could be reached' };
    for (let step = attempts.next(now()); step.type !== 'over' && !over; step = attempts.next(now())) {
      if (step.type === 'wait') {
        await Promise.race([after(step.untilMs - now()).done, cancellation]);
        continue;
      }
      if (step.type === 'locate') {
        const found = await Promise.race([way.peers[step.peer]!(), cancellation]);
        if (found === 'cancelled') break;
        servers.push(...found);
        attempts.located(found.length, now());
        continue;
      }
      const { target, connect } = servers[step.server]!;
      let failure: DialFailure = { status: 'unreachable' };
      const connection = await Promise.race([connect(), cancellation]);
      if (connection === 'cancelled') break;
      if (connection !== undefined) {
        const outcome = outcomeOf();
        receive({ type: 'dial', dial: id, conference, connection, target, trunk: way.trunk?.name });
        const ringing = after(DIAL_RING_TIMEOUT_MS);
        const first = await Promise.race([outcome, cancellation, ringing.done]);
        ringing.clear();
        if (first === undefined || first === 'cancelled') {
          receive({ type: 'dial-cancel', dial: id });
          this.#finish(
            view,
            over ? 'cancelled' : 'failed',
            over ? undefined : { status: 408, reason: 'nobody answered' },
          );
          return;
        }
        if (first.type === 'answered') {
          this.#finish(view, 'answered');
          return;
        }
        const { status, reason, retryAfterSeconds } = first;
        last = { ...(status === 'unreachable' ? {} : { status }), reason };
        failure = { status, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
      }
      attempts.failed(step.server, failure, now());
    }
    this.#finish(view, over ? 'cancelled' : 'failed', over ? undefined : last);
  }

  #finish(view: DialView, state: DialView['state'], why: Pick<DialView, 'status' | 'reason'> = {}): void {
    this.#running.delete(view.id);
    this.#finished.set(view.id, { ...view, state, ...why });
    if (this.#finished.size > MAX_FINISHED_DIALS) this.#finished.delete(this.#finished.keys().next().value!);
  }
}

function after(delayMs: number): { readonly done: Promise<undefined>; readonly clear: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const done = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), delayMs);
  });
  return { done, clear: () => clearTimeout(timer) };
}
