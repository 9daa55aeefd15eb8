import { beforeEach, describe, expect, it } from 'vitest';
import { concat, readU32, writeU16, writeU32 } from '../../../src/base/bytes.js';
import { MAX_RECEIVE_CONTEXTS, PREVIOUS_KEY_LIFETIME_MS } from '../../../src/base/limits.js';
import { openEktRtcp, sealEktRtcp, sealEktRtp, withTag } from '../../../src/srtp/ekt-packet.js';
import type { EktReceiver } from '../../../src/srtp/ekt-receiver.js';
import type { EktSender } from '../../../src/srtp/ekt-sender.js';
import { InstalledSet } from '../../../src/srtp/group-set.js';
import { packetIndex } from '../../../src/srtp/index-estimate.js';
import { SenderKeys } from '../../../src/srtp/sender-keys.js';
import { fullTail } from '../../../src/wire/ekt-tag.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import {
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

/** Refused with `reason`, and nothing has changed. */
function expectRefused(datagram: Uint8Array, reason: string, now = NOW, kind: 'rtp' | 'rtcp' = 'rtp'): void {
  receiver.expire(now);
  const before = receiver.describe();
  const result = kind === 'rtp' ? receiver.receiveRtp(datagram, now) : receiver.receiveRtcp(datagram, now);
  expect(verdict(result)).toBe(reason);
  expect(receiver.describe()).toBe(before);
}

function expectReceived(datagram: Uint8Array, now = NOW): void {
  expect(verdict(receiver.receiveRtp(datagram, now))).toBe('ok');
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at < 0 ? copy.length + at : at]! ^= 2;
  return copy;
}

/** What somebody who holds a set and a key can seal: every field at will. */
function sealed(
  set: number,
  key: number,
  sequence: number,
  roc: number,
  isn: number | undefined,
  ssrc = SSRC,
): Uint8Array {
  const header = writeRtpHeader({ payloadType: 96, sequence, timestamp: 7, ssrc, csrcs: [0x11] });
  return sealEktRtp(keysOf(set, key), header, Uint8Array.of(1, 2, 3), packetIndex(roc, sequence), isn);
}

function keysOf(set: number, key: number): SenderKeys {
  const wrapped = senderKey(key).use((bytes) => new InstalledSet(groupSet(set)).wrap(bytes));
  return SenderKeys.derived(groupSet(set).spiWord, wrapped, senderKey(key), groupSet(set).masterSalt);
}

beforeEach(() => {
  receiver = newReceiver();
  sender = newSender();
});

describe('forged tag', () => {
  it('no bit of a Full packet can be changed', () => {
    const bytes = packet(sender, true);
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const forged = Uint8Array.from(bytes);
        forged[at]! ^= 1 << bit;
        const before = receiver.describe();
        expect(receiver.receiveRtp(forged, NOW).ok, `byte ${at} bit ${bit}`).toBe(false);
        expect(receiver.describe()).toBe(before);
      }
    }
    expectReceived(bytes);
  });

  it('no bit of a Short packet can be changed but the seven free ones', () => {
    expectReceived(packet(sender, true));
    const bytes = packet(sender, false);
    for (let at = 0; at < bytes.length - 1; at++) expectRefusedAnyhow(flipped(bytes, at));
    expectReceived(flipped(bytes, -1));
  });

  it('no bit of a media RTCP packet can be changed', () => {
    const bytes = sender.protectRtcp(senderReport());
    for (let at = 0; at < bytes.length; at++) {
      const before = receiver.describe();
      expect(receiver.receiveRtcp(flipped(bytes, at), NOW).ok, `byte ${at}`).toBe(false);
      expect(receiver.describe()).toBe(before);
    }
    expect(receiver.receiveRtcp(bytes, NOW).ok).toBe(true);
  });

  it('nor of one with a Short tag, whichever key it is under', () => {
    expectReceived(sealed(1, 1, 100, 0, 100));
    expectReceived(sealed(1, 2, 110, 0, 110));
    for (const key of [2, 1]) {
      const bytes = sealEktRtcp(keysOf(1, key), senderReport(), 10 + key, undefined);
      for (let at = 0; at < bytes.length - 1; at++) {
        const before = receiver.describe();
        expect(receiver.receiveRtcp(flipped(bytes, at), NOW).ok, `byte ${at}`).toBe(false);
        expect(receiver.describe()).toBe(before);
      }
      expect(verdict(receiver.receiveRtcp(bytes, NOW))).toBe('ok');
    }
  });

  it('a key that the sender never had does not verify, though its wrapping is well formed', () => {
    expectReceived(packet(sender, true));
    const bytes = packet(sender, true);
    bytes.set(new Uint8Array(16).fill(9), bytes.length - 24);
    expectRefused(bytes, 'auth_failed');
    expectReceived(packet(sender, false));
  });

  function expectRefusedAnyhow(datagram: Uint8Array): void {
    const before = receiver.describe();
    expect(receiver.receiveRtp(datagram, NOW).ok).toBe(false);
    expect(receiver.describe()).toBe(before);
  }
});

