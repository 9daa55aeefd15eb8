import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex } from '../../../src/base/bytes.js';
import { MAX_RTCP_PACKETS_PER_COMPOUND } from '../../../src/base/limits.js';
import { parseCompound, parseRtcpPacket, type ReportBlock, splitCompound } from '../../../src/wire/rtcp.js';
import {
  buildControlCompound,
  writeApp,
  writeBye,
  writeFir,
  writeNack,
  writePli,
  writeRr,
  writeSdesCname,
  writeSr,
} from '../../../src/wire/rtcp-write.js';
import { Random } from '../../support/random.js';

const block: ReportBlock = {
  ssrc: 0xcafebabe,
  fractionLost: 200,
  cumulativeLost: -3,
  highestSequence: 0x00010002,
  jitter: 90,
  lastSr: 0xdeadbeef,
  delaySinceLastSr: 65536,
};
const sr = { ssrc: 0x11223344, ntp: 0xe1f2030405060708n, rtpTimestamp: 0xffffffff, packets: 7, octets: 8 };

function read(packet: Uint8Array): unknown {
  const parsed = parseRtcpPacket(packet);
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value;
}

describe('RTCP packets', () => {
  it('read what they write', () => {
    expect(read(writeSr({ ...sr, reports: [block, block] }))).toEqual({ type: 'sr', ...sr, reports: [block, block] });
    expect(read(writeRr(5))).toEqual({ type: 'rr', ssrc: 5, reports: [] });
    expect(read(writeRr(5, [{ ...block, cumulativeLost: 0x7fffff }]))).toEqual({
      type: 'rr',
      ssrc: 5,
      reports: [{ ...block, cumulativeLost: 0x7fffff }],
    });
    expect(read(writeBye([1, 0xffffffff]))).toEqual({ type: 'bye', ssrcs: [1, 0xffffffff] });
    expect(read(writeBye([1], 'gone'))).toEqual({ type: 'bye', ssrcs: [1], reason: new TextEncoder().encode('gone') });
    expect(read(writeApp(0x11, 6, 'xcts', fromHex('0001020304050607')))).toEqual({
      type: 'app',
      subtype: 0x11,
      ssrc: 6,
      name: 'xcts',
      body: fromHex('0001020304050607'),
    });
    expect(read(writePli(1, 2))).toEqual({ type: 'pli', sender: 1, media: 2 });
    const requests = [
      { ssrc: 9, sequence: 255 },
      { ssrc: 8, sequence: 0 },
    ];
    expect(read(writeFir(1, requests))).toEqual({ type: 'fir', sender: 1, requests });
    const lost = [
      { pid: 65535, blp: 0x8001 },
      { pid: 3, blp: 0 },
    ];
    expect(read(writeNack(1, 2, lost))).toEqual({ type: 'nack', sender: 1, media: 2, lost });
    expect(read(fromHex('9fcf000000000000'))).toEqual({ type: 'other', packetType: 207, count: 31 });
  });

  it('SDES ends its items with a zero and fills up to a word, for every length', () => {
    for (let n = 0; n <= 255; n++) {
      const packet = writeSdesCname(7, 'x'.repeat(n));
      expect(packet.length % 4).toBe(0);
      expect(packet[10 + n]).toBe(0);
      const text = new TextEncoder().encode('x'.repeat(n));
      expect(read(packet)).toEqual({ type: 'sdes', chunks: [{ ssrc: 7, items: [{ type: 1, text }] }] });
    }
    expect(() => writeSdesCname(7, 'x'.repeat(256))).toThrow(RangeError);
  });

  it('SDES with several chunks and items', () => {
    const packet = fromHex('82ca000600000001010261620200000000000002010163000000');
    expect(read(concat(packet, new Uint8Array(2)))).toEqual({
      type: 'sdes',
      chunks: [
        {
          ssrc: 1,
          items: [
            { type: 1, text: fromHex('6162') },
            { type: 2, text: new Uint8Array(0) },
          ],
        },
        { ssrc: 2, items: [{ type: 1, text: fromHex('63') }] },
      ],
    });
  });

  it.each([
    ['SR without its sender part', '80c8000500000001000000000000000000000000000000000000'],
    ['RR with fewer blocks than it counts', '81c9000100000001'],
    ['SDES without a chunk that it counts', '81ca0000'],
    ['SDES item longer than the packet', '81ca0002000000010109ffff'],
    ['SDES without an end', '81ca00020000000101026162'],
    ['BYE with fewer SSRCs than it counts', '82cb000100000001'],
    ['BYE reason longer than the packet', '81cb00020000000104616200'],
    ['APP without a name', '80cc000100000001'],
    ['feedback without a media SSRC', '81ce000100000001'],
    ['NACK without an entry', '81cd00020000000100000002'],
    ['FIR without an entry', '84ce00020000000100000002'],
    ['FIR with half an entry', '84ce0003000000010000000200000003'],
    ['nothing', ''],
  ])('%s is malformed', (_name, hex) => {
    expect(parseRtcpPacket(fromHex(hex))).toMatchObject({ ok: false, reason: 'malformed' });
  });

  it('refuse to write what does not fit', () => {
    expect(() => writeApp(1, 2, 'abc', new Uint8Array(0))).toThrow(RangeError);
    expect(() => writeApp(1, 2, 'abcd', new Uint8Array(3))).toThrow(RangeError);
    expect(() => writeApp(32, 2, 'abcd', new Uint8Array(0))).toThrow(RangeError);
    expect(() => writeRr(1, new Array<ReportBlock>(32).fill(block))).toThrow(RangeError);
    expect(() => writeBye([1], 'x'.repeat(256))).toThrow(RangeError);
  });
});

