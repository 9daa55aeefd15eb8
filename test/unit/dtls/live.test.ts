/** Attacks on an association that is established, or that nobody has proven anything to yet. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import {
  DTLS_MAX_HANDSHAKE_MESSAGE_BYTES,
  DTLS_MAX_PLAINTEXT_FAILURES,
  DTLS_PLAINTEXT_FAILURE_GRACE_MS,
} from '../../../src/base/limits.js';
import {
  readClientHello,
  readHelloVerify,
  writeCertificate,
  writeCertificateRequest,
  writeCertificateVerify,
  writeClientKeyExchange,
  writeServerKeyExchange,
} from '../../../src/dtls/werift/messages.js';
import { frameFragment, frameMessage, HANDSHAKE } from '../../../src/dtls/werift/reassembly.js';
import { CONTENT, frameRecord, RECORD_HEADER_BYTES, VERSION_1_2 } from '../../../src/dtls/werift/records.js';
import { messagesIn, record } from './forge.js';
import { expectEstablished, type Network, Pair, random, type Side, START } from './pair.js';

const SIDES: readonly Side[] = ['client', 'server'];
const FATAL = Uint8Array.of(2, 40);
const CLOSE_NOTIFY = Uint8Array.of(1, 0);

/** The first part of a message that never comes whole. */
function incomplete(sequence: number): Uint8Array {
  const fragment = { type: HANDSHAKE.certificate, sequence, length: 4000, offset: 9, bytes: new Uint8Array(50) };
  return record(CONTENT.handshake, frameFragment(fragment));
}

function expectUntouched(pair: Pair, act: () => void): void {
  const before = pair.sent.length;
  act();
  expect(pair.sent.length).toBe(before);
  expectEstablished(pair);
  expect(pair.closed).toEqual({ client: 0, server: 0 });
}

describe('a live association', () => {
  it.each(SIDES)('ignores plaintext alerts, hellos, handshake messages and data: %s', (side) => {
    const pair = new Pair().start().run();
    const hello = pair.sent[0]!.bytes;
    const secondHello = pair.sent[2]!.bytes;
    expectUntouched(pair, () => {
      for (const bytes of [
        record(CONTENT.alert, FATAL),
        record(CONTENT.alert, CLOSE_NOTIFY),
        record(CONTENT.applicationData, new Uint8Array(30)),
        record(CONTENT.changeCipherSpec, Uint8Array.of(1)),
        hello,
        secondHello,
        ...pair.sent.map((datagram) => datagram.bytes),
        ...Array.from({ length: 12 }, (_, sequence) => incomplete(sequence)),
      ]) {
        pair.input(side, { type: 'datagram', bytes });
        expect(pair.engines[side].heldBytes).toBe(0);
      }
    });
  });

  it.each(SIDES)('ignores alerts under its epoch that do not authenticate: %s', (side) => {
    const pair = new Pair().start().run();
    expectUntouched(pair, () => {
      for (const epoch of [1, 2, 65535]) {
        for (const payload of [FATAL, CLOSE_NOTIFY, new Uint8Array(26), new Uint8Array(0)]) {
          pair.input(side, { type: 'datagram', bytes: record(CONTENT.alert, payload, epoch, 5) });
        }
      }
    });
  });

  it('closes on an authenticated close_notify, and answers it', () => {
    const pair = new Pair().start().run();
    pair.input('client', { type: 'close' });
    expect(pair.closed).toEqual({ client: 1, server: 0 });
    pair.settle();
    expect(pair.states).toEqual(['closed', 'closed']);
    expect(pair.closed).toEqual({ client: 1, server: 1 });
    const ends = pair.sent.slice(-2);
    expect(ends.map(({ from, bytes }) => [from, bytes[0], bytes[4]])).toEqual([
      ['client', CONTENT.alert, 1],
      ['server', CONTENT.alert, 1],
    ]);
  });

  it('ignores a replayed record, whatever it says', () => {
    // The client's Finished is repeated as the very same bytes, which must not bring back the server's last flight.
    const pair = new Pair().start().run();
    const flight = pair.sent.filter(({ from }) => from === 'client').at(-1)!.bytes;
    expectUntouched(pair, () => {
      for (let i = 0; i < 10; i++) pair.input('server', { type: 'datagram', bytes: flight });
    });
  });

  it('takes nothing but its first start, and nothing at all after its end', () => {
    const pair = new Pair().start().run();
    expectUntouched(pair, () => pair.input('client', { type: 'start' }));
    pair.input('client', { type: 'close' });
    const sent = pair.sent.length;
    for (const input of [{ type: 'start' }, { type: 'close' }, { type: 'tick' }] as const) pair.input('client', input);
    pair.input('client', { type: 'datagram', bytes: pair.sent[1]!.bytes });
    expect(pair.sent.length).toBe(sent);
    expect(pair.closed.client).toBe(1);
    expect(pair.states[0]).toBe('closed');
  });

  it('hears nothing before its start', () => {
    const pair = new Pair();
    pair.input('client', { type: 'start' });
    pair.settle();
    expect(pair.states).toEqual(['handshaking', 'new']);
    expect(pair.sent).toHaveLength(1);
  });
});

