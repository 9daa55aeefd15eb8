import { describe, expect, it } from 'vitest';
import { concat, fromHex, readU16, readU32, toHex } from '../../../src/base/bytes.js';
import { BRIDGE_MAX_SKIPPED_PACKETS } from '../../../src/base/limits.js';
import { BridgeIn, BridgeOut } from '../../../src/endpoint/media/bridge.js';
import { addressBytes, internetChecksum, PcapWriter, udpPacket } from '../../../src/endpoint/media/pcap.js';
import type { ReceivedRtp } from '../../../src/endpoint/media/types.js';

const rtp = (sequence: number, timestamp: number, hex = '419a', more: Partial<ReceivedRtp> = {}): ReceivedRtp => ({
  payloadType: 96,
  marker: false,
  sequence: sequence & 0xffff,
  timestamp: timestamp >>> 0,
  ssrc: 0x11,
  payload: fromHex(hex),
  ...more,
});

describe('plain RTP in', () => {
  const run = (packets: readonly ReceivedRtp[], bridge = new BridgeIn('video')) =>
    packets.map((packet, i) => {
      const out = bridge.receive(packet, i * 100);
      return out.ok ? [out.value.timestamp, out.value.skip, out.value.refresh] : out.reason;
    });

  it('counts timestamps from 0 and shows losses as numbers to leave out', () => {
    expect(run([rtp(65_535, -3000), rtp(65_536, 0), rtp(65_539, 3000), rtp(65_538, 3000), rtp(66_000, 6000)])).toEqual([
      [0, 0, false],
      [3000, 0, false],
      [6000, 2, false],
      'out_of_order',
      [9000, BRIDGE_MAX_SKIPPED_PACKETS, false],
    ]);
  });

  it('marks the first packet of an IDR picture only', () => {
    const sets = '7800026742000268ce';
    expect(
      run([
        rtp(1, 0, '6742'),
        rtp(2, 0, '68ce'),
        rtp(3, 0, '6588'),
        rtp(4, 3000),
        rtp(5, 6000, sets),
        rtp(6, 6000, '7c8588'),
      ]),
    ).toEqual([
      [0, 0, true],
      [0, 0, false],
      [0, 0, false],
      [3000, 0, false],
      [6000, 0, true],
      [6000, 0, false],
    ]);
    expect(run([rtp(1, 0, '6742')], new BridgeIn('audio'))).toEqual([[0, 0, false]]);
  });

  it('a tool that starts again goes on where it ended, by the time that passed', () => {
    const other = { ssrc: 0x22 };
    expect(run([rtp(10, 500), rtp(7_000, 123_456, '41', other), rtp(7_001, 126_456, '41', other)])).toEqual([
      [0, 0, false],
      [9000, 0, false],
      [12_000, 0, false],
    ]);
    // With the SSRC that it had before, but a sequence number far behind.
    expect(run([rtp(30_000, 500), rtp(5_000, 90), rtp(5_001, 3090)])).toEqual([
      [0, 0, false],
      [9000, 0, false],
      [12_000, 0, false],
    ]);
  });

  it('refuses an empty payload and a payload type that was not asked for', () => {
    const bridge = new BridgeIn('video', 97);
    expect(bridge.receive(rtp(1, 0), 0)).toMatchObject({ reason: 'wrong_payload_type' });
    expect(bridge.receive(rtp(1, 0, '', { payloadType: 97 }), 0)).toMatchObject({ reason: 'empty_payload' });
    expect(bridge.receive(rtp(1, 0, '41', { payloadType: 97 }), 0).ok).toBe(true);
  });
});

describe('plain RTP out', () => {
  it('one unbroken stream with an SSRC of its own, whoever is seen; losses stay visible', () => {
    const out = new BridgeOut({
      media: 'video',
      ssrc: 0xaabbccdd,
      payloadType: 102,
      sequence: 65_534,
      timestamp: 1000,
    });
    const inputs = [
      rtp(5, 90),
      rtp(8, 3090),
      rtp(7, 3090),
      rtp(400, 77, '6588', { ssrc: 0x22, marker: true }),
      rtp(401, 3077, '41', { ssrc: 0x22 }),
    ];
    const datagrams = inputs.map((packet, i) => out.write(packet, i * 10));
    expect(datagrams.map((d) => readU16(d, 2))).toEqual([65_534, 1, 0, 2, 3]);
    expect(datagrams.map((d) => readU32(d, 4))).toEqual([1000, 4000, 4000, 4000 + 1800, 4000 + 1800 + 3000]);
    expect(toHex(datagrams[3]!)).toBe('80e60002000016a8aabbccdd6588');
  });
});

