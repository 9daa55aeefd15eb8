import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/base/bytes.js';
import {
  MAX_ACCESS_UNIT_BYTES,
  MAX_NALS_PER_ACCESS_UNIT,
  MAX_PARAMETER_SET_BYTES,
  MAX_PARAMETER_SETS_KEPT,
} from '../../../src/base/limits.js';
import { readAsset, VIDEO_CLIPS } from '../../../src/endpoint/assets/assets.js';
import { NAL, nalType, readH264File } from '../../../src/endpoint/media/annexb.js';
import { H264Depacketizer, type H264Packet } from '../../../src/endpoint/media/h264-depacketizer.js';
import { FU_A, h264RefreshStart, packetizeAccessUnit, STAP_A } from '../../../src/endpoint/media/h264-payload.js';
import type { AccessUnit, TimedAccessUnit } from '../../../src/endpoint/media/types.js';
import { mutate, sameParts, seeded } from './random.js';

function unitsOf(name: (typeof VIDEO_CLIPS)[number]): AccessUnit[] {
  const read = readH264File(readAsset(name));
  if (!read.ok) throw new Error(read.reason);
  return read.value;
}

function packetsOf(units: readonly AccessUnit[], maxPayloadBytes: number): H264Packet[] {
  let extendedSequence = 65_000;
  return units.flatMap((unit, i) =>
    packetizeAccessUnit(unit.nals, maxPayloadBytes).map(({ bytes, marker }) => ({
      payload: bytes,
      marker,
      timestamp: i * 3000,
      extendedSequence: extendedSequence++,
    })),
  );
}

function depacketize(packets: Iterable<H264Packet>) {
  const depacketizer = new H264Depacketizer();
  const units: TimedAccessUnit[] = [];
  for (const packet of packets) units.push(...depacketizer.push(packet).accessUnits);
  return { units, depacketizer };
}

const withoutDelimiter = (unit: AccessUnit) => unit.nals.filter((nal) => nalType(nal) !== NAL.accessUnitDelimiter);

describe('packetization mode 1 (RFC 6184)', () => {
  it.each(VIDEO_CLIPS)('%s comes back as it was at every payload size', (name) => {
    const units = unitsOf(name);
    for (const size of [3, 4, 5, 17, 64, 100, 333, 899, 900, 901, 1100, 1200, 1400, 65_535]) {
      const packets = packetsOf(units, size);
      expect(Math.max(...packets.map((p) => p.payload.length))).toBeLessThanOrEqual(size);
      const { units: out } = depacketize(packets);
      expect(out.map((u) => u.timestamp)).toEqual(units.map((_, i) => i * 3000));
      expect(out.every((u, i) => u.idr === units[i]!.idr && sameParts(u.nals, units[i]!.nals))).toBe(true);
    }
  });

  it('packs parameter sets and SEI together, fragments large slices and marks the last packet', () => {
    const idr = unitsOf('testsrc2.h264')[0]!;
    const payloads = packetizeAccessUnit(idr.nals, 1200);
    expect(nalType(payloads[0]!.bytes)).toBe(STAP_A);
    expect(payloads.slice(1).every((p) => nalType(p.bytes) === FU_A)).toBe(true);
    expect(payloads.length).toBeGreaterThan(2);
    expect(payloads.map((p) => p.marker)).toEqual(payloads.map((_, i) => i === payloads.length - 1));
    const headers = payloads.slice(1).map((p) => p.bytes[1]! >> 5);
    expect(headers).toEqual(headers.map((_, i) => (i === 0 ? 0b100 : i === headers.length - 1 ? 0b010 : 0)));
    expect(payloads[0]!.bytes[0]! & 0x60).toBe(0x60); // the highest NRI among them
  });

  it('keeps small slices apart, so that a lost packet costs one', () => {
    const slices = [1, 2, 3].map((n) => Uint8Array.of(0x41, 0x5a, n));
    expect(
      sameParts(
        packetizeAccessUnit(slices, 1200).map((p) => p.bytes),
        slices,
      ),
    ).toBe(true);
  });

  it('makes no fragment that is start and end at once, at the sizes around the limit', () => {
    for (let length = 2; length < 40; length++) {
      const nal = new Uint8Array(length).fill(0x9a);
      nal[0] = 0x41;
      const payloads = packetizeAccessUnit([nal], 12);
      if (length <= 12) expect(sameParts([payloads[0]!.bytes], [nal])).toBe(true);
      else for (const { bytes } of payloads) expect(bytes[1]! & 0xc0).not.toBe(0xc0);
    }
  });

  it('refuses a payload size that nothing fits in', () => {
    for (const size of [Number.NaN, 0, 2, 65_536]) expect(() => packetizeAccessUnit([], size)).toThrow();
  });
});