describe('an alert that anybody could have sent', () => {
  it.each(SIDES)('does not end a handshake that goes on: %s', (side) => {
    const alert = record(CONTENT.alert, FATAL);
    const pair = new Pair({ network: (from, bytes) => (from === side ? [bytes] : [alert, bytes, alert]) });
    expectEstablished(pair.start().run());
  });

  it('is forgotten when the handshake moves after it', () => {
    // Lost are HelloVerifyRequest, and the hello that answers it until the alert is long due.
    const pair = new Pair({ network: (_from, bytes, i) => (i === 1 || (i >= 4 && i <= 6) ? [] : [bytes]) }).start();
    pair.input('client', { type: 'datagram', bytes: record(CONTENT.alert, FATAL) });
    expectEstablished(pair.run());
    expect(pair.now).toBeGreaterThan(START + DTLS_PLAINTEXT_FAILURE_GRACE_MS);
  });

  it('ends a handshake that stands still, and is reported', () => {
    const pair = new Pair({ network: () => [] }).start();
    pair.input('client', { type: 'datagram', bytes: record(CONTENT.alert, FATAL) });
    pair.run();
    expect(pair.failures.client[0]).toMatchObject({ reason: 'alert-received', alert: 40 });
    expect(pair.failures.server[0]).toMatchObject({ reason: 'timeout' });
    const alone = new Pair({ network: () => [] }).start();
    alone.input('client', { type: 'datagram', bytes: record(CONTENT.alert, FATAL) });
    alone.now = START + DTLS_PLAINTEXT_FAILURE_GRACE_MS;
    alone.input('client', { type: 'tick' });
    expect(alone.states[0]).toBe('failed');
  });
});

describe('an alert before a wrong certificate', () => {
  it('does not hide that the fingerprint does not match', () => {
    const alert = record(CONTENT.alert, FATAL);
    const network: Network = (from, bytes) => (from === 'server' ? [bytes] : [alert, bytes, alert]);
    const pair = new Pair({ server: { peerFingerprints: [] }, network }).start().run();
    expect(pair.failures.server).toMatchObject([{ reason: 'fingerprint-mismatch' }]);
  });
});

describe('forged handshake messages', () => {
  const small = { client: { mtuBytes: 256 }, server: { mtuBytes: 256 } };
  const forgeries: readonly (readonly [string, number, Uint8Array])[] = [
    ['an empty certificate list', HANDSHAKE.certificate, new Uint8Array(3)],
    ["a stranger's certificate", HANDSHAKE.certificate, writeCertificate(new Uint8Array(40))],
    ['a key share of small order', HANDSHAKE.clientKeyExchange, writeClientKeyExchange(Buffer.alloc(32))],
    ['a signature of nobody', HANDSHAKE.certificateVerify, writeCertificateVerify(0x0403, new Uint8Array(70))],
    [
      'a share signed by nobody',
      HANDSHAKE.serverKeyExchange,
      writeServerKeyExchange(29, Buffer.alloc(32), 0x0403, new Uint8Array(70)),
    ],
    ['a request for no certificate', HANDSHAKE.serverHelloDone, new Uint8Array(0)],
    ['a request that we cannot meet', HANDSHAKE.certificateRequest, writeCertificateRequest([], [])],
    ['a hello of another version', HANDSHAKE.serverHello, Uint8Array.of(1, 1, ...new Uint8Array(36))],
  ];

  it.each(forgeries)('do not end a handshake whose genuine messages come: %s', (_name, type, body) => {
    const forged = [1, 2, 3, 4, 5].map((sequence) => record(CONTENT.handshake, frameMessage({ type, sequence, body })));
    // At each moment of a handshake in small pieces; where they break up a genuine message, that one comes again in time.
    for (let index = 0; index < 10; index++) {
      const network: Network = (_from, bytes, i) => (i === index ? [...forged, bytes] : [bytes]);
      expectEstablished(new Pair({ ...small, network }).start().run());
    }
  });

  it('end a handshake where nothing genuine comes, with what was wrong', () => {
    const body = new Uint8Array(3);
    const network: Network = (from, bytes, i) => {
      if (from === 'server' || i < 4) return [bytes];
      return [record(CONTENT.handshake, frameMessage({ type: HANDSHAKE.certificate, sequence: 2, body }))];
    };
    const pair = new Pair({ network }).start().run();
    expect(pair.failures.server).toMatchObject([{ reason: 'no-certificate' }]);
    expect(pair.now).toBeGreaterThanOrEqual(START + DTLS_PLAINTEXT_FAILURE_GRACE_MS);
  });

  it('cost no more than so many verified signatures', () => {
    const network: Network = (from, bytes, i) => (from === 'server' || i < 4 ? [bytes] : []);
    const pair = new Pair({ network }).start().settle();
    const message = { type: HANDSHAKE.certificate, sequence: 2, body: writeCertificate(new Uint8Array(40)) };
    for (let i = 0; i < DTLS_MAX_PLAINTEXT_FAILURES; i++) {
      pair.input('server', { type: 'datagram', bytes: record(CONTENT.handshake, frameMessage(message)) });
    }
    expect(pair.engines.server.state).toBe('handshaking');
    pair.input('server', { type: 'datagram', bytes: record(CONTENT.handshake, frameMessage(message)) });
    expect(pair.failures.server).toMatchObject([{ reason: 'fingerprint-mismatch' }]);
  });
});

