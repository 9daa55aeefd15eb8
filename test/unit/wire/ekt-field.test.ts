import { describe, expect, it } from 'vitest';
import { concat, readU16, toHex } from '../../../src/base/bytes.js';
import {
  fieldPlaintext,
  fullField,
  fullFieldBytes,
  ROUTE_TAG_BYTES,
  readFieldPlaintext,
  shortField,
  splitEktField,
} from '../../../src/wire/ekt-field.js';
import { Random } from '../../support/random.js';

const tag = new Uint8Array(ROUTE_TAG_BYTES).fill(9);
const wrapped = Uint8Array.from({ length: 40 }, (_, i) => i);
const before = new Uint8Array(33);

function other(type: number, content: number, length = content + 3): Uint8Array {
  return concat(new Uint8Array(content), Uint8Array.of(length >>> 8, length, type));
}

describe('the EKT field (WIRE.md 6, RFC 8870 §4.1)', () => {
  it('is 47 bytes with a key of 16 and 63 with one of 32', () => {
    expect([fullFieldBytes(17), fullFieldBytes(18)]).toEqual([47, 63]);
    expect(fullField(wrapped, 0x1235, 7).length).toBe(47);
  });

  it('is split from its packet: Full, Short, and a type that nobody here knows', () => {
    const full = splitEktField(concat(before, tag, fullField(wrapped, 0x1235, 0xfffe)), 33, 17);
    expect(full).toMatchObject({ ok: true, value: { form: 'full', at: 33, spiWord: 0x1235, epoch: 0xfffe } });
    if (full.ok && full.value.form === 'full') expect(toHex(full.value.wrapped)).toBe(toHex(wrapped));
    const short = splitEktField(concat(before, tag, shortField()), 33, 17);
    expect(short).toMatchObject({ ok: true, value: { form: 'short', at: 33, bytes: Uint8Array.of(0) } });
    for (const type of [1, 3, 0x42, 0xff]) {
      const unknown = splitEktField(concat(before, tag, other(type, 20)), 33, 17);
      expect(unknown).toMatchObject({ ok: true, value: { form: 'other', at: 33, bytes: other(type, 20) } });
    }
  });

  it.each<[string, Uint8Array]>([
    ['empty', new Uint8Array(0)],
    ['a type alone', Uint8Array.of(2)],
    ['Short without room for the route tag', concat(before, new Uint8Array(9), shortField())],
    ['Full without room for the route tag', concat(before, new Uint8Array(9), fullField(wrapped, 1, 0))],
    ['Full with the length of the other suite', concat(new Uint8Array(80), fullField(new Uint8Array(56), 1, 0))],
    ['Full that claims another length', concat(before, tag, new Uint8Array(44), Uint8Array.of(0, 46, 2))],
    ['unknown type of no content', concat(before, tag, other(3, 0))],
    ['unknown type longer than the packet', concat(before, tag, other(3, 20, 99))],
    ['unknown type that reaches into the header', concat(before, tag, other(3, 20, 24))],
    ['unknown type of length 0', concat(before, tag, other(3, 20, 0))],
  ])('malformed: %s', (_name, packet) => {
    expect(splitEktField(packet, 33, 17)).toMatchObject({ ok: false, reason: 'malformed' });
  });

  it('a plaintext that is not of the suite says nothing', () => {
    const key = Uint8Array.from({ length: 16 }, (_, i) => i);
    const plain = fieldPlaintext(key, 0xcafebabe, 5);
    expect(readFieldPlaintext(plain, 17)).toEqual({ key, ssrc: 0xcafebabe, roc: 5 });
    expect(readFieldPlaintext(plain, 18)).toBeUndefined();
    expect(readFieldPlaintext(plain.subarray(1), 17)).toBeUndefined();
    expect(readFieldPlaintext(concat(Uint8Array.of(15), plain.subarray(1)), 17)).toBeUndefined();
    expect(toHex(plain)).toBe(`10${toHex(key)}cafebabe00000005`);
  });

  it('random bytes are split within their bounds or refused', () => {
    const random = new Random(4);
    for (let i = 0; i < 20_000; i++) {
      const bytes = random.bytes(random.below(120));
      if (bytes.length > 2 && random.oneIn(2)) {
        bytes[bytes.length - 1] = random.below(4);
        bytes[bytes.length - 3] = 0;
      }
      const from = random.below(60);
      const split = splitEktField(bytes, from, random.oneIn(2) ? 17 : 18);
      if (!split.ok) continue;
      const { at, bytes: field, form } = split.value;
      expect(at).toBeGreaterThanOrEqual(from);
      expect(at + ROUTE_TAG_BYTES + field.length).toBe(bytes.length);
      if (form !== 'short') expect(readU16(field, field.length - 3)).toBe(field.length);
    }
  });
});
