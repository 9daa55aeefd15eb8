/**
 * A relay and its endpoints as far as a conference can tell, kept apart from the conference's own state: it believes effects
 * only, and checks each against what really happened.
 */
import { expect } from 'vitest';
import {
  MAX_LIVE_SETS,
  MIN_SET_INTERVAL_MS,
  REFRESH_MIN_INTERVAL_MS,
  SWITCH_OLD_SET_LIMIT_MS,
} from '../../../src/base/limits.js';
import type { ConferenceEvent, Edge, Effect, TipFacts } from '../../../src/conference/contract.js';
import type { Level } from '../../../src/security/levels.js';

export interface WorldChannel {
  readonly id: number;
  readonly member: number;
  readonly media: 'audio' | 'video';
  readonly transport: 'dtls' | 'plain';
  readonly late: boolean;
  fingerprint: string | undefined;
  tip: TipFacts | undefined;
  /** SPI word to time sent, until ACKed. */
  readonly pending: Map<number, number>;
  readonly sent: Set<number>;
  readonly acked: Set<number>;
  ready: boolean;
}

const RANK = { none: 0, 'hop-by-hop': 1, 'end-to-end': 2 };

function fail(what: string): never {
  return expect.fail(what);
}

export class World {
  readonly channels = new Map<number, WorldChannel>();
  readonly members = new Map<number, string>();
  readonly live: { spiWord: number; madeMs: number }[] = [];
  readonly departed: { fingerprint: string; atMs: number }[] = [];
  readonly barred: { spiWord: number; fromMs: number }[] = [];
  readonly asked = new Map<string, number>();
  routes: Record<'audio' | 'video', readonly Edge[]> = { audio: [], video: [] };
  lastSpiWord = -1;
  level: Level = 'unknown';
  events = 0;
  speaker: number | undefined;

  constructor(readonly required: 'none' | 'hop-by-hop' | 'end-to-end') {}

  of(member: number): WorldChannel[] {
    return [...this.channels.values()].filter((channel) => channel.member === member);
  }

  /** What facts alone say about a channel. */
  provenLevel(channel: WorldChannel): Level {
    if (channel.transport === 'plain') return 'none';
    const { fingerprint, tip, acked } = channel;
    if (fingerprint === undefined || tip === undefined) return 'unknown';
    const capable = tip.version >= 7 && tip.secure && tip.ektTx && tip.ektRx && tip.capable;
    if (!capable) return 'hop-by-hop';
    return acked.size > 0 ? 'end-to-end' : this.required === 'end-to-end' ? 'unknown' : 'hop-by-hop';
  }

  proven(member: number): boolean {
    const counted = this.of(member).filter((channel) => !channel.late);
    return counted.every((channel) => this.meets(channel));
  }

  meets(channel: WorldChannel): boolean {
    const level = this.provenLevel(channel);
    return level !== 'unknown' && RANK[level] >= RANK[this.required];
  }

  remove(member: number, now: number): void {
    for (const channel of this.of(member)) {
      this.channels.delete(channel.id);
      if (channel.sent.size > 0) this.departed.push({ fingerprint: channel.fingerprint!, atMs: now });
      for (const spiWord of channel.sent) this.barred.push({ spiWord, fromMs: now + 30_000 });
    }
    this.members.delete(member);
  }

  /** Takes an event and all its effects in, in order, and checks each. */
  take(event: ConferenceEvent, effects: readonly Effect[], now: number): void {
    let refusals = 0;
    let events = 0;
    if (event.type === 'leave') this.remove(event.member, now);
    for (const effect of effects) {
      switch (effect.type) {
        case 'refuse':
          if (effect.status === 488 && effect.reason !== 'no-media') refusals++;
          this.remove(effect.member, now);
          break;
        case 'refuse-channels':
          refusals++;
          for (const id of effect.channels) this.channels.delete(id);
          break;
        case 'end-call':
          if (effect.status === 488) refusals++;
          this.remove(effect.member, now);
          break;
        case 'security-event':
          events++;
          if (effect.code === 'auth-failures') refusals++;
          break;
        case 'channel-parameters': {
          const channel = this.channels.get(effect.channel) ?? fail('parameters of a closed channel');
          if (effect.level !== 'unknown' && !this.meets(channel)) fail(`${effect.channel} is called ${effect.level}`);
          if (effect.ready && !this.proven(channel.member)) fail(`media ready for unproven member ${channel.member}`);
          channel.ready = effect.ready;
          break;
        }
        case 'routes':
          this.routes[effect.media] = effect.edges;
          break;
        case 'level':
          this.level = effect.level;
          break;
        case 'speaker':
          this.speaker = effect.member;
          break;
        case 'request-refresh': {
          const key = `${effect.channel}.${effect.position}`;
          const last = this.asked.get(key);
          if (last !== undefined && now - last < REFRESH_MIN_INTERVAL_MS)
            fail(`refresh of ${key} after ${now - last} ms`);
          this.asked.set(key, now);
          if (!this.channels.has(effect.channel)) fail('refresh of a closed channel');
          break;
        }
        case 'make-set':
          this.#made(effect.spiWord, now);
          break;
        case 'send-set': {
          const channel = this.channels.get(effect.channel) ?? fail('a set for a closed channel');
          if (effect.spiWord !== this.live.at(-1)?.spiWord) fail('a set that is not the newest was sent');
          if (channel.fingerprint === undefined || channel.tip === undefined) fail('a set before DTLS and TIP');
          channel.pending.set(effect.spiWord, now);
          channel.sent.add(effect.spiWord);
          break;
        }
        case 'drop-set': {
          const at = this.live.findIndex((set) => set.spiWord === effect.spiWord);
          if (at < 0) fail('a set dropped twice');
          this.live.splice(at, 1);
          break;
        }
      }
    }
    if (refusals !== events) fail(`${events} events for ${refusals} refusals (${event.type})`);
    this.events += events;
  }

