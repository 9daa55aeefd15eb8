import { equalBytes, readU32 } from '../base/bytes.js';
import { MAX_DATAGRAM_BYTES } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import {
  type EktTag,
  type FullTag,
  fullTail,
  MIN_FULL_TAG_BYTES,
  SHORT_TAG_BYTES,
  shortRtcpTail,
  shortRtpTail,
  spiWordOf,
  splitEktTag,
  tagForm,
} from '../wire/ekt-tag.js';
import { isControlSsrc, parseRtpHeader, type RtpHeader } from '../wire/rtp.js';
import { EktStream } from './ekt-stream.js';
import type { InstalledSet } from './group-set.js';
import { estimateIndex, INDEX_LIMIT, packetIndex, rocOf } from './index-estimate.js';
import { SenderKeys } from './sender-keys.js';
import { RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES } from './transform.js';

/** A packet that has proven itself; nothing has been learnt from it yet. */
export interface VerifiedRtp {
  readonly ssrc: number;
  readonly keys: SenderKeys;
  /** ROC ‖ sequence number. */
  readonly index: number;
  readonly tag: EktTag;
  readonly stream: EktStream | undefined;
  readonly restart: boolean;
}

export interface VerifiedRtcp {
  readonly ssrc: number;
  readonly keys: SenderKeys;
  readonly rtcpIndex: number;
  readonly tag: EktTag;
  readonly stream: EktStream | undefined;
  readonly restart: boolean;
}

/**
 * The streams that arrive on one channel with EKT tags: WIRE.md 9 steps 4 to 6 (`verify...`, which learns nothing) and 8
 * (`accept...`). The endpoint's receiver and the relay's oracle share it.
 */
export class EktStreams {
  readonly #streams = new Map<number, EktStream>();
  readonly #setOf: (spiWord: number) => InstalledSet | undefined;
  readonly #limit: number;
  readonly #evictsKeyless: boolean;
  /** The last key that was unwrapped and not kept: saves the unwrapping of its repeats. A cache, not a state. */
  #provisional: SenderKeys | undefined;

  /** @param setOf the set of an SPI word, if a packet of this channel may be under it */
  /** @param evictsKeyless a stream whose sets are all gone gives way to a new one at the limit (WIRE.md 11: never within one set) */
  constructor(setOf: (spiWord: number) => InstalledSet | undefined, limit: number, evictsKeyless = false) {
    this.#setOf = setOf;
    this.#limit = limit;
    this.#evictsKeyless = evictsKeyless;
  }

  get size(): number {
    return this.#streams.size;
  }

  has(ssrc: number): boolean {
    return this.#streams.has(ssrc);
  }

  roc(ssrc: number): number | undefined {
    return this.#streams.get(ssrc)?.roc;
  }

