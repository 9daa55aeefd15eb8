/** Writer of one TIP packet (WIRE.md 4). What does not fit its field is our own bug and throws. */
import { writeU16, writeU32, writeU64 } from '../base/bytes.js';
import { MAX_TIP_PACKET_BYTES } from '../base/limits.js';
import { unreachable } from '../base/result.js';
import {
  kekBytes,
  MEDIAOPTS_BLOCK_END,
  MEDIAOPTS_VERSION,
  type MediaOpts,
  MUXCTRL_FEEDBACK,
  MUXCTRL_IS_FOCUS,
  MUXCTRL_SECURE,
  type MuxCtrl,
  RTCP_APP,
  SALT_BYTES,
  type SpiMap,
  TIP_ACK_BIT,
  TIP_HEADER_BYTES,
  TIP_NAME,
  TIP_SUBTYPES,
  type TipPacket,
  TLV_PARTICIPANT_ID,
  TLV_SECURITY_ICON,
  TLV_SUITES,
} from './tip-types.js';

/**
 * One RTCP APP packet. A SPIMAP's bytes hold the KEK and salt in the clear: they go into SRTCP with channel keys at once
 * and nowhere else.
 */
export function writeTip(packet: TipPacket): Uint8Array {
  const b = body(packet);
  b[0] = 0x80 | subtypeOf(packet);
  b[1] = RTCP_APP;
  writeU16(b, 2, b.length / 4 - 1);
  writeU32(b, 4, packet.ssrc);
  writeU32(b, 8, TIP_NAME);
  writeU64(b, packet.type === 'muxctrl' ? 16 : 12, packet.ntp);
  return b;
}

function subtypeOf(packet: TipPacket): number {
  if (packet.type === 'ack') return TIP_SUBTYPES[packet.of] | TIP_ACK_BIT;
  if (packet.type === 'reqtosend-ack') return TIP_SUBTYPES.reqtosend | TIP_ACK_BIT;
  return TIP_SUBTYPES[packet.type];
}

/** The packet in its final size, with all but the header's fields in place. */
function body(packet: TipPacket): Uint8Array {
  switch (packet.type) {
    case 'muxctrl':
      return muxCtrl(packet);
    case 'notify': {
      if (packet.secure === undefined) return blank(TIP_HEADER_BYTES);
      const b = blank(24);
      b.set([TLV_SECURITY_ICON, 1, packet.secure ? 1 : 0], 20);
      return b;
    }
    case 'echo': {
      const b = blank(28);
      writeU64(b, 20, packet.receiveNtp);
      return b;
    }
    case 'txflowctrl':
    case 'rxflowctrl': {
      const { limits } = packet;
      if (limits !== undefined && packet.type !== 'txflowctrl') throw new Error('only TXFLOWCTRL carries limits');
      const b = blank(limits === undefined ? 28 : 48);
      writeU32(b, 20, packet.opcode);
      writeU32(b, 24, packet.targetCsrc);
      if (limits === undefined) return b;
      writeU32(b, 28, limits.bitrate);
      writeU16(b, 32, limits.levelIncrement);
      writeU16(b, 34, limits.levelDecrement);
      writeU32(b, 36, limits.maxMbps);
      writeU32(b, 40, limits.maxFs);
      writeU32(b, 44, limits.maxFps);
      return b;
    }
    case 'mediaopts':
      return mediaOpts(packet);
    case 'refresh': {
      const b = blank(28);
      writeU32(b, 20, packet.targetCsrc);
      writeU32(b, 24, packet.flags);
      return b;
    }
    case 'spimap':
      return spiMap(packet);
    case 'reqtosend':
    case 'reqtosend-ack': {
      const b = blank(28);
      writeU32(b, 20, packet.start ? 1 : 0);
      writeU16(b, 24, packet.videoMask);
      writeU16(b, 26, packet.audioMask);
      return b;
    }
    case 'ack':
      return blank(TIP_HEADER_BYTES);
    default:
      return unreachable(packet, 'writeTip');
  }
}

function blank(bytes: number): Uint8Array {
  const padded = Math.ceil(bytes / 4) * 4;
  if (padded > MAX_TIP_PACKET_BYTES) throw new Error(`a TIP packet of ${padded} bytes`);
  return new Uint8Array(padded);
}

function muxCtrl(packet: MuxCtrl): Uint8Array {
  const tlvs: [number, Uint8Array][] = [];
  if (packet.version !== 6) {
    if (packet.participantId !== undefined) tlvs.push([TLV_PARTICIPANT_ID, packet.participantId]);
    if (packet.suites !== undefined)
      tlvs.push([TLV_SUITES, Uint8Array.from(packet.suites.flatMap((s) => [s.suite, s.cipher]))]);
  }
  let at = packet.version === 6 ? 36 : 40;
  const b = blank(tlvs.reduce((size, [, data]) => size + 2 + data.length, at));
  b[12] = (packet.version << 4) | (packet.secure ? MUXCTRL_SECURE : 0) | (packet.feedback ? MUXCTRL_FEEDBACK : 0);
  b[13] = packet.isFocus ? MUXCTRL_IS_FOCUS : 0;
  b[14] = packet.numXmit;
  b[15] = packet.numRcv;
  writeU64(b, 24, packet.conferenceId);
  writeU16(b, 32, packet.transmitMask);
  writeU16(b, 34, packet.receiveMask);
  if (packet.version === 6) return b;
  b[36] = packet.numShared;
  writeU16(b, 38, packet.sharedMask);
  for (const [tag, data] of tlvs) {
    if (data.length > 255) throw new Error(`a TLV of ${data.length} bytes`);
    b[at] = tag;
    b[at + 1] = data.length;
    b.set(data, at + 2);
    at += 2 + data.length;
  }
  return b;
}

function mediaOpts(packet: MediaOpts): Uint8Array {
  const b = blank(packet.blocks.reduce((size, block) => size + 16 + 4 * block.words.length, 24));
  writeU16(b, 20, MEDIAOPTS_VERSION);
  let at = 24;
  for (const block of packet.blocks) {
    writeU32(b, at, block.ssrc);
    writeU32(b, at + 4, block.transmit);
    writeU32(b, at + 8, block.receive);
    at += 12;
    for (const { tag, value } of block.words) {
      if (tag < 0 || tag > 254 || value < 0 || value > 0xffffff) throw new Error('an option word out of range');
      writeU32(b, at, ((tag << 24) | value) >>> 0);
      at += 4;
    }
    writeU32(b, at, MEDIAOPTS_BLOCK_END);
    at += 4;
  }
  return b;
}

function spiMap(packet: SpiMap): Uint8Array {
  const keyBytes = kekBytes(packet.cipher);
  if (packet.masterSalt.length !== SALT_BYTES || packet.kek.length !== keyBytes)
    throw new Error(
      `SPIMAP of cipher ${packet.cipher}: salt ${packet.masterSalt.length}, KEK ${packet.kek.length} bytes`,
    );
  const b = blank(38 + keyBytes + 2);
  writeU16(b, 20, packet.spiWord);
  b[22] = packet.suite;
  b[23] = packet.cipher;
  packet.masterSalt.use((salt) => b.set(salt, 24));
  packet.kek.use((kek) => b.set(kek, 38));
  return b;
}
