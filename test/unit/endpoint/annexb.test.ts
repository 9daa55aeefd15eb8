import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/base/bytes.js';
import { readAsset, VIDEO_CLIPS } from '../../../src/endpoint/assets/assets.js';
import {
  groupAccessUnits,
  NAL,
  nalType,
  readH264File,
  splitAnnexB,
  writeAnnexB,
} from '../../../src/endpoint/media/annexb.js';
import { parameterSetId, spsFrameRate } from '../../../src/endpoint/media/sps.js';
import { mutate, sameParts, seeded } from './random.js';

const types = (unit: { nals: readonly Uint8Array[] }) => unit.nals.map(nalType);

describe('Annex B byte streams', () => {
  it('splits at three- and four-byte start codes and drops trailing zeros', () => {
    const nals = splitAnnexB(fromHex('00000001674200000001680000000141aa0000000000'));
    expect(nals.map((n) => [...n])).toEqual([[0x67, 0x42], [0x68], [0x41, 0xaa]]);
  });

  it('skips what stands before the first start code and finds none in none', () => {
    expect(splitAnnexB(fromHex('ffff00000109f0')).map((n) => [...n])).toEqual([[0x09, 0xf0]]);
    for (const hex of ['', '00', '000001', '00000001', '0000000000', 'ff'.repeat(40)]) {
      expect(splitAnnexB(fromHex(hex))).toEqual([]);
    }
  });

  it('keeps emulation prevention bytes as they are', () => {
    expect(splitAnnexB(fromHex('000001650000030100000301')).map((n) => [...n])).toEqual([
      [0x65, 0, 0, 3, 1, 0, 0, 3, 1],
    ]);
  });

  it.each(VIDEO_CLIPS)('%s survives split and write, and its pictures are as the encoder made them', (name) => {
    const file = readAsset(name);
    const nals = splitAnnexB(file);
    expect(sameParts(splitAnnexB(writeAnnexB(nals)), nals)).toBe(true);
    const units = readH264File(file);
    if (!units.ok) throw new Error(units.reason);
    const [frames, gop] = name === 'mandelbrot.h264' ? [60, 15] : [120, 30];
    expect(units.value).toHaveLength(frames);
    expect(units.value.flatMap((u, i) => (u.idr ? [i] : []))).toEqual([0, gop, 2 * gop, 3 * gop]);
    for (const unit of units.value.filter((u) => u.idr)) {
      expect(types(unit)).toEqual(expect.arrayContaining([NAL.sps, NAL.pps, NAL.idrSlice]));
    }
    if (name === 'bars.h264')
      for (const u of units.value) expect(types(u).filter((t) => t === 1 || t === 5)).toHaveLength(4);
  });

  it('begins a picture at first_mb_in_slice 0, at a delimiter, at parameter sets, at SEI; not at a later slice', () => {
    const first = Uint8Array.of(0x41, 0x9a);
    const later = Uint8Array.of(0x41, 0x5a);
    const unit = (...nals: Uint8Array[]) => groupAccessUnits(nals).map((u) => u.nals.length);
    expect(unit(first, later, first, later)).toEqual([2, 2]);
    expect(unit(first, Uint8Array.of(0x09, 0xf0), later)).toEqual([1, 2]);
    expect(unit(first, Uint8Array.of(0x67, 1), Uint8Array.of(0x68, 1), Uint8Array.of(0x06, 1), later)).toEqual([1, 4]);
    expect(unit(first, Uint8Array.of(0x0c, 0xff), first)).toEqual([2, 1]);
    expect(unit(first, Uint8Array.of(0x65, 0x5a))).toEqual([1, 1]);
    expect(unit(first, Uint8Array.of(0x01, 0x5a))).toEqual([1, 1]);
  });

  it('refuses what is no H.264 by name and drops what nobody could decode', () => {
    const reason = (hex: string) => {
      const read = readH264File(fromHex(hex));
      return read.ok ? types({ nals: read.value.flatMap((u) => u.nals) }) : read.reason;
    };
    expect(reason('')).toBe('no_nal_unit');
    expect(reason('4f676753'.repeat(8))).toBe('no_nal_unit');
    expect(reason('000001e742')).toBe('malformed_nal_unit');
    expect(reason('000001419a')).toBe('no_decodable_start');
    expect(reason('000001658800000141e0')).toBe('no_decodable_start');
    const sets = '00000167420000016801';
    expect(reason(`000001419a${sets}0000016588000001419a`)).toEqual([7, 8, 5, 1]);
    expect(reason(`${sets}000001658800000118aa0000017cff000001419a`)).toEqual([7, 8, 5, 1]);
  });

  it('gives a verdict on anything', () => {
    const random = seeded(1);
    const file = readAsset('bars.h264').subarray(0, 3000);
    for (let i = 0; i < 1500; i++) {
      const bytes =
        i % 3 === 0 ? random.bytes(random.below(200)) : mutate(random, file.subarray(0, random.below(3000)));
      const read = readH264File(bytes);
      if (read.ok) expect(read.value[0]?.idr).toBe(true);
      for (const nal of splitAnnexB(bytes)) {
        expect(nal.length).toBeGreaterThan(0);
        parameterSetId(nal);
        spsFrameRate(nal);
      }
    }
  });
});

describe('parameter sets', () => {
  it.each([
    ['testsrc2.h264', 30],
    ['bars.h264', 30],
    ['mandelbrot.h264', 15],
  ] as const)('%s says %i frames a second', (name, rate) => {
    const [sps, pps] = [NAL.sps, NAL.pps].map((type) => splitAnnexB(readAsset(name)).find((n) => nalType(n) === type)!);
    expect(spsFrameRate(sps!)).toBe(rate);
    expect(parameterSetId(sps!)).toBe(0);
    expect(parameterSetId(pps!)).toBe(0);
    expect(spsFrameRate(pps!)).toBeUndefined();
    for (let cut = 1; cut < 14; cut++) expect(spsFrameRate(sps!.subarray(0, cut))).toBeUndefined();
    for (let cut = 14; cut < sps!.length; cut++)
      expect([undefined, rate]).toContain(spsFrameRate(sps!.subarray(0, cut)));
  });

  it('reads the timing of a High profile SPS behind its extra fields', () => {
    // profile_idc 100, 320x180 cropped, VUI with timing 1/50
    const sps = fromHex('6764000cacd941419f9f011000000300100000030320f1429960');
    expect(spsFrameRate(sps)).toBe(25);
    for (let cut = 1; cut < sps.length; cut++) expect([undefined, 25]).toContain(spsFrameRate(sps.subarray(0, cut)));
  });
});
