import { describe, expect, it } from 'vitest';
import { concat, fromHex } from '../../../src/base/bytes.js';
import { AUDIO_CLIPS, readAsset } from '../../../src/endpoint/assets/assets.js';
import { OggWriter, readOggPackets, readOggPage, writeOggPage } from '../../../src/endpoint/media/ogg.js';
import {
  OpusFileWriter,
  opusPacketSamples,
  readOpusFile,
  readOpusHead,
  readOpusTags,
  writeOpusHead,
  writeOpusTags,
} from '../../../src/endpoint/media/opus.js';
import { mutate, sameParts, seeded } from './random.js';

const MAGIC = Uint8Array.of(0x4d, 0x41, 0x47);

function pagesOf(file: Uint8Array) {
  const pages = [];
  for (let at = 0; at < file.length; ) {
    const read = readOggPage(file, at);
    if (!read.ok) throw new Error(read.reason);
    pages.push(read.value.page);
    at = read.value.next;
  }
  return pages;
}

describe('Ogg', () => {
  it.each(AUDIO_CLIPS)('%s: every page written again is the same bytes', (name) => {
    const file = readAsset(name);
    expect(sameParts([concat(...pagesOf(file).map(writeOggPage))], [file])).toBe(true);
  });

  it('carries packets of every size around the lacing limits, over pages', () => {
    const random = seeded(3);
    const packets = [
      MAGIC,
      ...[0, 1, 254, 255, 256, 509, 510, 511, 65_000, 65_025, 65_535, 0, 7].map((n) => random.bytes(n)),
    ];
    const parts: Uint8Array[] = [];
    const writer = new OggWriter((bytes) => parts.push(bytes), 77);
    for (const [i, packet] of packets.entries()) writer.packet(packet, BigInt(i));
    writer.close(BigInt(packets.length));
    const file = concat(...parts);
    const read = readOggPackets(file, MAGIC);
    if (!read.ok) throw new Error(read.reason);
    expect(
      sameParts(
        read.value.map((p) => p.bytes),
        packets,
      ),
    ).toBe(true);
    const pages = pagesOf(file);
    expect(pages.map((p) => p.last)).toEqual(pages.map((_, i) => i === pages.length - 1));
    expect(pages.some((p) => p.continued)).toBe(true);
    for (const p of pages) expect(p.granule === -1n).toBe(p.lacing.every((value) => value === 255));
  });

  it('leaves other streams out and stops at the next link of a chain', () => {
    const stream = (serial: number, ...packets: Uint8Array[]) => {
      const parts: Uint8Array[] = [];
      const writer = new OggWriter((bytes) => parts.push(bytes), serial);
      for (const packet of packets) {
        writer.packet(packet, 0n);
        writer.flush();
      }
      return parts;
    };
    const [a1, a2] = stream(1, Uint8Array.of(9), Uint8Array.of(8));
    const [b1, b2] = stream(2, MAGIC, Uint8Array.of(7));
    const read = readOggPackets(concat(a1!, b1!, a2!, b2!, b1!, b2!), MAGIC);
    expect(read.ok && read.value.map((p) => [...p.bytes])).toEqual([[...MAGIC], [7]]);
    expect(readOggPackets(concat(a1!, a2!), MAGIC)).toMatchObject({ ok: false, reason: 'no_such_stream' });
  });

  it('names what is wrong with a page', () => {
    const file = readAsset('tone.opus');
    const page = (change: (bytes: Uint8Array) => Uint8Array | undefined) => {
      const bytes = file.slice();
      const read = readOpusFile(change(bytes) ?? bytes);
      return read.ok ? 'ok' : read.reason;
    };
    const set = (at: number, value: number) =>
      page((b) => {
        b[at] = value;
        return undefined;
      });
    expect(page(() => undefined)).toBe('ok');
    expect(set(0, 0)).toBe('no_capture_pattern');
    expect(set(4, 1)).toBe('bad_version');
    expect(set(6, 1)).toBe('bad_crc');
    expect(set(file.length - 1, file.at(-1)! ^ 1)).toBe('bad_crc');
    expect(page((b) => b.subarray(0, b.length - 1))).toBe('truncated');
    expect(page((b) => b.subarray(0, 20))).toBe('truncated');
    const pages = pagesOf(file).map(writeOggPage);
    expect(page(() => concat(pages[0]!, pages[1]!, ...pages.slice(3)))).toBe('lost_page');
    const broken = { ...pagesOf(file)[2]!, continued: true };
    expect(page(() => concat(pages[0]!, pages[1]!, writeOggPage(broken)))).toBe('broken_continuation');
    expect(page(() => pages[0]!)).toBe('truncated');
    expect(page(() => concat(pages[0]!, pages[1]!))).toBe('no_audio');
    expect(page(() => new Uint8Array())).toBe('no_such_stream');
  });

  it('a packet without end is refused at the limit', () => {
    const lacing = new Uint8Array(255).fill(255);
    const base = { granule: -1n, serial: 1, last: false, lacing };
    const body = new Uint8Array(255 * 255);
    body.set(MAGIC);
    const pages = [0, 1].map((i) => writeOggPage({ ...base, sequence: i, first: i === 0, continued: i > 0, body }));
    expect(readOggPackets(concat(...pages), MAGIC)).toMatchObject({ ok: false, reason: 'too_large' });
  });

  it('gives a verdict on anything, with checksums that fit', () => {
    const random = seeded(11);
    const pages = pagesOf(readAsset('noise.opus'));
    for (let i = 0; i < 800; i++) {
      const bytes = concat(
        ...pages.map((page) => {
          if (random.chance(0.7)) return writeOggPage(page);
          const body = random.chance(0.5) ? mutate(random, page.body) : page.body;
          const lacing = random.chance(0.5) ? page.lacing : random.bytes(random.below(255));
          return writeOggPage({ ...page, body, lacing, continued: random.chance(0.2), first: random.chance(0.1) });
        }),
      );
      const read = readOpusFile(random.chance(0.2) ? mutate(random, bytes) : bytes);
      if (read.ok) for (const { samples } of read.value.packets) expect(samples).toBeGreaterThan(0);
    }
  });
});