describe('replay', () => {
  it('a packet is taken once, Full or Short, also when it is late', () => {
    const [first, second, third] = [packet(sender, true), packet(sender, false), packet(sender, true)];
    for (const bytes of [first, third, second]) expectReceived(bytes);
    for (const bytes of [first, second, third]) expectRefused(bytes, 'replayed');
  });

  it('what lies 1,024 packets back is too old, 1,023 is not', () => {
    const old = packet(sender, true);
    const edge = packet(sender, true);
    for (let i = 0; i < 1022; i++) packet(sender, false);
    expectReceived(packet(sender, true));
    expectRefused(old, 'too_old');
    expectReceived(edge);
  });

  it('media RTCP is taken once, and its index goes on over a rekey', () => {
    const first = sender.protectRtcp(senderReport());
    expect(receiver.receiveRtcp(first, NOW).ok).toBe(true);
    expectRefused(first, 'replayed', NOW, 'rtcp');
    expectReceived(packet(sender, true));
    sender.rekey(groupSet(1), senderKey(2));
    expectReceived(packet(sender, true));
    expectRefused(first, 'replayed', NOW, 'rtcp');
    expectRefused(sealEktRtcp(keysOf(1, 2), senderReport(), 0, { roc: 0, isn: 1001 }), 'replayed', NOW, 'rtcp');
    const short = sealEktRtcp(keysOf(1, 2), senderReport(), 7, undefined);
    expect(receiver.receiveRtcp(short, NOW).ok).toBe(true);
    expectRefused(short, 'replayed', NOW, 'rtcp');
  });

  it('a sender that begins anew under a newer set does not open its old packets to replay', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    const old = Array.from({ length: 5 }, () => packet(sender, true));
    const oldReport = sender.protectRtcp(senderReport());
    for (const bytes of old) expectReceived(bytes);
    expect(receiver.receiveRtcp(oldReport, NOW).ok).toBe(true);
    const anew = newSender({ sequence: 10, set: groupSet(2), key: 2 });
    const first = packet(anew, true);
    expectReceived(first);
    for (const bytes of old) expectRefused(bytes, 'unknown_spi');
    expectRefused(oldReport, 'unknown_spi', NOW, 'rtcp');
    expectRefused(first, 'replayed');
    expectReceived(packet(anew, false));
  });

  it('nor those whose index lies below the new beginning, within the life of a replaced key', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    const old = Array.from({ length: 5 }, () => packet(sender, true));
    for (const bytes of old) expectReceived(bytes);
    expectReceived(packet(newSender({ sequence: 1003, set: groupSet(2), key: 2 }), true));
    for (const bytes of old) expectRefused(bytes, 'unknown_spi');
  });

  it.each([
    ['ahead of the old one', 5000, false],
    ['ahead of the old one, heard in SRTP first', 5000, true],
    ['behind the old one', 10, false],
    ['behind the old one, heard in SRTP first', 10, true],
  ])('media RTCP of before a new beginning stays closed: %s', (_name, sequence, srtpFirst) => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    expectReceived(packet(sender, true));
    const old = Array.from({ length: 5 }, () => sender.protectRtcp(senderReport()));
    for (const i of [0, 1, 4]) expect(receiver.receiveRtcp(old[i]!, NOW).ok).toBe(true);
    const anew = newSender({ sequence, set: groupSet(2), key: 2 });
    if (srtpFirst) expectReceived(packet(anew, true));
    // The SRTCP index is never taken back (WIRE.md 9 step 5): the new sender's reports count once they pass the old ones.
    for (let i = 0; i < 5; i++) {
      const passed = i === 2 || i === 3; // the old sender's two reports that never came leave room in the window
      expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe(passed ? 'ok' : 'replayed');
    }
    expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe('ok');
    for (const report of old) {
      expect(['unknown_spi', 'replayed']).toContain(verdict(receiver.receiveRtcp(report, NOW)));
    }
    expectReceived(packet(anew, false));
  });

  it('a sender that goes on under a newer set keeps its window: late packets are taken, replayed ones are not', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    const [first, late, third] = [packet(sender, true), packet(sender, false), packet(sender, false)];
    expectReceived(first);
    expectReceived(third);
    sender.rekey(groupSet(2), senderKey(2));
    expectReceived(packet(sender, true));
    expectRefused(third, 'replayed');
    expectReceived(late);
    expectRefused(late, 'replayed');
  });
});

