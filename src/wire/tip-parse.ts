/** Parser of one TIP packet (WIRE.md 4). Reserved fields are not looked at; everything that has a meaning is checked. */
import { readU16, readU32, readU64 } from '../base/bytes.js';
import { MAX_TIP_PACKET_BYTES } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';
import {
  type Ack,
  kekBytes,
  MEDIAOPTS_BLOCK_END,
  MEDIAOPTS_VERSION,
  type MediaOptionsBlock,
  MUXCTRL_FEEDBACK,
  MUXCTRL_IS_FOCUS,
  MUXCTRL_SECURE,
  RTCP_APP,
  SALT_BYTES,
  type Suite,
  TIP_ACK_BIT,
  TIP_HEADER_BYTES,
  TIP_NAME,
  TIP_SUBTYPES,
  type TipPacket,
  TLV_PADDING,
  TLV_PARTICIPANT_ID,
  TLV_SECURITY_ICON,
  TLV_SUITES,
} from './tip-types.js';

export type TipParseReason =
  /** Above MAX_TIP_PACKET_BYTES. */
  | 'too_long'
  /** Below the header, or not the size that the length field tells. */
  | 'bad_length'
  /** Not RTCP version 2, padded, not APP, or not named `xcts`. */
  | 'not_tip'
  | 'unknown_subtype'
  /** The size does not fit the packet type. */
  | 'bad_size'
  | 'unsupported_version'
  | 'bad_tlv'
  | 'bad_block'
  | 'bad_value';

type Verdict = Result<TipPacket, TipParseReason>;
/** What every packet has; MUXCTRL alone has its `ntp` elsewhere. */
interface Head {
  readonly ssrc: number;
  readonly ntp: bigint;
}

const PARSERS: Readonly<Record<number, (b: Uint8Array, head: Head) => Verdict>> = {
  [TIP_SUBTYPES.muxctrl]: parseMuxCtrl,
  [TIP_SUBTYPES.notify]: parseNotify,
  [TIP_SUBTYPES.echo]: parseEcho,
  [TIP_SUBTYPES.txflowctrl]: (b, head) => parseFlow(b, head, 'txflowctrl'),
  [TIP_SUBTYPES.rxflowctrl]: (b, head) => parseFlow(b, head, 'rxflowctrl'),
  [TIP_SUBTYPES.mediaopts]: parseMediaOpts,
  [TIP_SUBTYPES.refresh]: parseRefresh,
  [TIP_SUBTYPES.spimap]: parseSpiMap,
  [TIP_SUBTYPES.reqtosend]: (b, head) => parseRequest(b, head, 'reqtosend'),
  [TIP_SUBTYPES.reqtosend | TIP_ACK_BIT]: (b, head) => parseRequest(b, head, 'reqtosend-ack'),
};

const ACKED: Readonly<Record<number, Ack['of']>> = {
  [TIP_SUBTYPES.muxctrl]: 'muxctrl',
  [TIP_SUBTYPES.notify]: 'notify',
  [TIP_SUBTYPES.txflowctrl]: 'txflowctrl',
  [TIP_SUBTYPES.rxflowctrl]: 'rxflowctrl',
  [TIP_SUBTYPES.mediaopts]: 'mediaopts',
  [TIP_SUBTYPES.refresh]: 'refresh',
  [TIP_SUBTYPES.spimap]: 'spimap',
};

/**
 * Parses one TIP packet.
 * @param bytes exactly one RTCP APP packet, as cut from its compound; not kept. A SPIMAP's KEK and salt are copied into
 * secrets that the caller owns and wipes.
 */
export function parseTip(bytes: Uint8Array): Verdict {
  if (bytes.length > MAX_TIP_PACKET_BYTES) return refuse('too_long');
  if (bytes.length < TIP_HEADER_BYTES || (readU16(bytes, 2) + 1) * 4 !== bytes.length) return refuse('bad_length');
  // RFC 3550 §6.7; TIP never uses RTCP padding, so P must be 0 as well.
  if ((bytes[0]! & 0xe0) !== 0x80 || bytes[1] !== RTCP_APP || readU32(bytes, 8) !== TIP_NAME) return refuse('not_tip');
  const subtype = bytes[0]! & 0x1f;
  const head: Head = { ssrc: readU32(bytes, 4), ntp: readU64(bytes, 12) };
  const parse = PARSERS[subtype];
  if (parse !== undefined) return parse(bytes, head);
  const of = (subtype & TIP_ACK_BIT) === 0 ? undefined : ACKED[subtype & ~TIP_ACK_BIT];
  if (of === undefined) return refuse('unknown_subtype');
  return bytes.length === TIP_HEADER_BYTES ? ok({ type: 'ack', of, ...head }) : refuse('bad_size');
}

function parseMuxCtrl(b: Uint8Array, { ssrc }: Head): Verdict {
  if (b.length < 36) return refuse('bad_size');
  const version = b[12]! >> 4;
  if (version !== 6 && version !== 7 && version !== 8) return refuse('unsupported_version');
  if (version === 6 ? b.length !== 36 : b.length < 40) return refuse('bad_size');
  const base = {
    type: 'muxctrl',
    ssrc,
    ntp: readU64(b, 16),
    version,
    secure: (b[12]! & MUXCTRL_SECURE) !== 0,
    feedback: (b[12]! & MUXCTRL_FEEDBACK) !== 0,
    isFocus: (b[13]! & MUXCTRL_IS_FOCUS) !== 0,
    numXmit: b[14]!,
    numRcv: b[15]!,
    conferenceId: readU64(b, 24),
    transmitMask: readU16(b, 32),
    receiveMask: readU16(b, 34),
  } as const;
  if (version === 6) return ok({ ...base, numShared: 0, sharedMask: 0 });
  const tlvs = parseTlvs(b, 40);
  if (tlvs === undefined) return refuse('bad_tlv');
  const participantId = tlvs.get(TLV_PARTICIPANT_ID);
  const pairs = tlvs.get(TLV_SUITES);
  if (pairs !== undefined && pairs.length % 2 !== 0) return refuse('bad_tlv');
  return ok({
    ...base,
    numShared: b[36]!,
    sharedMask: readU16(b, 38),
    ...(participantId === undefined ? {} : { participantId: participantId.slice() }),
    ...(pairs === undefined ? {} : { suites: readSuites(pairs) }),
  });
}

