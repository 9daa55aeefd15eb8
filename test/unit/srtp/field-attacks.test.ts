/** Suites 17 and 18 under attack, each test named after the threat (WIRE.md 6). */
import { beforeEach, describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { PREVIOUS_KEY_LIFETIME_MS } from '../../../src/base/limits.js';
import { EktReceiver } from '../../../src/srtp/ekt-receiver.js';
import type { EktSender } from '../../../src/srtp/ekt-sender.js';
import { FieldKeys } from '../../../src/srtp/field-keys.js';
import { sealFieldRtp, withRouteTag } from '../../../src/srtp/field-packet.js';
import { InstalledSet } from '../../../src/srtp/group-set.js';
import { packetIndex } from '../../../src/srtp/index-estimate.js';
import { fieldPlaintext, fullField, shortField } from '../../../src/wire/ekt-field.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import {
  fieldSet,
  groupSet,
  NOW,
  newReceiver,
  newSender,
  packet,
  SSRC,
  senderKey,
  senderReport,
  verdict,
} from '../../support/ekt.js';

let receiver: EktReceiver;
let sender: EktSender;

function expectRefused(datagram: Uint8Array, reason: string, kind: 'rtp' | 'rtcp' = 'rtp', now = NOW): void {
  receiver.expire(now);
  const before = receiver.describe();
  const result = kind === 'rtp' ? receiver.receiveRtp(datagram, now) : receiver.receiveRtcp(datagram, now);
  expect(verdict(result)).toBe(reason);
  expect(receiver.describe()).toBe(before);
}

function expectReceived(datagram: Uint8Array, now = NOW): void {
  expect(verdict(receiver.receiveRtp(datagram, now))).toBe('ok');
}

/** What the relay knows of a sender key: it can make any route tag. */
function relayKeys(key: number, set = 1): FieldKeys {
  const named = { spiWord: fieldSet(set).spiWord, wrapped: new Uint8Array(0), ssrc: SSRC, roc: 0 };
  return new FieldKeys(named, senderKey(key), fieldSet(set).masterSalt);
}

function fieldOf(key: number, epoch: number, ssrc = SSRC, roc = 0, set = 1): Uint8Array {
  const plain = senderKey(key).use((bytes) => fieldPlaintext(bytes, ssrc, roc));
  return fullField(new InstalledSet(fieldSet(set)).wrap(plain), fieldSet(set).spiWord, epoch);
}

/** What somebody who holds a set and a key can seal: every field at will. */
function sealed(
  key: number,
  sequence: number,
  field: Uint8Array,
  more: { ssrc?: number; roc?: number; set?: number } = {},
) {
  const { ssrc = SSRC, roc = 0, set = 1 } = more;
  const own = writeRtpHeader({ payloadType: 96, sequence, timestamp: 7, ssrc, csrcs: [0x11] });
  return sealFieldRtp(relayKeys(key, set), own, Uint8Array.of(1, 2, 3), packetIndex(roc, sequence), field);
}

beforeEach(() => {
  receiver = newReceiver(fieldSet(1), fieldSet(2));
  sender = newSender({ set: fieldSet(1) });
});