describe('splice', () => {
  it('a key block does not authenticate another packet of the stream', () => {
    const [first, second] = [packet(sender, true, 'one'), packet(sender, true, 'two')];
    expectRefused(concat(second.subarray(0, -34), first.subarray(-34)), 'auth_failed');
    expectRefused(concat(second.subarray(0, -24), packet(newSender({ key: 2 }), true).subarray(-24)), 'auth_failed');
  });

  it('a key block does not open another SSRC', () => {
    const bytes = packet(sender, true);
    writeU32(bytes, 8, 0xdeadbe01);
    expectRefused(bytes, 'auth_failed');
  });

  it("a Short packet cannot be dressed with another packet's key block, nor a Full one stripped of it", () => {
    const full = packet(sender, true);
    const short = packet(sender, false);
    expectRefused(concat(short.subarray(0, -11), full.subarray(-34)), 'auth_failed');
    expectReceived(full);
    const stripped = packet(sender, true);
    expectRefused(concat(stripped.subarray(0, -24), Uint8Array.of(0)), 'auth_failed');
  });

  it('the key block of a media RTCP packet does not verify on SRTP', () => {
    const report = sender.protectRtcp(senderReport());
    const bytes = packet(sender, true);
    expectRefused(concat(bytes.subarray(0, -34), report.subarray(-34)), 'auth_failed');
  });
});

describe('ROC lowering', () => {
  it('a known ROC is not lowered by a Full tag of an earlier cycle', () => {
    expectReceived(sealed(1, 1, 100, 5, 0));
    expectRefused(sealed(1, 1, 200, 4, 0), 'too_old');
    expectReceived(sealed(1, 1, 101, 5, undefined));
  });

  it('a late packet from before the wrap is taken and does not take the ROC back', () => {
    expectReceived(sealed(1, 1, 65530, 4, 0));
    expectReceived(sealed(1, 1, 2, 5, 0));
    expectReceived(sealed(1, 1, 65535, 4, 0));
    expectReceived(sealed(1, 1, 65534, 4, undefined));
    expectReceived(sealed(1, 1, 3, 5, undefined));
  });

  it('a ROC known from media RTCP only allows the cycles beside it, and is not lowered either', () => {
    const report = (roc: number, index: number) => sealEktRtcp(keysOf(1, 1), senderReport(), index, { roc, isn: 0 });
    expect(receiver.receiveRtcp(report(5, 1), NOW).ok).toBe(true);
    expectRefused(sealed(1, 1, 200, 3, 0), 'too_old');
    expect(receiver.receiveRtcp(report(3, 2), NOW).ok).toBe(true);
    expectRefused(sealed(1, 1, 200, 3, 0), 'too_old');
    for (const [roc, sequence] of [[4, 65000] as const, [6, 1] as const, [5, 9] as const]) {
      receiver = newReceiver();
      expect(receiver.receiveRtcp(report(5, 1), NOW).ok).toBe(true);
      expectReceived(sealed(1, 1, sequence, roc, undefined));
    }
    receiver = newReceiver();
    expect(receiver.receiveRtcp(report(5, 1), NOW).ok).toBe(true);
    expectRefused(sealed(1, 1, 9, 7, undefined), 'auth_failed');
  });

  it('the ROC is under the tag: a Full packet with another one does not verify', () => {
    const bytes = packet(sender, true);
    writeU32(bytes, bytes.length - 8, 1);
    expectRefused(bytes, 'auth_failed');
    writeU32(bytes, bytes.length - 8, 0);
    writeU16(bytes, bytes.length - 4, 7);
    expectRefused(bytes, 'auth_failed');
  });
});

