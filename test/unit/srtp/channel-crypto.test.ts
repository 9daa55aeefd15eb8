import { beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { MAX_CHANNEL_KEY_SSRCS, MAX_DATAGRAM_BYTES } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { ChannelCrypto, type ChannelProfile } from '../../../src/srtp/channel-crypto.js';
import { buildControlCompound, writePli, writeRr } from '../../../src/wire/rtcp-write.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import { verdict } from '../../support/ekt.js';

const PROFILES: [name: string, profile: ChannelProfile, bytes: number, rtcpOverhead: number][] = [
  ['AES128_CM_HMAC_SHA1_80', 1, 30, 14],
  ['AEAD_AES_128_GCM', 7, 28, 20],
  ['AEAD_AES_256_GCM', 8, 44, 20],
];

const secretOf = (fill: number, bytes: number) => new Secret(Uint8Array.from({ length: bytes }, (_, i) => fill + i));

function rtp(sequence: number, ssrc = 0xcafebabe): Uint8Array {
  const header = writeRtpHeader({ payloadType: 96, sequence, timestamp: 1, ssrc, csrcs: [3] });
  return Uint8Array.from([...header, 1, 2, 3, 4]);
}

describe.each(PROFILES)('%s', (_name, profile, bytes, overhead) => {
  let ours: ChannelCrypto;
  let peer: ChannelCrypto;
  const compound = buildControlCompound({ ssrc: 0x11223300, cname: 'a@b' }, [writePli(0x11223300, 5)]);

  beforeEach(() => {
    ours = new ChannelCrypto({ profile, local: secretOf(1, bytes), remote: secretOf(90, bytes) });
    peer = new ChannelCrypto({ profile, local: secretOf(90, bytes), remote: secretOf(1, bytes) });
  });

  function expectRefused(datagram: Uint8Array, reason: string): void {
    const before = peer.describe();
    expect(verdict(peer.unprotectRtcp(datagram))).toBe(reason);
    expect(peer.describe()).toBe(before);
  }

  it('carries a compound both ways, each with an index of its own', () => {
    const sealed = ours.protectRtcp(compound);
    expect(sealed.length).toBe(compound.length + overhead);
    expect(toHex(sealed.subarray(8, 24))).not.toBe(toHex(compound.subarray(8, 24)));
    expect(peer.unprotectRtcp(sealed)).toMatchObject({ ok: true, value: compound });
    expect(ours.unprotectRtcp(peer.protectRtcp(compound))).toMatchObject({ ok: true, value: compound });
    expect(toHex(ours.protectRtcp(compound))).not.toBe(toHex(sealed));
  });

  it('replay: each SSRC has its window, and a packet is taken once, in any order', () => {
    const [first, second] = [ours.protectRtcp(compound), ours.protectRtcp(writeRr(0x11223301))];
    const third = ours.protectRtcp(compound);
    for (const sealed of [third, first, second]) expect(verdict(peer.unprotectRtcp(sealed))).toBe('ok');
    for (const sealed of [first, second, third]) expectRefused(sealed, 'replayed');
    for (let i = 0; i < 1022; i++) ours.protectRtcp(compound);
    expect(verdict(peer.unprotectRtcp(ours.protectRtcp(compound)))).toBe('ok');
    expectRefused(first, 'too_old');
  });

  it('forged: no byte can be changed, and a reflected packet does not verify', () => {
    const sealed = ours.protectRtcp(compound);
    for (let at = 0; at < sealed.length; at++) {
      const forged = Uint8Array.from(sealed);
      forged[at]! ^= 1;
      const before = peer.describe();
      expect(peer.unprotectRtcp(forged).ok, `byte ${at}`).toBe(false);
      expect(peer.describe()).toBe(before);
    }
    expect(verdict(ours.unprotectRtcp(sealed))).toBe('auth_failed');
    expect(verdict(peer.unprotectRtcp(sealed))).toBe('ok');
  });

  it('E = 0 and what is too short or too long is malformed', () => {
    const sealed = ours.protectRtcp(compound);
    sealed[sealed.length - (profile === 1 ? 14 : 4)]! &= 0x7f;
    expectRefused(sealed, 'malformed');
    for (let length = 0; length < 8 + overhead; length++) expectRefused(sealed.subarray(0, length), 'malformed');
    expectRefused(new Uint8Array(MAX_DATAGRAM_BYTES + 1).fill(0x80), 'malformed');
  });

  it('what the judge refuses is not remembered', () => {
    const sealed = ours.protectRtcp(compound);
    const before = peer.describe();
    expect(verdict(peer.unprotectRtcp(sealed, () => 'malformed'))).toBe('malformed');
    expect(peer.describe()).toBe(before);
    expect(verdict(peer.unprotectRtcp(sealed, () => undefined))).toBe('ok');
  });

  it('keeps windows for a limited number of SSRCs and evicts none', () => {
    for (let i = 0; i < MAX_CHANNEL_KEY_SSRCS; i++) {
      expect(verdict(peer.unprotectRtcp(ours.protectRtcp(writeRr(i + 1))))).toBe('ok');
    }
    expectRefused(ours.protectRtcp(writeRr(0xffff)), 'stream_limit');
    expect(verdict(peer.unprotectRtcp(ours.protectRtcp(writeRr(1))))).toBe('ok');
  });

  it('SRTP: over the wrap, in another order, once', () => {
    const sealed = [65534, 65535, 0, 1].map((sequence) => {
      const result = ours.protectRtp(rtp(sequence));
      if (!result.ok) throw new Error(result.reason);
      return result.value;
    });
    for (const i of [0, 2, 1, 3]) {
      expect(peer.unprotectRtp(sealed[i]!)).toMatchObject({ ok: true, value: rtp((65534 + i) % 65536) });
    }
    for (const bytes of sealed) expect(verdict(peer.unprotectRtp(bytes))).toBe('replayed');
    const forged = Uint8Array.from(sealed[3]!);
    forged[forged.length - 1]! ^= 1;
    forged[3] = 9;
    expect(verdict(peer.unprotectRtp(forged))).toBe('auth_failed');
  });

  it('SRTP: no sequence number is protected twice', () => {
    expect(verdict(ours.protectRtp(rtp(7)))).toBe('ok');
    expect(verdict(ours.protectRtp(rtp(7)))).toBe('replayed');
    expect(verdict(ours.protectRtp(rtp(7, 0xcafebabf)))).toBe('ok');
  });

  it('refuses to work when wiped, and keys of a wrong length', () => {
    ours.wipe();
    expect(() => ours.protectRtcp(compound)).toThrow('wiped');
    expect(() => ours.unprotectRtcp(compound)).toThrow('wiped');
    const wrong = { profile, local: secretOf(1, bytes - 1), remote: secretOf(1, bytes) };
    expect(() => new ChannelCrypto(wrong)).toThrow(RangeError);
  });
});
