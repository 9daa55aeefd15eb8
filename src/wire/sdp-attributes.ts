/** Meaning of the SDP attributes that this project uses. Malformed ones give undefined or are left out, as said at each. */
import type {
  Sdp,
  SdpAttribute,
  SdpCodec,
  SdpConnection,
  SdpDirection,
  SdpFingerprint,
  SdpFingerprints,
  SdpMedia,
  SdpSetup,
} from './sdp-types.js';
import { addressFamily } from './sip-address.js';
import { isToken, parseDigits } from './sip-scan.js';

const DIGEST_BYTES: Readonly<Record<SdpFingerprint['algorithm'], number>> = {
  'sha-256': 32,
  'sha-384': 48,
  'sha-512': 64,
};

/** First value of an attribute of the m-line; '' for one without a value. */
export function mediaAttribute(media: SdpMedia, name: string): string | undefined {
  const found = media.attributes.find((a) => a.name === name);
  return found === undefined ? undefined : (found.value ?? '');
}

/** As {@link mediaAttribute}, with the session's value where the m-line has none. */
export function effectiveAttribute(sdp: Sdp, media: SdpMedia, name: string): string | undefined {
  const found = media.attributes.find((a) => a.name === name) ?? sdp.attributes.find((a) => a.name === name);
  return found === undefined ? undefined : (found.value ?? '');
}

export function effectiveConnection(sdp: Sdp, media: SdpMedia): SdpConnection | undefined {
  return media.connection ?? sdp.connection;
}

/**
 * Where the sender of an m-line wants RTCP that does not go with RTP: `a=rtcp:PORT [IN IP4 ADDRESS]` (RFC 3605 §2.1), else one
 * port above RTP's (RFC 3550 §11). A malformed one counts as none. Undefined where there is no such port or address.
 */
export function rtcpAddress(
  sdp: Sdp,
  media: SdpMedia,
): { readonly address: string; readonly port: number } | undefined {
  const [portText = '', net, type, literal] = (mediaAttribute(media, 'rtcp') ?? '').split(' ');
  const port = parseDigits(portText, 5);
  const valid = port !== undefined && port > 0 && port <= 65_535;
  const named = valid && net === 'IN' && literal !== undefined && addressFamily(literal) === Number(type?.slice(2));
  const address = named ? literal : effectiveConnection(sdp, media)?.address;
  const implicit = media.port > 0 && media.port < 65_535 ? media.port + 1 : undefined;
  const used = valid && (net === undefined || named) ? port : implicit;
  return address === undefined || used === undefined ? undefined : { address, port: used };
}

/**
 * The m-line's fingerprints, or the session's where it has none (RFC 8122 §5).
 * @returns undefined when one is malformed: a digest of the wrong length, anything but pairs of hex digits with colons.
 */
export function fingerprints(sdp: Sdp, media: SdpMedia): SdpFingerprints | undefined {
  const of = (attributes: readonly SdpAttribute[]) => attributes.filter((a) => a.name === 'fingerprint');
  const own = of(media.attributes);
  const accepted: SdpFingerprint[] = [];
  const tooWeak: string[] = [];
  for (const { value } of own.length > 0 ? own : of(sdp.attributes)) {
    const parsed = parseFingerprint(value ?? '');
    if (parsed === undefined) return undefined;
    if (typeof parsed === 'string') tooWeak.push(parsed);
    else accepted.push(parsed);
  }
  return { accepted, tooWeak };
}

/** `hash-func SP hex:hex:...`; a string result is the name of an algorithm that is too weak or unknown. */
function parseFingerprint(value: string): SdpFingerprint | string | undefined {
  const space = value.indexOf(' ');
  const algorithm = value.slice(0, Math.max(space, 0)).toLowerCase();
  const hex = value.slice(space + 1);
  if (!isToken(algorithm) || hex.length === 0 || hex.length % 3 !== 2) return undefined;
  const bytes = new Uint8Array((hex.length + 1) / 3);
  for (let i = 0; i < bytes.length; i++) {
    const byte = hexDigit(hex.charCodeAt(3 * i)) * 16 + hexDigit(hex.charCodeAt(3 * i + 1));
    if (Number.isNaN(byte) || (i > 0 && hex.charCodeAt(3 * i - 1) !== 58)) return undefined;
    bytes[i] = byte;
  }
  if (algorithm !== 'sha-256' && algorithm !== 'sha-384' && algorithm !== 'sha-512') return algorithm;
  return bytes.length === DIGEST_BYTES[algorithm] ? { algorithm, value: bytes } : undefined;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const letter = c | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : Number.NaN;
}

