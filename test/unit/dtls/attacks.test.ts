/**
 * Attacks on every engine in every role; each is named after the threat, and each says what stopped it. Who forges is werift,
 * whose inside a test can bend; who edits on the way is the network.
 */
import { describe, expect, it, vi } from 'vitest';
import { DTLS_PLAINTEXT_FAILURE_GRACE_MS } from '../../../src/base/limits.js';
import type { AssociationFailure, FingerprintAlgorithm } from '../../../src/dtls/association.js';
import { fingerprintOf } from '../../../src/dtls/certificate.js';
import { werift } from '../../../src/dtls/werift/library.js';
import {
  GROUP,
  readServerKeyExchange,
  writeCertificate,
  writeServerKeyExchange,
} from '../../../src/dtls/werift/messages.js';
import { frameFragment, frameMessage, HANDSHAKE } from '../../../src/dtls/werift/reassembly.js';
import { CONTENT, frameRecord, VERSION_1_2 } from '../../../src/dtls/werift/records.js';
import { messagesIn, record, rewriting } from './forge.js';
import { ENGINES, MATCHES, other, play, SIDES, showing } from './matches.js';
import { certificates, expectEstablished, type Network, Pair, random, type Side, START } from './pair.js';

const FATAL = Uint8Array.of(2, 40);
/** Shorter than what a cipher adds: OpenSSL 3.0 by itself would end over one. */
const SHORT = Array.from({ length: 26 }, (_, length) => new Uint8Array(length));
const CLOSE_NOTIFY = Uint8Array.of(1, 0);

/** `side` found the attack, for `reason`, and neither side has keys. */
function expectCaught(pair: Pair, side: Side, reason: AssociationFailure): void {
  expect(pair.failures[side].map((f) => f.reason)).toEqual([reason]);
  expect(pair.keys[side]).toEqual([]);
  expect(pair.engines[side].state).toBe('failed');
}

/** `victim` plays `side` against a werift whose inside is bent. */
const against = (side: Side, victim: (typeof ENGINES)[number]) =>
  ({ client: 'werift', server: 'werift', [side]: victim }) as const;

describe.each(ENGINES)('a forger against %s', (victim) => {
  const strangersKey = () => ({ privateKeyPem: showing(certificates.stranger).privateKeyPem });

  it('with a stolen certificate does not get in as a client (CertificateVerify)', () => {
    const pair = play(against('server', victim), { client: strangersKey() });
    expectCaught(pair, 'server', 'certificate-verify-invalid');
    expect(pair.keys.client).toEqual([]);
  });

  it('with a stolen certificate does not answer as a server (signature of ServerKeyExchange)', () => {
    const pair = play(against('client', victim), { server: strangersKey() });
    expectCaught(pair, 'client', 'key-exchange-signature-invalid');
    expect(pair.keys.server).toEqual([]);
  });

  it.each([
    ['client', 'prfVerifyDataClient'],
    ['server', 'prfVerifyDataServer'],
  ] as const)('with a wrong Finished is refused by the other side: as a %s', (forger, name) => {
    const pair = new Pair({ engines: against(other(forger), victim) });
    pair.around = (at, receive) => {
      if (at !== forger) return receive();
      const spy = vi.spyOn(werift, name).mockImplementation(() => Buffer.alloc(12, 0xab));
      receive();
      spy.mockRestore();
    };
    expectCaught(pair.start().run(), other(forger), 'finished-invalid');
  });

  it('gets an ordinary handshake where nothing is forged', () => {
    for (const side of SIDES) expectEstablished(play(against(side, victim)));
  });
});

