/** Control RTCP under channel keys, media RTCP beside it (WIRE.md 3). */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import { addMember, bytesOf, CONFERENCE, localKeys, remoteKeys, room } from './room.js';
import { compound, pli, protectControl, protectControlGcm, TestSender, tipEcho, unprotectControl } from './sender.js';

const CONTROL_SSRC = 0x55667700;

describe('control RTCP from an endpoint', () => {
  it('under the control SSRC may be TIP', () => {
    const { core } = room();
    const plain = compound(CONTROL_SSRC, tipEcho(CONTROL_SSRC));
    const { drop, events, outputs } = core.feed(1, protectControl(remoteKeys(1), plain, 5), 0);
    expect(drop).toBeUndefined();
    expect(outputs).toEqual([]);
    expect(events).toEqual([{ type: 'control', channel: 1, tipAllowed: true, rtcp: plain }]);
  });

  it('under a media SSRC may be reports and feedback, never TIP, SR or BYE', () => {
    const { core } = room();
    const feedback = compound(0xa1, pli(0xa1, 0xb1));
    expect(core.feed(1, protectControl(remoteKeys(1), feedback, 1), 0).events).toEqual([
      { type: 'control', channel: 1, tipAllowed: false, rtcp: feedback },
    ]);
    const before = core.stateHash();
    const bye = concat(Uint8Array.of(0x80, 203, 0, 0));
    for (const plain of [compound(0xa1, tipEcho(0xa1)), tipEcho(0xa1), compound(0xa1, bye)]) {
      expect(core.feed(1, protectControl(remoteKeys(1), plain, 2), 0)).toEqual({
        drop: 'malformed',
        events: [],
        outputs: [],
      });
      expect(core.stateHash()).toBe(before);
    }
  });

  it('of an SSRC that another channel owns is refused', () => {
    const { core, sender } = room();
    core.feed(2, sender.rtp({ sequence: 1, isn: 1, full: true, word: 0xabcde011, trailing: 0 }), 0);
    const feedback = compound(0xa1, pli(0xa1, 0xb1));
    expect(core.feed(1, protectControl(remoteKeys(1), feedback, 1), 0).drop).toBe('ssrc_owned');
    expect(core.feed(2, protectControl(remoteKeys(2), feedback, 1), 0).drop).toBeUndefined();
  });

  it('replayed, forged, unencrypted, too old, of another channel or of too many SSRCs changes nothing', () => {
    const { core } = room();
    const plain = compound(CONTROL_SSRC);
    const first = protectControl(remoteKeys(1), plain, 2_000);
    expect(core.feed(1, first, 0).drop).toBeUndefined();
    for (let i = 0; i < 31; i++) {
      const other = protectControl(remoteKeys(1), compound(0x01000000 + i * 256), 1);
      expect(core.feed(1, other, 0).drop).toBeUndefined();
    }
    const before = core.stateHash();
    const forged = protectControl(remoteKeys(1), plain, 2_001);
    forged[9]! ^= 1;
    const cases: [Uint8Array, string][] = [
      [first, 'replayed'],
      [concat(first.slice(0, -1), Uint8Array.of(first.at(-1)! ^ 1)), 'replayed'], // asked before the tag is computed (WIRE.md 9 step 5)
      [protectControl(remoteKeys(1), plain, 2_000 - 1_024), 'too_old'],
      [forged, 'auth_failed'],
      [protectControl(remoteKeys(1), plain, 2_001, false), 'malformed'],
      [protectControl(remoteKeys(2), plain, 2_001), 'auth_failed'],
      [protectControl(localKeys(1), plain, 2_001), 'auth_failed'],
      [plain, 'malformed'],
      [Uint8Array.of(0x80, 201), 'malformed'],
      [protectControl(remoteKeys(1), compound(0x77000000), 1), 'stream_limit'],
      [protectControl(remoteKeys(1), concat(plain, Uint8Array.of(0x80, 201, 0, 9)), 2_001), 'malformed'],
    ];
    for (const [bytes, drop] of cases) {
      expect(core.feed(1, bytes, 0)).toEqual({ drop, events: [], outputs: [] });
      expect(core.stateHash()).toBe(before);
    }
    expect(core.feed(1, protectControl(remoteKeys(1), plain, 1_999), 0).drop).toBeUndefined();
  });

  it('never counts as media: media under channel keys is refused', () => {
    const { core } = room();
    const sr = concat(Uint8Array.of(0x80, 200, 0, 6), Uint8Array.of(0, 0, 0, 0xa1), new Uint8Array(20));
    expect(core.feed(1, protectControl(remoteKeys(1), sr, 1), 0).drop).not.toBeUndefined();
    expect(core.take().outputs).toEqual([]);
  });
});

