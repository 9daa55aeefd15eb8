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
  type TagCipher,
  tagForm,
} from '../wire/ekt-tag.js';
import { isControlSsrc, parseRtpHeader, type RtpHeader } from '../wire/rtp.js';
import { aesCm } from './aes-cm.js';
import { openEktRtcp, rtpTail, withTag } from './ekt-packet.js';
import type { EktStream } from './ekt-stream.js';
import { EktStreams, type SetLookup, type VerifiedRtcp, type VerifiedRtp } from './ekt-streams.js';
import type { InstalledSet } from './group-set.js';
import { estimateIndex, INDEX_LIMIT, packetIndex, rocOf } from './index-estimate.js';
import { SenderKeys } from './sender-keys.js';
import { RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES } from './transform.js';

type TagStream = EktStream<SenderKeys>;

/** How a packet verified: under which key, at which index, by which tag. */
interface Proof {
  readonly ssrc: number;
  readonly keys: SenderKeys;
  /** ROC ‖ sequence number, or the SRTCP index. */
  readonly index: number;
  readonly tag: EktTag;
  readonly stream: TagStream | undefined;
  readonly restart: boolean;
}

/** Suite 1: the key rides in the authentication tag (WIRE.md 5), and the tag is the switch's to compute anew. */
export class TagStreams extends EktStreams<SenderKeys> {
  readonly #setOf: SetLookup;

  constructor(setOf: SetLookup, limit: number, evictsKeyless: boolean) {
    super(limit, evictsKeyless);
    this.#setOf = setOf;
  }

  override parseHeader(datagram: Uint8Array, trailingBytes: 0 | 1): Result<RtpHeader, DropName> {
    const header = parseRtpHeader(datagram);
    if (!header.ok) return header;
    if (isControlSsrc(header.value.ssrc)) return refuse('malformed', 'media under a control SSRC');
    if (!tagFits(datagram, header.value.length + trailingBytes)) return refuse('malformed', 'tag');
    return header.value.csrcs.length === 0 ? refuse('no_multiplex_word') : header;
  }

  override looksLikeRtcp(datagram: Uint8Array): boolean {
    if (datagram.length > MAX_DATAGRAM_BYTES || !tagFits(datagram, RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES)) return false;
    const tagBytes = tagForm(datagram) === 'full' ? MIN_FULL_TAG_BYTES : SHORT_TAG_BYTES;
    return encryptedRtcpIndex(datagram, datagram.length - tagBytes) !== undefined;
  }

  override verifyRtp(
    datagram: Uint8Array,
    header: RtpHeader,
    trailingBytes: 0 | 1,
    now: number,
  ): Result<VerifiedRtp, DropName> {
    const { ssrc, sequence, length } = header;
    const stream = this.streamAt(ssrc, now);
    const proof =
      tagForm(datagram) === 'full'
        ? this.#verifyFullRtp(datagram, length + trailingBytes, ssrc, sequence, stream)
        : this.#verifyShortRtp(datagram, length + trailingBytes, ssrc, sequence, stream);
    if (!proof.ok) return proof;
    const { keys, index, tag } = proof.value;
    return ok({
      ssrc,
      index,
      spiWord: keys.spiWord,
      at: tag.at,
      open: () => aesCm(keys.rtp, ssrc, index, datagram.subarray(length, tag.at)),
      reseal: (packet) => withTag(keys, 'rtp', packet, rtpTail(keys, index, tag.form === 'full' ? tag.isn : undefined)),
      accept: (at) => this.#acceptRtp(proof.value, at),
    });
  }

