import { describe, expect, it } from 'vitest';
import { SPIMAP_TIMEOUT_MS } from '../../../src/base/limits.js';
import type { ConferenceEvent, ConferenceOptions, Effect, TipFacts } from '../../../src/conference/contract.js';
import { createConference, deadline, reduce } from '../../../src/conference/reduce.js';
import { CAPABLE, START_MS, seeded } from './helpers.js';
import { World, type WorldChannel } from './world.js';

interface Outcome {
  readonly trace: string;
  readonly refusals: number;
  readonly sets: number;
  readonly ready: number;
  readonly illegal: number;
}

/** One seeded run of `steps` random events; every effect is checked by the world. */
function simulate(
  seed: number,
  steps: number,
  options: Required<Pick<ConferenceOptions, 'policy' | 'requiredLevel'>>,
): Outcome {
  const random = seeded(seed);
  const created = createConference({ id: 1, name: 'sim', ...options });
  if (!created.ok) throw new Error(created.reason);
  let state = created.value;
  const world = new World(options.requiredLevel);
  let now = START_MS;
  let ids = 1;
  let sets = 0;
  let ready = 0;
  let illegal = 0;
  let hash = 0;
  const secure = options.policy === 'secure';

  const send = (event: ConferenceEvent) => {
    const copy = random.next() < 0.01 ? structuredClone(state) : undefined;
    const before = state;
    const { state: after, effects } = reduce(state, event, now);
    if (copy !== undefined) expect(before).toEqual(copy);
    if (effects.some((effect) => effect.type === 'illegal')) {
      illegal++;
      expect(after).toBe(before);
      expect(effects).toHaveLength(1);
    }
    state = after;
    world.take(event, effects, now);
    sets += effects.filter((effect) => effect.type === 'make-set').length;
    ready += effects.filter((effect) => effect.type === 'channel-parameters' && effect.ready).length;
    for (const char of JSON.stringify(effects)) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
    world.check(now);
    return effects;
  };
  const is = (effects: readonly Effect[], type: Effect['type']) => effects.some((effect) => effect.type === type);

  const open = (member: number, late: boolean, media: readonly ('audio' | 'video')[], certificate: string) => {
    const channels = media.map((kind) => {
      const odd = random.next() < 0.12;
      const security: 'dtls' | 'plain' = secure !== odd ? 'dtls' : 'plain';
      return { channel: ids++, media: kind, security };
    });
    for (const { channel: id, media: kind, security: transport } of channels) {
      world.channels.set(id, {
        id,
        member,
        media: kind,
        transport,
        late,
        fingerprint: undefined,
        tip: undefined,
        pending: new Map(),
        sent: new Set(),
        acked: new Set(),
        ready: false,
      });
    }
    world.members.set(member, certificate);
    return channels;
  };
  const tipOf = (): TipFacts => ({
    ...CAPABLE,
    version: random.next() < 0.05 ? 6 : 7 + random.int(2),
    ektTx: random.next() < 0.97,
    ektRx: random.next() < 0.97,
    transmitMask: random.next() < 0.1 ? random.int(65_536) : random.pick([2, 14, 6, 18]),
    receiveMask: random.next() < 0.1 ? random.int(65_536) : random.pick([2, 14, 10, 30]),
    trailingByte: random.next() < 0.8,
  });

  /** The next thing that a well-behaved endpoint would do on this channel. */
  const proceed = (channel: WorldChannel) => {
    if (channel.transport === 'plain') {
      if (random.next() < 0.5) {
        channel.tip = tipOf();
        send({ type: 'channel-negotiated', channel: channel.id, tip: channel.tip });
      }
    } else if (channel.fingerprint === undefined) {
      channel.fingerprint = world.members.get(channel.member)!;
      send({ type: 'channel-keyed', channel: channel.id, fingerprint: channel.fingerprint });
    } else if (channel.tip === undefined) {
      channel.tip = tipOf();
      send({ type: 'channel-negotiated', channel: channel.id, tip: channel.tip });
    } else {
      const spiWord = [...channel.pending.keys()].at(-1);
      if (spiWord === undefined) return;
      for (const older of channel.pending.keys()) channel.pending.delete(older);
      channel.acked.add(spiWord);
      send({ type: 'set-acked', channel: channel.id, spiWord });
    }
  };

  const pass = (ms: number) => {
    const end = now + ms;
    for (;;) {
      const timeouts = [...world.channels.values()].flatMap((channel) =>
        [...channel.pending.values()].map((sentMs) => ({ channel: channel.id, at: sentMs + SPIMAP_TIMEOUT_MS })),
      );
      const timeout = timeouts.sort((a, b) => a.at - b.at)[0];
      const due = Math.min(deadline(state) ?? Number.POSITIVE_INFINITY, timeout?.at ?? Number.POSITIVE_INFINITY);
      if (due > end) break;
      now = Math.max(now, due);
      if (timeout !== undefined && timeout.at <= now) {
        send({ type: 'channel-failed', channel: timeout.channel, reason: 'spimap-timeout', detail: 'no ACK' });
      } else {
        send({ type: 'tick' });
        const next = deadline(state);
        if (next !== undefined && next <= now) expect.fail('a tick left its own deadline behind');
      }
    }
    now = end;
  };

  for (let step = 0; step < steps; step++) {
    const channels = [...world.channels.values()];
    const channel = channels.length > 0 ? random.pick(channels) : undefined;
    const member = channel?.member ?? 0;
    const dice = random.next();
    if (channel === undefined || (dice < 0.06 && world.members.size < 12)) {
      const joiner = ids++;
      const media = random.pick([['audio', 'video'], ['audio', 'video'], ['video'], ['audio']] as const);
      const event = {
        member: joiner,
        name: 'x',
        channels: open(joiner, false, media, `certificate ${random.int(15)}`),
      };
      if (!is(send({ type: 'join', ...event }), 'admit')) expect(world.members.has(joiner)).toBe(false);
    } else if (dice < 0.09) {
      const cause = random.next() < 0.3 ? 'replaced' : 'hung-up';
      send({ type: 'leave', member, cause });
    } else if (dice < 0.1) {
      const missing = (['audio', 'video'] as const).filter((media) => world.of(member).every((c) => c.media !== media));
      if (missing.length > 0) {
        const certificate = world.members.get(member)!;
        send({ type: 'add-channels', member, channels: open(member, true, missing, certificate) });
      }
    } else if (dice < 0.12) {
      const reason = random.pick(['dtls-failed', 'fingerprint-mismatch', 'media-timeout', 'spimap-timeout'] as const);
      if (random.next() < 0.3) send({ type: 'channel-failed', channel: channel.id, reason, detail: 'd' });
      else send({ type: 'channel-failed', channel: channel.id, reason: 'auth-failures', detail: 'd' });
    } else if (dice < 0.14) {
      // Nonsense: stale, unknown or out of order.
      send(
        random.pick<ConferenceEvent>([
          { type: 'set-acked', channel: channel.id, spiWord: 0xfffd },
          { type: 'set-acked', channel: 999_999, spiWord: 1 },
          { type: 'channel-keyed', channel: 999_999, fingerprint: 'f' },
          { type: 'leave', member: 999_999, cause: 'cancelled' },
          { type: 'switched', receiver: channel.id, sink: 1, source: channel.id, position: 1 },
        ]),
      );
    } else if (dice < 0.5) {
      proceed(channel);
    } else if (dice < 0.8) {
      const energy = random.next() < 0.1 ? -1 : random.int(101);
      send({ type: 'activity', channel: channel.id, position: 1 + random.int(4), energy, packets: random.int(8) });
    } else if (dice < 0.84) {
      send({ type: 'refresh', channel: channel.id, position: 1 + random.int(3) });
      for (const edge of world.routes.video.filter((e) => e.source === channel.id)) {
        if (random.next() < 0.8) send({ type: 'switched', ...edge });
      }
    } else if (dice < 0.86) {
      send({ type: 'refresh-wanted', receiver: channel.id, sink: 1 + random.int(3) });
    } else if (dice < 0.995) {
      pass(random.int(150));
    } else {
      for (const each of channels) proceed(each);
      pass(random.int(20_000));
    }
  }
  return { trace: `${hash}`, refusals: world.events, sets, ready, illegal };
}

const CONFERENCES = [
  { policy: 'secure', requiredLevel: 'end-to-end' },
  { policy: 'secure', requiredLevel: 'hop-by-hop' },
  { policy: 'non-secure', requiredLevel: 'none' },
] as const;

describe('a conference under random joins, leaves, failures and activity', () => {
  for (const [index, conference] of CONFERENCES.entries()) {
    it(`${conference.policy}, ${conference.requiredLevel}: the invariants hold at every step`, () => {
      for (let seed = 1; seed <= 8; seed++) {
        const outcome = simulate(100 * index + seed, 3_000, conference);
        // The run was worth something: calls came through, calls were refused, nonsense was refused.
        expect(outcome.ready).toBeGreaterThan(20);
        expect(outcome.refusals).toBeGreaterThan(10);
        expect(outcome.illegal).toBeGreaterThan(10);
        if (conference.requiredLevel === 'end-to-end') expect(outcome.sets).toBeGreaterThan(5);
      }
    });
  }

  it('is deterministic: the same seed gives the same effects, byte for byte', () => {
    const run = () => simulate(4_711, 2_000, CONFERENCES[0]);
    expect(run()).toEqual(run());
  });
});
