import { readU16, readU32, readU64 } from '../base/bytes.js';
import { MAX_RTCP_PACKETS_PER_COMPOUND } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';

/** RFC 3550 §12.1, RFC 4585 §6.1. */
export const RTCP_SR = 200;
export const RTCP_RR = 201;
export const RTCP_SDES = 202;
export const RTCP_BYE = 203;
export const RTCP_APP = 204;
export const RTCP_RTPFB = 205;
export const RTCP_PSFB = 206;

const FMT_GENERIC_NACK = 1;
const FMT_PLI = 1;
const FMT_FIR = 4;

export interface ReportBlock {
  readonly ssrc: number;
  /** Fixed point, the binary point at the left edge of the byte. */
  readonly fractionLost: number;
  /** Signed, 24 bits. */
  readonly cumulativeLost: number;
  readonly highestSequence: number;
  /** In timestamp units. */
  readonly jitter: number;
  /** Middle 32 bits of the NTP timestamp of the last SR. */
  readonly lastSr: number;
  /** In units of 1/65536 s. */
  readonly delaySinceLastSr: number;
}

export interface SenderReport {
  readonly type: 'sr';
  readonly ssrc: number;
  readonly ntp: bigint;
  readonly rtpTimestamp: number;
  readonly packets: number;
  readonly octets: number;
  readonly reports: readonly ReportBlock[];
}

export interface SdesItem {
  /** 1 is CNAME. */
  readonly type: number;
  /** UTF-8, as received: not checked. */
  readonly text: Uint8Array;
}

