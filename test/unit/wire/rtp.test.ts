import { describe, expect, expectTypeOf, it } from 'vitest';
import { concat, fromHex, toHex } from '../../../src/base/bytes.js';
import { MAX_DATAGRAM_BYTES } from '../../../src/base/limits.js';
import type { DropName as RelayDropName } from '../../../src/relay/contract.js';
import { composeMultiplexWord, parseMultiplexWord, withSink } from '../../../src/wire/csrc.js';
import { classify } from '../../../src/wire/demux.js';
import type { DropName } from '../../../src/wire/drop.js';
import { isControlSsrc, parseRtp, parseRtpHeader, stripPadding, writeRtpHeader } from '../../../src/wire/rtp.js';
import { Random } from '../../support/random.js';

describe('classify (RFC 7983, RFC 5761)', () => {
  it('knows every first byte', () => {
    for (let first = 0; first < 256; first++) {
      const expected = first >= 20 && first <= 63 ? 'dtls' : first >= 128 && first <= 191 ? 'rtp' : 'other';
      expect(classify(Uint8Array.of(first, 96)), `first byte ${first}`).toBe(expected);
    }
  });

  it('tells RTCP by the second byte', () => {
    for (let second = 0; second < 256; second++) {
      expect(classify(Uint8Array.of(0x80, second))).toBe(second >= 192 && second <= 223 ? 'rtcp' : 'rtp');
    }
  });

  it('has a word for what is too short', () => {
    expect(classify(new Uint8Array(0))).toBe('other');
    expect(classify(Uint8Array.of(0x80))).toBe('rtp');
    expect(classify(Uint8Array.of(22))).toBe('dtls');
  });
});

describe('multiplex word (WIRE.md 8)', () => {
  it('has its parts where they belong', () => {
    expect(parseMultiplexWord(0xabcde512)).toEqual({ clock: 0xabcde, output: 5, source: 1, sink: 2 });
    expect(composeMultiplexWord({ clock: 0xabcde, output: 5, source: 1, sink: 2 })).toBe(0xabcde512);
    expect(withSink(0xffffffff, 3)).toBe(0xfffffff3);
  });
});

describe('RTP header', () => {
  it('reads what it writes, with every CSRC count, extension and flag', () => {
    const random = new Random(3);
    for (let count = 0; count <= 15; count++) {
      for (const words of [undefined, 0, 1, 9]) {
        const fields = {
          marker: random.oneIn(2),
          payloadType: random.below(128),
          sequence: random.below(0x10000),
          timestamp: random.u32(),
          ssrc: random.u32(),
          csrcs: Array.from({ length: count }, () => random.u32()),
          padding: random.oneIn(2),
          ...(words === undefined
            ? {}
            : { extension: { profile: random.below(0x10000), data: random.bytes(4 * words) } }),
        };
        const bytes = writeRtpHeader(fields);
        const parsed = parseRtpHeader(concat(bytes, random.bytes(5)));
        expect(parsed).toEqual({ ok: true, value: { ...fields, length: bytes.length } });
      }
    }
  });

  it('refuses every cut that reaches into the header', () => {
    const bytes = writeRtpHeader({
      payloadType: 96,
      sequence: 1,
      timestamp: 2,
      ssrc: 3,
      csrcs: [4, 5],
      extension: { profile: 6, data: new Uint8Array(8) },
    });
    for (let length = 0; length < bytes.length; length++) {
      expect(parseRtpHeader(bytes.subarray(0, length))).toMatchObject({ ok: false, reason: 'malformed' });
      expect(parseRtpHeader(bytes, length)).toMatchObject({ ok: false, reason: 'malformed' });
    }
    expect(parseRtpHeader(bytes).ok).toBe(true);
    expect(parseRtpHeader(bytes, bytes.length + 1).ok).toBe(false);
  });

  it('refuses versions other than 2 and datagrams above the limit', () => {
    for (const first of [0x00, 0x40, 0xc0]) {
      const bytes = writeRtpHeader({ payloadType: 0, sequence: 0, timestamp: 0, ssrc: 1 });
      bytes[0] = first;
      expect(parseRtpHeader(bytes).ok).toBe(false);
    }
    const large = concat(writeRtpHeader({ payloadType: 0, sequence: 0, timestamp: 0, ssrc: 1 }), new Uint8Array(1500));
    expect(parseRtpHeader(large.subarray(0, MAX_DATAGRAM_BYTES)).ok).toBe(true);
    expect(parseRtpHeader(large.subarray(0, MAX_DATAGRAM_BYTES + 1)).ok).toBe(false);
  });

  it('never throws on random bytes', () => {
    const random = new Random(4);
    for (let i = 0; i < 5_000; i++) {
      const bytes = random.bytes(random.below(60));
      if (bytes.length > 0 && random.oneIn(2)) bytes[0] = 0x80 | (bytes[0]! & 0x3f);
      const parsed = parseRtpHeader(bytes);
      if (parsed.ok) expect(parsed.value.length).toBeLessThanOrEqual(bytes.length);
      parseRtp(bytes);
    }
  });

  it('takes padding off by its last byte', () => {
    const strip = (hex: string) => stripPadding(fromHex(hex), true);
    expect(strip('0a0b0002')).toMatchObject({ ok: true, value: fromHex('0a0b') });
    expect(strip('03ff03')).toMatchObject({ ok: true, value: new Uint8Array(0) });
    for (const hex of ['', '00', '0a00', '02', 'ffff04']) expect(strip(hex), hex).toMatchObject({ ok: false });
    expect(stripPadding(fromHex('0a00'), false)).toMatchObject({ ok: true, value: fromHex('0a00') });
    const packet = concat(
      writeRtpHeader({ payloadType: 1, sequence: 2, timestamp: 3, ssrc: 4, padding: true }),
      fromHex('aabb0001'),
    );
    const parsed = parseRtp(packet);
    expect(parsed.ok && toHex(parsed.value.payload)).toBe('aabb00');
  });

  it('refuses to write what no header can hold', () => {
    const fields = { payloadType: 96, sequence: 0, timestamp: 0, ssrc: 0 };
    expect(() => writeRtpHeader({ ...fields, csrcs: new Array<number>(16).fill(0) })).toThrow(RangeError);
    expect(() => writeRtpHeader({ ...fields, payloadType: 128 })).toThrow(RangeError);
    expect(() => writeRtpHeader({ ...fields, extension: { profile: 0, data: new Uint8Array(3) } })).toThrow(RangeError);
  });

  it('knows a control SSRC by its low byte', () => {
    expect([0x00, 0xcafeba00, 0xff00].map(isControlSsrc)).toEqual([true, true, true]);
    expect([0x01, 0xcafebabe, 0x00ff0080].map(isControlSsrc)).toEqual([false, false, false]);
  });
});

it('drop names are names of the relay', () => {
  expectTypeOf<DropName>().toExtend<RelayDropName>();
});
