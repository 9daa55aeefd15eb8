import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.js';
import { DTLS_MAX_HANDSHAKE_MESSAGE_BYTES, DTLS_MAX_MESSAGES_AHEAD } from '../../../src/base/limits.js';
import { type Fragment, frameFragment, Reassembler, splitFragments } from '../../../src/dtls/werift/reassembly.js';
import { frameRecord, RecordProtection, ReplayWindow, splitRecords } from '../../../src/dtls/werift/records.js';
import { random } from './pair.js';

describe('records', () => {
  const good = frameRecord(22, 0xfefd, 1, 0x0102_0304_0506, Uint8Array.of(7, 8));

  it('are written and read with a 48-bit sequence number', () => {
    expect(toHex(good)).toBe('16fefd0001010203040506' + '00020708');
    const [read] = splitRecords(good);
    expect(read).toMatchObject({ type: 22, version: 0xfefd, epoch: 1, sequence: 0x0102_0304_0506 });
    expect(toHex(read!.payload)).toBe('0708');
  });

  it.each([
    ['content type below 20', '13fefd00000000000000000000'],
    ['content type above 23', '18fefd00000000000000000000'],
    ['version of DTLS 1.0 under protection', '16feff00010000000000000000'],
    ['version of DTLS 1.3', '16fefc00000000000000000000'],
    ['length beyond the datagram', '16fefd0000000000000000000100'.slice(0, 26)],
    ['length beyond what a record may have', `16fefd000000000000000${(16_384 + 25).toString(16).padStart(5, '0')}`],
  ])('are not seen where there is none: %s', (_name, hex) => {
    expect(splitRecords(fromHex(hex))).toEqual([]);
  });

  it('are told apart in one datagram up to the first that is none', () => {
    const bytes = new Uint8Array([...good, ...good, 1, ...good]);
    expect(splitRecords(bytes)).toHaveLength(2);
  });
});

describe('the replay window', () => {
  it('takes each number once, in any order, as far back as 63', () => {
    const window = new ReplayWindow();
    const seen = new Set<number>();
    const next = random(5);
    let top = 0;
    for (let i = 0; i < 5000; i++) {
      const n = Math.max(0, top + 3 - Math.floor(next() * 80));
      const expected = !seen.has(n) && n > top - 64;
      expect(window.fresh(n), `number ${n} under ${top}`).toBe(seen.size === 0 || expected);
      if (!window.fresh(n)) continue;
      window.add(n);
      seen.add(n);
      top = Math.max(top, n);
    }
  });

  it('moves only by what is added', () => {
    const window = new ReplayWindow();
    window.add(0);
    expect(window.fresh(2 ** 48 - 1)).toBe(true);
    expect(window.fresh(1)).toBe(true);
    window.add(2 ** 48 - 1);
    expect(window.fresh(1)).toBe(false);
  });
});

describe('AES-128-GCM protection', () => {
  const make = () => new RecordProtection(new Uint8Array(16).fill(1), Uint8Array.of(1, 2, 3, 4));

  it('opens what it sealed, and nothing that differs in any byte', () => {
    const sealed = make().seal(22, 1, 77, Uint8Array.of(1, 2, 3));
    expect(sealed.length).toBe(13 + 8 + 3 + 16);
    expect(toHex(make().open(splitRecords(sealed)[0]!)!)).toBe('010203');
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at] = changed[at]! ^ 1;
      for (const record of splitRecords(changed)) expect(make().open(record), `byte ${at}`).toBeUndefined();
    }
  });

  it('does not open what is too short to be sealed', () => {
    for (let length = 0; length < 24; length++) {
      const [record] = splitRecords(frameRecord(22, 0xfefd, 1, 0, new Uint8Array(length)));
      expect(make().open(record!)).toBeUndefined();
    }
  });
});