describe('Opus packets (RFC 6716 §3)', () => {
  it.each([
    ['SILK 10 ms', '0000', 480],
    ['SILK 60 ms', '1800', 2880],
    ['hybrid 10 ms', '6000', 480],
    ['hybrid 20 ms', '6800', 960],
    ['CELT 2.5 ms', '8000', 120],
    ['CELT 20 ms', 'f800', 960],
    ['one byte: a frame without data', 'f8', 960],
    ['two equal frames', 'f9aabb', 1920],
    ['two frames', 'fa01aabb', 1920],
    ['two frames, the first 252 bytes or more', `fafc00${'00'.repeat(252)}`, 1920],
    ['six frames of 20 ms', 'fb06', 5760],
    ['three frames, constant rate', 'fb03aabbcc', 2880],
    ['two frames, variable rate', 'fb8201aabb', 1920],
    ['with padding', 'fb4203aabb000000', 1920],
  ] as const)('%s', (_, hex, samples) => {
    expect(opusPacketSamples(fromHex(hex))).toEqual({ ok: true, value: samples });
  });

  it.each([
    ['nothing', '', 'empty'],
    ['two equal frames of odd length', 'f9aa', 'malformed'],
    ['two frames, no length', 'fa', 'malformed'],
    ['two frames, the first longer than the packet', 'fa05aa', 'malformed'],
    ['a count that is not there', 'fb', 'malformed'],
    ['a count of zero', 'fb00', 'malformed'],
    ['seven frames of 20 ms', 'fb07', 'too_long'],
    ['48 frames of 60 ms', '1b30', 'too_long'],
    ['constant rate that does not divide', 'fb02aabbcc', 'malformed'],
    ['padding longer than the packet', 'fb4209aabb', 'malformed'],
    ['padding longer than the packet by a multiple of the count', 'fb420aaabb', 'malformed'],
    ['padding without end', 'fb42ffffff', 'malformed'],
    ['variable rate, lengths beyond the packet', 'fb8205aa', 'malformed'],
    ['one frame of 1276 bytes', `f8${'00'.repeat(1276)}`, 'malformed'],
  ] as const)('%s is refused', (_, hex, reason) => {
    expect(opusPacketSamples(fromHex(hex))).toMatchObject({ ok: false, reason });
  });
});

