/** Packets as a source sends them, all of one length, and as the switch sends them on. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../src/base/ids.js';
import { Secret } from '../src/base/secret.js';
import type { GroupParameterSet } from '../src/relay/contract.js';
import { RelayCore } from '../src/relay/harness.js';
import { EktSender } from '../src/srtp/ekt-sender.js';
import { FullTagCadence } from '../src/srtp/full-tag-cadence.js';
import { writeRtpHeader } from '../src/wire/rtp.js';
import { furnish, type Room, roomOf, routeAtOnce, SOURCE_PAYLOAD_TYPE, SOURCE_POSITION } from './room.js';

const FIRST_SSRC = 0xa1b2c3d4;
const SSRC_STEP = 0x100;
const FIRST_SEQUENCE = 1_000;
const CLOCK_RATE = { audio: 48_000, video: 90_000 } as const;
const UNITS_PER_SECOND = { audio: 50, video: 30 } as const;
const TRAILING_BYTES = 1;
const ENERGY = 50;
const NO_REFRESH = 0;
const SOMEWHERE = { address: '192.0.2.1', port: 4_000 };

/** What sources of a media kind send: UDP payload bytes, everything included; packets back to back; how many sources. */
export const SHAPES: Readonly<
  Record<Media, { readonly bytes: number; readonly burst: number; readonly sources: number }>
> = {
  audio: { bytes: 172, burst: 1, sources: 3 },
  video: { bytes: 1_200, burst: 10, sources: 4 },
};

/** What the switch sends of a packet of `bytes`: the trailing byte is taken off. */
export function switchedBytes(bytes: number): number {
  return bytes - TRAILING_BYTES;
}

/** One stream under one sender key. Sequence numbers run on from call to call, so that no packet is a replay. */
export class TrafficSource {
  readonly senderKey: Secret = new Secret(randomBytes(16));
  readonly #media: Media;
  readonly #bytes: number;
  readonly #sender: EktSender;
  readonly #cadence: FullTagCadence;
  /** What protection adds to header and payload. */
  readonly #around: { readonly full: number; readonly short: number };
  #unit = 0;

  /**
   * @param bytes of every packet, whatever the form of its tag
   * @param ordinal among the sources of a conference: each has an SSRC of its own
   */
  constructor(media: Media, bytes: number, set: GroupParameterSet, ordinal = 0) {
    this.#media = media;
    this.#bytes = bytes;
    const ssrc = FIRST_SSRC + ordinal * SSRC_STEP;
    this.#sender = new EktSender({ ssrc, sequence: FIRST_SEQUENCE, set, key: this.senderKey });
    this.#cadence = new FullTagCadence(media);
    this.#around = overheadOf(set);
  }

  /** `count` packets one after the other, with Full tags where WIRE.md 5 wants them; a video frame is a burst. */
  packets(count: number): Uint8Array {
    const { burst } = SHAPES[this.#media];
    return this.#fill(count, (i) => {
      const place = i % burst;
      if (place === 0) this.#unit++;
      return { full: this.#cadence.next(this.#sender.keyGeneration, place === 0), marker: place === burst - 1 };
    });
  }

  /** As above, each with the tag named. */
  tagged(count: number, form: 'full' | 'short'): Uint8Array {
    return this.#fill(count, () => ({ full: form === 'full', marker: false }));
  }

  wipe(): void {
    this.#sender.wipe();
    this.senderKey.wipe();
  }