describe('reassembly', () => {
  const body = Uint8Array.from({ length: 100 }, (_, i) => i);
  const piece = (start: number, end: number, change: Partial<Fragment> = {}): Fragment => ({
    type: 11,
    sequence: 0,
    length: body.length,
    offset: start,
    bytes: body.subarray(start, end),
    ...change,
  });
  const collect = (...pieces: Fragment[]) => {
    const reassembler = new Reassembler();
    for (const p of pieces) reassembler.add(p);
    return reassembler;
  };

  it('joins pieces in any order, overlapping or twice', () => {
    const pieces = [piece(60, 100), piece(0, 10), piece(0, 10), piece(5, 70)];
    expect(collect(...pieces.slice(0, 3)).peek()).toBeUndefined();
    expect(collect(...pieces).peek()).toEqual({ type: 11, sequence: 0, body });
    expect(collect(...pieces.toReversed()).peek()).toEqual({ type: 11, sequence: 0, body });
  });

  it('gives messages in order, whatever came first', () => {
    const reassembler = collect(piece(0, 100, { sequence: 1, type: 12 }), piece(0, 100));
    expect(reassembler.peek()?.type).toBe(11);
    reassembler.advance();
    expect(reassembler.peek()?.type).toBe(12);
    reassembler.advance();
    expect(reassembler.peek()).toBeUndefined();
    reassembler.add(piece(0, 100));
    expect(reassembler.heldBytes).toBe(0);
  });

  it('starts a message anew when a piece contradicts what is held', () => {
    const forged = piece(0, 50, { length: 5000, bytes: new Uint8Array(50) });
    expect(collect(forged, piece(0, 100)).peek()?.body).toEqual(body);
    expect(collect(piece(0, 50), forged, piece(50, 100)).peek()).toBeUndefined();
  });

  it('gives a refused number free again', () => {
    const reassembler = collect(piece(0, 100));
    reassembler.refuse();
    expect(reassembler.peek()).toBeUndefined();
    reassembler.add(piece(0, 100));
    expect(reassembler.peek()?.body).toEqual(body);
  });

  it('completes a message of no bytes', () => {
    expect(collect(piece(0, 0, { length: 0, type: 14 })).peek()).toMatchObject({ type: 14, sequence: 0 });
  });

  it('holds messages ahead only as far and as large as the limits say', () => {
    const large = { length: DTLS_MAX_HANDSHAKE_MESSAGE_BYTES, bytes: new Uint8Array(1), offset: 0 };
    const reassembler = collect(
      piece(0, 1, { ...large, sequence: DTLS_MAX_MESSAGES_AHEAD + 1 }),
      piece(0, 1, { ...large, sequence: 2 }),
      piece(0, 1, { ...large, sequence: 1 }),
    );
    expect(reassembler.heldBytes).toBe(DTLS_MAX_HANDSHAKE_MESSAGE_BYTES);
    reassembler.add(piece(0, 1, large));
    expect(reassembler.heldBytes).toBe(2 * DTLS_MAX_HANDSHAKE_MESSAGE_BYTES);
    const empty = Array.from({ length: 1000 }, (_, sequence) => piece(0, 0, { sequence, length: 0 }));
    expect(collect(...empty).heldMessages).toBe(DTLS_MAX_MESSAGES_AHEAD + 1);
  });

  it('forgets a message that is cut into more pieces than anybody honest cuts', () => {
    const evens = Array.from({ length: 50 }, (_, i) => piece(2 * i, 2 * i + 1));
    const odds = Array.from({ length: 50 }, (_, i) => piece(2 * i + 1, 2 * i + 2));
    expect(collect(...evens.slice(0, 20), ...odds.slice(0, 19), piece(39, 100)).peek()?.body).toEqual(body);
    expect(collect(...evens, ...odds).peek()).toBeUndefined();
    expect(collect(...evens, piece(0, 50), piece(50, 100)).peek()?.body).toEqual(body);
  });

  it.each([
    ['beyond the payload', { ...piece(0, 10), bytes: body }, 60],
    ['beyond its message', piece(0, 50, { offset: 60, bytes: body.subarray(0, 50) }), undefined],
    ['of a message above the limit', piece(0, 10, { length: DTLS_MAX_HANDSHAKE_MESSAGE_BYTES + 1 }), undefined],
  ])('does not read a fragment %s', (_name, fragment, cut) => {
    expect(splitFragments(frameFragment(fragment).subarray(0, cut))).toEqual([]);
  });
});