describe.each(MATCHES)('who edits ServerKeyExchange is caught by its signature: $match', ({ engines }) => {
  it('with a key share of his own', () => {
    const share = werift.generateKeyPair(GROUP.x25519).publicKey;
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, (body) => {
      const { hashAlgorithm, signatureAlgorithm, signature } = readServerKeyExchange(body)!;
      return writeServerKeyExchange(GROUP.x25519, share, (hashAlgorithm << 8) | signatureAlgorithm, signature);
    });
    expectCaught(play(engines, { network }), 'client', 'key-exchange-signature-invalid');
  });

  it('with a whole message of an earlier handshake, because the randoms are signed', () => {
    const old = play(engines)
      .sent.flatMap(({ bytes }) => messagesIn(bytes))
      .find((m) => m.type === HANDSHAKE.serverKeyExchange);
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, () => old!.body);
    expectCaught(play(engines, { network }), 'client', 'key-exchange-signature-invalid');
  });

  it.each([
    ['SHA-1 with ECDSA', 0x0203],
    ['RSA under an ECDSA certificate', 0x0401],
    ['no known scheme', 0xfefe],
  ])('with a scheme that was not offered or does not fit: %s', (_name, scheme) => {
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, (body) => {
      const { namedCurve, publicKey, signature } = readServerKeyExchange(body)!;
      return writeServerKeyExchange(namedCurve, publicKey, scheme, signature);
    });
    expectCaught(play(engines, { network }), 'client', 'key-exchange-signature-invalid');
  });
});

describe.each(MATCHES)('a certificate that SDP did not promise: $match', ({ engines }) => {
  it.each(SIDES)('is refused by the other side, though its sender holds the key: %s', (side) => {
    const pair = play(engines, { [side]: showing(certificates.stranger) });
    expectCaught(pair, other(side), 'fingerprint-mismatch');
    expect(pair.keys[side]).toEqual([]);
  });

  it.each(SIDES)('yields no keys where nothing was promised, or only part of a hash: %s', (side) => {
    const promise = fingerprintOf(certificates[other(side)].certificatePem, 'sha-256');
    const part = { ...promise, value: promise.value.subarray(0, 16) };
    const otherHash: typeof promise = { ...promise, algorithm: 'sha-512' };
    for (const peerFingerprints of [[], [part], [otherHash]]) {
      expectCaught(play(engines, { [side]: { peerFingerprints } }), side, 'fingerprint-mismatch');
    }
  });

  it.each<FingerprintAlgorithm>(['sha-256', 'sha-384', 'sha-512'])('is told from the promised one by %s', (hash) => {
    for (const side of SIDES) {
      const good = [fingerprintOf(certificates[other(side)].certificatePem, hash)];
      const bad = [fingerprintOf(certificates.stranger.certificatePem, hash)];
      expectEstablished(play(engines, { [side]: { peerFingerprints: [...bad, ...good] } }));
      expectCaught(play(engines, { [side]: { peerFingerprints: bad } }), side, 'fingerprint-mismatch');
    }
  });

  it('is not made up for by showing none', () => {
    const network = rewriting('client', HANDSHAKE.certificate, () => new Uint8Array(3)); // an empty list
    expectCaught(play(engines, { network }), 'server', 'no-certificate');
  });

  it('is not followed by keys for a client that leaves its message out', () => {
    const network: Network = (from, bytes) =>
      from === 'client' && messagesIn(bytes).some((m) => m.type === HANDSHAKE.certificate)
        ? messagesIn(bytes)
            .filter((m) => m.type === HANDSHAKE.clientKeyExchange)
            .map((m) => record(CONTENT.handshake, frameMessage({ ...m, sequence: 2 }), 0, 900))
        : [bytes];
    expectCaught(play(engines, { network }), 'server', 'no-certificate');
  });
});

