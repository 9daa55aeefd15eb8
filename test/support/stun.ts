/** STUN as a controlling ICE agent speaks it (RFC 8489, RFC 8445 §7.1): written here anew, to be compared with native/. */
import { createHmac, randomBytes } from 'node:crypto';

export interface IceSide {
  readonly ufrag: string;
  readonly pwd: string;
}

export interface CheckFacts {
  /** Of the agent that is asked. */
  readonly remote: IceSide;
  readonly localUfrag: string;
  readonly transaction?: Uint8Array;
  readonly useCandidate?: boolean;
  readonly controlled?: boolean;
  /** In place of the remote's. */
  readonly pwd?: string;
  readonly username?: string;
}

const COOKIE = 0x2112a442;
const FINGERPRINT_MASK = 0x5354554e;

/** ITU V.42 (RFC 8489 §14.7), bit by bit. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc;
}

function attribute(type: number, value: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function withLength(message: Buffer, more: number): Buffer {
  const out = Buffer.from(message);
  out.writeUInt16BE(message.length + more - 20, 2);
  return out;
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
}

/** A Binding request with USERNAME, PRIORITY, the role, MESSAGE-INTEGRITY and FINGERPRINT. */
export function check(facts: CheckFacts): Buffer {
  const { remote, localUfrag, transaction = randomBytes(12), useCandidate = true, controlled = false } = facts;
  const head = Buffer.concat([Buffer.of(0, 1, 0, 0), u32(COOKIE), transaction]);
  const parts = [
    head,
    attribute(0x0006, Buffer.from(facts.username ?? `${remote.ufrag}:${localUfrag}`)),
    attribute(0x0024, u32(0x6e001eff)),
    attribute(controlled ? 0x8029 : 0x802a, Buffer.alloc(8, 9)),
    ...(useCandidate ? [attribute(0x0025, Buffer.alloc(0))] : []),
  ];
  const open = withLength(Buffer.concat(parts), 24);
  const mac = createHmac('sha1', facts.pwd ?? remote.pwd)
    .update(open)
    .digest();
  const protectedMessage = withLength(Buffer.concat([open, attribute(0x0008, mac)]), 8);
  return Buffer.concat([protectedMessage, attribute(0x8028, u32(crc32(protectedMessage) ^ FINGERPRINT_MASK))]);
}

export interface StunAnswer {
  readonly transaction: string;
  /** XOR-MAPPED-ADDRESS of IPv4; undefined in an error. */
  readonly mapped?: { readonly address: string; readonly port: number };
  readonly error?: number;
  /** MESSAGE-INTEGRITY verifies under this password. */
  readonly authentic: boolean;
}

export function isStun(bytes: Uint8Array): boolean {
  return bytes.length >= 20 && bytes[0]! <= 3;
}

/** @returns undefined for what is no response of Binding, or whose FINGERPRINT is wrong. */
export function readAnswer(bytes: Buffer, pwd: string): StunAnswer | undefined {
  if (!isStun(bytes) || (bytes.readUInt16BE(0) !== 0x0101 && bytes.readUInt16BE(0) !== 0x0111)) return undefined;
  const body = bytes.subarray(0, -8);
  if ((crc32(body) ^ FINGERPRINT_MASK) >>> 0 !== bytes.readUInt32BE(bytes.length - 4)) return undefined;
  const found: { mapped?: StunAnswer['mapped'] & {}; error?: number } = {};
  let authentic = false;
  for (let at = 20; at + 4 <= bytes.length; ) {
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    const value = bytes.subarray(at + 4, at + 4 + length);
    if (type === 0x0020 && value[1] === 1) {
      const ip = value.readUInt32BE(4) ^ COOKIE;
      const address = [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join('.');
      found.mapped = { address, port: value.readUInt16BE(2) ^ (COOKIE >>> 16) };
    }
    if (type === 0x0009) found.error = value[2]! * 100 + value[3]!;
    if (type === 0x0008) {
      const open = withLength(bytes.subarray(0, at), 24);
      authentic = createHmac('sha1', pwd).update(open).digest().equals(value);
    }
    at += 4 + length + ((4 - (length % 4)) % 4);
  }
  return { transaction: bytes.subarray(8, 20).toString('hex'), ...found, authentic };
}
