import { readU32 } from '../base/bytes.js';
import { MAX_RECEIVE_CONTEXTS } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import { splitCompound } from '../wire/rtcp.js';
import { isControlSsrc, type RtpHeader, stripPadding } from '../wire/rtp.js';
import type { EktStreams } from './ekt-streams.js';
import { type GroupSet, GroupSets, type SetRefusal } from './group-set.js';
import { streamsOf } from './streams-of.js';

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
 * What an endpoint receives on one channel under sender keys (WIRE.md 5, 6, 9): verifies, learns and decrypts. Every refusal
 * leaves the state as it was. At most MAX_RECEIVE_CONTEXTS streams: further ones are refused (`stream_limit`), none is evicted.
 */
export class EktReceiver {
  readonly #sets = new GroupSets();
  #streams = this.#newStreams();

  /**
   * Copies the set's secrets. `not_newer`: SPIs rise within a conference; `set_limit`: MAX_LIVE_SETS are alive;
   * `unsupported`: none that WIRE.md 4.3 defines; `other_suite`: the first set fixed another one, and with it how packets are
   * read.
   */
  addSet(set: GroupSet): Result<void, SetRefusal> {
    const first = this.#sets.suite === undefined;
    const added = this.#sets.add(set);
    if (!added.ok) return added;
    if (first) this.#streams = this.#newStreams();
    return ok(undefined);
  }

  /** Wipes the set and all sender keys under it. */
  dropSet(spiWord: number): void {
    this.#streams.dropSet(spiWord);
    this.#sets.drop(spiWord);
  }

  /** @param now for the life of replaced keys, ms @returns names of WIRE.md 9 steps 2 to 6, or `stream_limit` */
  receiveRtp(datagram: Uint8Array, now: number): Result<ReceivedRtp, DropName> {
    const parsed = this.#streams.parseHeader(datagram, 0);
    if (!parsed.ok) return parsed;
    const header = parsed.value;
    const { ssrc, sequence } = header;
    const verified = this.#streams.verifyRtp(datagram, header, 0, now);
    if (!verified.ok) return verified;
    if (!this.#streams.hasRoomFor(ssrc)) return refuse('stream_limit');
    const { index } = verified.value;
    const plain = verified.value.open();
    // Suites 17 and 18: what the switch, or anybody who holds the route key alone, made of the payload ends here.
    if (plain === undefined) return refuse('auth_failed', 'payload');
    const payload = stripPadding(plain, header.padding);
    if (!payload.ok) return payload;
    verified.value.accept(now);
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
    const { ssrc } = verified.value;
    if (!this.#streams.hasRoomFor(ssrc)) return refuse('stream_limit');
    const compound = verified.value.open();
    const packets = splitCompound(compound);
    if (!packets.ok) return packets;
    verified.value.accept();
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

  /** Before the first set there is nothing to read packets by: they are taken for suite 1's, and none verifies. */
  #newStreams(): EktStreams {
    return streamsOf(this.#sets.suite ?? 1, (spiWord) => this.#sets.get(spiWord), MAX_RECEIVE_CONTEXTS, true);
  }
}
