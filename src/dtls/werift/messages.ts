/**
 * Handshake messages to and from bytes with werift's codecs, made strict: hostile bytes give undefined, never an exception,
 * and what werift reads must come out as the same bytes when written again, so that nothing in a message goes unread.
 */
import { readU16 } from '../../base/bytes.js';
import {
  type Certificate,
  type CertificateVerify,
  type ClientHello,
  type ClientKeyExchange,
  type Codec,
  type Extension,
  type HashAndSignature,
  type HelloVerifyRequest,
  type Random,
  type ServerHello,
  type ServerKeyExchange,
  type Version,
  werift,
} from './library.js';
import { VERSION_1_0, VERSION_1_2 } from './records.js';

export const EXTENSION = {
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  useSrtp: 14,
  extendedMasterSecret: 23,
  renegotiationInfo: 0xff01,
} as const;
/** RFC 5746 §3.3: what a client may send instead of an empty renegotiation_info. */
export const RENEGOTIATION_SCSV = 0x00ff;
export const NAMED_CURVE = 3;
export const GROUP = { secp256r1: 23, x25519: 29 } as const;
export const SUITE = { ecdheEcdsa: 0xc02b, ecdheRsa: 0xc02f } as const;
export const CERTIFICATE_TYPE = { rsaSign: 1, ecdsaSign: 64 } as const;

const EMPTY = Buffer.alloc(0);

/** The same memory as a Buffer, which is what werift takes. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decode<F extends readonly unknown[], M>(codec: Codec<F, M>, body: Uint8Array): M | undefined {
  try {
    const message = codec.deSerialize(asBuffer(body));
    return message.serialize().equals(body) ? message : undefined;
  } catch {
    return undefined; // werift's decoders say "malformed" by throwing, whatever was wrong
  }
}

export const readClientHello = (b: Uint8Array): ClientHello | undefined => decode(werift.ClientHello, b);
export const readServerHello = (b: Uint8Array): ServerHello | undefined => decode(werift.ServerHello, b);
export const readHelloVerify = (b: Uint8Array): HelloVerifyRequest | undefined =>
  decode(werift.ServerHelloVerifyRequest, b);
export const readCertificate = (b: Uint8Array): Certificate | undefined => decode(werift.Certificate, b);
export const readServerKeyExchange = (b: Uint8Array): ServerKeyExchange | undefined =>
  decode(werift.ServerKeyExchange, b);
export const readClientKeyExchange = (b: Uint8Array): ClientKeyExchange | undefined =>
  decode(werift.ClientKeyExchange, b);
export const readCertificateVerify = (b: Uint8Array): CertificateVerify | undefined =>
  decode(werift.CertificateVerify, b);

/** CertificateRequest (RFC 5246 §7.4.4). werift reads distinguished names as text, which loses bytes; we need none of them. */
export function readCertificateRequest(
  body: Uint8Array,
): { types: readonly number[]; schemes: readonly number[] } | undefined {
  if (body.length < 1) return undefined;
  const schemesAt = 1 + body[0]! + 2;
  if (body.length < schemesAt) return undefined;
  const namesAt = schemesAt + readU16(body, schemesAt - 2) + 2;
  if (body.length < namesAt || (namesAt - schemesAt) % 2 !== 0) return undefined;
  if (body.length !== namesAt + readU16(body, namesAt - 2)) return undefined;
  const schemes: number[] = [];
  for (let at = schemesAt; at < namesAt - 2; at += 2) schemes.push(readU16(body, at));
  return { types: [...body.subarray(1, 1 + body[0]!)], schemes };
}

/** The extensions by type; undefined when one comes twice (RFC 5246 §7.4.1.4). */
export function extensionsByType(extensions: readonly Extension[] | undefined): Map<number, Buffer> | undefined {
  const byType = new Map<number, Buffer>();
  for (const { type, data } of extensions ?? []) {
    if (byType.has(type)) return undefined;
    byType.set(type, data);
  }
  return byType;
}

function readExtension<V>(
  codec: { fromData(data: Buffer): V & { readonly extension: Extension } },
  data: Buffer,
): V | undefined {
  try {
    const value = codec.fromData(data);
    return value.extension.data.equals(data) ? value : undefined;
  } catch {
    return undefined; // as in decode
  }
}

export const readGroups = (data: Buffer): readonly number[] | undefined =>
  readExtension(werift.EllipticCurves, data)?.data;
/** SignatureAndHashAlgorithm pairs as one number each: hash << 8 | signature (RFC 5246 §7.4.1.4.1). */
export const readSchemes = (data: Buffer): readonly number[] | undefined =>
  readExtension(werift.Signature, data)?.data.map((pair) => (pair.hash << 8) | pair.signature);