describe.each([17, 18] as const)('suite %i', (suite) => {
  it('carries payloads over the wrap of the sequence number, media RTCP under the same key', () => {
    const own = newReceiver(fieldSet(1, suite));
    const from = newSender({ set: fieldSet(1, suite), sequence: 65_534 });
    const sent = Array.from({ length: 5 }, (_, i) => packet(from, i === 0 || i === 3, `p${i}`));
    expect(sent[0]!.length).toBe(16 + 2 + 16 + 10 + (suite === 17 ? 47 : 63));
    expect(sent[1]!.length).toBe(16 + 2 + 16 + 10 + 1);
    for (const i of [0, 2, 1, 3, 4]) {
      const got = own.receiveRtp(sent[i]!, NOW);
      expect(got).toMatchObject({ ok: true, value: { index: 65_534 + i } });
      if (got.ok) expect(new TextDecoder().decode(got.value.payload)).toBe(`p${i}`);
    }
    const compound = senderReport();
    expect(own.receiveRtcp(from.protectRtcp(compound), NOW)).toEqual({ ok: true, value: { ssrc: SSRC, compound } });
  });

  it('forged route tag, header, AEAD tag, ciphertext, field: no bit of a packet can be changed', () => {
    const own = newReceiver(fieldSet(1, suite));
    const from = newSender({ set: fieldSet(1, suite) });
    for (const full of [true, false]) {
      const bytes = packet(from, full);
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const forged = Uint8Array.from(bytes);
        forged[bit >>> 3]! ^= 1 << (bit & 7);
        const before = own.describe();
        expect(own.receiveRtp(forged, NOW).ok, `bit ${bit}`).toBe(false);
        expect(own.describe()).toBe(before);
      }
      expect(own.receiveRtp(bytes, NOW).ok).toBe(true);
    }
    const report = from.protectRtcp(senderReport());
    for (let at = 0; at < report.length; at++) {
      const forged = Uint8Array.from(report);
      forged[at]! ^= 1;
      expect(own.receiveRtcp(forged, NOW).ok, `byte ${at}`).toBe(false);
    }
    expect(own.receiveRtcp(report, NOW).ok).toBe(true);
  });
});

describe('a relay that changes what it carries', () => {
  it('the payload, with a route tag that fits: refused by the receiver, which still takes the true one', () => {
    const bytes = packet(sender, true);
    const field = bytes.subarray(-47);
    const signed = Uint8Array.from(bytes.subarray(0, -57));
    signed[16]! ^= 1;
    expectRefused(withRouteTag(relayKeys(1), 16, signed, 0, 0, field), 'auth_failed');
    expectReceived(bytes);
  });

  it('the timestamp or the source position, with a route tag that fits', () => {
    const bytes = packet(sender, true);
    for (const [at, bit] of [
      [7, 1],
      [15, 0x10],
      [1, 0x80],
      [13, 1],
    ] as const) {
      const signed = Uint8Array.from(bytes.subarray(0, -57));
      signed[at]! ^= bit;
      expectRefused(withRouteTag(relayKeys(1), 16, signed, 0, 0, bytes.subarray(-47)), 'auth_failed');
    }
  });

  it('the sink and the payload type, which are its to change', () => {
    const bytes = packet(sender, true, 'still whole');
    const signed = Uint8Array.from(bytes.subarray(0, -57));
    signed[1] = 111;
    signed[15] = 0x13;
    const got = receiver.receiveRtp(withRouteTag(relayKeys(1), 16, signed, 0, 0, bytes.subarray(-47)), NOW);
    expect(got).toMatchObject({ ok: true, value: { payloadType: 111, csrcs: [0x13] } });
    if (got.ok) expect(new TextDecoder().decode(got.value.payload)).toBe('still whole');
  });
});