describe.each(MATCHES)('a man in the middle: $match', ({ engines }) => {
  const edit = (from: Side, type: number, find: readonly number[], put: readonly number[]): Network =>
    rewriting(from, type, (body) => {
      const at = Buffer.from(body.buffer).indexOf(Buffer.from(find));
      expect(at).toBeGreaterThan(0);
      body.set(put, at);
      return body;
    });

  it('cannot take the better SRTP profiles out of the offer (transcript under CertificateVerify)', () => {
    const offer = [0, 14, 0, 9, 0, 6, 0, 1, 0, 7, 0, 8, 0];
    const network = edit('client', HANDSHAKE.clientHello, offer, [0, 14, 0, 9, 0, 6, 0, 1, 0, 1, 0, 1, 0]);
    const pair = play(engines, { server: { profiles: [8, 7, 1] }, network });
    expectCaught(pair, 'server', 'certificate-verify-invalid');
    expect(pair.keys.client).toEqual([]);
  });

  it('cannot take the extended master secret out of the offer (transcript under CertificateVerify)', () => {
    const network = edit('client', HANDSHAKE.clientHello, [0, 23, 0, 0], [0, 0x99, 0, 0]);
    const pair = play(engines, { network });
    expectCaught(pair, 'server', 'certificate-verify-invalid');
    expect(pair.keys.client).toEqual([]);
  });

  it('cannot give the client an SRTP profile that it did not offer', () => {
    const network = rewriting('server', HANDSHAKE.serverHello, (body) => {
      body[Buffer.from(body.buffer).indexOf(Buffer.from([0, 14, 0, 5, 0, 2])) + 7] = 2; // AES128_CM_HMAC_SHA1_32
      return body;
    });
    expectCaught(play(engines, { network }), 'client', 'no-common-profile');
  });

  it('cannot lower the version', () => {
    const network = rewriting('server', HANDSHAKE.serverHello, (body) => {
      body[1] = 0xff; // DTLS 1.0
      return body;
    });
    expectCaught(play(engines, { network }), 'client', 'no-common-parameters');
  });

  it('cannot make the key share a point of small order, off the curve or of another form', () => {
    const p256 = { clientTuning: { groups: [GROUP.secp256r1] } };
    const smallOrder = rewriting('client', HANDSHAKE.clientKeyExchange, () => Uint8Array.of(32, ...new Uint8Array(32)));
    expectCaught(play(engines, { network: smallOrder }), 'server', 'protocol-error');
    for (const point of [[4, ...new Uint8Array(63), 1], [4], []]) {
      const body = Uint8Array.of(point.length, ...point);
      const network = rewriting('client', HANDSHAKE.clientKeyExchange, () => body);
      expectCaught(play(engines, { ...p256, network }), 'server', 'protocol-error');
    }
  });

  it.each([
    ['ServerHello', 'server', HANDSHAKE.serverHello, 5],
    ['Certificate of the server', 'server', HANDSHAKE.certificate, 40],
    ['CertificateRequest', 'server', HANDSHAKE.certificateRequest, 1],
    ['Certificate of the client', 'client', HANDSHAKE.certificate, 40],
    ['ClientKeyExchange', 'client', HANDSHAKE.clientKeyExchange, 7],
    ['CertificateVerify', 'client', HANDSHAKE.certificateVerify, 20],
  ] as const)('cannot change a byte of %s: no two sides have keys', (_name, from, type, at) => {
    const network = rewriting(from, type, (body) => {
      body[at] = body[at]! ^ 0x40;
      return body;
    });
    const pair = play(engines, { network });
    expect(pair.keys).toEqual({ client: [], server: [] });
    expect(pair.states).toEqual(['failed', 'failed']);
  });
});

describe.each(MATCHES)('options that do not meet: $match', ({ engines }) => {
  it('fail for want of a common profile, and the client is told', () => {
    const pair = play(engines, { client: { profiles: [1] }, server: { profiles: [7, 8] } });
    expectCaught(pair, 'server', 'no-common-profile');
    expectCaught(pair, 'client', 'alert-received');
    expect(pair.failures.client[0]!.alert).toBe(40);
  });
});