  /** @param from smallest offset at which the tag may begin @param ssrc that of the header @param sequence likewise */
  verifyRtp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    sequence: number,
    now: number,
  ): Result<VerifiedRtp, DropName> {
    if (!tagFits(datagram, from)) return refuse('malformed', 'tag');
    const stream = this.#streams.get(ssrc);
    stream?.expire(now);
    return tagForm(datagram) === 'full'
      ? this.#verifyFullRtp(datagram, from, ssrc, sequence, stream)
      : this.#verifyShortRtp(datagram, from, ssrc, sequence, stream);
  }

  #verifyFullRtp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    sequence: number,
    stream: EktStream | undefined,
  ): Result<VerifiedRtp, DropName> {
    const found = this.#splitFull(datagram, from);
    if (!found.ok) return found;
    const { tag, set } = found.value;
    const index = packetIndex(tag.roc, sequence);
    let keys = stream?.find(tag.spiWord, tag.wrappedKey);
    let restart = false;
    if (stream !== undefined) {
      const newer = tag.spiWord > stream.spiWord;
      if (keys === undefined) {
        // WIRE.md 9 step 5: a key under an older set than the stream's current one is refused.
        if (tag.spiWord < stream.spiWord) return refuse('unknown_spi', 'older set');
        // A key that ended before the current one began must not come back into force. Before the first SRTP packet the
        // current one may be an announcement that came early.
        if (!newer && !stream.rtp.empty && startOf(tag, index) < (stream.currentStart ?? 0)) return refuse('too_old');
      } else if (stream.hasEnded(keys, index)) {
        return refuse('too_old', 'replaced key');
      }
      restart = newer && !stream.rtp.empty && index <= stream.rtp.highest;
      const freshness = restart ? 'new' : stream.rtp.check(index);
      if (freshness !== 'new') return refuse(freshness);
      // A known ROC is never lowered; one below what media RTCP told is a late packet from before a wrap.
      if (!newer && tag.roc + 1 < (stream.rocHint ?? 0)) return refuse('too_old', 'ROC');
    }
    keys ??= this.#unwrap(set, tag.wrappedKey);
    if (keys === undefined || !verifies('rtp', keys, datagram, tag, fullTailOf(tag))) return refuse('auth_failed');
    return ok({ ssrc, keys, index, tag, stream, restart });
  }

  #verifyShortRtp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    sequence: number,
    stream: EktStream | undefined,
  ): Result<VerifiedRtp, DropName> {
    const tag = splitEktTag(datagram, from, 1);
    if (!tag.ok) return tag;
    if (stream === undefined) return refuse('no_key');
    let reason: DropName = 'no_key';
    for (const index of candidates(stream, sequence)) {
      if (index < 0) return refuse('too_old', 'before the first packet');
      // RFC 3711 §9.2: 2^48 packets are all that there can be.
      if (index >= INDEX_LIMIT) return refuse('auth_failed');
      const freshness = stream.rtp.check(index);
      if (freshness !== 'new') return refuse(freshness);
      const keys = stream.keysAt(index);
      if (keys === undefined) continue;
      if (verifies('rtp', keys, datagram, tag.value, shortRtpTail(rocOf(index)))) {
        return ok({ ssrc, keys, index, tag: tag.value, stream, restart: false });
      }
      reason = 'auth_failed';
    }
    return refuse(reason);
  }

  /**
   * Media RTCP.
   * @param datagram with at least the clear header; any SSRC but a control SSRC
   */
  verifyRtcp(datagram: Uint8Array, now: number): Result<VerifiedRtcp, DropName> {
    const from = RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES;
    if (datagram.length > MAX_DATAGRAM_BYTES) return refuse('malformed', 'datagram too large');
    if (!tagFits(datagram, from)) return refuse('malformed', 'tag');
    const ssrc = readU32(datagram, 4);
    const stream = this.#streams.get(ssrc);
    stream?.expire(now);
    return tagForm(datagram) === 'full'
      ? this.#verifyFullRtcp(datagram, from, ssrc, stream)
      : this.#verifyShortRtcp(datagram, from, ssrc, stream);
  }

  #verifyFullRtcp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    stream: EktStream | undefined,
  ): Result<VerifiedRtcp, DropName> {
    const found = this.#splitFull(datagram, from);
    // Where the E flag stands follows from the tag's length: under an unknown set, the shortest.
    const tagAt = found.ok ? found.value.tag.at : datagram.length - MIN_FULL_TAG_BYTES;
    const rtcpIndex = encryptedRtcpIndex(datagram, tagAt);
    if (rtcpIndex === undefined) return refuse('malformed', 'SRTCP is not encrypted');
    if (!found.ok) return found;
    const { tag, set } = found.value;
    let keys = stream?.find(tag.spiWord, tag.wrappedKey);
    let restart = false;
    if (stream !== undefined && keys === undefined) {
      if (tag.spiWord < stream.spiWord) return refuse('unknown_spi', 'older set');
      // A key that is in force already, by its own account, and has protected nothing that came: within one set an
      // announcement of earlier, under a newer set a sender that began anew.
      const start = packetIndex(tag.roc, tag.isn);
      const behind = start <= stream.rtp.highest || start < (stream.currentStart ?? 0);
      if (behind && tag.spiWord === stream.spiWord) return refuse('too_old', 'earlier key');
      restart = behind;
    }
    // The SRTCP index is never taken back, whatever key or set comes (WIRE.md 9 step 5).
    const freshness = stream?.rtcp.check(rtcpIndex) ?? 'new';
    if (freshness !== 'new') return refuse(freshness);
    keys ??= this.#unwrap(set, tag.wrappedKey);
    if (keys === undefined || !verifies('rtcp', keys, datagram, tag, fullTailOf(tag))) return refuse('auth_failed');
    return ok({ ssrc, keys, rtcpIndex, tag, stream, restart });
  }

  #verifyShortRtcp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    stream: EktStream | undefined,
  ): Result<VerifiedRtcp, DropName> {
    const tag = splitEktTag(datagram, from, 1);
    if (!tag.ok) return tag;
    const rtcpIndex = encryptedRtcpIndex(datagram, tag.value.at);
    if (rtcpIndex === undefined) return refuse('malformed', 'SRTCP is not encrypted');
    if (stream === undefined || stream.keyless) return refuse('no_key');
    const freshness = stream.rtcp.check(rtcpIndex);
    if (freshness !== 'new') return refuse(freshness);
    const tail = shortRtcpTail();
    const keys = stream.rtcpKeys().find((slot) => verifies('rtcp', slot, datagram, tag.value, tail));
    if (keys === undefined) return refuse('auth_failed');
    return ok({ ssrc, keys, rtcpIndex, tag: tag.value, stream, restart: false });
  }

  /** Is there room for the stream of this packet (a known SSRC always has its place)? */
  hasRoomFor(ssrc: number): boolean {
    return this.#streams.has(ssrc) || this.#streams.size < this.#limit || this.#firstKeyless() !== undefined;
  }

  /** Step 8. The caller has asked {@link hasRoomFor}. */
  acceptRtp(verified: VerifiedRtp, now: number): void {
    const { keys, index, tag } = verified;
    const stream = this.#keep(verified);
    if (verified.restart) stream.restart(keys);
    stream.acceptRtp(keys, index, tag.form === 'full' ? { start: startOf(tag, index) } : undefined, now);
    this.#settle(stream, keys);
  }

  acceptRtcp(verified: VerifiedRtcp): void {
    const { keys, tag } = verified;
    const stream = this.#keep(verified);
    if (verified.restart) stream.restart(keys);
    stream.acceptRtcp(keys, verified.rtcpIndex, tag.form === 'full' ? tag : undefined);
    this.#settle(stream, keys);
  }

  expire(now: number): void {
    for (const stream of this.#streams.values()) stream.expire(now);
  }

  /** The set is gone and its keys are wiped. A stream keeps its ROC, window and SRTCP index: they outlive keys and sets. */
  dropSet(spiWord: number): void {
    if (this.#provisional?.spiWord === spiWord) this.#forget();
    for (const stream of this.#streams.values()) stream.dropSet(spiWord);
  }

  wipe(): void {
    this.#forget();
    for (const [ssrc, stream] of this.#streams) this.#remove(ssrc, stream);
  }

  describe(): string {
    return [...this.#streams.values()].map((stream) => stream.describe()).join('\n');
  }

  /** Step 4: the set, and with it the tag's length. */
  #splitFull(datagram: Uint8Array, from: number): Result<{ tag: FullTag; set: InstalledSet }, DropName> {
    const set = this.#setOf(spiWordOf(datagram));
    if (set === undefined) return refuse('unknown_spi');
    const split = splitEktTag(datagram, from, set.cipher);
    if (!split.ok) return split;
    return split.value.form === 'full' ? ok({ tag: split.value, set }) : refuse('malformed', 'tag');
  }

  #unwrap(set: InstalledSet, wrapped: Uint8Array): SenderKeys | undefined {
    if (this.#provisional?.is(set.spiWord, wrapped)) return this.#provisional;
    const key = set.unwrap(wrapped);
    if (key === undefined) return undefined;
    this.#forget();
    this.#provisional = new SenderKeys(set.spiWord, wrapped, key, set.masterSalt);
    return this.#provisional;
  }

  #keep(verified: VerifiedRtp | VerifiedRtcp): EktStream {
    if (verified.stream !== undefined) return verified.stream;
    if (!this.hasRoomFor(verified.ssrc)) throw new Error('more streams than the limit');
    const oldest = this.#streams.size < this.#limit ? undefined : this.#firstKeyless();
    if (oldest !== undefined) this.#remove(oldest.ssrc, oldest);
    const stream = new EktStream(verified.ssrc);
    this.#streams.set(verified.ssrc, stream);
    return stream;
  }

  /** A key that a stream has kept is its to wipe, not the cache's. */
  #settle(stream: EktStream, keys: SenderKeys): void {
    if (this.#provisional === keys && stream.find(keys.spiWord, keys.wrapped) === keys) {
      this.#provisional = undefined;
    }
  }

  #firstKeyless(): EktStream | undefined {
    if (!this.#evictsKeyless) return undefined;
    for (const stream of this.#streams.values()) if (stream.keyless) return stream;
    return undefined;
  }

  #forget(): void {
    this.#provisional?.wipe();
    this.#provisional = undefined;
  }

  #remove(ssrc: number, stream: EktStream): void {
    stream.wipe();
    this.#streams.delete(ssrc);
  }
}

