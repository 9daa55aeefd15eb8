/** Who may try to prove himself on a channel: attacks from off the path on a call that is being set up. */
import { describe, expect, it } from 'vitest';
import type { Address } from '../../../src/base/ids.js';
import {
  DTLS_COOKIE_LIFETIME_MS,
  DTLS_MAX_PARALLEL_ADDRESSES,
  DTLS_STRANGER_PATIENCE_MS,
  RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND,
  RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND,
} from '../../../src/base/limits.js';
import { RelayCore } from '../../../src/relay/harness.js';
import { clientHello, cookieOf } from '../../support/hello.js';

const SIGNALLED: Address = { address: '192.0.2.7', port: 40_000 };
const FLIGHT = Uint8Array.of(22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0);
const stranger = (n: number): Address => ({ address: `198.51.${n >> 8}.${n & 255}`, port: 1_000 + n });

function waiting(): RelayCore {
  const core = new RelayCore();
  core.openChannel({ channel: 1, conference: 1, member: 1, media: 'audio', transport: 'dtls' });
  core.awaitPeer(1, SIGNALLED);
  return core;
}

const cookieFor = (core: RelayCore, from: Address, now: number): Uint8Array | undefined => {
  const [answer] = core.feed(1, clientHello(), now, from).outputs;
  return answer === undefined ? undefined : cookieOf(answer.bytes);
};

/** Asks for a cookie and brings it back. */
function knock(core: RelayCore, from: Address, now: number) {
  return core.feed(1, clientHello(cookieFor(core, from, now)), now, from);
}

const heard = (outcome: ReturnType<RelayCore['feed']>): boolean => outcome.events.some((e) => e.type === 'dtls');