describe('fields', () => {
  it('spliced to another SSRC: refused though route tag and AEAD fit', () => {
    const other = SSRC ^ 0x100;
    expectRefused(sealed(1, 5, fieldOf(1, 0, SSRC), { ssrc: other }), 'auth_failed');
    expectReceived(sealed(1, 5, fieldOf(1, 0, other), { ssrc: other }));
  });

  it('replay of an epoch: another key needs a newer one, under one SPI', () => {
    expectReceived(sealed(1, 10, fieldOf(1, 3)));
    for (const epoch of [3, 2, 0]) expectRefused(sealed(2, 11, fieldOf(2, epoch)), 'too_old');
    expectReceived(sealed(2, 11, fieldOf(2, 4)));
    expectReceived(sealed(3, 12, fieldOf(3, 0, SSRC, 0, 2), { set: 2 }));
  });

  it('replay of a key that was replaced: its field comes back after its slot is gone', () => {
    expectReceived(sealed(1, 10, fieldOf(1, 0)));
    expectReceived(sealed(2, 20, fieldOf(2, 1)));
    expectRefused(sealed(1, 21, fieldOf(1, 0)), 'too_old');
    expectRefused(sealed(1, 22, fieldOf(1, 0)), 'too_old', 'rtp', NOW + PREVIOUS_KEY_LIFETIME_MS);
  });

  it('exact repeats are no-ops, and a repeat with the next ROC is the same key', () => {
    expectReceived(sealed(1, 65_530, fieldOf(1, 5)));
    expectReceived(sealed(1, 65_531, fieldOf(1, 5)));
    expectReceived(sealed(1, 2, fieldOf(1, 5, SSRC, 1), { roc: 1 }));
    expect(receiver.describe()).toContain('previous undefined');
    expectReceived(sealed(1, 65_532, fieldOf(1, 5)));
    expectReceived(sealed(1, 3, shortField(), { roc: 1 }));
  });

  it('an epoch that somebody raised on the way is not remembered: it is outside of the wrapping', () => {
    const honest = sealed(1, 10, fieldOf(1, 0));
    const raised = Uint8Array.from(honest);
    raised[raised.length - 5] = 0xff;
    expectRefused(raised, 'auth_failed');
    expectReceived(honest);
    expectReceived(sealed(2, 11, fieldOf(2, 1)));
  });

  it('a newer key cannot begin before the one that it replaces', () => {
    expectReceived(sealed(1, 10, fieldOf(1, 0)));
    expectRefused(sealed(2, 9, fieldOf(2, 1)), 'too_old');
  });

  it('under an unknown SPI, or under the other value of its lowest bit', () => {
    expectRefused(sealed(1, 10, fieldOf(1, 0, SSRC, 0, 3)), 'unknown_spi');
    const field = fieldOf(1, 0);
    field[field.length - 6]! ^= 1;
    expectRefused(sealed(1, 10, field), 'unknown_spi');
  });

  it('under an older set than the stream is under', () => {
    expectReceived(sealed(1, 10, fieldOf(1, 0, SSRC, 0, 2), { set: 2 }));
    expectRefused(sealed(2, 11, fieldOf(2, 9)), 'unknown_spi');
  });

  it('of an unknown type are skipped by their length, covered, and bring no key', () => {
    const unknown = concat(new Uint8Array(9), Uint8Array.of(0, 12, 0x42));
    expectRefused(sealed(1, 10, unknown), 'no_key');
    expectReceived(sealed(1, 10, fieldOf(1, 0)));
    const bytes = sealed(1, 11, unknown);
    const changed = Uint8Array.from(bytes);
    changed[changed.length - 9]! ^= 1;
    expectRefused(changed, 'auth_failed');
    expectReceived(bytes);
  });
});

describe('keys in their time', () => {
  it('late packets under the replaced key count for two seconds, and below the point where it was replaced only', () => {
    const [late, later] = [12, 13].map((sequence) => sealed(1, sequence, shortField()));
    expectReceived(sealed(1, 10, fieldOf(1, 0)));
    expectReceived(sealed(2, 20, fieldOf(2, 1)));
    expectReceived(late!, NOW + PREVIOUS_KEY_LIFETIME_MS - 1);
    expectRefused(later!, 'auth_failed', 'rtp', NOW + PREVIOUS_KEY_LIFETIME_MS);
  });

  it('Full fields that overtake each other: the new key counts from the lowest index that showed it', () => {
    expectReceived(sealed(1, 10, fieldOf(1, 0)));
    expectReceived(sealed(2, 22, fieldOf(2, 1)));
    expectReceived(sealed(2, 20, fieldOf(2, 1)));
    expectReceived(sealed(2, 21, shortField()));
  });

  it('a sender that begins anew under a newer set is heard at once', () => {
    expectReceived(sealed(1, 5000, fieldOf(1, 0)));
    expectReceived(sealed(2, 100, fieldOf(2, 0, SSRC, 0, 2), { set: 2 }));
    expectReceived(sealed(2, 101, shortField(), { set: 2 }));
    expectRefused(sealed(1, 5001, fieldOf(1, 0)), 'unknown_spi');
  });

  it('EktSender: a rekey raises the epoch, a new set begins at 0; late joiners read every one of them', () => {
    const epochOf = (bytes: Uint8Array) => (bytes[bytes.length - 5]! << 8) | bytes[bytes.length - 4]!;
    expect(epochOf(packet(sender, true))).toBe(0);
    sender.rekey(fieldSet(1), senderKey(2));
    const second = packet(sender, true);
    expect(epochOf(second)).toBe(1);
    expect(verdict(newReceiver(fieldSet(1)).receiveRtp(second, NOW))).toBe('ok');
    sender.rekey(fieldSet(1), senderKey(3), 2);
    expect(epochOf(packet(sender, true))).toBe(1);
    packet(sender, false);
    expect(epochOf(packet(sender, true))).toBe(2);
    sender.rekey(fieldSet(2), senderKey(4));
    expect(epochOf(packet(sender, true))).toBe(0);
    expect(() => sender.rekey(fieldSet(1), senderKey(5))).toThrow();
    expect(() => sender.rekey({ ...groupSet(3) }, senderKey(5))).toThrow();
  });
});