describe('Ogg Opus files (RFC 7845)', () => {
  it.each(AUDIO_CLIPS)('%s survives being read and written', (name) => {
    const file = readOpusFile(readAsset(name));
    if (!file.ok) throw new Error(file.reason);
    expect(file.value.head.channels).toBe(1);
    const total = file.value.packets.reduce((sum, p) => sum + p.samples, 0);
    expect(total / 48_000).toBeGreaterThanOrEqual(4);
    expect(total / 48_000).toBeLessThan(4.1);
    const parts: Uint8Array[] = [];
    const writer = new OpusFileWriter((b) => parts.push(b), {
      serial: 5,
      head: file.value.head,
      tags: file.value.tags,
    });
    for (const packet of file.value.packets) writer.packet(packet.bytes);
    writer.close();
    writer.close();
    const again = readOpusFile(concat(...parts));
    if (!again.ok) throw new Error(again.reason);
    expect(again.value.head).toEqual(file.value.head);
    expect(again.value.tags).toEqual(file.value.tags);
    expect(
      sameParts(
        again.value.packets.map((p) => p.bytes),
        file.value.packets.map((p) => p.bytes),
      ),
    ).toBe(true);
    const pages = pagesOf(concat(...parts));
    expect(pages[0]).toMatchObject({ first: true, granule: 0n });
    expect(pages[1]).toMatchObject({ first: false, granule: 0n });
    expect(pages.at(-1)).toMatchObject({ last: true, granule: BigInt(total) });
    expect(pages).toHaveLength(2 + Math.ceil(total / 48_000));
  });

  it('head and tags come back, and what is cut or not ours is refused', () => {
    const head = { channels: 2, preSkip: 3840, inputSampleRateHz: 44_100, outputGain: -256 };
    const tags = { vendor: 'v', comments: ['TITLE=ö', ''] };
    expect(readOpusHead(writeOpusHead(head))).toEqual({ ok: true, value: head });
    expect(readOpusTags(writeOpusTags(tags))).toEqual({ ok: true, value: tags });
    const bytes = writeOpusTags(tags);
    for (let cut = 0; cut < bytes.length; cut++) expect(readOpusTags(bytes.subarray(0, cut)).ok).toBe(false);
    expect(readOpusTags(writeOpusTags({ vendor: '', comments: Array(65).fill('') }))).toMatchObject({
      reason: 'too_large',
    });
    const changed = (at: number, value: number) => {
      const b = writeOpusHead(head);
      b[at] = value;
      return readOpusHead(b);
    };
    expect(changed(8, 0x11)).toMatchObject({ reason: 'unsupported' });
    expect(changed(18, 1)).toMatchObject({ reason: 'unsupported' });
    expect(changed(9, 0)).toMatchObject({ reason: 'malformed' });
    expect(changed(0, 0)).toMatchObject({ reason: 'malformed' });
  });

  it('what is no Opus packet is not written', () => {
    const parts: Uint8Array[] = [];
    const writer = new OpusFileWriter((b) => parts.push(b), { serial: 1 });
    expect(writer.packet(new Uint8Array())).toMatchObject({ reason: 'empty' });
    expect(writer.packet(fromHex('f8aa'))).toEqual({ ok: true, value: 960 });
    writer.close();
    const read = readOpusFile(concat(...parts));
    expect(read.ok && read.value.packets.length).toBe(1);
  });

  it('gives a verdict on any packet', () => {
    const random = seeded(5);
    for (let i = 0; i < 20_000; i++) {
      const packet = random.bytes(random.below(20));
      const samples = opusPacketSamples(packet);
      if (samples.ok) expect(samples.value <= 5760 && samples.value >= 120).toBe(true);
      readOpusHead(packet);
      readOpusTags(mutate(random, writeOpusTags({ vendor: 'abc', comments: ['A=b'] })));
    }
  });
});