export type RtcpPacket =
  | SenderReport
  | { readonly type: 'rr'; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  | {
      readonly type: 'sdes';
      readonly chunks: readonly { readonly ssrc: number; readonly items: readonly SdesItem[] }[];
    }
  | { readonly type: 'bye'; readonly ssrcs: readonly number[]; readonly reason?: Uint8Array }
  /** `body` is opaque: what follows the name. */
  | {
      readonly type: 'app';
      readonly subtype: number;
      readonly ssrc: number;
      readonly name: string;
      readonly body: Uint8Array;
    }
  | { readonly type: 'pli'; readonly sender: number; readonly media: number }
  | {
      readonly type: 'fir';
      readonly sender: number;
      readonly requests: readonly { readonly ssrc: number; readonly sequence: number }[];
    }
  | {
      readonly type: 'nack';
      readonly sender: number;
      readonly media: number;
      readonly lost: readonly { readonly pid: number; readonly blp: number }[];
    }
  | { readonly type: 'other'; readonly packetType: number; readonly count: number };

/**
 * Cuts a compound into its packets (RFC 3550 §6.1, §A.2): version 2, lengths that add up exactly, padding only in the last
 * packet, at most MAX_RTCP_PACKETS_PER_COMPOUND. The first is SR or RR unless `reducedSize` (RFC 5506) allows otherwise.
 * Each view holds its packet with header, without padding.
 */
export function splitCompound(
  compound: Uint8Array,
  options: { readonly reducedSize?: boolean } = {},
): Result<readonly Uint8Array[], 'malformed'> {
  const packets: Uint8Array[] = [];
  for (let at = 0; at < compound.length; ) {
    if (packets.length === MAX_RTCP_PACKETS_PER_COMPOUND) return refuse('malformed', 'too many RTCP packets');
    if (at + 4 > compound.length || compound[at]! >>> 6 !== 2) return refuse('malformed', 'RTCP header');
    const type = compound[at + 1]!;
    if (type < 192 || type > 223) return refuse('malformed', 'RTCP packet type');
    if (at === 0 && !options.reducedSize && type !== RTCP_SR && type !== RTCP_RR) {
      return refuse('malformed', 'a compound begins with SR or RR');
    }
    const end = at + 4 * (readU16(compound, at + 2) + 1);
    if (end > compound.length) return refuse('malformed', 'RTCP length');
    let used = end;
    if ((compound[at]! & 0x20) !== 0) {
      const padding = compound[end - 1]!;
      if (end !== compound.length || padding === 0 || padding % 4 !== 0 || padding > end - at - 4) {
        return refuse('malformed', 'RTCP padding');
      }
      used = end - padding;
    }
    packets.push(compound.subarray(at, used));
    at = end;
  }
  return packets.length === 0 ? refuse('malformed', 'empty compound') : ok(packets);
}

/** Splits and reads a whole compound. */
export function parseCompound(
  compound: Uint8Array,
  options: { readonly reducedSize?: boolean } = {},
): Result<readonly RtcpPacket[], 'malformed'> {
  const split = splitCompound(compound, options);
  if (!split.ok) return split;
  const packets: RtcpPacket[] = [];
  for (const bytes of split.value) {
    const packet = parseRtcpPacket(bytes);
    if (!packet.ok) return packet;
    packets.push(packet.value);
  }
  return ok(packets);
}

/** Reads one packet that {@link splitCompound} cut out. Kinds that we do not know are `other`, not an error (RFC 3550 §6.1). */
export function parseRtcpPacket(packet: Uint8Array): Result<RtcpPacket, 'malformed'> {
  if (packet.length < 4) return refuse('malformed', 'RTCP header');
  const count = packet[0]! & 0x1f;
  const packetType = packet[1]!;
  switch (packetType) {
    case RTCP_SR: {
      if (packet.length < 28 + 24 * count) return refuse('malformed', 'SR');
      return ok({
        type: 'sr',
        ssrc: readU32(packet, 4),
        ntp: readU64(packet, 8),
        rtpTimestamp: readU32(packet, 16),
        packets: readU32(packet, 20),
        octets: readU32(packet, 24),
        reports: readReportBlocks(packet, 28, count),
      });
    }
    case RTCP_RR: {
      if (packet.length < 8 + 24 * count) return refuse('malformed', 'RR');
      return ok({ type: 'rr', ssrc: readU32(packet, 4), reports: readReportBlocks(packet, 8, count) });
    }
    case RTCP_SDES:
      return parseSdes(packet, count);
    case RTCP_BYE:
      return parseBye(packet, count);
    case RTCP_APP: {
      if (packet.length < 12) return refuse('malformed', 'APP');
      const name = String.fromCharCode(...packet.subarray(8, 12));
      return ok({ type: 'app', subtype: count, ssrc: readU32(packet, 4), name, body: packet.subarray(12) });
    }
    case RTCP_RTPFB:
    case RTCP_PSFB:
      return parseFeedback(packet, packetType, count);
    default:
      return ok({ type: 'other', packetType, count });
  }
}

/** RFC 3550 §6.4.1. */
export const REPORT_BLOCK_BYTES = 24;

/** `count` report blocks from offset `from`; the caller has checked that they are there. */
export function readReportBlocks(packet: Uint8Array, from: number, count: number): ReportBlock[] {
  const reports: ReportBlock[] = [];
  for (let at = from; at < from + REPORT_BLOCK_BYTES * count; at += REPORT_BLOCK_BYTES) {
    const lost = readU32(packet, at + 4);
    reports.push({
      ssrc: readU32(packet, at),
      fractionLost: lost >>> 24,
      cumulativeLost: (lost << 8) >> 8,
      highestSequence: readU32(packet, at + 8),
      jitter: readU32(packet, at + 12),
      lastSr: readU32(packet, at + 16),
      delaySinceLastSr: readU32(packet, at + 20),
    });
  }
  return reports;
}

/** RFC 3550 §6.5: items end with a zero byte and each chunk is filled up to a whole word. */
function parseSdes(packet: Uint8Array, count: number): Result<RtcpPacket, 'malformed'> {
  const chunks: { ssrc: number; items: SdesItem[] }[] = [];
  let at = 4;
  for (let chunk = 0; chunk < count; chunk++) {
    if (at + 4 > packet.length) return refuse('malformed', 'SDES chunk');
    const ssrc = readU32(packet, at);
    const items: SdesItem[] = [];
    for (at += 4; packet[at] !== 0; ) {
      const length = packet[at + 1];
      if (length === undefined || at + 2 + length > packet.length) return refuse('malformed', 'SDES item');
      items.push({ type: packet[at]!, text: packet.subarray(at + 2, at + 2 + length) });
      at += 2 + length;
    }
    at = (at + 4) & ~3;
    if (at > packet.length) return refuse('malformed', 'SDES chunk');
    chunks.push({ ssrc, items });
  }
  return ok({ type: 'sdes', chunks });
}

function parseBye(packet: Uint8Array, count: number): Result<RtcpPacket, 'malformed'> {
  const at = 4 + 4 * count;
  if (at > packet.length) return refuse('malformed', 'BYE');
  const ssrcs: number[] = [];
  for (let i = 4; i < at; i += 4) ssrcs.push(readU32(packet, i));
  const length = packet[at];
  if (length === undefined) return ok({ type: 'bye', ssrcs });
  if (at + 1 + length > packet.length) return refuse('malformed', 'BYE reason');
  return ok({ type: 'bye', ssrcs, reason: packet.subarray(at + 1, at + 1 + length) });
}

/** RFC 4585 §6.1: sender and media SSRC, then the feedback control information. */
function parseFeedback(packet: Uint8Array, packetType: number, format: number): Result<RtcpPacket, 'malformed'> {
  if (packet.length < 12) return refuse('malformed', 'feedback');
  const sender = readU32(packet, 4);
  const media = readU32(packet, 8);
  if (packetType === RTCP_RTPFB && format === FMT_GENERIC_NACK) {
    if (packet.length === 12) return refuse('malformed', 'NACK');
    const lost: { pid: number; blp: number }[] = [];
    for (let at = 12; at < packet.length; at += 4)
      lost.push({ pid: readU16(packet, at), blp: readU16(packet, at + 2) });
    return ok({ type: 'nack', sender, media, lost });
  }
  if (packetType === RTCP_PSFB && format === FMT_PLI) return ok({ type: 'pli', sender, media });
  if (packetType === RTCP_PSFB && format === FMT_FIR) {
    // RFC 5104 §4.3.1.1: entries of 8 bytes; the media SSRC of the header is not used.
    if (packet.length === 12 || (packet.length - 12) % 8 !== 0) return refuse('malformed', 'FIR');
    const requests: { ssrc: number; sequence: number }[] = [];
    for (let at = 12; at < packet.length; at += 8) {
      requests.push({ ssrc: readU32(packet, at), sequence: packet[at + 4]! });
    }
    return ok({ type: 'fir', sender, requests });
  }
  return ok({ type: 'other', packetType, count: format });
}