/** RFC 5764 §4.1.1. */
export function readUseSrtp(data: Buffer): { profiles: readonly number[]; mki: Uint8Array } | undefined {
  const value = readExtension(werift.UseSRTP, data);
  // The MKI is a byte of length and so many bytes.
  if (value === undefined || value.mki.length === 0 || value.mki[0] !== value.mki.length - 1) return undefined;
  return { profiles: value.profiles, mki: value.mki.subarray(1) };
}

const pairOf = (scheme: number): HashAndSignature => ({ hash: scheme >>> 8, signature: scheme & 0xff });
export const versionOf = (version: number): Version => ({ major: version >>> 8, minor: version & 0xff });
export const versionNumber = (version: Version): number => (version.major << 8) | version.minor;

/** The 32 bytes of a hello's random. */
export function randomBytesOf(random: Random): Buffer {
  const out = Buffer.alloc(32);
  out.writeUInt32BE(random.gmt_unix_time);
  random.random_bytes.copy(out, 4);
  return out;
}

const randomOf = (bytes: Buffer): Random => ({ gmt_unix_time: bytes.readUInt32BE(0), random_bytes: bytes.subarray(4) });

export const useSrtpExtension = (profiles: readonly number[]): Extension =>
  new werift.UseSRTP({ profiles, mki: Buffer.from([0]) }).extension;
export const groupsExtension = (groups: readonly number[]): Extension =>
  new werift.EllipticCurves({ data: groups }).extension;
export const schemesExtension = (schemes: readonly number[]): Extension =>
  new werift.Signature({ data: schemes.map(pairOf) }).extension;
export const EXTENDED_MASTER_SECRET: Extension = { type: EXTENSION.extendedMasterSecret, data: EMPTY };
/** RFC 8422 §5.1.2: uncompressed only. */
export const POINT_FORMATS: Extension = { type: EXTENSION.pointFormats, data: Buffer.from([1, 0]) };
/** RFC 5746 §3.4, §3.6: empty, as this is never a renegotiation. */
export const RENEGOTIATION_INFO: Extension = { type: EXTENSION.renegotiationInfo, data: Buffer.from([0]) };

export function writeClientHello(
  random: Buffer,
  cookie: Uint8Array,
  suites: readonly number[],
  extensions: readonly Extension[],
): Uint8Array {
  const version = versionOf(VERSION_1_2);
  const message = new werift.ClientHello(version, randomOf(random), EMPTY, asBuffer(cookie), suites, [0], extensions);
  return message.serialize();
}

export const writeServerHello = (random: Buffer, suite: number, extensions: readonly Extension[]): Uint8Array =>
  new werift.ServerHello(versionOf(VERSION_1_2), randomOf(random), EMPTY, suite, 0, extensions).serialize();

/** RFC 6347 §4.2.1: the version here says nothing about what will be negotiated, and 1.0 is what everybody accepts. */
export const writeHelloVerify = (cookie: Uint8Array): Uint8Array =>
  new werift.ServerHelloVerifyRequest(versionOf(VERSION_1_0), asBuffer(cookie)).serialize();

export const writeCertificate = (der: Uint8Array): Uint8Array => new werift.Certificate([asBuffer(der)]).serialize();

export function writeServerKeyExchange(
  group: number,
  publicKey: Buffer,
  scheme: number,
  signature: Uint8Array,
): Uint8Array {
  const { hash, signature: algorithm } = pairOf(scheme);
  const [keyBytes, signatureBytes] = [publicKey.length, signature.length];
  return new werift.ServerKeyExchange(
    NAMED_CURVE,
    group,
    keyBytes,
    publicKey,
    hash,
    algorithm,
    signatureBytes,
    asBuffer(signature),
  ).serialize();
}

/** What the signature in ServerKeyExchange covers besides the randoms (RFC 8422 §5.4). */
export function serverKeyParams(group: number, publicKey: Uint8Array): Uint8Array {
  return Uint8Array.of(NAMED_CURVE, group >>> 8, group, publicKey.length, ...publicKey);
}

export const writeCertificateRequest = (types: readonly number[], schemes: readonly number[]): Uint8Array =>
  new werift.ServerCertificateRequest(types, schemes.map(pairOf), []).serialize();

export const writeClientKeyExchange = (publicKey: Buffer): Uint8Array =>
  new werift.ClientKeyExchange(publicKey).serialize();

export const writeCertificateVerify = (scheme: number, signature: Uint8Array): Uint8Array =>
  new werift.CertificateVerify(scheme, asBuffer(signature)).serialize();
