import { concat } from '../../src/base/bytes.js';
import type { Media } from '../../src/base/ids.js';
import { MAX_DATAGRAM_BYTES } from '../../src/base/limits.js';
import type { GroupSet } from '../../src/srtp/group-set.js';
import { packetIndex, rocOf } from '../../src/srtp/index-estimate.js';
import { composeMultiplexWord } from '../../src/wire/csrc.js';
import { writeSdesCname, writeSr } from '../../src/wire/rtcp-write.js';
import { writeRtpHeader } from '../../src/wire/rtp.js';
import type { Random } from './random.js';
import { type ScenarioKey, scenarioKey } from './scenario-key.js';

/** AEAD tag, trailing byte, route tag and the Full field of suite 18 (WIRE.md 6). */
const LARGEST_TAIL_BYTES = 16 + 1 + 10 + 63;

/** What a sender sealed. */
export interface Truth {
  readonly ssrc: number;
  /** SRTP: ROC ‖ sequence number; SRTCP: its index. */
  readonly index: number;
  /** SRTP: the payload without padding; SRTCP: the whole compound. */
  readonly plain: Uint8Array;
}

interface Key {
  readonly keys: ScenarioKey;
  readonly start: number;
}

/**
 * One SSRC of the random traffic. It seals with explicit indices, so that it can leap ahead in the sequence numbers (wraps
 * come soon) and send what an orderly sender never would (a wrong position, no CSRC, an unknown payload type).
 */
export class ScenarioSender {
  readonly channel: number;
  readonly ssrc: number;
  readonly #random: Random;
  readonly #trailingByte: boolean;
  readonly #media: Media;
  readonly #member: number;
  readonly #position: number;
  #index: number;
  #rtcpIndex = 1;
  #current: Key;
  #next: Key | undefined;
  /** The newest key. */
  #last: ScenarioKey | undefined;
  #owed = 3;
  #timestamp: number;

  constructor(
    random: Random,
    channel: {
      readonly channel: number;
      readonly member: number;
      readonly media: Media;
      readonly parameters: { readonly trailingByte: boolean };
    },
    ssrc: number,
    set: GroupSet,
  ) {
    this.#random = random;
    this.channel = channel.channel;
    this.#member = channel.member;
    this.#media = channel.media;
    this.#trailingByte = channel.parameters.trailingByte;
    this.ssrc = ssrc >>> 0;
    this.#position = 1 + random.below(3);
    this.#index = packetIndex(random.oneIn(3) ? random.below(3) : 0, random.below(0x10000));
    this.#current = { keys: this.#newKeys(set), start: this.#index };
    this.#timestamp = random.u32();
  }

  get spiWord(): number {
    return (this.#next ?? this.#current).keys.spiWord;
  }

  /** At once, or after some packets more, announced by media RTCP until then. */
  rekey(set: GroupSet): void {
    if (this.#next !== undefined) return;
    const after = this.#random.oneIn(2) ? 0 : this.#random.below(30);
    const start = this.#index + after;
    this.#next = { keys: this.#newKeys(set), start: rocOf(start) === rocOf(this.#index) ? start : this.#index };
    this.#advance();
  }

  rtp(): { bytes: Uint8Array; truth?: Truth } {
    const random = this.#random;
    if (random.oneIn(60)) {
      // A leap; it never passes over an announced start.
      this.#index = Math.min(this.#index + random.below(9000), this.#next?.start ?? Number.MAX_SAFE_INTEGER);
      this.#advance();
    }
    const index = this.#index++;
    const { header, source } = this.#header(index);
    const padding = (header[0]! & 0x20) !== 0 ? 1 + random.below(40) : 0;
    // The largest packet of a suite just fits a datagram: header, payload, padding, AEAD tag, trailing byte, route tag, field.
    const room = MAX_DATAGRAM_BYTES - header.length - padding - LARGEST_TAIL_BYTES;
    const plain = random.bytes(Math.min(this.#payloadBytes(), room));
    const payload = concat(plain, new Uint8Array(padding));
    if (padding > 0) payload[payload.length - 1] = padding;
    const full = this.#owed > 0 || random.oneIn(4);
    if (this.#owed > 0) this.#owed--;
    const { keys } = this.#current;
    const isn = full ? this.#isn(this.#current, index) : undefined;
    const bytes = keys.rtp(header, payload, index, isn, this.#trailingByte ? random.below(101) : undefined);
    this.#advance();
    return source === this.#position ? { bytes, truth: { ssrc: this.ssrc, index, plain } } : { bytes };
  }

  rtcp(): { bytes: Uint8Array; truth: Truth } {
    const random = this.#random;
    const sr = { ssrc: this.ssrc, ntp: BigInt(random.u32()) << 32n, rtpTimestamp: this.#timestamp };
    const plain = concat(
      writeSr({ ...sr, packets: 1, octets: 2, reports: [] }),
      writeSdesCname(this.ssrc, 'x'.repeat(random.below(40))),
    );
    const key = this.#current.keys.announcedByRtcp ? (this.#next ?? this.#current) : this.#current;
    const rtcpIndex = this.#rtcpIndex++;
    const bytes = key.keys.rtcp(plain, rtcpIndex, { roc: rocOf(this.#index), isn: this.#isn(key, this.#index) });
    return { bytes, truth: { ssrc: this.ssrc, index: rtcpIndex, plain } };
  }

  #header(index: number): { header: Uint8Array; source: number } {
    const random = this.#random;
    const source = random.oneIn(150) ? random.below(16) : this.#position;
    const word = composeMultiplexWord({
      clock: random.below(0x100000),
      output: random.below(16),
      source,
      sink: random.below(16),
    });
    const more = Array.from({ length: random.oneIn(3) ? random.below(15) : 0 }, () => random.u32());
    const payloadType = random.oneIn(30) ? 111 : random.oneIn(150) ? 127 : random.oneIn(2) ? 96 : 96 + this.#member;
    this.#timestamp = (this.#timestamp + 90) >>> 0;
    const header = writeRtpHeader({
      marker: random.oneIn(3),
      payloadType,
      sequence: index % 0x10000,
      timestamp: this.#timestamp,
      ssrc: this.ssrc,
      csrcs: random.oneIn(150) ? [] : [word, ...more],
      padding: random.oneIn(6),
      ...(random.oneIn(4) ? { extension: { profile: 0xbede, data: random.bytes(4 * random.below(12)) } } : {}),
    });
    return { header, source: (header[0]! & 0xf) === 0 ? -1 : source };
  }

  #payloadBytes(): number {
    const random = this.#random;
    if (random.oneIn(20)) return random.below(3);
    return this.#media === 'audio' ? random.below(200) : random.oneIn(50) ? 1400 : random.below(1401);
  }

  #isn(key: Key, index: number): number {
    return rocOf(key.start) === rocOf(index) ? key.start % 0x10000 : 0;
  }

  #advance(): void {
    if (this.#next === undefined || this.#index < this.#next.start) return;
    this.#current = this.#next;
    this.#next = undefined;
    this.#owed = 3;
  }

  #newKeys(set: GroupSet): ScenarioKey {
    this.#last = scenarioKey(this.#random, set, this.ssrc, this.#last);
    return this.#last;
  }
}