  #verifyFullRtp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    sequence: number,
    stream: TagStream | undefined,
  ): Result<Proof, DropName> {
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
    stream: TagStream | undefined,
  ): Result<Proof, DropName> {
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

  override verifyRtcp(datagram: Uint8Array, now: number): Result<VerifiedRtcp, DropName> {
    const from = RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES;
    if (datagram.length > MAX_DATAGRAM_BYTES) return refuse('malformed', 'datagram too large');
    if (!tagFits(datagram, from)) return refuse('malformed', 'tag');
    const ssrc = readU32(datagram, 4);
    const stream = this.streamAt(ssrc, now);
    const proof =
      tagForm(datagram) === 'full'
        ? this.#verifyFullRtcp(datagram, from, ssrc, stream)
        : this.#verifyShortRtcp(datagram, from, ssrc, stream);
    if (!proof.ok) return proof;
    const { keys, index, tag } = proof.value;
    return ok({
      ssrc,
      spiWord: keys.spiWord,
      open: () => openEktRtcp(keys, ssrc, index, datagram.subarray(0, tag.at)),
      onward: () => onward(datagram, tag),
      accept: () => this.#acceptRtcp(proof.value),
    });
  }

  #verifyFullRtcp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    stream: TagStream | undefined,
  ): Result<Proof, DropName> {
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
    return ok({ ssrc, keys, index: rtcpIndex, tag, stream, restart });
  }

  #verifyShortRtcp(
    datagram: Uint8Array,
    from: number,
    ssrc: number,
    stream: TagStream | undefined,
  ): Result<Proof, DropName> {
    const tag = splitEktTag(datagram, from, 1);
    if (!tag.ok) return tag;
    const rtcpIndex = encryptedRtcpIndex(datagram, tag.value.at);
    if (rtcpIndex === undefined) return refuse('malformed', 'SRTCP is not encrypted');
    if (stream === undefined || stream.keyless) return refuse('no_key');
    const freshness = stream.rtcp.check(rtcpIndex);
    if (freshness !== 'new') return refuse(freshness);
    const tail = shortRtcpTail();
    const keys = stream.slotKeys().find((slot) => verifies('rtcp', slot, datagram, tag.value, tail));
    if (keys === undefined) return refuse('auth_failed');
    return ok({ ssrc, keys, index: rtcpIndex, tag: tag.value, stream, restart: false });
  }

  #acceptRtp(proof: Proof, now: number): void {
    const { keys, index, tag } = proof;
    const stream = this.keep(proof.ssrc, proof.stream);
    if (proof.restart) stream.restart(keys);
    stream.acceptRtp(keys, index, tag.form === 'full' ? { start: startOf(tag, index) } : undefined, now);
    this.settle(stream, keys);
  }

  #acceptRtcp(proof: Proof): void {
    const { keys, tag } = proof;
    const stream = this.keep(proof.ssrc, proof.stream);
    if (proof.restart) stream.restart(keys);
    stream.acceptRtcp(keys, proof.index, tag.form === 'full' ? tag : undefined);
    this.settle(stream, keys);
  }

  /** Step 4: the set, and with it the tag's length. */
  #splitFull(datagram: Uint8Array, from: number): Result<{ tag: FullTag; set: InstalledSet }, DropName> {
    const set = this.#setOf(spiWordOf(datagram));
    if (set === undefined) return refuse('unknown_spi');
    const split = splitEktTag(datagram, from, cipherOf(set));
    if (!split.ok) return split;
    return split.value.form === 'full' ? ok({ tag: split.value, set }) : refuse('malformed', 'tag');
  }

  #unwrap(set: InstalledSet, wrapped: Uint8Array): SenderKeys | undefined {
    return this.provisional(set.spiWord, wrapped, () => {
      const key = set.unwrap(wrapped);
      return key && new SenderKeys(set.spiWord, wrapped, key, set.masterSalt);
    });
  }
}

/** A table of this kind is given sets of suite 1 only. */
function cipherOf(set: InstalledSet): TagCipher {
  return set.cipher === 2 ? 2 : 1;
}

/** The free bits of a Short tag's last byte are not sent on (WIRE.md 5). */
function onward(datagram: Uint8Array, tag: EktTag): Uint8Array {
  const bytes = Uint8Array.from(datagram);
  if (tag.form === 'short') bytes[bytes.length - 1] = 0;
  return bytes;
}

/** Does any tag of the form that the last bit names fit behind `from`? */
function tagFits(packet: Uint8Array, from: number): boolean {
  return packet.length - from >= (tagForm(packet) === 'full' ? MIN_FULL_TAG_BYTES : SHORT_TAG_BYTES);
}

/** Where a Full tag says that its key came into force. It cannot be after the packet that the key protects (WIRE.md 12 D4). */
function startOf(tag: FullTag, index: number): number {
  return Math.min(packetIndex(tag.roc, tag.isn), index);
}

function fullTailOf(tag: FullTag): Uint8Array {
  return fullTail(tag.wrappedKey, tag.roc, tag.isn, tag.spiWord);
}

/** The indices that a Short tag's packet may have, likeliest first (WIRE.md 9 step 5). */
function candidates(stream: TagStream, sequence: number): number[] {
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