describe('control RTCP to an endpoint', () => {
  it('is protected with the local keys under an index that only rises, also over new keys', () => {
    const { core } = room();
    const plain = compound(CONTROL_SSRC, tipEcho(CONTROL_SSRC));
    const indices: number[] = [];
    for (let i = 0; i < 3; i++) {
      expect(core.sendControl(1, plain)).toBe(true);
      const [sent] = core.take().outputs;
      expect(sent?.receiver).toBe(1);
      const opened = unprotectControl(localKeys(1), sent!.bytes);
      expect(opened?.plain).toEqual(plain);
      indices.push(opened!.index);
      if (i === 1) addMember(core, 1, 'audio'); // sets the same keys again
    }
    expect(indices).toEqual([1, 2, 3]);
  });

  it('is not sent without keys, without a proven peer or when it is no compound', () => {
    const { core } = room();
    core.openChannel({ channel: 9, conference: CONFERENCE, member: 9, media: 'audio', transport: 'dtls' });
    expect(core.sendControl(9, compound(CONTROL_SSRC))).toBe(false);
    core.provePeer(9, { address: '192.0.2.9', port: 9 });
    expect(core.sendControl(9, compound(CONTROL_SSRC))).toBe(false);
    expect(core.sendControl(1, Uint8Array.of(0x80, 201, 0, 9, 0, 0, 0, 0))).toBe(false);
    expect(core.take().outputs).toEqual([]);
  });
});

describe('AEAD channel keys', () => {
  for (const [profile, size] of [
    [7, 28],
    [8, 44],
  ] as const) {
    it(`profile ${profile} protects both ways, and no bit of a packet may change`, () => {
      const { core } = room();
      const local = bytesOf(profile, size);
      const remote = bytesOf(profile + 1, size);
      core.setChannelKeys(1, { profile, local: Secret.copyOf(local), remote: Secret.copyOf(remote) });
      const plain = compound(CONTROL_SSRC, tipEcho(CONTROL_SSRC));
      core.sendControl(1, plain);
      expect(core.take().outputs[0]!.bytes).toEqual(protectControlGcm(local, plain, 1));
      const packet = protectControlGcm(remote, plain, 9);
      for (let bit = 0; bit < packet.length * 8; bit += 3) {
        const forged = Uint8Array.from(packet);
        forged[bit >> 3]! ^= 1 << (bit & 7);
        const before = core.stateHash();
        expect([bit, core.feed(1, forged, 0).drop === undefined]).toEqual([bit, false]);
        expect(core.stateHash()).toBe(before);
      }
      expect(core.feed(1, packet, 0).events).toEqual([{ type: 'control', channel: 1, tipAllowed: true, rtcp: plain }]);
    });
  }

  it('of a length that does not fit their profile are refused', () => {
    const { core } = room();
    const keys = (size: number) => ({
      local: Secret.copyOf(bytesOf(1, size)),
      remote: Secret.copyOf(bytesOf(2, size)),
    });
    expect(() => core.setChannelKeys(1, { profile: 7, ...keys(30) })).toThrow(RangeError);
    expect(() => core.setChannelKeys(1, { profile: 5, ...keys(30) })).toThrow(RangeError);
  });
});

describe('media RTCP', () => {
  it('goes unchanged to the other members of its media kind, whoever shows the stream', () => {
    const { core, sender, set } = room();
    addMember(core, 20, 'video');
    core.setAcked(20, set.spiWord);
    core.setRoutes(CONFERENCE, 'audio', []);
    const sr = sender.rtcp({ isn: 1 });
    expect(core.feed(1, sr, 0).outputs).toEqual([
      { receiver: 2, bytes: sr },
      { receiver: 3, bytes: sr },
    ]);
    const short = sender.rtcp({ full: false });
    short[short.length - 1] = 0x40;
    expect(core.feed(1, short, 0).outputs[0]!.bytes.at(-1)).toBe(0);
  });

  it('is refused when forged, and its key is not kept', () => {
    const { core, sender } = room();
    const sr = sender.rtcp({ isn: 1 });
    for (let bit = 0; bit < sr.length * 8; bit++) {
      const forged = Uint8Array.from(sr);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      const before = core.stateHash();
      expect([bit, core.feed(1, forged, 0).drop === undefined]).toEqual([bit, false]);
      expect(core.stateHash()).toBe(before);
    }
    const stranger = new TestSender(0xa1, bytesOf(4, 16), { ...sender.set, kek: bytesOf(99, 16) });
    expect(core.feed(1, stranger.rtcp({ isn: 1 }), 0).drop).toBe('auth_failed');
    expect(core.feed(1, sr, 0).drop).toBeUndefined();
  });
});
