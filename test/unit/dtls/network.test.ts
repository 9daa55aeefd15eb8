/** What a network does to a handshake: loss, duplicates, disorder, garbage; and what the clock does. */
import { describe, expect, it } from 'vitest';
import { DTLS_HANDSHAKE_TIMEOUT_MS, DTLS_RETRANSMIT_INITIAL_MS } from '../../../src/base/limits.js';
import { expectEstablished, type Network, Pair, random, type Side, START } from './pair.js';

const MTUS = [1200, 256];
const countAt = new Map(MTUS.map((mtuBytes) => [mtuBytes, withMtu(mtuBytes).start().run().sent.length]));
const everyDatagram = MTUS.flatMap((mtuBytes) =>
  Array.from({ length: countAt.get(mtuBytes)! }, (_, index) => ({ mtuBytes, index })),
);

function withMtu(mtuBytes: number, network?: Network): Pair {
  return new Pair({ client: { mtuBytes }, server: { mtuBytes }, ...(network === undefined ? {} : { network }) });
}

describe('a handshake over a bad network', () => {
  it('is cut into many datagrams where the MTU is small, none larger than it', () => {
    expect(countAt.get(1200)).toBe(6);
    expect(countAt.get(256)).toBeGreaterThan(8);
    const pair = withMtu(256).start().run();
    expectEstablished(pair);
    expect(Math.max(...pair.sent.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(256);
  });

  it.each(everyDatagram)('survives the loss of datagram $index at an MTU of $mtuBytes', ({ mtuBytes, index }) => {
    expectEstablished(
      withMtu(mtuBytes, (_from, bytes, i) => (i === index ? [] : [bytes]))
        .start()
        .run(),
    );
  });

  it.each(everyDatagram)('survives a duplicate of datagram $index at an MTU of $mtuBytes', ({ mtuBytes, index }) => {
    expectEstablished(
      withMtu(mtuBytes, (_from, bytes, i) => (i === index ? [bytes, bytes] : [bytes]))
        .start()
        .run(),
    );
  });

  it.each(everyDatagram)('survives datagram $index overtaken, at an MTU of $mtuBytes', ({ mtuBytes, index }) => {
    let held: Uint8Array[] = [];
    let heldFrom: Side | undefined;
    const network: Network = (from, bytes, i) => {
      if (i === index) {
        held = [bytes];
        heldFrom = from;
        return [];
      }
      if (from !== heldFrom) return [bytes];
      return [bytes, ...held.splice(0)];
    };
    expectEstablished(withMtu(mtuBytes, network).start().run());
  });

  it('needs no retransmission when fragments arrive in any order', () => {
    // Datagrams 0 to 2 are hello, HelloVerifyRequest and hello; the server's flight follows.
    const flight = withMtu(256)
      .start()
      .run()
      .sent.slice(3)
      .findIndex(({ from }) => from === 'client');
    const held: Uint8Array[] = [];
    const pair = withMtu(256, (_from, bytes, i) => {
      if (i < 3 || i >= 3 + flight) return [bytes];
      held.push(bytes);
      return held.length === flight ? held.toReversed() : [];
    });
    pair.start().settle();
    expectEstablished(pair);
    expect(pair.now).toBe(START);
  });

  it('with two fifths of its datagrams lost is done or gives up', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const next = random(seed);
      const pair = new Pair({ network: (_from, bytes) => (next() < 0.4 ? [] : [bytes]) }).start().run();
      if (pair.failures.client.length + pair.failures.server.length === 0) expectEstablished(pair);
      else expect([...pair.failures.client, ...pair.failures.server].map((f) => f.reason)).toContain('timeout');
    }
  });
});

