/** A machine with a hand-driven peer (Solo), and two machines with a bad network between them (Pair). Time is virtual. */
import { Secret } from '../../../src/base/secret.js';
import {
  endpointOptions,
  type ParameterSet,
  switchOptions,
  type TipInput,
  TipMachine,
  type TipOptions,
  type TipOutput,
} from '../../../src/tip/index.js';
import { parseTip, type TipKind, type TipPacket, writeTip } from '../../../src/wire/tip.js';
import { seeded } from '../wire/tip-examples.js';

/** Milliseconds since the Unix epoch at which every test begins. */
export const T0 = 1_800_000_000_000;
export const SWITCH_SSRC = 0x51000000;
export const ENDPOINT_SSRC = 0x0e000100;
export const CLEAR_KEK = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

export function options(role: TipOptions['role'], change: Partial<TipOptions> = {}): TipOptions {
  const media = change.media ?? 'audio';
  const secure = change.secure ?? true;
  return {
    role,
    media,
    ssrc: role === 'switch' ? SWITCH_SSRC : ENDPOINT_SSRC,
    version: 8,
    secure,
    feedback: true,
    conferenceId: role === 'switch' ? 8000n : 0n,
    numXmit: 4,
    numRcv: 1,
    transmitMask: role === 'switch' ? 0x1e : 0x02,
    receiveMask: role === 'switch' ? 0x02 : 0x1e,
    options: role === 'switch' ? switchOptions(media, secure) : endpointOptions(media, secure),
    ...change,
  };
}

/** A fresh set; `spiWord` tells sets apart. */
export function parameterSet(spiWord: number, change: Partial<ParameterSet> = {}): ParameterSet {
  const salt = Uint8Array.from({ length: 14 }, (_, i) => i);
  return { spiWord, suite: 1, cipher: 1, masterSalt: new Secret(salt), kek: Secret.copyOf(CLEAR_KEK), ...change };
}

export function drain(machine: TipMachine): TipOutput[] {
  const out: TipOutput[] = [];
  for (let o = machine.poll(); o !== undefined; o = machine.poll()) out.push(o);
  return out;
}

export function parsed(bytes: Uint8Array): TipPacket {
  const verdict = parseTip(bytes);
  if (!verdict.ok) throw new Error(`the machine sent what does not parse: ${verdict.reason}`);
  return verdict.value;
}

/** Types of outputs in order; a `send` with what it carries, a drop, refusal or failure with its reason. */
export function summary(out: readonly TipOutput[]): string[] {
  return out.map((o) => {
    if (o.type === 'send') {
      const p = parsed(o.packet);
      return `send ${p.type === 'ack' ? `ack ${p.of}` : p.type}`;
    }
    if (o.type === 'dropped' || o.type === 'refused' || o.type === 'failed') return `${o.type} ${o.reason}`;
    return o.type;
  });
}

type Loose = { readonly type: string } & Record<string, unknown>;

/** One machine; the test plays the peer. */
export class Solo {
  readonly machine: TipMachine;
  readonly sent: TipPacket[] = [];
  now = T0;
  #ntp = 0xe0000000_00000000n;
  readonly #ssrc: number;

  constructor(readonly own: TipOptions) {
    this.machine = new TipMachine(own);
    this.#ssrc = own.role === 'switch' ? ENDPOINT_SSRC : SWITCH_SSRC;
  }

  do(input: TipInput): TipOutput[] {
    this.machine.receive(input, this.now);
    const out = drain(this.machine);
    for (const o of out) if (o.type === 'send') this.sent.push(parsed(o.packet));
    return out;
  }

  at(ms: number): this {
    this.now = T0 + ms;
    return this;
  }

  tick(ms: number): TipOutput[] {
    return this.at(ms).do({ type: 'tick' });
  }