describe('compounds', () => {
  const rr = writeRr(1);
  const bye = writeBye([1]);

  it('split into their packets, the padding of the last one taken off', () => {
    const padded = Uint8Array.from(concat(bye, fromHex('00000004')));
    padded[0]! |= 0x20;
    padded[3] = 2;
    const split = splitCompound(concat(rr, padded));
    expect(split.ok && split.value.map(toHex)).toEqual([toHex(rr), toHex(padded.subarray(0, 8))]);
  });

  it.each([
    ['nothing', ''],
    ['half a header', '80c9'],
    ['another version', '40c9000100000001'],
    ['a type that is no RTCP', '8060000100000001'],
    ['a length beyond the end', '80c9000200000001'],
    ['a trailing byte', '80c900010000000100'],
    ['padding before the last packet', 'a0c900020000000100000004 80cb0000'.replace(' ', '')],
    ['padding of no byte', '80c9000100000001a0cb000100000000'],
    ['padding that is no word', '80c9000100000001a0cb000100000003'],
    ['padding that reaches into the header', '80c9000100000001a0cb000100000008'],
    ['a first packet that is no report', '80cb0000'],
  ])('%s is malformed', (_name, hex) => {
    expect(splitCompound(fromHex(hex))).toMatchObject({ ok: false, reason: 'malformed' });
  });

  it('may be of reduced size where the caller allows it (RFC 5506)', () => {
    expect(splitCompound(writePli(1, 2)).ok).toBe(false);
    expect(splitCompound(writePli(1, 2), { reducedSize: true }).ok).toBe(true);
  });

  it('hold 16 packets and no more', () => {
    const many = (n: number) => concat(...new Array<Uint8Array>(n).fill(rr));
    expect(splitCompound(many(MAX_RTCP_PACKETS_PER_COMPOUND)).ok).toBe(true);
    expect(splitCompound(many(MAX_RTCP_PACKETS_PER_COMPOUND + 1)).ok).toBe(false);
  });

  it('of control: RR, SDES CNAME, then the rest (WIRE.md 3)', () => {
    const compound = buildControlCompound({ ssrc: 0x11223300, cname: 'switch', reports: [block] }, [
      writePli(1, 2),
      bye,
    ]);
    const parsed = parseCompound(compound);
    expect(parsed.ok && parsed.value.map((packet) => packet.type)).toEqual(['rr', 'sdes', 'pli', 'bye']);
    const most = new Array<Uint8Array>(MAX_RTCP_PACKETS_PER_COMPOUND - 2).fill(bye);
    expect(parseCompound(buildControlCompound({ ssrc: 1, cname: '' }, most)).ok).toBe(true);
    expect(() => buildControlCompound({ ssrc: 1, cname: '' }, [...most, bye])).toThrow(RangeError);
  });

  it('never throw on damaged input', () => {
    const random = new Random(5);
    const whole = concat(
      writeSr({ ...sr, reports: [block] }),
      writeSdesCname(1, 'someone'),
      writeFir(1, [{ ssrc: 2, sequence: 3 }]),
      writeNack(1, 2, [{ pid: 1, blp: 2 }]),
      writeBye([1], 'x'),
    );
    for (let i = 0; i < 20_000; i++) {
      const bytes = whole.slice(0, random.oneIn(4) ? random.below(whole.length) : whole.length);
      for (let n = random.below(4); n >= 0 && bytes.length > 0; n--)
        bytes[random.below(bytes.length)] = random.u32() & 0xff;
      parseCompound(bytes, { reducedSize: random.oneIn(2) });
    }
  });
});
