/** One of each TIP packet, as a value and byte for byte (WIRE.md 4); shared by the tests of the format. */
import { fromHex } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import type { TipPacket } from '../../../src/wire/tip.js';

/** Spaces and `// ...` remarks are for the reader. */
function bytes(text: string): Uint8Array {
  return fromHex(text.replace(/\/\/.*$/gm, '').replace(/\s/g, ''));
}

const ssrc = 0x11223300;
const ntp = 0xe8a1b2c3_40000000n;
const muxctrl = {
  type: 'muxctrl',
  ssrc,
  ntp,
  secure: true,
  feedback: true,
  isFocus: true,
  numXmit: 4,
  numRcv: 3,
  conferenceId: 0x0102030405060708n,
  transmitMask: 0x001e,
  receiveMask: 0x000e,
} as const;
const salt = '00112233445566778899aabbccdd';
const kek = '000102030405060708090a0b0c0d0e0f';

export const EXAMPLES: readonly { name: string; packet: TipPacket; bytes: Uint8Array }[] = [
  {
    name: 'MUXCTRL, version 6',
    packet: { ...muxctrl, version: 6, numShared: 0, sharedMask: 0 },
    bytes: bytes(`
      81 cc 0008          // V=2, subtype 1; APP; 9 words
      11223300 78637473   // SSRC, "xcts"
      63 01 04 03         // version 6, secure and feedback; IS_FOCUS; numXmit; numRcv
      e8a1b2c340000000    // NTP, here and nowhere else at [16]
      0102030405060708    // conference id
      001e 000e           // transmit mask, receive mask
    `),
  },
  {
    name: 'MUXCTRL, version 7, without TLVs',
    packet: { ...muxctrl, version: 7, isFocus: false, feedback: false, numShared: 1, sharedMask: 0x10 },
    bytes: bytes(`
      81 cc 0009 11223300 78637473
      71 00 04 03         // version 7, secure only; not the switch
      e8a1b2c340000000 0102030405060708 001e 000e
      01 00 0010          // numShared, 0, shared mask
    `),
  },
  {
    name: 'MUXCTRL, version 8, with participant id and suites',
    packet: {
      ...muxctrl,
      version: 8,
      numShared: 0,
      sharedMask: 0,
      participantId: fromHex('616263'),
      suites: [
        { suite: 1, cipher: 1 },
        { suite: 18, cipher: 4 },
      ],
    },
    bytes: bytes(`
      81 cc 000c 11223300 78637473
      83 01 04 03 e8a1b2c340000000 0102030405060708 001e 000e 00 00 0000
      01 03 616263        // participant id
      e0 04 0101 1204     // suites 1/1 and 18/4
      00                  // padding
    `),
  },
  {
    name: 'NOTIFY, secure',
    packet: { type: 'notify', ssrc, ntp, secure: true },
    bytes: bytes(`
      83 cc 0005 11223300 78637473 e8a1b2c340000000
      03 01 01 00         // SECURITYICON, 1 byte, secure; padding
    `),
  },
  {
    name: 'NOTIFY without an icon',
    packet: { type: 'notify', ssrc, ntp },
    bytes: bytes('83 cc 0004 11223300 78637473 e8a1b2c340000000'),
  },
  {
    name: 'ECHO, answered',
    packet: { type: 'echo', ssrc, ntp, receiveNtp: 0xe8a1b2c350000000n },
    bytes: bytes('84 cc 0006 11223300 78637473 e8a1b2c340000000 e8a1b2c350000000'),
  },
  {
    name: 'TXFLOWCTRL, stop',
    packet: { type: 'txflowctrl', ssrc, ntp, opcode: 1, targetCsrc: 0xaabbc011 },
    bytes: bytes('85 cc 0006 11223300 78637473 e8a1b2c340000000 00000001 aabbc011'),
  },
  {
    name: 'TXFLOWCTRL of version 8',
    packet: {
      type: 'txflowctrl',
      ssrc,
      ntp,
      opcode: 2,
      targetCsrc: 0xaabbc011,
      limits: { bitrate: 4_000_000, levelIncrement: 1, levelDecrement: 2, maxMbps: 245_760, maxFs: 8_192, maxFps: 30 },
    },
    bytes: bytes(`
      85 cc 000b 11223300 78637473 e8a1b2c340000000
      00000002 aabbc011   // H.264 control, CSRC
      003d0900 0001 0002  // bit rate, level increment, level decrement
      0003c000 00002000 0000001e // max-mbps, max-fs, max-fps
    `),
  },
  {
    name: 'RXFLOWCTRL, start',
    packet: { type: 'rxflowctrl', ssrc, ntp, opcode: 0, targetCsrc: 0xaabbc011 },
    bytes: bytes('86 cc 0006 11223300 78637473 e8a1b2c340000000 00000000 aabbc011'),
  },
  {
    name: 'MEDIAOPTS, two blocks',
    packet: {
      type: 'mediaopts',
      ssrc,
      ntp,
      blocks: [
        { ssrc: 0, transmit: 0x02000000, receive: 0x02000001, words: [] },
        {
          ssrc: 0x55667788,
          transmit: 0,
          receive: 1,
          words: [
            { tag: 1, value: 0x123456 },
            { tag: 0xfe, value: 0 },
          ],
        },
      ],
    },
    bytes: bytes(`
      87 cc 000f 11223300 78637473 e8a1b2c340000000
      0003 0000                              // version 3
      00000000 02000000 02000001 ff000000    // all streams: EKT out, EKT and trailing byte in
      55667788 00000000 00000001 01123456 fe000000 ff000000
    `),
  },
  {
    name: 'REFRESH, prefer GDR',
    packet: { type: 'refresh', ssrc, ntp, targetCsrc: 0xaabbc011, flags: 3 },
    bytes: bytes('88 cc 0006 11223300 78637473 e8a1b2c340000000 aabbc011 00000003'),
  },
  {
    name: 'SPIMAP, 56 bytes',
    packet: {
      type: 'spimap',
      ssrc,
      ntp,
      spiWord: 0x0101,
      suite: 1,
      cipher: 1,
      masterSalt: new Secret(fromHex(salt)),
      kek: new Secret(fromHex(kek)),
    },
    bytes: bytes(`
      8c cc 000d 11223300 78637473 e8a1b2c340000000
      0101 01 01 ${salt} ${kek} 0000
    `),
  },
  {
    name: 'SPIMAP, 72 bytes with cipher 4',
    packet: {
      type: 'spimap',
      ssrc,
      ntp,
      spiWord: 0x0203,
      suite: 18,
      cipher: 4,
      masterSalt: new Secret(fromHex(salt)),
      kek: new Secret(fromHex(kek + kek)),
    },
    bytes: bytes(`
      8c cc 0011 11223300 78637473 e8a1b2c340000000
      0203 12 04 ${salt} ${kek}${kek} 0000
    `),
  },
  {
    name: 'REQTOSEND',
    packet: { type: 'reqtosend', ssrc, ntp, start: true, videoMask: 0x20, audioMask: 0x10 },
    bytes: bytes('8f cc 0006 11223300 78637473 e8a1b2c340000000 00000001 0020 0010'),
  },
  {
    name: 'ACK of REQTOSEND, with its flags and positions',
    packet: { type: 'reqtosend-ack', ssrc, ntp, start: false, videoMask: 0x20, audioMask: 0 },
    bytes: bytes('9f cc 0006 11223300 78637473 e8a1b2c340000000 00000000 0020 0000'),
  },
  ...(
    [
      ['muxctrl', '91'],
      ['notify', '93'],
      ['txflowctrl', '95'],
      ['rxflowctrl', '96'],
      ['mediaopts', '97'],
      ['refresh', '98'],
      ['spimap', '9c'],
    ] as const
  ).map(([of, first]) => ({
    name: `ACK of ${of}`,
    packet: { type: 'ack', of, ssrc, ntp } as const,
    bytes: bytes(`${first} cc 0004 11223300 78637473 e8a1b2c340000000`),
  })),
];

/** A packet with its secrets opened, so that two can be compared. */
export function open(packet: TipPacket): unknown {
  if (packet.type !== 'spimap') return packet;
  return { ...packet, masterSalt: packet.masterSalt.copyOut(), kek: packet.kek.copyOut() };
}

/** Deterministic numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