describe.each(MATCHES)('a live association: $match', ({ engines }) => {
  const expectUntouched = (pair: Pair, act: () => void) => {
    const before = pair.sent.length;
    act();
    expect(pair.sent.length).toBe(before);
    expectEstablished(pair);
    expect(pair.closed).toEqual({ client: 0, server: 0 });
  };

  it.each(SIDES)('ignores plaintext alerts, hellos, handshake messages and data: %s', (side) => {
    const pair = play(engines);
    const piece = { type: HANDSHAKE.certificate, length: 4000, offset: 9, bytes: new Uint8Array(50) };
    expectUntouched(pair, () => {
      for (const bytes of [
        record(CONTENT.alert, FATAL),
        record(CONTENT.alert, CLOSE_NOTIFY),
        record(CONTENT.applicationData, new Uint8Array(30)),
        record(CONTENT.changeCipherSpec, Uint8Array.of(1)),
        ...pair.sent.map((datagram) => datagram.bytes),
        ...Array.from({ length: 12 }, (_, sequence) =>
          record(CONTENT.handshake, frameFragment({ ...piece, sequence }), 0, 2000 + sequence),
        ),
      ]) {
        pair.input(side, { type: 'datagram', bytes });
        expect(pair.engines[side].heldBytes).toBe(0);
      }
    });
  });

  it.each(SIDES)('ignores what does not authenticate under its epoch or another: %s', (side) => {
    const pair = play(engines);
    expectUntouched(pair, () => {
      for (const epoch of [1, 2, 65535]) {
        for (const type of [CONTENT.alert, CONTENT.handshake, CONTENT.applicationData, CONTENT.changeCipherSpec]) {
          for (const payload of [FATAL, CLOSE_NOTIFY, new Uint8Array(26), ...SHORT, new Uint8Array(400)]) {
            pair.input(side, { type: 'datagram', bytes: record(type, payload, epoch, 5) });
          }
        }
      }
    });
  });

  it.each(SIDES)('ignores its own records sent back and replays of the peer: %s', (side) => {
    const pair = play(engines);
    const all = pair.sent.map(({ bytes }) => bytes);
    expectUntouched(pair, () => {
      for (let i = 0; i < 10; i++) for (const bytes of all) pair.input(side, { type: 'datagram', bytes });
    });
  });
});

