/** Attacks on a handshake. Each of these fails when the check that it is named after is taken out. */
import { describe, expect, it, vi } from 'vitest';
import { Secret } from '../../../src/base/secret.js';
import type { AssociationFailure, FingerprintAlgorithm } from '../../../src/dtls/association.js';
import { fingerprintOf } from '../../../src/dtls/certificate.js';
import { werift } from '../../../src/dtls/werift/library.js';
import { GROUP, readServerKeyExchange, writeServerKeyExchange } from '../../../src/dtls/werift/messages.js';
import { HANDSHAKE } from '../../../src/dtls/werift/reassembly.js';
import { messagesIn, rewriting } from './forge.js';
import { certificates, expectEstablished, Pair, type Side } from './pair.js';

/** `side` found the attack, for `reason`, and neither side has keys. */
function expectCaught(pair: Pair, side: Side, reason: AssociationFailure): void {
  expect(pair.failures[side].map((f) => f.reason)).toEqual([reason]);
  expect(pair.keys[side]).toEqual([]);
  expect(pair.engines[side].state).toBe('failed');
}

const strangersKey = () => ({ privateKeyPem: Secret.copyOf(certificates.stranger.privateKeyPem.copyOut()) });
const stranger = () => ({ certificatePem: certificates.stranger.certificatePem, ...strangersKey() });

describe('a stolen certificate', () => {
  it('does not let a client in that lacks its key (CertificateVerify)', () => {
    const pair = new Pair({ client: strangersKey() }).start().run();
    expectCaught(pair, 'server', 'certificate-verify-invalid');
    expect(pair.keys.client).toEqual([]);
  });

  it('does not let a server answer that lacks its key (ServerKeyExchange)', () => {
    const pair = new Pair({ server: strangersKey() }).start().run();
    expectCaught(pair, 'client', 'key-exchange-signature-invalid');
    expect(pair.keys.server).toEqual([]);
  });
});

describe('a wrong Finished', () => {
  const forgeFrom = (side: Side, name: 'prfVerifyDataClient' | 'prfVerifyDataServer') => {
    const pair = new Pair();
    pair.around = (at, receive) => {
      if (at !== side) return receive();
      const spy = vi.spyOn(werift, name).mockImplementation(() => Buffer.alloc(12, 0xab));
      receive();
      spy.mockRestore();
    };
    return pair.start().run();
  };

  it('of a client is refused by the server', () => {
    const pair = forgeFrom('client', 'prfVerifyDataClient');
    expectCaught(pair, 'server', 'finished-invalid');
    expect(pair.keys.client).toEqual([]);
  });

  it('of a server is refused by the client', () => {
    expectCaught(forgeFrom('server', 'prfVerifyDataServer'), 'client', 'finished-invalid');
  });
});

describe('a forged ServerKeyExchange', () => {
  it('with the key share of a man in the middle under the genuine signature is refused', () => {
    const share = werift.generateKeyPair(GROUP.x25519).publicKey;
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, (body) => {
      const { hashAlgorithm, signatureAlgorithm, signature } = readServerKeyExchange(body)!;
      return writeServerKeyExchange(GROUP.x25519, share, (hashAlgorithm << 8) | signatureAlgorithm, signature);
    });
    expectCaught(new Pair({ network }).start().run(), 'client', 'key-exchange-signature-invalid');
  });

  it('replayed whole from another handshake is refused, because the randoms are signed', () => {
    const earlier = new Pair().start().run();
    const old = earlier.sent
      .flatMap(({ bytes }) => messagesIn(bytes))
      .find((m) => m.type === HANDSHAKE.serverKeyExchange);
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, () => old!.body);
    expectCaught(new Pair({ network }).start().run(), 'client', 'key-exchange-signature-invalid');
  });

  it.each([
    ['SHA-1 with ECDSA', 0x0203],
    ['RSA under an ECDSA certificate', 0x0401],
    ['no known scheme', 0xfefe],
  ])('signed by a scheme that was not offered or does not fit is refused: %s', (_name, scheme) => {
    const network = rewriting('server', HANDSHAKE.serverKeyExchange, (body) => {
      const { namedCurve, publicKey, signature } = readServerKeyExchange(body)!;
      return writeServerKeyExchange(namedCurve, publicKey, scheme, signature);
    });
    expectCaught(new Pair({ network }).start().run(), 'client', 'key-exchange-signature-invalid');
  });
});