describe('old set key', () => {
  it('a key under an older set than the current one is refused, however far ahead its index', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    expectReceived(sealed(2, 2, 100, 0, 100));
    expectRefused(sealed(1, 1, 200, 0, 200), 'unknown_spi');
    expectRefused(sealed(1, 1, 50, 0, 50), 'unknown_spi');
    const report = sealEktRtcp(keysOf(1, 1), senderReport(), 9, { roc: 0, isn: 300 });
    expectRefused(report, 'unknown_spi', NOW, 'rtcp');
  });

  it('the replaced key counts for 2 s, below the point where it was replaced, and not a millisecond more', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    expectReceived(sealed(1, 1, 100, 0, 100));
    expectReceived(sealed(2, 2, 110, 0, 110));
    const end = NOW + PREVIOUS_KEY_LIFETIME_MS;
    expectReceived(sealed(1, 1, 105, 0, 100), end - 1);
    expectReceived(sealed(1, 1, 106, 0, undefined), end - 1);
    expectRefused(sealed(1, 1, 111, 0, 100), 'too_old', end - 1);
    expectRefused(sealed(1, 1, 111, 0, undefined), 'auth_failed', end - 1);
    expectRefused(sealed(1, 1, 107, 0, 100), 'unknown_spi', end);
    expectRefused(sealed(1, 1, 108, 0, undefined), 'auth_failed', end);
  });

  it('an earlier key of the same set does not come back into force', () => {
    expectReceived(sealed(1, 1, 100, 0, 100));
    expectReceived(sealed(1, 2, 110, 0, 110));
    const later = NOW + PREVIOUS_KEY_LIFETIME_MS;
    expectRefused(sealed(1, 1, 120, 0, 100), 'too_old', later);
    expectRefused(sealEktRtcp(keysOf(1, 1), senderReport(), 3, { roc: 0, isn: 100 }), 'too_old', later, 'rtcp');
    expectReceived(sealed(1, 2, 111, 0, undefined), later);
  });

  it('a dropped set opens nothing any more, and cannot be installed again', () => {
    receiver = newReceiver(groupSet(1), groupSet(2));
    expectReceived(packet(sender, true));
    receiver.dropSet(groupSet(1).spiWord);
    expectRefused(packet(sender, true), 'unknown_spi');
    expectRefused(packet(sender, false), 'no_key');
    expect(verdict(receiver.addSet(groupSet(1)))).toBe('not_newer');
  });
});

describe('state poisoning', () => {
  it('a stranger cannot fill the contexts: only what verifies takes one', () => {
    const bytes = packet(sender, true);
    for (let i = 0; i < 2 * MAX_RECEIVE_CONTEXTS; i++) {
      writeU32(bytes, 8, 0x01000001 + 0x100 * i);
      expect(verdict(receiver.receiveRtp(bytes, NOW))).toBe('auth_failed');
    }
    expectReceived(packet(sender, true));
  });

  it('the full table refuses a further stream and evicts none', () => {
    const ssrc = (i: number) => 0x01000001 + 0x100 * i;
    for (let i = 0; i < MAX_RECEIVE_CONTEXTS; i++) expectReceived(sealed(1, 1, 100, 0, 100, ssrc(i)));
    expectRefused(sealed(1, 1, 100, 0, 100, ssrc(MAX_RECEIVE_CONTEXTS)), 'stream_limit');
    expectRefused(
      sealEktRtcp(keysOf(1, 1), senderReport(0xaa000001), 1, { roc: 0, isn: 1 }),
      'stream_limit',
      NOW,
      'rtcp',
    );
    expectReceived(sealed(1, 1, 101, 0, undefined, ssrc(0)));
  });

  it('forged announcements in media RTCP leave the key slots alone', () => {
    expectReceived(packet(sender, true));
    const report = sender.protectRtcp(senderReport());
    report.set(new Uint8Array(16).fill(3), report.length - 24);
    expectRefused(report, 'too_old', NOW, 'rtcp');
    writeU16(report, report.length - 4, sender.sequence + 5);
    expectRefused(report, 'auth_failed', NOW, 'rtcp');
    expectReceived(packet(sender, false));
  });

  it('a leap of the ROC in a packet that does not verify moves nothing', () => {
    expectReceived(packet(sender, true));
    const bytes = packet(sender, true);
    writeU32(bytes, bytes.length - 8, 0x7fffffff);
    expectRefused(bytes, 'auth_failed');
    expect(readU32(bytes, bytes.length - 8)).toBe(0x7fffffff);
    expectReceived(packet(sender, false));
  });

  it('SRTCP without encryption is malformed, also with a tag that verifies', () => {
    const keys = keysOf(1, 1);
    const seal = (word: Uint8Array) => {
      // Counter mode: what decrypts also encrypts.
      const sealed = concat(openEktRtcp(keys, SSRC, 0, concat(senderReport(), word)), word);
      return withTag(keys, 'rtcp', sealed, fullTail(keys.wrapped, 0, 1, keys.spiWord));
    };
    const bytes = seal(new Uint8Array(4));
    expectRefused(bytes, 'malformed', NOW, 'rtcp');
    expect(verdict(receiver.receiveRtcp(seal(Uint8Array.of(0x80, 0, 0, 0)), NOW))).toBe('ok');
  });

  it('media under a control SSRC is malformed', () => {
    expectRefused(sealed(1, 1, 100, 0, 100, 0xcafeba00), 'malformed');
    expectRefused(sealEktRtcp(keysOf(1, 1), senderReport(0xcafeba00), 1, { roc: 0, isn: 1 }), 'malformed', NOW, 'rtcp');
  });
});
