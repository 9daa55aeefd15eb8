import { equalBytes, readU32 } from '../base/bytes.js';
import { MAX_DATAGRAM_BYTES } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { Secret } from '../base/secret.js';
import type { DropName } from '../wire/drop.js';
import {
  type EktField,
  type FieldSuite,
  type FullField,
  readFieldPlaintext,
  splitEktField,
} from '../wire/ekt-field.js';
import { isControlSsrc, parseRtpHeader, type RtpHeader } from '../wire/rtp.js';
import { GCM_TAG_BYTES } from './aes-gcm.js';
import type { EktStream } from './ekt-stream.js';
import { EktStreams, type SetLookup, type VerifiedRtcp, type VerifiedRtp } from './ekt-streams.js';
import { FieldKeys } from './field-keys.js';
import { openFieldRtcp, openFieldRtp, withRouteTag } from './field-packet.js';
import type { InstalledSet } from './group-set.js';
import { estimateIndex, INDEX_LIMIT, packetIndex, rocOf } from './index-estimate.js';
import { RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES } from './transform.js';

type FieldStream = EktStream<FieldKeys>;

/** A Full field opened: the key that it brings, or the slot's that it repeats, and the ROC that it names. */
interface Opened {
  readonly keys: FieldKeys;
  readonly roc: number;
}

interface Proof {
  readonly keys: FieldKeys;
  readonly index: number;
  readonly restart: boolean;
}

/**
 * Suites 17 and 18 (WIRE.md 6): AEAD end to end, the key in a field behind it, and between them a route tag, which is all
 * that the switch verifies and computes anew.
 */
export class FieldStreams extends EktStreams<FieldKeys> {
  readonly #setOf: SetLookup;
  readonly #suite: FieldSuite;

  constructor(suite: FieldSuite, setOf: SetLookup, limit: number, evictsKeyless: boolean) {
    super(limit, evictsKeyless);
    this.#suite = suite;
    this.#setOf = setOf;
  }

  override parseHeader(datagram: Uint8Array, trailingBytes: 0 | 1): Result<RtpHeader, DropName> {
    const header = parseRtpHeader(datagram);
    if (!header.ok) return header;
    if (isControlSsrc(header.value.ssrc)) return refuse('malformed', 'media under a control SSRC');
    const field = this.#split(datagram, header.value, trailingBytes);
    if (!field.ok) return field;
    return header.value.csrcs.length === 0 ? refuse('no_multiplex_word') : header;
  }

  override looksLikeRtcp(datagram: Uint8Array): boolean {
    return encryptedRtcpIndex(datagram) !== undefined;
  }

  override verifyRtp(
    datagram: Uint8Array,
    header: RtpHeader,
    trailingBytes: 0 | 1,
    now: number,
  ): Result<VerifiedRtp, DropName> {
    const { ssrc, length } = header;
    const split = this.#split(datagram, header, trailingBytes);
    if (!split.ok) return split;
    const field = split.value;
    const stream = this.streamAt(ssrc, now);
    const proof =
      field.form === 'full' ? this.#judgeFull(field, header, stream) : this.#judgeKeyless(header.sequence, stream);
    if (!proof.ok) return proof;
    const { keys, index } = proof.value;
    const roc = rocOf(index);
    const behind = datagram.subarray(field.at - trailingBytes - GCM_TAG_BYTES, field.at);
    if (!equalBytes(keys.routeTag(datagram.subarray(0, length), behind, roc, field.bytes), field.routeTag)) {
      return refuse('auth_failed');
    }
    return ok({
      ssrc,
      index,
      spiWord: keys.spiWord,
      at: field.at,
      open: () => openFieldRtp(keys, length, datagram.subarray(0, field.at - trailingBytes), index),
      reseal: (packet) => withRouteTag(keys, length, packet, 0, roc, field.bytes),
      accept: (at) => this.#acceptRtp(ssrc, stream, proof.value, field, at),
    });
  }

  /** RFC 7714 under the current key of a stream that SRTP has bound: media RTCP brings no key (WIRE.md 6). */
  override verifyRtcp(datagram: Uint8Array, now: number): Result<VerifiedRtcp, DropName> {
    const index = encryptedRtcpIndex(datagram);
    if (index === undefined) return refuse('malformed', 'SRTCP');
    const ssrc = readU32(datagram, 4);
    const stream = this.streamAt(ssrc, now);
    const keys = stream?.currentKeys;
    if (stream === undefined || keys === undefined) return refuse('no_key');
    const freshness = stream.rtcp.check(index);
    if (freshness !== 'new') return refuse(freshness);
    const compound = openFieldRtcp(keys, datagram, index);
    if (compound === undefined) return refuse('auth_failed');
    return ok({
      ssrc,
      spiWord: keys.spiWord,
      open: () => compound,
      onward: () => Uint8Array.from(datagram),
      accept: () => stream.rtcp.accept(index),
    });
  }

