import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { MAX_LIVE_SETS, MAX_RECEIVE_CONTEXTS, PREVIOUS_KEY_LIFETIME_MS } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { EktSender } from '../../../src/srtp/ekt-sender.js';
import { FullTagCadence } from '../../../src/srtp/full-tag-cadence.js';
import { tagForm } from '../../../src/wire/ekt-tag.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import {
  groupSet,
  header,
  NOW,
  newReceiver,
  newSender,
  packet,
  SSRC,
  senderKey,
  senderReport,
  verdict,
} from '../../support/ekt.js';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('EktSender and EktReceiver', () => {
  it('carry header fields and payload', () => {
    const sender = newSender({ sequence: 77 });
    const own = writeRtpHeader({
      marker: true,
      payloadType: 97,
      sequence: 1,
      timestamp: 0xfffffff0,
      ssrc: 1,
      csrcs: [0xabcde011, 5],
      extension: { profile: 0xbede, data: Uint8Array.of(1, 2, 3, 4) },
    });
    const received = newReceiver().receiveRtp(sender.protectRtp(own, Uint8Array.of(9, 8), { full: true }), NOW);
    expect(received).toMatchObject({
      ok: true,
      value: {
        ssrc: SSRC,
        sequence: 77,
        index: 77,
        payloadType: 97,
        marker: true,
        timestamp: 0xfffffff0,
        csrcs: [0xabcde011, 5],
        payload: Uint8Array.of(9, 8),
      },
    });
  });

  it('take padding off, and refuse padding that does not fit without learning from the packet', () => {
    const padded = writeRtpHeader({
      payloadType: 96,
      sequence: 0,
      timestamp: 0,
      ssrc: 0,
      csrcs: [0x11],
      padding: true,
    });
    const [sender, receiver] = [newSender(), newReceiver()];
    const before = receiver.describe();
    const wrong = sender.protectRtp(padded, Uint8Array.of(1, 2, 4), { full: true });
    expect(verdict(receiver.receiveRtp(wrong, NOW))).toBe('malformed');
    expect(receiver.describe()).toBe(before);
    const right = sender.protectRtp(padded, Uint8Array.of(1, 0, 2), { full: true });
    expect(receiver.receiveRtp(right, NOW)).toMatchObject({ ok: true, value: { payload: Uint8Array.of(1) } });
  });

  it('need a CSRC', () => {
    const bare = writeRtpHeader({ payloadType: 96, sequence: 0, timestamp: 0, ssrc: 0 });
    const bytes = newSender().protectRtp(bare, new Uint8Array(3), { full: true });
    expect(verdict(newReceiver().receiveRtp(bytes, NOW))).toBe('no_multiplex_word');
  });

  it('go over the wrap: ROC + 1, ISN 0, Short tags and late packets included', () => {
    const [sender, receiver] = [newSender({ sequence: 65533 }), newReceiver()];
    const sent = Array.from({ length: 6 }, (_, i) => packet(sender, i === 0, `p${i}`));
    expect([sender.roc, sender.sequence]).toEqual([1, 3]);
    for (const i of [0, 1, 4, 2, 3, 5]) {
      expect(receiver.receiveRtp(sent[i]!, NOW)).toMatchObject({ ok: true, value: { index: 65533 + i } });
    }
    const full = packet(sender, true);
    expect(toHex(full.subarray(-8))).toBe(`000000010000${groupSet(1).spiWord.toString(16)}`);
    const late = newReceiver();
    expect(late.receiveRtp(full, NOW)).toMatchObject({ ok: true, value: { index: 65539 } });
  });

  it('start anywhere: a late joiner waits for a Full tag, and one is enough', () => {
    const [sender, receiver] = [newSender({ sequence: 65000 }), newReceiver()];
    for (let i = 0; i < 1000; i++) packet(sender, false);
    expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('no_key');
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('ok');
  });

  it('media RTCP alone opens a stream', () => {
    const [sender, receiver] = [newSender(), newReceiver()];
    const compound = senderReport();
    expect(receiver.receiveRtcp(sender.protectRtcp(compound), NOW)).toEqual({
      ok: true,
      value: { ssrc: SSRC, compound },
    });
    expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('ok');
  });

  it.each([1, 2])('work with EKT cipher %i', (cipher) => {
    const set = groupSet(1, cipher);
    const [sender, receiver] = [newSender({ set }), newReceiver(set)];
    const bytes = packet(sender, true);
    expect(bytes.length).toBe(16 + 7 + (cipher === 1 ? 34 : 42));
    expect(verdict(receiver.receiveRtp(bytes, NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtcp(sender.protectRtcp(senderReport()), NOW))).toBe('ok');
    const forged = packet(sender, true);
    forged[forged.length - 20]! ^= 1;
    expect(verdict(receiver.receiveRtp(forged, NOW))).toBe('auth_failed');
  });
});

describe('rekeying', () => {
  it('at once: the new key with the next packet, the old one for what was under way', () => {
    const [sender, receiver] = [newSender(), newReceiver()];
    const [first, late] = [packet(sender, true), packet(sender, false)];
    expect(verdict(receiver.receiveRtp(first, NOW))).toBe('ok');
    sender.rekey(groupSet(1), senderKey(2));
    expect(sender.keyGeneration).toBe(1);
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(late, NOW + PREVIOUS_KEY_LIFETIME_MS - 1))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('ok');
  });

  it('announced by media RTCP: Short tags alone carry over the change', () => {
    const [sender, receiver] = [newSender(), newReceiver()];
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    sender.rekey(groupSet(1), senderKey(2), 3);
    expect(verdict(receiver.receiveRtcp(sender.protectRtcp(senderReport()), NOW))).toBe('ok');
    const sent = Array.from({ length: 6 }, () => packet(sender, false));
    expect(sender.keyGeneration).toBe(1);
    for (const i of [0, 1, 3, 2, 4, 5]) expect(verdict(receiver.receiveRtp(sent[i]!, NOW)), `packet ${i}`).toBe('ok');
  });

  it('announced before the first SRTP packet came: both keys find their place', () => {
    const [sender, receiver] = [newSender(), newReceiver()];
    sender.rekey(groupSet(1), senderKey(2), 2);
    expect(verdict(receiver.receiveRtcp(sender.protectRtcp(senderReport()), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    for (let i = 0; i < 3; i++) expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('ok');
  });

  it('an announcement that the sender does not keep ends with the next Full tag', () => {
    const [kept, announcing, receiver] = [newSender(), newSender(), newReceiver()];
    expect(verdict(receiver.receiveRtp(packet(kept, true), NOW))).toBe('ok');
    announcing.rekey(groupSet(1), senderKey(2), 3);
    expect(verdict(receiver.receiveRtcp(announcing.protectRtcp(senderReport()), NOW))).toBe('ok');
    for (let i = 0; i < 2; i++) expect(verdict(receiver.receiveRtp(packet(kept, false), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(kept, false), NOW))).toBe('auth_failed');
    expect(verdict(receiver.receiveRtp(packet(kept, true), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(kept, false), NOW))).toBe('ok');
  });

  it('a start beyond the wrap is taken at once', () => {
    const [sender, receiver] = [newSender({ sequence: 65535 }), newReceiver()];
    sender.rekey(groupSet(1), senderKey(2), 5);
    expect(sender.keyGeneration).toBe(1);
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(sender, false), NOW))).toBe('ok');
  });

  it('a sender that begins anew under a newer set is heard at once; its media RTCP once it passes the old index', () => {
    const receiver = newReceiver(groupSet(1), groupSet(2));
    const old = newSender({ sequence: 5000 });
    for (let i = 0; i < 50; i++) receiver.receiveRtp(packet(old, true), NOW);
    for (let i = 0; i < 3; i++) receiver.receiveRtcp(old.protectRtcp(senderReport()), NOW);
    const anew = newSender({ sequence: 100, set: groupSet(2), key: 2 });
    expect(receiver.receiveRtp(packet(anew, true), NOW)).toMatchObject({ ok: true, value: { index: 100 } });
    for (let i = 0; i < 3; i++) {
      expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe('replayed');
    }
    expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe('ok');
    expect(verdict(receiver.receiveRtp(packet(anew, false), NOW))).toBe('ok');
  });

  it('a restart can be told by media RTCP first', () => {
    const receiver = newReceiver(groupSet(1), groupSet(2));
    const old = newSender({ sequence: 5000 });
    const oldPackets = Array.from({ length: 3 }, () => packet(old, true));
    for (const bytes of oldPackets) receiver.receiveRtp(bytes, NOW);
    receiver.receiveRtcp(old.protectRtcp(senderReport()), NOW);
    const anew = newSender({ sequence: 100, set: groupSet(2), key: 2 });
    expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe('replayed');
    expect(verdict(receiver.receiveRtcp(anew.protectRtcp(senderReport()), NOW))).toBe('ok');
    for (const bytes of oldPackets) expect(verdict(receiver.receiveRtp(bytes, NOW))).toBe('unknown_spi');
    expect(receiver.receiveRtp(packet(anew, false), NOW)).toMatchObject({ ok: true, value: { index: 100 } });
  });

  it('refuses what is misuse', () => {
    const sender = newSender({ set: groupSet(2) });
    expect(() => sender.rekey(groupSet(1), senderKey(2))).toThrow();
    expect(() => newSender({ ssrc: 0xcafeba00 })).toThrow();
    expect(
      () => new EktSender({ ssrc: SSRC, sequence: 0, set: groupSet(1), key: new Secret(new Uint8Array(15)) }),
    ).toThrow();
    expect(() => newSender({ set: { ...groupSet(1), suite: 17 } })).toThrow();
    expect(() => sender.protectRtp(new Uint8Array(11), new Uint8Array(0), { full: true })).toThrow();
  });
});