describe('a certificate that SDP did not promise', () => {
  it('is refused by the server, though its sender holds the key', () => {
    const pair = new Pair({ client: stranger() }).start().run();
    expectCaught(pair, 'server', 'fingerprint-mismatch');
    expect(pair.keys.client).toEqual([]);
  });

  it('is refused by the client, though its sender holds the key', () => {
    const pair = new Pair({ server: stranger() }).start().run();
    expectCaught(pair, 'client', 'fingerprint-mismatch');
    expect(pair.keys.server).toEqual([]);
  });

  it('yields no keys where nothing was promised at all', () => {
    expectCaught(new Pair({ server: { peerFingerprints: [] } }).start().run(), 'server', 'fingerprint-mismatch');
    expectCaught(new Pair({ client: { peerFingerprints: [] } }).start().run(), 'client', 'fingerprint-mismatch');
  });

  it('is not saved by a promise whose hash is cut short', () => {
    const promise = fingerprintOf(certificates.client.certificatePem, 'sha-256');
    const short = { ...promise, value: promise.value.subarray(0, 16) };
    expectCaught(new Pair({ server: { peerFingerprints: [short] } }).start().run(), 'server', 'fingerprint-mismatch');
  });

  it.each<FingerprintAlgorithm>(['sha-256', 'sha-384', 'sha-512'])(
    'is told from the promised one by %s',
    (algorithm) => {
      const good = [fingerprintOf(certificates.client.certificatePem, algorithm)];
      const bad = [fingerprintOf(certificates.stranger.certificatePem, algorithm)];
      expectEstablished(new Pair({ server: { peerFingerprints: [...bad, ...good] } }).start().run());
      expectCaught(new Pair({ server: { peerFingerprints: bad } }).start().run(), 'server', 'fingerprint-mismatch');
    },
  );
});

describe('possession on both sides', () => {
  it('is not given up for a client without a certificate', () => {
    const network = rewriting('client', HANDSHAKE.certificate, () => new Uint8Array(3)); // an empty list
    expectCaught(new Pair({ network }).start().run(), 'server', 'no-certificate');
  });
});

describe('a man in the middle who edits the hellos', () => {
  it('cannot take the better SRTP profiles out of the offer', () => {
    const profiles = Buffer.from([0, 14, 0, 9, 0, 6, 0, 1, 0, 7, 0, 8, 0]);
    const weaker = Buffer.from([0, 14, 0, 9, 0, 6, 0, 1, 0, 1, 0, 1, 0]);
    const network = rewriting('client', HANDSHAKE.clientHello, (body) => {
      weaker.copy(body, Buffer.from(body.buffer).indexOf(profiles));
      return body;
    });
    const pair = new Pair({ server: { profiles: [8, 7, 1] }, network }).start().run();
    expect(pair.keys).toEqual({ client: [], server: [] });
    expect(pair.failures.server.map((f) => f.reason)).toEqual(['certificate-verify-invalid']);
  });

  it('cannot take the extended master secret out of the offer', () => {
    const network = rewriting('client', HANDSHAKE.clientHello, (body) => {
      const at = Buffer.from(body.buffer).indexOf(Buffer.from([0, 23, 0, 0]));
      body[at + 1] = 0x99;
      return body;
    });
    const pair = new Pair({ network }).start().run();
    expect(pair.keys).toEqual({ client: [], server: [] });
    expect(pair.failures.server.map((f) => f.reason)).toEqual(['certificate-verify-invalid']);
  });

  it('cannot give the client a profile that it did not offer', () => {
    const network = rewriting('server', HANDSHAKE.serverHello, (body) => {
      const at = Buffer.from(body.buffer).indexOf(Buffer.from([0, 14, 0, 5, 0, 2]));
      body[at + 7] = 2; // SRTP_AES128_CM_HMAC_SHA1_32
      return body;
    });
    expectCaught(new Pair({ network }).start().run(), 'client', 'no-common-profile');
  });

  it('cannot make the key share a point of small order', () => {
    const network = rewriting('client', HANDSHAKE.clientKeyExchange, () => Uint8Array.of(32, ...new Uint8Array(32)));
    expectCaught(new Pair({ network }).start().run(), 'server', 'protocol-error');
  });

  it('cannot make the key share a point off the curve, or one of another form', () => {
    const p256 = { clientTuning: { groups: [GROUP.secp256r1] } };
    const share = werift.generateKeyPair(GROUP.secp256r1).publicKey;
    const compressed = [2 + (share[64]! & 1), ...share.subarray(1, 33)];
    for (const point of [[4, ...new Uint8Array(63), 1], compressed, [4], []]) {
      const body = Uint8Array.of(point.length, ...point);
      const network = rewriting('client', HANDSHAKE.clientKeyExchange, () => body);
      expectCaught(new Pair({ ...p256, network }).start().run(), 'server', 'protocol-error');
    }
  });
});

describe('options that do not meet', () => {
  it('fail for want of a common profile', () => {
    const pair = new Pair({ client: { profiles: [1] }, server: { profiles: [7, 8] } }).start().run();
    expectCaught(pair, 'server', 'no-common-profile');
    expectCaught(pair, 'client', 'alert-received');
    expect(pair.failures.client[0]!.alert).toBe(40);
  });

  it('fail for want of a common group', () => {
    const pair = new Pair({ clientTuning: { groups: [29] }, serverTuning: { groups: [23] } }).start().run();
    expectCaught(pair, 'server', 'no-common-parameters');
  });

  it('fail when our own certificate does not load', () => {
    const pair = new Pair({ client: { certificatePem: 'nothing' } }).start().run();
    expectCaught(pair, 'client', 'no-certificate');
  });
});