describe('captures', () => {
  it.each([
    ['127.0.0.1', '7f000001'],
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['2001:db8::a:1', '20010db8000000000000000000' + '0a0001'],
    ['fe80::1%eth0', `fe80${'00'.repeat(13)}01`],
    ['::ffff:1.2.3.4', `${'00'.repeat(10)}ffff01020304`],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ['1::', `0001${'00'.repeat(14)}`],
  ])('%s is %s', (text, hex) => {
    expect(toHex(addressBytes(text)!)).toBe(hex);
  });

  it('names and broken addresses are none', () => {
    for (const text of ['', 'localhost', '1.2.3', '1.2.3.256', ':::', '1:2', 'fe80::1::2']) {
      expect(addressBytes(text)).toBeUndefined();
    }
  });

  it('checksums fit: summed with what they cover they give zero', () => {
    for (const [from, to] of [
      ['10.0.0.1', '10.0.0.2'],
      ['2001:db8::1', '2001:db8::2'],
      ['10.0.0.1', '::1'],
    ] as const) {
      for (const length of [0, 1, 2, 171, 1200]) {
        const payload = new Uint8Array(length).map((_, i) => (i * 37) & 0xff);
        const packet = udpPacket({ address: from, port: 5004 }, { address: to, port: 65_535 }, payload);
        if (!packet.ok) throw new Error(packet.reason);
        const headerBytes = packet.value[0]! >> 4 === 4 ? 20 : 40;
        const addresses = headerBytes === 20 ? packet.value.subarray(12, 20) : packet.value.subarray(8, 40);
        const udp = packet.value.subarray(headerBytes);
        if (headerBytes === 20) expect(internetChecksum(packet.value.subarray(0, 20))).toBe(0);
        const pseudo = Uint8Array.of(0, 17, udp.length >> 8, udp.length & 0xff);
        expect(internetChecksum(addresses, pseudo, udp)).toBe(0);
        expect(readU16(udp, 4)).toBe(8 + length);
        expect(readU16(udp, 6)).not.toBe(0);
      }
    }
  });

  it('a UDP checksum that comes out zero is sent as all ones', () => {
    const [from, to] = [
      { address: '0.0.0.0', port: 0 },
      { address: '0.0.0.0', port: 0 },
    ];
    const packet = udpPacket(from, to, Uint8Array.of(0xff, 0xff - 17 - 10 - 10));
    expect(packet.ok && readU16(packet.value, 26)).toBe(0xffff);
  });

  it('writes a header and records, in microseconds or nanoseconds, and refuses what does not fit', () => {
    const [from, to] = [
      { address: '10.0.0.1', port: 1 },
      { address: '10.0.0.2', port: 2 },
    ];
    for (const [resolution, magic, time, fraction] of [
      ['us', 'a1b2c3d4', 1_700_000_000_123.456, 123_456],
      ['ns', 'a1b23c4d', 1_700_000_000_123_456_789n, 123_456_789],
      ['us', 'a1b2c3d4', 1_700_000_000_123_456_789n, 123_456],
    ] as const) {
      const parts: Uint8Array[] = [];
      const writer = new PcapWriter((bytes) => parts.push(bytes), resolution);
      expect(writer.datagram({ time, from, to, payload: Uint8Array.of(1, 2, 3) }).ok).toBe(true);
      expect(writer.datagram({ time, from: { address: 'x', port: 1 }, to, payload: new Uint8Array() })).toMatchObject({
        reason: 'bad_address',
      });
      expect(writer.datagram({ time, from, to, payload: new Uint8Array(65_508) })).toMatchObject({
        reason: 'too_large',
      });
      const file = concat(...parts);
      expect(toHex(file.subarray(0, 24))).toBe(`${magic}0002000400000000000000000004000000000065`);
      expect([readU32(file, 24), readU32(file, 28), readU32(file, 32), readU32(file, 36)]).toEqual([
        1_700_000_000,
        fraction,
        31,
        31,
      ]);
      expect(file.length).toBe(24 + 16 + 31);
    }
  });
});