/** `sha-256 AB:CD:...`, upper case as RFC 8122 §5 writes it. */
export function writeFingerprint(fingerprint: SdpFingerprint): string {
  let out = `${fingerprint.algorithm} `;
  for (const [i, byte] of fingerprint.value.entries()) out += i === 0 ? PAIRS[byte]! : `:${PAIRS[byte]!}`;
  return out;
}

const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0').toUpperCase());

/** `a=setup`, of the m-line or the session (RFC 4145 §4); `invalid` for another word. */
export function setup(sdp: Sdp, media: SdpMedia): SdpSetup | 'invalid' | undefined {
  const value = effectiveAttribute(sdp, media, 'setup');
  if (value === undefined) return undefined;
  const word = value.toLowerCase();
  return word === 'active' || word === 'passive' || word === 'actpass' || word === 'holdconn' ? word : 'invalid';
}

/** Direction of the m-line, else the session's, else sendrecv (RFC 8866 §6.7). */
export function direction(sdp: Sdp, media: SdpMedia): SdpDirection {
  for (const attributes of [media.attributes, sdp.attributes]) {
    for (const { name } of attributes) {
      if (name === 'sendrecv' || name === 'sendonly' || name === 'recvonly' || name === 'inactive') return name;
    }
  }
  return 'sendrecv';
}

/** RFC 3551 §6: what a payload type means without an rtpmap. */
const STATIC: Readonly<Record<number, readonly [name: string, clockRateHz: number]>> = {
  0: ['PCMU', 8_000],
  8: ['PCMA', 8_000],
  9: ['G722', 8_000],
};

/** The m-line's payload types with their maps, in its order; formats without a meaning, or malformed ones, are left out. */
export function codecs(media: SdpMedia): readonly SdpCodec[] {
  const maps = byPayloadType(media, 'rtpmap');
  const fmtps = byPayloadType(media, 'fmtp');
  const out = new Map<number, SdpCodec>();
  for (const format of media.formats) {
    const payloadType = parseDigits(format, 3);
    if (payloadType === undefined || payloadType > 127 || out.has(payloadType)) continue;
    const map = parseRtpmap(maps.get(payloadType)) ?? (maps.has(payloadType) ? undefined : staticMap(payloadType));
    if (map === undefined) continue;
    out.set(payloadType, {
      payloadType,
      ...map,
      fmtp: fmtps.get(payloadType) ?? '',
      feedback: feedback(media, payloadType),
    });
  }
  return [...out.values()];
}

/** `pt SP rest` of every attribute of this name; the first one of a payload type counts. */
function byPayloadType(media: SdpMedia, name: string): ReadonlyMap<number, string> {
  const out = new Map<number, string>();
  for (const attribute of media.attributes) {
    if (attribute.name !== name || attribute.value === undefined) continue;
    const space = attribute.value.indexOf(' ');
    const payloadType = parseDigits(attribute.value.slice(0, Math.max(space, 0)), 3);
    if (payloadType !== undefined && !out.has(payloadType)) out.set(payloadType, attribute.value.slice(space + 1));
  }
  return out;
}

function parseRtpmap(value: string | undefined): Pick<SdpCodec, 'name' | 'clockRateHz' | 'channels'> | undefined {
  const [name, rate, channelText, ...more] = (value ?? '').split('/', 4);
  const clockRateHz = parseDigits(rate ?? '', 9);
  const channels = channelText === undefined ? 1 : parseDigits(channelText, 3);
  if (!isToken(name ?? '') || !clockRateHz || !channels || more.length > 0) return undefined;
  return { name: name!, clockRateHz, channels };
}

function staticMap(payloadType: number): Pick<SdpCodec, 'name' | 'clockRateHz' | 'channels'> | undefined {
  const entry = STATIC[payloadType];
  return entry === undefined ? undefined : { name: entry[0], clockRateHz: entry[1], channels: 1 };
}

function feedback(media: SdpMedia, payloadType: number): readonly string[] {
  const out: string[] = [];
  for (const { name, value } of media.attributes) {
    if (name !== 'rtcp-fb' || value === undefined) continue;
    const space = value.indexOf(' ');
    const target = value.slice(0, Math.max(space, 0));
    if (target === '*' || parseDigits(target, 3) === payloadType) out.push(value.slice(space + 1));
  }
  return out;
}

/** A parameter of `a=fmtp`, without case in its name; undefined when absent. */
export function fmtpParameter(fmtp: string, name: string): string | undefined {
  for (const piece of fmtp.split(';')) {
    const equals = piece.indexOf('=');
    if (equals >= 0 && piece.slice(0, equals).trim().toLowerCase() === name) return piece.slice(equals + 1).trim();
  }
  return undefined;
}
