import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, writeU16, writeU32 } from '../../../src/base/bytes.js';
import { MAX_TIP_PACKET_BYTES } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { parseTip, type TipPacket, writeTip } from '../../../src/wire/tip.js';
import { EXAMPLES, open, seeded } from './tip-examples.js';

function parsed(bytes: Uint8Array): TipPacket {
  const verdict = parseTip(bytes);
  if (!verdict.ok) throw new Error(`refused: ${verdict.reason} ${toHex(bytes)}`);
  return verdict.value;
}

function example(name: string): Uint8Array {
  const found = EXAMPLES.find((e) => e.name === name);
  if (found === undefined) throw new Error(name);
  return found.bytes.slice();
}

/** `bytes` with `more` behind it and the length field put right. */
function extended(bytes: Uint8Array, more: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes.length + more.length);
  all.set(bytes);
  all.set(more, bytes.length);
  writeU16(all, 2, all.length / 4 - 1);
  return all;
}

describe('TIP packets, byte for byte', () => {
  for (const { name, packet, bytes } of EXAMPLES) {
    it(`writes ${name}`, () => expect(toHex(writeTip(packet))).toBe(toHex(bytes)));
    it(`parses ${name}`, () => expect(open(parsed(bytes))).toEqual(open(packet)));
  }

  it('keeps the size of a SPIMAP: length field 13 for 56 bytes, 17 for 72', () => {
    expect(example('SPIMAP, 56 bytes')).toHaveLength(56);
    expect(example('SPIMAP, 72 bytes with cipher 4')).toHaveLength(72);
  });
});

describe('TIP packets that are not quite ours', () => {
  it('skips TLVs of unknown tags, padding with a length, and a last lone zero', () => {
    const tlvs = fromHex('0002ffff' + '7701aa' + '0104000102ff' + '0000' + '00');
    const packet = parsed(extended(example('MUXCTRL, version 7, without TLVs'), tlvs));
    expect(packet).toMatchObject({ type: 'muxctrl', participantId: fromHex('000102ff') });
    expect(packet).not.toHaveProperty('suites');
  });

  it('takes whatever is not exactly 1 as not secure', () => {
    for (const value of [0, 2, 0x81, 0xff]) {
      const bytes = example('NOTIFY, secure');
      bytes[22] = value;
      expect(parsed(bytes)).toMatchObject({ secure: false });
    }
  });

  it('does not look at reserved fields', () => {
    const muxctrl = example('MUXCTRL, version 7, without TLVs');
    muxctrl[37] = 0xff;
    expect(parsed(muxctrl)).toEqual(parsed(example('MUXCTRL, version 7, without TLVs')));
    const spimap = example('SPIMAP, 56 bytes');
    writeU16(spimap, 54, 0xffff);
    expect(open(parsed(spimap))).toEqual(open(parsed(example('SPIMAP, 56 bytes'))));
  });
});

