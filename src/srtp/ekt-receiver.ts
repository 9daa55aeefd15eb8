import { readU32 } from '../base/bytes.js';
import { MAX_RECEIVE_CONTEXTS } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import { splitCompound } from '../wire/rtcp.js';
import { isControlSsrc, type RtpHeader, stripPadding } from '../wire/rtp.js';
import { aesCm } from './aes-cm.js';
import { openEktRtcp } from './ekt-packet.js';
import { EktStreams, parseEktRtpHeader } from './ekt-streams.js';
import { type GroupSet, GroupSets, type SetRefusal } from './group-set.js';

export interface ReceivedRtp {
  readonly ssrc: number;
  readonly sequence: number;
  /** ROC ‖ sequence number, 48 bits. */
  readonly index: number;
  readonly payloadType: number;
  readonly marker: boolean;
  readonly timestamp: number;
  /** The first is the multiplex word. */
  readonly csrcs: readonly number[];
  readonly header: RtpHeader;
  /** Decrypted, without padding. */
  readonly payload: Uint8Array;
}

export interface ReceivedRtcp {
  readonly ssrc: number;
  /** Decrypted; its packets and lengths are valid. */
  readonly compound: Uint8Array;
}

/**
 * What an endpoint receives on one channel under sender keys (WIRE.md 5, 9): verifies, learns and decrypts. Every refusal
 * leaves the state as it was. At most MAX_RECEIVE_CONTEXTS streams: further ones are refused (`stream_limit`), none is evicted.
 */
export class EktReceiver {
  readonly #sets = new GroupSets();
  readonly #streams = new EktStreams((spiWord) => this.#sets.get(spiWord), MAX_RECEIVE_CONTEXTS, true);

  /**
   * Copies the set's secrets. `not_newer`: SPIs rise within a conference; `set_limit`: MAX_LIVE_SETS are alive;
   * `unsupported`: not a set whose keys ride in tags (suite 1, cipher 1 or 2).
   */
  addSet(set: GroupSet): Result<void, SetRefusal> {
    const added = this.#sets.add(set);
    return added.ok ? ok(undefined) : added;
  }

  /** Wipes the set and all sender keys under it. */
  dropSet(spiWord: number): void {
    this.#streams.dropSet(spiWord);
    this.#sets.drop(spiWord);
  }

  /** @param now for the life of replaced keys, ms @returns names of WIRE.md 9 steps 2 to 6, or `stream_limit` */
  receiveRtp(datagram: Uint8Array, now: number): Result<ReceivedRtp, DropName> {
    const parsed = parseEktRtpHeader(datagram, 0);
    if (!parsed.ok) return parsed;
    const header = parsed.value;
    const { ssrc, sequence } = header;
    const verified = this.#streams.verifyRtp(datagram, header.length, ssrc, sequence, now);
    if (!verified.ok) return verified;
    if (!this.#streams.hasRoomFor(ssrc)) return refuse('stream_limit');
    const { keys, index, tag } = verified.value;
    const plain = aesCm(keys.rtp, ssrc, index, datagram.subarray(header.length, tag.at));
    const payload = stripPadding(plain, header.padding);
    if (!payload.ok) return payload;
    this.#streams.acceptRtp(verified.value, now);
    const { payloadType, marker, timestamp, csrcs } = header;
    return ok({
      ssrc,
      sequence,
      index,
      payloadType,
      marker,
      timestamp,
      csrcs,
      header,
      payload: payload.value,
    });
  }

  /** Media RTCP. A control SSRC's is under channel keys, so here it is `malformed`. */
  receiveRtcp(datagram: Uint8Array, now: number): Result<ReceivedRtcp, DropName> {
    if (datagram.length < 8 || isControlSsrc(readU32(datagram, 4))) return refuse('malformed', 'SRTCP');
    const verified = this.#streams.verifyRtcp(datagram, now);
    if (!verified.ok) return verified;
    const { ssrc, keys, rtcpIndex, tag } = verified.value;
    if (!this.#streams.hasRoomFor(ssrc)) return refuse('stream_limit');
    const compound = openEktRtcp(keys, ssrc, rtcpIndex, datagram.subarray(0, tag.at));
    const packets = splitCompound(compound);
    if (!packets.ok) return packets;
    this.#streams.acceptRtcp(verified.value);
    return ok({ ssrc, compound });
  }

  /** Lets replaced keys end whose time is over, also of streams that are silent. */
  expire(now: number): void {
    this.#streams.expire(now);
  }

  /** Sets and streams as text, for comparing states; holds no key. */
  describe(): string {
    return `${this.#sets.describe()}\n${this.#streams.describe()}`;
  }

  wipe(): void {
    this.#streams.wipe();
    this.#sets.wipe();
  }
}