  #made(spiWord: number, now: number): void {
    if (spiWord % 2 !== 1 || spiWord <= this.lastSpiWord) fail(`SPI word ${spiWord} after ${this.lastSpiWord}`);
    this.lastSpiWord = spiWord;
    const newest = this.live.at(-1);
    if (newest !== undefined && now - newest.madeMs < MIN_SET_INTERVAL_MS) {
      const channels = [...this.channels.values()];
      // Its old call has ended, or is still there.
      const returning = channels.some(
        ({ member, fingerprint, sent }) =>
          this.departed.some((old) => old.fingerprint === fingerprint && old.atMs >= newest.madeMs) ||
          (sent.size === 0 && channels.some((other) => other.member !== member && other.fingerprint === fingerprint)),
      );
      if (!returning) fail(`a new set ${now - newest.madeMs} ms after the last`);
    }
    this.live.push({ spiWord, madeMs: now });
    if (this.live.length > MAX_LIVE_SETS) fail(`${this.live.length} sets alive`);
  }

  /** What must hold between any two events. */
  check(now: number): void {
    const proven = [...this.members.keys()].filter((member) => this.proven(member) && this.of(member).length > 0);
    const expected: Level = proven.length === 0 ? 'unknown' : this.required;
    if (this.level !== expected) fail(`level ${this.level} is shown, ${expected} is proven`);
    for (const member of proven) {
      for (const channel of this.of(member)) {
        if (this.meets(channel) && !channel.ready) fail(`channel ${channel.id} of a proven member is not ready`);
      }
    }
    if (this.speaker === undefined ? proven.length > 0 : !proven.includes(this.speaker))
      fail('the speaker is not here');
    for (const media of ['audio', 'video'] as const) this.#checkRoutes(media);
    if (this.required !== 'end-to-end' && this.live.length > 0) fail('a set below end-to-end');
    for (const { spiWord, fromMs } of this.barred) {
      if (now >= fromMs && this.live.some((set) => set.spiWord === spiWord))
        fail('a leaver could still read after 30 s');
    }
    const newest = this.live.at(-1);
    for (const set of this.live) {
      if (set !== newest && now > newest!.madeMs + SWITCH_OLD_SET_LIMIT_MS) fail('an old set outlived its limit');
    }
    for (const channel of this.channels.values()) {
      if (this.required !== 'end-to-end' || !channel.ready) continue;
      if (!this.live.some((set) => channel.acked.has(set.spiWord) || channel.pending.has(set.spiWord))) {
        fail(`a ready channel ${channel.id} holds no live set`);
      }
    }
  }

  #checkRoutes(media: 'audio' | 'video'): void {
    const sinks = new Set<string>();
    let previous: Edge | undefined;
    for (const edge of this.routes[media]) {
      const source = this.channels.get(edge.source) ?? fail('an edge from a closed channel');
      const receiver = this.channels.get(edge.receiver) ?? fail('an edge to a closed channel');
      if (!source.ready || !receiver.ready) fail('an edge of a channel that is not ready');
      if (source.member === receiver.member) fail('an edge to itself');
      if (source.media !== media || receiver.media !== media) fail('an edge between kinds');
      if (edge.position === 0 || ((source.tip?.transmitMask ?? 2) & (1 << edge.position)) === 0) fail('a bad position');
      if (edge.sink === 0 || ((receiver.tip?.receiveMask ?? 2) & (1 << edge.sink)) === 0) fail('a bad sink');
      if (media === 'video' && sinks.has(`${edge.receiver}.${edge.sink}`)) fail('two pictures on one display');
      sinks.add(`${edge.receiver}.${edge.sink}`);
      if (previous !== undefined && order(previous, edge) >= 0) fail('edges are not sorted, or one stands twice');
      previous = edge;
    }
    const ready = [...this.channels.values()].filter((channel) => channel.ready && channel.media === media);
    if (media === 'video') {
      for (const receiver of ready) {
        const sees = ((receiver.tip?.receiveMask ?? 2) & 0b1110) !== 0;
        const others = ready.some((s) => s.member !== receiver.member && ((s.tip?.transmitMask ?? 2) & 0b1110) !== 0);
        const shown = this.routes.video.some((edge) => edge.receiver === receiver.id);
        if (shown !== (sees && others)) fail(`receiver ${receiver.id}: the plan is not total`);
      }
    }
  }
}

function order(a: Edge, b: Edge): number {
  return a.receiver - b.receiver || a.sink - b.sink || a.source - b.source || a.position - b.position;
}