/** Does any tag of the form that the last bit names fit behind `from`? */
function tagFits(packet: Uint8Array, from: number): boolean {
  return packet.length - from >= (tagForm(packet) === 'full' ? MIN_FULL_TAG_BYTES : SHORT_TAG_BYTES);
}

/**
 * WIRE.md 9 step 2 for SRTP with an EKT tag: `malformed`, then `no_multiplex_word`.
 * @param trailingBytes 1 where the sender appends one (WIRE.md 7)
 */
export function parseEktRtpHeader(datagram: Uint8Array, trailingBytes: 0 | 1): Result<RtpHeader, DropName> {
  const header = parseRtpHeader(datagram);
  if (!header.ok) return header;
  if (isControlSsrc(header.value.ssrc)) return refuse('malformed', 'media under a control SSRC');
  if (!tagFits(datagram, header.value.length + trailingBytes)) return refuse('malformed', 'tag');
  return header.value.csrcs.length === 0 ? refuse('no_multiplex_word') : header;
}

/** Where a Full tag says that its key came into force. It cannot be after the packet that the key protects (WIRE.md 12 D4). */
function startOf(tag: FullTag, index: number): number {
  return Math.min(packetIndex(tag.roc, tag.isn), index);
}

function fullTailOf(tag: FullTag): Uint8Array {
  return fullTail(tag.wrappedKey, tag.roc, tag.isn, tag.spiWord);
}

