/** Writing of RTCP packets and of the compounds that Claviger sends. What does not fit a field throws: it is our own code's. */
import { concat, writeU16, writeU32, writeU64 } from '../base/bytes.js';
import { MAX_RTCP_PACKETS_PER_COMPOUND } from '../base/limits.js';
import {
  type ReportBlock,
  RTCP_APP,
  RTCP_BYE,
  RTCP_PSFB,
  RTCP_RR,
  RTCP_RTPFB,
  RTCP_SDES,
  RTCP_SR,
  type SenderReport,
} from './rtcp.js';

const encoder = new TextEncoder();

function begin(packetType: number, count: number, bytes: number): Uint8Array {
  if (bytes % 4 !== 0) throw new RangeError('an RTCP packet is made of whole words');
  if (count > 31) throw new RangeError('an RTCP count has five bits');
  const out = new Uint8Array(bytes);
  out[0] = 0x80 | count;
  out[1] = packetType;
  writeU16(out, 2, bytes / 4 - 1);
  return out;
}

function writeReports(out: Uint8Array, from: number, reports: readonly ReportBlock[]): Uint8Array {
  reports.forEach((report, i) => {
    const at = from + 24 * i;
    writeU32(out, at, report.ssrc);
    writeU32(out, at + 4, (report.fractionLost << 24) | (report.cumulativeLost & 0xffffff));
    writeU32(out, at + 8, report.highestSequence);
    writeU32(out, at + 12, report.jitter);
    writeU32(out, at + 16, report.lastSr);
    writeU32(out, at + 20, report.delaySinceLastSr);
  });
  return out;
}

/** RFC 3550 §6.4.1. */
export function writeSr(sr: Omit<SenderReport, 'type'>): Uint8Array {
  const out = begin(RTCP_SR, sr.reports.length, 28 + 24 * sr.reports.length);
  writeU32(out, 4, sr.ssrc);
  writeU64(out, 8, sr.ntp);
  writeU32(out, 16, sr.rtpTimestamp);
  writeU32(out, 20, sr.packets);
  writeU32(out, 24, sr.octets);
  return writeReports(out, 28, sr.reports);
}

/** RFC 3550 §6.4.2; without reports it is the empty RR that opens a compound. */
export function writeRr(ssrc: number, reports: readonly ReportBlock[] = []): Uint8Array {
  const out = begin(RTCP_RR, reports.length, 8 + 24 * reports.length);
  writeU32(out, 4, ssrc);
  return writeReports(out, 8, reports);
}

/** RFC 3550 §6.5.1: one chunk with a CNAME of at most 255 bytes. */
export function writeSdesCname(ssrc: number, cname: string): Uint8Array {
  const text = encoder.encode(cname);
  if (text.length > 255) throw new RangeError('CNAME above 255 bytes');
  const out = begin(RTCP_SDES, 1, 8 + ((2 + text.length + 4) & ~3));
  writeU32(out, 4, ssrc);
  out[8] = 1;
  out[9] = text.length;
  out.set(text, 10);
  return out;
}

/** RFC 3550 §6.6. */
export function writeBye(ssrcs: readonly number[], reason?: string): Uint8Array {
  const text = reason === undefined ? undefined : encoder.encode(reason);
  if (text !== undefined && text.length > 255) throw new RangeError('BYE reason above 255 bytes');
  const at = 4 + 4 * ssrcs.length;
  const out = begin(RTCP_BYE, ssrcs.length, at + (text === undefined ? 0 : (1 + text.length + 3) & ~3));
  ssrcs.forEach((ssrc, i) => {
    writeU32(out, 4 + 4 * i, ssrc);
  });
  if (text !== undefined) {
    out[at] = text.length;
    out.set(text, at + 1);
  }
  return out;
}

/** RFC 3550 §6.7. @param name four ASCII characters @param body whole words */
export function writeApp(subtype: number, ssrc: number, name: string, body: Uint8Array): Uint8Array {
  if (!/^[\x20-\x7e]{4}$/.test(name)) throw new RangeError('an APP name has four ASCII characters');
  const out = begin(RTCP_APP, subtype, 12 + body.length);
  writeU32(out, 4, ssrc);
  out.set(encoder.encode(name), 8);
  out.set(body, 12);
  return out;
}

function feedback(packetType: number, format: number, sender: number, media: number, bytes: number): Uint8Array {
  const out = begin(packetType, format, 12 + bytes);
  writeU32(out, 4, sender);
  writeU32(out, 8, media);
  return out;
}

/** RFC 4585 §6.3.1. */
export function writePli(sender: number, media: number): Uint8Array {
  return feedback(RTCP_PSFB, 1, sender, media, 0);
}

/** RFC 5104 §4.3.1. `sequence` rises by one with each new request to the same SSRC, modulo 256. */
export function writeFir(sender: number, requests: readonly { ssrc: number; sequence: number }[]): Uint8Array {
  const out = feedback(RTCP_PSFB, 4, sender, 0, 8 * requests.length);
  requests.forEach((request, i) => {
    writeU32(out, 12 + 8 * i, request.ssrc);
    out[16 + 8 * i] = request.sequence;
  });
  return out;
}

/** RFC 4585 §6.2.1: `blp` names which of the 16 packets after `pid` are lost as well. */
export function writeNack(sender: number, media: number, lost: readonly { pid: number; blp: number }[]): Uint8Array {
  const out = feedback(RTCP_RTPFB, 1, sender, media, 4 * lost.length);
  lost.forEach((entry, i) => {
    writeU16(out, 12 + 4 * i, entry.pid);
    writeU16(out, 14 + 4 * i, entry.blp);
  });
  return out;
}

/** The compound in which control RTCP travels (WIRE.md 3): RR, SDES CNAME, then `packets` as they are. */
export function buildControlCompound(
  from: { readonly ssrc: number; readonly cname: string; readonly reports?: readonly ReportBlock[] },
  packets: readonly Uint8Array[],
): Uint8Array {
  if (packets.length + 2 > MAX_RTCP_PACKETS_PER_COMPOUND) throw new RangeError('too many RTCP packets in a compound');
  return concat(writeRr(from.ssrc, from.reports), writeSdesCname(from.ssrc, from.cname), ...packets);
}