  /** Steps 4 and 5 with a Full field. */
  #judgeFull(field: FullField, header: RtpHeader, stream: FieldStream | undefined): Result<Proof, DropName> {
    const set = this.#setOf(field.spiWord);
    if (set === undefined) return refuse('unknown_spi');
    const known = stream?.find(field.spiWord, field.wrapped);
    // WIRE.md 9 step 5: a key under an older set than the stream's current one is refused.
    if (known === undefined && stream !== undefined && field.spiWord < stream.spiWord) {
      return refuse('unknown_spi', 'older set');
    }
    const opened = known ? { keys: known, roc: known.roc } : this.#open(set, field, stream);
    // RFC 8870 §4.3.2: the field names its SSRC, so that it cannot be spliced into another stream.
    if (opened === undefined || opened.keys.ssrc !== header.ssrc) return refuse('auth_failed', 'field');
    const { keys } = opened;
    const index = packetIndex(opened.roc, header.sequence);
    if (stream === undefined) return ok({ keys, index, restart: false });
    const newer = field.spiWord > stream.spiWord;
    if (!stream.slotKeys().includes(keys)) {
      const last = stream.currentKeys;
      // WIRE.md 6: a different key needs an epoch above the last one. And no key began before the one that it replaces.
      if (!newer && last !== undefined && field.epoch <= last.epoch) return refuse('too_old', 'epoch');
      if (!newer && index < (stream.currentStart ?? 0)) return refuse('too_old', 'start');
    } else if (stream.hasEnded(keys, index)) {
      return refuse('too_old', 'replaced key');
    }
    const restart = newer && index <= stream.rtp.highest;
    const freshness = restart ? 'new' : stream.rtp.check(index);
    return freshness === 'new' ? ok({ keys, index, restart }) : refuse(freshness);
  }

  /** Steps 4 and 5 without a key: the index is RFC 3711 §3.3.1's estimate. */
  #judgeKeyless(sequence: number, stream: FieldStream | undefined): Result<Proof, DropName> {
    if (stream === undefined) return refuse('no_key');
    const index = estimateIndex(stream.rtp.highest, sequence);
    if (index < 0) return refuse('too_old', 'before the first packet');
    // RFC 3711 §9.2: 2^48 packets are all that there can be.
    if (index >= INDEX_LIMIT) return refuse('auth_failed');
    const freshness = stream.rtp.check(index);
    if (freshness !== 'new') return refuse(freshness);
    const keys = stream.keysAt(index);
    return keys === undefined ? refuse('no_key') : ok({ keys, index, restart: false });
  }

  /** Unwraps the key; one that the stream holds already, met again with another ROC, is the stream's own. */
  #open(set: InstalledSet, field: FullField, stream: FieldStream | undefined): Opened | undefined {
    const keys = this.provisional(set.spiWord, field.wrapped, () => unwrapField(set, field, this.#suite));
    if (keys === undefined) return undefined;
    const own = stream?.slotKeys().find((slot) => slot.ssrc === keys.ssrc && slot.sameKey(keys));
    return { keys: own ?? keys, roc: keys.roc };
  }

  #acceptRtp(ssrc: number, known: FieldStream | undefined, proof: Proof, field: EktField, now: number): void {
    const { keys, index } = proof;
    const stream = this.keep(ssrc, known);
    if (proof.restart) stream.restart(keys);
    if (field.form === 'full') {
      keys.renew(field.wrapped, rocOf(index));
      if (!stream.slotKeys().includes(keys)) keys.adopt(field.epoch);
    }
    stream.acceptFieldRtp(keys, index, field.form === 'full', now);
    this.settle(stream, keys);
  }

  #split(datagram: Uint8Array, header: RtpHeader, trailingBytes: 0 | 1): Result<EktField, 'malformed'> {
    return splitEktField(datagram, header.length + GCM_TAG_BYTES + trailingBytes, this.#suite);
  }
}

function unwrapField(set: InstalledSet, field: FullField, suite: FieldSuite): FieldKeys | undefined {
  const plain = set.unwrap(field.wrapped);
  const keys = plain?.use((bytes) => {
    const told = readFieldPlaintext(bytes, suite);
    if (told === undefined) return undefined;
    const { ssrc, roc } = told;
    const { spiWord, wrapped } = field;
    return new FieldKeys({ spiWord, wrapped, ssrc, roc }, Secret.copyOf(told.key), set.masterSalt);
  });
  plain?.wipe();
  return keys;
}

/** SRTCP index at the packet's end; undefined when it cannot be SRTCP or says that it is not encrypted (WIRE.md 3). */
function encryptedRtcpIndex(datagram: Uint8Array): number | undefined {
  const shortest = RTCP_CLEAR_BYTES + GCM_TAG_BYTES + RTCP_INDEX_BYTES;
  if (datagram.length > MAX_DATAGRAM_BYTES || datagram.length < shortest) return undefined;
  const word = readU32(datagram, datagram.length - RTCP_INDEX_BYTES);
  return word >= 0x80000000 ? word - 0x80000000 : undefined;
}