describe('media RTCP', () => {
  it('of an SSRC that no SRTP packet has shown: no_key, and it opens nothing', () => {
    expectRefused(sender.protectRtcp(senderReport()), 'no_key', 'rtcp');
    expectReceived(packet(sender, true));
    const report = sender.protectRtcp(senderReport());
    expect(receiver.receiveRtcp(report, NOW).ok).toBe(true);
    expectRefused(report, 'replayed', 'rtcp');
  });

  it('under another key than the one in force: refused', () => {
    expectReceived(packet(sender, true));
    const old = sender.protectRtcp(senderReport());
    sender.rekey(fieldSet(1), senderKey(2));
    expectReceived(packet(sender, true));
    expectRefused(old, 'auth_failed', 'rtcp');
    expect(receiver.receiveRtcp(sender.protectRtcp(senderReport()), NOW).ok).toBe(true);
  });

  it('in clear: malformed', () => {
    expectReceived(packet(sender, true));
    const report = sender.protectRtcp(senderReport());
    report[report.length - 4]! &= 0x7f;
    expectRefused(report, 'malformed', 'rtcp');
  });
});

describe('one mode does not take the other for its own', () => {
  it('a receiver under suite 17 refuses packets with tags, and takes no set of suite 1 or 18', () => {
    const tagged = newSender();
    for (const bytes of [packet(tagged, true), packet(tagged, false)]) {
      const before = receiver.describe();
      expect(receiver.receiveRtp(bytes, NOW).ok).toBe(false);
      expect(receiver.describe()).toBe(before);
    }
    expect(receiver.receiveRtcp(tagged.protectRtcp(senderReport()), NOW).ok).toBe(false);
    expect(verdict(receiver.addSet(groupSet(3)))).toBe('other_suite');
    expect(verdict(receiver.addSet(fieldSet(3, 18)))).toBe('other_suite');
  });

  it('a receiver under suite 1 refuses packets with fields, and takes no set of suite 17', () => {
    const own = newReceiver(groupSet(1));
    expect(verdict(own.receiveRtp(packet(newSender(), true), NOW))).toBe('ok');
    const before = own.describe();
    for (const full of [true, false]) expect(own.receiveRtp(packet(sender, full), NOW).ok).toBe(false);
    expect(own.receiveRtcp(sender.protectRtcp(senderReport()), NOW).ok).toBe(false);
    expect(own.describe()).toBe(before);
    expect(verdict(own.addSet(fieldSet(2)))).toBe('other_suite');
  });

  it('a set whose suite, cipher and KEK do not belong together is no set', () => {
    const empty = new EktReceiver();
    expect(verdict(empty.addSet({ ...fieldSet(1), cipher: 4 }))).toBe('unsupported');
    expect(verdict(empty.addSet({ ...fieldSet(1), suite: 18 }))).toBe('unsupported');
    expect(verdict(empty.addSet({ ...fieldSet(1, 18), kek: fieldSet(1).kek }))).toBe('unsupported');
  });
});