  /** A packet from the peer, stamped newer than all before it unless it brings its own `ntp`. */
  packet(fields: Loose): Uint8Array {
    this.#ntp += 1n;
    const { ssrc, ...rest } = { ssrc: this.#ssrc, ntp: this.#ntp, ...fields } as Loose;
    return writeTip({ ssrc, ...rest } as unknown as TipPacket);
  }

  hear(fields: Loose): TipOutput[] {
    return this.do({ type: 'packet', bytes: this.packet(fields) });
  }

  muxctrl(change: Record<string, unknown> = {}): Loose {
    return {
      type: 'muxctrl',
      version: 8,
      secure: this.own.secure,
      feedback: true,
      isFocus: this.own.role === 'endpoint',
      numXmit: 1,
      numRcv: 4,
      conferenceId: 7n,
      transmitMask: 0x06,
      receiveMask: 0x1e,
      numShared: 0,
      sharedMask: 0,
      ...change,
    };
  }

  mediaopts(transmit = 0x02000001, receive = 0x02000001): Loose {
    return { type: 'mediaopts', blocks: [{ ssrc: 0, transmit, receive, words: [] }] };
  }

  last(type: TipPacket['type']): TipPacket {
    const packet = this.sent.findLast((p) => p.type === type);
    if (packet === undefined) throw new Error(`no ${type} was sent`);
    return packet;
  }

  /** ACKs the last packet of `kind` that the machine sent. */
  ack(kind: Exclude<TipKind, 'echo' | 'reqtosend'>): TipOutput[] {
    return this.hear({ type: 'ack', of: kind, ntp: this.last(kind).ntp });
  }

  /** Takes the machine to `done`. */
  negotiate(muxctrl: Record<string, unknown> = {}, mediaopts: Loose = this.mediaopts()): TipOutput[] {
    this.do({ type: 'start' });
    this.hear(this.muxctrl(muxctrl));
    this.hear(mediaopts);
    this.ack('muxctrl');
    return this.ack('mediaopts');
  }
}

export interface Network {
  readonly seed: number;
  /** Chance that a packet is lost, and that it arrives twice. */
  readonly loss: number;
  readonly twice: number;
  /** Longest delay, ms; packets overtake each other within it. */
  readonly delay: number;
}

export type Side = 'switch' | 'endpoint';

/** A switch and an endpoint; what either says arrives at the other late, twice, or never. */
export class Pair {
  readonly machines: Readonly<Record<Side, TipMachine>>;
  readonly out: Record<Side, TipOutput[]> = { switch: [], endpoint: [] };
  now = T0;
  /** Whether the endpoint installs a set as soon as it has it. */
  installs = true;
  #flight: { readonly at: number; readonly to: Side; readonly bytes: Uint8Array }[] = [];
  readonly #random: () => number;

  constructor(
    switchSide: Partial<TipOptions> = {},
    endpointSide: Partial<TipOptions> = {},
    readonly network: Network = { seed: 1, loss: 0, twice: 0, delay: 10 },
  ) {
    this.machines = {
      switch: new TipMachine(options('switch', switchSide)),
      endpoint: new TipMachine(options('endpoint', endpointSide)),
    };
    this.#random = seeded(network.seed);
  }

  start(): this {
    this.do('switch', { type: 'start' });
    this.do('endpoint', { type: 'start' });
    return this;
  }

  do(side: Side, input: TipInput): void {
    const machine = this.machines[side];
    machine.receive(input, this.now);
    for (const o of drain(machine)) {
      this.out[side].push(o);
      if (o.type === 'send') this.#carry(side === 'switch' ? 'endpoint' : 'switch', o.packet);
      if (o.type === 'set' && this.installs) this.do(side, { type: 'set-installed', spiWord: o.set.spiWord });
    }
  }

  #carry(to: Side, bytes: Uint8Array): void {
    const { loss, twice, delay } = this.network;
    if (this.#random() < loss) return;
    for (let copies = this.#random() < twice ? 2 : 1; copies > 0; copies--)
      this.#flight.push({ at: this.now + Math.floor(this.#random() * delay), to, bytes });
  }

  /** Runs until `ms` after the beginning, from one event to the next. */
  run(ms: number): this {
    const end = T0 + ms;
    for (let steps = 0; ; steps++) {
      if (steps > 100_000) throw new Error('the machines do not come to rest');
      const deadlines = [this.machines.switch.deadline(), this.machines.endpoint.deadline()];
      const next = Math.min(...[...deadlines, ...this.#flight.map((p) => p.at)].filter((t) => t !== undefined));
      if (next > end) break;
      this.now = Math.max(this.now, next);
      const due = this.#flight.filter((p) => p.at <= this.now);
      this.#flight = this.#flight.filter((p) => p.at > this.now);
      for (const { to, bytes } of due) this.do(to, { type: 'packet', bytes });
      for (const side of ['switch', 'endpoint'] as const) this.do(side, { type: 'tick' });
    }
    this.now = end;
    return this;
  }

  of<T extends TipOutput['type']>(side: Side, type: T): Extract<TipOutput, { type: T }>[] {
    return this.out[side].filter((o): o is Extract<TipOutput, { type: T }> => o.type === type);
  }

  /** Packets of one type that a side sent, as values. */
  sent<T extends TipPacket['type']>(side: Side, type: T): Extract<TipPacket, { type: T }>[] {
    return this.of(side, 'send')
      .map((o) => parsed(o.packet))
      .filter((p): p is Extract<TipPacket, { type: T }> => p.type === type);
  }
}
