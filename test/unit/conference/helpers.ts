import { expect } from 'vitest';
import type { ChannelId, MemberId } from '../../../src/base/ids.js';
import type { ConferenceEvent, ConferenceOptions, Effect, State, TipFacts } from '../../../src/conference/contract.js';
import { createConference, deadline, reduce } from '../../../src/conference/reduce.js';

export const START_MS = 1_700_000_000_000;
/** TIP masks: 1 << position. */
export const ONE = 0b0010;
export const THREE = 0b1110;

export const CAPABLE: TipFacts = {
  version: 8,
  secure: true,
  ektTx: true,
  ektRx: true,
  capable: true,
  transmitMask: ONE,
  receiveMask: ONE,
  trailingByte: true,
};

export const audioOf = (member: MemberId): ChannelId => member * 10 + 1;
export const videoOf = (member: MemberId): ChannelId => member * 10 + 2;

/** Drives one conference through virtual time and keeps what it decided. */
export class Driver {
  state: State;
  now = START_MS;
  /** Every effect so far. */
  readonly log: { readonly at: number; readonly effect: Effect }[] = [];

  constructor(options: Partial<ConferenceOptions> = {}) {
    const created = createConference({
      id: 1,
      name: '8000',
      policy: 'secure',
      ...options,
    });
    if (!created.ok) throw new Error(created.detail);
    this.state = created.value;
  }

  send(event: ConferenceEvent): readonly Effect[] {
    const { state, effects } = reduce(this.state, event, this.now);
    this.state = state;
    for (const effect of effects) this.log.push({ at: this.now - START_MS, effect });
    return effects;
  }

  /** Moves time on, with a tick at each deadline; gives the effects of the way. */
  advance(ms: number): Effect[] {
    const end = this.now + ms;
    const effects: Effect[] = [];
    for (let due = deadline(this.state); due !== undefined && due <= end; due = deadline(this.state)) {
      this.now = Math.max(this.now, due);
      effects.push(...this.send({ type: 'tick' }));
      const next = deadline(this.state);
      if (next !== undefined && next <= this.now) throw new Error('a tick left its own deadline behind');
    }
    this.now = end;
    return effects;
  }

  join(member: MemberId, security: 'dtls' | 'plain' = 'dtls'): readonly Effect[] {
    return this.send({
      type: 'join',
      member,
      name: `endpoint ${member}`,
      channels: [
        { channel: audioOf(member), media: 'audio', security },
        { channel: videoOf(member), media: 'video', security },
      ],
    });
  }

  keyed(channel: ChannelId, fingerprint = `certificate of ${Math.floor(channel / 10)}`): readonly Effect[] {
    return this.send({ type: 'channel-keyed', channel, fingerprint });
  }

  negotiated(channel: ChannelId, tip: Partial<TipFacts> = {}): readonly Effect[] {
    return this.send({ type: 'channel-negotiated', channel, tip: { ...CAPABLE, ...tip } });
  }

  /** ACKs everything that was sent to the channel, as an endpoint that loses nothing. */
  ackAll(channel: ChannelId): Effect[] {
    return this.state.sets.live
      .filter((set) => set.pending.has(channel))
      .flatMap(({ spiWord }) => this.send({ type: 'set-acked', channel, spiWord }));
  }

  ackEverything(): void {
    for (const channel of [...this.state.sets.takers.keys()]) this.ackAll(channel);
  }

  /** A member from INVITE to ready. */
  enter(member: MemberId, tip: { audio?: Partial<TipFacts>; video?: Partial<TipFacts> } = {}): Effect[] {
    const effects = [...this.join(member)];
    for (const [channel, facts] of [
      [audioOf(member), tip.audio],
      [videoOf(member), tip.video],
    ] as const) {
      effects.push(...this.keyed(channel), ...this.negotiated(channel, facts), ...this.ackAll(channel));
    }
    this.ackEverything();
    expect(this.state.members.get(member)?.ready).toBe(true);
    return effects;
  }

  leave(member: MemberId): readonly Effect[] {
    return this.send({ type: 'leave', member, cause: 'hung-up' });
  }

  /** Everybody in `energies` ([member, energy] or [member, energy, position]) is heard for `ms`, reported each 100 ms. */
  talk(ms: number, ...energies: readonly (readonly [MemberId, number, number?])[]): Effect[] {
    const effects: Effect[] = [];
    for (let passed = 0; passed < ms; passed += 100) {
      for (const [member, energy, position = 1] of energies) {
        this.send({ type: 'activity', channel: audioOf(member), position, energy, packets: 5 });
      }
      effects.push(...this.advance(100));
    }
    return effects;
  }

  /** The plan in short: `receiver channel.sink=source channel.position`. */
  routes(media: 'audio' | 'video'): string[] {
    return this.state.routes[media].map((e) => `${e.receiver}.${e.sink}=${e.source}.${e.position}`);
  }

  of<T extends Effect['type']>(type: T): Extract<Effect, { readonly type: T }>[] {
    return ofType(
      this.log.map(({ effect }) => effect),
      type,
    );
  }
}

export function ofType<T extends Effect['type']>(
  effects: readonly Effect[],
  type: T,
): Extract<Effect, { readonly type: T }>[] {
  return effects.filter((effect): effect is Extract<Effect, { readonly type: T }> => effect.type === type);
}

export const types = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.type);

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seeded(seed: number): { next(): number; int(below: number): number; pick<T>(items: readonly T[]): T } {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (below: number) => Math.floor(next() * below);
  return { next, int, pick: (items) => items[int(items.length)]! };
}