/** WIRE.md 9 step 2 for media RTCP, as far as it can be told without a set: a tag fits, and the E flag is set (WIRE.md 3). */
export function looksLikeEktRtcp(datagram: Uint8Array): boolean {
  if (datagram.length > MAX_DATAGRAM_BYTES || !tagFits(datagram, RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES)) return false;
  const tagBytes = tagForm(datagram) === 'full' ? MIN_FULL_TAG_BYTES : SHORT_TAG_BYTES;
  return encryptedRtcpIndex(datagram, datagram.length - tagBytes) !== undefined;
}

/** The indices that a Short tag's packet may have, likeliest first (WIRE.md 9 step 5). */
function candidates(stream: EktStream, sequence: number): number[] {
  if (!stream.rtp.empty) return [estimateIndex(stream.rtp.highest, sequence)];
  const hint = stream.rocHint ?? 0;
  return [hint, hint + 1, hint - 1]
    .filter((roc) => roc >= 0 && roc <= 0xffffffff)
    .map((roc) => packetIndex(roc, sequence));
}

/** SRTCP index; undefined when the E flag says that the packet is not encrypted. */
function encryptedRtcpIndex(datagram: Uint8Array, tagAt: number): number | undefined {
  const word = readU32(datagram, tagAt - RTCP_INDEX_BYTES);
  return word >= 0x80000000 ? word - 0x80000000 : undefined;
}

function verifies(
  kind: 'rtp' | 'rtcp',
  keys: SenderKeys,
  datagram: Uint8Array,
  tag: EktTag,
  tail: Uint8Array,
): boolean {
  return equalBytes(keys.baseTag(kind, datagram.subarray(0, tag.at), tail), tag.baseTag);
}