describe('the clock of a handshake', () => {
  it('repeats a flight after 0.4, 1.2, 2.8, 6 and 12.4 s and gives up after 15 s', () => {
    const pair = new Pair({ network: () => [] });
    const times: number[] = [];
    pair.network = (from) => {
      if (from === 'client') times.push(pair.now - START);
      return [];
    };
    pair.start().run();
    expect(times).toEqual([0, 400, 1_200, 2_800, 6_000, 12_400]);
    expect(pair.now - START).toBe(DTLS_HANDSHAKE_TIMEOUT_MS);
    expect(pair.failures.client.map((f) => f.reason)).toEqual(['timeout']);
    expect(pair.failures.server.map((f) => f.reason)).toEqual(['timeout']);
    expect(pair.engines.client.deadline()).toBeUndefined();
  });

  it('gives repeated records new numbers, so that no nonce is used twice', () => {
    const pair = new Pair({ network: (from, bytes, i) => (from === 'server' && i >= 5 && i < 7 ? [] : [bytes]) });
    pair.start().run();
    expectEstablished(pair);
    const heads = pair.sent.map(({ from, bytes }) => `${from} ${Buffer.from(bytes.subarray(3, 11)).toString('hex')}`);
    expect(new Set(heads).size).toBe(heads.length);
  });

  it('lets no time into an association that is established', () => {
    const pair = new Pair().start().run();
    expect(pair.engines.client.deadline()).toBeUndefined();
    expect(pair.engines.server.deadline()).toBeUndefined();
    pair.now += 3_600_000;
    pair.input('server', { type: 'tick' });
    expect(pair.states).toEqual(['established', 'established']);
  });

  it('answers a repeated Finished with the last flight, and nothing else', () => {
    // Lost is the server's last flight: only the client's timer and an authenticated repetition bring it back.
    const pair = new Pair({ network: (_from, bytes, i) => (i === 5 ? [] : [bytes]) }).start().settle();
    expect(pair.states).toEqual(['handshaking', 'established']);
    const before = pair.sent.length;
    for (const { from, bytes } of pair.sent.slice()) {
      if (from === 'client') pair.input('server', { type: 'datagram', bytes });
    }
    expect(pair.sent.length).toBe(before); // replays of the very same records
    pair.run();
    expectEstablished(pair);
    expect(pair.now).toBe(START + DTLS_RETRANSMIT_INITIAL_MS);
  });
});

describe('garbage', () => {
  it('of 0 to 64 bytes changes nothing at any moment', () => {
    const next = random(7);
    const check = (pair: Pair, to: Side) => {
      const engine = pair.engines[to];
      const before = [engine.state, engine.heldBytes, engine.deadline(), pair.sent.length];
      for (let length = 0; length <= 64; length++) {
        const noise = Uint8Array.from({ length }, () => next() * 256);
        pair.input(to, { type: 'datagram', bytes: noise });
        for (const epoch of [0, 1, 2]) {
          // As above behind a good record header, as far as it goes.
          const framed = Uint8Array.from([22, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 1, 0, 0, length, ...noise]);
          for (const type of [20, 22, 23]) {
            framed[0] = type;
            pair.input(to, { type: 'datagram', bytes: framed.subarray(0, 64) });
            pair.input(to, { type: 'datagram', bytes: framed });
          }
        }
      }
      expect([engine.state, engine.heldBytes, engine.deadline(), pair.sent.length]).toEqual(before);
    };
    const pair = new Pair().start();
    do {
      check(pair, 'client');
      check(pair, 'server');
    } while (pair.step());
    expectEstablished(pair);
  });

  it('as every truncation of every datagram neither fails nor stops a handshake', () => {
    const network: Network = (_from, bytes) => [...Array.from(bytes, (_, cut) => bytes.subarray(0, cut)), bytes];
    expectEstablished(new Pair({ network }).start().run());
  });

  it('as one changed byte never gives two sides different keys, and never an exception', () => {
    const next = random(3);
    for (let index = 0; index < 6; index++) {
      for (let at = 0; at < 900; at += 1 + Math.floor(next() * 90)) {
        const network: Network = (_from, bytes, i) => {
          if (i !== index || at >= bytes.length) return [bytes];
          const changed = Uint8Array.from(bytes);
          changed[at] = changed[at]! ^ (1 + Math.floor(next() * 255));
          return [changed];
        };
        const pair = new Pair({ network }).start().run();
        if (pair.keys.client.length + pair.keys.server.length > 1) expectEstablished(pair);
      }
    }
  });
});