describe('the cookie', () => {
  const helloOf = (pair: Pair, index: number) => messagesIn(pair.sent[index]!.bytes)[0]!;

  it('comes back before a server does any work', () => {
    const pair = new Pair().start().run();
    expect(readClientHello(helloOf(pair, 0).body)!.cookie).toHaveLength(0);
    const cookie = readHelloVerify(helloOf(pair, 1).body)!.cookie;
    expect(cookie).toHaveLength(20);
    expect(readClientHello(helloOf(pair, 2).body)!.cookie.equals(cookie)).toBe(true);
  });

  it('of another association opens nothing', () => {
    const other = new Pair().start().run();
    const pair = new Pair();
    pair.input('server', { type: 'start' });
    const answer = (bytes: Uint8Array) => {
      const before = pair.sent.length;
      pair.input('server', { type: 'datagram', bytes });
      return pair.sent.slice(before).flatMap((datagram) => messagesIn(datagram.bytes).map((m) => m.type));
    };
    expect(answer(other.sent[2]!.bytes)).toEqual([HANDSHAKE.helloVerifyRequest]);
    expect(answer(other.sent[0]!.bytes)).toEqual([HANDSHAKE.helloVerifyRequest]);
  });

  it('is asked for in fewer bytes than the hello had, so that nobody can be flooded through us', () => {
    const pair = new Pair().start().run();
    expect(pair.sent[1]!.bytes.length).toBeLessThan(pair.sent[0]!.bytes.length);
  });
});

describe('a flood of handshake fragments', () => {
  it('holds no more than two messages of memory', () => {
    const next = random(11);
    const upTo = (n: number) => Math.floor(next() * n);
    for (const side of SIDES) {
      const pair = new Pair({ network: () => [] }).start();
      let most = 0;
      for (let i = 0; i < 20_000; i++) {
        const length = upTo(2) === 0 ? DTLS_MAX_HANDSHAKE_MESSAGE_BYTES : upTo(0xffffff);
        const offset = upTo(length);
        const bytes = new Uint8Array(Math.min(upTo(100), length - offset));
        const fragment = frameFragment({ type: upTo(25), sequence: upTo(12), length, offset, bytes });
        pair.input(side, { type: 'datagram', bytes: record(CONTENT.handshake, fragment, 0, i) });
        most = Math.max(most, pair.engines[side].heldBytes);
      }
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(2 * DTLS_MAX_HANDSHAKE_MESSAGE_BYTES);
      expect(pair.engines[side].state).toBe('handshaking');
    }
  });

  it('does not shut out the genuine handshake', () => {
    const poison = Array.from({ length: 9 }, (_, sequence) => incomplete(sequence));
    expectEstablished(new Pair({ network: (_from, bytes) => [...poison, bytes] }).start().run());
  });

  it('cannot put a Finished in plaintext before the genuine one', () => {
    const poison = Array.from({ length: 9 }, (_, sequence) => {
      const message = { type: HANDSHAKE.finished, sequence, body: new Uint8Array(12) };
      return record(CONTENT.handshake, frameMessage(message));
    });
    const small = { client: { mtuBytes: 256 }, server: { mtuBytes: 256 } };
    expectEstablished(new Pair({ ...small, network: (_from, bytes) => [...poison, bytes] }).start().run());
  });

  it('of records with numbers near the end of their space changes nothing', () => {
    const pair = new Pair().start();
    const hello = messagesIn(pair.sent[0]!.bytes)[0]!;
    const last = frameRecord(CONTENT.handshake, VERSION_1_2, 0, 2 ** 48 - 1, frameMessage(hello));
    const before = pair.sent.length;
    pair.input('server', { type: 'datagram', bytes: last });
    expect(pair.sent.length).toBe(before);
    expectEstablished(pair.run());
  });

  it('in a datagram above the limit is not read', () => {
    const pair = new Pair().start();
    const before = pair.sent.length;
    const hello = pair.sent[0]!.bytes;
    const padding = record(CONTENT.applicationData, new Uint8Array(1501 - hello.length - RECORD_HEADER_BYTES));
    pair.input('server', { type: 'datagram', bytes: concat(hello, padding) });
    expect(pair.sent.length).toBe(before);
    pair.input('server', { type: 'datagram', bytes: concat(hello, padding).subarray(0, 1500) });
    expect(pair.sent.length).toBe(before + 1);
  });
});