describe('the door of a channel', () => {
  it('a hello from a forged address costs no event and no place, and is answered with fewer bytes', () => {
    const core = waiting();
    for (let n = 0; n < 500; n++) {
      const { drop, events, outputs } = core.feed(1, clientHello(), n, stranger(n));
      expect([drop, events]).toEqual([undefined, []]);
      expect(outputs).toHaveLength(1);
      expect(outputs[0]!.bytes.length).toBeLessThan(clientHello().length);
    }
    expect(heard(knock(core, stranger(1_000), 500))).toBe(true);
    expect(heard(knock(core, SIGNALLED, 500))).toBe(true);
  });

  it('a flood of hellos from many addresses does not use up what the signalled address may send', () => {
    const core = waiting();
    let limited = 0;
    for (let n = 0; n < 3 * RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND; n++) {
      if (core.feed(1, clientHello(), 1_000, stranger(n)).drop === 'rate_limited') limited++;
    }
    expect(limited).toBeGreaterThan(RELAY_DTLS_HELLOS_PER_CHANNEL_SECOND);
    expect(heard(knock(core, SIGNALLED, 1_000))).toBe(true);
    expect(heard(core.feed(1, FLIGHT, 1_000, SIGNALLED))).toBe(true);
  });

  it('a flood under the signalled address without its cookie does not take its place', () => {
    const core = waiting();
    const cookie = cookieFor(core, SIGNALLED, 1_000);
    expect(heard(core.feed(1, clientHello(cookie), 1_000, SIGNALLED))).toBe(true);
    for (let n = 0; n < 300; n++) core.feed(1, clientHello(undefined, n & 255), 1_001, SIGNALLED);
    expect(heard(core.feed(1, FLIGHT, 1_001, SIGNALLED))).toBe(true);
  });

  it('a cookie opens nothing from another address, for another hello, or in a first message', () => {
    const core = waiting();
    const cookie = cookieFor(core, stranger(1), 0)!;
    const attempts: [Uint8Array, Address][] = [
      [clientHello(cookie), stranger(2)],
      [clientHello(cookie), { ...stranger(1), port: 9 }],
      [clientHello(cookie, 8), stranger(1)],
      [clientHello(cookie.map((byte, i) => (i === 5 ? byte ^ 1 : byte))), stranger(1)],
      [clientHello(new Uint8Array(0)), stranger(1)],
    ];
    for (const [hello, from] of attempts) expect(core.feed(1, hello, 1, from).events).toEqual([]);
    const first = clientHello(cookie);
    first[18] = 0;
    expect(core.feed(1, first, 1, stranger(1)).events).toEqual([]);
    expect(heard(core.feed(1, clientHello(cookie), 1, stranger(1)))).toBe(true);
  });

  it('a cookie is good under the secret it was made with and the next, and no longer', () => {
    const core = waiting();
    const cookie = cookieFor(core, SIGNALLED, 1)!;
    core.feed(1, clientHello(), DTLS_COOKIE_LIFETIME_MS + 1, stranger(1));
    expect(heard(core.feed(1, clientHello(cookie), DTLS_COOKIE_LIFETIME_MS + 2, SIGNALLED))).toBe(true);
    const late = waiting();
    const old = cookieFor(late, SIGNALLED, 1)!;
    late.feed(1, clientHello(), DTLS_COOKIE_LIFETIME_MS + 1, stranger(1));
    expect(late.feed(1, clientHello(old), 2 * DTLS_COOKIE_LIFETIME_MS + 2, SIGNALLED).events).toEqual([]);
  });

  it('among strangers the latest is refused, until the oldest had its time; the signalled address is let in at once', () => {
    const core = waiting();
    for (let n = 0; n < DTLS_MAX_PARALLEL_ADDRESSES; n++) expect(heard(knock(core, stranger(n), 10))).toBe(true);
    const late = stranger(50);
    expect(knock(core, late, 20)).toMatchObject({ drop: 'queue_full', events: [] });
    expect(core.feed(1, FLIGHT, 20, late).drop).toBe('unknown_source');
    expect(heard(core.feed(1, FLIGHT, 20, stranger(0)))).toBe(true);
    expect(heard(knock(core, SIGNALLED, 20))).toBe(true);
    expect(heard(knock(core, late, 10 + DTLS_STRANGER_PATIENCE_MS))).toBe(true);
    expect(core.feed(1, FLIGHT, 10 + DTLS_STRANGER_PATIENCE_MS, stranger(0)).drop).toBe('unknown_source');
    expect(heard(core.feed(1, FLIGHT, 10 + DTLS_STRANGER_PATIENCE_MS, SIGNALLED))).toBe(true);
  });

  it('one address that floods its handshake does not use up what another may send', () => {
    const core = waiting();
    knock(core, stranger(1), 0);
    knock(core, SIGNALLED, 0);
    const drops = Array.from({ length: 2 * RELAY_DTLS_DATAGRAMS_PER_ADDRESS_SECOND }, () => {
      return core.feed(1, FLIGHT, 0, stranger(1)).drop;
    });
    expect(drops.filter((d) => d === 'rate_limited').length).toBeGreaterThan(190);
    expect(heard(core.feed(1, FLIGHT, 0, SIGNALLED))).toBe(true);
  });

  it('whom we call answers without a cookie, and only he', () => {
    const core = waiting();
    core.awaitPeer(1, SIGNALLED, true);
    expect(heard(core.feed(1, FLIGHT, 0, SIGNALLED))).toBe(true);
    expect(core.feed(1, FLIGHT, 0, stranger(1)).drop).toBe('unknown_source');
  });

  it('hellos cut at any byte give a verdict and change nothing', () => {
    const core = waiting();
    const hello = clientHello(cookieFor(core, SIGNALLED, 0));
    for (let length = 1; length < hello.length; length++) {
      expect(core.feed(1, hello.subarray(0, length), 0, SIGNALLED).events).toEqual([]);
    }
    expect(heard(core.feed(1, hello, 0, SIGNALLED))).toBe(true);
  });
});