describe('TIP packets that are refused', () => {
  const words = (b: Uint8Array) => b.length / 4;
  const headers: readonly [string, string, number, (b: Uint8Array) => number][] = [
    ['RTCP version 1', 'not_tip', 0, (b) => (b[0]! & 0x3f) | 0x40],
    ['RTCP padding', 'not_tip', 0, (b) => b[0]! | 0x20],
    ['another payload type', 'not_tip', 1, () => 205],
    ['another name', 'not_tip', 11, () => 0x74],
    ['a length field one word too long', 'bad_length', 3, (b) => words(b)],
    ['a length field one word too short', 'bad_length', 3, (b) => words(b) - 2],
  ];
  for (const [what, reason, at, value] of headers)
    it(`${what}: ${reason}`, () => {
      for (const { bytes } of EXAMPLES) {
        const bad = bytes.slice();
        bad[at] = value(bytes);
        expect(parseTip(bad)).toMatchObject({ ok: false, reason });
      }
    });

  const specific: readonly [string, string, Uint8Array][] = [
    ['subtype 0', 'unknown_subtype', withByte('NOTIFY without an icon', 0, 0x80)],
    ['subtype 2', 'unknown_subtype', withByte('NOTIFY without an icon', 0, 0x82)],
    ['an ACK of ECHO', 'unknown_subtype', withByte('ACK of notify', 0, 0x94)],
    ['an ACK of nothing', 'unknown_subtype', withByte('ACK of notify', 0, 0x90)],
    ['an ACK with a body', 'bad_size', extended(example('ACK of muxctrl'), new Uint8Array(4))],
    ['MUXCTRL of version 5', 'unsupported_version', withByte('MUXCTRL, version 6', 12, 0x53)],
    ['MUXCTRL of version 9', 'unsupported_version', withByte('MUXCTRL, version 7, without TLVs', 12, 0x93)],
    ['MUXCTRL of version 6 with the fields of 7', 'bad_size', withByte('MUXCTRL, version 7, without TLVs', 12, 0x63)],
    ['MUXCTRL of version 7 without them', 'bad_size', withByte('MUXCTRL, version 6', 12, 0x73)],
    [
      'a TLV longer than the packet',
      'bad_tlv',
      extended(example('MUXCTRL, version 7, without TLVs'), fromHex('01030000')),
    ],
    ['a lone tag at the end', 'bad_tlv', extended(example('MUXCTRL, version 7, without TLVs'), fromHex('77010001'))],
    ['suites in half', 'bad_tlv', extended(example('MUXCTRL, version 7, without TLVs'), fromHex('e003010112000000'))],
    ['the suites twice', 'bad_tlv', extended(example('MUXCTRL, version 7, without TLVs'), fromHex('e0020101e0021204'))],
    ['two icons that disagree', 'bad_tlv', extended(example('NOTIFY without an icon'), fromHex('0301010301000000'))],
    ['an icon of two bytes', 'bad_tlv', extended(example('NOTIFY without an icon'), fromHex('03020101'))],
    ['a flow opcode of 3', 'bad_value', withByte('TXFLOWCTRL, stop', 23, 3)],
    ['RXFLOWCTRL in the long form', 'bad_size', withByte('TXFLOWCTRL of version 8', 0, 0x86)],
    ['REQTOSEND flags of 2', 'bad_value', withByte('REQTOSEND', 23, 2)],
    ['MEDIAOPTS of version 2', 'unsupported_version', withByte('MEDIAOPTS, two blocks', 21, 2)],
    ['a block without its end', 'bad_block', withByte('MEDIAOPTS, two blocks', 60, 0x05)],
    ['a block end with a value', 'bad_block', withByte('MEDIAOPTS, two blocks', 63, 1)],
    ['half a block', 'bad_block', extended(example('MEDIAOPTS, two blocks'), fromHex('00000000ff000000'))],
    ['SPIMAP of 72 bytes with a 16-byte cipher', 'bad_size', withByte('SPIMAP, 72 bytes with cipher 4', 23, 1)],
    ['SPIMAP of 56 bytes with cipher 4', 'bad_size', withByte('SPIMAP, 56 bytes', 23, 4)],
    [
      'a packet above the limit',
      'too_long',
      extended(example('NOTIFY without an icon'), new Uint8Array(MAX_TIP_PACKET_BYTES)),
    ],
  ];
  for (const [what, reason, bytes] of specific)
    it(`${what}: ${reason}`, () => expect(parseTip(bytes)).toMatchObject({ ok: false, reason }));

  function withByte(name: string, at: number, value: number): Uint8Array {
    const bytes = example(name);
    bytes[at] = value;
    return bytes;
  }

  it('every example cut at every length, with the length field put right where it can be', () => {
    for (const { name, bytes } of EXAMPLES)
      for (let length = 0; length < bytes.length; length++) {
        const cut = bytes.slice(0, length);
        expect(parseTip(cut).ok, `${name} cut to ${length}`).toBe(false);
        if (length % 4 !== 0 || length < 20) continue;
        writeU16(cut, 2, length / 4 - 1);
        const verdict = parseTip(cut);
        // What still makes sense must be smaller than it was, never the whole: lists end early, fixed forms do not parse.
        if (verdict.ok) expect(['muxctrl', 'notify', 'mediaopts', 'txflowctrl'], name).toContain(verdict.value.type);
      }
  });

  it('takes a packet of exactly the limit', () => {
    const bytes = extended(example('NOTIFY without an icon'), new Uint8Array(MAX_TIP_PACKET_BYTES - 20));
    expect(bytes).toHaveLength(512);
    expect(parseTip(bytes).ok).toBe(true);
  });
});