function readSuites(pairs: Uint8Array): Suite[] {
  const suites: Suite[] = [];
  for (let at = 0; at < pairs.length; at += 2) suites.push({ suite: pairs[at]!, cipher: pairs[at + 1]! });
  return suites;
}

/**
 * TLVs from `at` to the end: views by tag, undefined when they do not fit. Tag 0 is padding, with a length of its own or as
 * one last lone zero. A tag that occurs twice is refused: readers would differ on which one counts.
 */
function parseTlvs(b: Uint8Array, start: number): Map<number, Uint8Array> | undefined {
  const tlvs = new Map<number, Uint8Array>();
  let at = start;
  while (at < b.length) {
    const tag = b[at]!;
    if (at + 1 === b.length) return tag === TLV_PADDING ? tlvs : undefined;
    const end = at + 2 + b[at + 1]!;
    if (end > b.length || tlvs.has(tag)) return undefined;
    if (tag !== TLV_PADDING) tlvs.set(tag, b.subarray(at + 2, end));
    at = end;
  }
  return tlvs;
}

function parseNotify(b: Uint8Array, head: Head): Verdict {
  const tlvs = parseTlvs(b, TIP_HEADER_BYTES);
  const icon = tlvs?.get(TLV_SECURITY_ICON);
  if (tlvs === undefined || (icon !== undefined && icon.length !== 1)) return refuse('bad_tlv');
  // Whatever is not exactly 1 must not be shown as secure.
  return ok({ type: 'notify', ...head, ...(icon === undefined ? {} : { secure: icon[0] === 1 }) });
}

function parseEcho(b: Uint8Array, head: Head): Verdict {
  if (b.length !== 28) return refuse('bad_size');
  return ok({ type: 'echo', ...head, receiveNtp: readU64(b, 20) });
}

function parseFlow(b: Uint8Array, head: Head, type: 'txflowctrl' | 'rxflowctrl'): Verdict {
  const long = type === 'txflowctrl' && b.length === 48;
  if (b.length !== 28 && !long) return refuse('bad_size');
  const opcode = readU32(b, 20);
  if (opcode !== 0 && opcode !== 1 && opcode !== 2) return refuse('bad_value');
  const packet = { type, ...head, opcode, targetCsrc: readU32(b, 24) } as const;
  if (!long) return ok(packet);
  const limits = {
    bitrate: readU32(b, 28),
    levelIncrement: readU16(b, 32),
    levelDecrement: readU16(b, 34),
    maxMbps: readU32(b, 36),
    maxFs: readU32(b, 40),
    maxFps: readU32(b, 44),
  };
  return ok({ ...packet, limits });
}

function parseMediaOpts(b: Uint8Array, head: Head): Verdict {
  if (b.length < 24) return refuse('bad_size');
  if (readU16(b, 20) !== MEDIAOPTS_VERSION) return refuse('unsupported_version');
  const blocks: MediaOptionsBlock[] = [];
  let at = 24;
  while (at < b.length) {
    if (at + 16 > b.length) return refuse('bad_block');
    const words: { tag: number; value: number }[] = [];
    let wordAt = at + 12;
    while (wordAt < b.length && readU32(b, wordAt) !== MEDIAOPTS_BLOCK_END) {
      const word = readU32(b, wordAt);
      words.push({ tag: word >>> 24, value: word & 0xffffff });
      wordAt += 4;
    }
    // A block without its end, or with an end that carries a value.
    if (wordAt >= b.length || words.some((word) => word.tag === 0xff)) return refuse('bad_block');
    blocks.push({ ssrc: readU32(b, at), transmit: readU32(b, at + 4), receive: readU32(b, at + 8), words });
    at = wordAt + 4;
  }
  return ok({ type: 'mediaopts', ...head, blocks });
}

function parseRefresh(b: Uint8Array, head: Head): Verdict {
  if (b.length !== 28) return refuse('bad_size');
  return ok({ type: 'refresh', ...head, targetCsrc: readU32(b, 20), flags: readU32(b, 24) });
}

function parseSpiMap(b: Uint8Array, head: Head): Verdict {
  // WIRE.md 4.2 and 4.3: 56 bytes, 72 with the longer KEK of cipher 4.
  const keyEnd = 38 + kekBytes(b[23] ?? 0);
  if (b.length !== keyEnd + 2) return refuse('bad_size');
  return ok({
    type: 'spimap',
    ...head,
    spiWord: readU16(b, 20),
    suite: b[22]!,
    cipher: b[23]!,
    masterSalt: Secret.copyOf(b.subarray(24, 24 + SALT_BYTES)),
    kek: Secret.copyOf(b.subarray(38, keyEnd)),
  });
}

function parseRequest(b: Uint8Array, head: Head, type: 'reqtosend' | 'reqtosend-ack'): Verdict {
  if (b.length !== 28) return refuse('bad_size');
  const flags = readU32(b, 20);
  if (flags > 1) return refuse('bad_value');
  const positions = { ...head, start: flags === 1, videoMask: readU16(b, 24), audioMask: readU16(b, 26) };
  return ok(type === 'reqtosend' ? { type, ...positions } : { type, ...positions });
}
