/**
 * Captures for Wireshark: classic pcap of raw IP (LINKTYPE_RAW), with the IP and UDP headers that a datagram had or would
 * have had on the wire.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { concat, readU16, writeU16, writeU32 } from '../../base/bytes.js';
import type { Address } from '../../base/ids.js';
import { ok, type Result, refuse } from '../../base/result.js';

const MAGIC = { us: 0xa1b2c3d4, ns: 0xa1b23c4d } as const;
const LINKTYPE_RAW = 101;
const SNAP_LENGTH = 262_144;
const UDP = 17;
const TTL = 64;
const UDP_HEADER_BYTES = 8;

function ipv4Bytes(text: string): Uint8Array {
  return Uint8Array.from(text.split('.').map(Number));
}

/** The bytes of a literal IPv4 (4) or IPv6 (16, zone left out) address; undefined: it is none. */
export function addressBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return ipv4Bytes(text);
  if (!isIPv6(text)) return undefined;
  let plain = text.split('%')[0]!;
  const dotted = /\d+\.\d+\.\d+\.\d+$/.exec(plain)?.[0];
  if (dotted !== undefined) {
    const v4 = ipv4Bytes(dotted);
    plain = `${plain.slice(0, -dotted.length)}${readU16(v4, 0).toString(16)}:${readU16(v4, 2).toString(16)}`;
  }
  const words = (part: string | undefined) => (part ? part.split(':').map((word) => Number.parseInt(word, 16)) : []);
  const [left, right] = plain.split('::');
  const head = words(left);
  const tail = words(right);
  const out = new Uint8Array(16);
  for (const [i, word] of head.entries()) writeU16(out, 2 * i, word);
  for (const [i, word] of tail.entries()) writeU16(out, 16 - 2 * (tail.length - i), word);
  return out;
}

/** RFC 1071: the ones' complement of the ones' complement sum of 16-bit words. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  const bytes = concat(...parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/**
 * An IP packet with a UDP datagram in it, checksums filled in (RFC 768, RFC 791, RFC 8200). IPv4 and IPv6 together give
 * IPv6 with the IPv4 address mapped (RFC 4291 §2.5.5.2), as a dual-stack socket sees it.
 */
export function udpPacket(
  from: Address,
  to: Address,
  payload: Uint8Array,
): Result<Uint8Array, 'bad_address' | 'too_large'> {
  let source = addressBytes(from.address);
  let destination = addressBytes(to.address);
  if (source === undefined || destination === undefined) return refuse('bad_address');
  if (source.length !== destination.length) {
    source = mapped(source);
    destination = mapped(destination);
  }
  const isV4 = source.length === 4;
  const udpLength = UDP_HEADER_BYTES + payload.length;
  if (udpLength + (isV4 ? 20 : 0) > 0xffff) return refuse('too_large');
  const udp = new Uint8Array(UDP_HEADER_BYTES);
  writeU16(udp, 0, from.port);
  writeU16(udp, 2, to.port);
  writeU16(udp, 4, udpLength);
  const pseudo = Uint8Array.of(0, UDP, udpLength >>> 8, udpLength & 0xff);
  // RFC 768: a computed zero is sent as all ones, for zero means that there is none.
  writeU16(udp, 6, internetChecksum(source, destination, pseudo, udp, payload) || 0xffff);
  const ip = new Uint8Array(isV4 ? 20 : 40);
  if (isV4) {
    ip[0] = 0x45;
    writeU16(ip, 2, 20 + udpLength);
    writeU16(ip, 6, 0x4000); // don't fragment
    ip[8] = TTL;
    ip[9] = UDP;
    ip.set(source, 12);
    ip.set(destination, 16);
    writeU16(ip, 10, internetChecksum(ip));
  } else {
    ip[0] = 0x60;
    writeU16(ip, 4, udpLength);
    ip[6] = UDP;
    ip[7] = TTL;
    ip.set(source, 8);
    ip.set(destination, 24);
  }
  return ok(concat(ip, udp, payload));
}

function mapped(address: Uint8Array): Uint8Array {
  return address.length === 16 ? address : concat(new Uint8Array(10), Uint8Array.of(255, 255), address);
}

/** ms since the Unix epoch (fractions allowed), or, where those are too coarse, ns as a bigint. */
export type CaptureTime = number | bigint;

export interface CapturedDatagram {
  readonly time: CaptureTime;
  readonly from: Address;
  readonly to: Address;
  readonly payload: Uint8Array;
}

/** Writes the file header at once and one record a datagram; `append` takes the bytes in order. */
export class PcapWriter {
  readonly #append: (bytes: Uint8Array) => void;
  readonly #resolution: 'us' | 'ns';

  constructor(append: (bytes: Uint8Array) => void, resolution: 'us' | 'ns' = 'us') {
    this.#append = append;
    this.#resolution = resolution;
    const header = new Uint8Array(24);
    writeU32(header, 0, MAGIC[resolution]);
    writeU16(header, 4, 2);
    writeU16(header, 6, 4);
    writeU32(header, 16, SNAP_LENGTH);
    writeU32(header, 20, LINKTYPE_RAW);
    append(header);
  }

  /** One record; a refused datagram is not written. */
  datagram({ time, from, to, payload }: CapturedDatagram): Result<void, 'bad_address' | 'too_large'> {
    const packet = udpPacket(from, to, payload);
    if (!packet.ok) return packet;
    const ns = typeof time === 'bigint' ? time : BigInt(Math.round(time * 1000)) * 1000n;
    const fraction = Number(ns % 1_000_000_000n);
    const record = new Uint8Array(16);
    writeU32(record, 0, Number(ns / 1_000_000_000n));
    writeU32(record, 4, this.#resolution === 'ns' ? fraction : Math.floor(fraction / 1000));
    writeU32(record, 8, packet.value.length);
    writeU32(record, 12, packet.value.length);
    this.#append(concat(record, packet.value));
    return ok(undefined);
  }
}