describe('TIP parser under random input', () => {
  it('never throws, and what it accepts survives writing and parsing again (100,000 changed packets)', () => {
    const random = seeded(4);
    let accepted = 0;
    for (let i = 0; i < 100_000; i++) {
      const { bytes } = EXAMPLES[Math.floor(random() * EXAMPLES.length)]!;
      const size = Math.max(0, bytes.length + 4 * Math.floor(random() * 5 - 2));
      const fuzzed = new Uint8Array(size);
      fuzzed.set(bytes.subarray(0, size));
      if (size >= 4 && random() < 0.9) writeU16(fuzzed, 2, size / 4 - 1);
      for (let n = Math.floor(random() * 4); n > 0; n--)
        fuzzed[12 + Math.floor(random() * Math.max(1, size - 12))] = Math.floor(random() * 256);
      const verdict = parseTip(fuzzed);
      if (!verdict.ok) continue;
      accepted++;
      expect(open(parsed(writeTip(verdict.value)))).toEqual(open(verdict.value));
    }
    expect(accepted).toBeGreaterThan(20_000);
  });

  it('never throws on pure noise behind a good header', () => {
    const random = seeded(5);
    for (let i = 0; i < 50_000; i++) {
      const noise = Uint8Array.from({ length: 4 * Math.floor(random() * 40) }, () => Math.floor(random() * 256));
      if (noise.length >= 12) {
        noise[0] = 0x80 | Math.floor(random() * 32);
        noise[1] = 204;
        writeU16(noise, 2, noise.length / 4 - 1);
        writeU32(noise, 8, 0x78637473);
      }
      parseTip(noise);
    }
  });
});

describe('secrets of a SPIMAP', () => {
  it('are copies that print as nothing', () => {
    const bytes = example('SPIMAP, 56 bytes');
    const packet = parsed(bytes);
    if (packet.type !== 'spimap') throw new Error('not a SPIMAP');
    const kek = packet.kek.copyOut();
    bytes.fill(0);
    expect(packet.kek.copyOut()).toEqual(kek);
    const printed = inspect(packet) + JSON.stringify({ ...packet, ntp: 0 });
    expect(printed).not.toContain('0c0d0e0f');
    expect(printed).toContain('[secret]');
  });

  it('of a wrong length are never written', () => {
    const packet = parsed(example('SPIMAP, 56 bytes'));
    if (packet.type !== 'spimap') throw new Error('not a SPIMAP');
    expect(() => writeTip({ ...packet, kek: new Secret(new Uint8Array(32)) })).toThrow('SPIMAP of cipher 1');
    expect(() => writeTip({ ...packet, masterSalt: new Secret(new Uint8Array(12)) })).toThrow('salt 12');
  });
});

describe('the writer', () => {
  it('refuses what does not fit a packet or a field', () => {
    const muxctrl = parsed(example('MUXCTRL, version 7, without TLVs'));
    if (muxctrl.type !== 'muxctrl') throw new Error('not a MUXCTRL');
    expect(() => writeTip({ ...muxctrl, participantId: new Uint8Array(256) })).toThrow('TLV of 256');
    const block = { ssrc: 0, transmit: 0, receive: 0, words: [] };
    const mediaopts = { type: 'mediaopts', ssrc: 0, ntp: 1n } as const;
    expect(() => writeTip({ ...mediaopts, blocks: Array.from({ length: 31 }, () => block) })).toThrow('520 bytes');
    expect(() => writeTip({ ...mediaopts, blocks: [{ ...block, words: [{ tag: 255, value: 0 }] }] })).toThrow('range');
  });
});
