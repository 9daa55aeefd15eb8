import { createCipheriv, createHmac } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import {
  benchAddon,
  type Course,
  LIBRARY_MANNERS,
  MANNERS,
  type NativeGround,
  type NativeLoad,
} from '../../../bench/native.js';

const BYTES = 100;
let ground: NativeGround;
let load: NativeLoad | undefined;

afterEach(() => {
  benchAddon().closeGround(ground);
  if (load !== undefined) benchAddon().closeLoad(load);
  load = undefined;
});

/** `sources` sources and sinks, and a course of `count` packets to the ports given, one at a time. */
function course(sources: number, receivers: number, count: number, o: { timed?: boolean; packets?: Uint8Array } = {}) {
  ground = benchAddon().createGround(sources, receivers, o.timed === true);
  load = benchAddon().createLoad([o.packets ?? new Uint8Array(BYTES)], BYTES);
  const to = (...ports: number[]): Course => ({ load: load!, ports, count, burst: 1, run: 1 });
  return { to, ports: benchAddon().groundPorts(ground) };
}

/** RTP packets of one stream, sequence numbers from 0. */
function rtp(count: number): Uint8Array {
  const out = new Uint8Array(count * BYTES).map((_, i) => i);
  for (let i = 0; i < count; i++) out.set([0x80, 96, i >> 8, i & 0xff, 0, 0, 0, 0, 1, 2, 3, 4], i * BYTES);
  return out;
}

describe('the ground', () => {
  it('does not call a load complete that nobody forwards', async () => {
    // A sink takes it, but it is not the last one: one of the two sinks has the packet, the other never gets it.
    const { to, ports } = course(1, 2, 1);
    expect(await benchAddon().send(ground, to(ports.sinks[0]!), 20)).toEqual({ sent: 1, arrived: 1, complete: false });
  });

  it('ends a load early on request, whatever its kind', async () => {
    const { to, ports } = course(1, 1, 1_000_000);
    const sending = benchAddon().send(ground, to(ports.sources[0]!), 3_600_000);
    benchAddon().abort(ground);
    expect(await sending).toMatchObject({ arrived: 0, complete: false });
    const pacing = await benchAddon().pace(ground, to(ports.sinks[0]!), 1, 20);
    expect(pacing.sent).toBe(0);
    expect((await benchAddon().saturate(ground, to(ports.sinks[0]!), 1, 60_000)).sent).toBe(0);
  });

  it('refuses a closed handle, one of another kind, and packets that do not fit', () => {
    const { to } = course(1, 1, 1);
    const replicator = benchAddon().startReplicator(ground, 0);
    expect(() => benchAddon().arrivals(replicator as never)).toThrow('handle');
    expect(() => benchAddon().createLoad([new Uint8Array(10)], 3)).toThrow('fit');
    expect(() => benchAddon().createLoad([new Uint8Array(10), new Uint8Array(5)], 5)).toThrow('fit');
    expect(() => benchAddon().send(ground, to(), 1)).toThrow('arguments');
    expect(() => benchAddon().send(ground, to(9, 9), 1)).toThrow('more lanes');
    expect(() => benchAddon().send(ground, { ...to(9), burst: 0 }, 1)).toThrow('arguments');
    expect(() => benchAddon().startReplicator(ground, MANNERS.length + LIBRARY_MANNERS.length)).toThrow('manner');
    benchAddon().closeReplicator(replicator);
    expect(() => benchAddon().replicatorState(replicator)).toThrow('handle');
    expect(() => benchAddon().createGround(1, 0, false)).toThrow('receivers');
  });

  it('sends the lanes in turn: as many packets of each', async () => {
    const { to, ports } = course(3, 3, 7);
    // Each sink is a lane's goal here; the last lane's packets are what the load waits for, and it waits in vain.
    const sent = await benchAddon().send(ground, { ...to(...ports.sinks), burst: 7, run: 1 }, 20);
    expect(sent).toEqual({ sent: 7, arrived: 7, complete: false });
  });

  it('paces by the clock and times what arrives at the last sink', async () => {
    const { to, ports } = course(1, 2, 50, { timed: true, packets: rtp(50) });
    const paced = await benchAddon().pace(ground, to(ports.sinks[1]!), 5_000, 5_000);
    expect(paced).toMatchObject({ sent: 50, arrived: 50 });
    expect(paced.latenciesUs).toHaveLength(50);
    expect(paced.latenciesUs.every((us) => us > 0)).toBe(true);
    // 49 intervals of 200 µs lie between the first packet and the last.
    expect(paced.sendingNs).toBeGreaterThanOrEqual(49 * 200_000);
    expect(paced.drainedNs).toBeGreaterThan(0);
  });

  it('keeps no more than the window under way, and counts lane by lane', async () => {
    const { to, ports } = course(2, 2, 30);
    // Lane 0 reaches its own sink; lane 1 sends where nothing arrives at its sink, and stops at its window.
    const done = await benchAddon().saturate(ground, to(ports.sinks[0]!, ports.sources[0]!), 3, 60_000);
    expect(done).toMatchObject({ sent: 33, arrived: 30 });
  });
});

describe('the copying relay', () => {
  it('gives each receiver SRTP under its own keys, and nothing for a packet that was changed', () => {
    course(1, 2, 1);
    const replicator = benchAddon().startReplicator(ground, MANNERS.indexOf('copies'));
    try {
      const packet = rtp(1);
      const inner = packet.slice(12, BYTES - 10);
      const sealed = benchAddon().protectForCopies(replicator, packet, BYTES);
      expect(sealed.subarray(12, BYTES - 10)).not.toEqual(inner);
      const keys = [0, 1].map((receiver) => {
        const given = benchAddon().copyFor(replicator, receiver, sealed);
        const [key, salt, auth] = [given.subarray(0, 16), given.subarray(16, 30), given.subarray(30, 50)];
        const copy = given.subarray(50);
        // RFC 3711 §4.1.1 and §4.2, SSRC 01020304, index 0.
        const iv = new Uint8Array(16);
        iv.set(salt);
        [1, 2, 3, 4].forEach((byte, i) => {
          iv[4 + i]! ^= byte;
        });
        const cipher = createCipheriv('aes-128-ctr', key, iv);
        expect(new Uint8Array(cipher.update(copy.subarray(12, BYTES - 10)))).toEqual(inner);
        const tagged = Buffer.concat([copy.subarray(0, BYTES - 10), new Uint8Array(4)]);
        const tag = createHmac('sha1', auth).update(tagged).digest().subarray(0, 10);
        expect(new Uint8Array(tag)).toEqual(new Uint8Array(copy.subarray(BYTES - 10)));
        return Buffer.from(key).toString('hex');
      });
      expect(keys[0]).not.toBe(keys[1]);
      for (const at of [0, 5, 20, BYTES - 1]) {
        const spoilt = Uint8Array.from(sealed);
        spoilt[at]! ^= 1;
        expect(benchAddon().copyFor(replicator, 0, spoilt)).toHaveLength(0);
      }
    } finally {
      benchAddon().closeReplicator(replicator);
    }
  });
});