  #fill(count: number, next: (i: number) => { full: boolean; marker: boolean }): Uint8Array {
    const out = new Uint8Array(count * this.#bytes);
    for (let i = 0; i < count; i++) out.set(this.#packet(next(i)), i * this.#bytes);
    return out;
  }

  #packet(o: { readonly full: boolean; readonly marker: boolean }): Uint8Array {
    const header = writeRtpHeader({
      marker: o.marker,
      payloadType: SOURCE_PAYLOAD_TYPE,
      sequence: 0,
      timestamp: (this.#unit * CLOCK_RATE[this.#media]) / UNITS_PER_SECOND[this.#media],
      ssrc: this.#sender.ssrc,
      csrcs: [(SOURCE_POSITION << 4) | SOURCE_POSITION],
    });
    const around = header.length + (o.full ? this.#around.full : this.#around.short);
    const payload = new Uint8Array(this.#bytes - around).fill(0x5a);
    const trailingByte = this.#media === 'audio' ? ENERGY : NO_REFRESH;
    const packet = this.#sender.protectRtp(header, payload, { full: o.full, trailingByte });
    if (packet.length !== this.#bytes) throw new Error(`a packet of ${packet.length} bytes, not ${this.#bytes}`);
    return packet;
  }
}

/** Bytes that the set's suite adds to a packet, the trailing byte among them. */
function overheadOf(set: GroupParameterSet): { full: number; short: number } {
  const key = new Secret(randomBytes(16));
  const probe = new EktSender({ ssrc: FIRST_SSRC, sequence: 0, set, key });
  key.wipe();
  const header = writeRtpHeader({
    marker: false,
    payloadType: SOURCE_PAYLOAD_TYPE,
    sequence: 0,
    timestamp: 0,
    ssrc: FIRST_SSRC,
    csrcs: [(SOURCE_POSITION << 4) | SOURCE_POSITION],
  });
  const added = (full: boolean): number =>
    probe.protectRtp(header, new Uint8Array(0), { full, trailingByte: NO_REFRESH }).length - header.length;
  const overhead = { full: added(true), short: added(false) };
  probe.wipe();
  return overhead;
}

/** The sources of a conference. */
export class Traffic {
  readonly bytes: number;
  readonly #sources: TrafficSource[];

  constructor(media: Media, set: GroupParameterSet, sources = SHAPES[media].sources) {
    this.bytes = SHAPES[media].bytes;
    this.#sources = Array.from({ length: sources }, (_, i) => new TrafficSource(media, this.bytes, set, i));
  }

  /** The next `count` packets of each source. */
  streams(count: number): Uint8Array[] {
    return this.#sources.map((source) => source.packets(count));
  }

  wipe(): void {
    for (const source of this.#sources) source.wipe();
  }
}

/** Makes of sources' packets what every receiver of the room gets, by means of the switching core itself. */
export class Switcher {
  readonly #core = new RelayCore();
  readonly #room: Room;
  readonly #bytes: number;

  /** @param bytes of every packet */
  constructor(media: Media, bytes: number, set: GroupParameterSet, sources = 1) {
    this.#bytes = bytes;
    this.#room = roomOf(media, sources, 1);
    furnish(this.#core, this.#room, set, { sources: this.#room.sources.map(() => SOMEWHERE), receivers: [SOMEWHERE] });
    routeAtOnce(this.#core, this.#room);
    this.#core.take();
  }

  /** Throws when the core forwards one of them to nobody, or in another length than {@link switchedBytes}. */
  switch(packets: Uint8Array, source = 0): Uint8Array {
    const size = switchedBytes(this.#bytes);
    const count = packets.length / this.#bytes;
    const out = new Uint8Array(count * size);
    const channel = this.#room.sources[source]!;
    for (let i = 0; i < count; i++) {
      const { drop, outputs } = this.#core.feed(channel, packets.subarray(i * this.#bytes, (i + 1) * this.#bytes), 0);
      const sent = outputs[0];
      if (
        sent === undefined ||
        sent.receiver !== this.#room.receivers[0] ||
        sent.bytes.length !== size ||
        outputs.length !== 1
      ) {
        throw new Error(`the switching core did not forward packet ${i}: ${drop ?? 'no such output'}`);
      }
      out.set(sent.bytes, i * size);
    }
    return out;
  }

  close(): void {
    this.#core.close();
  }
}