describe('packets that never came to the sender', () => {
  it('are a gap in the sequence, over the wrap too, and a waiting key comes into force in it', () => {
    const [sender, receiver] = [newSender({ sequence: 65_530 }), newReceiver()];
    expect(verdict(receiver.receiveRtp(packet(sender, true), NOW))).toBe('ok');
    sender.rekey(groupSet(1), senderKey(2), 3);
    sender.skip(10);
    expect([sender.sequence, sender.roc, sender.keyGeneration]).toEqual([5, 1, 1]);
    expect(receiver.receiveRtp(packet(sender, true), NOW)).toMatchObject({ ok: true, value: { index: 0x10005 } });
  });
});

describe('sets of a receiver', () => {
  it('rise, are few, and are those whose keys ride in tags', () => {
    const receiver = newReceiver(groupSet(2));
    expect(verdict(receiver.addSet(groupSet(2)))).toBe('not_newer');
    expect(verdict(receiver.addSet(groupSet(1)))).toBe('not_newer');
    expect(verdict(receiver.addSet({ ...groupSet(3), cipher: 3 }))).toBe('unsupported');
    expect(verdict(receiver.addSet({ ...groupSet(3), spiWord: 0x2000 }))).toBe('unsupported');
    for (let n = 3; n < 2 + MAX_LIVE_SETS; n++) expect(verdict(receiver.addSet(groupSet(n)))).toBe('ok');
    expect(verdict(receiver.addSet(groupSet(99)))).toBe('set_limit');
    receiver.dropSet(groupSet(2).spiWord);
    expect(verdict(receiver.addSet(groupSet(99)))).toBe('ok');
  });

  it('a full receiver evicts a stream whose sets are gone, and never one of a live set', () => {
    const receiver = newReceiver(groupSet(1), groupSet(2));
    const hear = (ssrc: number, n: number): string =>
      verdict(receiver.receiveRtp(packet(newSender({ ssrc, set: groupSet(n) }), true), NOW));
    expect(hear(1, 1)).toBe('ok');
    for (let i = 1; i < MAX_RECEIVE_CONTEXTS; i++) expect(hear(0x100 * i + 1, 2)).toBe('ok');
    expect(hear(0xffff01, 2)).toBe('stream_limit');
    receiver.dropSet(groupSet(1).spiWord);
    expect(hear(0xffff01, 2)).toBe('ok');
    expect(hear(0xffff02, 2)).toBe('stream_limit');
  });

  it('copies: the caller may wipe its own at once', () => {
    const set = groupSet(1);
    const [sender, receiver] = [newSender({ set }), newReceiver(set)];
    set.kek.wipe();
    set.masterSalt.wipe();
    const got = receiver.receiveRtp(packet(sender, true, 'still'), NOW);
    expect(got.ok && text(got.value.payload)).toBe('still');
  });
});

