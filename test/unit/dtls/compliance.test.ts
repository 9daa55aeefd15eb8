/** What every engine does in every role, alone and crosswise: handshakes, bad networks, limits. The attacks are in attacks.test.ts. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import * as tsLimits from '../../../src/base/limits.js';
import {
  DTLS_HANDSHAKE_TIMEOUT_MS,
  DTLS_PLAINTEXT_FAILURE_GRACE_MS,
  DTLS_RETRANSMIT_INITIAL_MS,
  MAX_DATAGRAM_BYTES,
} from '../../../src/base/limits.js';
import { PROFILE_SIZES, type SrtpProfile } from '../../../src/dtls/association.js';
import { fingerprintOf } from '../../../src/dtls/certificate.js';
import { addon } from '../../../src/dtls/openssl/addon.js';
import { OpensslAssociation } from '../../../src/dtls/openssl/association.js';
import { GROUP } from '../../../src/dtls/werift/messages.js';
import { CONTENT, RECORD_HEADER_BYTES } from '../../../src/dtls/werift/records.js';
import { record } from './forge.js';
import { KINDS, WEAK_RSA } from './kinds.js';
import { MATCHES, play, SIDES, showing } from './matches.js';
import {
  ALL_PROFILES,
  certificates,
  expectEstablished,
  type Network,
  optionsFor,
  Pair,
  type PairChange,
  random,
  type Side,
  START,
} from './pair.js';

const MTUS = [1200, 256];

it('OpenSSL has the limits of src/base/limits.ts', () => {
  const limits: Record<string, unknown> = { ...tsLimits };
  for (const [name, value] of Object.entries(addon().limits())) expect(limits[name], name).toBe(value);
});

describe.each(MATCHES)('a handshake: $match', ({ engines }) => {
  it.each(ALL_PROFILES.flatMap((profile) => Object.entries(GROUP).map(([name, group]) => ({ profile, name, group }))))(
    'gives both sides the same keys: profile $profile, $name',
    ({ profile, name, group }) => {
      // OpenSSL's list is also about the certificate's curve (RFC 8422 §5.1), so that P-256 cannot be left out for it.
      const groups = [group, ...(name === 'x25519' ? [GROUP.secp256r1] : [])];
      const pair = play(engines, { client: { profiles: [profile] }, clientTuning: { groups } });
      expectEstablished(pair);
      const keys = pair.keys.client[0]!;
      expect(keys.profile).toBe(profile);
      for (const secret of [keys.local, keys.remote]) {
        expect(secret.length).toBe(PROFILE_SIZES[profile].key + PROFILE_SIZES[profile].salt);
      }
      for (const side of SIDES) {
        const promised = fingerprintOf(certificates[side === 'client' ? 'server' : 'client'].certificatePem, 'sha-256');
        expect(pair.keys[side][0]!.peerFingerprint).toBe(Buffer.from(promised.value).toString('hex'));
      }
    },
  );

  it('takes the first profile of the server that the client offers', () => {
    const choose = (client: readonly SrtpProfile[], server: readonly SrtpProfile[]) => {
      const pair = play(engines, { client: { profiles: client }, server: { profiles: server } });
      expectEstablished(pair);
      return pair.keys.client[0]!.profile;
    };
    expect(choose([1, 7, 8], [8, 7, 1])).toBe(8);
    expect(choose([8, 7, 1], [1, 7, 8])).toBe(1);
    expect(choose([7, 1], [8, 7, 1])).toBe(7);
  });

  it.each(Object.entries(KINDS))('takes a certificate from either side: %s', (name, certificate) => {
    const promise = { peerFingerprints: [fingerprintOf(certificate.certificatePem, 'sha-384')] };
    const both = { ...showing(certificate), ...promise };
    if (name.includes('P-384') && engines.client === 'werift' && engines.server === 'openssl') {
      // RFC 8422 §5.1: a client's groups bind the certificates too, and werift's codecs know no P-384 to announce.
      const shown = play(engines, { client: showing(certificate), server: promise });
      expect(shown.failures.server).toMatchObject([{ reason: 'protocol-error', detail: 'wrong curve' }]);
      const asked = play(engines, { server: showing(certificate), client: promise });
      expect(asked.failures.server).toMatchObject([{ reason: 'no-common-parameters' }]);
      return;
    }
    expectEstablished(play(engines, { server: showing(certificate), client: promise }));
    expectEstablished(play(engines, { client: showing(certificate), server: promise }));
    expectEstablished(play(engines, { client: { ...both, ...showing(certificate) }, server: both }));
  });

  it.each(SIDES)('does not begin with a certificate that is too weak or not ours: %s', (side) => {
    for (const own of [showing(WEAK_RSA), { certificatePem: 'nothing' }]) {
      const pair = play(engines, { [side]: own });
      expect(pair.failures[side].map((f) => f.reason)).toEqual(['no-certificate']);
    }
  });

  // werift's server has no such choice: it agrees whenever the client offers.
  it.each(SIDES.filter((side) => side === 'client' || engines.server === 'openssl'))(
    'goes without the extended master secret where this side does not have it: %s',
    (side) => {
      const pair = play(engines, { [`${side}Tuning`]: { extendedMasterSecret: false } });
      expectEstablished(pair);
      for (const engine of Object.values(pair.engines)) {
        if (engine instanceof OpensslAssociation) expect(engine.status.extendedMasterSecret).toBe(false);
      }
    },
  );

  it('is bound to the extended master secret where both have it, under an AEAD suite', () => {
    const pair = play(engines);
    for (const engine of Object.values(pair.engines)) {
      if (!(engine instanceof OpensslAssociation)) continue;
      expect(engine.status.extendedMasterSecret).toBe(true);
      expect(engine.status.suite).toMatch(/^ECDHE-ECDSA-(AES(128|256)-GCM|CHACHA20)/);
    }
  });

  it('closes both sides with one authenticated close_notify each', () => {
    for (const side of SIDES) {
      const pair = play(engines);
      const before = pair.sent.length;
      pair.input(side, { type: 'close' });
      expect(pair.closed[side]).toBe(1);
      pair.settle();
      expect(pair.states).toEqual(['closed', 'closed']);
      expect(pair.closed).toEqual({ client: 1, server: 1 });
      const ends = pair.sent.slice(before).map(({ from, bytes }) => [from, bytes[0], bytes[4]]);
      expect(ends).toEqual([
        [side, CONTENT.alert, 1],
        [side === 'client' ? 'server' : 'client', CONTENT.alert, 1],
      ]);
    }
  });

  it('takes nothing before its start, nothing but its first start, and nothing after its end', () => {
    for (const side of SIDES) {
      const early = new Pair({ engines });
      early.input(side, { type: 'datagram', bytes: Uint8Array.of(22) });
      expect(early.engines[side].state).toBe('new');
      const pair = play(engines);
      pair.input(side, { type: 'start' });
      expectEstablished(pair);
      pair.input(side, { type: 'close' });
      const sent = pair.sent.length;
      for (const type of ['start', 'close', 'tick'] as const) pair.input(side, { type });
      pair.input(side, { type: 'datagram', bytes: pair.sent[1]!.bytes });
      expect(pair.sent.length).toBe(sent);
      expect(pair.closed[side]).toBe(1);
    }
  });
});

describe.each(MATCHES)('a bad network: $match', ({ engines }) => {
  const withMtu = (mtuBytes: number, network?: Network) => {
    const change: PairChange = { client: { mtuBytes }, server: { mtuBytes }, opensslRetransmitMs: 40 };
    return play(engines, network === undefined ? change : { ...change, network });
  };
  const overtaken = (index: number): Network => {
    let held: Uint8Array[] = [];
    let heldFrom: Side | undefined;
    return (from, bytes, i) => {
      if (i === index) {
        held = [bytes];
        heldFrom = from;
        return [];
      }
      return from === heldFrom ? [bytes, ...held.splice(0)] : [bytes];
    };
  };

  it.each(MTUS)('may lose, repeat or delay any one datagram, at an MTU of %i', (mtuBytes) => {
    const count = withMtu(mtuBytes).sent.length;
    expect(count).toBeGreaterThan(mtuBytes === 1200 ? 5 : 8);
    for (let index = 0; index < count; index++) {
      const lost = withMtu(mtuBytes, (_from, bytes, i) => (i === index ? [] : [bytes]));
      expectEstablished(lost);
      expect(Math.max(...lost.sent.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(mtuBytes);
      expectEstablished(withMtu(mtuBytes, (_from, bytes, i) => (i === index ? [bytes, bytes] : [bytes])));
      expectEstablished(withMtu(mtuBytes, overtaken(index)));
    }
  });

  it('may deliver the pieces of a flight in any order', () => {
    const small = { client: { mtuBytes: 256 }, server: { mtuBytes: 256 } };
    const sent = play(engines, small).sent;
    const first = sent.findIndex(({ from }, i) => i > 2 && from === 'server');
    const flight = sent.slice(first).findIndex(({ from }) => from === 'client');
    const held: Uint8Array[] = [];
    const network: Network = (_from, bytes, i) => {
      if (i < first || i >= first + flight) return [bytes];
      held.push(bytes);
      return held.length === flight ? held.toReversed() : [];
    };
    const pair = new Pair({ ...small, engines, network }).start().settle();
    expectEstablished(pair);
    expect(pair.now).toBe(START);
  });

  it('may cut every datagram at every byte and send the pieces too', () => {
    const network: Network = (_from, bytes) => [...Array.from(bytes, (_, cut) => bytes.subarray(0, cut)), bytes];
    expectEstablished(play(engines, { network }));
  });

  it('may change one byte: there are the same keys on both sides or none on one', () => {
    const next = random(3);
    for (let index = 0; index < 6; index++) {
      for (let at = 0; at < 700; at += 1 + Math.floor(next() * 90)) {
        const network: Network = (_from, bytes, i) => {
          if (i !== index || at >= bytes.length) return [bytes];
          const changed = Uint8Array.from(bytes);
          changed[at] = changed[at]! ^ (1 + Math.floor(next() * 255));
          return [changed];
        };
        const pair = play(engines, { network });
        if (pair.keys.client.length + pair.keys.server.length > 1) expectEstablished(pair);
      }
    }
  });

  it('may be dead: both give up after 15 s', () => {
    const pair = play(engines, { network: () => [] });
    for (const side of SIDES) expect(pair.failures[side].map((f) => f.reason)).toEqual(['timeout']);
    expect(pair.now - START).toBe(DTLS_HANDSHAKE_TIMEOUT_MS);
    for (const side of SIDES) expect(pair.engines[side].deadline()).toBeUndefined();
  });

  it('may lose the last flight: a repeated Finished brings it back, a replayed one does not', () => {
    const lost = play(engines).sent.findLastIndex(({ from }) => from === 'server');
    const network: Network = (_from, bytes, i) => (i === lost ? [] : [bytes]);
    const pair = new Pair({ engines, network, opensslRetransmitMs: 40 }).start().settle();
    expect(pair.states).toEqual(['handshaking', 'established']);
    const before = pair.sent.length;
    for (const { from, bytes } of pair.sent.slice()) {
      if (from === 'client') pair.input('server', { type: 'datagram', bytes });
    }
    expect(pair.sent.length).toBe(before);
    expectEstablished(pair.run());
    // No nonce and no record number is used twice.
    for (const side of SIDES) {
      const heads = pair.sent
        .filter(({ from, bytes }) => from === side && bytes[4] === 1)
        .map(({ bytes }) => Buffer.from(bytes.subarray(3, 11)).toString('hex'));
      expect(new Set(heads).size).toBe(heads.length);
    }
  });

  it('is made up for by the caller’s clock alone: a wall clock that stands still or is set stops nothing', () => {
    const pair = new Pair({ engines, network: () => [] }).start();
    const hellos = () => pair.sent.filter(({ from }) => from === 'client').length;
    expect(hellos()).toBe(1);
    for (const [waitMs, sent] of [
      [DTLS_RETRANSMIT_INITIAL_MS, 2],
      [DTLS_RETRANSMIT_INITIAL_MS * 2, 3],
      [DTLS_RETRANSMIT_INITIAL_MS * 4, 4],
    ] as const) {
      expect(pair.engines.client.deadline()).toBe(pair.now + waitMs);
      pair.now += waitMs - 1;
      pair.input('client', { type: 'tick' });
      expect(hellos()).toBe(sent - 1);
      pair.now += 1;
      pair.input('client', { type: 'tick' });
      expect(hellos()).toBe(sent);
    }
  });

  it('lets no time into an association that is established', () => {
    const pair = play(engines);
    pair.now += 3_600_000;
    for (const side of SIDES) {
      expect(pair.engines[side].deadline()).toBeUndefined();
      pair.input(side, { type: 'tick' });
    }
    expectEstablished(pair);
  });
});

describe.each(MATCHES)('what OpenSSL itself does not see to: $match', ({ engines }) => {
  const alert = record(CONTENT.alert, Uint8Array.of(2, 40));

  it('an alert is forgotten when the handshake moves after it', () => {
    const queue: Uint8Array[] = [];
    const network: Network = (from, bytes, i) => {
      if (from === 'client' || i !== 1) return [bytes];
      queue.push(bytes); // the HelloVerifyRequest comes later
      return [];
    };
    const pair = new Pair({ engines, network }).start().settle();
    pair.input('client', { type: 'datagram', bytes: alert });
    pair.input('client', { type: 'datagram', bytes: queue[0]! });
    pair.network = () => [];
    pair.now += DTLS_PLAINTEXT_FAILURE_GRACE_MS;
    pair.input('client', { type: 'tick' });
    expect(pair.engines.client.state).toBe('handshaking');
  });

  it('a datagram above the limit is not read', () => {
    const pair = new Pair({ engines, network: () => [] }).start();
    const hello = pair.sent[0]!.bytes;
    const before = pair.sent.length;
    const room = MAX_DATAGRAM_BYTES + 1 - hello.length - RECORD_HEADER_BYTES;
    const padded = concat(hello, record(CONTENT.applicationData, new Uint8Array(room)));
    pair.input('server', { type: 'datagram', bytes: padded });
    expect(pair.sent.length).toBe(before);
    pair.input('server', { type: 'datagram', bytes: padded.subarray(0, MAX_DATAGRAM_BYTES) });
    expect(pair.sent.length).toBe(before + 1);
  });
});

describe('a private key', () => {
  it('is not read again, nor kept as PEM, once OpenSSL has it', () => {
    const options = optionsFor('client');
    const association = new OpensslAssociation(options);
    association.receive({ type: 'start' }, START);
    options.privateKeyPem.wipe();
    association.receive({ type: 'start' }, START);
    expect(association.state).toBe('handshaking');
  });
});