describe('loss', () => {
  it.each(VIDEO_CLIPS)('%s: only whole access units come out, and after a loss an IDR first', (name) => {
    const units = unitsOf(name);
    for (let seed = 0; seed < 40; seed++) {
      const random = seeded(seed);
      const packets = packetsOf(units, [40, 200, 1200][seed % 3]!);
      const lossRate = [0.001, 0.01, 0.1, 0.3][seed % 4]!;
      const lost = new Set(packets.filter(() => random.chance(lossRate)));
      const { units: out, depacketizer } = depacketize(packets.filter((p) => !lost.has(p)));
      const damagedAt = new Set([...lost].map((p) => p.timestamp / 3000));
      let last = -1;
      for (const unit of out) {
        const index = unit.timestamp / 3000;
        // A delimiter says nothing that the timestamp does not say; all else must be there.
        expect(sameParts(withoutDelimiter(unit), withoutDelimiter(units[index]!))).toBe(true);
        if (!unit.idr) for (let i = last + 1; i <= index; i++) expect(damagedAt.has(i)).toBe(false);
        if (!unit.idr) expect(index).toBe(last + 1);
        last = index;
      }
      expect(depacketizer.counters.delivered).toBe(out.length);
      const wholeIdrs = units.filter((u, i) => u.idr && !damagedAt.has(i)).length;
      expect(out.filter((u) => u.idr).length).toBeGreaterThanOrEqual(wholeIdrs);
    }
  });

  const sps = fromHex('6742000a80');
  const pps = fromHex('68ce');
  const idr = fromHex('6588aa');
  const slice = fromHex('419abb');
  let sequence = 0;
  const packet = (payload: Uint8Array, timestamp: number, marker = true, skip = 0): H264Packet => {
    sequence += 1 + skip;
    return { payload, timestamp, marker, extendedSequence: sequence };
  };
  const start = () => [packet(sps, 0, false), packet(pps, 0, false), packet(idr, 0)];

  it('an IDR whose parameter sets were lost just before it is not taken, one with a known beginning is', () => {
    const first = depacketize([...start(), packet(idr, 1, true, 1), packet(slice, 2), packet(idr, 3)]);
    expect(first.units.map((u) => u.timestamp)).toEqual([0, 3]);
    expect(first.depacketizer.counters).toEqual({ delivered: 2, damaged: 1, undecodable: 1 });
    expect(first.depacketizer.parameterSets()).toEqual([sps, pps]);
  });

  it('nothing comes out before parameter sets', () => {
    const { units, depacketizer } = depacketize([packet(slice, 0), packet(idr, 1), packet(idr, 2)]);
    expect(units).toEqual([]);
    expect(depacketizer.awaitingIdr).toBe(true);
  });

  it('parameter sets sent by themselves, with a timestamp of their own, are remembered', () => {
    const { units } = depacketize([packet(sps, 0), packet(pps, 1), packet(idr, 2), packet(slice, 3)]);
    expect(units.map((u) => u.timestamp)).toEqual([2, 3]);
  });

  it('a missing marker: the next timestamp ends the picture; a lost marker packet does not', () => {
    const noMarker = [packet(sps, 0, false), packet(pps, 0, false), packet(idr, 0, false), packet(slice, 1)];
    expect(depacketize(noMarker).units.map((u) => u.timestamp)).toEqual([0, 1]);
    const lost = [packet(sps, 0, false), packet(pps, 0, false), packet(idr, 0, false), packet(slice, 1, true, 1)];
    expect(depacketize(lost).units).toEqual([]);
  });

  it('packets that are not newer are refused and change nothing', () => {
    const packets = start();
    const depacketizer = new H264Depacketizer();
    depacketizer.push(packets[0]!);
    depacketizer.push(packets[1]!);
    expect(depacketizer.push(packets[1]!)).toEqual({ accessUnits: [], refused: 'out_of_order' });
    expect(depacketizer.push(packets[2]!).accessUnits).toHaveLength(1);
  });

  it.each([
    ['empty', '', 'malformed'],
    ['forbidden bit', 'e588', 'malformed'],
    ['STAP-A without units', '78', 'malformed'],
    ['STAP-A unit of size 0', '780000', 'malformed'],
    ['STAP-A cut short', '78000341', 'malformed'],
    ['STAP-A with a lone size byte', '7800014100', 'malformed'],
    ['STAP-A in a STAP-A', '78000178', 'malformed'],
    ['FU-A without header', '7c', 'malformed'],
    ['FU-A start and end at once', '7cc5aa', 'malformed'],
    ['FU-A of an FU-A', '7c9caa', 'malformed'],
    ['FU-A without start', '7c05aa', 'broken_fragment'],
    ['STAP-B', '79000000', 'unsupported_packetization'],
    ['FU-B', '7d850000', 'unsupported_packetization'],
    ['type 0', '6000', 'unsupported_packetization'],
    ['type 31', '7f00', 'unsupported_packetization'],
  ])('%s is refused and costs its access unit', (_, hex, reason) => {
    const depacketizer = new H264Depacketizer();
    for (const p of start()) depacketizer.push(p);
    expect(depacketizer.push(packet(slice, 9, false)).accessUnits).toEqual([]);
    expect(depacketizer.push(packet(fromHex(hex), 9)).refused).toBe(reason);
    expect(depacketizer.counters).toEqual({ delivered: 1, damaged: 1, undecodable: 0 });
    expect(depacketizer.awaitingIdr).toBe(true);
  });

  it('a fragment that another packet interrupts or another unit continues is broken', () => {
    for (const second of ['419abb', '7c41bb', '7c81bb', '5c45bb']) {
      const depacketizer = new H264Depacketizer();
      for (const p of start()) depacketizer.push(p);
      depacketizer.push(packet(fromHex('7c85aa'), 9, false));
      expect(depacketizer.push(packet(fromHex(second), 9)).refused).toBe('broken_fragment');
      expect(depacketizer.counters.damaged).toBe(1);
    }
  });

  it('a fragment that never ends is dropped with its access unit, without a limit passed', () => {
    const depacketizer = new H264Depacketizer();
    for (const p of start()) depacketizer.push(p);
    depacketizer.push(packet(fromHex('7c85'), 9, false));
    const part = new Uint8Array(60_000);
    part[0] = 0x7c;
    part[1] = 0x05;
    const refused: (string | undefined)[] = [];
    for (let bytes = 0; bytes < 3 * MAX_ACCESS_UNIT_BYTES; bytes += part.length) {
      refused.push(depacketizer.push(packet(part, 9, false)).refused);
    }
    expect(refused.indexOf('too_large')).toBe(Math.floor(MAX_ACCESS_UNIT_BYTES / (part.length - 2)));
    expect(depacketizer.push(packet(fromHex('7c45aa'), 9)).accessUnits).toEqual([]);
    expect(depacketizer.push(packet(idr, 10)).accessUnits).toHaveLength(1);
  });

  it('too many NAL units in one access unit are refused', () => {
    const depacketizer = new H264Depacketizer();
    for (const p of start()) depacketizer.push(p);
    const verdicts = Array.from({ length: MAX_NALS_PER_ACCESS_UNIT + 1 }, () =>
      depacketizer.push(packet(slice, 9, false)),
    );
    expect(verdicts.findIndex((v) => v.refused === 'too_large')).toBe(MAX_NALS_PER_ACCESS_UNIT);
  });

  it('remembers no more and no larger parameter sets than its limits', () => {
    const set = (id: number, length = 3) => {
      const nal = new Uint8Array(length);
      // pic_parameter_set_id of 1 to 62 as an Exp-Golomb code of 3 to 11 bits, at the front of two bytes
      const zeros = Math.floor(Math.log2(id + 1));
      const code = (id + 1) << (15 - 2 * zeros);
      nal.set([0x68, code >> 8, code & 0xff]);
      return nal;
    };
    const depacketizer = new H264Depacketizer();
    depacketizer.push(packet(set(1, MAX_PARAMETER_SET_BYTES + 1), 0));
    expect(depacketizer.parameterSets()).toEqual([]);
    for (let id = 1; id <= MAX_PARAMETER_SETS_KEPT + 3; id++) depacketizer.push(packet(set(id), id));
    depacketizer.push(packet(set(2, 4), 99));
    expect(depacketizer.parameterSets()).toHaveLength(MAX_PARAMETER_SETS_KEPT);
    expect(depacketizer.parameterSets()[1]).toEqual(set(2, 4));
  });

  it('gives a verdict on any payload, alone and in streams', () => {
    const random = seeded(7);
    const packets = packetsOf(unitsOf('bars.h264').slice(0, 40), 150);
    for (let round = 0; round < 60; round++) {
      const depacketizer = new H264Depacketizer();
      for (const p of packets) {
        const payload = random.chance(0.05)
          ? mutate(random, p.payload)
          : random.chance(0.02)
            ? random.bytes(random.below(30))
            : p.payload;
        for (const unit of depacketizer.push({ ...p, payload }).accessUnits)
          expect(unit.nals.length).toBeGreaterThan(0);
        h264RefreshStart(payload);
      }
    }
  });
});

describe('where a refresh point begins', () => {
  it.each([
    ['SPS', '6742', true],
    ['first slice of an IDR picture', '6588', true],
    ['later slice of an IDR picture', '6544', false],
    ['first fragment of it', '7c8588', true],
    ['first fragment of a later slice', '7c8544', false],
    ['middle fragment', '7c0588', false],
    ['STAP-A of SEI and SPS', '78000206ff00026742', true],
    ['STAP-A of SEI and PPS', '78000206ff00026842', false],
    ['STAP-A cut short', '7800ff6742', false],
    ['slice', '4188', false],
    ['nothing', '', false],
  ])('%s: %s is %s', (_, hex, expected) => {
    expect(h264RefreshStart(fromHex(hex))).toBe(expected);
  });
});