describe('cadence of Full tags (WIRE.md 5)', () => {
  it('audio: three after a new key, then every third', () => {
    const cadence = new FullTagCadence('audio');
    const asked = Array.from({ length: 9 }, () => cadence.next(0, false));
    expect(asked).toEqual([true, true, true, false, false, true, false, false, true]);
    expect([1, 1, 1, 1, 1, 1].map((generation) => cadence.next(generation, false))).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
    ]);
  });

  it('video: three after a new key, then the first packet of each frame', () => {
    const cadence = new FullTagCadence('video');
    const frames = [true, false, false, false, true, false, false, false, false, true];
    expect(frames.map((first) => cadence.next(0, first))).toEqual([
      true,
      true,
      true,
      false,
      true,
      false,
      false,
      false,
      false,
      true,
    ]);
    expect([false, false, false, false].map((first) => cadence.next(1, first))).toEqual([true, true, true, false]);
  });

  it('goes with the sender: tags have the form that was asked for', () => {
    const sender = newSender();
    const cadence = new FullTagCadence('audio');
    const forms = Array.from({ length: 6 }, () => {
      const full = cadence.next(sender.keyGeneration, false);
      return tagForm(sender.protectRtp(header(), new Uint8Array(20), { full }));
    });
    expect(forms).toEqual(['full', 'full', 'full', 'short', 'short', 'full']);
  });
});