describe.each(MATCHES)('plaintext that anybody could have sent: $match', ({ engines }) => {
  const alert = record(CONTENT.alert, FATAL);

  it.each(SIDES)('an alert does not end a handshake that goes on: %s', (side) => {
    expectEstablished(play(engines, { network: (from, bytes) => (from === side ? [bytes] : [alert, bytes, alert]) }));
  });

  it('an alert ends a handshake that stands still, and is reported', () => {
    const pair = new Pair({ engines, network: () => [] }).start();
    for (const side of SIDES) pair.input(side, { type: 'datagram', bytes: alert });
    expect(pair.engines.server.deadline()).toBe(START + DTLS_PLAINTEXT_FAILURE_GRACE_MS);
    pair.now = START + DTLS_PLAINTEXT_FAILURE_GRACE_MS - 1;
    pair.input('client', { type: 'tick' });
    expect(pair.states[0]).toBe('handshaking');
    pair.now = START + DTLS_PLAINTEXT_FAILURE_GRACE_MS;
    pair.input('client', { type: 'tick' });
    expect(pair.failures.client).toMatchObject([{ reason: 'alert-received', alert: 40 }]);
  });

  it('messages of a wrong turn, of another certificate or cut short do not end a handshake', () => {
    const forgeries: readonly (readonly [number, Uint8Array])[] = [
      [HANDSHAKE.certificate, new Uint8Array(3)],
      [HANDSHAKE.certificate, writeCertificate(new Uint8Array(40))],
      [HANDSHAKE.serverHelloDone, new Uint8Array(0)],
      [HANDSHAKE.serverHello, Uint8Array.of(1, 1, ...new Uint8Array(36))],
      [HANDSHAKE.finished, new Uint8Array(12)],
      [24, new Uint8Array(5)],
    ];
    for (const [type, body] of forgeries) {
      const forged = [1, 2, 3, 4, 5]
        // Not where a ServerHelloDone has its turn: that forgery cannot be told from the genuine one, nor does it harm.
        .map((sequence) => record(CONTENT.handshake, frameMessage({ type, sequence, body }), 0, 500 + sequence));
      for (let index = 0; index < 6; index++) {
        const network: Network = (_from, bytes, i) => (i === index ? [...forged, bytes] : [bytes]);
        expectEstablished(play(engines, { network, opensslRetransmitMs: 40 }));
      }
    }
  });

  it('pieces of messages that never come whole neither shut out the genuine ones nor fill memory', () => {
    const next = random(11);
    const poison = Array.from({ length: 9 }, (_, sequence) => {
      const fragment = { type: HANDSHAKE.certificate, sequence, length: 4000, offset: 9, bytes: new Uint8Array(50) };
      return record(CONTENT.handshake, frameFragment(fragment));
    });
    expectEstablished(play(engines, { network: (_from, bytes) => [...poison, bytes] }));
    for (const side of SIDES) {
      const pair = new Pair({ engines, network: () => [] }).start();
      for (let i = 0; i < 2000; i++) {
        const length = 1 + Math.floor(next() * 16_384);
        const bytes = new Uint8Array(Math.min(100, length));
        const fragment = frameFragment({ type: Math.floor(next() * 25), sequence: i % 12, length, offset: 0, bytes });
        pair.input(side, { type: 'datagram', bytes: record(CONTENT.handshake, fragment, 0, i) });
        expect(pair.engines[side].heldBytes).toBeLessThanOrEqual(2 * 16_384);
      }
      expect(pair.engines[side].state).toBe('handshaking');
    }
  });

  it('record numbers near the end of their space change nothing', () => {
    const pair = new Pair({ engines }).start();
    const hello = messagesIn(pair.sent[0]!.bytes)[0]!;
    const before = pair.sent.length;
    const last = frameRecord(CONTENT.handshake, VERSION_1_2, 0, 2 ** 48 - 1, frameMessage(hello));
    pair.input('server', { type: 'datagram', bytes: last });
    expect(pair.sent.length).toBe(before);
    expectEstablished(pair.run());
  });

  it('garbage of 0 to 64 bytes changes nothing at any moment', () => {
    const next = random(7);
    const pair = new Pair({ engines }).start();
    do {
      for (const side of SIDES) {
        const engine = pair.engines[side];
        const before = [engine.state, engine.heldBytes, pair.sent.length];
        for (let length = 0; length <= 64; length++) {
          const noise = Uint8Array.from({ length }, () => next() * 256);
          pair.input(side, { type: 'datagram', bytes: noise });
          for (const epoch of [0, 1, 2]) {
            const framed = Uint8Array.from([22, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 1, 0, 0, length, ...noise]);
            for (const type of [20, 22, 23]) {
              framed[0] = type;
              pair.input(side, { type: 'datagram', bytes: framed.subarray(0, 64) });
              pair.input(side, { type: 'datagram', bytes: framed });
            }
          }
        }
        expect([engine.state, engine.heldBytes, pair.sent.length]).toEqual(before);
      }
    } while (pair.step());
    expectEstablished(pair);
  });
});

describe.each(MATCHES)('the cookie: $match', ({ engines }) => {
  it('of another association opens nothing, and a lost request for it is repeated', () => {
    const old = play(engines).sent;
    const pair = new Pair({ engines });
    pair.input('server', { type: 'start' });
    const answer = (bytes: Uint8Array) => {
      const before = pair.sent.length;
      pair.input('server', { type: 'datagram', bytes });
      return pair.sent.slice(before).flatMap((datagram) => messagesIn(datagram.bytes).map((m) => m.type));
    };
    for (const index of [2, 0, 2, 0]) expect(answer(old[index]!.bytes)).toEqual([HANDSHAKE.helloVerifyRequest]);
  });

  it('is asked for in fewer bytes than the hello had, so that nobody can be flooded through us', () => {
    const pair = play(engines);
    expect(pair.sent[1]!.bytes.length).toBeLessThan(pair.sent[0]!.bytes.length);
  });
});
